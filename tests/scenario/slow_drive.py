#!/usr/bin/python3
# A drive that answers, but much slower than its peers: it becomes suspect with a reason, the log goes on without it,
# nothing is refused or less redundant, and it is online again by itself when it is as fast as they are. The drives
# are loop devices, and one is throttled for the store (blkio control group), so it needs root and those.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import time

from house import HOLDFASTCTL, PATIENCE, House, body_of, check, run, say, wait_for
from loops import LoopDrives

WRITES_EACH_SECOND = 6
CONFIG = {"store.slow_drive_window": "3s", "store.slow_drive_floor": "40ms", "store.slow_drive_times": "4"}


def drives_listed(house):
    return json.loads(house.ctl("drive", "list", "--json").stdout)


def drive(house, slot):
    return drives_listed(house)[slot]


def log_slot(house, drives):
    """A slot that has a mirror of a segment which the store writes."""
    pid = house.pid("store")
    links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    return next(n for n, path in enumerate(drives.paths)
                if any(link.startswith(path + "/log/") and link.endswith(".seg") for link in links))


class Load:
    def __init__(self, house):
        self.s3, self.count = house.s3(), 0

    def put(self, count):
        """The middle of how long so many puts take, in seconds."""
        times = []
        for _ in range(count):
            began = time.monotonic()
            self.s3.put("slow", f"k{self.count}", body_of(self.count, 1, 2000))
            times.append(time.monotonic() - began)
            self.count += 1
        return sorted(times)[count // 2]

    def until(self, house, slot, state):
        def there():
            self.put(2)
            return drive(house, slot)["state"] == state
        wait_for(f"slot {slot} to be {state}", there, 60 * PATIENCE, 0.01)


def scenario():
    drives = LoopDrives(4, 256)
    try:
        with House(drive_paths=drives.paths, config=CONFIG) as house:
            house.s3().make_bucket("slow")
            load = Load(house)
            say(f"all well: a put takes {load.put(50) * 1000:.1f} ms")
            events = subprocess.Popen([HOLDFASTCTL, "-c", os.path.join(house.data, "holdfast.conf"), "events"],
                                      env=house.env, stdout=subprocess.PIPE, text=True)
            slot = log_slot(house, drives)
            drives.take([house.pid("store")])
            drives.rate(slot + 1, WRITES_EACH_SECOND, "write_iops")
            slow = load.put(7)
            say(f"slot {slot} is slow: a put takes {slow * 1000:.1f} ms")
            check(slow > 0.05, "the drive was not slow: the scenario shows nothing")
            began = time.monotonic()
            load.until(house, slot, "suspect")
            row = drive(house, slot)
            say(f"after {time.monotonic() - began:.1f} s: slot {slot} {row['slow']}")
            check("times slower than its peers" in row["slow"], row)
            check(row["writable"], row)
            check([d["state"] for d in drives_listed(house)].count("online") == 3, "the others")
            text = house.status_text()
            check("times slower than its peers" in text, text)
            wait_for("the log to leave it", lambda: load.put(9) < slow / 2, 30 * PATIENCE, 0.01)
            check(drive(house, slot)["state"] == "suspect", "nothing says that it is well")
            drives.rate(slot + 1, 0, "write_iops")
            load.until(house, slot, "online")
            say(f"{time.monotonic() - began:.1f} s: online again")
            wait_for("the status to say so", lambda: "times slower" not in house.status_text(), 10 * PATIENCE)
            for n in range(load.count):
                check(load.s3.get("slow", f"k{n}") == body_of(n, 1, 2000), f"k{n} reads back different")
            events.terminate()
            told = events.communicate()[0]
            check("times slower than its peers" in told, "no event told of it:", told)
            check(house.stop() == 0, "exit status")
    finally:
        drives.close()


run(scenario)
