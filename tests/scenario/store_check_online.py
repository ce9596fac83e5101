#!/usr/bin/python3
# store_check_online - `holdfastctl store check' while the store runs. Under load, with segments converted, vacuumed
# and dropped and objects deleted all the time, it finds nothing. Then bits are flipped in the files of the running
# store, in a mirror, in a unit of a volume and in the copy of the index: each is named with drive, file, place and
# object. Ctrl-C ends it at once with its own exit status; so does the end of the store, with a sentence.
#
# SPDX-License-Identifier: Apache-2.0
import glob
import os
import re
import signal
import subprocess
import time

from house import HOLDFASTCTL, PATIENCE, House, Load, body_of, check, flip, run, say, wait_for, where

CONFIG = {
    "store.segment_bytes": "4MiB", "store.volume_bytes": "16MiB", "store.reclaim_grace": "200ms",
    "store.index_copy_interval": "1s", "tasks.ec_quiet": "1s", "tasks.scan_interval": "300ms",
    "tasks.vacuum_again": "500ms", "tasks.merge_window": "0s", "worker.heartbeat_interval": "200ms",
}
CLEAN, USAGE, CANCELLED, DEGRADED = 0, 2, 3, 4
CHECKS = 4


def store_check(house, expected, *words):
    began = time.monotonic()
    for _ in range(3):
        done = house.ctl("store", "check", *words, check_status=False, timeout=120)
        if "it was not compared with the log" not in done.stdout:
            break               # else too much was dropped while it tried: stated, and no fault
    say(f"check ended with {done.returncode} after {time.monotonic() - began:.2f} s:",
        *done.stdout.strip().splitlines()[-1:], *re.findall(r"looked at again +\d+", done.stdout))
    check(done.returncode == expected, f"check ended with {done.returncode}, not {expected}:\n", done.stdout,
          done.stderr)
    check("The store runs" in done.stderr, "the store does not run:", done.stderr)
    check("warn" not in done.stderr, "the check's loop was disturbed:", done.stderr)
    return done.stdout


def faults(text):
    return [line for line in text.splitlines() if re.match(r"(lost|degraded|harmless) ", line)]


def under_load(house):
    load = Load(house, clients=8).start()
    time.sleep(2)
    for _ in range(CHECKS):
        text = store_check(house, CLEAN, "--mib-per-second", "0")
        check(not faults(text), "a clean store is said to be faulty:\n", text)
    load.stop()
    load.verify()
    wait_for("a copy of the index", lambda: copy_files(house), 20)
    return load.acknowledged


def checkpoints(house):
    return set(glob.glob(os.path.join(house.data, "**", "*.walks", "*"), recursive=True))


def ended(house, how, act, status, text, seconds):
    """A check that reads 1 MiB/s, when something happens to it or to the store."""
    before = checkpoints(house)
    process = subprocess.Popen([HOLDFASTCTL, "-c", os.path.join(house.data, "holdfast.conf"), "store", "check",
                                "--mib-per-second", "1"], env=house.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for("its checkpoint", lambda: checkpoints(house) - before)
    time.sleep(0.5)
    check(process.poll() is None, "it did not wait, for a limit of 1 MiB/s")
    act(process)
    began = time.monotonic()
    out, err = process.communicate(timeout=100)
    took = time.monotonic() - began
    check(process.returncode == status and re.search(text, err), f"after {how}:", process.returncode, out, err)
    check("warn" not in err, "the check's loop was disturbed:", err)
    check(took < seconds * PATIENCE, f"after {how} it took {took:.1f} s")
    say(f"after {how} it ended in {took:.1f} s:", err.strip().splitlines()[-1])


def interrupted(house):
    ended(house, "Ctrl-C", lambda process: process.send_signal(signal.SIGINT), CANCELLED, "cancelled", 1)


def abandoned(house):
    # One that is back before long is asked for another checkpoint.
    ended(house, "a kill of everything", lambda _: house.kill(), USAGE, "went away .* check again", 2)
    house.start()


def copy_files(house):
    directories = [os.path.join(house.drive(n), "index") for n in range(1, 5)]
    return [os.path.join(d, name) for d in directories if os.path.isdir(d) for name in sorted(os.listdir(d))
            if name.endswith(".idx")]


def flipped(house):
    # From here on everything stays where it is.
    house.env.update({"HOLDFAST_TASKS_TYPES": "", "HOLDFAST_STORE_INDEX_COPY_INTERVAL": "1h"})
    check(house.stop() == 0, "exit status")
    house.start()
    s3 = house.s3()
    s3.make_bucket("bin")
    for key, size in (("small", 30000), ("large", 700000)):
        s3.put("bin", key, body_of(key, 1, size))
    check(house.stop() == 0, "exit status")
    places = {key: where(house, "bin", key)[0] for key in ("small", "large")}
    house.start()
    s3 = house.s3()
    for _, path, at in places.values():
        flip(path, at + 11)
    copy = copy_files(house)[0]
    flip(copy, 0)
    text = store_check(house, DEGRADED)
    for key, kind in (("small", "record"), ("large", "unit")):
        drive, path, _ = places[key]
        found = [line for line in faults(text) if line.startswith(f"degraded  {kind} drive {drive} {path} at ") and
                 line.endswith(f"(object bin/{key})")]
        check(len(found) == 1, f"{key} is not named:\n", text)
        say(found[0])
    found = [line for line in faults(text) if line.startswith("harmless  index copy") and copy in line]
    check(len(found) == 1, "the copy of the index is not named:\n", text)
    # The batch in the mirror, the record in it, the unit, the copy; nothing else.
    check(len(faults(text)) == 4, "more than what was flipped:\n", text)
    for key, size in (("small", 30000), ("large", 700000)):
        check(s3.get("bin", key) == body_of(key, 1, size), key, "has wrong bytes")
    for _, path, at in places.values():
        flip(path, at + 11)
    flip(copy, 0)
    check(not faults(store_check(house, CLEAN)), "faults after the bits were put back")


def scenario():
    with House(config=CONFIG) as house:
        house.s3().make_bucket("load")
        operations = under_load(house)
        interrupted(house)
        abandoned(house)
        flipped(house)
        say(f"{CHECKS} checks beside {operations} operations, nothing; three flipped bits, each named")


run(scenario)
