#!/usr/bin/env python3
# random_kills - kill -9 of store, s3 and holdfastd at random instants under puts, overwrites, deletes,
# copies and multipart uploads of all sizes, with segments, flushes and graces made small so that every
# piece of the store is at work when it dies. Then: everything acknowledged reads back identical, nothing
# else is there, a rebuilt index says the same, and space of what was deleted and aborted comes back.
#
#   random_kills.py [SEED [SECONDS]]      a failing seed gives the same load again, and about the same kills
#
# SPDX-License-Identifier: Apache-2.0
import os
import random
import re
import shutil
import signal
import sys
import time

from house import House, check, proof, run, say, wait_for
from mixed import CONFIG, MIB, Mixed

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 25
# A store that is killed in one start after another is back before its clients, who wait 30 s, give up.
QUICK = {"supervisor.healthy_after": "0s", "supervisor.backoff_max": "1s"}


def kills(house, rng, until):
    count = {}
    while time.monotonic() < until:
        time.sleep(rng.choice((0.05, 0.3, 1.0, 2.0)) * rng.random() * 2)
        what = rng.choice(("store", "store", "store", "s3", "s3", "holdfastd" if rng.random() < 0.3 else "store"))
        if what == "holdfastd":
            house.kill()
            house.start()   # at once: what is left of the old one has the locks and the ports for a moment
        else:
            rows = [r for r in house.services(what) if r.get("pid")]
            if not rows:
                continue
            try:
                os.kill(rng.choice(rows)["pid"], signal.SIGKILL)
            except ProcessLookupError:
                continue
        count[what] = count.get(what, 0) + 1
    return count


def used(house):
    """Bytes that the drives hold in volumes, and in quarantine."""
    sums = {}
    for part in ("vol", "quarantine", "log"):
        sums[part] = 0
        for drive in range(1, house.drives + 1):
            directory = os.path.join(house.drive(drive), part)
            for name in os.listdir(directory):
                try:
                    sums[part] += os.stat(os.path.join(directory, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
    return sums


def emptied(house, load):
    """After everything is deleted and every upload aborted nothing stays in volumes."""
    s3 = house.s3()
    _, answer = s3.ok("GET", f"/{load.bucket}", query={"uploads": ""})
    uploads = re.findall(rb"<Upload>.*?<Key>([^<]*)</Key>.*?<UploadId>([^<]*)</UploadId>", answer, re.S)
    for key, upload in uploads:
        s3.ok("DELETE", f"/{load.bucket}/{key.decode()}", query={"uploadId": upload.decode()})
    for key, _, _ in s3.keys(load.bucket):
        s3.delete(load.bucket, key)
    house.restart()     # the holders of volumes end
    left = {}

    def gone():
        left.update(used(house))
        return left["vol"] < 1 * MIB
    try:
        wait_for("space to come back", gone, 30, every=0.5)
    finally:
        say("left on the drives:", left)
    check(left["quarantine"] < 4 * MIB, "quarantine holds", left["quarantine"], "bytes after kills alone")


def scenario():
    rng = random.Random(SEED)
    with House(config={**CONFIG, **QUICK}) as house:
        house.s3().make_bucket("load")
        load = Mixed(house, SEED, clients=8).start()
        count = kills(house, rng, time.monotonic() + SECONDS)
        wait_for("all services", lambda: all(r["state"] == "running" for r in house.status()), 60)
        load.stop()
        check(not load.errors, f"{len(load.errors)} errors:", *load.errors[:5])
        check(not load.mismatches, f"{len(load.mismatches)} mismatches:", *load.mismatches[:5])
        there = load.verify()
        proof("kills of processes", sum(count.values()), f"random, under mixed load: {count}")
        say(f"seed {SEED}: killed {count}; {load.acknowledged} requests acknowledged, {load.broken} broken, "
            f"{there} objects there")
        house.stop()
        shutil.rmtree(os.path.join(house.data, "index"))
        house.start()
        check(load.verify() == there, "the rebuilt index says something else")
        emptied(house, load)
        crashes = [line for line in house.log("store").splitlines() if "ssert" in line]
        check(not crashes, crashes[:3])


run(scenario)
