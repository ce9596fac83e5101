#!/usr/bin/python3
# What the tasks of a worker may take is enforced while they run: CPU is slept off, and a task that has more memory
# than its worker may take fails with the reason and is tried again later, while the worker lives. holdfastctl shows
# what is taken and what may be.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import time

from house import House, body_of, check, cpu_seconds, run, say, wait_for

CONFIG = {"store.segment_bytes": "8MiB", "tasks.types": "drive_rebuild", "worker.heartbeat_interval": "200ms",
          "worker.share_percent": "100", "store.reclaim_grace": "200ms"}
KEYS = 200


def tasks(house, *words):
    return json.loads(house.ctl("tasks", *words, "--json").stdout)


def limit(house, **limits):
    """The [worker] section, while workers run."""
    path = os.path.join(house.data, "holdfast.conf")
    with open(path) as file:
        text = file.read().split("\n[worker]\n")[0]
    with open(path, "w") as file:
        file.write(text + "\n[worker]\n" + "".join(f"{key} = {value}\n" for key, value in limits.items()))
    house.ctl("reload", "worker")


def worker(house):
    return next(w for w in tasks(house, "workers")["workers"] if w["id"] == "worker.0")


def shows(house, pattern):
    return wait_for(f"holdfastctl to show {pattern}", lambda: re.search(pattern, house.ctl("tasks", "workers").stdout))


def sealed(house, s3, prefix):
    for n in range(KEYS):
        s3.put("limits", f"{prefix}{n}", body_of(n, 30000, 30000))
    segment = int(house.ctl("store", "seal").stdout.split()[1], 16)
    for n in range(0, KEYS, 2):
        s3.delete("limits", f"{prefix}{n}")
    return segment


def submit(house, kind, segment):
    return int(tasks(house, "submit", kind, str(segment))["id"])


def shown(house, task):
    return tasks(house, "show", str(task))["tasks"][0]


def in_state(house, task, *states):
    return wait_for(f"task {task} to be {' or '.join(states)}",
                    lambda: next((t for t in [shown(house, task)] if t["state"] in states), None))


def cpu_is_slept_off(house, segment):
    limit(house, io_bytes_per_second=0, max_cpu_percent=1)
    shows(house, r"CPU \d+ of 1 %")
    pid, began, before = house.pid("worker"), time.monotonic(), cpu_seconds(house.pid("worker"))
    task = submit(house, "erasure_coding", segment)
    most = 0
    while shown(house, task)["state"] != "completed":
        most = max(most, worker(house)["resource_use"]["cpu_percent"])
        check(time.monotonic() - began < 300, "the conversion does not end")
        time.sleep(0.05)
    used, elapsed = cpu_seconds(pid) - before, time.monotonic() - began
    say(f"a conversion used {used:.3f} s of CPU in {elapsed:.1f} s: {100 * used / elapsed:.1f} %, shown {most:.0f} %")
    # What the last steps take is not paid for before the end.
    check(used <= 0.025 * elapsed + 0.01, "more CPU than worker.max_cpu_percent = 1")
    check(used >= 0.002 and elapsed >= 0.5, "there was nothing to be slept off")


def memory_fails_the_task(house, segment):
    pid = house.pid("worker")
    limit(house, io_bytes_per_second="64KiB")
    task = submit(house, "vacuum", segment)
    wait_for("progress", lambda: shown(house, task).get("progress", 0) > 0)
    wait_for("its memory to be shown", lambda: worker(house)["resource_use"]["memory_bytes"] > 1 << 20)
    limit(house, io_bytes_per_second="64KiB", max_memory_mb=1)
    said = house.ctl("tasks", "show", str(task)).stdout
    check(re.search(r"\nsource_bytes +\d{7}\n", said) and re.search(r"\nlive_bytes +\d{7}\n", said), said)
    row = in_state(house, task, "failed")
    check("and worker.max_memory_mb is 1" in row["error"] and row["attempts"] == 1 and row["not_before"],
          "show says", row)
    say("over its memory:", row["error"])
    shows(house, r"memory \d+\.\d of 1 MiB")
    house.ctl("tasks", "retry", str(task))
    wait_for("the reason", lambda: shown(house, task).get("waits") ==
             "it needs more than max_memory_mb of the workers allows")
    limit(house, io_bytes_per_second=0, max_memory_mb=16)
    in_state(house, task, "completed")
    check(house.pid("worker") == pid, "the worker was started anew")


def scenario():
    with House(drives=4, config=CONFIG) as house:
        s3 = house.s3()
        s3.make_bucket("limits")
        segments = [sealed(house, s3, prefix) for prefix in "ab"]
        cpu_is_slept_off(house, segments[0])
        memory_fails_the_task(house, segments[1])
        for prefix in "ab":
            for n in range(1, KEYS, 2):
                check(s3.get("limits", f"{prefix}{n}") == body_of(n, 30000, 30000), f"{prefix}{n} reads back different")
        resources = json.loads(house.ctl("services", "worker").stdout)[0]["contract"]["status"]["resources"]
        check(resources["memory_bytes"]["max"] == 16 << 20 and resources["cpu_percent"]["max"] == 0, resources)
        check(house.stop() == 0, "exit status")


run(scenario)
