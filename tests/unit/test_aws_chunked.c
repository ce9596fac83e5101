/*
 * test_aws_chunked - the published example of a signed chunked upload, trailers, and broken bodies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "libauth/aws_chunked.h"
#include "libbase/buf.h"
#include "libbase/clock.h"

#define KEY	"AKIAIOSFODNN7EXAMPLE"
#define SECRET	"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define DATE	"20130524T000000Z"
#define CHUNK1	"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
#define CHUNK2	"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
#define CHUNK3	"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"

static struct err e;

/* The seed request of the documentation. */
static void
seed(struct sigv4_auth *auth, bool trailer)
{
	static const struct sigv4_credentials c = { KEY, SECRET, "us-east-1", "s3" };
	struct sigv4_field headers[8] = {
		{ "host", "s3.amazonaws.com" }, { "x-amz-date", DATE },
		{ "x-amz-storage-class", "REDUCED_REDUNDANCY" }, { "content-encoding",
		    "aws-chunked" },
		{ "x-amz-decoded-content-length", "66560" }, { "content-length", "66824" },
		{ "x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" },
	};
	struct sigv4_request r = { "PUT", "/examplebucket/chunkObject.txt", NULL, 0, headers, 7 };
	struct buf text = BUF_INIT;
	uint64_t now;

	if (trailer) {
		headers[5] = (struct sigv4_field){ "x-amz-trailer", "x-amz-checksum-crc32c" };
		headers[6].value = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
	}
	cr_assert_eq(clock_parse_amz(DATE, &now), 0);
	sigv4_sign(&c, &r, now, &text, auth);
	buf_release(&text);
}

static void
put_chunk(struct buf *b, size_t bytes, const char *signature)
{
	buf_printf(b, "%zx;chunk-signature=%s\r\n", bytes, signature);
	memset(buf_extend(b, bytes), 'a', bytes);
	buf_append(b, "\r\n", 2);
}

static void
example_body(struct buf *b)
{
	put_chunk(b, 65536, CHUNK1);
	put_chunk(b, 1024, CHUNK2);
	put_chunk(b, 0, CHUNK3);
}

/* Feeds a copy of the body in pieces; the decoded bytes go to out. */
static enum sigv4_result
run(const struct sigv4_auth *auth, uint64_t length, const struct buf *body, size_t piece,
    struct buf *out, struct aws_chunked *d)
{
	enum sigv4_result result = SIGV4_OK;
	size_t at, n, got;
	uint8_t *copy;

	aws_chunked_init(d, auth, length);
	for (at = 0; at < body->bytes && result == SIGV4_OK; at += n) {
		n = body->bytes - at < piece ? body->bytes - at : piece;
		copy = malloc(n);
		memcpy(copy, body->data + at, n);
		result = aws_chunked_feed(d, copy, n, &got, &e);
		cr_assert_leq(got, n);
		if (got > 0)
			buf_append(out, copy, got);
		free(copy);
	}
	if (result == SIGV4_OK)
		result = aws_chunked_finish(d, &e);
	else
		cr_assert_eq(aws_chunked_finish(d, &e), result);
	return (result);
}

Test(aws_chunked, example)
{
	static const size_t pieces[] = { 1, 2, 7, 89, 1000, 65536, 100000 };
	struct buf body = BUF_INIT, out = BUF_INIT;
	struct aws_chunked d;
	struct sigv4_auth auth;
	size_t i, k;

	seed(&auth, false);
	cr_assert_str_eq(auth.signature,
	    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
	example_body(&body);
	cr_assert_eq(body.bytes, 66824);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		buf_reset(&out);
		cr_assert_eq(run(&auth, 66560, &body, pieces[i], &out, &d), SIGV4_OK, "%s", e.text);
		cr_assert_eq(out.bytes, 66560);
		for (k = 0; k < out.bytes; k++)
			cr_assert_eq(out.data[k], 'a');
		aws_chunked_release(&d);
	}
	buf_release(&body);
	buf_release(&out);
}

Test(aws_chunked, example_with_trailer)
{
	struct buf body = BUF_INIT, out = BUF_INIT;
	struct aws_chunked d;
	struct sigv4_auth auth;

	seed(&auth, true);
	cr_assert_str_eq(auth.signature,
	    "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
	put_chunk(&body, 65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2");
	put_chunk(&body, 1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7");
	buf_printf(&body, "0;chunk-signature=%s\r\n",
	    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992");
	buf_append_string(&body, "x-amz-checksum-crc32c:sOO8/Q==\r\n");
	buf_append_string(&body, "x-amz-trailer-signature:"
	    "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n");
	cr_assert_eq(run(&auth, 66560, &body, 333, &out, &d), SIGV4_OK, "%s", e.text);
	cr_assert_str_eq(aws_chunked_trailer(&d, "x-amz-checksum-crc32c"), "sOO8/Q==");
	aws_chunked_release(&d);
	/* One bit of the trailer, or no signature of it, and nothing counts. */
	body.data[body.bytes - 104] ^= 1;
	cr_assert_eq(run(&auth, 66560, &body, 333, &out, &d), SIGV4_SIGNATURE_MISMATCH);
	aws_chunked_release(&d);
	body.bytes -= 24 + 64 + 4;
	buf_append_string(&body, "\r\n");
	cr_assert_eq(run(&auth, 66560, &body, 333, &out, &d), SIGV4_MALFORMED_TRAILER);
	aws_chunked_release(&d);
	buf_release(&body);
	buf_release(&out);
}

Test(aws_chunked, changed_bytes_are_found)
{
	static const size_t at[] = { 100, 65000, 65536 + 90 + 85, 66000 };
	struct buf body = BUF_INIT, out = BUF_INIT;
	struct aws_chunked d;
	struct sigv4_auth auth;
	size_t i;

	seed(&auth, false);
	example_body(&body);
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		body.data[at[i]] ^= 1;
		cr_assert_neq(run(&auth, 66560, &body, 4096, &out, &d), SIGV4_OK);
		body.data[at[i]] ^= 1;
		aws_chunked_release(&d);
	}
	/* Chunks in another order. */
	buf_reset(&body);
	put_chunk(&body, 1024, CHUNK2);
	put_chunk(&body, 65536, CHUNK1);
	put_chunk(&body, 0, CHUNK3);
	cr_assert_eq(run(&auth, 66560, &body, 4096, &out, &d), SIGV4_SIGNATURE_MISMATCH);
	aws_chunked_release(&d);
	buf_release(&body);
	buf_release(&out);
}

Test(aws_chunked, lengths)
{
	struct buf body = BUF_INIT, out = BUF_INIT;
	struct aws_chunked d;
	struct sigv4_auth auth;

	seed(&auth, false);
	example_body(&body);
	cr_assert_eq(run(&auth, 66559, &body, 4096, &out, &d), SIGV4_INCOMPLETE_BODY);
	aws_chunked_release(&d);
	cr_assert_eq(run(&auth, 66561, &body, 4096, &out, &d), SIGV4_INCOMPLETE_BODY);
	aws_chunked_release(&d);
	body.bytes -= 1;
	cr_assert_eq(run(&auth, 66560, &body, 4096, &out, &d), SIGV4_INCOMPLETE_BODY);
	aws_chunked_release(&d);
	body.bytes += 1;
	buf_append(&body, "x", 1);
	cr_assert_eq(run(&auth, 66560, &body, 4096, &out, &d), SIGV4_INVALID_REQUEST);
	aws_chunked_release(&d);
	buf_release(&body);
	buf_release(&out);
}

static enum sigv4_result
run_unsigned(const char *text, uint64_t length, struct buf *out, struct aws_chunked *d)
{
	struct sigv4_auth auth = { .payload = SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER };
	struct buf body = BUF_INIT;
	enum sigv4_result result;

	buf_reset(out);
	buf_append_string(&body, text);
	result = run(&auth, length, &body, 3, out, d);
	buf_release(&body);
	return (result);
}

Test(aws_chunked, unsigned_trailers)
{
	struct aws_chunked d;
	struct buf out = BUF_INIT;

	cr_assert_eq(run_unsigned("5\r\nhello\r\n1\r\n!\r\n0\r\n"
	    "X-Amz-Checksum-CRC32: abc= \r\n\r\n", 6,
	    &out, &d), SIGV4_OK, "%s", e.text);
	cr_assert_str_eq(buf_string(&out), "hello!");
	cr_assert_str_eq(aws_chunked_trailer(&d, "x-amz-checksum-crc32"), "abc=");
	cr_assert_null(aws_chunked_trailer(&d, "x-amz-checksum-sha1"));
	aws_chunked_release(&d);
	cr_assert_eq(run_unsigned("0\r\nx-amz-checksum-crc32:AAAAAA==\n\r\n\r\n", 0, &out, &d),
	    SIGV4_OK);
	cr_assert_str_eq(aws_chunked_trailer(&d, "x-amz-checksum-crc32"), "AAAAAA==");
	aws_chunked_release(&d);
	buf_release(&out);
}

Test(aws_chunked, malformed)
{
	static const struct {
		enum sigv4_result	 result;
		const char		*text;
	} rows[] = {
		{ SIGV4_INVALID_REQUEST, "g\r\n" },
		{ SIGV4_INVALID_REQUEST, "\r\n" },
		{ SIGV4_INVALID_REQUEST, "5\nhello" },
		{ SIGV4_INVALID_REQUEST, "5 \r\nhello\r\n0\r\n\r\n" },
		{ SIGV4_INVALID_REQUEST, "1000000000000000\r\n" },
		{ SIGV4_INVALID_REQUEST, "5\r\nhello!\r\n" },
		{ SIGV4_INVALID_REQUEST, "5\r\nhello\n\r0\r\n\r\n" },
		{ SIGV4_INCOMPLETE_BODY, "6\r\nhello!\r\n" },
		{ SIGV4_INCOMPLETE_BODY, "5\r\nhello\r\n" },
		{ SIGV4_INCOMPLETE_BODY, "5\r\nhello\r\n0\r\n" },
		{ SIGV4_INCOMPLETE_BODY, "" },
		{ SIGV4_MALFORMED_TRAILER, "5\r\nhello\r\n0\r\nno-colon\r\n\r\n" },
		{ SIGV4_MALFORMED_TRAILER, "5\r\nhello\r\n0\r\n:x\r\n\r\n" },
		{ SIGV4_MALFORMED_TRAILER,
		    "5\r\nhello\r\n0\r\na:1\r\nb:1\r\nc:1\r\nd:1\r\ne:1\r\nf:1\r\n"
		    "g:1\r\nh:1\r\ni:1\r\n\r\n" },
	};
	struct aws_chunked d;
	struct buf out = BUF_INIT, text = BUF_INIT;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(run_unsigned(rows[i].text, 5, &out, &d), rows[i].result, "%s: %s",
		    rows[i].text, e.text);
		aws_chunked_release(&d);
	}
	buf_append_string(&text, "5;");
	memset(buf_extend(&text, 300), 'x', 300);
	cr_assert_eq(run_unsigned(buf_string(&text), 5, &out, &d), SIGV4_INVALID_REQUEST);
	aws_chunked_release(&d);
	buf_reset(&text);
	buf_append_string(&text, "0\r\na:");
	memset(buf_extend(&text, 5000), 'x', 5000);
	cr_assert_eq(run_unsigned(buf_string(&text), 0, &out, &d), SIGV4_MALFORMED_TRAILER);
	aws_chunked_release(&d);
	buf_release(&text);
	buf_release(&out);
}
