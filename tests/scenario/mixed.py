# mixed - a load that also copies, and uploads in parts: uploads that end, are aborted or are left open. With segments,
# flushes and graces made small, so that every piece of the store is at work when something breaks.
#
# SPDX-License-Identifier: Apache-2.0
import random
import re

from house import Load, S3Error, body_of

MIB = 1 << 20
CONFIG = {"store.segment_bytes": "4MiB", "store.volume_bytes": "16MiB", "store.index_flush_bytes": "1MiB",
          "store.reclaim_grace": "1s"}


class Mixed(Load):
    def __init__(self, house, seed, **more):
        super().__init__(house, **more)
        self.seed = seed

    def put(self, s3, history, key, version, size):
        before = history.get(key, [None])
        dice = random.Random(f"{self.seed}/{key}/{version}").random()
        self.size[key, version] = size
        if dice < 0.12:
            self.multipart(s3, history, key, version, before)
        elif dice < 0.2:
            self.copy(s3, history, key, version, size, before)
        else:
            history[key] = before + [version]
            s3.put(self.bucket, key, body_of(key, version, size))
            history[key] = [version]

    def multipart(self, s3, history, key, version, before):
        size = 5 * MIB + 70000
        self.size[key, version] = size
        body = body_of(key, version, size)
        _, answer = s3.ok("POST", f"/{self.bucket}/{key}", query={"uploads": ""})
        upload = re.search(rb"<UploadId>([^<]*)", answer).group(1).decode()
        tags = []
        for number, part in enumerate((body[:5 * MIB], body[5 * MIB:]), 1):
            headers, _ = s3.ok("PUT", f"/{self.bucket}/{key}", body=part,
                               query={"partNumber": str(number), "uploadId": upload})
            tags.append(headers["etag"])
        if version % 5 == 0:
            s3.ok("DELETE", f"/{self.bucket}/{key}", query={"uploadId": upload})
            return
        history[key] = before + [version]
        parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{t}</ETag></Part>" for n, t in enumerate(tags, 1))
        _, answer = s3.ok("POST", f"/{self.bucket}/{key}", query={"uploadId": upload},
                          body=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())
        if b"<Error>" in answer:
            raise S3Error(200, answer, {})
        history[key] = [version]

    def copy(self, s3, history, key, version, size, before):
        source = f"{key}.source"
        s3.put(self.bucket, source, body_of(key, version, size))
        history[key] = before + [version]
        _, answer = s3.ok("PUT", f"/{self.bucket}/{key}",
                          headers={"x-amz-copy-source": f"/{self.bucket}/{source}"})
        if b"<Error>" in answer:
            raise S3Error(200, answer, {})
        history[key] = [version]
        s3.delete(self.bucket, source)
