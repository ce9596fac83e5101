/*
 * http_response - heads and bodies of responses, and what is on its way to the socket.
 *
 * Header lines gather in `fields`; begin makes the head of them in `out.own`. The bytes of a write
 * stay with the handler and go out by the same sendmsg as the head before them. What the socket
 * does not take waits for write_event (http_conn.c), which calls conn_response_flush again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "libbase/clock.h"
#include "libhttp/http_conn.h"

/* --- header lines ----------------------------------------------------------------------------- */

static bool
is_clean(const char *value)
{
	for (; *value != '\0'; value++)
		if (((uint8_t)*value < 0x20 && *value != '\t') || *value == 0x7f)
			return (false);
	return (true);
}

int
http_response_header(struct http_request *req, const char *name, const char *value)
{
	struct http_conn *c = conn_of(req);

	assert(!c->begun);
	if (!is_clean(value))
		return (ERR_INVALID);
	buf_append_string(&c->fields, name);
	buf_append(&c->fields, ": ", 2);
	buf_append_string(&c->fields, value);
	buf_append(&c->fields, "\r\n", 2);
	return (0);
}

int
http_response_headerf(struct http_request *req, const char *name, const char *format, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return (ERR_TOO_LARGE);
	return (http_response_header(req, name, text));
}

void
http_response_reset(struct http_request *req)
{
	assert(!conn_of(req)->begun);
	buf_reset(&conn_of(req)->fields);
}

void
http_response_close(struct http_request *req)
{
	assert(!conn_of(req)->begun);
	conn_of(req)->close_after = true;
}

/* --- the way out ------------------------------------------------------------------------------ */

bool
conn_response_flushed(const struct http_conn *c)
{
	return (c->out.own_sent == c->out.own.bytes && c->out.iov_first == c->out.iov_count);
}

/* n bytes went to the kernel. */
static void
out_advance(struct conn_out *out, size_t n)
{
	size_t own = out->own.bytes - out->own_sent;
	struct iovec *iov;

	if (own > n)
		own = n;
	out->own_sent += own;
	n -= own;
	while (n > 0) {
		assert(out->iov_first < out->iov_count);
		iov = &out->iov[out->iov_first];
		if (n < iov->iov_len) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= n;
			return;
		}
		n -= iov->iov_len;
		out->iov_first++;
	}
}

/* One sendmsg; false if the socket takes no more. */
static bool
out_send(struct http_conn *c)
{
	struct conn_out *out = &c->out;
	struct iovec iov[HTTP_IOV_MAX + 2];
	struct msghdr message = { .msg_iov = iov };
	size_t own = out->own.bytes - out->own_sent;
	ssize_t n;
	int i;

	if (own > 0)
		iov[message.msg_iovlen++] = (struct iovec){ out->own.data + out->own_sent, own };
	for (i = out->iov_first; i < out->iov_count; i++)
		iov[message.msg_iovlen++] = out->iov[i];
	n = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EINTR)
		return (true);
	if (n < 0) {
		out->failed = errno != EAGAIN && errno != EWOULDBLOCK;
		return (false);
	}
	out_advance(out, (size_t)n);
	if ((size_t)n > own) {
		size_t body = (size_t)n - own < out->body_pending ? (size_t)n - own :
		    out->body_pending;

		out->body_pending -= body;
		c->req.sent_bytes += body;
	}
	c->write_deadline = 0;
	return (true);
}

void
conn_response_flush(struct http_conn *c)
{
	if (c->out.failed || c->aborted)
		return;
	while (!conn_response_flushed(c))
		if (!out_send(c))
			break;
	if (conn_response_flushed(c)) {
		buf_reset(&c->out.own);
		c->out.own_sent = 0;
		c->out.iov_first = c->out.iov_count = 0;
		c->write_deadline = 0;
		c->out.blocked = false;
		return;
	}
	if (c->out.failed)
		return;
	if (c->write_deadline == 0) {
		c->write_deadline = clock_mono_ms() + c->server->limits.body_timeout_ms;
		conn_timer_update(c);
	}
	if (!c->out.blocked)
		event_add(&c->write_event, NULL);
	c->out.blocked = true;
}

void
conn_response_reset(struct http_conn *c)
{
	struct buf own = c->out.own;

	buf_reset(&own);
	memset(&c->out, 0, sizeof(c->out));
	c->out.own = own;
	buf_reset(&c->fields);
	c->response_left = 0;
	c->begun = c->ended = c->head_only = c->chunked_out = c->close_after = c->aborted = false;
	c->write_fn = NULL;
	c->write_argument = NULL;
	c->write_deadline = 0;
}

void
conn_response_release(struct http_conn *c)
{
	buf_release(&c->out.own);
	buf_release(&c->fields);
}

/* --- heads ------------------------------------------------------------------------------------ */

/* Whether the connection cannot be used again once this response is out. */
static bool
must_close(struct http_conn *c)
{
	if (c->close_after || !c->framing.keep_alive || c->body_failed || c->server->draining)
		return (true);
	if (conn_body_done(c))
		return (false);
	return (c->framing.chunked || c->body_left > c->server->limits.discard_bytes_max ||
	    (c->req.expect_continue && !c->continue_sent));
}

static bool
status_has_no_body(int status)
{
	return (status == 204 || status == 304 || status < 200);
}

static void
append_length(struct http_conn *c, int status, uint64_t content_length)
{
	struct buf *own = &c->out.own;
	char text[48];
	int n;

	if (status_has_no_body(status))
		return;
	if (content_length != HTTP_LENGTH_CHUNKED) {
		n = snprintf(text, sizeof(text), "Content-Length: %llu\r\n",
		    (unsigned long long)content_length);
		buf_append(own, text, (size_t)n);
	} else if (!c->framing.version_1_0) {
		buf_append_string(own, "Transfer-Encoding: chunked\r\n");
	}
}

static void
append_head(struct http_conn *c, int status, uint64_t content_length)
{
	struct buf *own = &c->out.own;
	char line[64];
	int n;

	n = snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\n", status, http_status_phrase(status));
	assert(n > 0 && (size_t)n < sizeof(line));
	buf_append(own, line, (size_t)n);
	buf_append_string(own, http_server_common_fields(c->server));
	append_length(c, status, content_length);
	if (c->close_after)
		buf_append_string(own, "Connection: close\r\n");
	else if (c->framing.version_1_0)
		buf_append_string(own, "Connection: keep-alive\r\n");
	buf_append_slice(own, buf_slice(&c->fields));
	buf_append(own, "\r\n", 2);
}

static void
begin(struct http_conn *c, int status, uint64_t content_length)
{
	assert(c->phase == CONN_REQUEST && !c->begun && status >= 200 && status <= 599);
	c->begun = true;
	c->req.status = status;
	c->head_only = c->req.verb == HTTP_VERB_HEAD || status_has_no_body(status);
	c->chunked_out = content_length == HTTP_LENGTH_CHUNKED && !c->framing.version_1_0;
	c->response_left = content_length;
	c->close_after = must_close(c) ||
	    (content_length == HTTP_LENGTH_CHUNKED && c->framing.version_1_0);
	append_head(c, status, content_length);
}

void
http_response_begin(struct http_request *req, int status, uint64_t content_length)
{
	begin(conn_of(req), status, content_length);
}

/* --- bodies ----------------------------------------------------------------------------------- */

/* The handler's bytes that the socket did not take become ours. */
static void
own_the_rest(struct conn_out *out)
{
	int i;

	for (i = out->iov_first; i < out->iov_count; i++)
		buf_append(&out->own, out->iov[i].iov_base, out->iov[i].iov_len);
	out->iov_first = out->iov_count = 0;
	out->body_pending = 0;
}

void
http_response_send(struct http_request *req, int status, const void *body, size_t bytes)
{
	struct http_conn *c = conn_of(req);

	begin(c, status, bytes);
	c->ended = true;
	c->read_fn = NULL;
	if (!c->head_only && bytes > 0) {
		c->out.iov[0] = (struct iovec){ (void *)(uintptr_t)body, bytes };
		c->out.iov_count = 1;
		c->out.body_pending = bytes;
	}
	conn_response_flush(c);
	if (c->out.body_pending > 0) {
		req->sent_bytes += c->out.body_pending;
		own_the_rest(&c->out);
	}
	conn_wake(c);
}

static size_t
out_set(struct conn_out *out, const struct iovec *iov, int iov_count)
{
	size_t bytes = 0;
	int i;

	assert(out->iov_count == 0);
	for (i = 0; i < iov_count; i++) {
		if (iov[i].iov_len == 0)
			continue;
		out->iov[out->iov_count++] = iov[i];
		bytes += iov[i].iov_len;
	}
	out->body_pending = bytes;
	return (bytes);
}

void
http_response_write(struct http_request *req, const struct iovec *iov, int iov_count,
    http_write_fn *fn, void *argument)
{
	static const char crlf[] = "\r\n";
	struct http_conn *c = conn_of(req);
	char line[24];
	size_t bytes;
	int n;

	assert(c->phase == CONN_REQUEST && c->begun && !c->ended && !c->head_only);
	assert(c->write_fn == NULL && fn != NULL && iov_count >= 0 && iov_count <= HTTP_IOV_MAX);
	c->write_fn = fn;
	c->write_argument = argument;
	bytes = out_set(&c->out, iov, iov_count);
	if (c->response_left != HTTP_LENGTH_CHUNKED) {
		assert(bytes <= c->response_left);
		c->response_left -= bytes;
	}
	if (c->chunked_out && bytes > 0) {
		n = snprintf(line, sizeof(line), "%zx\r\n", bytes);
		buf_append(&c->out.own, line, (size_t)n);
		c->out.iov[c->out.iov_count++] = (struct iovec){ (void *)(uintptr_t)crlf, 2 };
	}
	conn_response_flush(c);
	conn_wake(c);
}

void
http_response_end(struct http_request *req)
{
	struct http_conn *c = conn_of(req);

	assert(c->phase == CONN_REQUEST && c->begun && !c->ended && c->write_fn == NULL);
	assert(c->head_only || c->response_left == 0 || c->response_left == HTTP_LENGTH_CHUNKED);
	c->ended = true;
	c->read_fn = NULL;
	if (c->chunked_out && !c->head_only)
		buf_append_string(&c->out.own, "0\r\n\r\n");
	conn_response_flush(c);
	conn_wake(c);
}

void
http_response_abort(struct http_request *req)
{
	struct http_conn *c = conn_of(req);

	assert(c->phase == CONN_REQUEST);
	c->aborted = true;
	conn_wake(c);
}

/* --- the library's own words ------------------------------------------------------------------ */

void
conn_response_continue(struct http_conn *c)
{
	c->continue_sent = true;
	buf_append_string(&c->out.own, "HTTP/1.1 100 Continue\r\n\r\n");
	conn_response_flush(c);
}

void
conn_response_refuse(struct http_conn *c, int status, const char *why)
{
	char text[600];
	int n;

	n = snprintf(text, sizeof(text), "%d %s: %s\n", status, http_status_phrase(status), why);
	c->close_after = true;
	c->framing.version_1_0 = false;
	http_response_header(&c->req, "Content-Type", "text/plain; charset=utf-8");
	append_head(c, status, (uint64_t)n);
	buf_append(&c->out.own, text, (size_t)n);
	conn_response_flush(c);
}
