/*
 * fuzz_aws_chunked - any bytes as an aws-chunked body of each kind (first byte): the same result
 * whole and in pieces, never more bytes than announced (second byte), and no forged signature.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libauth/aws_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static enum sigv4_result
run(const struct sigv4_auth *auth, uint64_t length, const uint8_t *data, size_t bytes, size_t piece,
    struct buf *out)
{
	struct aws_chunked d;
	enum sigv4_result result = SIGV4_OK;
	size_t at, n, got;
	uint8_t *copy;

	aws_chunked_init(&d, auth, length);
	for (at = 0; at < bytes && result == SIGV4_OK; at += n) {
		n = bytes - at < piece ? bytes - at : piece;
		copy = malloc(n);
		if (copy == NULL)
			abort();
		memcpy(copy, data + at, n);
		result = aws_chunked_feed(&d, copy, n, &got, NULL);
		assert(got <= n);
		if (got > 0)
			buf_append(out, copy, got);
		free(copy);
	}
	if (result == SIGV4_OK)
		result = aws_chunked_finish(&d, NULL);
	assert(out->bytes <= length);
	assert(result != SIGV4_OK || out->bytes == length);
	aws_chunked_release(&d);
	return (result);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const enum sigv4_payload kinds[] = { SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER,
	    SIGV4_PAYLOAD_STREAMING, SIGV4_PAYLOAD_STREAMING_TRAILER };
	struct sigv4_auth auth = { .date = "20130524T000000Z",
	    .scope = "20130524/us-east-1/s3/aws4_request", .signing_key = "0123456789abcdef",
	    .signature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9" };
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	enum sigv4_result result;

	if (bytes < 2)
		return (0);
	auth.payload = kinds[data[0] % 3];
	result = run(&auth, data[1], data + 2, bytes - 2, bytes, &whole);
	assert(run(&auth, data[1], data + 2, bytes - 2, 1, &pieces) == result);
	assert(auth.payload == SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER || result != SIGV4_OK);
	if (result == SIGV4_OK)
		assert(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
	buf_release(&whole);
	buf_release(&pieces);
	return (0);
}
