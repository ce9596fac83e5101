#!/usr/bin/python3
# If-None-Match: * puts while the store is killed again and again, also between applying and answering: the
# client sees success and exactly one object; no put is told 412 because of its own first try.
#
# SPDX-License-Identifier: Apache-2.0
import os
import random
import signal
import threading
import time

from house import House, S3Error, check, run, say

PUTS = int(os.environ.get("PUTS", "500"))
CLIENTS = 5


def client(house, number, results):
    s3 = house.s3()
    for n in range(number, PUTS, CLIENTS):
        try:
            s3.put("once", f"k{n}", b"%d" % n, If_None_Match="*")
            results[n] = "ok"
        except S3Error as error:
            results[n] = str(error)
        except OSError as error:
            results[n] = repr(error)
            s3.close()


def killer(house, done, kills):
    rng = random.Random(1)
    while not done.is_set():
        time.sleep(rng.uniform(0.0, 0.15))
        try:
            os.kill(house.pid("store"), signal.SIGKILL)
            kills.append(1)
        except (AssertionError, OSError):
            pass


def scenario():
    with House(config={"supervisor.healthy_after": "0s"}) as house:
        house.s3().make_bucket("once")
        results, kills, done = {}, [], threading.Event()
        clients = [threading.Thread(target=client, args=(house, n, results)) for n in range(CLIENTS)]
        murder = threading.Thread(target=killer, args=(house, done, kills))
        for thread in (*clients, murder):
            thread.start()
        for thread in clients:
            thread.join()
        done.set()
        murder.join()
        house.ready()
        bad = {n: r for n, r in results.items() if r != "ok"}
        check(not bad, f"{len(bad)} of {PUTS} puts failed:", list(bad.items())[:3])
        s3 = house.s3()
        keys = [k for k, _, _ in s3.keys("once")]
        check(sorted(keys) == sorted(f"k{n}" for n in range(PUTS)), f"{len(keys)} objects, not {PUTS}")
        for n in range(PUTS):
            check(s3.get("once", f"k{n}") == b"%d" % n, f"k{n} has other bytes")
        status, _, _ = s3.request("PUT", "/once/k0", body=b"x", headers={"if-none-match": "*"})
        check(status == 412, f"a second put was answered {status}")
        say(f"{PUTS} conditional puts over {len(kills)} kills of the store: each succeeded exactly once")


run(scenario)
