#!/usr/bin/python3
# Two of four drives (2+2, each an ext4 loop image) go away under use: lazily unmounted, in a second run
# failing with EIO (the filesystem is shut down), in a third turned read-only by a filesystem error. Status names
# both within 10 s, nothing stored is lost, and writing goes on; a tree that awscli copied in before comes out by
# rclone the same, and a large file. Needs root and loop devices. FILES (default 600) as in tree.py, LARGE_MIB (default 64).
#
# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time

from house import House, Load, body_of, check, run, say, skip, wait_for
from mounts import unmount
from tree import call, client_environment, digests, make_tree, tool

EXT4_IOC_SHUTDOWN = 0x8004587D
LARGE_MIB = int(os.environ.get("LARGE_MIB", "64"))
SIZES = (0, 1000, 40000, 65536, 65537, 200000, 3000000, 20000000)


def make_drives():
    base = tempfile.mkdtemp(prefix="holdfast-drives-")
    paths = []
    for n in range(1, 5):
        image, path = os.path.join(base, f"{n}.img"), os.path.join(base, f"drive{n}")
        os.mkdir(path)
        with open(image, "wb") as file:
            file.truncate((2 << 30) + 2 * (LARGE_MIB << 20))
        for command in (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop,errors=remount-ro", image, path]):
            done = subprocess.run(command, capture_output=True)
            if done.returncode != 0:
                remove_drives(base, paths)
                skip(f"cannot {command[0]} here: {done.stderr.decode().strip()}")
        shutil.rmtree(os.path.join(path, "lost+found"), ignore_errors=True)
        paths.append(path)
    return base, paths


def remove_drives(base, paths):
    for path in paths:
        unmount(path)
    shutil.rmtree(base, ignore_errors=True)


def shut_down(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", 2))
    finally:
        os.close(handle)


def make_read_only(path):
    """As the kernel does when it finds a filesystem damaged (errors=remount-ro)."""
    number = os.stat(path).st_dev
    device = os.path.basename(os.readlink(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"))
    with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w") as file:
        file.write("1")


def copy_in(house):
    """Returns the tree's directory."""
    directory = os.path.join(house.directory, "tree")
    make_tree(directory, int(os.environ.get("FILES", "600")))
    with open(os.path.join(directory, "large"), "wb") as file:
        file.write(os.urandom(LARGE_MIB << 20))
    endpoint, env = client_environment(house)
    aws = (tool("aws"), "--endpoint-url", endpoint, "s3")
    call(env, *aws, "mb", "s3://tree")
    call(env, *aws, "cp", "--recursive", "--only-show-errors", directory, "s3://tree/")
    return directory


def copy_out(house, directory):
    _, env = client_environment(house)
    call(env, tool("rclone"), "copy", "hf:tree", directory + ".back", "--transfers", "4", "--retries", "1")
    check(digests(directory + ".back") == digests(directory), "the tree came out different")
    shutil.rmtree(directory + ".back")


def lose(remove, what):
    base, paths = make_drives()
    try:
        with House(drive_paths=paths) as house:
            s3 = house.s3()
            s3.make_bucket("keep")
            s3.make_bucket("load")
            for size in SIZES:
                s3.put("keep", f"{size}", body_of("keep", size, size))
            directory = copy_in(house)
            load = Load(house, clients=4).start()
            time.sleep(2)
            for path in (paths[1], paths[3]):
                remove(path)
            start = time.monotonic()
            wait_for("status to name both drives", lambda: all(p in house.status_text() for p in (paths[1], paths[3])), 10)
            named = time.monotonic() - start
            time.sleep(2)
            load.stop()
            count = load.verify()
            s3 = house.s3()  # the first connection was idle for too long where the tree is large
            for size in SIZES:
                check(s3.get("keep", f"{size}") == body_of("keep", size, size), f"keep/{size} reads back different")
            check(not load.errors, "requests failed:", *load.errors[:3])
            say(f"{what}: both named after {named:.1f} s; {load.acknowledged} operations, {count} objects intact")
            copy_out(house, directory)
            house.restart()
            count = load.verify()
            copy_out(house, directory)
            for size in SIZES:
                check(house.s3().get("keep", f"{size}") == body_of("keep", size, size), f"keep/{size} after a restart")
            say(f"{what}: {count} objects intact after a restart without them")
    finally:
        remove_drives(base, paths)


def scenario():
    lose(unmount, "lazily unmounted")
    lose(shut_down, "failing with EIO")
    lose(make_read_only, "turned read-only")


if __name__ == "__main__":
    run(scenario)
