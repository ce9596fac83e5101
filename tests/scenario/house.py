# house - what every scenario needs: a store of its own in a directory of its own, an S3 client that
# signs, workers that remember what was acknowledged, and checks that say what they saw.
#
# A scenario is an executable python3 file beside this one. It prints what it does, ends with 0 when all
# held, 1 when something did not, 77 when this machine cannot run it (the reason is its last line).
# HOLDFAST_ROOT names the installed tree (build/root). Nothing is left behind; only loopback is used.
#
# SPDX-License-Identifier: Apache-2.0
import atexit
import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.environ.get("HOLDFAST_ROOT", os.path.join(HERE, "../../build/root")))
HOLDFASTD = os.path.join(ROOT, "sbin/holdfastd")
HOLDFASTCTL = os.path.join(ROOT, "bin/holdfastctl")
ACCESS, SECRET = "scenario-key", "scenario-secret-0123456789"
# Deadlines are for a machine that has nothing else to do; any other one gets so many times as long.
PATIENCE = float(os.environ.get("PATIENCE", "5"))


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def proof(kind, count, text):
    """A count for the summary at the end of all tests (tests/proof-summary)."""
    print(f"# proof: {kind} {count}: {text}", flush=True)


def check(condition, *words):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in words))


def skip(why):
    print("SKIP:", why, flush=True)
    sys.exit(77)


def wait_for(what, function, seconds=30, every=0.05):
    """Polls until function() is true; its value is returned. Fails naming what was awaited."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = function()
            if last:
                return last
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"{what}: not within {seconds} s (last seen: {last!r})")


def traced(pid):
    """Whether every thread of the process has a tracer."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            if "TracerPid:\t0\n" in file.read():
                return False
    return True


def free_port():
    """A port below those that outgoing connections get: while holdfastd is away, a client that tries again
    and again would else be given that very port one day, and be connected to itself."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


# --- S3 --------------------------------------------------------------------------------------------


class S3Error(Exception):
    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers
        found = re.search(rb"<Code>([^<]*)</Code>", body)
        self.code = found.group(1).decode() if found else ""
        super().__init__(f"{status} {self.code} {body[:300]!r}")


def sign_key(secret, date, region):
    key = ("AWS4" + secret).encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


class S3:
    """One connection, kept while it is in use, one thread. request() returns (status, headers, body), any status."""

    IDLE_MAX = 20   # a server may close what was idle for longer, just when it is used again

    def __init__(self, port, access=ACCESS, secret=SECRET, timeout=60, region="us-east-1", host="127.0.0.1"):
        self.host, self.port, self.access, self.secret = host, port, access, secret
        self.timeout, self.region = timeout * PATIENCE, region
        self.connection, self.used = None, 0

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def signed(self, method, path, query, headers, payload_hash, now=None):
        now = now or datetime.datetime.now(datetime.timezone.utc)
        stamp, date = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        headers = {k.lower(): v for k, v in headers.items()}
        headers["host"] = f"{self.host}:{self.port}"
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload_hash
        names = sorted(h for h in headers if h in ("host", "content-md5", "content-type") or h.startswith("x-amz-"))
        quote = lambda s: urllib.parse.quote(s, safe="-_.~")
        canonical_query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(query.items()))
        canonical = "\n".join([
            method, urllib.parse.quote(path, safe="/-_.~"), canonical_query,
            "".join(f"{n}:{' '.join(str(headers[n]).split())}\n" for n in names), ";".join(names), payload_hash])
        scope = f"{date}/{self.region}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(sign_key(self.secret, date, self.region), to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, "
                                    f"SignedHeaders={';'.join(names)}, Signature={signature}")
        target = urllib.parse.quote(path, safe="/-_.~") + ("?" + canonical_query if canonical_query else "")
        return target, headers

    def request(self, method, path, query=None, headers=None, body=b"", now=None, unsigned=False):
        payload = "UNSIGNED-PAYLOAD" if unsigned else hashlib.sha256(body).hexdigest()
        target, headers = self.signed(method, path, query or {}, headers or {}, payload, now)
        if self.connection is not None and time.monotonic() - self.used > self.IDLE_MAX:
            self.close()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            self.connection.request(method, target, body=body if body or method in ("PUT", "POST") else None,
                                    headers=headers)
            response = self.connection.getresponse()
            data = response.read()
        except BaseException:
            self.close()
            raise
        self.used = time.monotonic()
        if response.will_close:
            self.close()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, data

    def ok(self, method, path, **more):
        status, headers, body = self.request(method, path, **more)
        if status >= 300:
            raise S3Error(status, body, headers)
        return headers, body

    def make_bucket(self, bucket):
        self.ok("PUT", f"/{bucket}")

    def put(self, bucket, key, body, **headers):
        return self.ok("PUT", f"/{bucket}/{key}", body=body,
                       headers={k.replace("_", "-"): v for k, v in headers.items()})[0]

    def get(self, bucket, key, **headers):
        return self.ok("GET", f"/{bucket}/{key}", headers={k.replace("_", "-"): v for k, v in headers.items()})[1]

    def delete(self, bucket, key):
        self.ok("DELETE", f"/{bucket}/{key}")

    def keys(self, bucket, prefix="", page=1000):
        found, query = [], {"list-type": "2", "prefix": prefix, "max-keys": str(page)}
        while True:
            tree = ElementTree.fromstring(self.ok("GET", f"/{bucket}", query=dict(query))[1])
            space = tree.tag[:tree.tag.index("}") + 1] if tree.tag.startswith("{") else ""
            found += [(c.findtext(space + "Key"), int(c.findtext(space + "Size")), c.findtext(space + "ETag"))
                      for c in tree.iter(space + "Contents")]
            if tree.findtext(space + "IsTruncated") != "true":
                return found
            query["continuation-token"] = tree.findtext(space + "NextContinuationToken")


# --- a store ---------------------------------------------------------------------------------------


class House:
    """A holdfastd with its own directory. Use as a context manager."""

    def __init__(self, drives=4, config=None, env=None, drive_paths=None, directory=None):
        self.directory = directory or tempfile.mkdtemp(prefix="holdfast-scenario-")
        self.own_directory = directory is None
        self.drives, self.drive_paths = drives, drive_paths
        self.s3_port, self.admin_port = free_port(), free_port()
        self.env = {**os.environ, "HOLDFAST_ROOT_USER": ACCESS, "HOLDFAST_ROOT_PASSWORD": SECRET,
                    "HOLDFAST_S3_PROCESSES": "2", **(env or {})}
        for key, value in (config or {}).items():     # "store.segment_bytes": "16MiB"
            self.env["HOLDFAST_" + key.upper().replace(".", "_")] = value
        if drive_paths:
            self.env["HOLDFAST_STORE_DRIVES"] = " ".join(drive_paths)
        self.process = None
        self.output = os.path.join(self.directory, "holdfastd.out")
        self.on_exit = []
        atexit.register(self.clean)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            say("FAILED:", repr(value)[:2000])
            self.show()
        self.clean()

    def start(self, wait=True, seconds=60, extra=(), prefix=()):
        os.makedirs(self.directory, exist_ok=True)
        with open(self.output, "ab") as out:
            self.process = subprocess.Popen(
                [*prefix, HOLDFASTD, "--quickstart", os.path.join(self.directory, "data"), "--s3-port",
                 str(self.s3_port), "--admin-port", str(self.admin_port), "--drives", str(self.drives), *extra],
                env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        if wait:
            self.ready(seconds)
        return self

    def ready(self, seconds=60):
        def probe():
            check(self.process.poll() is None, f"holdfastd ended with {self.process.returncode}")
            rows = self.status()
            return rows and all(r["state"] in ("running", "degraded", "disabled") for r in rows)
        wait_for("the store to be ready", probe, seconds)

    @property
    def data(self):
        return os.path.join(self.directory, "data")

    def drive(self, number):
        return self.drive_paths[number - 1] if self.drive_paths else os.path.join(self.data, f"drive{number}")

    def ctl(self, *words, check_status=True, timeout=60):
        done = subprocess.run([HOLDFASTCTL, "-c", os.path.join(self.data, "holdfast.conf"), *words], env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout * PATIENCE)
        if check_status:
            check(done.returncode == 0, f"holdfastctl {' '.join(words)} ended with {done.returncode}:",
                  done.stdout, done.stderr)
        return done

    def status(self):
        """Rows of `holdfastctl status --json`, or [] while it does not answer."""
        done = self.ctl("status", "--json", check_status=False)
        try:
            document = json.loads(done.stdout)
        except ValueError:
            return []
        return document["services"] if isinstance(document, dict) else document

    def status_text(self):
        """What a person sees; the exit status says whether all is well, so it is not checked."""
        return self.ctl("status", check_status=False).stdout

    def services(self, name):
        """Rows of one service ("s3" gives all instances)."""
        return [r for r in self.status() if name in (r["name"], r["service"])]

    def pid(self, name):
        rows = self.services(name)
        check(rows and rows[0].get("pid"), f"no pid of {name} in", rows)
        return rows[0]["pid"]

    def pids(self):
        return [r["pid"] for r in self.status() if r.get("pid")]

    def s3(self, **more):
        return S3(self.s3_port, **more)

    def metrics(self, service):
        """Of the first instance of a service, without the prefix holdfast_."""
        with open(os.path.join(self.data, "scrape.token")) as file:
            token = file.read().strip()
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=60)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        text = connection.getresponse().read().decode()
        connection.close()
        label = f'{{service="{service}",instance="0"}} '
        return {name[len("holdfast_"):]: float(value) for name, found, value in
                (line.partition(label) for line in text.splitlines()) if found}

    def log(self, name):
        """The text of a service's log files, oldest first."""
        text, directory = "", os.path.join(self.data, "log")
        names = [n for n in os.listdir(directory) if n == name or n.startswith(name + ".")]
        for entry in sorted(names, key=lambda n: -os.stat(os.path.join(directory, n)).st_mtime, reverse=True):
            with open(os.path.join(directory, entry), errors="replace") as file:
                text += file.read()
        return text

    def stop(self, seconds=60):
        """TERM, as an init system does; returns the exit status."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"holdfastd did not stop within {seconds * PATIENCE} s")

    def kill(self):
        """kill -9 of holdfastd alone; waits until it is gone."""
        self.process.kill()
        self.process.wait()

    def restart(self, **more):
        status = self.stop()
        self.start(**more)
        return status

    def show(self):
        """For a failed scenario: what the logs call errors and warnings, and the ends of all."""
        paths = [self.output]
        with contextlib.suppress(OSError):
            paths += [os.path.join(self.data, "log", n) for n in sorted(os.listdir(os.path.join(self.data, "log")))]
        for path in paths:
            with contextlib.suppress(OSError), open(path, errors="replace") as file:
                lines = file.readlines()
                bad = [l for l in lines[:-10] if re.match(r"\S+ (error|warn) ", l)]
                for line in bad[-20:] + ["...\n"] * bool(bad) + lines[-10:]:
                    print(f"{os.path.basename(path)}: {line[:400].rstrip()}", flush=True)

    def clean(self):
        if self.process is not None and self.process.poll() is None:
            pids = []
            with contextlib.suppress(Exception):
                pids = self.pids()
            self.process.kill()
            self.process.wait()
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        for undo in reversed(self.on_exit):
            with contextlib.suppress(Exception):
                undo()
        self.on_exit = []
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def cpu_seconds(pid):
    """All threads, also those that ended, in ns: clock_getcpuclockid(3). /proc counts in ticks of 10 ms."""
    return time.clock_gettime(~pid << 3 | 2)


# --- a load that remembers -------------------------------------------------------------------------


def flip(path, offset):
    """One bit of a file of a store."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def where(house, bucket, key):
    """(drive, file, offset of data) of each stretch of an object, as `store dump object' has it."""
    text = house.ctl("store", "dump", "object", bucket, key).stdout
    return [(int(d), f, int(o)) for d, f, o in
            re.findall(r"bytes 0\+\d+: (?:mirror|shard) \d+ drive (\d+) (\S+) at (\d+)", text)]


def body_of(key, version, size):
    """The bytes that belong to (key, version): made again, not kept."""
    return random.Random(f"{key}/{version}").randbytes(size)


class Load:
    """Clients that put, get, list and delete; each key belongs to one client, so what must be there is known.

    history[key] is a list of candidates: after an answer exactly one (a version number, or None for
    absent). A request without an answer may still happen at any later time: its key is never written
    again, and any of its candidates is right from then on.
    """

    SIZES = (0, 1, 100, 4096, 4096, 4096, 20000, 70000, 300000, 1500000)

    def __init__(self, house, clients=16, bucket="load", retry=True, sizes=SIZES, deletes=True):
        self.house, self.bucket, self.retry, self.sizes, self.deletes = house, bucket, retry, sizes, deletes
        self.stopping = threading.Event()
        self.errors, self.mismatches, self.acknowledged, self.broken = [], [], 0, 0
        self.lock = threading.Lock()
        self.histories = [{} for _ in range(clients)]
        self.limbo = [{} for _ in range(clients)]  # slot -> how many keys of it were given up
        self.size = {}
        self.threads = [threading.Thread(target=self.client, args=(n,), daemon=True) for n in range(clients)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120 * PATIENCE)
            check(not thread.is_alive(), "a load client does not end")

    def note(self, kind, text):
        with self.lock:
            (self.errors if kind == "error" else self.mismatches).append(text)

    def client(self, number):
        rng, s3, history = random.Random(number), self.house.s3(), self.histories[number]
        version = 0
        limbo = self.limbo[number]
        while not self.stopping.is_set():
            slot = rng.randrange(40)
            key = f"c{number}/k{slot}.{limbo.get(slot, 0)}"
            dice = rng.random()
            try:
                if dice < 0.5:
                    version += 1
                    self.put(s3, history, key, version, rng.choice(self.sizes))
                elif dice < 0.85:
                    self.read(s3, history, key)
                elif dice < 0.93:
                    self.list(s3, history, f"c{number}/")
                elif self.deletes:
                    self.remove(s3, history, key)
                with self.lock:
                    self.acknowledged += 1
            except S3Error as error:
                self.give_up(history, limbo, slot, key)
                self.note("error", f"{key}: {error}")
                time.sleep(0.02)
            except (OSError, http.client.HTTPException) as error:
                self.give_up(history, limbo, slot, key)
                with self.lock:
                    self.broken += 1
                if not self.retry:
                    self.note("error", f"{key}: {error!r}")
                time.sleep(0.02)
        s3.close()

    @staticmethod
    def give_up(history, limbo, slot, key):
        if len(history.get(key, [None])) > 1:
            limbo[slot] = limbo.get(slot, 0) + 1

    def put(self, s3, history, key, version, size):
        before = history.get(key, [None])
        self.size[key, version] = size
        history[key] = before + [version]
        s3.put(self.bucket, key, body_of(key, version, size))
        history[key] = [version]

    def remove(self, s3, history, key):
        before = history.get(key, [None])
        history[key] = before + [None]
        s3.delete(self.bucket, key)
        history[key] = [None]

    def seen(self, history, key, body):
        """Checks what a read gave against the candidates."""
        candidates = history.get(key, [None])
        for version in candidates:
            if version is None:
                if body is None:
                    return True
            elif body is not None and len(body) == self.size[key, version] and \
                    body == body_of(key, version, len(body)):
                return True
        what = "absent" if body is None else f"{len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:12]}"
        self.note("mismatch", f"{key}: {what}, expected one of {candidates}")
        return False

    def read(self, s3, history, key):
        try:
            self.seen(history, key, s3.get(self.bucket, key))
        except S3Error as error:
            if error.status != 404:
                raise
            self.seen(history, key, None)

    def list(self, s3, history, prefix):
        found = {key for key, _, _ in s3.keys(self.bucket, prefix)}
        for key, candidates in history.items():
            if None not in candidates and key not in found:
                self.note("mismatch", f"{key}: not in the listing, expected {candidates}")
            if candidates == [None] and key in found:
                self.note("mismatch", f"{key}: in the listing after its delete")

    def verify(self):
        """Reads every key back; returns how many objects are there."""
        s3, count = self.house.s3(), 0
        for number, history in enumerate(self.histories):
            for key in sorted(history):
                self.read(s3, history, key)
                count += history[key] != [None]
            self.list(s3, history, f"c{number}/")
        check(not self.mismatches, f"{len(self.mismatches)} mismatches:", *self.mismatches[:5])
        return count


def run(scenario):
    """Runs a scenario function; prints how long it took."""
    start = time.monotonic()
    try:
        scenario()
    except AssertionError as error:
        say("FAILED:", error)
        sys.exit(1)
    say(f"passed in {time.monotonic() - start:.1f} s")
