#!/usr/bin/python3
# Segments that workers converted to shards, read by s3 as before: by processes that still know the mirrors, with
# bytes damaged on as many drives as may be lost, and with these drives gone, index and all. What objects of 4 KiB
# cost before and after is printed. The check of the stopped store names the damage and finds nothing lost.
#
# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import os
import random
import shutil

from house import House, body_of, check, run, say, wait_for

SEED = 7
SMALL, MIXED = 1600, 250
CONFIG = {
    "store.segment_bytes": "4MiB", "tasks.ec_quiet": "2s", "tasks.scan_interval": "300ms", "tasks.vacuum_again": "500ms",
    "worker.heartbeat_interval": "200ms", "worker.io_bytes_per_second": "0", "store.reclaim_grace": "200ms",
    "s3.processes": "2",
}


def size_of(key):
    number = int(key[1:])
    return 4096 if key[0] == "s" else 1 + number * 7919 % 60000


def files(house, ending):
    return [os.path.join(house.drive(n), "log", name) for n in range(1, house.drives + 1)
            for name in os.listdir(os.path.join(house.drive(n), "log")) if name.endswith(ending)]


def blocks(paths):
    return sum(os.stat(path).st_blocks * 512 for path in paths)


def each(house, keys, what):
    """With 16 connections at a time."""
    def some(part):
        s3 = house.s3()
        for key in part:
            what(s3, key)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(some, [keys[n::16] for n in range(16)]))


def put(s3, key):
    s3.put("bin", key, body_of(key, 1, size_of(key)))


def read(s3, key):
    check(s3.get("bin", key) == body_of(key, 1, size_of(key)), key, "has other bytes")


def converted(house):
    """Every segment but the open one and the one that is ready is in shards, and its mirrors are gone."""
    mirrors = {os.path.basename(path) for path in files(house, ".seg")}
    return len(mirrors) <= 2 and len(files(house, ".ecs")) >= 12


def damage(path, rng):
    with open(path, "r+b") as file:
        for at in range(rng.randrange(4096), os.path.getsize(path), 30000):
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1 << rng.randrange(8)]))


def drives_away(house, numbers, away):
    for number in numbers:
        path = house.drive(number)
        if away:
            os.rename(path, path + ".away")
            os.mkdir(path)
        else:
            shutil.rmtree(path)
            os.rename(path + ".away", path)


def scenario():
    rng = random.Random(SEED)
    small, mixed = [f"s{n}" for n in range(SMALL)], [f"m{n}" for n in range(MIXED)]
    with House(drives=4, config=CONFIG) as house:
        house.s3().make_bucket("bin")
        each(house, small, put)
        each(house, mixed, put)
        each(house, small + mixed, read)
        wait_for("segments to be converted", lambda: converted(house), 90, every=0.3)
        body = sum(size_of(key) for key in small + mixed)
        say(f"{len(files(house, '.ecs')) // 4} segments in shards, {blocks(files(house, '.ecs')) / body:.2f} of the "
            f"bodies' {body >> 20} MiB (2.00 is 2+2 with nothing besides)")
        each(house, small + mixed, read)
        for number in (1, 3):
            for path in files(house, ".ecs"):
                if path.startswith(house.drive(number) + "/"):
                    damage(path, rng)
        each(house, small + mixed, read)
        check(house.stop() == 0, "exit status")
        drives_away(house, (1, 3), True)
        for index in ("index", "state/index"):
            shutil.rmtree(os.path.join(house.data, index), ignore_errors=True)
        house.start()
        each(house, small + mixed, read)
        say("read with two of four drives damaged, and without them")
        house.stop()
        drives_away(house, (1, 3), False)
        dumped = house.ctl("store", "dump", "segments").stdout
        check("shard drive" in dumped and " of 2+2 shard_bytes=" in dumped, "dump segments:", dumped[-1000:])
        check("record " in house.ctl("store", "dump", "log").stdout, "dump log")
        where = house.ctl("store", "dump", "object", "bin", small[0]).stdout
        check(": shard " in where and ".ecs at " in where, "dump object:", where)
        check("coded" in house.ctl("store", "stat").stdout, "stat")
        found = house.ctl("store", "check", check_status=False)
        check("wrong bytes in block" in found.stdout and "0 lost" in found.stdout, "check:", found.stdout[-2000:])


run(scenario)
