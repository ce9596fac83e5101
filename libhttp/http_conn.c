/*
 * http_conn - one connection: its phases, its deadlines, its events.
 *
 * The diagram and the invariants are in http_conn.h. Each step_* does one thing and says whether
 * another step may follow at once; conn_run steps until something must be waited for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libhttp/http_conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libbase/clock.h"

static void conn_run(struct http_conn *c);

/* --- events ------------------------------------------------------------------------------------ */

static void
turn_later(struct http_conn *c)
{
	static const struct timeval now = { 0, 0 };

	event_add(&c->turn_event, &now);	/* a timer: others are polled first */
}

void
conn_wake(struct http_conn *c)
{
	if (!c->running)
		event_active(&c->turn_event, EV_TIMEOUT, 0);
}

static void
on_turn(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	conn_run(context);
}

void
conn_want_read(struct http_conn *c)
{
	if (!c->read_armed)
		event_add(&c->read_event, NULL);
	c->read_armed = true;
}

static void
unwant_read(struct http_conn *c)
{
	event_del(&c->read_event);
	c->read_armed = false;
}

/* Bytes, or an end, that nobody asked for yet: stop listening; a reset ends the request. */
static void
look_at_peer(struct http_conn *c)
{
	char byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		c->peer_gone = true;
	unwant_read(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *context)
{
	struct http_conn *c = context;

	(void)fd;
	(void)what;
	c->readable = true;
	if (c->phase == CONN_REQUEST && (c->read_fn == NULL || c->ended))
		look_at_peer(c);
	conn_run(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *context)
{
	struct http_conn *c = context;

	(void)fd;
	(void)what;
	c->out.blocked = false;
	response_flush(c);
	conn_run(c);
}

/* --- deadlines --------------------------------------------------------------------------------- */

/*
 * The timer is only moved when it would fire too late: a deadline that was met costs nothing, and
 * the timer then fires once for nothing.
 */
void
conn_timer_update(struct http_conn *c)
{
	uint64_t at = c->read_deadline, now;
	struct timeval tv;

	if (at == 0 || (c->write_deadline != 0 && c->write_deadline < at))
		at = c->write_deadline;
	if (at == 0 || (c->timer_at != 0 && c->timer_at <= at))
		return;
	now = clock_mono_ms();
	now = at > now ? at - now : 0;
	tv.tv_sec = (time_t)(now / 1000);
	tv.tv_usec = (suseconds_t)(now % 1000 * 1000);
	event_add(&c->timer, &tv);
	c->timer_at = at;
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct http_conn *c = context;
	uint64_t now = clock_mono_ms();

	(void)fd;
	(void)what;
	c->timer_at = 0;
	if (c->read_deadline != 0 && now >= c->read_deadline) {
		c->read_deadline = 0;
		if (c->phase == CONN_HEAD && c->in_end == 0)
			c->idle_expired = c->readable = true;
		else
			c->read_expired = true;
	}
	if (c->write_deadline != 0 && now >= c->write_deadline) {
		c->write_deadline = 0;
		c->write_expired = true;
	}
	conn_run(c);
}

/* --- birth and death ------------------------------------------------------------------------------ */

static void
set_client(struct http_conn *c, const struct sockaddr *address)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	const uint8_t *bytes;

	if (address->sa_family == AF_INET) {
		bytes = (const void *)&in->sin_addr;
		c->req.client_port = ntohs(in->sin_port);
		c->req.client_loopback = bytes[0] == 127;
		inet_ntop(AF_INET, bytes, c->client, sizeof(c->client));
	} else if (address->sa_family == AF_INET6) {
		bytes = in6->sin6_addr.s6_addr;
		c->req.client_port = ntohs(in6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			c->req.client_loopback = bytes[12] == 127;
			inet_ntop(AF_INET, bytes + 12, c->client, sizeof(c->client));
			return;
		}
		c->req.client_loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
		inet_ntop(AF_INET6, bytes, c->client, sizeof(c->client));
	} else {
		c->req.client_loopback = true;
		snprintf(c->client, sizeof(c->client), "unix");
	}
}

static void *
must_realloc(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	assert(p != NULL);
	return (p);
}

void
conn_open(struct http_server *s, int fd, const struct sockaddr *address)
{
	struct http_conn *c = calloc(1, sizeof(*c));
	int one = 1;

	assert(c != NULL);
	c->server = s;
	c->fd = fd;
	set_client(c, address);
	if (address->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->in_capacity = CONN_IN_BYTES_MIN;
	c->in = must_realloc(NULL, c->in_capacity);
	arena_init(&c->arena, s->limits.request_bytes_max);
	event_assign(&c->read_event, s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	event_assign(&c->write_event, s->base, fd, EV_WRITE, on_writable, c);
	event_assign(&c->turn_event, s->base, -1, 0, on_turn, c);
	event_assign(&c->timer, s->base, -1, 0, on_timer, c);
	TAILQ_INSERT_TAIL(&s->conns, c, entry);
	s->conn_count++;
	s->counters.accepted++;
	c->phase = CONN_HEAD;
	c->readable = true;
	conn_run(c);
}

static void
conn_free(struct http_conn *c)
{
	struct http_server *s = c->server;

	event_del(&c->read_event);
	event_del(&c->write_event);
	event_del(&c->turn_event);
	event_del(&c->timer);
	close(c->fd);
	TAILQ_REMOVE(&s->conns, c, entry);
	s->conn_count--;
	arena_release(&c->arena);
	response_release(c);
	free(c->in);
	free(c);
	http_server_conn_closed(s);
}

/* A reset instead of an end: what was sent cannot be taken for a whole response (H5). */
static void
conn_cut(struct http_conn *c)
{
	static const struct linger none = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	c->phase = CONN_DEAD;
}

/* Says that no more comes and waits for the peer to see it, so that a reset does not overtake it. */
static void
linger_begin(struct http_conn *c)
{
	if (c->out.failed || !response_flushed(c) || shutdown(c->fd, SHUT_WR) < 0) {
		c->phase = CONN_DEAD;
		return;
	}
	c->phase = CONN_LINGER;
	c->discarded = 0;
	c->readable = true;
	c->read_expired = false;
	c->read_deadline = clock_mono_ms() + CONN_LINGER_MS;
}

/* --- HEAD ----------------------------------------------------------------------------------------- */

static void
refuse(struct http_conn *c, int status, const char *why)
{
	struct http_server *s = c->server;

	s->counters.rejects++;
	response_reset(c);
	response_refuse(c, status, why);
	if (s->on_reject != NULL)
		s->on_reject(c->client, status, why, s->context);
	linger_begin(c);
}

/* The connection waits for its next request; what the peer sent ahead moves to the front. */
static void
next_head(struct http_conn *c)
{
	c->in_end -= c->in_start;
	memmove(c->in, c->in + c->in_start, c->in_end);
	c->in_start = c->in_scanned = c->head_bytes = 0;
	if (c->in_end == 0 && c->in_capacity > CONN_IN_BYTES_MIN) {
		c->in_capacity = CONN_IN_BYTES_MIN;
		c->in = must_realloc(c->in, c->in_capacity);
	}
	c->phase = CONN_HEAD;
	c->served = true;
	c->head_timed = c->idle_expired = c->read_expired = c->write_expired = false;
	c->read_deadline = c->write_deadline = 0;
}

static void
in_grow(struct http_conn *c, size_t capacity)
{
	size_t max = c->server->limits.header_bytes_max + CONN_STAGING_BYTES;

	if (capacity > max)
		capacity = max;
	if (capacity <= c->in_capacity)
		return;
	c->in = must_realloc(c->in, capacity);
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
		refuse(c, 431, "the request head is too large");
		return (true);
	}
	if (!c->readable)
		return (head_wait(c));
	if (c->in_end == c->in_capacity)
		in_grow(c, 2 * c->in_capacity);
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

static void
request_reset(struct http_conn *c)
{
	struct http_request old = c->req;

	memset(&c->req, 0, sizeof(c->req));
	c->req.client = c->client;
	c->req.client_port = old.client_port;
	c->req.client_loopback = old.client_loopback;
	c->req.arena = &c->arena;
	c->continue_sent = c->body_failed = c->peer_gone = false;
	c->read_expired = c->write_expired = false;
	c->read_fn = NULL;
	c->read_deadline = 0;
	response_reset(c);
}

static bool
request_begin(struct http_conn *c, size_t head_bytes)
{
	struct http_server *s = c->server;
	struct err e = ERR_INIT;
	int status;

	if (c->in_capacity - head_bytes < CONN_STAGING_BYTES)
		in_grow(c, head_bytes + CONN_STAGING_BYTES);	/* K3: before it is parsed */
	request_reset(c);
	status = http_head_parse((char *)c->in, head_bytes, s->limits.headers_max, &c->req,
	    &c->framing, &e);
	if (status != 0) {
		refuse(c, status, e.text);
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

static bool
step_head(struct http_conn *c)
{
	struct err e = ERR_INIT;
	ssize_t n;

	if (c->read_expired) {
		c->server->counters.timeouts++;
		refuse(c, 408, "the request head took too long");
		return (true);
	}
	if (c->in_scanned == 0)
		skip_empty_lines(c);
	n = http_head_find((const char *)c->in, c->in_end, &c->in_scanned, &e);
	if (n < 0 && !(c->in_end == 1 && c->in[0] == '\r')) {
		refuse(c, 400, e.text);
		return (true);
	}
	if (n <= 0)
		return (head_receive(c));
	if ((size_t)n > c->server->limits.header_bytes_max) {
		refuse(c, 431, "the request head is too large");
		return (true);
	}
	if (c->turn_requests >= CONN_TURN_REQUESTS) {
		turn_later(c);
		return (false);
	}
	return (request_begin(c, (size_t)n));
}

/* --- REQUEST -------------------------------------------------------------------------------------- */

/* The only place where a request ends (H2). */
static bool
request_end(struct http_conn *c, enum http_end why)
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
		linger_begin(c);
	} else if (!body_done(c)) {
		c->phase = CONN_DISCARD;
		c->read_expired = false;
		c->read_deadline = clock_mono_ms() + CONN_DISCARD_MS;
	} else {
		next_head(c);
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
	if (c->req.expect_continue && !c->continue_sent && !c->begun && !body_done(c) &&
	    c->in_start == c->in_end)
		response_continue(c);
	if (c->turn_bytes >= CONN_TURN_BYTES) {
		turn_later(c);
		return (false);
	}
	switch (body_receive(c, c->read_to, c->read_max, &bytes)) {
	case BODY_BYTES:
		return (deliver(c, (ssize_t)bytes));
	case BODY_END:
		return (deliver(c, 0));
	case BODY_BAD:
		return (deliver(c, ERR_PROTOCOL));
	case BODY_GONE:
		return (request_end(c, HTTP_END_PEER));
	case BODY_WAIT:
		break;
	}
	if (c->read_deadline == 0)
		c->read_deadline = clock_mono_ms() + c->server->limits.body_timeout_ms;
	conn_want_read(c);
	return (false);
}

static bool
step_request(struct http_conn *c)
{
	http_write_fn *fn;

	if (c->aborted)
		return (request_end(c, HTTP_END_ABORTED));
	if (c->out.failed || c->peer_gone)
		return (request_end(c, HTTP_END_PEER));
	if (c->write_expired)
		return (request_end(c, HTTP_END_TIMEOUT));
	if (c->write_fn != NULL && response_flushed(c)) {
		fn = c->write_fn;
		c->write_fn = NULL;
		fn(&c->req, c->write_argument);
		return (true);
	}
	if (c->ended && response_flushed(c))
		return (request_end(c, HTTP_END_SENT));
	if (c->read_fn != NULL && !c->ended)
		return (step_read(c));
	return (false);
}

/* --- DISCARD, LINGER ------------------------------------------------------------------------------ */

/* One loop, one thread: what is dropped needs no memory of its own. */
static uint8_t dropped[65536];

static bool
step_discard(struct http_conn *c)
{
	size_t bytes;

	if (c->read_expired) {
		c->phase = CONN_DEAD;
		return (true);
	}
	switch (body_receive(c, dropped, sizeof(dropped), &bytes)) {
	case BODY_BYTES:
		return (true);
	case BODY_END:
		next_head(c);
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

static bool
step_linger(struct http_conn *c)
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

/* --- the one loop ------------------------------------------------------------------------------------ */

static bool
step(struct http_conn *c)
{
	switch (c->phase) {
	case CONN_HEAD:
		return (step_head(c));
	case CONN_REQUEST:
		return (step_request(c));
	case CONN_DISCARD:
		return (step_discard(c));
	case CONN_LINGER:
		return (step_linger(c));
	case CONN_DEAD:
		break;
	}
	return (false);
}

static void
conn_run(struct http_conn *c)
{
	assert(!c->running);
	c->running = true;
	c->turn_requests = c->turn_bytes = 0;
	while (step(c))
		;
	c->running = false;
	if (c->phase == CONN_DEAD)
		conn_free(c);
	else
		conn_timer_update(c);
}

void
conn_drain(struct http_conn *c)
{
	uint64_t at;

	if (c->phase != CONN_HEAD)
		return;
	at = clock_mono_ms() + CONN_DRAIN_IDLE_MS;
	if (c->read_deadline == 0 || c->read_deadline > at)
		c->read_deadline = at;
	conn_timer_update(c);
}

void
conn_shutdown(struct http_conn *c)
{
	assert(!c->running);
	if (c->phase == CONN_REQUEST)
		request_end(c, HTTP_END_SHUTDOWN);
	conn_free(c);
}

/* --- public, on requests ----------------------------------------------------------------------------- */

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
