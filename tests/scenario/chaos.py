#!/usr/bin/python3
# chaos - everything breaks that may, in random order and together, under puts, overwrites, deletes, copies and
# multipart uploads, while segments are converted and vacuumed: services and holdfastd are killed, stopped and
# frozen, drives (4+2, each an ext4 file system of its own) pulled, filled, hung, turned read-only, damaged, replaced
# and retired, on two drives at once and never more. No request may fail but for a connection that broke, and for want
# of room while a drive is full. When all is well again, every drive has what it should, the check finds nothing,
# everything acknowledged reads back, also without any two drives, an index made anew says the same, and no process
# has grown beyond its bound.
#
#   CHAOS_SEED=7 CHAOS_SECONDS=3600 tests/run-scenarios --timeout 7200 chaos      a campaign; 40 s without
#
# A seed gives the same events in the same order, not at the same instants. Needs root and loop devices.
#
# SPDX-License-Identifier: Apache-2.0
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from drive_loss import make_read_only
from house import House, check, flip, proof, run, say, skip, wait_for
from mixed import CONFIG, MIB, Mixed

SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
SECONDS = float(os.environ.get("CHAOS_SECONDS", "40"))
SLOTS, BROKEN_MAX = 6, 2
DISK_BYTES = 2 << 30
MEMORY_MAX = {"store": 400 * MIB, "s3": 300 * MIB, "worker": 300 * MIB, "tasks": 100 * MIB, "admin": 100 * MIB}
FILES_MAX = 1500
HOUSE = {**CONFIG, "store.erasure": "4+2", "s3.read_deadline": "1s", "s3.write_deadline": "2s",
         "tasks.ec_quiet": "1s", "tasks.scan_interval": "300ms", "tasks.vacuum_again": "500ms",
         "tasks.merge_window": "0s", "tasks.cancel_hold": "0s", "tasks.start_timeout": "2s",
         "worker.processes": "2", "worker.heartbeat_interval": "200ms", "supervisor.healthy_after": "0s",
         "supervisor.backoff_min": "20ms"}


class Drives:
    """What an operator's hands do: images are disks, paths are bays."""

    def __init__(self):
        self.base, self.made = tempfile.mkdtemp(prefix="holdfast-chaos-"), 0
        self.paths, self.images = [], {}
        for n in range(SLOTS):
            self.paths.append(os.path.join(self.base, f"drive{n}"))
            self.new(self.paths[n])

    def call(self, *command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 and self.made <= SLOTS:
            self.close()
            skip(f"cannot {command[0]} here: {done.stderr.strip()}")
        check(done.returncode == 0, *command, done.stderr)

    def new(self, path):
        """An empty disk in a bay."""
        self.made += 1
        image = os.path.join(self.base, f"{self.made}.img")
        with open(image, "wb") as file:
            file.truncate(DISK_BYTES)
        self.call("mkfs.ext4", "-q", "-F", image)
        os.makedirs(path, exist_ok=True)
        if path in self.images:
            os.unlink(self.images[path])
        self.images[path] = image
        self.mount(path)
        shutil.rmtree(os.path.join(path, "lost+found"), ignore_errors=True)
        owner = os.stat(self.paths[0])
        os.chown(path, owner.st_uid, owner.st_gid)

    def mount(self, path):
        self.call("mount", "-o", "loop,errors=remount-ro", self.images[path], path)

    def unmount(self, path):
        self.call("umount", "-l", path)

    def in_use(self, path):
        """Somebody still has something open on what was mounted there."""
        return subprocess.run(["losetup", "-j", self.images[path]], capture_output=True, check=True).stdout != b""

    def close(self):
        for path in self.images:
            subprocess.run(["fsfreeze", "-u", path], capture_output=True)
            subprocess.run(["umount", "-l", path], capture_output=True)
        shutil.rmtree(self.base, ignore_errors=True)


class Chaos:
    """Each event is a thread. While one of a drive lives, its slot is broken."""

    OF_PROCESSES = ("kill",) * 4 + ("stop",) * 2 + ("restart", "seal")
    OF_DRIVES = ("pull",) * 3 + ("replace", "fill", "hang", "read_only", "rot", "retire")

    def __init__(self, house, drives, rng):
        self.house, self.drives, self.rng = house, drives, rng
        self.under_way, self.failed, self.count, self.most = {}, [], {}, {}
        self.restarting = threading.Lock()

    # --- what is asked

    def listed(self):
        done = self.house.ctl("drive", "list", "--json", check_status=False)
        return json.loads(done.stdout) if done.returncode == 0 else []

    def whole(self, slot):
        """A drive has all that it should."""
        rows = self.listed()
        return rows and rows[slot]["state"] == "online" and "moves_from" not in rows[slot] and \
            rows[slot]["lacking_files"] + rows[slot]["lacking_unsealed"] == 0

    def offline(self, slot, yes=True):
        rows = self.listed()
        return rows and (rows[slot]["state"] == "offline") == yes

    def moves_to(self, slot, path):
        rows = self.listed()
        return rows and rows[slot]["path"] == path

    def ordered(self, *words):
        return self.house.ctl(*words, check_status=False).returncode == 0

    def signal(self, rng, name, number):
        rows = [r for r in self.house.services(name) if r.get("pid")]
        pid = rng.choice(rows)["pid"] if rows else 0
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    # --- processes

    def kill(self, rng):
        self.signal(rng, rng.choice(("store", "store", "s3", "worker", "worker", "tasks", "admin")), signal.SIGKILL)

    def stop(self, rng):
        name, seconds = rng.choice(("store", "s3", "worker", "worker", "tasks")), rng.choice((0.2, 1, 4))
        pid = self.signal(rng, name, signal.SIGSTOP)
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGCONT)

    def restart(self, rng):
        with self.restarting:
            if rng.random() < 0.5:
                self.house.kill()
                wait_for("holdfastd to start", self.started, 60, 0.5)
            else:
                self.house.restart()

    def started(self):
        """As an init system does, again and again: what hangs in a drive has the ports until that goes on."""
        with contextlib.suppress(AssertionError):
            return self.house.start()
        check(self.house.process.poll() is not None, "holdfastd is not ready")

    def seal(self, _):
        self.house.ctl("store", "seal", check_status=False)

    # --- drives

    def pull(self, rng, slot):
        self.drives.unmount(self.drives.paths[slot])
        time.sleep(rng.uniform(0.1, 8))
        self.drives.mount(self.drives.paths[slot])

    def replace(self, rng, slot):
        path, seconds = self.drives.paths[slot], rng.uniform(0, 3)
        self.drives.unmount(path)
        wait_for(f"drive {slot} to be missed", lambda: self.offline(slot), 60)
        time.sleep(seconds)
        self.drives.new(path)
        wait_for(f"drive {slot} to be replaced", lambda: self.ordered("drive", "replace", str(slot)) or
                 self.offline(slot, False), 60)

    def fill(self, rng, slot):
        path, seconds = os.path.join(self.drives.paths[slot], "ballast"), rng.uniform(1, 6)
        with open(path, "wb") as file:
            with contextlib.suppress(OSError):
                for _ in range(DISK_BYTES // MIB):
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, MIB)
        time.sleep(seconds)
        os.unlink(path)

    def hang(self, rng, slot):
        path, seconds = self.drives.paths[slot], rng.uniform(0.2, 7)
        subprocess.run(["fsfreeze", "-f", path], check=True)
        time.sleep(seconds)
        subprocess.run(["fsfreeze", "-u", path], check=True)

    def read_only(self, rng, slot):
        path, seconds = self.drives.paths[slot], rng.uniform(0.5, 4)
        make_read_only(path)
        time.sleep(seconds)
        self.drives.unmount(path)
        wait_for(f"drive {slot} to be let go of", lambda: not self.drives.in_use(path), 60)
        subprocess.run(["e2fsck", "-f", "-y", self.drives.images[path]], capture_output=True)
        self.drives.mount(path)

    def rot(self, rng, slot):
        """Bits of it flip, and after a while the operator replaces it."""
        files = [os.path.join(self.drives.paths[slot], part, name) for part in ("log", "vol")
                 for name in sorted(os.listdir(os.path.join(self.drives.paths[slot], part)))]
        for path in rng.sample(files, min(len(files), 8)):
            with contextlib.suppress(OSError, ValueError):
                for _ in range(20):
                    flip(path, rng.randrange(os.stat(path).st_size))
        time.sleep(rng.uniform(0.5, 4))
        self.replace(rng, slot)

    def retire(self, _, slot):
        old, new = self.drives.paths[slot], os.path.join(self.drives.base, f"bay{self.drives.made}")
        self.drives.new(new)
        wait_for(f"drive {slot} to be retired", lambda: self.ordered("drive", "retire", str(slot), new) or
                 self.moves_to(slot, new), 60)
        wait_for(f"drive {slot} to be copied", lambda: self.whole(slot), 120)
        with self.restarting:
            self.drives.paths[slot] = new
            self.house.env["HOLDFAST_STORE_DRIVES"] = " ".join(self.drives.paths)
            self.house.restart()
        self.drives.unmount(old)

    # --- all of it

    def live(self, name, slot, seed):
        rng = random.Random(seed)
        try:
            if slot is None:
                getattr(self, name)(rng)
            else:
                getattr(self, name)(rng, slot)
                wait_for(f"drive {slot} to be whole again", lambda: self.whole(slot), 120, 0.2)
                say("    whole  drive", slot)
        except Exception as error:      # whatever it is: the scenario says it, and fails
            self.failed.append(f"{name} of drive {slot}: {error!r}")
            say("FAILED:", self.failed[-1])

    def begin(self):
        for thread in [t for t in self.under_way if not t.is_alive()]:
            del self.under_way[thread]
        broken = [slot for slot in self.under_way.values() if slot is not None]
        whole = [slot for slot in range(SLOTS) if slot not in broken]
        names = self.OF_PROCESSES + (self.OF_DRIVES if len(broken) < BROKEN_MAX else ())
        name, slot, seed = self.rng.choice(names), self.rng.choice(whole), self.rng.random()
        slot = slot if name in self.OF_DRIVES else None
        self.count[name] = self.count.get(name, 0) + 1
        say(f"{name:10}" + ("" if slot is None else f"drive {slot}"))
        thread = threading.Thread(target=self.live, args=(name, slot, seed), daemon=True)
        self.under_way[thread] = slot
        thread.start()

    def look(self):
        """Memory and open files of each process, and the most of each service."""
        for row in self.house.status():
            with contextlib.suppress(OSError, KeyError):
                with open(f"/proc/{row['pid']}/statm") as file:
                    parts = [int(word) * 4096 for word in file.read().split()]
                memory, files = parts[1] - parts[2], len(os.listdir(f"/proc/{row['pid']}/fd"))
                most = self.most.setdefault(row["service"], [0, 0])
                most[:] = max(most[0], memory), max(most[1], files)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.failed:
            self.begin()
            time.sleep(self.rng.uniform(0.05, 2))
            self.look()
        for thread in self.under_way:
            thread.join()
        check(not self.failed, *self.failed)
        wait_for("every drive to be whole", lambda: all(self.whole(slot) for slot in range(SLOTS)), 60)
        return self


def without_two(house, drives, load, rng):
    gone = rng.sample(range(SLOTS), 2)
    for slot in gone:
        drives.unmount(drives.paths[slot])
    wait_for("two drives to be missed", lambda: sum(r["state"] == "offline" for r in
             json.loads(house.ctl("drive", "list", "--json").stdout)) == 2, 20)
    count = load.verify()
    say(f"without drives {gone}: {count} objects")
    for slot in gone:
        drives.mount(drives.paths[slot])


def scenario():
    rng, drives = random.Random(SEED), Drives()
    say(f"seed {SEED}, {SECONDS:g} s")
    try:
        with House(drive_paths=drives.paths, config=HOUSE) as house:
            house.s3().make_bucket("load")
            load = Mixed(house, SEED, clients=6).start()
            chaos = Chaos(house, drives, rng).run(SECONDS)
            load.stop()
            say("most memory and files:", {s: (f"{m >> 20} MiB", f) for s, (m, f) in sorted(chaos.most.items())})
            say(f"{load.acknowledged} requests acknowledged, {load.broken} broken")
            # A set with a full drive takes no puts: it would keep less redundancy than was asked for.
            errors = [e for e in load.errors if "fill" not in chaos.count or " 507 " not in e]
            check(not errors, f"{len(errors)} errors:", *errors[:5])
            there = load.verify()
            for service, (memory, files) in chaos.most.items():
                check(memory <= MEMORY_MAX.get(service, 1 << 40) and files <= FILES_MAX, service, memory, files)
            report = house.ctl("store", "check", timeout=120, check_status=False).stdout    # 4: vacuum was in its way
            check("0 lost, 0 degraded" in report, report[-800:])
            without_two(house, drives, load, rng)
            check(house.stop() == 0, "exit status")
            shutil.rmtree(os.path.join(house.data, "index"))
            house.start()
            check(load.verify() == there, "the index made anew says something else")
            crashes = [line for name in ("store", "s3", "worker", "tasks") for line in house.log(name).splitlines()
                       if "ssertion" in line]
            check(not crashes, crashes[:3])
            proof("events of chaos", sum(chaos.count.values()),
                  f"seed {SEED}, {there} objects intact: {dict(sorted(chaos.count.items()))}")
    finally:
        drives.close()


run(scenario)
