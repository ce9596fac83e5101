#!/usr/bin/python3
# Drives go away one by one under a store that must be able to lose one more (store.min_write_redundancy = 1 with
# 2+2): with three of four, writes go on and are counted as degraded; with two they are refused at once, with the
# reason, and everything is still read; when the drives are back and rebuilt, writes are whole again.
#
# SPDX-License-Identifier: Apache-2.0
import os
import time

from house import House, S3Error, body_of, check, run, say, wait_for

SMALL, LARGE = 3000, 700000


def hide(house, number, hidden=True):
    path = house.drive(number)
    os.rename(path if hidden else path + ".away", path + ".away" if hidden else path)


def put(s3, name):
    for size in (SMALL, LARGE):
        s3.put("kept", f"{name}-{size}", body_of(name, 1, size))


def intact(s3, *names):
    for name in names:
        for size in (SMALL, LARGE):
            check(s3.get("kept", f"{name}-{size}") == body_of(name, 1, size), f"{name}-{size} reads back different")


def degraded(house):
    return house.metrics("store").get("store_degraded_writes_total", 0)


def online(house):
    return sum(line.split()[2] == "online" for line in house.ctl("drive", "list").stdout.splitlines()
               if line.split()[0].isdigit())


def refused(s3, name):
    begin = time.monotonic()
    for size in (SMALL, LARGE):
        try:
            s3.put("kept", f"{name}-{size}", body_of(name, 1, size))
        except S3Error as error:
            check(error.status in (503, 507), f"{name}-{size}:", error)
        else:
            check(False, f"{name}-{size} was taken with too few drives")
    return time.monotonic() - begin


def scenario():
    with House(config={"store.min_write_redundancy": "1", "store.erasure": "2+2"}) as house:
        s3 = house.s3()
        s3.make_bucket("kept")
        put(s3, "whole")
        check(degraded(house) == 0, degraded(house))
        hide(house, 4)
        wait_for("the drive to be missed", lambda: put(s3, "three") or online(house) == 3, 30)
        for n in range(4):
            put(s3, f"three{n}")
        check(degraded(house) >= 4, "bodies with three of four shards:", degraded(house))
        hide(house, 3)
        wait_for("the second to be missed", lambda: s3.get("kept", f"whole-{LARGE}") and online(house) <= 2 or
                 "read-only" in house.status_text(), 30)
        seconds = refused(s3, "two")
        intact(s3, "whole", "three", *(f"three{n}" for n in range(4)))
        text = house.status_text()
        check("read-only" in text or "drives are online; writing needs 3" in text, "the status does not say why:", text)
        say(f"two of four: refused after {seconds:.1f} s for two puts, everything is read")
        hide(house, 3, False)
        hide(house, 4, False)
        house.ctl("restart", "store")
        wait_for("all drives to be online again", lambda: online(house) == 4, 60)
        s3 = house.s3()
        put(s3, "again")
        intact(s3, "whole", "three", "again", *(f"three{n}" for n in range(4)))
        check(degraded(house) == 0, "all four are there:", degraded(house))


run(scenario)
