#!/usr/bin/python3
# A write of a shard fails once (EIO, put in by strace) while its drive stays: the body is stored with one shard less,
# and soon has all of them again, without anybody asking and though tasks.scan_interval is ten minutes: twice, the
# second time right after the first. The time from the answer to full redundancy is printed.
#
# SPDX-License-Identifier: Apache-2.0
import glob
import json
import os
import shutil
import subprocess
import time

from house import PATIENCE, House, body_of, check, run, say, skip, traced, wait_for

BODY_BYTES = 700000
CALLS = "pwrite64,pwritev,pwritev2"


def rebuilds(house, *which):
    """Drive rebuilds that wait or run, or those in a state."""
    tasks = json.loads(house.ctl("tasks", "list", *which, "--json").stdout)["tasks"]
    return sum(task["type"] == "drive_rebuild" for task in tasks)


def lacking(house):
    return sum(row["lacking_files"] + row["lacking_unsealed"]
               for row in json.loads(house.ctl("drive", "list", "--json").stdout))


def put_thin(house, s3, name):
    """The next write of a body to a shard of drive 2 fails."""
    pid, before = house.pid("s3.0"), house.metrics("store").get("store_degraded_writes_total", 0)
    paths = [word for path in glob.glob(os.path.join(house.drive(2), "vol", "*.vol")) for word in ("-P", path)]
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={CALLS}", "-e",
                               f"inject={CALLS}:error=EIO:when=1", "-p", str(pid), *paths], stderr=subprocess.DEVNULL)
    try:
        wait_for("strace to attach", lambda: tracer.poll() is not None or traced(pid))
        if tracer.poll() is not None:
            skip("strace may not attach to processes here")
        s3.put("thin", name, body_of(name, 1, BODY_BYTES))
    finally:
        tracer.terminate()
        tracer.wait()
    return house.metrics("store").get("store_degraded_writes_total", 0) > before


def scenario():
    if shutil.which("strace") is None:
        skip("strace is not installed")
    with House(config={"s3.processes": "1", "store.erasure": "2+2"}) as house:
        s3 = house.s3()
        s3.make_bucket("thin")
        wait_for("a worker", lambda: house.services("worker")[0]["state"] == "running", 30)
        for n in range(2):
            s3.put("thin", f"whole{n}", body_of(f"whole{n}", 1, BODY_BYTES))
            wait_for("earlier rebuilds to end", lambda: rebuilds(house) == 0, 60 * PATIENCE, 0.1)
            before = rebuilds(house, "completed")
            check(put_thin(house, s3, f"thin{n}"), "no write failed: the scenario shows nothing")
            began = time.monotonic()
            wait_for("the rebuild", lambda: rebuilds(house, "completed") > before, 60 * PATIENCE, 0.1)
            wait_for("nothing to be lacking", lambda: lacking(house) == 0, 10 * PATIENCE, 0.1)
            say(f"thin{n}: {time.monotonic() - began:.1f} s from the answer to full redundancy")
        for away in ((1, 3), (3, 4), (1, 4)):
            for number in away:
                os.rename(os.path.join(house.drive(number), "vol"), os.path.join(house.drive(number), "vol.away"))
            house.ctl("restart", "s3")
            wait_for("s3", lambda: house.services("s3")[0]["state"] == "running", 30 * PATIENCE)
            s3 = house.s3()
            for name in ("thin0", "thin1", "whole0", "whole1"):
                check(s3.get("thin", name) == body_of(name, 1, BODY_BYTES), f"{name} without drives {away}")
            for number in away:
                os.rename(os.path.join(house.drive(number), "vol.away"), os.path.join(house.drive(number), "vol"))
        house.stop()


run(scenario)
