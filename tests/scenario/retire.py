#!/usr/bin/python3
# A drive that works is retired under load: a new one takes over, its files are copied by a worker, and the store is
# killed twice in between, with the old path in its config. Then the old drive is taken away, and two others: what is
# left reads everything back, so the new one has it all.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import time

from house import House, Load, body_of, check, run, say, wait_for

SIZES = (0, 1000, 40000, 65537, 3000000, 20000000)


def drives(house):
    done = house.ctl("drive", "list", "--json", check_status=False)
    return json.loads(done.stdout) if done.returncode == 0 else []


def drive(house, slot):
    known = drives(house)
    return known[slot] if known else {"state": "starting"}


def moved(house, slot):
    known = drive(house, slot)
    return known["state"] == "online" and "moves_from" not in known


def kill_store(house):
    os.kill(house.pid("store.0"), signal.SIGKILL)
    wait_for("the store to be back", lambda: drive(house, 0)["state"] not in ("starting", "offline"), 30)


def links(path):
    return [name for sub in ("log", "vol") for name in os.listdir(os.path.join(path, sub))
            if os.path.islink(os.path.join(path, sub, name))]


def take_away(house, path):
    os.rename(path, path + ".away")


def put_all(s3, prefix):
    for size in SIZES:
        s3.put("keep", f"{prefix}-{size}", body_of("keep", size, size))


def read_all(house, what):
    s3 = house.s3()
    for prefix in ("before", "meanwhile"):
        for size in SIZES:
            check(s3.get("keep", f"{prefix}-{size}") == body_of("keep", size, size), f"{prefix}-{size} {what}")


def refusals(house, new):
    done = house.ctl("drive", "retire", "1", check_status=False)
    check(done.returncode != 0 and "no spare slot" in done.stderr, done.stderr)
    done = house.ctl("drive", "retire", "1", house.drive(3), check_status=False)
    check(done.returncode != 0 and "is slot 2" in done.stderr, done.stderr)
    with open(os.path.join(new, "photo"), "w") as file:
        file.write("not empty")
    done = house.ctl("drive", "retire", "1", new, check_status=False)
    check(done.returncode != 0 and "photo" in done.stderr, done.stderr)
    os.unlink(os.path.join(new, "photo"))


def scenario():
    with House(config={"tasks.scan_interval": "300ms", "supervisor.backoff_min": "20ms",
                       "worker.rebuild_bytes_per_second": "20MiB"}) as house:
        s3 = house.s3()
        s3.make_bucket("keep")
        s3.make_bucket("load")
        put_all(s3, "before")
        old, new = house.drive(2), os.path.join(house.data, "drive-new")
        os.mkdir(new)
        owner = os.stat(old)
        os.chown(new, owner.st_uid, owner.st_gid)
        refusals(house, new)
        load = Load(house, clients=4).start()
        time.sleep(1)
        start = time.monotonic()
        say(house.ctl("drive", "retire", "1", new).stdout.strip())
        check(drive(house, 1)["path"] == new and drive(house, 1)["state"] == "moving", drives(house))
        done = house.ctl("drive", "retire", "1", new + "2", check_status=False)
        check(done.returncode != 0 and "takes over" in done.stderr, done.stderr)
        kill_store(house)
        check(drive(house, 1)["path"] == new, "a start with the old path does not follow:", drives(house))
        put_all(house.s3(), "meanwhile")
        time.sleep(1)
        kill_store(house)
        wait_for("the drive to be copied", lambda: moved(house, 1), 120, 0.2)
        say(f"copied after {time.monotonic() - start:.1f} s")
        check(not links(new), "links are left:", links(new))
        check(all(d["state"] == "online" for d in drives(house)), drives(house))
        load.stop()
        report = house.ctl("store", "check").stdout
        check("0 lost, 0 degraded" in report, "with the old path in the config:", report[-600:])
        check(not load.errors, "requests failed:", *load.errors[:3])
        take_away(house, old)
        for number in (3, 4):
            take_away(house, house.drive(number))
        wait_for("two drives to be missed", lambda: [d["state"] for d in drives(house)].count("offline") == 2, 30)
        read_all(house, "is lost without two drives")
        count = load.verify()
        say(f"{load.acknowledged} operations, {count} objects intact on the new drive and another")


run(scenario)
