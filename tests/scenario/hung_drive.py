#!/usr/bin/python3
# A drive that hangs for the S3 processes: gets go on without it after s3.read_deadline, puts after s3.write_deadline,
# and neither waits again while it hangs. The store, which it does not hang for, has nothing to do with it. The drives
# are loop devices, and one is throttled to a byte a second (blkio control group), so it needs root and those.
#
# SPDX-License-Identifier: Apache-2.0
import time

from house import PATIENCE, House, body_of, check, run, say, wait_for
from loops import MIB, LoopDrives

SIZES = (3000, 200000, 3 * MIB)


def gets(house, count):
    """The longest of many gets, in seconds."""
    s3, longest = house.s3(), 0
    for n in range(count):
        for size in SIZES:
            began = time.monotonic()
            check(s3.get("hang", f"{size}/{n}") == body_of(n, size, size), f"{size}/{n} reads back different")
            longest = max(longest, time.monotonic() - began)
    return longest


def puts(house, drives):
    s3 = house.s3()
    drives.rate(1, 1, "write_bps")
    times = []
    for n in range(3):
        began = time.monotonic()
        s3.put("hang", f"put{n}", body_of(n, 1, 3 * MIB))
        times.append(time.monotonic() - began)
    say("it hangs for writes: puts take", " ".join(f"{t:.2f}" for t in times), "s")
    check(max(times) > 1.5, "the drive did not hang for it: the scenario shows nothing")
    check(max(times) < 12 * PATIENCE, "a put waited for the drive")
    for n in range(3):
        check(s3.get("hang", f"put{n}") == body_of(n, 1, 3 * MIB), f"put{n} reads back different")
    drives.rate(1, 0, "write_bps")


def scenario():
    drives = LoopDrives(4, 256)
    try:
        with House(drive_paths=drives.paths, config={"s3.read_deadline": "1s", "s3.write_deadline": "2s"}) as house:
            s3 = house.s3()
            s3.make_bucket("hang")
            for n in range(8):
                for size in SIZES:
                    s3.put("hang", f"{size}/{n}", body_of(n, size, size))
            drives.forget()
            say(f"cold, all well: a get takes at most {gets(house, 8):.2f} s")
            drives.forget()
            drives.take([row["pid"] for row in house.services("s3")])
            drives.rate(1, 1)
            longest = gets(house, 8)
            say(f"one drive hangs: a get takes at most {longest:.2f} s")
            check(longest > 0.5, "the drive did not hang for it: the scenario shows nothing")
            check(longest < 10 * PATIENCE, "a get waited for the drive")
            drives.forget()
            again = gets(house, 8)
            say(f"... and when that is known {again:.2f} s")
            rows = [d for d in house.status() if d["service"] == "store"]
            check(rows[0]["state"] in ("running", "degraded"), rows)
            drives.rate(1, 0)
            wait_for("the reads to come back", lambda: gets(house, 8) < 2 * PATIENCE, 30, 0.5)
            puts(house, drives)
            check(house.stop() == 0, "exit status")
    finally:
        drives.close()


run(scenario)
