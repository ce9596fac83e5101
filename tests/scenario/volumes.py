#!/usr/bin/env python3
# volumes - long traffic of puts and deletes by the same processes: volumes that were filled are sealed and
# dropped while their holders live, so their files stay few; also over kills of the store. (That a rebuilt
# index says the same byte for byte is test_state_volume's.)
#
# SPDX-License-Identifier: Apache-2.0
import os
import random
import signal
import sys

from house import House, S3Error, body_of, check, run, say, wait_for

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
MIB = 1 << 20
CONFIG = {"store.volume_bytes": "16MiB", "store.segment_bytes": "4MiB", "store.reclaim_grace": "500ms",
          "s3.processes": "2"}
KEYS, ROUNDS = 6, 150


def volume_files(house):
    return {name for number in range(1, house.drives + 1)
            for name in os.listdir(os.path.join(house.drive(number), "vol"))}


def put(s3, key, version, size):
    while True:         # a store that is killed answers late, s3 waits for it
        try:
            return s3.put("bin", key, body_of(key, version, size))
        except S3Error as error:
            check(error.status == 503, error)


def traffic(house, dice, sizes):
    """Returns how many volumes were made, and the most that were there at once."""
    s3, most, made = house.s3(), 0, set()
    for i in range(ROUNDS):
        key, size = f"k{i % KEYS}", dice.randrange(MIB, 6 * MIB)
        put(s3, key, i, size)
        sizes[key] = i, size
        if dice.random() < 0.3:
            gone = dice.choice(sorted(sizes))
            s3.delete("bin", gone)
            del sizes[gone]
        if i % 40 == 20:
            os.kill(house.pid("store"), signal.SIGKILL)
        files = volume_files(house)
        made |= files
        most = max(most, len(files))
    return len(made), most


def scenario():
    dice, sizes = random.Random(SEED), {}
    with House(config=CONFIG) as house:
        house.s3().make_bucket("bin")
        made, most = traffic(house, dice, sizes)
        check(made > 14, "the traffic filled only", made, "volumes")
        say(f"{made} volumes were made, at most {most} were there at once")
        # Each process holds the volumes of its current run and of the next.
        wait_for("filled volumes to go while their holders live", lambda: len(volume_files(house)) <= KEYS + 4)
        s3 = house.s3()
        for key, (version, size) in sizes.items():
            check(s3.get("bin", key) == body_of(key, version, size), key, "is not what was put")
        for key in sizes:
            s3.delete("bin", key)
        wait_for("empty volumes to go while their holders live", lambda: len(volume_files(house)) <= 4)


run(scenario)
