#!/usr/bin/python3
# What an operator says of maintenance is so: a held segment is left alone until it is released, also over a restart of
# the store; a conversion that was cancelled at work leaves no files, and the next one on the segment is not in its way;
# a cleanup task for a drive that is away is retried and written off, though no worker does such tasks.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os

from house import House, body_of, check, run, say, wait_for

CONFIG = {"store.segment_bytes": "4MiB", "tasks.types": "vacuum", "tasks.scan_interval": "1h",
          "tasks.vacuum_again": "500ms", "tasks.merge_window": "0s", "worker.heartbeat_interval": "200ms",
          "worker.io_bytes_per_second": "4MiB", "store.reclaim_grace": "200ms"}
KEYS, BIG = 300, 4


def tasks(house, *words):
    return json.loads(house.ctl("tasks", *words, "--json").stdout)


def task_of(house, number):
    return tasks(house, "show", str(number))["tasks"][0]


def submit(house, kind, segment):
    return int(tasks(house, "submit", kind, str(segment))["id"])


def in_state(house, number, *states):
    return wait_for(f"task {number} to be {' or '.join(states)}",
                    lambda: next((t for t in [task_of(house, number)] if t["state"] in states), None), 60)


def unfinished(house, segment):
    return [name for n in range(1, house.drives + 1) for name in os.listdir(os.path.join(house.drive(n), "log"))
            if name.startswith(f"{segment:016x}.") and name.endswith(".new")]


def held(house, segment):
    said = house.ctl("tasks", "hold", str(segment)).stdout
    check(f"segment {segment:016x} is held" in said, said)
    task = submit(house, "vacuum", segment)
    wait_for("the reason", lambda: "held by an operator" in house.ctl("tasks", "list").stdout, 20)
    house.ctl("restart", "store")
    check("held by an operator" in wait_for("the task again", lambda: task_of(house, task).get("waits"), 30), "why else?")
    for words, part in ((("hold", "999999"), "no segment"), (("hold", "x"), "no number"), (("release",), "usage"),
                        (("hold", "1234567890123456"), "no segment 1234567890123456"),
                        (("hold", "12345678901234567"), "16 hexadecimal digits"),
                        (("hold", "000000000000001X"), "16 hexadecimal digits")):
        refused = house.ctl("tasks", *words, check_status=False)
        check(refused.returncode != 0 and part in refused.stderr, words, "was answered", refused.stdout, refused.stderr)
    house.ctl("tasks", "release", f"{segment:016x}")
    in_state(house, task, "completed")
    say(f"segment {segment}: left alone while it was held, over a restart of the store, vacuumed after that")


def just_sealed(house, s3):
    """Nobody looked since the segment was made: it is looked for when it is asked for."""
    said = house.ctl("store", "seal").stdout.split()
    sealed = int(said[1], 16)
    check(said[1] == f"{sealed:016x}", said)
    wait_for("it to be sealed", lambda: house.ctl("tasks", "submit", "erasure_coding", str(sealed),
                                                  check_status=False).returncode == 0, 20)
    s3.put("kept", "after", b"x")
    refused = house.ctl("tasks", "submit", "vacuum", str(sealed + 1), check_status=False)
    check(refused.returncode == 1 and f"segment {sealed + 1:016x} is open" in refused.stderr, refused.stdout, refused.stderr)
    say(f"segment {sealed}: sealed and submitted at once; the open one is refused")


def cancelled(house, segment):
    task = submit(house, "erasure_coding", segment)
    wait_for("shards to be written", lambda: unfinished(house, segment), 20)
    house.ctl("tasks", "cancel", str(task), "--reason", "enough")
    check(in_state(house, task, "cancelled")["error"] == "enough", "show says", task_of(house, task))
    wait_for("its files to go", lambda: not unfinished(house, segment), 10)
    row = in_state(house, submit(house, "erasure_coding", segment), "completed", "failed", "dead_letter")
    check(row["state"] == "completed", "the next conversion", row)
    say(f"segment {segment}: a cancelled conversion left no files; the next one went through at once")


def written_off(house, s3):
    drive = house.drive(4)
    os.rename(drive, drive + ".away")
    try:
        wait_for("the drive to be missed", lambda: "offline" in house.ctl("drive", "list").stdout, 20)
        for n in range(BIG):
            s3.delete("kept", f"big{n}")
        task = wait_for("a cleanup to be filed", lambda: next(
            (t for t in tasks(house, "list")["tasks"] if t["type"] == "cleanup"), None), 30)["id"]
        house.ctl("tasks", "retry", str(int(task)))
        check(in_state(house, int(task), "pending", "failed")["reason"] == "drive_away", task_of(house, int(task)))
        house.ctl("tasks", "cancel", str(int(task)), "--reason", "the drive will not come back")
        check(task_of(house, int(task))["error"] == "the drive will not come back", task_of(house, int(task)))
        again = house.ctl("tasks", "cancel", str(int(task)), check_status=False)
        check(again.returncode == 1 and "waits or runs" in again.stderr, again.stderr)
        say("a cleanup for a drive that is away: retried, and written off")
    finally:
        os.rename(drive + ".away", drive)


def scenario():
    with House(config=CONFIG) as house:
        s3 = house.s3()
        s3.make_bucket("kept")
        for n in range(KEYS):
            s3.put("kept", f"k{n}", body_of("k", n, 30000))
        for n in range(BIG):
            s3.put("kept", f"big{n}", body_of("big", n, 1500000))
        held(house, 1)
        cancelled(house, 2)
        just_sealed(house, s3)
        written_off(house, s3)
        for n in range(KEYS):
            check(s3.get("kept", f"k{n}") == body_of("k", n, 30000), f"k{n} reads back different")


run(scenario)
