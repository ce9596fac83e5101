#!/usr/bin/python3
# The file system of the index fills up while the store runs, under load: it says so, puts are refused and do not hang,
# gets and lists go on in the same process, also for a protocol server that starts meanwhile; with room again it writes
# by itself, and every acknowledged object is there. It waits for as much as it must write then; and so does a start
# that had too little. Needs root (tmpfs).
#
# SPDX-License-Identifier: Apache-2.0
import os
import re
import shutil
import signal
import threading
import time

from full_index import fill, note
from house import House, S3Error, body_of, check, run, say, wait_for
from mounts import tmpfs

REFUSED = (503, 507)
PUTS_MAX = 20000        # of a writer: far more than fill 1 MiB of log


class Writer(threading.Thread):
    def __init__(self, house, number):
        super().__init__(daemon=True)
        self.house, self.number = house, number
        self.stopping, self.acknowledged, self.refused, self.slowest, self.error = False, 0, 0, 0, None

    def put(self, s3):
        start = time.monotonic()
        try:
            s3.put("keep", f"w{self.number}-{self.acknowledged}", body_of(self.number, self.acknowledged, 3000))
            self.acknowledged += 1
        except S3Error as error:
            check(error.status in REFUSED, "a put:", error)
            self.refused += 1
            time.sleep(0.05)
        self.slowest = max(self.slowest, time.monotonic() - start)

    def run(self):
        s3 = self.house.s3()
        try:
            while not self.stopping and self.acknowledged < PUTS_MAX:
                self.put(s3)
        except Exception as error:      # told by the scenario
            self.error = error


def read_all(house, writers, what):
    s3 = house.s3()
    for w in writers:
        for n in range(w.acknowledged):
            check(s3.get("keep", f"w{w.number}-{n}") == body_of(w.number, n, 3000), f"w{w.number}-{n} {what}")


def full(house, writers):
    wait_for("the store to say that the index is full", lambda: "is full" in note(house), 120, 0.2)
    say("full:", note(house)[:120])
    before = [w.refused for w in writers]
    wait_for("puts to be refused", lambda: all(w.refused > b for w, b in zip(writers, before)), 20, 0.1)
    for w in writers:
        w.stopping = True
    for w in writers:
        w.join(30)
        check(not w.is_alive() and w.error is None, "a writer:", w.error)
    say(f"{sum(w.acknowledged for w in writers)} puts acknowledged, {sum(w.refused for w in writers)} refused, "
        f"the slowest took {max(w.slowest for w in writers):.1f} s")


def reads_go_on(house, writers):
    pid = house.pid("store.0")
    read_all(house, writers, "while the index is full")
    s3 = house.s3()
    mine = f"w{writers[0].number}-"
    check(len(s3.keys("keep", mine)) == writers[0].acknowledged, "a list while the index is full")
    house.ctl("restart", "s3")
    wait_for("a new protocol server to read", lambda: s3.get("keep", mine + "0") == body_of(writers[0].number, 0, 3000), 30, 0.3)
    try:
        s3.delete("keep", mine + "0")
        check(False, "a delete was taken")
    except S3Error as error:
        check(error.status in REFUSED, "a delete:", error)
    check(house.pid("store.0") == pid, "the store restarted although there is no room")


def needed_mib(house):
    told = re.search(r"(\d+) MiB are needed", note(house))
    check(told is not None, note(house))
    return int(told.group(1))


def others_leave(base, mib):
    """So much room, by cutting the file that took it all."""
    v = os.statvfs(base)
    others = os.path.join(base, "others")
    os.truncate(others, os.path.getsize(others) - ((mib << 20) - v.f_bavail * v.f_frsize))


def too_little_is_left(house, base, writers):
    """16 MiB were enough to begin with, and the index in memory has more to write."""
    pid, mib = house.pid("store.0"), needed_mib(house)
    check(mib > 16, "what is in memory only is not counted:", note(house))
    others_leave(base, mib - 1)
    time.sleep(2)
    check(house.pid("store.0") == pid, f"the store starts anew with {mib - 1} MiB")
    read_all(house, writers[:1], "while there is too little room")


def inodes_fill(base):
    """Room, as the file system tells, and no file can be made."""
    os.mkdir(os.path.join(base, "many"))
    try:
        for n in range(100000):
            open(os.path.join(base, "many", str(n)), "x").close()
    except OSError:
        return
    check(False, "there is no end of files")


def start_that_fails_waits(house, base):
    inodes_fill(base)
    house.stop()
    house.start(wait=False)
    wait_for("the start to wait for room", lambda: "waiting for room" in note(house), 30, 0.2)
    pid = house.pid("store.0")
    say("a start that failed:", note(house)[:120])
    time.sleep(2)
    check(house.pid("store.0") == pid and "waiting for room" in note(house), "it ends and starts again and again")
    shutil.rmtree(os.path.join(base, "many"))
    os.unlink(os.path.join(base, "others"))
    house.ready()


def turn(house, base, number):
    writers = [Writer(house, 4 * number + n) for n in range(4)]
    for w in writers:
        w.start()
    time.sleep(1)
    fill(base)
    full(house, writers)
    reads_go_on(house, writers)
    if number == 1:
        kill_store(house)
    else:
        too_little_is_left(house, base, writers)
    os.unlink(os.path.join(base, "others"))
    wait_for("the store to write again", lambda: writable(house), 60, 0.3)
    read_all(house, writers, "when there was room again")
    check("full" not in note(house), note(house))
    return writers


def scenario():
    with tmpfs("size=48m,nr_inodes=1000") as [base], House(config={
            "store.index_dir": os.path.join(base, "index"), "store.index_flush_bytes": "1MiB"}) as house:
        house.s3().make_bucket("keep")
        for number in range(2):
            writers = turn(house, base, number)
        with open(os.path.join(base, "others"), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 20 << 20)
        start_that_fails_waits(house, base)
        read_all(house, writers, "after a start that failed")


def kill_store(house):
    os.kill(house.pid("store.0"), signal.SIGKILL)
    wait_for("the next one to wait for room", lambda: "waiting for room" in note(house), 30, 0.2)


def writable(house):
    try:
        house.s3().put("keep", "more", b"m")
        return True
    except S3Error:
        return False


if __name__ == "__main__":
    run(scenario)
