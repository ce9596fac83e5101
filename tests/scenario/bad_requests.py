#!/usr/bin/python3
# Hostile and mistaken clients: wrong credentials, a clock that is off, request smuggling, oversized headers,
# slow clients, bodies that do not match what was signed. Each gets a clear error; the server goes on.
#
# SPDX-License-Identifier: Apache-2.0
import base64
import datetime
import hashlib
import socket
import time

from house import House, check, run, say


def raw(house, data, wait=5.0):
    """Sends bytes; returns what came back until the server closed or `wait` seconds passed."""
    answer = b""
    with socket.create_connection(("127.0.0.1", house.s3_port), timeout=wait) as s:
        s.sendall(data)
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                answer += piece
        except (socket.timeout, ConnectionResetError):
            pass
    return answer


def expect(house, what, status, code, answer):
    got, _, body = answer
    check(got == status and code.encode() in body, f"{what}: expected {status} {code}, got {got} {body[:300]!r}")
    check(b"<RequestId>" in body or status == 304, f"{what}: no request id in {body[:300]!r}")


def credentials(house):
    s3 = house.s3()
    s3.make_bucket("bad")
    s3.put("bad", "k", b"good")
    expect(house, "wrong secret", 403, "SignatureDoesNotMatch", house.s3(secret="wrong").request("GET", "/bad/k"))
    expect(house, "unknown key", 403, "InvalidAccessKeyId", house.s3(access="nobody").request("GET", "/bad/k"))
    now = datetime.datetime.now(datetime.timezone.utc)
    for hours in (-2, 2):
        expect(house, f"clock {hours} h off", 403, "RequestTimeTooSkewed",
               s3.request("GET", "/bad/k", now=now + datetime.timedelta(hours=hours)))
    expect(house, "other region", 400, "AuthorizationHeaderMalformed", house.s3(region="mars-1").request("GET", "/bad/k"))
    answer = raw(house, b"GET /bad/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(b" 403 " in answer and b"AccessDenied" in answer, f"anonymous: {answer[:200]!r}")
    target, headers = s3.signed("PUT", "/bad/k", {}, {}, hashlib.sha256(b"signed").hexdigest())
    text = f"PUT {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    answer = raw(house, text.encode() + b"Content-Length: 6\r\nConnection: close\r\n\r\nforged")
    check(b" 400 " in answer and b"XAmzContentSHA256Mismatch" in answer, f"forged body: {answer[:300]!r}")
    expect(house, "wrong Content-MD5", 400, "BadDigest", s3.request(
        "PUT", "/bad/k", body=b"body", headers={"content-md5": base64.b64encode(hashlib.md5(b"x").digest()).decode()}))
    check(s3.get("bad", "k") == b"good", "a refused put changed the object")
    say("credentials, clock and digests: refused, named, nothing changed")


def malformed(house):
    head = b"GET /bad/k HTTP/1.1\r\nHost: x\r\n"
    cases = {
        "two Content-Lengths": b"PUT /bad/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "length and chunked": b"PUT /bad/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "unknown coding": b"PUT /bad/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "chunked twice": b"PUT /bad/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "bad length": b"PUT /bad/k HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "huge length": b"PUT /bad/k HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "plus length": b"PUT /bad/k HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
        "space before colon": head + b"Content-Length : 0\r\n\r\n",
        "folded header": head + b"X-A: b\r\n c\r\n\r\n",
        "bare line feeds": b"GET /bad/k HTTP/1.1\nHost: x\n\n",
        "no host": b"GET /bad/k HTTP/1.1\r\n\r\n",
        "NUL in a header": head + b"X-A: b\0c\r\n\r\n",
        "no version": b"GET /bad/k\r\n\r\n",
        "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
    }
    for what, data in cases.items():
        answer = raw(house, data)
        check(answer == b"" or answer.split(b" ", 2)[1:2] == [b"400"] or answer.split(b" ", 2)[1:2] == [b"505"],
              f"{what}: {answer[:120]!r}")
        check(answer.count(b"HTTP/1.1 ") <= 1, f"{what}: a second answer on a connection that cannot be trusted")
    answer = raw(house, head + b"X-A: " + b"a" * 200000 + b"\r\n\r\n")
    check(answer == b"" or b" 431 " in answer[:20] or b" 400 " in answer[:20], f"oversized headers: {answer[:100]!r}")
    say(f"{len(cases) + 1} malformed requests: each refused and the connection closed")


def slow(house):
    sockets = []
    for _ in range(50):
        s = socket.create_connection(("127.0.0.1", house.s3_port))
        s.sendall(b"GET /bad/k HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        sockets.append(s)
    start = time.monotonic()
    check(house.s3().get("bad", "k") == b"good", "slow clients keep others out")
    check(time.monotonic() - start < 5, "slow clients slow others down")
    for s in sockets:
        s.settimeout(60)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        except socket.timeout:
            raise AssertionError("a slow client was not cut off")
        s.close()
    say("50 slow clients: cut off, others served meanwhile")


def scenario():
    with House(config={"s3.header_timeout": "5s"}) as house:
        credentials(house)
        malformed(house)
        slow(house)
        check(house.s3().get("bad", "k") == b"good", "the object after all that")
        check(house.stop() == 0, "exit status")


run(scenario)
