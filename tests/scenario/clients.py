#!/usr/bin/python3
# Real clients with a real tree: awscli copies files in, rclone copies them out, s3cmd lists; sorted SHA-256
# lists are equal. sync, mv, rm and a multipart file too.
#
# FILES bounds how many files of /usr/share/doc and /usr/share/man are taken (default 3000, 0: all), and
# LARGE_MIB the size of the multipart file (default 256; 2048 in the long run).
#
# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import random
import shutil
import subprocess

from house import ACCESS, SECRET, House, check, run, say, skip

FILES = int(os.environ.get("FILES", "3000"))
LARGE_MIB = int(os.environ.get("LARGE_MIB", "256"))
ODD = ("with space", "plus+sign", "percent%20", "ümläut-日本語", "semi;colon", "quote'\"", "a&b=c", "tilde~", "[brackets]",
       "hash#tag", "question?", "trailing.", "-dash", "comma,colon:at@", "x" * 200)


def digests(directory):
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def make_tree(tree):
    count = 0
    for top in ("/usr/share/doc", "/usr/share/man"):
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if os.path.islink(path) or not os.path.isfile(path) or (FILES and count >= FILES):
                    continue
                target = os.path.join(tree, path.lstrip("/"))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(path, target)
                count += 1
    os.makedirs(os.path.join(tree, "odd"), exist_ok=True)
    for name in ODD:
        with open(os.path.join(tree, "odd", name), "w") as file:
            file.write(name)
    return count


def tool(name):
    path = f"/usr/bin/{name}" if os.path.exists(f"/usr/bin/{name}") else shutil.which(name)
    if path is None:
        skip(f"{name} is not installed")
    return path


def call(environment, *command):
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    check(done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:", done.stdout[-500:], done.stderr[-1500:])
    return done.stdout


def scenario():
    aws, rclone, s3cmd = tool("aws"), tool("rclone"), tool("s3cmd")
    with House() as house:
        tree, back = os.path.join(house.directory, "tree"), os.path.join(house.directory, "back")
        endpoint = f"http://127.0.0.1:{house.s3_port}"
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RCLONE_"))}
        env.update(AWS_ACCESS_KEY_ID=ACCESS, AWS_SECRET_ACCESS_KEY=SECRET, AWS_DEFAULT_REGION="us-east-1",
                   HOME=house.directory, AWS_EC2_METADATA_DISABLED="true", LC_ALL="C.UTF-8",
                   RCLONE_CONFIG_HF_TYPE="s3", RCLONE_CONFIG_HF_PROVIDER="Other", RCLONE_CONFIG_HF_ENDPOINT=endpoint,
                   RCLONE_CONFIG_HF_ACCESS_KEY_ID=ACCESS, RCLONE_CONFIG_HF_SECRET_ACCESS_KEY=SECRET,
                   RCLONE_CONFIG_HF_REGION="us-east-1", RCLONE_CONFIG=os.path.join(house.directory, "rclone.conf"))
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
        base = [s3cmd, "--access_key", ACCESS, "--secret_key", SECRET, "--host", endpoint[7:], "--host-bucket",
                endpoint[7:], "--no-ssl", "--config", "/dev/null"]
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
