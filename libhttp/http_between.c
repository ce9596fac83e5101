/*
 * http_between - a connection between requests: waits for a head, drops what nobody wants, closes.
 *
 * HEAD, DISCARD and LINGER of http_conn.h. What a head says is http_head.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "libbase/clock.h"
#include "libhttp/http_conn.h"

/*
 * Says that no more comes and waits for the peer to see it, so that a reset does not overtake it.
 */
void
conn_linger(struct http_conn *c)
{
	if (c->out.failed || !conn_response_flushed(c) || shutdown(c->fd, SHUT_WR) < 0) {
		c->phase = CONN_DEAD;
		return;
	}
	c->phase = CONN_LINGER;
	c->discarded = 0;
	c->readable = true;
	c->read_expired = false;
	c->read_deadline = clock_mono_ms() + CONN_LINGER_MS;
}

/* --- HEAD ------------------------------------------------------------------------------------- */

void
conn_refuse(struct http_conn *c, int status, const char *why)
{
	struct http_server *s = c->server;

	s->counters.rejects++;
	conn_response_reset(c);
	conn_response_refuse(c, status, why);
	if (s->on_reject != NULL)
		s->on_reject(c->client, status, why, s->context);
	conn_linger(c);
}

/* The connection waits for its next request; what the peer sent ahead moves to the front. */
void
conn_next_head(struct http_conn *c)
{
	c->in_end -= c->in_start;
	memmove(c->in, c->in + c->in_start, c->in_end);
	c->in_start = c->in_scanned = c->head_bytes = 0;
	if (c->in_end == 0 && c->in_capacity > CONN_IN_BYTES_MIN) {
		c->in_capacity = CONN_IN_BYTES_MIN;
		c->in = conn_realloc(c->in, c->in_capacity);
	}
	c->phase = CONN_HEAD;
	c->served = true;
	c->head_timed = c->idle_expired = c->read_expired = c->write_expired = false;
	c->read_deadline = c->write_deadline = 0;
}

void
conn_in_grow(struct http_conn *c, size_t capacity)
{
	size_t max = c->server->limits.header_bytes_max + CONN_STAGING_BYTES;

	if (capacity > max)
		capacity = max;
	if (capacity <= c->in_capacity)
		return;
	c->in = conn_realloc(c->in, capacity);
	c->in_capacity = capacity;
}

/* Empty lines before a request line are dropped (RFC 9112, 2.2). */
static void
skip_empty_lines(struct http_conn *c)
{
	size_t n = 0;

	while (c->in_end - n >= 2 && c->in[n] == '\r' && c->in[n + 1] == '\n')
		n += 2;
	if (n == 0)
		return;
	memmove(c->in, c->in + n, c->in_end - n);
	c->in_end -= n;
}

static bool
head_wait(struct http_conn *c)
{
	const struct http_server *s = c->server;

	if (c->in_end > 0 && !c->head_timed) {
		c->head_timed = true;
		if (c->served || c->read_deadline == 0)
			c->read_deadline = clock_mono_ms() + s->limits.header_timeout_ms;
	} else if (c->in_end == 0 && c->read_deadline == 0) {
		c->read_deadline = clock_mono_ms() + (s->draining ? CONN_DRAIN_IDLE_MS :
		    c->served ? s->limits.idle_timeout_ms : s->limits.header_timeout_ms);
	}
	conn_want_read(c);
	return (false);
}

static bool
head_receive(struct http_conn *c)
{
	ssize_t n;

	if (c->in_end >= c->server->limits.header_bytes_max) {
		conn_refuse(c, 431, "the request head is too large");
		return (true);
	}
	if (!c->readable)
		return (head_wait(c));
	if (c->in_end == c->in_capacity)
		conn_in_grow(c, 2 * c->in_capacity);
	n = conn_receive(c);
	if (n > 0) {
		c->idle_expired = false;
		return (true);
	}
	if (n == -1 && !c->idle_expired)
		return (head_wait(c));
	c->phase = CONN_DEAD;		/* the peer's end, a reset, or idle for too long */
	return (true);
}

bool
conn_step_head(struct http_conn *c)
{
	struct err e = ERR_INIT;
	ssize_t n;

	if (c->read_expired) {
		c->server->counters.timeouts++;
		conn_refuse(c, 408, "the request head took too long");
		return (true);
	}
	if (c->in_scanned == 0)
		skip_empty_lines(c);
	n = http_head_find((const char *)c->in, c->in_end, &c->in_scanned, &e);
	if (n < 0 && !(c->in_end == 1 && c->in[0] == '\r')) {
		conn_refuse(c, 400, e.text);
		return (true);
	}
	if (n <= 0)
		return (head_receive(c));
	if ((size_t)n > c->server->limits.header_bytes_max) {
		conn_refuse(c, 431, "the request head is too large");
		return (true);
	}
	if (c->turn_requests >= CONN_TURN_REQUESTS) {
		conn_turn_later(c);
		return (false);
	}
	return (conn_request_begin(c, (size_t)n));
}

/* --- DISCARD, LINGER -------------------------------------------------------------------------- */

/* One loop, one thread: what is dropped needs no memory of its own. */
static uint8_t dropped[65536];

bool
conn_step_discard(struct http_conn *c)
{
	size_t bytes;

	if (c->read_expired) {
		c->phase = CONN_DEAD;
		return (true);
	}
	switch (conn_body_receive(c, dropped, sizeof(dropped), &bytes)) {
	case BODY_BYTES:
		return (true);
	case BODY_END:
		conn_next_head(c);
		return (true);
	case BODY_WAIT:
		conn_want_read(c);
		return (false);
	case BODY_BAD:
	case BODY_GONE:
		break;
	}
	c->phase = CONN_DEAD;
	return (true);
}

bool
conn_step_linger(struct http_conn *c)
{
	ssize_t n;

	if (c->read_expired || c->discarded > c->server->limits.discard_bytes_max) {
		c->phase = CONN_DEAD;
		return (true);
	}
	n = recv(c->fd, dropped, sizeof(dropped), MSG_DONTWAIT);
	if (n > 0) {
		c->discarded += (size_t)n;
		return (true);
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		conn_want_read(c);
		return (false);
	}
	c->phase = CONN_DEAD;
	return (true);
}
