#!/usr/bin/python3
# Under a steady load from 16 clients, kill -9 of each service in turn, some within moments of each other,
# then of holdfastd itself followed by a start. Every acknowledged object reads back identical, none is
# half-written; killing the store causes no client error at all.
#
# KILLS (default 6; 20 in the long campaign) is how often each service is killed.
#
# SPDX-License-Identifier: Apache-2.0
import os
import signal
import time

from house import House, Load, alive, check, proof, run, say, wait_for

KILLS = int(os.environ.get("KILLS", "6"))


def generation(house, name):
    rows = house.services(name)
    return rows[0]["generation"] if rows else -1


def kill_and_wait(house, name, quick):
    """Kills when it has a process (a quick kill before may have led to a pause); waits until it runs again."""
    pid = wait_for(f"a process of {name}", lambda: house.services(name)[0].get("pid"), 40)
    before = generation(house, name)
    os.kill(pid, signal.SIGKILL)
    if quick:
        return
    wait_for(f"{name} to run again", lambda: generation(house, name) > before and
             all(r["state"] in ("running", "degraded") for r in house.services(name)), 40)


def kill_store(house):
    load = Load(house, bucket="store").start()
    time.sleep(1)
    for n in range(KILLS):
        kill_and_wait(house, "store", quick=n % 5 == 4)
        time.sleep(0.3 if n % 5 == 3 else 1.2)
    time.sleep(1)
    load.stop()
    count = load.verify()
    check(not load.errors and load.broken == 0,
          f"killing the store reached clients: {load.broken} broken, {load.errors[:3]}")
    proof("kills of processes", KILLS, "the store, under load: no error at all")
    say(f"store killed {KILLS} times: {load.acknowledged} operations, no error, {count} objects intact")


def kill_others(house):
    load = Load(house, bucket="others").start()
    for name in ("s3.0", "s3.1", "admin"):
        for n in range(KILLS):
            kill_and_wait(house, name, quick=n % 5 == 4)
            time.sleep(0.2 if n % 5 == 3 else 1.1)  # past healthy_after: no pause before the next start
    kill_and_wait(house, "s3.0", quick=True)
    kill_and_wait(house, "store", quick=True)
    kill_and_wait(house, "s3.1", quick=True)
    time.sleep(2)
    load.stop()
    count = load.verify()
    check(not load.errors, "a request was answered with an error:", *load.errors[:3])
    check(load.broken <= 16 * (2 * KILLS + 4), f"{load.broken} broken connections")
    proof("kills of processes", 3 * KILLS + 3, "s3 and admin, under load")
    say(f"others killed: {load.acknowledged} operations, {load.broken} connections broken, {count} intact")


def kill_supervisor(house):
    load = Load(house, bucket="supervisor").start()
    for _ in range(max(2, KILLS // 3)):
        time.sleep(1)
        pids = house.pids()
        house.kill()
        house.start()
        check(not [p for p in pids if alive(p)], "a service outlived its supervisor")
    time.sleep(1)
    load.stop()
    count = load.verify()
    say(f"holdfastd killed: {load.acknowledged} operations, {load.broken} broken, {count} intact")


def scenario():
    with House(config={"supervisor.healthy_after": "1s"}) as house:
        for bucket in ("store", "others", "supervisor"):
            house.s3().make_bucket(bucket)
        kill_store(house)
        kill_others(house)
        kill_supervisor(house)
        check(house.stop() == 0, "holdfastd did not end with 0")


run(scenario)
