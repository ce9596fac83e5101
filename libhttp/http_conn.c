/*
 * http_conn - one connection: its phases, its deadlines, its events.
 *
 * The diagram and the invariants are in http_conn.h. Each step_* does one thing and says whether
 * another step may follow at once; conn_run steps until something must be waited for. The steps are
 * in http_between.c and http_request.c.
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

/* --- events ----------------------------------------------------------------------------------- */

void
conn_turn_later(struct http_conn *c)
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
	conn_response_flush(c);
	conn_run(c);
}

/* --- deadlines -------------------------------------------------------------------------------- */

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

/* --- birth and death -------------------------------------------------------------------------- */

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

void *
conn_realloc(void *p, size_t bytes)
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
	c->in = conn_realloc(NULL, c->in_capacity);
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
	conn_response_release(c);
	free(c->in);
	free(c);
	http_server_conn_closed(s);
}

/* A reset instead of an end: what was sent cannot be taken for a whole response (H5). */
void
conn_cut(struct http_conn *c)
{
	static const struct linger none = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	c->phase = CONN_DEAD;
}

/* --- the one loop ----------------------------------------------------------------------------- */

static bool
step(struct http_conn *c)
{
	switch (c->phase) {
	case CONN_HEAD:
		return (conn_step_head(c));
	case CONN_REQUEST:
		return (conn_step_request(c));
	case CONN_DISCARD:
		return (conn_step_discard(c));
	case CONN_LINGER:
		return (conn_step_linger(c));
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
		conn_request_end(c, HTTP_END_SHUTDOWN);
	conn_free(c);
}
