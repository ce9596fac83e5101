# tree - a real tree of files, and the real clients that carry it: for scenarios.
#
# FILES bounds how many files of /usr/share/doc and /usr/share/man are taken (default 3000, 0: all).
#
# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import shutil
import subprocess

from house import ACCESS, SECRET, check, skip

FILES = int(os.environ.get("FILES", "3000"))
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


def make_tree(tree, files=FILES):
    """Copies files of this machine; returns how many."""
    count = 0
    for top in ("/usr/share/doc", "/usr/share/man"):
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if os.path.islink(path) or not os.path.isfile(path) or (files and count >= files):
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


def client_environment(house):
    """(endpoint, environment) in which awscli and rclone (remote hf:) use the house and nothing else."""
    endpoint = f"http://127.0.0.1:{house.s3_port}"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RCLONE_"))}
    env.update(AWS_ACCESS_KEY_ID=ACCESS, AWS_SECRET_ACCESS_KEY=SECRET, AWS_DEFAULT_REGION="us-east-1",
               HOME=house.directory, AWS_EC2_METADATA_DISABLED="true", LC_ALL="C.UTF-8",
               RCLONE_CONFIG_HF_TYPE="s3", RCLONE_CONFIG_HF_PROVIDER="Other", RCLONE_CONFIG_HF_ENDPOINT=endpoint,
               RCLONE_CONFIG_HF_ACCESS_KEY_ID=ACCESS, RCLONE_CONFIG_HF_SECRET_ACCESS_KEY=SECRET,
               RCLONE_CONFIG_HF_REGION="us-east-1", RCLONE_CONFIG=os.path.join(house.directory, "rclone.conf"))
    return endpoint, env


def s3cmd_command(house):
    host = f"127.0.0.1:{house.s3_port}"
    return [tool("s3cmd"), "--access_key", ACCESS, "--secret_key", SECRET, "--host", host, "--host-bucket", host,
            "--no-ssl", "--config", "/dev/null"]
