#!/usr/bin/python3
# A drive that is slow for bodies: the servers that read and write them say so, and it becomes suspect, once for its
# reads, once, though it holds no mirror of the log, for its writes. Then bodies are read from others at their speed, nothing is
# refused or less redundant, and it is online again by itself. The drives are loop devices, one of which is throttled
# for the processes (blkio control group), so it needs root and those.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import time

from house import PATIENCE, House, body_of, check, run, say, wait_for
from loops import LoopDrives

READ_BYTES_EACH_SECOND = 512 << 10
WRITES_EACH_SECOND = 4
BODY_BYTES = 120000
BODIES = 24
CONFIG = {"store.slow_drive_window": "3s", "store.slow_drive_floor": "40ms", "store.slow_drive_times": "4",
          "s3.processes": "1"}


def drive(house, slot):
    return json.loads(house.ctl("drive", "list", "--json").stdout)[slot]


def slot_without_log(house, drives):
    pid = house.pid("store")
    links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    return next(n for n, path in enumerate(drives.paths)
                if not any(link.startswith(path + "/log/") and link.endswith(".seg") for link in links))


def sectors_read(drives, slot):
    with open(f"/sys/block/{os.path.basename(drives.devices[slot])}/stat") as file:
        return int(file.read().split()[2])


def slot_read(drives, load):
    """A slot that bodies are read from."""
    before = [sectors_read(drives, slot) for slot in range(4)]
    for _ in range(4):
        load.get()
    return max(range(4), key=lambda slot: sectors_read(drives, slot) - before[slot])


class Load:
    def __init__(self, house, drives):
        self.house, self.drives, self.s3, self.count = house, drives, house.s3(), 0

    def put(self):
        self.s3.put("slow", f"b{self.count % BODIES}", body_of(self.count % BODIES, 1, BODY_BYTES))
        self.count += 1

    def get(self):
        """How long a body takes that nobody has in memory, in seconds."""
        n = self.count % BODIES
        self.drives.forget()
        began = time.monotonic()
        check(self.s3.get("slow", f"b{n}") == body_of(n, 1, BODY_BYTES), f"b{n} reads back different")
        self.count += 1
        return time.monotonic() - began

    def until(self, slot, state, step):
        def there():
            step()
            return drive(self.house, slot)["state"] == state
        began = time.monotonic()
        wait_for(f"slot {slot} to be {state}", there, 60 * PATIENCE, 0.01)
        return time.monotonic() - began


def slow_for(house, drives, load, slot, what, rate, step, words):
    drives.rate(slot + 1, rate, what)
    seconds = load.until(slot, "suspect", step)
    row = drive(house, slot)
    say(f"{what}: suspect after {seconds:.1f} s: {row['slow']}")
    check(any(word in row["slow"] for word in words), row)
    check(row["writable"], row)


def scenario():
    drives = LoopDrives(4, 256)
    try:
        with House(drive_paths=drives.paths, config=CONFIG) as house:
            house.s3().make_bucket("slow")
            load = Load(house, drives)
            for _ in range(BODIES):
                load.put()
            drives.take([house.pid("store"), house.pid("s3.0")])
            slot = slot_read(drives, load)
            slow_for(house, drives, load, slot, "read_bps", READ_BYTES_EACH_SECOND, load.get, ["reads"])
            fast = sorted(load.get() for _ in range(BODIES))
            say(f"while it is suspect a get takes {fast[BODIES // 2] * 1000:.1f} ms")
            check(fast[-3] < 0.1 * PATIENCE, "bodies are still read from it:", fast)
            check(drive(house, slot)["state"] == "suspect", "nothing says that it is well")
            drives.rate(slot + 1, 0, "read_bps")
            say(f"online again after {load.until(slot, 'online', load.get):.1f} s")
            slot = slot_without_log(house, drives)
            slow_for(house, drives, load, slot, "write_iops", WRITES_EACH_SECOND, load.put, ["writes", "syncs"])
            drives.rate(slot + 1, 0, "write_iops")
            say(f"online again after {load.until(slot, 'online', load.put):.1f} s")
            for _ in range(BODIES):
                load.get()
            check(house.stop() == 0, "exit status")
    finally:
        drives.close()


run(scenario)
