/*
 * test_http_chunked - the framing of chunked request bodies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <string.h>

#include "libbase/buf.h"
#include "libhttp/http_chunked.h"

static struct err e;

/*
 * Decodes text in pieces; 0 if it ended, 1 if more is needed, or ERR_PROTOCOL. *used: up to the
 * end.
 */
static int
run(const char *text, size_t bytes, size_t piece, struct buf *out, size_t *used)
{
	struct http_chunked c;
	size_t at = 0, end;
	ssize_t n;

	http_chunked_init(&c);
	buf_reset(out);
	for (end = 0; end < bytes;) {
		end = end + piece < bytes ? end + piece : bytes;
		while (at < end && c.state != HTTP_CHUNKED_DONE) {
			n = http_chunked_parse(&c, text + at, end - at, &e);
			if (n < 0)
				return ((int)n);
			at += (size_t)n;
			if (c.state != HTTP_CHUNKED_DATA)
				continue;
			n = (ssize_t)(c.left < end - at ? c.left : end - at);
			buf_append(out, text + at, (size_t)n);
			http_chunked_take(&c, (uint64_t)n);
			at += (size_t)n;
		}
	}
	*used = at;
	return (c.state == HTTP_CHUNKED_DONE ? 0 : 1);
}

Test(http_chunked, good)
{
	static const char text[] = "5\r\nhello\r\n00A;x=\"y\"\r\n, world...\r\n0\r\nA: b\r\n\r\n"
	    "GET";
	struct buf out = BUF_INIT;
	size_t piece, used;

	for (piece = 1; piece < sizeof(text); piece++) {
		cr_assert_eq(run(text, sizeof(text) - 1, piece, &out, &used), 0);
		cr_assert_str_eq(buf_string(&out), "hello, world...");
		cr_assert_eq(used, sizeof(text) - 4);
	}
	buf_release(&out);
}

Test(http_chunked, bad)
{
	static const char *const bad[] = { "\r\n", "x\r\n", "5\nhello", "5 \r\n", " 5\r\n",
	    "-1\r\n",
	    "0x5\r\n", "5\rx", "5;\x01\r\n", "5;a\n\r\n", "5\r\nhello!", "5\r\nhello\n",
	    "5\r\nhello\r\r",
	    "1000000000000000\r\n", "0\r\na: b\n\r\n", "0\r\n\x01: b\r\n", "0\r\nab\rc" };
	struct buf out = BUF_INIT;
	size_t i, used;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(run(bad[i], strlen(bad[i]), 1, &out, &used), ERR_PROTOCOL, "%s",
		    bad[i]);
		cr_assert_eq(run(bad[i], strlen(bad[i]), 100, &out, &used), ERR_PROTOCOL, "%s",
		    bad[i]);
	}
	buf_release(&out);
}

Test(http_chunked, bounds)
{
	struct buf text = BUF_INIT, out = BUF_INIT;
	size_t used;

	buf_append_string(&text, "5;");
	memset(buf_extend(&text, HTTP_CHUNK_LINE_MAX), 'x', HTTP_CHUNK_LINE_MAX);
	cr_assert_eq(run((char *)text.data, text.bytes, 100, &out, &used), ERR_PROTOCOL);
	buf_reset(&text);
	buf_append_string(&text, "0\r\n");
	memset(buf_extend(&text, HTTP_TRAILER_BYTES_MAX + 1), 'x', HTTP_TRAILER_BYTES_MAX + 1);
	cr_assert_eq(run((char *)text.data, text.bytes, 100, &out, &used), ERR_PROTOCOL);
	cr_assert_eq(run("5\r\nhel", 6, 1, &out, &used), 1);
	buf_release(&text);
	buf_release(&out);
}
