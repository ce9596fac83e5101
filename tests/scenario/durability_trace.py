#!/usr/bin/python3
# Durability seen in a system call trace: no put is acknowledged before a synced write (pwritev2 with
# RWF_DSYNC, or fdatasync) returned on all mirrors of the log, and for a large body fdatasync on all its
# shards before that.
#
# SPDX-License-Identifier: Apache-2.0
import os
import re
import shutil
import subprocess
import time

from house import House, check, run, say, skip, traced, wait_for

LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")


def trace(house, pids, action):
    path = os.path.join(house.directory, "trace")
    command = ["strace", "-f", "-ttt", "-y", "-s", "64", "-e", "trace=fdatasync,fsync,pwritev,pwritev2,pwrite64,writev,sendmsg,"
               "sendto,write,openat", "-o", path]
    for pid in pids:
        command += ["-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for("strace to attach", lambda: tracer.poll() is not None or all(traced(pid) for pid in pids))
    action()
    time.sleep(0.5)
    tracer.terminate()
    tracer.wait()
    with open(path, errors="replace") as file:
        return parse(file)


def parse(lines):
    """Events (time of return, name, text): an interrupted call counts when it resumed."""
    started, events = {}, []
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        pid, when, resumed, name, rest = match.groups()
        if resumed:
            events.append((float(when), resumed, started.pop((pid, resumed), "") + rest))
        elif "<unfinished ...>" in rest:
            started[pid, name] = rest
        else:
            events.append((float(when), name, rest))
    return events


def answer_time(events, status=b"200"):
    times = [t for t, name, text in events if name in ("writev", "sendmsg", "sendto", "write") and "HTTP/1.1 200" in text]
    check(times, "no answer in the trace")
    return times[0]


def durable(name, text):
    """Whether a call that returned made what it names durable."""
    if name in ("fdatasync", "fsync"):
        return "= 0" in text
    return name == "pwritev2" and "RWF_DSYNC" in text and re.search(r"\) = [1-9]", text) is not None


def synced(events, before, pattern):
    return {m.group(0) for t, name, text in events if t <= before and durable(name, text)
            for m in [re.search(pattern, text)] if m}


def scenario():
    if shutil.which("strace") is None:
        skip("strace is not installed")
    with House(env={"HOLDFAST_S3_PROCESSES": "1"}) as house:
        s3 = house.s3()
        s3.make_bucket("trace")
        s3.put("trace", "warm", b"x" * 4096)
        s3.put("trace", "warm-large", b"x" * 1000000)
        pids = [house.pid("store"), house.pid("s3.0")]
        events = trace(house, pids, lambda: s3.put("trace", "small", b"s" * 4096))
        if not events:
            skip("strace may not attach to processes here")
        mirrors = synced(events, answer_time(events), r"drive\d+/log/[0-9a-f]+\.seg")
        check(len(mirrors) == 3, f"a small put was answered after {len(mirrors)} of 3 mirrors were synced: {mirrors}")
        say(f"small put: answered after {sorted(mirrors)} were synced")
        events = trace(house, pids, lambda: s3.put("trace", "large", b"l" * 1000000))
        when = answer_time(events)
        shards = synced(events, when, r"drive\d+/vol/[0-9a-f]+\.vol")
        mirrors = synced(events, when, r"drive\d+/log/[0-9a-f]+\.seg")
        check(len(shards) == 4, f"a large put was answered after {len(shards)} of 4 shards were synced: {shards}")
        check(len(mirrors) == 3, f"... and {len(mirrors)} of 3 mirrors")
        say(f"large put: answered after {len(shards)} shards and {len(mirrors)} mirrors were synced")


run(scenario)
