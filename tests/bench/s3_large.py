#!/usr/bin/python3
# s3_large - puts and gets of 64 MiB with 1 and 4 clients, beside bare writes of the same shards with one sync
# each, and bare reads of them with a checksum, in the same minute. Prints rates and ratios; no timed test.
#
# usage: tests/bench/s3_large.py [ROUNDS]	HOLDFAST_ROOT as for scenarios
#
# Four drives (2+2): a body of 64 MiB is four shards of 32 MiB. The bare side does what cannot be spared: it
# writes four files side by side and syncs each; it reads two of them and sums them with SHA-256. Both sides
# read what the page cache has. The CPU times are those of all processes of the store.
#
# SPDX-License-Identifier: Apache-2.0
import hashlib
import http.client
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../scenario"))
from house import House, check  # noqa: E402

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 4
BYTES, PIECE, SHARDS, DATA_SHARDS = 64 << 20, 1 << 20, 4, 2
BODY = os.urandom(PIECE) * (BYTES // PIECE)
TICK = os.sysconf("SC_CLK_TCK")


def together(count, function):
    """Seconds until function(0), function(1), ... have all ended, each in a thread of its own."""
    failed = []

    def run(number):
        try:
            function(number)
        except BaseException as error:  # told below, in the main thread
            failed.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return time.monotonic() - begin


# --- bare --------------------------------------------------------------------------------------------


def shard_write(path):
    view = memoryview(BODY)[:BYTES // DATA_SHARDS]
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for at in range(0, len(view), PIECE):
        os.write(fd, view[at:at + PIECE])
    os.fdatasync(fd)
    os.close(fd)


def bare_put(directory, clients):
    paths = [os.path.join(directory, f"bare-{n}") for n in range(clients * SHARDS)]
    return together(len(paths), lambda n: shard_write(paths[n]))


def bare_get(directory, clients):
    def read(number):
        digest = hashlib.sha256()
        for shard in range(DATA_SHARDS):
            with open(os.path.join(directory, f"bare-{number * SHARDS + shard}"), "rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
    return together(clients, read)


# --- S3 ----------------------------------------------------------------------------------------------


def s3_put(house, number):
    s3 = house.s3()
    target, headers = s3.signed("PUT", f"/large/k{number}", {}, {}, "UNSIGNED-PAYLOAD")
    connection = http.client.HTTPConnection("127.0.0.1", house.s3_port, timeout=120)
    connection.request("PUT", target, body=BODY, headers=headers)
    answer = connection.getresponse()
    check(answer.status == 200, answer.status, answer.read())
    answer.read()
    connection.close()


def s3_get(house, number):
    s3 = house.s3()
    target, headers = s3.signed("GET", f"/large/k{number}", {}, {}, "UNSIGNED-PAYLOAD")
    connection = http.client.HTTPConnection("127.0.0.1", house.s3_port, timeout=120)
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    check(answer.status == 200, answer.status)
    bytes_read, piece = 0, bytearray(PIECE)
    while n := answer.readinto(piece):
        bytes_read += n
    check(bytes_read == BYTES, "the body has", bytes_read, "bytes")
    connection.close()


def cpu_seconds(house):
    total = 0
    for pid in house.pids():
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def compare(house, name, clients, bare, ours):
    spent = cpu_seconds(house)
    bare_best, ours_best = 1e9, 1e9
    for _ in range(ROUNDS):         # in turns, so that both sides see the same machine
        bare_best = min(bare_best, bare(house.directory, clients))
        ours_best = min(ours_best, together(clients, lambda n: ours(house, n)))
    spent = (cpu_seconds(house) - spent) / (ROUNDS * clients * BYTES / 2 ** 30)
    total = clients * BYTES / 2 ** 20
    print(f"{name} {clients} x 64 MiB: bare {total / bare_best:6.0f} MiB/s   "
          f"holdfast {total / ours_best:6.0f} MiB/s   ratio {bare_best / ours_best:.2f}   "
          f"CPU {spent:.2f} s for each GiB", flush=True)


def main():
    for kind in ("md5", "sha256"):
        begin = time.monotonic()
        hashlib.new(kind, BODY).digest()
        print(f"one core, {kind}: {BYTES / 2 ** 20 / (time.monotonic() - begin):.0f} MiB/s")
    with House() as house:
        house.s3().make_bucket("large")
        for clients in (1, 4):
            compare(house, "put", clients, bare_put, s3_put)
            compare(house, "get", clients, bare_get, s3_get)


main()
