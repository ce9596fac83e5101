#!/usr/bin/python3
# Delete the index directory while the store is stopped: the next start rebuilds it, and everything is there.
# Then the same by `holdfastctl store rebuild-index', while everything runs.
#
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import time

from house import House, Load, check, run, say


def scenario():
    with House() as house:
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
        say(f"{load.verify()} objects after {load.acknowledged} operations, same listing after the rebuild")


run(scenario)
