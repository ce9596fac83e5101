#!/usr/bin/python3
# Idle means idle: with 10,000 objects stored and nothing to do, the whole tree uses under 0.2 % of a core
# over IDLE_SECONDS (60) and writes nothing to the drives. Of its own processes only, and with a mount table of its
# own (a change of it wakes the store, which looks at its drives), so it may run beside others.
#
# SPDX-License-Identifier: Apache-2.0
import os
import threading
import time

from house import House, check, cpu_seconds, run, say
from mounts import own_table

SECONDS = int(os.environ.get("IDLE_SECONDS", "60"))
OBJECTS = 10000


def usage(pids):
    written = 0
    for pid in pids:
        with open(f"/proc/{pid}/io") as file:
            written += int(dict(line.split(": ") for line in file.read().splitlines())["write_bytes"])
    return sum(map(cpu_seconds, pids)), written


def fill(house, number):
    s3 = house.s3()
    for n in range(number, OBJECTS, 8):
        s3.put("idle", f"{n % 100}/{n}", b"x" * 512)


def scenario():
    if not own_table():
        say("no mount table of its own: what others mount counts")
    with House() as house:
        house.s3().make_bucket("idle")
        threads = [threading.Thread(target=fill, args=(house, n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pids = house.pids() + [house.process.pid]
        time.sleep(20)  # reclaim, flushes and timers of the load end
        before = usage(pids)
        time.sleep(SECONDS)
        after = usage(pids)
        cpu = (after[0] - before[0]) / SECONDS * 100
        say(f"{OBJECTS} objects, {SECONDS} s idle: {cpu:.3f} % of a core, {after[1] - before[1]} bytes written")
        check(cpu < 0.2, f"{cpu:.3f} % of a core")
        check(after[1] == before[1], f"{after[1] - before[1]} bytes written while idle")


run(scenario)
