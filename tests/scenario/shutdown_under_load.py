#!/usr/bin/python3
# Shutdown under load: the cancellation (reason, deadline, sequence) is in each service's log before its
# TERM, services stop in reverse order, every process is gone, the exit status is right, acknowledged
# objects are intact; a service that ignores TERM (stopped by SIGSTOP and kept so) is killed and reported.
#
# SPDX-License-Identifier: Apache-2.0
import os
import re
import signal
import threading
import time

from house import House, Load, alive, check, run, say


def ordered_stop(house):
    load = Load(house).start()
    time.sleep(2)
    pids = house.pids()
    status = house.stop()
    load.stop()
    check(status == 0, f"exit status {status}")
    check(not [p for p in pids if alive(p)], "processes are left")
    for name in ("store.0", "s3.0", "s3.1", "admin.0"):
        text = house.log(name)
        cancelled = text.rfind("cancel")
        check(cancelled >= 0, f"{name} did not log the cancellation")
        line = text[text.rfind("\n", 0, cancelled) + 1:text.find("\n", cancelled)]
        check(re.search(r"sequence", line) and re.search(r"deadline", line), f"{name}: {line}")
        check("TERM" in text[cancelled:], f"{name} logged no TERM after the cancellation")
    say("all services logged the cancellation before their TERM")
    text = house.log("holdfastd")
    ends = [m.group(1) for m in re.finditer(r"(store\.0|s3\.[01]|admin\.0)[^\n]*(?:exited|stopped)", text)]
    check(ends and ends[-1] == "store.0", "the store did not stop last:", ends)
    return load


def stubborn(house):
    # A process kept stopped ignores TERM, and the CONT that follows, as far as anyone can see.
    pid, done = house.pid("admin"), threading.Event()

    def hold():
        while not done.is_set() and alive(pid):
            try:
                os.kill(pid, signal.SIGSTOP)
            except OSError:
                break
            time.sleep(0.0005)
    holder = threading.Thread(target=hold)
    holder.start()
    start = time.monotonic()
    status = house.stop(90)
    done.set()
    holder.join()
    took = time.monotonic() - start
    check(not alive(pid), "the stubborn service is still there")
    say(f"a stubborn service was dealt with in {took:.1f} s, exit status {status}")


def scenario():
    with House() as house:
        house.s3().make_bucket("load")
        load = ordered_stop(house)
        house.start()
        say(f"{load.verify()} objects intact after {load.acknowledged} operations")
        stubborn(house)


run(scenario)
