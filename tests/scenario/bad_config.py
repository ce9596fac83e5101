#!/usr/bin/python3
# A config file with a mistake: nothing starts, the message has file, line, key and what was expected.
#
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import tempfile

from house import HOLDFASTD, check, run, say

CASES = {
    "unknown key": ("[s3]\nport = 9000\nprot = 9001\n", ("3", "prot")),
    "unknown section": ("[s4]\nport = 9000\n", ("s4",)),
    "wrong type": ("[s3]\nport = many\n", ("2", "s3.port", "many")),
    "out of bounds": ("[s3]\nport = 70000\n", ("2", "s3.port", "65535")),
    "bad size": ("[store]\n\nsegment_bytes = 1 potato\n", ("3", "store.segment_bytes")),
    "a drive named twice": ("[store]\ndrives = /a /b /a/\n", ("store.drives", "/a is named twice")),
    "a relative path": ("[store]\ndrives = /a b\n", ("store.drives", "absolute", '"b"')),
    "unknown type of task": ("[tasks]\ntypes = vacum\n", ("tasks.types", "vacum", "erasure_coding")),
    "a port for two": ("[s3]\nport = 9001\n", ("admin.port", "9001")),
    "not a config": ("\0\1\2\3 garbage without end", ()),
    "a line too long": ("[s3]\nregion = " + "x" * 100000 + "\n", ("2",)),
}


def scenario():
    with tempfile.TemporaryDirectory(prefix="holdfast-scenario-") as directory:
        path = os.path.join(directory, "holdfast.conf")
        for what, (text, words) in CASES.items():
            with open(path, "w") as file:
                file.write(text)
            done = subprocess.run([HOLDFASTD, "-c", path], capture_output=True, text=True, timeout=60,
                                  env={"PATH": os.environ["PATH"]})
            said = done.stderr + done.stdout
            check(done.returncode == 2, f"{what}: exit status {done.returncode}: {said}")
            check(path in said and all(word in said for word in words), f"{what}: said {said!r}, expected {words}")
        done = subprocess.run([HOLDFASTD, "-c", path + ".none"], capture_output=True, text=True, timeout=60)
        check(done.returncode == 2 and path + ".none" in done.stderr, f"missing file: {done.stderr}")
        done = subprocess.run([HOLDFASTD, "--quickstart", os.path.join(directory, "d")], capture_output=True, text=True,
                              timeout=60, env={"PATH": os.environ["PATH"], "HOLDFAST_S3_PORT": "x"})
        check(done.returncode == 2 and "HOLDFAST_S3_PORT" in done.stderr, f"bad environment: {done.stderr}")
        say(f"{len(CASES) + 2} mistakes: each named with its place, nothing started")


run(scenario)
