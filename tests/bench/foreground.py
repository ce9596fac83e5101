#!/usr/bin/python3
# foreground - what clients notice of maintenance: puts and gets over S3 by processes of their own, beside a real
# worker that rebuilds a drive, converts segments or vacuums them. The worker is frozen and let go in turns, so that
# both are measured in the same seconds. Prints p50 and p99 of each and their ratio; no timed test.
#
# usage: tests/bench/foreground.py [rebuild|convert|vacuum|all [DIRECTORY [SECONDS]]]    default all, /var/tmp, 8
#
# Six drives, 4+2, ext4 in loop images below DIRECTORY. SECONDS of work are measured, as much without it. Needs root.
#
# SPDX-License-Identifier: Apache-2.0
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../scenario"))
sys.argv, ARGUMENTS = sys.argv[:1], sys.argv[1:]
from house import House, wait_for  # noqa: E402
from s3_presign import presign  # noqa: E402

DRIVES, LOST = 6, 1
WHAT, WHERE, SECONDS = (ARGUMENTS + ["all", "/var/tmp", "8"][len(ARGUMENTS):])[:3]
TURN, SETTLE = 0.4, 0.05	# seconds of a turn, and of its begin that count for neither
EVERY = 0.004			# a client's requests, begun in such steps
BODY_MIB, BODIES = 64, 20
KINDS = (("put of 4 KiB", "PUT", 4096), ("put of 256 KiB", "PUT", 262144), ("get of 4 KiB", "GET", 4096),
         ("get of 256 KiB", "GET", 262144))
KEYS = 500


class Drives:
    def __init__(self, where):
        self.base = tempfile.mkdtemp(prefix="hf-foreground-", dir=where)
        self.paths = [os.path.join(self.base, f"drive{n}") for n in range(DRIVES)]
        for n in range(DRIVES):
            os.mkdir(self.paths[n])
            self.mount(n)

    def mount(self, n):
        image = os.path.join(self.base, f"{n}.img")
        with open(image, "wb") as file:
            file.truncate(6 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, self.paths[n]], check=True)
        shutil.rmtree(os.path.join(self.paths[n], "lost+found"), ignore_errors=True)

    def empty(self, n, owner):
        subprocess.run(["umount", "-l", self.paths[n]], check=True)
        os.unlink(os.path.join(self.base, f"{n}.img"))
        self.mount(n)
        os.chown(self.paths[n], owner.st_uid, owner.st_gid)

    def close(self):
        for path in self.paths:
            subprocess.run(["umount", "-l", path], capture_output=True)
        shutil.rmtree(self.base, ignore_errors=True)


def as_prior(pids):
    """Sessions of their own have a share of the machine of their own: the same as this process has."""
    try:
        with open("/proc/self/autogroup") as file:
            nice = file.read().split()[-1]
        for pid in pids:
            with open(f"/proc/{pid}/autogroup", "w") as file:
                file.write(nice)
    except OSError:
        pass


# --- clients -----------------------------------------------------------------------------------------------

def exchange(connection, request):
    connection.sendall(request)
    text = connection.recv(1 << 20)
    while b"\r\n\r\n" not in text:
        text += connection.recv(1 << 20)
    head, body = text.split(b"\r\n\r\n", 1)
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise SystemExit(f"a client was answered {text[:300]}")
    left = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    left -= len(body)
    while left > 0:
        left -= len(connection.recv(left))


def client(port, kind, stop, answer):
    """Begins a request every EVERY seconds; answers [(when it began, seconds that it took)]."""
    _, method, size = KINDS[kind]
    body = os.urandom(size) if method == "PUT" else b""
    requests = [f"{method} {presign(method, port, f'/front/{size}-{n}')} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode() + body for n in range(KEYS)]
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    samples, rng, due = [], random.Random(kind), time.monotonic()
    while not stop.is_set():
        due = max(due + EVERY, time.monotonic())
        time.sleep(max(0, due - time.monotonic()))
        begin = time.monotonic()
        exchange(connection, requests[rng.randrange(KEYS)])
        samples.append((begin, time.monotonic() - begin))
    answer.send(samples)


class Foreground:
    def __init__(self, house):
        s3 = house.s3()
        s3.make_bucket("front")
        for _, _, size in KINDS[2:]:
            for n in range(KEYS):
                s3.put("front", f"{size}-{n}", os.urandom(size))
        self.stop, self.clients, self.ends = multiprocessing.Event(), [], []
        self.port = house.s3_port

    def start(self):
        for kind in range(len(KINDS)):
            end, other = multiprocessing.Pipe(False)
            self.ends.append(end)
            self.clients.append(multiprocessing.Process(target=client, args=(self.port, kind, self.stop, other)))
            self.clients[-1].start()

    def samples(self):
        self.stop.set()
        rows = [end.recv() for end in self.ends]
        for process in self.clients:
            process.join()
        return rows


# --- turns -------------------------------------------------------------------------------------------------

def active(house):
    rows = json.loads(house.ctl("tasks", "list", "--json").stdout)["tasks"]
    return [r for r in rows if r["state"] == "in_progress"]


class Turns:
    """While something is in progress: the worker is let go and frozen, in turns."""

    def __init__(self, house):
        self.house, self.turns, self.measured = house, ([], []), 0.0		# without, with

    def turn(self, pid, running):
        os.kill(pid, signal.SIGCONT if running else signal.SIGSTOP)
        begin = time.monotonic() + SETTLE
        time.sleep(TURN)
        return begin, time.monotonic()

    def measure(self, seconds):
        """Until nothing is in progress, or so long. The turns in which the work ended are left out."""
        pid, end = self.house.pid("worker.0"), self.measured + seconds
        while self.measured < end:
            with_it = self.turn(pid, True)
            without = self.turn(pid, False)
            if not active(self.house):
                break
            self.turns[1].append(with_it)
            self.turns[0].append(without)
            self.measured += TURN
        os.kill(pid, signal.SIGCONT)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] * 1e3 if values else float("nan")


def report(name, turns, rows):
    print(f"{name}: {turns.measured:.1f} s with it, as much without")
    for kind, samples in zip(KINDS, rows):
        took = [[s for when, s in samples if any(a <= when < b for a, b in side)] for side in turns.turns]
        p50, p99 = ([percentile(t, share) for t in took] for share in (0.5, 0.99))
        print(f"  {kind[0]:16} p50 {p50[0]:7.2f} ms, with it {p50[1]:7.2f}, ratio {p50[1] / p50[0]:5.2f};  "
              f"p99 {p99[0]:7.2f} ms, with it {p99[1]:7.2f}, ratio {p99[1] / p99[0]:5.2f}  "
              f"({len(took[0])}, {len(took[1])} requests)", flush=True)


# --- work --------------------------------------------------------------------------------------------------

def drive_state(house, slot):
    return json.loads(house.ctl("drive", "list", "--json").stdout)[slot]["state"]


def replace(house, drives):
    drives.empty(LOST, os.stat(drives.paths[0]))
    wait_for("the drive to be missed", lambda: drive_state(house, LOST) == "offline", 20)
    house.ctl("drive", "replace", str(LOST))
    wait_for("the rebuild to begin", lambda: active(house), 30)


def alone(house, drives):
    replace(house, drives)
    wait_for("the drive to be online", lambda: drive_state(house, LOST) == "online", 300)
    ms = int(re.findall(r"drive_rebuild\) is done: \d+ bytes in (\d+) ms", house.log("worker.0"))[-1])
    print(f"alone: {BODIES * BODY_MIB / (DRIVES - 2) * 1e3 / ms:.0f} MiB/s of shard, two seconds of start included", flush=True)


def rebuild(house, drives, turns):
    while turns.measured < float(SECONDS):
        replace(house, drives)
        turns.measure(float(SECONDS) - turns.measured)
        begin = time.monotonic()
        wait_for("the drive to be online", lambda: drive_state(house, LOST) == "online", 300)
        print(f"  (the rest of the rebuild took {time.monotonic() - begin:.1f} s)", flush=True)


def rebuild_fill(house):
    s3 = house.s3()
    s3.make_bucket("back")
    body = os.urandom(BODY_MIB << 20)
    for n in range(BODIES):
        s3.put("back", f"b{n}", body)


def segments_fill(house):
    s3 = house.s3()
    s3.make_bucket("back")
    body = os.urandom(30000)
    threads = [threading.Thread(target=lambda t=t: [house.s3().put("back", f"k{t}-{n}", body) for n in range(3000)])
               for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    house.ctl("store", "seal")


def segments(drives):
    return sorted({int(name[:16], 16) for path in drives.paths for name in os.listdir(os.path.join(path, "log"))
                   if name.endswith(".seg")})


def work(name, house, drives, turns):
    if name == "rebuild":
        rebuild(house, drives, turns)
        return
    if name == "vacuum":
        s3 = house.s3()
        for t in range(4):
            for n in range(0, 3000, 2):
                s3.delete("back", f"k{t}-{n}")
    for segment in segments(drives):	# the open one is refused
        house.ctl("tasks", "submit", {"convert": "erasure_coding"}.get(name, name), str(segment), check_status=False)
    wait_for("the work to begin", lambda: active(house), 30)
    turns.measure(float(SECONDS))


def one(name):
    drives = Drives(WHERE)
    try:
        config = {"tasks.types": "drive_rebuild", "store.erasure": "4+2"}
        with House(drives=DRIVES, drive_paths=drives.paths, config=config) as house:
            house.show = lambda: None
            as_prior([house.process.pid, *house.pids()])
            (rebuild_fill if name == "rebuild" else segments_fill)(house)
            if name == "rebuild":
                alone(house, drives)
            front, turns = Foreground(house), Turns(house)
            front.start()
            time.sleep(1)
            try:
                work(name, house, drives, turns)
            finally:
                rows = front.samples()
            report(name, turns, rows)
    finally:
        drives.close()


for each in ("rebuild", "convert", "vacuum") if WHAT == "all" else (WHAT,):
    one(each)
