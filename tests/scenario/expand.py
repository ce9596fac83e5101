#!/usr/bin/python3
# A store on four drives is filled, and four more are added in the config while clients write: the store is killed
# again and again while it takes them, and goes on with two sets. What is new goes to the new set, all of it is read
# back, also with two drives of each set gone. Drives of their own (tmpfs), so it needs root.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import random
import re
import shutil
import signal
import tempfile
import time

from house import House, Load, S3Error, body_of, check, run, say, wait_for
from mounts import mount_tmpfs, unmount

MIB = 1 << 20
DRIVE_MIB = 128
SIZE = MIB
CONFIG = {"store.segment_bytes": "4MiB", "store.volume_bytes": "16MiB", "store.reclaim_grace": "500ms",
          "supervisor.backoff_min": "20ms", "tasks.scan_interval": "300ms", "tasks.vacuum_again": "1s",
          "tasks.ec_quiet": "1s", "worker.io_bytes_per_second": "0"}


def mount(data, number):
    path = os.path.join(data, f"drive{number}")
    os.makedirs(path, exist_ok=True)
    mount_tmpfs(path, f"size={DRIVE_MIB}m")
    return path


def drives_named(house, paths):
    """Puts them into the config file."""
    name = os.path.join(house.data, "holdfast.conf")
    with open(name) as file:
        text = file.read()
    text, count = re.subn(r"(?m)^drives *=.*$", "drives = " + " ".join(paths), text)
    check(count == 1, "no drives in the config:\n", text)
    with open(name, "w") as file:
        file.write(text)


def put(s3, objects, number):
    s3.put("fill", f"{number}", body_of(number, 1, SIZE))
    objects.add(number)


def fill(house, objects):
    s3 = house.s3()
    for number in range(10000):
        try:
            put(s3, objects, number)
        except S3Error as error:
            check(error.status == 507, "a put into a full store was answered", error)
            return
    raise AssertionError("the store never became full")


def read_all(house, objects, what):
    s3 = house.s3()
    for number in objects:
        check(s3.get("fill", f"{number}") == body_of(number, 1, SIZE), f"object {number} {what}")


def sets(house):
    return json.loads(house.ctl("services", "store").stdout)[0]["contract"]["status"]["sets"]


def drives(house):
    return json.loads(house.ctl("drive", "list", "--json", check_status=False).stdout or "[]")


def free(path):
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def refused(house, paths):
    """Six drives are no two sets of 2+2: the store says so and does not run, until the config is right again."""
    drives_named(house, paths[:6])
    house.ctl("restart", "store", "--no-wait")
    wait_for("the refusal", lambda: "sets are added whole" in house.log("store.0"), 20)
    drives_named(house, paths[:4])
    house.ctl("restart", "store")


def expand(house, paths):
    """Restarts the store with the new config, and kills it while it starts."""
    drives_named(house, paths)
    rng, kills = random.Random(5), 0
    house.ctl("restart", "store", "--no-wait")
    until = time.monotonic() + 4
    while time.monotonic() < until:
        time.sleep(rng.random() * 0.15)
        try:
            os.kill(house.pid("store"), signal.SIGKILL)
            kills += 1
        except (ProcessLookupError, AssertionError):
            pass
    began = time.monotonic()
    wait_for("two sets", lambda: len(drives(house)) == 8, 60)
    say(f"{kills} kills of the store; then it served two sets after {time.monotonic() - began:.2f} s")


def moved(house, objects):
    """What is new lies in the new set, which is seen in its space."""
    before, s3 = [free(house.drive(1)), free(house.drive(5))], house.s3()
    for number in range(100000, 100000 + DRIVE_MIB // 2):
        put(s3, objects, number)
    used = [before[0] - free(house.drive(1)), before[1] - free(house.drive(5))]
    after = sets(house)
    say(f"{DRIVE_MIB // 2} MiB more took {used[0] / MIB:.0f} MiB of a drive of set 0 and {used[1] / MIB:.0f} of set 1")
    # Vacuum goes on in set 0: the more of it is free again, the more it is given.
    check(used[1] > 2 * max(used[0], 0) and after[1]["segments"] > 0 and after[1]["volumes"] > 0, used, after)
    check(after[1]["space_bytes"] == 4 * DRIVE_MIB * MIB, after)


def maintained(house, objects):
    """Segments of the new set become shards there, and a drive of it that is replaced is rebuilt."""
    house.ctl("store", "seal")
    wait_for("a segment of the new set in shards", lambda: all(
        any(name.endswith(".ecs") for name in os.listdir(os.path.join(house.drive(n), "log"))) for n in range(5, 9)), 60)
    unmount(house.drive(6))
    put(house.s3(), objects, 200000)
    mount(house.data, 6)
    wait_for("the drive to be missed", lambda: drives(house)[5]["state"] == "offline", 20)
    house.ctl("drive", "replace", "5")
    wait_for("the replaced drive to be rebuilt", lambda: drives(house)[5]["state"] == "online", 60)


def scenario():
    directory = tempfile.mkdtemp(prefix="holdfast-scenario-")
    data = os.path.join(directory, "data")
    os.makedirs(data)
    paths = []
    try:
        for number in range(1, 5):
            paths.append(mount(data, number))
        with House(directory=directory, config=CONFIG) as house:
            s3, objects = house.s3(), set()
            s3.make_bucket("fill")
            s3.make_bucket("load")
            fill(house, objects)
            say(f"{len(objects)} MiB filled four drives")
            full = free(paths[0])
            for number in sorted(objects)[::3]:
                s3.delete("fill", f"{number}")
                objects.remove(number)
            for number in range(5, 9):
                paths.append(mount(data, number))
            refused(house, paths)
            wait_for("room", lambda: free(paths[0]) > full + 20 * MIB, 60)
            load = Load(house, clients=4, sizes=(100, 4096, 70000, 300000)).start()
            expand(house, paths)
            moved(house, objects)
            load.stop()
            check(not load.errors, "requests failed:", *load.errors[:3])
            maintained(house, objects)
            listed = drives(house)
            check([(d["set"], d["state"]) for d in listed] == [(n // 4, "online") for n in range(8)], listed)
            read_all(house, objects, "reads back different")
            say(f"{load.acknowledged} operations, {load.verify()} objects of the load and {len(objects)} others intact")
            house.drives = 8
            check(house.stop() == 0, "exit status")
            done = house.ctl("store", "check", check_status=False, timeout=300)
            check(done.returncode == 0, "store check:", done.stdout[-2000:], done.stderr)
            dump = house.ctl("store", "dump", "catalog").stdout
            check(len(re.findall("^set ", dump, re.M)) == 2, dump[:2000])
            house.start()
            for number in (2, 3, 5, 7):
                unmount(paths[number - 1])
            read_all(house, objects, "is lost without two drives of each set")
            load.verify()
    finally:
        for path in paths:
            unmount(path)
        shutil.rmtree(directory, ignore_errors=True)


run(scenario)
