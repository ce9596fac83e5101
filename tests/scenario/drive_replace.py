#!/usr/bin/python3
# One of four drives (2+2, each an ext4 loop image) is lost under load and a new, empty one takes its slot: the rebuild
# runs by itself, the load goes on, and when the drive is online again everything is read back without any two of the
# others: that proves the rebuild. Before that, a drive is unmounted and mounted again: it comes back by itself.
# Needs root and loop devices.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import subprocess
import time

from drive_loss import LARGE_MIB, make_drives, remove_drives
from house import House, Load, body_of, check, run, say, wait_for
from mounts import unmount

SIZES = (0, 1000, 40000, 65536, 65537, 200000, 3000000, 20000000)


def mount(image, path):
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, path], check=True)


def new_drive(base, path):
    image = os.path.join(base, "new.img")
    with open(image, "wb") as file:
        file.truncate((2 << 30) + 2 * (LARGE_MIB << 20))
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    mount(image, path)
    shutil.rmtree(os.path.join(path, "lost+found"), ignore_errors=True)
    shutil.chown(path, *owner_of(os.path.dirname(path), path))


def owner_of(base, path):
    """As the other drives."""
    other = next(os.path.join(base, n) for n in sorted(os.listdir(base))
                 if n.startswith("drive") and os.path.join(base, n) != path)
    status = os.stat(other)
    return status.st_uid, status.st_gid


def drives(house):
    return json.loads(house.ctl("drive", "list", "--json").stdout)


def state(house, slot):
    return drives(house)[slot]["state"]


def put_all(s3, prefix):
    for size in SIZES:
        s3.put("keep", f"{prefix}-{size}", body_of("keep", size, size))


def read_all(house, prefixes, what):
    s3 = house.s3()
    for prefix in prefixes:
        for size in SIZES:
            check(s3.get("keep", f"{prefix}-{size}") == body_of("keep", size, size), f"{prefix}-{size} {what}")


def comes_back(house, base, paths):
    check("one file system" not in house.ctl("drive", "list").stdout + house.log("store"), "each has its own")
    unmount(paths[0])
    wait_for("the drive to be missed", lambda: state(house, 0) == "offline", 10)
    put_all(house.s3(), "away")
    mount(os.path.join(base, "1.img"), paths[0])
    start = time.monotonic()
    wait_for("the drive to be online again", lambda: state(house, 0) == "online", 120)
    say(f"mounted again: up to date after {time.monotonic() - start:.1f} s")


def replaced(house, base, paths):
    unmount(paths[1])
    wait_for("the drive to be missed", lambda: state(house, 1) == "offline", 10)
    put_all(house.s3(), "lost")
    time.sleep(1)
    done = house.ctl("drive", "replace", "0", check_status=False)
    check(done.returncode != 0 and "in use" in done.stderr, done.stderr)
    new_drive(base, paths[1])
    start = time.monotonic()
    say(house.ctl("drive", "replace", "1").stdout.strip())
    put_all(house.s3(), "new")
    wait_for("the new drive to be online", lambda: state(house, 1) == "online", 180, 0.2)
    say(f"replaced: rebuilt after {time.monotonic() - start:.1f} s")
    done = house.ctl("drive", "retire", "1", check_status=False)
    check(done.returncode != 0 and "no spare slot" in done.stderr, done.stderr)


def scenario():
    base, paths = make_drives()
    try:
        with House(drive_paths=paths) as house:
            s3 = house.s3()
            s3.make_bucket("keep")
            s3.make_bucket("load")
            put_all(s3, "first")
            load = Load(house, clients=4).start()
            comes_back(house, base, paths)
            replaced(house, base, paths)
            load.stop()
            check(not load.errors, "requests failed:", *load.errors[:3])
            count = load.verify()
            prefixes = ("first", "away", "lost", "new")
            read_all(house, prefixes, "reads back different")
            for slot in (2, 3):
                unmount(paths[slot])
            wait_for("two others to be missed", lambda: [d["state"] for d in drives(house)].count("offline") == 2, 20)
            read_all(house, prefixes, "is lost without two drives that were never replaced")
            load.verify()
            say(f"{load.acknowledged} operations, {count} objects intact on what came back and what was rebuilt alone")
    finally:
        remove_drives(base, paths)


run(scenario)
