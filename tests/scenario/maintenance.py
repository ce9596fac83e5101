#!/usr/bin/python3
# Maintenance by real workers: small segments are written, overwritten and deleted; conversion to erasure coding
# and vacuum happen by themselves, while workers, tasks and the store are killed at random. Afterwards nothing is
# left to be done, every object reads back, the space of what was overwritten is given back, and the check of the
# stopped store finds nothing.
#
# SPDX-License-Identifier: Apache-2.0
import contextlib
import json
import os
import random
import re
import signal
import threading
import time

from house import House, S3Error, body_of, check, proof, run, say, wait_for

SEED = int(os.environ.get("MAINTENANCE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
KILL_SECONDS = 14
KEYS = 300
CONFIG = {
    "store.segment_bytes": "4MiB", "tasks.ec_quiet": "1s", "tasks.scan_interval": "300ms",
    "tasks.vacuum_again": "500ms", "tasks.merge_window": "0s", "tasks.cancel_hold": "0s",
    "tasks.start_timeout": "2s", "worker.processes": "2",
    "worker.heartbeat_interval": "200ms", "supervisor.healthy_after": "0s",
    "store.reclaim_grace": "200ms",
}


def size_of(key):
    return 20000 + hash_of(key) % 40000


def hash_of(key):
    return sum(ord(c) * (n + 7) for n, c in enumerate(key)) * 2654435761 % (1 << 32)


def tasks(house, *words):
    return json.loads(house.ctl("tasks", *words, "--json").stdout)


def retry_failed(house):
    for row in tasks(house, "list")["tasks"]:
        if row["state"] in ("failed", "dead_letter"):
            house.ctl("tasks", "retry", str(row["id"]), check_status=False)


def all_quiet(house):
    """Nothing waits, nothing runs, and the last look found nothing."""
    retry_failed(house)
    why = tasks(house, "why")
    return why["idle"] == "nothing is to be done" and why["next_look"] is None and \
        not any("to be done" in row or "too lately" in w for row in why["passed_over"].values() for w in row)


def segment_bytes(house):
    total = 0
    for n in range(1, house.drives + 1):
        for directory, _, names in os.walk(house.drive(n)):
            if os.path.basename(directory) in ("log", "segments"):
                total += sum(os.stat(os.path.join(directory, name)).st_blocks * 512 for name in names)
    return total


class Writer:
    """Overwrites and deletes; what must be there is known, or one of two."""

    def __init__(self, house, rng):
        self.house, self.rng, self.there, self.unsure = house, rng, {}, {}
        self.version, self.stopping = 0, threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def put(self, s3, key):
        self.version += 1
        self.unsure.setdefault(key, {self.there.get(key)}).add(self.version)
        s3.put("maintained", key, body_of(key, self.version, size_of(key)))
        self.there[key] = self.version
        del self.unsure[key]

    def delete(self, s3, key):
        self.unsure.setdefault(key, {self.there.get(key)}).add(None)
        s3.delete("maintained", key)
        self.there[key] = None
        del self.unsure[key]

    def work(self):
        s3 = self.house.s3()
        while not self.stopping.is_set():
            key = f"k{self.rng.randrange(KEYS)}"
            try:
                if self.rng.random() < 0.8:
                    self.put(s3, key)
                else:
                    self.delete(s3, key)
            except (OSError, S3Error):
                time.sleep(0.05)
            time.sleep(0.01)

    def verify(self, s3):
        count = 0
        for key in sorted(set(self.there) | set(self.unsure)):
            try:
                body = s3.get("maintained", key)
            except S3Error as error:
                check(error.status == 404, f"{key}: {error}")
                body = None
            allowed = self.unsure.get(key, set()) | ({self.there.get(key)} if key not in self.unsure else set())
            check(any(body == (None if v is None else body_of(key, v, size_of(key))) for v in allowed),
                  f"{key}: {'absent' if body is None else 'other bytes'}, expected one of versions {allowed}")
            count += body is not None
        return count


def limit_workers(house, rate):
    """A limit that is changed while workers run."""
    path = os.path.join(house.data, "holdfast.conf")
    with open(path) as file:
        text = file.read().split("\n[worker]\n")[0]
    with open(path, "w") as file:
        file.write(f"{text}\n[worker]\nio_bytes_per_second = {rate}\n")
    house.ctl("reload", "worker")


def kill_some(house, rng):
    """Kills, or lets one sleep for longer than its lease: when it wakes up it has lost what it works on."""
    killed = {}
    end = time.monotonic() + KILL_SECONDS
    while time.monotonic() < end:
        time.sleep(rng.uniform(0.2, 1.2))
        name = rng.choice(["worker.0", "worker.1", "worker.0", "worker.1", "tasks.0", "store.0"])
        rows = house.services(name)
        if not rows or not rows[0].get("pid"):
            continue
        how = signal.SIGSTOP if name.startswith("worker") and rng.random() < 0.3 else signal.SIGKILL
        with contextlib.suppress(OSError):
            os.kill(rows[0]["pid"], how)
            killed[f"{name} {how.name}"] = killed.get(f"{name} {how.name}", 0) + 1
            if how == signal.SIGSTOP:
                time.sleep(1.2)
                os.kill(rows[0]["pid"], signal.SIGCONT)
    return killed


def system_metrics(house):
    """The six of them: to people, to programs, and to Prometheus."""
    said = house.ctl("tasks", "why").stdout
    check(re.search(r"queue depth 0, in work 0, \d+\.\d\d tasks a second, \d+\.\d s each\n"
                    r"workers 0 % busy, \d+ % of \d+ attempts failed, states in sync\n", said), said)
    metrics = tasks(house, "why")["system_metrics"]
    shown = house.metrics("tasks")
    check(metrics["queue_depth"] == 0 == shown["tasks_queue_depth"], metrics, shown)
    check(metrics["volume_states_sync"] and shown["tasks_volume_states_sync"] == 1, metrics, shown)
    check(metrics["worker_utilization"] == 0 == shown["tasks_worker_utilization"], metrics, shown)
    for name, of in (("average_task_time_ms", shown["tasks_average_task_seconds"] * 1000),
                     ("failure_rate", shown["tasks_failure_rate"])):
        check(abs(metrics[name] - of) < 0.001, name, metrics, shown)
    check(0 <= shown["tasks_per_second"] < 100 and metrics["average_task_time_ms"] > 0, metrics, shown)


def people(house):
    """What holdfastctl tasks says, of a store with nothing to do."""
    done = tasks(house, "list", "completed")["tasks"]
    shown = tasks(house, "show", str(done[-1]["id"]))["tasks"][0]
    check(shown["state"] == "completed" and shown["lease"] >= 1 and shown["finished"], "show says", shown)
    table = house.ctl("tasks", "list", "all").stdout
    check("completed" in table and "nothing runs: nothing is to be done" in table, table)
    wait_for("both workers to be known", lambda: {("worker.0", "active"), ("worker.1", "active")} ==
             {(w["id"], w["status"]) for w in tasks(house, "workers")["workers"]}, 20)
    for words, part in ((("submit", "fly", "1"), "there are the types"), (("submit", "vacuum", "999999"), "no segment"),
                        (("cancel", "4711"), "no task 4711"), (("retry", "4711"), "task 4711"),
                        (("show", "4711"), "no task"), (("list", "burnt"), "no state"), (("submit", "vacuum"), "usage")):
        refused = house.ctl("tasks", *words, check_status=False)
        check(refused.returncode != 0 and part in refused.stderr, words, "was answered", refused.stdout, refused.stderr)


def paused_workers(house, segment):
    """Nobody can: the task waits and says why; cancelled, it is over."""
    house.ctl("pause", "worker")
    wait_for("the workers to say so", lambda: not any(w["capabilities"] for w in tasks(house, "workers")["workers"]), 10)
    task = int(json.loads(house.ctl("tasks", "submit", "vacuum", str(segment), "--json").stdout)["id"])
    wait_for("the reason", lambda: "no active worker can do this type" in house.ctl("tasks", "list").stdout, 10)
    check("does that already" in house.ctl("tasks", "submit", "vacuum", str(segment)).stdout, "it is queued twice")
    house.ctl("tasks", "cancel", str(task))
    wait_for("its end", lambda: tasks(house, "show", str(task))["tasks"][0]["state"] == "cancelled", 10)
    house.ctl("resume", "worker")


def cancelled_at_work(house, segment):
    """A slow task shows how far it came and when it will be done, and ends when it is told to."""
    limit_workers(house, "64KiB")
    task = str(int(json.loads(house.ctl("tasks", "submit", "vacuum", str(segment), "--json").stdout)["id"]))
    row = wait_for("progress", lambda: next((r for r in tasks(house, "show", task)["tasks"]
                                             if r.get("progress", 0) > 0 or r["state"] == "completed"), None), 20)
    if row["state"] != "completed":         # all of it was garbage
        check(row["state"] == "in_progress" and row["eta_ms"] > 0 and row["worker_id"], "show says", row)
        house.ctl("tasks", "cancel", task, "--reason", "enough")
        row = wait_for("its end", lambda: next((r for r in tasks(house, "show", task)["tasks"]
                                                if r["state"] == "cancelled"), None), 10)
        check(row["error"] == "enough", "show says", row)
    wait_for("its worker to be free", lambda: all(w["current_load"] == 0 for w in tasks(house, "workers")["workers"]), 10)
    limit_workers(house, "12MiB")


def scenario():
    rng = random.Random(SEED)
    say("seed", SEED)
    with House(drives=6, config=CONFIG) as house:
        s3 = house.s3()
        s3.make_bucket("maintained")
        limit_workers(house, "12MiB")
        writer = Writer(house, rng)
        for n in range(KEYS):
            writer.put(s3, f"k{n}")
        writer.thread.start()
        killed = kill_some(house, rng)
        writer.stopping.set()
        writer.thread.join(60)
        check(not writer.thread.is_alive(), "the writer does not end")
        house.ready()
        proof("kills of processes", sum(killed.values()), f"in the middle of maintenance: {killed}")
        say("killed", killed, "most at once:", segment_bytes(house) >> 20, "MiB of segments")
        wait_for("maintenance to be done", lambda: all_quiet(house), 90, every=0.5)
        done = tasks(house, "list", "completed")["tasks"]
        kinds = {kind: sum(row["type"] == kind for row in done) for kind in ("erasure_coding", "vacuum")}
        check(kinds["erasure_coding"] > 0 and kinds["vacuum"] > 0, "not both kinds of work were done:", kinds)
        check(not tasks(house, "list")["tasks"], "tasks are left:", tasks(house, "list")["tasks"])
        objects = writer.verify(house.s3())
        live = sum(size_of(k) for k, v in writer.there.items() if v is not None)
        say(objects, "objects read back,", kinds, "live", live >> 20, "MiB, on the drives", segment_bytes(house) >> 20)
        # 4+2 shards with at most 30 % garbage, and mirrors (3) of the segments that are written or come next.
        bound = live * 1.5 / 0.7 + 3 * 3 * (4 << 20)
        check(segment_bytes(house) <= bound, segment_bytes(house), "bytes of segments, more than", bound)
        people(house)
        system_metrics(house)
        gone = {row["volume_id"] for row in done if row["type"] == "vacuum"}
        segment = next(row["volume_id"] for row in done if row["type"] == "erasure_coding" and
                       row["volume_id"] not in gone)
        paused_workers(house, segment)
        cancelled_at_work(house, segment)
        check(house.stop() == 0, "exit status")
        stat = house.ctl("store", "check", check_status=False)
        check(stat.returncode == 0, "store check:", stat.stdout[-2000:], stat.stderr[-500:])


run(scenario)
