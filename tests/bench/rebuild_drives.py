#!/usr/bin/python3
# rebuild_drives - bench_rebuild on six drives that are ext4 filesystems of their own, in loop images below a
# directory. They share what the directory lies on. Needs root. Prints ratios; no timed test.
#
# usage: tests/bench/rebuild_drives.py BENCH_REBUILD [DIRECTORY [MIB]]	default /var/tmp, 256
#
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import sys
import tempfile

DRIVES = 6


def main():
    program, where, mib = (sys.argv[1:] + ["/var/tmp", "256"][len(sys.argv) - 2:])[:3]
    base = tempfile.mkdtemp(prefix="hf-rebuild-", dir=where)
    try:
        for n in range(DRIVES):
            image, path = os.path.join(base, f"{n}.img"), os.path.join(base, f"d{n}")
            os.mkdir(path)
            with open(image, "wb") as file:
                file.truncate(2 * int(mib) + 256 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
            subprocess.run(["mount", "-o", "loop", image, path], check=True)
        subprocess.run([program, "-b", base, mib], check=True)
    finally:
        for n in range(DRIVES):
            subprocess.run(["umount", "-l", os.path.join(base, f"d{n}")], capture_output=True)
        shutil.rmtree(base, ignore_errors=True)


main()
