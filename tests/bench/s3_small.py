#!/usr/bin/python3
# s3_small - 4 KiB puts and gets with 16 clients, beside nginx serving the same 4 KiB as a static file in the
# same minute; and what the whole tree weighs at idle. Prints rates and their ratio; it is no timed test.
#
# usage: tests/bench/s3_small.py [SECONDS]		needs wrk and nginx; HOLDFAST_ROOT as for scenarios
#
# The generator signs by presigned URLs made beforehand, so that it costs what wrk costs with nginx.
#
# SPDX-License-Identifier: Apache-2.0
import os
import re
import subprocess
import sys
import time
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../scenario"))
from house import House, free_port  # noqa: E402
from s3_presign import presign  # noqa: E402

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
CLIENTS, KEYS, BYTES = 16, 4000, 4096


def wrk(directory, port, method, targets, body):
    script = os.path.join(directory, f"{method}.lua")
    with open(script, "w") as file:
        file.write("local t = {\n" + "".join(f'"{t}",\n' for t in targets) + "}\nlocal n = 0\n"
                   f'local body = {"string.rep(%r, %d)" % ("x", BYTES) if body else "nil"}\n'
                   "function setup(thread) thread:set('first', n); n = n + 1 end\n"
                   "function init() n = first * 1999 end\n"
                   f"function request() n = n + 1; return wrk.format('{method}', t[n % #t + 1], nil, body) end\n"
                   "function done(s, l, r) print('errors ' .. s.errors.status + s.errors.connect + s.errors.read) end\n")
    done = subprocess.run(["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", "--latency", "-s", script,
                           f"http://127.0.0.1:{port}"], capture_output=True, text=True)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    errors = re.search(r"errors (\d+)", done.stdout)
    p50, p99 = (re.search(rf"^\s+{p}%\s+(\S+)", done.stdout, re.M) for p in (50, 99))
    if not rate:
        raise SystemExit(f"wrk said: {done.stdout} {done.stderr}")
    return float(rate.group(1)), int(errors.group(1)) if errors else 0, p50 and p50.group(1), p99 and p99.group(1)


def nginx(directory):
    port = free_port()
    root = os.path.join(directory, "www")
    os.makedirs(root)
    with open(os.path.join(root, "4k"), "wb") as file:
        file.write(b"x" * BYTES)
    conf = os.path.join(directory, "nginx.conf")
    with open(conf, "w") as file:
        file.write(f"""worker_processes 2; pid {directory}/nginx.pid; error_log /dev/null; daemon off; user root;
events {{ worker_connections 1024; }}
http {{ access_log {directory}/access.log; sendfile on; open_file_cache max=100; keepalive_requests 1000000;
server {{ listen 127.0.0.1:{port}; root {root}; }} }}""")
    process = subprocess.Popen(["nginx", "-c", conf, "-p", directory], stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    try:
        return wrk(directory, port, "GET", ["/4k"], False)
    finally:
        process.terminate()
        process.wait()


def memory(house):
    rss = pss = 0
    for pid in house.pids() + [house.process.pid]:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                rss += int(line.split()[1]) if line.startswith("Rss:") else 0
                pss += int(line.split()[1]) if line.startswith("Pss:") else 0
    return rss / 1024, pss / 1024


def main():
    with House() as house:
        rss, pss = memory(house)
        print(f"at idle, whole tree: {rss:.1f} MiB resident, {pss:.1f} MiB proportional")
        house.s3().make_bucket("bench")
        paths = [f"/bench/k{n}" for n in range(KEYS)]
        put = wrk(house.directory, house.s3_port, "PUT", [presign("PUT", house.s3_port, p) for p in paths], True)
        s3 = house.s3()
        for path in paths:
            if s3.request("HEAD", path)[0] != 200:
                s3.ok("PUT", path, body=b"x" * BYTES)
        get = wrk(house.directory, house.s3_port, "GET", [presign("GET", house.s3_port, p) for p in paths], False)
        base = nginx(house.directory)
        for name, row in (("put", put), ("get", get), ("nginx", base)):
            print(f"{name:6} {row[0]:9.0f} /s   p50 {row[2]}  p99 {row[3]}  errors {row[1]}")
        print(f"ratio to nginx: put {put[0] / base[0]:.3f}, get {get[0] / base[0]:.3f}")
        rss, pss = memory(house)
        print(f"after the load: {rss:.1f} MiB resident, {pss:.1f} MiB proportional")


main()
