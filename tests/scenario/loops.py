# loops - drives on loop devices, each with a file system of its own, that can be throttled for some processes by a
# blkio control group. Where one is not root or has no such group the scenario is skipped.
#
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import tempfile

from house import say, skip
from mounts import unmount

MIB = 1 << 20
GROUPS = "/sys/fs/cgroup/blkio"
RATES = ("read_bps", "write_bps", "write_iops")


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

    def take(self, pids):
        """These processes are those that rate is for."""
        for pid in pids:
            with open(os.path.join(self.group, "cgroup.procs"), "w") as file:
                file.write(str(pid))

    def rate(self, number, each_second, what="read_bps"):
        """At most so many bytes read, or write_iops: writes, each second; 0: as many as it can."""
        with open(f"/sys/block/{os.path.basename(self.devices[number - 1])}/dev") as file:
            device = file.read().strip()
        with open(os.path.join(self.group, f"blkio.throttle.{what}_device"), "w") as file:
            file.write(f"{device} {each_second}")

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
            for what in RATES:
                self.rate(n + 1, 0, what)
        for path in self.paths:
            unmount(path)
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
