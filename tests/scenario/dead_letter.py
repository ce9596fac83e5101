#!/usr/bin/python3
# A task whose attempts are used up is a dead letter: the status says so until somebody sees to it, the list says what
# went wrong, what it had begun is gone from the drives; tried again when the reason is gone, it is done.
# So it is with a cleanup, which the store does by itself.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os

from house import House, body_of, check, run, say, wait_for

CONFIG = {"store.segment_bytes": "4MiB", "tasks.types": "", "tasks.attempts_max": "1",
          "tasks.merge_window": "0s", "worker.heartbeat_interval": "200ms"}
KEYS = 150


def task_of(house, number):
    return json.loads(house.ctl("tasks", "show", number, "--json").stdout)["tasks"][0]


def state_of(house, name):
    return house.services(name)[0]["state"]


def settings(house, run_timeout, rate):
    """In the file, under the running services."""
    path = os.path.join(house.data, "holdfast.conf")
    with open(path) as file:
        text = file.read().split("\n[tasks]\n")[0]
    with open(path, "w") as file:
        file.write(f"{text}\n[tasks]\nrun_timeout = {run_timeout}\n[worker]\nio_bytes_per_second = {rate}\n")
    house.ctl("reload", "tasks")
    house.ctl("reload", "worker")


def unfinished(house):
    return [name for n in range(1, house.drives + 1) for name in os.listdir(os.path.join(house.drive(n), "log"))
            if name.endswith(".new")]


def cleanup(house):
    """A dead letter of the store's own: what lies under the name of a dropped file cannot be unlinked."""
    vacuum = str(int(json.loads(house.ctl("tasks", "submit", "vacuum", "1", "--json").stdout)["id"]))
    wait_for("segment 1 to go", lambda: task_of(house, vacuum)["state"] == "completed", 30)
    path = os.path.join(house.drive(1), "quarantine", "1-log-0000000000000001.seg")
    os.makedirs(os.path.join(path, "in-the-way"))
    house.ctl("restart", "store")
    rows = wait_for("a cleanup to be filed", lambda: [t for t in json.loads(
        house.ctl("tasks", "list", "--json").stdout)["tasks"] if t["type"] == "cleanup"], 60)
    task = str(int(rows[0]["id"]))
    check(rows[0]["reason"] == "quarantined" and len(rows) == 1, rows)
    house.ctl("tasks", "retry", task)
    wait_for("its end", lambda: task_of(house, task)["state"] == "dead_letter", 30)
    wait_for("the status to say so", lambda: state_of(house, "tasks") == "degraded", 20)
    shown = house.ctl("status", check_status=False).stdout
    check("the attempts of 1 task are used up" in shown, shown)
    check(house.metrics("tasks")["tasks_dead_letters"] == 1, house.metrics("tasks"))
    house.ctl("restart", "tasks")
    wait_for("it to be known again", lambda: state_of(house, "tasks") == "degraded", 20)
    os.rmdir(os.path.join(path, "in-the-way"))
    os.rmdir(path)
    house.ctl("tasks", "retry", task)
    wait_for("it to be done", lambda: task_of(house, task)["state"] == "completed", 30)
    wait_for("all to be well", lambda: state_of(house, "tasks") == "running", 20)
    check(house.metrics("tasks")["tasks_dead_letters"] == 0, house.metrics("tasks"))
    say(f"task {task}: a cleanup that was a dead letter, seen, tried again, and done")


def scenario():
    with House(config=CONFIG) as house:
        s3 = house.s3()
        s3.make_bucket("kept")
        settings(house, "1s", "64KiB")
        for n in range(KEYS):
            s3.put("kept", f"k{n}", body_of("k", n, 30000))
        task = str(int(json.loads(house.ctl("tasks", "submit", "erasure_coding", "1", "--json").stdout)["id"]))
        row = wait_for("its end", lambda: next((t for t in [task_of(house, task)] if t["state"] == "dead_letter"), None))
        check("longer than tasks.run_timeout" in row["error"] and row["attempts"] == 1, row)
        wait_for("the status to say so", lambda: state_of(house, "tasks") == "degraded", 10)
        status = house.ctl("status", check_status=False)
        check(status.returncode == 4 and "the attempts of 1 task are used up" in status.stdout, status.stdout)
        shown = house.ctl("tasks", "list", "dead_letter").stdout
        check(task in shown and "run_timeout" in shown, shown)
        wait_for("its files to go", lambda: not unfinished(house), 20)
        house.ctl("restart", "tasks")
        wait_for("it to be known again", lambda: state_of(house, "tasks") == "degraded", 10)
        settings(house, "10m", 0)
        house.ctl("tasks", "retry", task)
        wait_for("it to be done", lambda: task_of(house, task)["state"] == "completed", 30)
        wait_for("all to be well", lambda: state_of(house, "tasks") == "running", 10)
        for n in range(KEYS):
            check(s3.get("kept", f"k{n}") == body_of("k", n, 30000), f"k{n} reads back different")
        say(f"task {task}: a dead letter that was seen, tried again, and done")
        cleanup(house)


run(scenario)
