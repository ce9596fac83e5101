/*
 * http_request - one request on its connection: its beginning, its body, its end.
 *
 * REQUEST of http_conn.h. conn_request_end is the only place where a request ends (H2), and
 * conn_step_request the only one that calls back what was asked for (H3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libbase/clock.h"
#include "libhttp/http_conn.h"

static void
request_reset(struct http_conn *c)
{
	struct http_request old = c->req;

	memset(&c->req, 0, sizeof(c->req));
	c->req.client = c->client;
	c->req.client_port = old.client_port;
	c->req.client_loopback = old.client_loopback;
	c->req.arena = &c->arena;
	c->continue_sent = c->body_failed = c->peer_gone = c->peer_watched = false;
	c->read_expired = c->write_expired = false;
	c->read_fn = NULL;
	c->read_deadline = 0;
	conn_response_reset(c);
}

bool
conn_request_begin(struct http_conn *c, size_t head_bytes)
{
	struct http_server *s = c->server;
	struct err e = ERR_INIT;
	int status;

	if (c->in_capacity - head_bytes < CONN_STAGING_BYTES)
		conn_in_grow(c, head_bytes + CONN_STAGING_BYTES);	/* K3: before parsing */
	request_reset(c);
	status = http_head_parse((char *)c->in, head_bytes, s->limits.headers_max, &c->req,
	    &c->framing, &e);
	if (status != 0) {
		conn_refuse(c, status, e.text);
		arena_reset(&c->arena);
		return (true);
	}
	c->in_start = c->head_bytes = head_bytes;
	c->body_left = c->framing.chunked ? 0 : c->req.content_length;
	http_chunked_init(&c->chunked);
	c->req.started_ms = clock_mono_ms();
	c->phase = CONN_REQUEST;
	c->turn_requests++;
	s->counters.requests++;
	s->request_count++;
	s->on_request(&c->req, s->context);
	return (true);
}

bool
conn_request_end(struct http_conn *c, enum http_end why)
{
	bool close_after = c->close_after;

	c->read_fn = NULL;
	c->write_fn = NULL;
	if (c->req.on_end != NULL)
		c->req.on_end(&c->req, why);
	c->server->request_count--;
	c->server->counters.aborted += why == HTTP_END_ABORTED;
	c->server->counters.timeouts += why == HTTP_END_TIMEOUT;
	arena_reset(&c->arena);
	if (why != HTTP_END_SENT) {
		conn_cut(c);
		return (true);
	}
	if (close_after) {
		conn_linger(c);
	} else if (!conn_body_done(c)) {
		c->phase = CONN_DISCARD;
		c->read_expired = false;
		c->read_deadline = clock_mono_ms() + CONN_DISCARD_MS;
	} else {
		conn_next_head(c);
	}
	return (true);
}

static bool
deliver(struct http_conn *c, ssize_t bytes)
{
	http_read_fn *fn = c->read_fn;

	c->read_fn = NULL;
	c->read_deadline = 0;
	if (bytes > 0) {
		c->req.received_bytes += (uint64_t)bytes;
		c->turn_bytes += (size_t)bytes;
	} else if (bytes < 0) {
		c->body_failed = true;
	}
	fn(&c->req, bytes, c->read_argument);
	return (true);
}

static bool
step_read(struct http_conn *c)
{
	size_t bytes = 0;

	if (c->read_expired) {
		c->read_expired = false;
		c->server->counters.timeouts++;
		return (deliver(c, ERR_TIMEOUT));
	}
	if (c->body_failed)
		return (deliver(c, ERR_PROTOCOL));
	/* Also before an empty body: botocore waits for it and loses its way without. */
	if (c->req.expect_continue && !c->continue_sent && !c->begun &&
	    (!conn_body_done(c) || c->req.content_length == 0) && c->in_start == c->in_end)
		conn_response_continue(c);
	if (c->turn_bytes >= CONN_TURN_BYTES) {
		conn_turn_later(c);
		return (false);
	}
	switch (conn_body_receive(c, c->read_to, c->read_max, &bytes)) {
	case BODY_BYTES:
		return (deliver(c, (ssize_t)bytes));
	case BODY_END:
		return (deliver(c, 0));
	case BODY_BAD:
		return (deliver(c, ERR_PROTOCOL));
	case BODY_GONE:
		return (conn_request_end(c, HTTP_END_PEER));
	case BODY_WAIT:
		break;
	}
	if (c->read_deadline == 0)
		c->read_deadline = clock_mono_ms() + c->server->limits.body_timeout_ms;
	conn_want_read(c);
	return (false);
}

/* The handler is busy elsewhere: a client that resets the connection is to be noticed once. */
static void
watch_peer(struct http_conn *c)
{
	if (!c->peer_watched)
		conn_want_read(c);
	c->peer_watched = true;
}

bool
conn_step_request(struct http_conn *c)
{
	http_write_fn *fn;

	if (c->aborted)
		return (conn_request_end(c, HTTP_END_ABORTED));
	if (c->out.failed || c->peer_gone)
		return (conn_request_end(c, HTTP_END_PEER));
	if (c->write_expired)
		return (conn_request_end(c, HTTP_END_TIMEOUT));
	if (c->write_fn != NULL && conn_response_flushed(c)) {
		fn = c->write_fn;
		c->write_fn = NULL;
		fn(&c->req, c->write_argument);
		return (true);
	}
	if (c->ended && conn_response_flushed(c))
		return (conn_request_end(c, HTTP_END_SENT));
	if (c->read_fn != NULL && !c->ended)
		return (step_read(c));
	watch_peer(c);
	return (false);
}

void
http_request_read(struct http_request *req, void *buf, size_t max, http_read_fn *fn, void *argument)
{
	struct http_conn *c = conn_of(req);

	assert(c->phase == CONN_REQUEST && !c->ended && c->read_fn == NULL);
	assert(max > 0 && fn != NULL);
	c->read_to = buf;
	c->read_max = max;
	c->read_fn = fn;
	c->read_argument = argument;
	conn_wake(c);
}

const char *
http_request_header(const struct http_request *req, const char *name)
{
	size_t i;

	for (i = 0; i < req->header_count; i++)
		if (strcmp(req->headers[i].name, name) == 0)
			return (req->headers[i].value);
	return (NULL);
}

size_t
http_request_header_count(const struct http_request *req, const char *name)
{
	size_t i, n = 0;

	for (i = 0; i < req->header_count; i++)
		n += strcmp(req->headers[i].name, name) == 0;
	return (n);
}
