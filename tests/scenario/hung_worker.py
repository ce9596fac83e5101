#!/usr/bin/python3
# A drive that hangs for the worker, and for nobody else: the task that meets it fails after worker.step_deadline and
# names the drive, and when the drive answers again the slot is free and the task is done when it is tried again. The drives are loop devices, and one is throttled to a byte a second for the worker
# (blkio control group), so it needs root and those.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os

from house import House, body_of, check, run, say, wait_for
from loops import LoopDrives

CONFIG = {"store.segment_bytes": "8MiB", "tasks.types": "drive_rebuild", "worker.step_deadline": "1s",
          "worker.heartbeat_interval": "300ms", "worker.max_concurrent": "2", "store.reclaim_grace": "200ms"}
KEYS = 100


def tasks(house, *words):
    return json.loads(house.ctl("tasks", *words, "--json").stdout)


def in_state(house, number, *states):
    return wait_for(f"task {number} to be {' or '.join(states)}", lambda: next(
        (t for t in tasks(house, "show", str(number))["tasks"] if t["state"] in states), None), 30)


def sealed(house, s3, prefix):
    """A segment that is half garbage, and the drives (from 1) that have it."""
    for n in range(KEYS):
        s3.put("hang", f"{prefix}{n}", body_of(n, 30000, 30000))
    segment = int(house.ctl("store", "seal").stdout.split()[1], 16)
    for n in range(0, KEYS, 2):
        s3.delete("hang", f"{prefix}{n}")
    return segment, [n for n in range(1, 5) if os.path.exists(os.path.join(house.drive(n), "log", f"{segment:016x}.seg"))]


def submit(house, kind, segment):
    return int(tasks(house, "submit", kind, str(segment))["id"])


def scenario():
    drives = LoopDrives(4, 256)
    try:
        with House(drive_paths=drives.paths, config=CONFIG) as house:
            s3 = house.s3()
            s3.make_bucket("hang")
            segment, mirrors = sealed(house, s3, "a")
            drives.forget()
            drives.take([house.pid("worker")])
            drives.rate(mirrors[0], 1)
            task = submit(house, "vacuum", segment)
            row = in_state(house, task, "failed")
            check(house.drive(mirrors[0]) in row["error"] and "did not answer" in row["error"], "show says", row)
            say("given up:", row["error"])
            worker = wait_for("its slot to be counted", lambda: next(
                (w for w in tasks(house, "workers")["workers"] if w["current_load"] == 1), None), 20)
            check(worker["status"] == "active", worker)
            drives.rate(mirrors[0], 0)
            wait_for("its slot to be free", lambda: all(
                w["current_load"] == 0 for w in tasks(house, "workers")["workers"]), 60)
            house.ctl("tasks", "retry", str(task))
            in_state(house, task, "completed")
            for n in range(1, KEYS, 2):
                check(s3.get("hang", f"a{n}") == body_of(n, 30000, 30000), f"a{n} reads back different")
            say("the drive answers again: the slot is free, and the task is done")
            check(house.stop() == 0, "exit status")
    finally:
        drives.close()


run(scenario)
