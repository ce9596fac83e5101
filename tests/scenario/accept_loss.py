#!/usr/bin/python3
# Two drives (1+1). One is gone at a start: the store reads only, and says so, until an operator gives the drive up. The
# lost drive comes back: it is refused and named. Emptied, it takes its slot again, is rebuilt, and everything is read
# from it alone.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil

from house import House, body_of, check, run, say, wait_for

SIZES = (10, 5000, 300000, 2000000)


def drives(house):
    return json.loads(house.ctl("drive", "list", "--json").stdout)


def put_all(house, prefix):
    s3 = house.s3()
    for size in SIZES:
        s3.put("keep", f"{prefix}-{size}", body_of("keep", size, size))


def read_all(house, *prefixes):
    s3 = house.s3()
    for prefix in prefixes:
        for size in SIZES:
            check(s3.get("keep", f"{prefix}-{size}") == body_of("keep", size, size), f"{prefix}-{size} is different")


def away(house, number):
    os.rename(house.drive(number), house.drive(number) + ".away")


def back(house, number):
    os.rename(house.drive(number) + ".away", house.drive(number))


def scenario():
    with House(drives=2) as house:
        house.s3().make_bucket("keep")
        put_all(house, "first")
        house.stop()
        away(house, 2)
        house.start()
        read_all(house, "first")
        status, _, _ = house.s3().request("PUT", "/keep/refused", body=b"x")
        check(status == 503 or status == 507 or status == 500, f"a read-only set took a put with {status}")
        done = house.ctl("drive", "replace", "1", check_status=False)
        check(done.returncode != 0 and "accept-loss" in done.stderr, done.stderr)
        done = house.ctl("drive", "accept-loss", "0", check_status=False)
        check(done.returncode != 0 and "is there" in done.stderr, done.stderr)
        say(house.ctl("drive", "accept-loss", "1").stdout.strip())
        house.ready()
        put_all(house, "alone")
        house.stop()
        back(house, 2)
        house.start()
        lost = drives(house)[1]
        check(lost["state"] == "lost" and "given up" in lost["note"], lost)
        done = house.ctl("drive", "replace", "1", check_status=False)
        check(done.returncode != 0 and "given up" in done.stderr, done.stderr)
        for name in os.listdir(house.drive(2)):
            path = os.path.join(house.drive(2), name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        say(house.ctl("drive", "replace", "1").stdout.strip())
        put_all(house, "again")
        wait_for("the drive to be online", lambda: drives(house)[1]["state"] == "online", 120, 0.2)
        house.stop()
        away(house, 1)
        house.start()
        read_all(house, "first", "alone", "again")
        say("everything is on the drive that was rebuilt")
        house.stop()
        back(house, 1)
        house.start()


run(scenario)
