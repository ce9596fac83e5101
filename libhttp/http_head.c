/*
 * http_head - finds and reads the head of a request, strictly.
 *
 *   head_check_lines   every byte of the head is one that it may be (lexical; no second readings)
 *   http_parser        splits it into method, target, headers, and knows Connection
 *   head_check_*       what the headers mean together: Host, length, coding, Expect
 *
 * http_parser (which Debian builds without its strict mode) accepts bare LF, folded lines, blanks
 * before a colon and fragments: those are refused before it sees them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libhttp/http_head.h"

#include <assert.h>
#include <http_parser.h>

#include "libbase/bytes.h"

#define REFUSE(e, status, ...) (err_set((e), ERR_PROTOCOL, __VA_ARGS__), (status))

struct head_span {
	char	*text;
	size_t	 bytes;
};

/* What http_parser told us. */
struct head_parse {
	struct head_span	 target;
	struct http_header	*headers;
	size_t			 count;
	size_t			 headers_max;
	bool			 keep_alive;
};

static bool
is_token(uint8_t c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL));
}

ssize_t
http_head_find(const char *data, size_t bytes, size_t *scanned, struct err *e)
{
	size_t i = *scanned;
	const char *lf;

	if (bytes == 0)
		return (0);
	if (data[0] < 'A' || data[0] > 'Z')
		return (err_set(e, ERR_PROTOCOL, "this is not an HTTP request"));
	for (; i < bytes; i++) {
		lf = memchr(data + i, '\n', bytes - i);
		if (lf == NULL)
			break;
		i = (size_t)(lf - data);
		if (data[i - 1] != '\r')
			return (err_set(e, ERR_PROTOCOL, "a line of the head ends without CR"));
		if (i >= 3 && data[i - 2] == '\n')
			return ((ssize_t)i + 1);
	}
	*scanned = bytes;
	return (0);
}

/* --- lexical checks --------------------------------------------------------------------------- */

/* "METHOD SP target SP HTTP/1.1", one space each. */
static int
check_request_line(const char *line, size_t bytes, struct err *e)
{
	const char *first = memchr(line, ' ', bytes), *last = memrchr(line, ' ', bytes);
	const char *version, *p;

	if (first == NULL || first == last || last == first + 1 ||
	    memchr(first + 1, ' ', (size_t)(last - first - 1)) != NULL)
		return (REFUSE(e, 400, "the request line is not METHOD TARGET VERSION"));
	for (p = line; p < line + bytes; p++)
		if ((uint8_t)*p < 0x20 || *p == 0x7f)
			return (REFUSE(e, 400, "a control character in the request line"));
	if (memchr(line, '#', bytes) != NULL)
		return (REFUSE(e, 400, "a fragment in the request target"));
	for (p = line; p < first; p++)
		if (!is_token((uint8_t)*p))
			return (REFUSE(e, 400, "the method is not a token"));
	version = last + 1;
	if (line + bytes - version != 8 || memcmp(version, "HTTP/", 5) != 0)
		return (REFUSE(e, 400, "the request line does not end in an HTTP version"));
	if (memcmp(version, "HTTP/1.1", 8) != 0 && memcmp(version, "HTTP/1.0", 8) != 0)
		return (REFUSE(e, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"));
	if (first - line == 7 && memcmp(line, "CONNECT", 7) == 0)
		return (REFUSE(e, 501, "CONNECT is not supported"));
	return (0);
}

static int
check_header_line(const char *line, size_t bytes, struct err *e)
{
	const char *colon = memchr(line, ':', bytes), *p;

	if (line[0] == ' ' || line[0] == '\t')
		return (REFUSE(e, 400, "a folded header line"));
	if (colon == NULL)
		return (REFUSE(e, 400, "a header line without a colon"));
	if (colon == line)
		return (REFUSE(e, 400, "a header without a name"));
	for (p = line; p < colon; p++)
		if (!is_token((uint8_t)*p))
			return (REFUSE(e, 400, "a header name with a byte that it cannot have"));
	for (; p < line + bytes; p++)
		if (((uint8_t)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return (REFUSE(e, 400, "a control character in header %.*s",
			    (int)(colon - line < 64 ? colon - line : 64), line));
	return (0);
}

/* Checks all lines of the head; *headers gets their number. */
static int
check_lines(const char *head, size_t bytes, size_t *headers, struct err *e)
{
	const char *line = head, *end = head + bytes - 2, *lf;
	size_t lines = 0;
	int status;

	while (line < end) {
		lf = memchr(line, '\n', (size_t)(end - line));
		assert(lf != NULL && lf > line && lf[-1] == '\r');
		status = lines == 0 ? check_request_line(line, (size_t)(lf - 1 - line), e) :
		    check_header_line(line, (size_t)(lf - 1 - line), e);
		if (status != 0)
			return (status);
		lines++;
		line = lf + 1;
	}
	*headers = lines - 1;
	return (0);
}

/* --- http_parser ------------------------------------------------------------------------------ */

static int
on_url(http_parser *parser, const char *at, size_t bytes)
{
	struct head_parse *p = parser->data;

	p->target.text = (char *)(uintptr_t)at;
	p->target.bytes = bytes;
	return (0);
}

/*
 * The colon and what follows are not read again, so the name is terminated later, with the value.
 */
static int
on_header_field(http_parser *parser, const char *at, size_t bytes)
{
	struct head_parse *p = parser->data;
	char *name = (char *)(uintptr_t)at;
	size_t i;

	if (p->count == p->headers_max)
		return (1);
	for (i = 0; i < bytes; i++)
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (char)(name[i] + ('a' - 'A'));
	p->headers[p->count].name = name;
	p->headers[p->count].value = "";
	p->count++;
	return (0);
}

static int
on_header_value(http_parser *parser, const char *at, size_t bytes)
{
	struct head_parse *p = parser->data;

	if (p->count == 0)
		return (1);
	if (bytes > 0)
		p->headers[p->count - 1].value = at;
	return (0);
}

/* 1: no body for http_parser to look at; the body is ours. */
static int
on_headers_complete(http_parser *parser)
{
	struct head_parse *p = parser->data;

	p->keep_alive = http_should_keep_alive(parser) != 0;
	return (1);
}

/*
 * Terminates name and value in place: the bytes overwritten are ':' and the CR or blanks before it.
 */
static void
terminate_header(struct http_header *h)
{
	char *colon = strchr((char *)(uintptr_t)h->name, ':');
	char *end;

	assert(colon != NULL);
	*colon = '\0';
	if (*h->value == '\0')
		return;
	end = strchr((char *)(uintptr_t)h->value, '\r');
	assert(end != NULL);
	while (end > h->value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
}

static int
run_parser(char *head, size_t bytes, struct head_parse *p, struct http_request *req, struct err *e)
{
	static const http_parser_settings settings = {
		.on_url = on_url,
		.on_header_field = on_header_field,
		.on_header_value = on_header_value,
		.on_headers_complete = on_headers_complete,
	};
	http_parser parser;
	enum http_errno code;
	size_t i;

	http_parser_set_max_header_size(UINT32_MAX);	/* header_bytes_max is the bound */
	http_parser_init(&parser, HTTP_REQUEST);
	parser.data = p;
	http_parser_execute(&parser, &settings, head, bytes);
	code = HTTP_PARSER_ERRNO(&parser);
	if (code == HPE_INVALID_METHOD)
		return (REFUSE(e, 501, "the method is not known here"));
	if (code != HPE_OK)
		return (REFUSE(e, 400, "bad request head: %s", http_errno_description(code)));
	if (p->target.text == NULL)
		return (REFUSE(e, 400, "the request has no target"));
	req->method = http_method_str((enum http_method)parser.method);
	for (i = 0; i < p->count; i++)
		terminate_header(&p->headers[i]);
	return (0);
}

/* --- meaning ---------------------------------------------------------------------------------- */

static enum http_verb
verb_of(const char *method)
{
	static const char *const names[] = {
		[HTTP_VERB_GET] = "GET", [HTTP_VERB_HEAD] = "HEAD", [HTTP_VERB_PUT] = "PUT",
		[HTTP_VERB_POST] = "POST", [HTTP_VERB_DELETE] = "DELETE",
		[HTTP_VERB_OPTIONS] = "OPTIONS",
	};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(method, names[i]) == 0)
			return ((enum http_verb)i);
	return (HTTP_VERB_OTHER);
}

static bool
is_host(const char *s)
{
	for (; *s != '\0'; s++)
		if (!is_token((uint8_t)*s) && strchr(":[]", *s) == NULL)
			return (false);
	return (true);
}

static int
check_host(struct http_request *req, const struct http_framing *f, struct err *e)
{
	size_t count = http_request_header_count(req, "host");

	if (count > 1)
		return (REFUSE(e, 400, "more than one Host header"));
	if (count == 0 && !f->version_1_0)
		return (REFUSE(e, 400, "no Host header"));
	req->host = count == 1 ? http_request_header(req, "host") : "";
	if (count == 1 && (*req->host == '\0' || !is_host(req->host)))
		return (REFUSE(e, 400, "the Host header is not a host"));
	return (0);
}

/* Content-Length and Transfer-Encoding: exactly one reading, or none. */
static int
check_body(struct http_request *req, struct http_framing *f, struct err *e)
{
	const char *length = http_request_header(req, "content-length");
	const char *coding = http_request_header(req, "transfer-encoding");

	if (http_request_header_count(req, "content-length") > 1)
		return (REFUSE(e, 400, "more than one Content-Length header"));
	if (coding != NULL && length != NULL)
		return (REFUSE(e, 400, "both Content-Length and Transfer-Encoding"));
	if (coding != NULL) {
		if (f->version_1_0 || http_request_header_count(req, "transfer-encoding") > 1 ||
		    strcasecmp(coding, "chunked") != 0)
			return (REFUSE(e, 400, "a Transfer-Encoding other than one \"chunked\""));
		f->chunked = true;
		req->content_length = HTTP_LENGTH_UNKNOWN;
	} else if (length != NULL) {
		if (u64_parse(length, strlen(length), INT64_MAX, &req->content_length) < 0)
			return (REFUSE(e, 400, "the Content-Length is not a number"));
		req->has_content_length = true;
	}
	return (0);
}

static int
check_expect(struct http_request *req, const struct http_framing *f, struct err *e)
{
	const char *expect = http_request_header(req, "expect");

	if (expect == NULL || f->version_1_0)
		return (0);
	if (http_request_header_count(req, "expect") > 1 || strcasecmp(expect, "100-continue") != 0)
		return (REFUSE(e, 417, "an expectation other than 100-continue"));
	req->expect_continue = true;
	return (0);
}

/* absolute-form: takes "http://authority" off; the authority must be the Host. */
static int
strip_authority(struct http_request *req, struct head_span *target, struct err *e)
{
	size_t scheme = strncasecmp(target->text, "https://", 8) == 0 ? 8 : 7, n;
	const char *authority = target->text + scheme;

	n = strcspn(authority, "/?");
	if (n == 0)
		return (REFUSE(e, 400, "the request target has no host"));
	if (*req->host != '\0' && (strlen(req->host) != n || strncasecmp(req->host, authority,
	    n) != 0))
		return (REFUSE(e, 400,
		    "the host of the request target is not that of the Host header"));
	if (*req->host == '\0') {
		req->host = arena_string(req->arena, SLICE(authority, n));
		if (req->host == NULL || !is_host(req->host))
			return (REFUSE(e, 400, "the host of the request target is not a host"));
	}
	target->text += scheme + n;
	target->bytes -= scheme + n;
	if (*target->text == '/')
		return (0);
	target->text = arena_printf(req->arena, "/%s", target->text);
	target->bytes++;
	return (target->text != NULL ? 0 : REFUSE(e, 431, "the request target is too large"));
}

static int
split_target(struct http_request *req, struct head_span target, struct err *e)
{
	const char *question;
	size_t path_bytes;

	if (*target.text == '/') {
		;
	} else if (strncasecmp(target.text, "http://", 7) == 0 ||
	    strncasecmp(target.text, "https://", 8) == 0) {
		int status = strip_authority(req, &target, e);

		if (status != 0)
			return (status);
	} else if (strcmp(target.text, "*") != 0 || req->verb != HTTP_VERB_OPTIONS) {
		return (REFUSE(e, 400, "the request target does not begin with a slash"));
	}
	req->target = target.text;
	question = strchr(target.text, '?');
	path_bytes = question != NULL ? (size_t)(question - target.text) : target.bytes;
	req->query_raw = question != NULL ? question + 1 : "";
	req->path_raw = arena_string(req->arena, SLICE(target.text, path_bytes));
	if (req->path_raw == NULL)
		return (REFUSE(e, 431, "the request target is too large"));
	req->path = req->path_raw;
	if (memchr(req->path_raw, '%', path_bytes) != NULL)
		req->path = uri_decode(req->arena, SLICE(req->path_raw, path_bytes), false, e);
	if (req->path == NULL)
		return (400);
	if (uri_query_parse(req->arena, slice_from_string(req->query_raw), &req->query, e) < 0)
		return (400);
	return (0);
}

static int
check_meaning(struct http_request *req, struct head_span target, struct http_framing *framing,
    struct err *e)
{
	int status;

	if ((status = check_host(req, framing, e)) != 0 ||
	    (status = check_body(req, framing, e)) != 0 ||
	    (status = check_expect(req, framing, e)) != 0)
		return (status);
	return (split_target(req, target, e));
}

int
http_head_parse(char *head, size_t bytes, size_t headers_max, struct http_request *req,
    struct http_framing *framing, struct err *e)
{
	struct head_parse p = { .headers_max = 0 };
	size_t lines;
	int status;

	assert(bytes >= 4 && memcmp(head + bytes - 4, "\r\n\r\n", 4) == 0);
	memset(framing, 0, sizeof(*framing));
	status = check_lines(head, bytes, &lines, e);
	if (status != 0)
		return (status);
	if (lines > headers_max)
		return (REFUSE(e, 431, "%zu headers, more than %zu", lines, headers_max));
	p.headers_max = lines;
	p.headers = arena_alloc(req->arena, (lines + 1) * sizeof(*p.headers));
	if (p.headers == NULL)
		return (REFUSE(e, 431, "the request head is too large"));
	status = run_parser(head, bytes, &p, req, e);
	if (status != 0)
		return (status);
	framing->version_1_0 = p.target.text[p.target.bytes + 8] == '0';
	p.target.text[p.target.bytes] = '\0';
	framing->keep_alive = p.keep_alive;
	req->verb = verb_of(req->method);
	req->headers = p.headers;
	req->header_count = p.count;
	return (check_meaning(req, p.target, framing, e));
}
