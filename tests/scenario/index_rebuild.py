#!/usr/bin/python3
# Delete the index directory while the store is stopped: the next start rebuilds it, and everything is there.
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
        say(f"{load.verify()} objects after {load.acknowledged} operations, same listing after the rebuild")


run(scenario)
