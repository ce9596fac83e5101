#!/usr/bin/python3
# A peer on the store channel that follows no rules: garbage, truncated and oversized frames, unknown types, and
# in an open session every operation with random fields. The store refuses, counts and goes on: same process,
# and nothing of another client's is touched.
#
# SEED and FRAMES (default 4000) replay and lengthen a run.
#
# SPDX-License-Identifier: Apache-2.0
import os
import random
import socket
import struct
import time

from house import House, check, run, say

SEED, FRAMES = int(os.environ.get("SEED", "1")), int(os.environ.get("FRAMES", "4000"))
OPERATIONS_END = 76     # past the last of StoreRequest's
NAMES = (b"forged", b"keep", b"none", b"", b"x" * 300, b"\xff\xfe", b"a/b", b"keep\0")


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def session_open(session):
    with open("/proc/self/stat") as file:
        start = int(file.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip().encode()
    return field(16, field(1, session) + field(2, boot) + field(3, os.getpid()) + field(4, start) + field(5, b"forger"))


def frame(kind, sequence, body, length=None, zero=0):
    return struct.pack("<IHHQ", len(body) if length is None else length, kind, zero, sequence) + body


def random_message(rng, depth=0):
    out = b""
    for _ in range(rng.randrange(0, 8)):
        number = rng.randrange(1, 20)
        dice = rng.randrange(6)
        if dice == 0:
            out += field(number, rng.choice((0, 1, 7, 1000, 2**31, 2**32 - 1, 2**63, 2**64 - 1, rng.getrandbits(64))))
        elif dice == 1:
            out += varint(number << 3 | 1) + rng.randbytes(8)
        elif dice == 2:
            out += varint(number << 3 | 5) + rng.randbytes(4)
        elif dice == 3 and depth < 3:
            out += field(number, random_message(rng, depth + 1))
        elif dice == 4:
            out += field(number, rng.randbytes(rng.choice((0, 1, 8, 16, 40, 1025))))
        else:
            out += field(number, rng.choice(NAMES))
    return out


class Peer:
    def __init__(self, house):
        self.path = os.path.join(house.data, "run", "store.channel")
        self.connect()

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(5)
        self.socket.connect(self.path)

    def send(self, data):
        """Sends and takes what answers there are; a closed connection is made anew."""
        try:
            self.socket.sendall(data)
            self.socket.setblocking(False)
            while self.socket.recv(1 << 20):
                pass
            raise ConnectionError
        except BlockingIOError:
            self.socket.settimeout(5)
            return True
        except (ConnectionError, OSError):
            self.socket.close()
            self.connect()
            return False


def scenario():
    rng = random.Random(SEED)
    with House() as house:
        s3 = house.s3()
        s3.make_bucket("keep")
        s3.put("keep", "small", b"s" * 5000)
        s3.put("keep", "large", b"l" * 500000)
        pid = house.pid("store")
        peer = Peer(house)
        for _ in range(200):
            peer.send(rng.randbytes(rng.choice((1, 15, 16, 17, 100, 5000))))
            peer.send(frame(rng.choice((0, 1, 2, 3, 9, 65535)), rng.getrandbits(64), rng.randbytes(rng.randrange(64)),
                            rng.choice((None, 0, 5, 2**22 + 1, 2**32 - 1)), rng.choice((0, 0, 1))))
        say("garbage on fresh connections: refused")
        session, sequence, opened = rng.randbytes(16), 1, False
        for _ in range(FRAMES):
            if not opened:
                opened = peer.send(frame(1, 0, session_open(session)))
                time.sleep(0.01)
            sequence += rng.choice((0, 1, 1, 1, 2))
            body = field(2, rng.choice((0, 1, sequence, 2**63))) + field(rng.randrange(16, OPERATIONS_END), random_message(rng))
            if rng.random() < 0.05:
                body = body[:rng.randrange(len(body) + 1)]
            opened = peer.send(frame(1, sequence, body))
            if not opened:
                session = rng.randbytes(16)
        check(house.pid("store") == pid, "the store was restarted by a forged frame (seed", SEED, ")")
        check(s3.get("keep", "small") == b"s" * 5000 and s3.get("keep", "large") == b"l" * 500000, "objects changed")
        s3.put("keep", "after", b"a")
        peer.socket.close()
        check(house.stop() == 0, "exit status")
        house.start()
        check(house.s3().get("keep", "large") == b"l" * 500000, "objects after a restart")
        say(f"{FRAMES} operations with random fields in sessions: the same store process, objects intact")


run(scenario)
