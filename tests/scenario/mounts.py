# mounts - small file systems in memory, of a scenario's own. Where there can be none (only root may mount) the
# scenario is skipped.
#
# SPDX-License-Identifier: Apache-2.0
import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile

from house import skip


CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def own_table():
    """This process and its children get a mount table of their own: what others mount does not wake a store here. Who
    may not have one may not mount either. Before the first thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        return False
    if libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) != 0:
        raise OSError(ctypes.get_errno(), "cannot make the mount table private")
    return True


def mount_tmpfs(path, options):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "holdfast", path], capture_output=True)
    if done.returncode != 0:
        skip("cannot mount a tmpfs here (not root?)")


def unmount(path):
    """Also if somebody has something of it open."""
    subprocess.run(["umount", "-l", path], capture_output=True)


@contextlib.contextmanager
def tmpfs(options, names=("own",)):
    """The paths of file systems with these names, which are gone when the block ends."""
    base = tempfile.mkdtemp(prefix="holdfast-tmpfs-")
    paths = []
    try:
        for name in names:
            path = os.path.join(base, name)
            os.mkdir(path)
            mount_tmpfs(path, options)
            paths.append(path)
        yield paths
    finally:
        for path in paths:
            unmount(path)
        shutil.rmtree(base, ignore_errors=True)
