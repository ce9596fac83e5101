#!/usr/bin/python3
# The file system of the index, and of nothing else, is full: a start waits for room and says so, instead of
# ending again and again; a stop works meanwhile; with room it goes on by itself and nothing is lost. Needs root
# (tmpfs).
#
# SPDX-License-Identifier: Apache-2.0
import os

from house import House, body_of, check, run, say, wait_for
from mounts import tmpfs

def note(house):
    rows = house.services("store")
    return rows[0].get("note") or "" if rows else ""


def fill(path):
    with open(os.path.join(path, "others"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass


def waits(house):
    wait_for("the store to say that it waits for room", lambda: "waiting for room" in note(house), 30, 0.2)


def scenario():
    with tmpfs("size=96m") as [base], House(config={"store.index_dir": os.path.join(base, "index")}) as house:
        s3 = house.s3()
        s3.make_bucket("keep")
        for n in range(50):
            s3.put("keep", f"k{n}", body_of(n, 1, 5000))
        house.stop()
        fill(base)
        house.start(wait=False)
        waits(house)
        say("no room for the index:", note(house)[:100])
        check(house.stop() == 0, "a stop while it waits")
        house.start(wait=False)
        waits(house)
        os.unlink(os.path.join(base, "others"))
        house.ready()
        s3 = house.s3()
        for n in range(50):
            check(s3.get("keep", f"k{n}") == body_of(n, 1, 5000), f"k{n} reads back different")
        s3.put("keep", "more", b"m")
        say("room again: it went on by itself")


if __name__ == "__main__":
    run(scenario)
