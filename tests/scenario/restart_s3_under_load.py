#!/usr/bin/python3
# `holdfastctl restart s3` under load from clients that reconnect: no refused connection, no failed request.
#
# SPDX-License-Identifier: Apache-2.0
import time

from house import House, Load, check, run, say


def scenario():
    with House() as house:
        house.s3().make_bucket("load")
        load = Load(house, retry=False, sizes=(0, 100, 4096, 70000, 300000)).start()
        for _ in range(3):
            time.sleep(1)
            house.ctl("restart", "s3")
        time.sleep(1)
        load.stop()
        # http.client notices that a kept connection was closed only when it sends again; a server that
        # closes between requests cannot avoid that. Anything else is a failure.
        real = [e for e in load.errors if "RemoteDisconnected" not in e and "BrokenPipe" not in e
                and "ConnectionReset" not in e]
        check(not real, f"{len(real)} failures:", *real[:3])
        check(not [e for e in load.errors if "Refused" in e], "a connection was refused")
        count = load.verify()
        say(f"{load.acknowledged} operations over 3 restarts, {len(load.errors)} idle connections closed, "
            f"{count} objects intact")


run(scenario)
