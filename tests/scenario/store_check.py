#!/usr/bin/env python3
# store_check - `holdfastctl store check' on a real store: clean after kills of the store under puts of all
# sizes, overwrites, deletes and multipart uploads; `stat' is refused while the store runs; then a bit is flipped in
# a segment and in a volume, and the check names drive, file, offset and object, and GET is right.
#
#   store_check.py [SEED]
#
# SPDX-License-Identifier: Apache-2.0
import os
import random
import re
import signal
import sys
import time

from house import House, S3Error, body_of, check, flip, run, say, wait_for, where

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
MIB = 1 << 20
CONFIG = {"store.segment_bytes": "4MiB", "store.volume_bytes": "16MiB", "store.index_flush_bytes": "1MiB",
          "store.reclaim_grace": "1s"}
SIZES = (0, 1, 100, 4096, 30000, 65536, 65537, 200000, 700000, 2000000)
CLEAN, LOST, USAGE, DEGRADED = 0, 1, 2, 4


def multipart(s3, key, body):
    _, answer = s3.ok("POST", f"/bin/{key}", query={"uploads": ""})
    upload = re.search(rb"<UploadId>([^<]*)", answer).group(1).decode()
    parts = ""
    for number, at in enumerate(range(0, len(body), 5 * MIB), 1):
        headers, _ = s3.ok("PUT", f"/bin/{key}", body=body[at:at + 5 * MIB],
                           query={"partNumber": str(number), "uploadId": upload})
        parts += f"<Part><PartNumber>{number}</PartNumber><ETag>{headers['etag']}</ETag></Part>"
    _, answer = s3.ok("POST", f"/bin/{key}", query={"uploadId": upload},
                      body=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())
    if b"<Error>" in answer:
        raise S3Error(200, answer, {})


def some_puts(house, rng, objects, number):
    s3 = house.s3()
    for n in range(30):
        key, size = f"r{rng.randrange(3)}/{n}", rng.choice(SIZES)
        version = objects.get(key, (0, 0))[0] + 1
        s3.put("bin", key, body_of(key, version, size))
        objects[key] = (version, size)
    for key in rng.sample(sorted(objects), min(6, len(objects))):
        s3.delete("bin", key)
        del objects[key]
    key, size = f"multipart-{number}", 5 * MIB + 70000
    multipart(s3, key, body_of(key, 1, size))
    objects[key] = (1, size)


def verify(house, objects):
    s3 = house.s3()
    for key, (version, size) in objects.items():
        check(s3.get("bin", key) == body_of(key, version, size), key, "has wrong bytes")


def store_check(house, expected):
    began = time.monotonic()
    done = house.ctl("store", "check", check_status=False, timeout=300)
    say(f"check ended with {done.returncode} after {time.monotonic() - began:.2f} s:",
        done.stdout.strip().splitlines()[-1:] or done.stderr)
    check(done.returncode == expected, f"check ended with {done.returncode}, not {expected}:\n", done.stdout,
          done.stderr)
    return done.stdout


def flip_and_check(house, objects, key, kind):
    drive, path, at = where(house, "bin", key)[0]
    flip(path, at + 11)
    lines = [line for line in store_check(house, DEGRADED).splitlines() if line.startswith("degraded")]
    found = [line for line in lines if f" drive {drive} {path} at " in line and f"(object bin/{key})" in line]
    check(len(found) == 1 and found[0].startswith(f"degraded  {kind}"), "not named:", *lines)
    say(found[0])
    house.start()
    verify(house, objects)
    house.stop()
    flip(path, at + 11)


def seal(house, objects):
    """What is put after `store seal' lies in another segment."""
    s3 = house.s3()
    for key in ("sealed-before", "sealed-after"):
        s3.put("bin", key, body_of(key, 1, 4096))
        objects[key] = (1, 4096)
        if key == "sealed-before":
            said = house.ctl("store", "seal").stdout
            match = re.match(r"segment ([0-9a-f]{16}) takes no more", said)
            check(match, "store seal says", said)
            segment = match.group(1)
            wait_for("the next segment", lambda: segment not in house.ctl("store", "seal").stdout)
    return segment


def scenario():
    rng = random.Random(SEED)
    with House(config=CONFIG) as house:
        house.s3().make_bucket("bin")
        objects = {}
        for number in range(4):
            some_puts(house, rng, objects, number)
            if number < 3:
                generation = house.services("store")[0]["generation"]
                os.kill(house.pid("store"), signal.SIGKILL)
                wait_for("the store to be back", lambda g=generation:
                         house.services("store")[0]["generation"] > g and
                         all(r["state"] == "running" for r in house.status()), 60)
        done = house.ctl("store", "stat", check_status=False)
        check(done.returncode == USAGE and "holdfast-store" in done.stderr, "a running store was looked at:",
              done.returncode, done.stdout, done.stderr)
        segment = seal(house, objects)
        house.kill()        # nothing is sealed, nothing is flushed
        wait_for("the store to end", lambda: "is locked" not in
                 house.ctl("store", "stat", check_status=False).stderr, 30)
        store_check(house, CLEAN)
        house.start()
        verify(house, objects)
        check(house.stop() == 0, "holdfastd did not stop well")
        text = store_check(house, CLEAN)
        for key, there in ("sealed-before", True), ("sealed-after", False):
            check((segment in where(house, "bin", key)[0][1]) == there, f"{key} and segment {segment}:", where(house, "bin", key))
        check(re.search(rf"^objects +{len(objects)}$", text, re.M), f"{len(objects)} objects expected\n", text)
        check(house.ctl("store", "dump", "index").stdout == house.ctl("store", "dump", "index").stdout,
              "two dumps of one index differ")
        stat = house.ctl("store", "stat").stdout
        check(re.search(r"^overhead factor +\d", stat, re.M), stat)
        flip_and_check(house, objects, next(k for k, v in objects.items() if 1000 < v[1] < 60000), "record")
        flip_and_check(house, objects, next(k for k, v in objects.items() if v[1] > 300000), "unit")
        flip_and_check(house, objects, "multipart-3", "unit")
        store_check(house, CLEAN)


run(scenario)
