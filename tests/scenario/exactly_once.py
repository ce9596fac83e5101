#!/usr/bin/python3
# If-None-Match: * puts while the store is killed, at a random moment around each round of puts: the client sees
# success and exactly one object; no put is told 412 because of its own first try.
#
# ROUNDS (default 100) rounds of 5 puts, a kill in each. How many repeats the store answered from its sessions
# is printed: those are the puts that were applied and not answered when it died.
#
# SPDX-License-Identifier: Apache-2.0
import http.client
import os
import random
import signal
import threading
import time

from house import House, S3Error, check, proof, run, say, wait_for

ROUNDS = int(os.environ.get("ROUNDS", "100"))
CLIENTS = 5


class Client(threading.Thread):
    """Puts one key in each round, on one connection."""

    def __init__(self, house, number, start, done):
        super().__init__(daemon=True)
        self.house, self.number, self.begin, self.done, self.results = house, number, start, done, {}

    def run(self):
        s3 = self.house.s3()
        for n in range(ROUNDS):
            self.begin.wait()
            key = f"k{n}.{self.number}"
            try:
                s3.put("once", key, key.encode(), If_None_Match="*")
            except (S3Error, OSError, http.client.HTTPException) as error:
                self.results[key] = repr(error)
                s3.close()
            self.done.wait()


def repeats(house):
    return int(house.metrics("store").get("store_repeats_total", 0))


def scenario():
    with House(config={"supervisor.healthy_after": "0s"}) as house:
        house.s3().make_bucket("once")
        rng, repeated = random.Random(1), 0
        begin, done = threading.Barrier(CLIENTS + 1), threading.Barrier(CLIENTS + 1)
        clients = [Client(house, n, begin, done) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        for _ in range(ROUNDS):
            pid = wait_for("a store", lambda: house.pid("store"))
            begin.wait()
            time.sleep(rng.uniform(0, 0.008))
            os.kill(pid, signal.SIGKILL)
            done.wait()
            repeated += repeats(house)
        for client in clients:
            client.join()
        bad = {k: r for client in clients for k, r in client.results.items()}
        check(not bad, f"{len(bad)} of {ROUNDS * CLIENTS} puts failed:", list(bad.items())[:3])
        s3 = house.s3()
        keys = [k for k, _, _ in s3.keys("once")]
        check(sorted(keys) == sorted(f"k{n}.{c}" for n in range(ROUNDS) for c in range(CLIENTS)),
              f"{len(keys)} objects, not {ROUNDS * CLIENTS}")
        for key in keys:
            check(s3.get("once", key) == key.encode(), f"{key} has other bytes")
        status, _, _ = s3.request("PUT", "/once/k0.0", body=b"x", headers={"if-none-match": "*"})
        check(status == 412, f"a second put was answered {status}")
        say(f"{ROUNDS * CLIENTS} conditional puts, {ROUNDS} kills of the store, {repeated} puts answered from the "
            "session: each succeeded exactly once")
        proof("kills of processes", ROUNDS, f"the store, under {ROUNDS * CLIENTS} conditional puts: each happened once")


run(scenario)
