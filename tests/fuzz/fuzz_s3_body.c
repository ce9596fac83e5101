/*
 * fuzz_s3_body - any bytes as the body of a request, through the steps of services/s3: plain or
 * aws-chunked with trailers, into an object or a document, in pieces of any size. One answer or one
 * question to the store comes of it, and what is to be kept is as long as was announced.
 *
 * The first byte: 2 bits of framing, 1 document, 1 Content-MD5, 1 trailer announced, 3 piece size.
 * The second: the announced length.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>

#include "tests/unit/s3_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
check(const struct s3_world *w, uint64_t announced, bool trailer)
{
	uint8_t crc[DIGEST_BYTES_MAX];
	const Hf__ObjectEntry *entry;

	assert(w->ended != (w->asked != NULL));
	if (w->asked == NULL) {
		assert(w->status >= 400);
		return;
	}
	if (w->asked->op_case != HF__STORE_REQUEST__OP_OBJECT_PUT)
		return;
	assert(w->written.bytes == announced);
	entry = w->asked->object_put->entry;
	if (trailer) {
		digest_once(DIGEST_CRC32, w->written.data, w->written.bytes, crc);
		assert(entry->n_checksums == 1 && entry->checksums[0]->value.len == 4 &&
		    memcmp(entry->checksums[0]->value.data, crc, 4) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const enum sigv4_payload kinds[] = { SIGV4_PAYLOAD_UNSIGNED,
	    SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER, SIGV4_PAYLOAD_STREAMING,
	    SIGV4_PAYLOAD_STREAMING_TRAILER };
	char length[24], decoded[24];
	struct s3_world w;
	bool trailer, document;

	if (bytes < 2)
		return (0);
	s3_world_open(&w);
	w.payload = kinds[data[0] & 3];
	document = data[0] & 4;
	trailer = (data[0] & 16) && (data[0] & 3) != 0;
	w.piece_bytes = data[0] >> 5;
	w.body = data + 2;
	w.body_bytes = bytes - 2;
	snprintf(length, sizeof(length), "%zu", w.body_bytes);
	snprintf(decoded, sizeof(decoded), "%u", data[1]);
	s3_world_header(&w, "content-length", length);
	if (data[0] & 3)
		s3_world_header(&w, "x-amz-decoded-content-length", decoded);
	if (data[0] & 8)
		s3_world_header(&w, "content-md5", "XUFAKrxLKna5cZ2REBfFkg==");
	if (trailer)
		s3_world_header(&w, "x-amz-trailer", "x-amz-checksum-crc32");
	if (s3_world_start(&w, "PUT", document ? "/bucket" : "/bucket/key"))
		s3_world_run(&w);
	check(&w, (data[0] & 3) ? data[1] : w.body_bytes, trailer);
	s3_world_close(&w);
	return (0);
}
