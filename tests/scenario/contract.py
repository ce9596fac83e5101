#!/usr/bin/python3
# The service contract: a stopped process is shown unknown or degraded within 5 s; a killed one has a higher
# generation; one disabled by the environment says so and why; reading status changes no I/O counter.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import time

from house import House, check, run, say, wait_for

PARTS = {"desired", "current", "status", "shutdown", "side_effects", "reconcile"}


def contracts(house):
    return {row["name"]: row for row in json.loads(house.ctl("services").stdout)}


def disk_writes(pid):
    with open(f"/proc/{pid}/io") as file:
        fields = dict(line.split(": ") for line in file.read().splitlines())
    return int(fields["write_bytes"]), int(fields["read_bytes"])


def scenario():
    with House() as house:
        for name, row in contracts(house).items():
            contract = row["contract"]
            check(contract and PARTS <= set(contract), f"{name}: parts missing from", contract)
            check(contract["desired"]["state"] == "enabled", f"{name}:", contract["desired"])
        pid = house.pid("s3.0")
        os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        wait_for("the stopped service to be shown", lambda: house.services("s3.0")[0]["state"] in
                 ("unknown", "degraded"), 5)
        say(f"a stopped service was shown after {time.monotonic() - stopped:.1f} s")
        os.kill(pid, signal.SIGCONT)
        wait_for("it to run again", lambda: house.services("s3.0")[0]["state"] == "running", 10)
        before = house.services("admin")[0]["generation"]
        os.kill(house.pid("admin"), signal.SIGKILL)
        wait_for("a higher generation", lambda: house.services("admin")[0]["generation"] > before and
                 house.services("admin")[0]["state"] == "running", 15)
        pids = house.pids()
        for last in (False, False, True):  # a page of a program that is read meanwhile comes once
            counters = [disk_writes(p) for p in pids]
            for _ in range(1000):
                house.ctl("status", "--json")
            after = [disk_writes(p) for p in pids]
            if after == counters:
                break
            check(not last, "reading status moved a disk counter", counters, after)
        check(house.stop() == 0, "exit status")
        house.env["HOLDFAST_ADMIN_ENABLED"] = "false"
        house.start()
        row = contracts(house)["admin.0"]
        check(row["desired"] == {"state": "disabled", "source": "env"} and row["state"] == "disabled",
              "disabled admin says", row)
        say("contract holds")


run(scenario)
