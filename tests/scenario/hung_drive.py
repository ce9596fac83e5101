#!/usr/bin/python3
# A drive that hangs for those who read it: gets go on without it after s3.read_deadline, and do not wait again
# while it hangs; the store, which it does not hang for, has nothing to do with it. The drives are loop devices, and
# one is throttled to a byte a second for the S3 processes (blkio control group), so it needs root and those.
#
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import tempfile
import time

from house import PATIENCE, House, body_of, check, run, say, skip, wait_for

MIB = 1 << 20
GROUPS = "/sys/fs/cgroup/blkio"
SIZES = (3000, 200000, 3 * MIB)


class LoopDrives:
    def __init__(self, count, megabytes):
        if os.geteuid() != 0:
            skip("loop devices need root")
        if not os.path.exists(os.path.join(GROUPS, "blkio.throttle.read_bps_device")):
            skip("there is no blkio control group with throttling here")
        self.base = tempfile.mkdtemp(prefix="holdfast-loops-")
        self.group = tempfile.mkdtemp(prefix="holdfast-", dir=GROUPS)
        self.paths, self.devices = [], []
        for n in range(1, count + 1):
            self.add(n, megabytes)

    def add(self, n, megabytes):
        image, path = os.path.join(self.base, f"image{n}"), os.path.join(self.base, f"drive{n}")
        with open(image, "wb") as file:
            file.truncate(megabytes * MIB)
        os.mkdir(path)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", image], capture_output=True)
        loop = subprocess.run(["losetup", "--show", "-f", image], capture_output=True, text=True)
        if made.returncode != 0 or loop.returncode != 0:
            self.close()
            skip("cannot make a file system on a loop device here")
        self.devices.append(loop.stdout.strip())
        if subprocess.run(["mount", self.devices[-1], path], capture_output=True).returncode != 0:
            self.close()
            skip("cannot mount a loop device here")
        self.paths.append(path)
        os.rmdir(os.path.join(path, "lost+found"))

    def throttle(self, number, pids):
        for pid in pids:
            with open(os.path.join(self.group, "cgroup.procs"), "w") as file:
                file.write(str(pid))
        self.rate(number, 1)

    def rate(self, number, bytes_each_second):
        with open(f"/sys/block/{os.path.basename(self.devices[number - 1])}/dev") as file:
            device = file.read().strip()
        with open(os.path.join(self.group, "blkio.throttle.read_bps_device"), "w") as file:
            file.write(f"{device} {bytes_each_second}")

    def forget(self):
        """Nothing of the drives stays in the page cache."""
        os.sync()
        for path in self.paths:
            for directory, _, names in os.walk(path):
                for name in names:
                    with open(os.path.join(directory, name), "rb") as file:
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self):
        for n in range(len(self.devices)):
            self.rate(n + 1, 0)
        for path in self.paths:
            subprocess.run(["umount", "-l", path], capture_output=True)
        for device in self.devices:
            subprocess.run(["losetup", "-d", device], capture_output=True)
        try:
            with open(os.path.join(self.group, "cgroup.procs")) as file:
                for pid in file.read().split():
                    with open(os.path.join(GROUPS, "cgroup.procs"), "w") as root:
                        root.write(pid)
            os.rmdir(self.group)
        except OSError as error:
            say("the control group stays:", error)
        shutil.rmtree(self.base, ignore_errors=True)


def gets(house, count):
    """The longest of many gets, in seconds."""
    s3, longest = house.s3(), 0
    for n in range(count):
        for size in SIZES:
            began = time.monotonic()
            check(s3.get("hang", f"{size}/{n}") == body_of(n, size, size), f"{size}/{n} reads back different")
            longest = max(longest, time.monotonic() - began)
    return longest


def scenario():
    drives = LoopDrives(4, 256)
    try:
        with House(drive_paths=drives.paths, config={"s3.read_deadline": "1s"}) as house:
            s3 = house.s3()
            s3.make_bucket("hang")
            for n in range(8):
                for size in SIZES:
                    s3.put("hang", f"{size}/{n}", body_of(n, size, size))
            drives.forget()
            say(f"cold, all well: a get takes at most {gets(house, 8):.2f} s")
            drives.forget()
            drives.throttle(1, [row["pid"] for row in house.services("s3")])
            longest = gets(house, 8)
            say(f"one drive hangs: a get takes at most {longest:.2f} s")
            check(longest > 0.5, "the drive did not hang for it: the scenario shows nothing")
            check(longest < 10 * PATIENCE, "a get waited for the drive")
            drives.forget()
            again = gets(house, 8)
            say(f"... and when that is known {again:.2f} s")
            rows = [d for d in house.status() if d["service"] == "store"]
            check(rows[0]["state"] in ("running", "degraded"), rows)
            drives.rate(1, 0)
            wait_for("the reads to come back", lambda: gets(house, 8) < 2 * PATIENCE, 30, 0.5)
            check(house.stop() == 0, "exit status")
    finally:
        drives.close()


run(scenario)
