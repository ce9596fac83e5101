#!/usr/bin/python3
# Real clients with a real tree: awscli copies files in, rclone copies them out, s3cmd lists; sorted SHA-256
# lists are equal. sync, mv, rm and a multipart file too.
#
# FILES bounds how many files of /usr/share/doc and /usr/share/man are taken (default 3000, 0: all), and
# LARGE_MIB the size of the multipart file (default 256; 2048 in the long run).
#
# SPDX-License-Identifier: Apache-2.0
import os
import random

from house import House, check, run, say
from tree import ODD, call, client_environment, digests, make_tree, s3cmd_command, tool

LARGE_MIB = int(os.environ.get("LARGE_MIB", "256"))
def scenario():
    aws, rclone = tool("aws"), tool("rclone")
    with House() as house:
        tree, back = os.path.join(house.directory, "tree"), os.path.join(house.directory, "back")
        endpoint, env = client_environment(house)
        s3 = lambda *words: call(env, aws, "--endpoint-url", endpoint, "s3", *words)
        count = make_tree(tree)
        want = digests(tree)
        s3("mb", "s3://tree")
        s3("cp", "--recursive", "--only-show-errors", tree, "s3://tree/")
        say(f"awscli copied {len(want)} files in ({count} of /usr/share)")
        call(env, rclone, "copy", "hf:tree", back, "--transfers", "8")
        check(digests(back) == want, "rclone copied other bytes out")
        say("rclone copied the same bytes out")
        lines = [l for l in s3("ls", "--recursive", "s3://tree").splitlines() if l.strip()]
        check(len(lines) == len(want), f"aws ls shows {len(lines)} of {len(want)}")
        base = s3cmd_command(house)
        lines = call(env, *base, "ls", "--recursive", "s3://tree").splitlines()
        check(len(lines) == len(want), f"s3cmd ls shows {len(lines)} of {len(want)}")
        check(s3("sync", tree, "s3://tree/").strip() == "", "a second sync copied again")
        os.remove(os.path.join(tree, "odd", ODD[0]))
        s3("sync", "--delete", tree, "s3://tree/")
        s3("mv", "s3://tree/odd/plus+sign", "s3://tree/moved/plus sign")
        call(env, *base, "get", "s3://tree/moved/plus sign", os.path.join(house.directory, "got"))
        with open(os.path.join(house.directory, "got")) as file:
            check(file.read() == "plus+sign", "mv changed the bytes")
        large = os.path.join(house.directory, "large")
        rng = random.Random(1)
        with open(large, "wb") as file:
            for _ in range(LARGE_MIB):
                file.write(rng.randbytes(1 << 20))
        s3("cp", "--only-show-errors", large, "s3://tree/large")
        call(env, rclone, "copyto", "hf:tree/large", large + ".back")
        call(env, "cmp", large, large + ".back")
        os.remove(large + ".back")
        say(f"a {LARGE_MIB} MiB file went in by awscli's multipart and came out by rclone the same")
        call(env, rclone, "copyto", large, "hf:tree/by-rclone")
        call(env, *base, "put", "--quiet", large, "s3://tree/by-s3cmd")
        for key in ("by-rclone", "by-s3cmd"):
            s3("cp", "--only-show-errors", f"s3://tree/{key}", large + ".back")
            call(env, "cmp", large, large + ".back")
        s3("rm", "--recursive", "--only-show-errors", "s3://tree")
        s3("rb", "s3://tree")
        check(house.stop() == 0, "exit status")


run(scenario)
