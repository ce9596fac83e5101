#!/usr/bin/python3
# Drives that are not what they should be: one missing, too many missing, one of another deployment, two
# swapped, a second store on the same drives. Each is told clearly; nothing is lost.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil

from house import House, check, run, say, wait_for
from mounts import tmpfs

BODIES = {"small": b"s" * 3000, "large": b"l" * 2000000}


def fill(house):
    s3 = house.s3()
    s3.make_bucket("drives")
    for key, body in BODIES.items():
        s3.put("drives", key, body)


def intact(house):
    s3 = house.s3()
    for key, body in BODIES.items():
        check(s3.get("drives", key) == body, f"{key} reads back different")


def hide(house, number):
    os.rename(house.drive(number), house.drive(number) + ".away")


def bring_back(house, number):
    shutil.rmtree(house.drive(number), ignore_errors=True)
    os.rename(house.drive(number) + ".away", house.drive(number))


def refused(house, *words):
    """The store does not come up, and its log says why with all of `words`."""
    house.start(wait=False)
    try:
        wait_for(f"the log to name {words}", lambda: all(w in house.log("store") for w in words), 20)
    finally:
        house.stop()


def missing(house):
    hide(house, 2)
    house.start()
    intact(house)
    house.s3().put("drives", "while-missing", b"w" * 500000)
    check("drive2" in house.status_text(), "status does not name the missing drive")
    check(house.s3().get("drives", "while-missing") == b"w" * 500000, "a degraded write reads back different")
    house.stop()
    bring_back(house, 2)
    house.start()
    intact(house)
    check(house.s3().get("drives", "while-missing") == b"w" * 500000, "... after the drive came back")
    house.stop()
    say("one drive missing: read, written, named; back again")


def shared(house):
    """All drives of a test are directories of one file system: warned about, and shown."""
    said = house.ctl("drive", "list").stdout
    check("slots 0 1 2 3 are on one file system" in said, said)
    rows = json.loads(house.ctl("drive", "list", "--json").stdout)
    check([row["shares_with"] for row in rows] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]], rows)
    check("the drives in slots 0 1 2 3 are on one file system" in house.log("store"), "not in the log")


def too_many_missing(house):
    for number in (1, 2, 3):
        hide(house, number)
    refused(house, "drive")
    for number in (1, 2, 3):
        bring_back(house, number)
    house.start()
    intact(house)
    house.stop()
    say("three of four missing: refused; nothing lost after their return")


def too_few_to_write(house):
    """Two of four at the start: read-only, until a mount brings the others back."""
    for number in (1, 2):
        hide(house, number)
    house.start()
    intact(house)
    check("read-only: too few drives" in house.status_text(), house.status_text())
    for number in (1, 2):
        bring_back(house, number)
    if os.geteuid() != 0:
        say("two of four missing: read-only (not run: the return by a mount, which needs root)")
        house.stop()
        return
    with tmpfs("size=1m"):
        wait_for("the store to write again", lambda: "read-only" not in house.status_text(), 30)
        house.s3().put("drives", "after-the-return", b"r" * 500000)
        intact(house)
        check(house.s3().get("drives", "after-the-return") == b"r" * 500000, "reads back different")
    house.stop()
    say("two of four missing: read-only, and written again by itself when they were back")


def foreign(house):
    with House() as other:
        fill(other)
        other.stop()
        hide(house, 3)
        shutil.copytree(other.drive(3), house.drive(3))
        refused(house, "drive3", "deployment")
        bring_back(house, 3)
    house.start()
    intact(house)
    house.stop()
    say("a drive of another deployment: refused, named")


def swapped(house):
    os.rename(house.drive(1), house.drive(1) + ".x")
    os.rename(house.drive(2), house.drive(1))
    os.rename(house.drive(1) + ".x", house.drive(2))
    refused(house, "drive1", "belongs in slot")
    os.rename(house.drive(1), house.drive(1) + ".x")
    os.rename(house.drive(2), house.drive(1))
    os.rename(house.drive(1) + ".x", house.drive(2))
    house.start()
    intact(house)
    say("two drives swapped: refused, slot named")


def scenario():
    with House() as house:
        fill(house)
        shared(house)
        check(house.stop() == 0, "exit status")
        missing(house)
        too_many_missing(house)
        too_few_to_write(house)
        foreign(house)
        swapped(house)
        other = House(drive_paths=[house.drive(n) for n in (1, 2, 3, 4)])
        try:
            other.start(wait=False)
            wait_for("the second store to be refused", lambda: "another process" in other.log("store") or
                     "locked" in other.log("store") or "held" in other.log("store"), 20)
            intact(house)
            say("a second store on the same drives: refused, the first unharmed")
        finally:
            other.clean()
        check(house.stop() == 0, "exit status")


run(scenario)
