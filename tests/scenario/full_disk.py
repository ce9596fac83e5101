#!/usr/bin/python3
# Full drives: a put is refused with 507, get, list and delete work, puts work again after deletes, and nothing
# that was acknowledged is lost. Then others take the rest, to the last byte, and mount drives read-only: it opens
# all the same, reads, says why, and writes again when it can. Four small filesystems of their own (tmpfs), so it
# needs root.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import urllib.request

from house import House, S3Error, body_of, check, run, say, wait_for
from mounts import tmpfs

MIB = 1 << 20


def fill_until_refused(s3, size):
    stored = []
    for n in range(10000):
        try:
            s3.put("full", f"{size}/{n}", body_of(n, size, size))
            stored.append(n)
        except S3Error as error:
            check(error.status == 507, f"a put into a full store was answered {error}")
            return stored
    raise AssertionError("the store never became full")


def intact(s3, size, stored):
    for n in stored:
        check(s3.get("full", f"{size}/{n}") == body_of(n, size, size), f"{size}/{n} reads back different")
    check(len(s3.keys("full", f"{size}/")) == len(stored), "the listing differs")


def refused(s3, what, *statuses):
    try:
        what()
    except S3Error as error:
        check(error.status in statuses, f"answered {error}")
        return True
    return False


def take_the_rest(paths):
    for path in paths:
        with open(os.path.join(path, "others"), "wb", buffering=0) as file:
            for size in (MIB, 4096):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass


def give_back(paths):
    for path in paths:
        os.unlink(os.path.join(path, "others"))


def catalogs_cut(paths):
    """As if nothing had been allocated ahead, and many changes had come since: no room behind the last one."""
    for path in paths:
        with open(os.path.join(path, "catalog"), "r+b") as file:
            used = len(file.read().rstrip(b"\0"))
            file.truncate((used + 4095) // 4096 * 4096)


def remount(paths, how):
    for path in paths:
        done = subprocess.run(["mount", "-o", "remount," + how, path], capture_output=True, text=True)
        check(done.returncode == 0, f"remount {how}: {done.stderr}")


def states(house):
    return [(d["state"], d["note"]) for d in json.loads(house.ctl("drive", "list", "--json").stdout)]


def health(house):
    with urllib.request.urlopen(f"http://127.0.0.1:{house.admin_port}/health/ready", timeout=30) as answer:
        return answer.read().decode()


def writes_again(house, key):
    def again():
        try:
            house.s3().put("full", key, b"a" * 5000)
            return True
        except S3Error as error:
            check(error.status in (507, 503), error)
            return False
    wait_for(f"puts to work again by themselves ({key})", again, 30, 0.5)


def others_fill(house, paths, rest, small):
    s3 = house.s3()
    take_the_rest(paths)
    intact(s3, 4 * MIB, rest)
    deleted = []
    for n in small[::2]:       # as far as the current segment goes
        if refused(s3, lambda: s3.delete("full", f"60000/{n}"), 507):
            break
        deleted.append(n)
    small = [n for n in small if n not in deleted]
    # What was allocated for this process before is room for some puts still.
    more = next((n for n in range(40) if refused(s3, lambda: s3.put("full", f"more/{n}", b"m" * (4 * MIB)), 507)), None)
    check(more is not None, "puts find room that is not there")
    check(all(s3.get("full", f"more/{n}") == b"m" * (4 * MIB) for n in range(more)), "more reads back different")
    intact(s3, 60000, small)
    say(f"no byte left while it runs: reads, {len(deleted)} deletes, puts get 507")
    house.stop()
    take_the_rest(paths)
    house.start()
    s3 = house.s3()
    last = small[-20:]              # the log needs another segment for them: the reserve has one
    for n in last:
        s3.delete("full", f"60000/{n}")
    small = small[:-20]
    check(refused(s3, lambda: s3.put("full", "more", b"m"), 507), "a put was taken where no byte is left")
    intact(s3, 60000, small)
    say(f"... and after a restart: {len(last)} deletes, from the reserve")
    house.stop()
    take_the_rest(paths)
    catalogs_cut(paths)
    take_the_rest(paths)
    house.start()
    s3 = house.s3()
    intact(s3, 4 * MIB, rest)
    intact(s3, 60000, small)
    check(s3.request("HEAD", f"/full/60000/{small[0]}")[0] == 200, "head")
    for what in (lambda: s3.put("full", "more", b"m"), lambda: s3.put("full", "more", b"m" * MIB),
                 lambda: s3.delete("full", f"60000/{small[0]}"), lambda: s3.make_bucket("another")):
        check(refused(s3, what, 507), "a change was taken by a store that cannot write")
    store = house.services("store")[0]
    check(store["state"] == "degraded" and "storage full" in store["note"], store)
    check([s for s, _ in states(house)] == ["full"] * 4, states(house))
    check("storage full" in health(house), health(house))
    say("no byte left, for catalogs neither: it opens read-only and says", store["note"][:120])
    give_back(paths)
    writes_again(house, "after-full")
    wait_for("the store to be well", lambda: [s for s, _ in states(house)] == ["online"] * 4, 30, 0.5)
    intact(house.s3(), 4 * MIB, rest)
    intact(house.s3(), 60000, small)
    say("room again: it writes, by itself")
    return small


def mounts_turn(house, paths, rest, small):
    house.stop()
    remount(paths[:1], "ro")
    house.start()
    check(states(house)[0][0] == "offline" and "ead-only" in states(house)[0][1], states(house))
    check([s for s, _ in states(house)[1:]] == ["online"] * 3, states(house))
    house.s3().put("full", "beside", b"b" * 5000)
    intact(house.s3(), 4 * MIB, rest)
    remount(paths[:1], "rw")
    wait_for("the drive to come back", lambda: states(house)[0][0] in ("online", "returning"), 60, 0.5)
    check(house.s3().get("full", "beside") == b"b" * 5000, "beside")
    say("one drive mounted read-only: that one only, and it comes back by itself")
    house.stop()
    remount(paths, "ro")
    house.start()
    intact(house.s3(), 4 * MIB, rest)
    check(refused(house.s3(), lambda: house.s3().put("full", "more", b"m"), 507), "a put onto read-only drives")
    check("read-only" in [s for s, _ in states(house)], states(house))
    remount(paths, "rw")
    writes_again(house, "after-ro")
    intact(house.s3(), 4 * MIB, rest)
    intact(house.s3(), 60000, small)
    say("all mounted read-only: read, refused with 507; writable again by itself")


def scenario():
    with tmpfs("size=512m", [f"drive{n}" for n in range(1, 5)]) as paths:
        with House(drive_paths=paths, config={"store.reclaim_grace": "1s"}) as house:
            s3 = house.s3()
            s3.make_bucket("full")
            stored = fill_until_refused(s3, 4 * MIB)
            say(f"full after {len(stored)} objects of 4 MiB: 507")
            note = wait_for("a status that says so", lambda: house.services("store")[0]["note"], 5)
            check("puts may be refused" in note and "slot 0" in note, note)
            intact(s3, 4 * MIB, stored)
            small = fill_until_refused(s3, 60000)
            say(f"... and {len(small)} of 60 kB")
            intact(s3, 60000, small)
            house.restart()
            s3 = house.s3()
            intact(s3, 4 * MIB, stored)
            for n in stored[::2]:
                s3.delete("full", f"{4 * MIB}/{n}")
            rest = stored[1::2]
            intact(s3, 4 * MIB, rest)

            def put_again():
                try:
                    s3.put("full", "again", b"a" * (4 * MIB))
                    return True
                except S3Error as error:
                    check(error.status == 507, error)
                    return False
            wait_for("puts to work again after the deletes", put_again, 30, 0.5)
            intact(s3, 4 * MIB, rest)
            intact(s3, 60000, small)
            check(s3.get("full", "again") == b"a" * (4 * MIB), "the new object reads back different")
            small = others_fill(house, paths, rest, small)
            mounts_turn(house, paths, rest, small)
            check(house.stop() == 0, "exit status")
            say("deletes made room; nothing acknowledged was lost")


if __name__ == "__main__":
    run(scenario)
