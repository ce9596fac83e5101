#!/usr/bin/env python3
# slow_reader - an object is deleted while clients download it slowly: they get every byte of it, also over a kill
# of the store; then its space comes back at once, long before the grace is over. One that is slower than the
# grace is cut, and gets no wrong byte. A reader that is killed is not waited for.
#
# SPDX-License-Identifier: Apache-2.0
import http.client
import os
import signal
import time

from house import House, body_of, check, run, say, wait_for

MIB = 1 << 20
SIZE = 24 * MIB


def volume_bytes(house):
    return sum(os.stat(os.path.join(house.drive(n), "vol", name)).st_blocks * 512
               for n in range(1, house.drives + 1) for name in os.listdir(os.path.join(house.drive(n), "vol")))


class Download:
    """Takes the head and a first piece, then as much as it is told to."""

    def __init__(self, house, key):
        target, headers = house.s3().signed("GET", f"/slow/{key}", {}, {}, "UNSIGNED-PAYLOAD")
        self.connection = http.client.HTTPConnection("127.0.0.1", house.s3_port, timeout=60)
        self.connection.request("GET", target, headers=headers)
        self.answer = self.connection.getresponse()
        check(self.answer.status == 200, self.answer.status)
        self.got = self.answer.read(MIB)

    def rest(self):
        try:
            while piece := self.answer.read(MIB):
                self.got += piece
        except (http.client.IncompleteRead, ConnectionError) as error:
            self.got += getattr(error, "partial", b"")
        self.connection.close()
        return self.got


def begin(house, key):
    """A download of an object that is deleted, and the bytes that volumes had before."""
    house.s3().put("slow", key, body_of(key, 1, SIZE))
    download = Download(house, key)
    house.s3().delete("slow", key)
    return download, volume_bytes(house)


def wait_for_space(house, before):
    # An object lies there with as much parity; what was granted and is not used yet stays.
    wait_for("space to come back", lambda: volume_bytes(house) < before - 1.8 * SIZE, 10)


def delivered():
    with House(config={"store.reclaim_grace": "300s", "s3.body_timeout": "60s"}) as house:
        house.s3().make_bucket("slow")
        download, before = begin(house, "kept")
        time.sleep(2)
        os.kill(house.pid("store"), signal.SIGKILL)
        time.sleep(3)
        check(volume_bytes(house) >= before, "the space of what is being read is gone")
        check(download.rest() == body_of("kept", 1, SIZE), "a slow download of a deleted object is not whole")
        wait_for_space(house, before)
        say("a deleted object was read to its end, over a kill of the store")
        _, before = begin(house, "killed")
        for row in house.services("s3"):
            os.kill(row["pid"], signal.SIGKILL)
        wait_for_space(house, before)


def cut():
    with House(config={"store.reclaim_grace": "1s"}) as house:
        house.s3().make_bucket("slow")
        download, before = begin(house, "cut")
        wait_for_space(house, before)
        got = download.rest()
        check(got == body_of("cut", 1, SIZE)[:len(got)], "a download that was too slow got wrong bytes")
        check(len(got) < SIZE, "all of it came, so nothing was tested")
        say(f"one that was too slow was cut after {len(got)} right bytes")


def scenario():
    delivered()
    cut()


run(scenario)
