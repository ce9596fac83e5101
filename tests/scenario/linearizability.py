#!/usr/bin/python3
# Linearizability: many client processes put, get, delete, list and put on conditions over few keys, while
# segments are converted and vacuumed beneath them and processes of store, s3, tasks and worker are killed;
# every answer fits one order of all operations (see linear.py).
#
# LINEAR_SECONDS is how long (default 15), LINEAR_CLIENTS how many processes (8), SEED repeats a choice of
# operations (the order in which they meet is never the same). A history that fails is kept in the directory
# LINEAR_FILES (default: the one for temporary files) and shown in short; `linearizability.py FILE` judges it
# again.
#
# SPDX-License-Identifier: Apache-2.0
import hashlib
import http.client
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

from house import House, PATIENCE, S3, check, proof, run, say, wait_for
from linear import Op, explain, linearizable, overlapping

SECONDS = float(os.environ.get("LINEAR_SECONDS", "15"))
CLIENTS = int(os.environ.get("LINEAR_CLIENTS", "8"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
FILES = os.environ.get("LINEAR_FILES", tempfile.gettempdir())
GROUPS, KEYS = 2, 3             # a group of keys is judged as one, with its listings
UNANSWERED_MAX = 4              # then the group goes on under new keys: each could happen at any time
ROUND_MAX = 2000                # operations of a group under the same keys
CONFIG = {
    "supervisor.healthy_after": "0s", "store.segment_bytes": "4MiB", "store.reclaim_grace": "200ms",
    "tasks.ec_quiet": "1s", "tasks.scan_interval": "300ms", "tasks.vacuum_again": "500ms", "tasks.merge_window": "0s",
    "tasks.start_timeout": "2s", "worker.processes": "2", "worker.heartbeat_interval": "200ms",
}
KINDS = ("put",) * 4 + ("get",) * 8 + ("delete",) * 2 + ("put_new",) * 2 + ("put_if",) * 2 + ("list",) * 3


def body_of(value):
    """Every put has bytes of its own: small, inline, or in volumes."""
    rng = random.Random(value)
    return f"{value}:".encode() + rng.randbytes(rng.choice((0, 10, 100, 1000, 4000, 4000, 20000, 70000)))


def etag_of(value):
    return '"' + hashlib.md5(body_of(value)).hexdigest() + '"'


class Client:
    """One process. Its operations are lines of JSON: group, round, and what Op has."""

    def __init__(self, port, number, shared, directory):
        self.number, self.shared = number, shared
        self.rng, self.s3, self.count = random.Random(SEED * 1000 + number), S3(port), 0
        self.file = open(os.path.join(directory, f"client{number}"), "w")
        self.seen = {}          # (prefix, key) -> value last seen there, for conditions

    def note(self, group, turn, call, end, kind, key, value, answer):
        self.file.write(json.dumps((group, turn, call, end, kind, key, value, answer)) + "\n")

    def value_of(self, body):
        value = int(body[:body.index(b":")])
        if body != body_of(value):
            raise AssertionError(f"the body of {value} has other bytes")
        return value

    def listed(self, prefix, body):
        tree = ElementTree.fromstring(body)
        space = tree.tag[:tree.tag.index("}") + 1] if tree.tag.startswith("{") else ""
        return {c.findtext(space + "Key")[len(prefix):]: c.findtext(space + "ETag")
                for c in tree.iter(space + "Contents")}

    def ask(self, kind, prefix, key, value):
        """(answered, answer); not answered: it may still happen."""
        path, name = f"/linear/{prefix}{key}", (prefix, key)
        if kind == "get":
            status, _, body = self.s3.request("GET", path)
            if status in (200, 404):
                self.seen[name] = self.value_of(body) if status == 200 else None
                return True, self.seen[name]
        elif kind == "list":
            status, _, body = self.s3.request("GET", "/linear", query={"list-type": "2", "prefix": prefix})
            if status == 200:
                return True, self.listed(prefix, body)
        elif kind == "delete":
            status, _, body = self.s3.request("DELETE", path)
            if status == 204:
                return True, None
        else:
            headers = {"put": {}, "put_new": {"if-none-match": "*"}}.get(kind)
            if kind == "put_if":
                headers, value = {"if-match": etag_of(value[0])}, value[1]
            status, _, body = self.s3.request("PUT", path, headers=headers, body=body_of(value))
            if status == 200 or (status == 412 and kind != "put") or (status == 404 and kind == "put_if"):
                self.seen[name] = value if status == 200 else self.seen.get(name)
                return True, status == 200
        if status < 500:
            raise AssertionError(f"{kind} of {path} was answered {status} {body[:300]!r}")
        return False, None

    def one(self):
        group = self.rng.randrange(GROUPS)
        with self.shared.get_lock():
            turn, unanswered, done = self.shared[3 * group:3 * group + 3]
            if unanswered >= UNANSWERED_MAX or done >= ROUND_MAX:
                self.shared[3 * group:3 * group + 3] = [turn + 1, 0, 0]
                return
            self.shared[3 * group + 2] += 1
        prefix, key, kind = f"g{group}.{turn}/", self.rng.randrange(KEYS), self.rng.choice(KINDS)
        self.count += 1
        value = self.number + CLIENTS * self.count
        if kind == "put_if":
            expected = self.seen.get((prefix, key))
            kind, value = ("put_new", value) if expected is None else (kind, (expected, value))
        call, end = time.monotonic_ns(), None
        try:
            answered, answer = self.ask(kind, prefix, key, value)
            end = time.monotonic_ns() if answered else None
        except (OSError, http.client.HTTPException):
            answered, answer = False, None
        if end is None:
            time.sleep(0.02)
            if kind in ("get", "list"):
                return          # it changed nothing: as if it had not been asked
            with self.shared.get_lock():
                self.shared[3 * group + 1] += 1
        self.note(group, turn, call, end, kind, key, value, answer)

    def live(self, until):
        while time.monotonic() < until:
            self.one()
        self.file.close()


def client_main(*arguments, until):
    try:
        Client(*arguments).live(until)
    except AssertionError as error:
        say("FAILED:", error)
        os._exit(1)
    os._exit(0)


def kill_now_and_then(house, rng, until):
    kills = {"store": 0, "s3": 0, "worker": 0, "tasks": 0}
    while time.monotonic() < until - 1:
        time.sleep(rng.choice((0.1, 0.4, 0.8)))
        what = rng.choice(("store", "store", "store", "s3", "s3", "worker", "tasks"))
        rows = [r for r in house.services(what) if r.get("pid") and r["state"] == "running"]
        if rows:
            try:
                os.kill(rng.choice(rows)["pid"], signal.SIGKILL)
                kills[what] += 1
            except ProcessLookupError:
                pass
    return kills


def histories(directory):
    """{(group, round): [Op]} of what the clients wrote."""
    found, etags = {}, {}
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name)) as file:
            for line in file:
                group, turn, call, end, kind, key, value, answer = json.loads(line)
                if kind == "put_if":
                    value = tuple(value)
                found.setdefault((group, turn), []).append(Op(name, call, end, kind, key, value, answer))
    for ops in found.values():
        for op in ops:
            if op.kind.startswith("put"):
                value = op.value[1] if op.kind == "put_if" else op.value
                etags[etag_of(value)] = value
    for ops in found.values():
        for n, op in enumerate(ops):
            if op.kind == "list":
                for tag in op.answer.values():
                    check(tag in etags, f"a listing has an ETag that nobody wrote: {tag}")
                ops[n] = op._replace(answer=tuple(etags.get(op.answer.get(str(k))) for k in range(KEYS)))
    return found


def judge(name, ops):
    """None, or lines that say what is wrong; the history is kept."""
    verdict = linearizable(ops, KEYS)
    if verdict is None:
        return None
    path = os.path.join(FILES, f"holdfast-history-{SEED}-{name}.json")
    with open(path, "w") as file:
        json.dump([list(op) for op in ops], file)
    return [f"seed {SEED}, group {name}: not linearizable; the history is in {path}"] + explain(*verdict)


def again(path):
    with open(path) as file:
        ops = [Op(*row) for row in json.load(file)]
    lists = [o._replace(value=tuple(o.value)) if o.kind == "put_if" else
             o._replace(answer=tuple(o.answer)) if o.kind == "list" else o for o in ops]
    verdict = linearizable(lists, KEYS)
    print("linearizable" if verdict is None else "\n".join(explain(*verdict)))
    return 0 if verdict is None else 1


def last_reads(house, directory, shared):
    """After all kills: what is there now must fit too."""
    client = Client(house.s3_port, CLIENTS, shared, directory)
    for group in range(GROUPS):
        turn = shared[3 * group]
        for kind, key in [("get", k) for k in range(KEYS)] + [("list", 0)]:
            call = time.monotonic_ns()
            answered, answer = client.ask(kind, f"g{group}.{turn}/", key, None)
            check(answered, "a last read was not answered")
            client.note(group, turn, call, time.monotonic_ns(), kind, key, None, answer)
    client.file.close()


def moved(house):
    rows = json.loads(house.ctl("tasks", "list", "completed", "--json").stdout)["tasks"]
    return sum(row["type"] in ("erasure_coding", "vacuum") for row in rows)


def scenario():
    say(f"seed {SEED}")
    with House(config=CONFIG) as house, \
            tempfile.TemporaryDirectory(prefix="holdfast-linear-") as directory:
        house.s3().make_bucket("linear")
        context = multiprocessing.get_context("fork")
        shared = context.Array("q", 3 * GROUPS)
        until = time.monotonic() + SECONDS
        clients = [context.Process(target=client_main, args=(house.s3_port, n, shared, directory), daemon=True,
                                   kwargs={"until": until}) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        kills = kill_now_and_then(house, random.Random(SEED), until)
        for client in clients:
            client.join(60 * PATIENCE)
            check(client.exitcode == 0, "a client ended with", client.exitcode, f"(seed {SEED})")
        wait_for("all services", lambda: all(r["state"] == "running" for r in house.status()), 60)
        last_reads(house, directory, shared)
        found, began = histories(directory), time.monotonic()
        count = sum(len(ops) for ops in found.values())
        unanswered = sum(op.end is None for ops in found.values() for op in ops)
        most = overlapping([op for ops in found.values() for op in ops if op.end is not None])
        wrong = [lines for (group, turn), ops in sorted(found.items()) for lines in [judge(f"{group}.{turn}", ops)] if lines]
        check(not wrong, "\n".join(line for lines in wrong[:3] for line in lines))
        proof("kills of processes", sum(kills.values()), f"while clients' histories are recorded: {kills}")
        check(kills["store"] and count > 100, f"{kills} kills and {count} operations prove nothing")
        proof("linearizability operations", count, f"{CLIENTS} clients (up to {most} at once, {unanswered} unanswered) in "
            f"{len(found)} histories; {moved(house)} segments converted or "
            f"vacuumed meanwhile: each has its moment "
            f"(checked in {time.monotonic() - began:.1f} s)")


if len(sys.argv) > 1:
    sys.exit(again(sys.argv[1]))
run(scenario)
