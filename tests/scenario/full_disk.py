#!/usr/bin/python3
# Full drives: a put is refused with 507, get, list and delete work, puts work again after deletes, and nothing
# that was acknowledged is lost. Four small filesystems of their own (tmpfs), so it needs root.
#
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import tempfile
import shutil
import time

from house import House, S3Error, body_of, check, run, say, skip, wait_for

MIB = 1 << 20


def mount_drives(count, megabytes):
    base = tempfile.mkdtemp(prefix="holdfast-drives-")
    paths = []
    for n in range(1, count + 1):
        path = os.path.join(base, f"drive{n}")
        os.mkdir(path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "holdfast", path], capture_output=True)
        if done.returncode != 0:
            unmount(base, paths)
            skip("cannot mount a tmpfs here (not root?)")
        paths.append(path)
    return base, paths


def unmount(base, paths):
    for path in paths:
        subprocess.run(["umount", "-l", path], capture_output=True)
    shutil.rmtree(base, ignore_errors=True)


def fill_until_refused(s3, size):
    stored = []
    for n in range(10000):
        try:
            s3.put("full", f"{size}/{n}", body_of(n, size, size))
            stored.append(n)
        except S3Error as error:
            check(error.status == 507, f"a put into a full store was answered {error}")
            return stored
    raise AssertionError("the store never became full")


def intact(s3, size, stored):
    for n in stored:
        check(s3.get("full", f"{size}/{n}") == body_of(n, size, size), f"{size}/{n} reads back different")
    check(len(s3.keys("full", f"{size}/")) == len(stored), "the listing differs")


def scenario():
    base, paths = mount_drives(4, 512)
    try:
        with House(drive_paths=paths, config={"store.reclaim_grace": "1s"}) as house:
            s3 = house.s3()
            s3.make_bucket("full")
            stored = fill_until_refused(s3, 4 * MIB)
            say(f"full after {len(stored)} objects of 4 MiB: 507")
            intact(s3, 4 * MIB, stored)
            small = fill_until_refused(s3, 60000)
            say(f"... and {len(small)} of 60 kB")
            intact(s3, 60000, small)
            house.restart()
            s3 = house.s3()
            intact(s3, 4 * MIB, stored)
            for n in stored[::2]:
                s3.delete("full", f"{4 * MIB}/{n}")
            rest = stored[1::2]
            intact(s3, 4 * MIB, rest)

            def put_again():
                try:
                    s3.put("full", "again", b"a" * (4 * MIB))
                    return True
                except S3Error as error:
                    check(error.status == 507, error)
                    return False
            wait_for("puts to work again after the deletes", put_again, 30, 0.5)
            intact(s3, 4 * MIB, rest)
            intact(s3, 60000, small)
            check(s3.get("full", "again") == b"a" * (4 * MIB), "the new object reads back different")
            check(house.stop() == 0, "exit status")
            say("deletes made room; nothing acknowledged was lost")
    finally:
        unmount(base, paths)


run(scenario)
