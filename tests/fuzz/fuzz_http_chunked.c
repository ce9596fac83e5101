/*
 * fuzz_http_chunked - any bytes as a chunked body: the same result whole and byte by byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libbase/buf.h"
#include "libhttp/http_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* 0 more needed, 1 done, <0 refused. */
static int
run(const uint8_t *data, size_t bytes, size_t piece, struct buf *out)
{
	struct http_chunked c;
	size_t at = 0, end = 0, take;
	ssize_t n;

	http_chunked_init(&c);
	while (end < bytes) {
		end = bytes - end < piece ? bytes : end + piece;
		while (at < end) {
			n = http_chunked_parse(&c, data + at, end - at, NULL);
			if (n < 0)
				return ((int)n);
			at += (size_t)n;
			if (c.state == HTTP_CHUNKED_DONE)
				return (1);
			if (c.state != HTTP_CHUNKED_DATA)
				continue;
			take = c.left < end - at ? (size_t)c.left : end - at;
			buf_append(out, data + at, take);
			http_chunked_take(&c, take);
			at += take;
		}
	}
	return (0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct buf whole = BUF_INIT, pieces = BUF_INIT;

	assert(run(data, bytes, bytes, &whole) == run(data, bytes, 1, &pieces));
	assert(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
	buf_release(&whole);
	buf_release(&pieces);
	return (0);
}
