#!/usr/bin/env python3
# bit_rot - flipped bits, torn and emptied files of every kind on as many drives as may be lost (two of
# four), while the store is stopped and while it runs: the store starts, every byte comes back right, and
# what was found is reported.
#
#   bit_rot.py [SEED [ROUNDS]]
#
# SPDX-License-Identifier: Apache-2.0
import os
import random
import sys

from house import House, S3Error, body_of, check, run, say

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 6
CONFIG = {"store.segment_bytes": "4MiB", "store.volume_bytes": "16MiB", "store.index_flush_bytes": "1MiB"}
SIZES = (0, 1, 100, 4096, 30000, 65536, 65537, 200000, 700000, 2000000)
DAMAGED = 2


def files_of(house, drive):
    """Every file of a drive except its identity, with a weight by kind: (path, kind)."""
    found = []
    for directory, _, names in os.walk(house.drive(drive)):
        for name in names:
            kind = os.path.basename(directory) if os.path.basename(directory) in ("log", "vol") else name
            if os.path.basename(directory) != "quarantine":
                found.append((os.path.join(directory, name), kind))
    return sorted(found)


def allocated(path, rng):
    """An offset where a file has data, so that damage is not lost in a hole."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        for _ in range(50):
            at = rng.randrange(size)
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                continue
            return min(size - 1, start + rng.randrange(4096))
    return 0


def damage(path, rng, keep_size):
    size = os.path.getsize(path)
    if size == 0:
        return "nothing"
    how = rng.choice(("flip", "flip", "page", "head") if keep_size else ("flip", "page", "head", "cut", "empty"))
    with open(path, "r+b") as file:
        if how == "flip":
            at = allocated(path, rng)
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1 << rng.randrange(8)]))
            return f"flip at {at}"
        if how == "page":
            at = allocated(path, rng) & ~4095
            file.seek(at)
            file.write(rng.randbytes(min(4096, size - at)))
            return f"page at {at}"
        if how == "head":
            file.write(rng.randbytes(min(64, size)))
            return "head"
        file.truncate(rng.randrange(size) if how == "cut" else 0)
        return how


def spoil(house, rng, drives, running):
    """Half of the files of each drive; `drive' itself only in one round of a few."""
    done = []
    for drive in drives:
        for path, kind in files_of(house, drive):
            if kind == "drive" and rng.random() < 0.8 or rng.random() < 0.4:
                continue
            if running and kind not in ("log", "vol"):
                continue
            try:
                done.append((os.path.relpath(path, house.data), damage(path, rng, running)))
            except FileNotFoundError:
                check(running, f"{path} went while nothing ran")  # dropped, or converted
    return done


def spoil_index(house, rng):
    directory = os.path.join(house.data, "index")
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and rng.random() < 0.5:
            damage(path, rng, False)


def verify(house, objects):
    s3 = house.s3()
    for key, size in objects.items():
        try:
            body = s3.get("rot", key)
        except S3Error as error:
            raise AssertionError(f"{key} of {size} bytes: {error}") from error
        check(body == body_of(key, 1, size), f"{key} of {size} bytes: WRONG BYTES of {len(body)}")
    check({k for k, _, _ in s3.keys("rot")} == set(objects), "the listing differs")


def remove(house, objects, spoiled):
    """With two catalogs or drive files gone the set is read-only by design; otherwise it must take deletes."""
    catalogs = {os.path.dirname(p) for p in spoiled if os.path.basename(p) in ("catalog", "drive")}
    if len(catalogs) >= DAMAGED and "read-only" in house.status_text():
        say("... read-only, as a set is that misses two catalogs")
    else:
        for key in objects:
            house.s3().delete("rot", key)
    objects.clear()


def scenario():
    rng = random.Random(SEED)
    with House(config=CONFIG) as house:
        s3 = house.s3()
        s3.make_bucket("rot")
        objects = {}

        def more(round_number):
            for n in range(40):
                key = f"r{round_number}/{n}"
                objects[key] = rng.choice(SIZES)
                house.s3().put("rot", key, body_of(key, 1, objects[key]))

        for number in range(ROUNDS):
            # Each round on a store of its own time: what earlier rounds spoiled is not whole any more.
            more(number)
            drives = rng.sample(range(1, 5), DAMAGED)
            running = number % 2 == 1
            if not running:
                house.stop()
            done = spoil(house, rng, drives, running)
            if not running and rng.random() < 0.5:
                spoil_index(house, rng)
            say(f"round {number}: drives {drives} {'running' if running else 'stopped'}: {len(done)} files")
            for line in done:
                print("   ", *line)
            if not running:
                house.start()
            for path, how in done:
                # Of a drive whose identity is gone too, only that is told: it is out.
                known = os.path.dirname(path) + "/drive" not in dict(done)
                if path.endswith("/catalog") and how in ("head", "empty") and known:
                    check(f"{path} has no whole snapshot" in house.log("store"), f"nothing said of {path}")
            verify(house, objects)
            house.restart()
            verify(house, objects)
            remove(house, objects, [path for path, _ in done])
            text = house.log("store") + house.log("s3-1") + house.log("s3-2") + house.log("s3")
            check("ssert" not in text, "an assertion failed")
            house.clean()
            house.__init__(config=CONFIG)
            house.start()
            house.s3().make_bucket("rot")


run(scenario)
