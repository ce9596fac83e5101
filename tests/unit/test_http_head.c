/*
 * test_http_head - request heads: what is read, and every way to be refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "libhttp/http_head.h"

static struct arena arena;
static struct err e;
static struct http_request req;
static struct http_framing framing;
static char *head;

static void
setup(void)
{
	arena_init(&arena, 1 << 20);
}

static void
teardown(void)
{
	free(head);
	arena_release(&arena);
}

TestSuite(http_head, .init = setup, .fini = teardown);

/* The status that a head is refused with, 0 if it is good, -1 if it is not complete. */
static int
parse(const char *text)
{
	size_t scanned = 0, bytes = strlen(text);
	ssize_t n;

	free(head);
	head = malloc(bytes + 1);		/* no terminator: ASan sees a read past the end */
	memcpy(head, text, bytes);
	n = http_head_find(head, bytes, &scanned, &e);
	if (n <= 0)
		return (n < 0 ? 400 : -1);
	memset(&req, 0, sizeof(req));
	req.arena = &arena;
	return (http_head_parse(head, (size_t)n, 10, &req, &framing, &e));
}

Test(http_head, get)
{
	cr_assert_eq(parse("GET /b/a%20b+c?x=1&y=a+b HTTP/1.1\r\nHost: s3.local:9000\r\n"
	    "X-Amz-Meta-A:  v w \t\r\nEmpty:\r\nUTF: \xc3\xa4\r\nx-amz-meta-a: 2\r\n\r\n"), 0, "%s",
	    e.text);
	cr_assert_eq(req.verb, HTTP_VERB_GET);
	cr_assert_str_eq(req.method, "GET");
	cr_assert_str_eq(req.target, "/b/a%20b+c?x=1&y=a+b");
	cr_assert_str_eq(req.path_raw, "/b/a%20b+c");
	cr_assert_str_eq(req.path, "/b/a b+c");
	cr_assert_str_eq(req.query_raw, "x=1&y=a+b");
	cr_assert_str_eq(uri_query_get(&req.query, "y"), "a b");
	cr_assert_str_eq(req.host, "s3.local:9000");
	cr_assert_eq(req.header_count, 5);
	cr_assert_str_eq(http_request_header(&req, "x-amz-meta-a"), "v w");
	cr_assert_eq(http_request_header_count(&req, "x-amz-meta-a"), 2);
	cr_assert_str_eq(http_request_header(&req, "empty"), "");
	cr_assert_str_eq(http_request_header(&req, "utf"), "\xc3\xa4");
	cr_assert_null(http_request_header(&req, "nothing"));
	cr_assert_eq(req.content_length, 0);
	cr_assert_not(req.has_content_length);
	cr_assert(framing.keep_alive);
}

Test(http_head, bodies)
{
	cr_assert_eq(parse("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 42\r\n"
	    "Expect: 100-Continue\r\n\r\n"), 0);
	cr_assert_eq(req.content_length, 42);
	cr_assert(req.has_content_length && req.expect_continue && !framing.chunked);
	cr_assert_eq(parse("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"), 0);
	cr_assert_eq(req.content_length, HTTP_LENGTH_UNKNOWN);
	cr_assert(framing.chunked);
	cr_assert_eq(parse("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"), 0);
	cr_assert(req.has_content_length);
}

Test(http_head, connections)
{
	cr_assert_eq(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), 0);
	cr_assert_not(framing.keep_alive);
	cr_assert_eq(parse("GET / HTTP/1.0\r\n\r\n"), 0);
	cr_assert(framing.version_1_0 && !framing.keep_alive);
	cr_assert_str_eq(req.host, "");
	cr_assert_eq(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), 0);
	cr_assert(framing.keep_alive);
	cr_assert_eq(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
	    "Upgrade: h2c\r\n\r\n"),
	    0);
}

Test(http_head, targets)
{
	cr_assert_eq(parse("GET http://h:1/a?b HTTP/1.1\r\nHost: h:1\r\n\r\n"), 0, "%s", e.text);
	cr_assert_str_eq(req.target, "/a?b");
	cr_assert_str_eq(req.path, "/a");
	cr_assert_eq(parse("GET HTTP://H HTTP/1.1\r\nHost: h\r\n\r\n"), 0, "%s", e.text);
	cr_assert_str_eq(req.path, "/");
	cr_assert_eq(parse("GET http://h?x HTTP/1.0\r\n\r\n"), 0, "%s", e.text);
	cr_assert_str_eq(req.target, "/?x");
	cr_assert_str_eq(req.host, "h");
	cr_assert_eq(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), 0, "%s", e.text);
	cr_assert_str_eq(req.path, "*");
	cr_assert_eq(parse("GET //a/../b/./ HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n"), 0, "%s",
	    e.text);
	cr_assert_str_eq(req.path, "//a/../b/./");
	cr_assert_eq(parse("GET /\xc3\xa4|^ HTTP/1.1\r\nHost: h\r\n\r\n"), 0, "%s", e.text);
}

#define H "Host: h\r\n"
#define CASE(status, text) { status, text }

Test(http_head, refusals)
{
	static const struct {
		int		 status;
		const char	*text;
	} rows[] = {
		/* not HTTP, or not yet */
		CASE(-1, "GET / HTTP/1.1\r\nHost: h\r\n"),
		CASE(400, "\x16\x03\x01"),
		CASE(400, "get / HTTP/1.1\r\n" H "\r\n"),
		/* line ends */
		CASE(400, "GET / HTTP/1.1\nHost: h\n\n"),
		CASE(400, "GET / HTTP/1.1\r\nHost: h\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\n" H "A: b\rC: d\r\n\r\n"),
		/* request line */
		CASE(400, "GET /\r\n\r\n"),
		CASE(400, "GET / HTTP/0.9\n\r\n"),
		CASE(505, "GET / HTTP/0.9\r\n" H "\r\n"),
		CASE(505, "GET / HTTP/2.0\r\n" H "\r\n"),
		CASE(505, "GET / HTTP/1.2\r\n" H "\r\n"),
		CASE(400, "GET / HTTP/1.10\r\n" H "\r\n"),
		CASE(400, "GET / HTTP/1.1 \r\n" H "\r\n"),
		CASE(400, "GET  / HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET /a b HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET  HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET /\x01 HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET /#f HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET /%zz HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET /%00 HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET /?a=%0 HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET a HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET * HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET ftp://h/ HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET http:///a HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET http://other/a HTTP/1.1\r\n" H "\r\n"),
		CASE(400, "GET http://u@h/a HTTP/1.0\r\n\r\n"),
		CASE(501, "CONNECT h:1 HTTP/1.1\r\n" H "\r\n"),
		CASE(501, "BREW / HTTP/1.1\r\n" H "\r\n"),
		/* header lines */
		CASE(400, "GET / HTTP/1.1\r\n" H " folded: x\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\n" H "Content-Length : 5\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\n" H "no colon\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\n" H ": x\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\n" H "A\x7f: x\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\n" H "A: x\x01\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\n" H "A(b): x\r\n\r\n"),
		CASE(431, "GET / HTTP/1.1\r\n" H
		    "a:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\n"
		    "a:1\r\na:1\r\n\r\n"),
		/* Host */
		CASE(400, "GET / HTTP/1.1\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
		CASE(400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
		/* two lengths of a body */
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H
		    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H
		    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.1\r\n" H "Transfer-Encoding:\x0b" "chunked\r\n\r\n"),
		CASE(400, "PUT / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
		CASE(417, "PUT / HTTP/1.1\r\n" H "Expect: something\r\n\r\n"),
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		e.text[0] = '\0';
		cr_assert_eq(parse(rows[i].text), rows[i].status, "case %zu: %s (%s)", i,
		    rows[i].text,
		    e.text);
		cr_assert(rows[i].status == -1 || e.text[0] != '\0');
	}
}

Test(http_head, found_in_pieces)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\nbody";
	size_t bytes, scanned = 0;
	ssize_t n = 0;

	for (bytes = 0; bytes < sizeof(text) && n == 0; bytes++)
		n = http_head_find(text, bytes, &scanned, &e);
	cr_assert_eq(n, sizeof(text) - 1 - 4);
}

Test(http_head, nul_bytes)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n";
	static const char line[] = "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n";
	char copy[64];

	req.arena = &arena;
	memcpy(copy, text, sizeof(text) - 1);
	cr_assert_eq(http_head_parse(copy, sizeof(text) - 1, 10, &req, &framing, &e), 400);
	memcpy(copy, line, sizeof(line) - 1);
	cr_assert_eq(http_head_parse(copy, sizeof(line) - 1, 10, &req, &framing, &e), 400);
}

Test(http_head, small_arena)
{
	arena_release(&arena);
	arena_init(&arena, 64);
	cr_assert_eq(parse("GET / HTTP/1.1\r\nHost: h\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n"),
	    431);
}
