#!/usr/bin/python3
# A file system that goes read-only by itself after an error (ext4's errors=remount-ro): its drive is offline and the
# reason says read-only; the store goes on. The drives are loop devices, so it needs root.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess

from house import PATIENCE, House, body_of, check, run, say, skip, wait_for
from loops import LoopDrives


def drive(house, slot):
    return json.loads(house.ctl("drive", "list", "--json").stdout)[slot]


def stop(drives, number):
    name = os.path.basename(drives.devices[number - 1])
    path = drives.paths[number - 1]
    subprocess.run(["mount", "-o", "remount,errors=remount-ro", path], check=True)
    trigger = f"/sys/fs/ext4/{name}/trigger_fs_error"
    if not os.path.exists(trigger):
        skip("this kernel has no trigger_fs_error")
    with open(trigger, "w") as file:
        file.write("1")


def scenario():
    drives = LoopDrives(4, 256)
    try:
        with House(drive_paths=drives.paths) as house:
            s3 = house.s3()
            s3.make_bucket("stop")
            for n in range(20):
                s3.put("stop", f"k{n}", body_of(n, 1, 100000))
            stop(drives, 1)

            def offline():
                s3.put("stop", "k0", body_of(0, 1, 100000))
                return drive(house, 0)["state"] == "offline" and "read-only" in drive(house, 0)["note"]
            wait_for("the drive to be offline because it is read-only", offline, 30 * PATIENCE)
            say("slot 0:", drive(house, 0)["note"])
            check(not drive(house, 0)["writable"], drive(house, 0))
            check("read-only" in house.status_text(), house.status_text())
            for n in range(20):
                check(s3.get("stop", f"k{n}") == body_of(n, 1, 100000), f"k{n} reads back different")
            check(house.stop() == 0, "exit status")
    finally:
        drives.close()


run(scenario)
