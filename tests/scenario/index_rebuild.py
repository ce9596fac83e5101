#!/usr/bin/python3
# Delete the index directory while the store is stopped: the next start rebuilds it, and everything is there.
# Then the same by `holdfastctl store rebuild-index', while everything runs. Then the index is lost under a
# store that is killed: it comes from its copy on a drive, and only what came after the copy is replayed; a
# copy of which a bit is wrong is refused, and the log gives the index.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal
import time

from house import House, Load, check, flip, run, say, wait_for


CONFIG = {"store.index_copy_interval": "1s"}


def store_status(house):
    return json.loads(house.ctl("services", "store").stdout)[0]["contract"]["status"]


def copy_of(house):
    return store_status(house).get("index_copy", {})


def copy_newer_than(house, lsn):
    wait_for("a copy of the index", lambda: copy_of(house).get("lsn", "") > lsn and
             not copy_of(house)["copying"], 60)
    copy = copy_of(house)
    check(copy["last_error"] == "" and copy["bytes"] > 0, "the copy:", copy)
    return copy


def lose_index(house, index):
    """The directory goes under the store, which is killed: stopped before, it removes no files at the same time."""
    generation = house.services("store")[0]["generation"]
    os.kill(house.pid("store"), signal.SIGSTOP)
    shutil.rmtree(index)
    os.kill(house.pid("store"), signal.SIGKILL)
    wait_for("the store to be back", lambda: house.services("store")[0]["generation"] > generation and
             all(r["state"] == "running" for r in house.status()), 60)
    return store_status(house)["recovery"]


def the_copy(house, index):
    copy = copy_newer_than(house, "")
    house.s3().make_bucket("second")
    load = Load(house, bucket="second").start()
    time.sleep(2)
    second = copy_newer_than(house, copy["lsn"])
    recovery = lose_index(house, index)
    check(recovery["index_restored"] and not recovery["index_rebuilt"], "not from the copy:", recovery)
    check("the index comes from the copy" in house.log("store.0"), "the store's log does not say so")
    load.stop()
    load.verify()
    newest = second["lsn"]
    for attempt in range(5):  # a vacuum may end between the copy and the kill: then that is the reason
        house.s3().put("second", f"attempt-{attempt}", b"a" * 3000)
        third = copy_newer_than(house, newest)
        newest = third["lsn"]
        directory = os.path.join(third["path"], "index")
        flip(os.path.join(directory, next(n for n in sorted(os.listdir(directory)) if n.endswith(".idx"))), 0)
        recovery = lose_index(house, index)
        if "behind the horizon" not in recovery["index_copy_refused"]:
            break
    check(not recovery["index_restored"] and "is damaged" in recovery["index_copy_refused"] and
          recovery["records"] > 0, "a damaged copy was taken:", recovery)
    load.verify()
    say(f"copy of {third['bytes']} bytes; refused: {recovery['index_copy_refused']}")


def scenario():
    with House(config=CONFIG) as house:
        house.s3().make_bucket("load")
        load = Load(house).start()
        time.sleep(4)
        load.stop()
        listing = house.s3().keys("load")
        check(house.stop() == 0, "exit status")
        index = os.path.join(house.data, "index")
        if not os.path.isdir(index):
            index = os.path.join(house.data, "state", "index")
        check(os.path.isdir(index), f"no index at {index}")
        shutil.rmtree(index)
        house.start()
        check(house.s3().keys("load") == listing, "the listing differs after a rebuild")
        before = house.pid("store.0")
        done = house.ctl("store", "rebuild-index")
        check("was built anew" in done.stdout, "it does not say so:", done.stdout, done.stderr)
        check(house.pid("store.0") != before, "the store was not restarted")
        check("the index is built anew" in house.log("store.0"), "the store's log does not say so")
        check(not os.path.exists(index + ".rebuild"), "the mark is still there")
        check(house.s3().keys("load") == listing, "the listing differs after rebuild-index")
        the_copy(house, index)
        say(f"{load.verify()} objects after {load.acknowledged} operations, same listing after the rebuild")


run(scenario)
