/*
 * http_server - listening fds, the bound on connections, the graceful end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libhttp/http_server.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "libhttp/http_conn.h"

/*
 * Processes that share a listening socket do not know each other's load. The one that wakes first
 * leaves the rest of a burst alone for a moment, so that the others, which were woken too, take
 * their share.
 */
#define ACCEPTS_MAX	4	/* at a time */
#define REST_MS		1
#define RETRY_MS	100	/* after running out of descriptors */

union any_address {
	struct sockaddr		any;
	struct sockaddr_in	in;
	struct sockaddr_in6	in6;
	struct sockaddr_storage	storage;
};

void
http_limits_init(struct http_limits *limits)
{
	*limits = (struct http_limits){
		.connections_max = 4096,
		.header_bytes_max = 65536,
		.headers_max = 100,
		.request_bytes_max = 1u << 20,
		.discard_bytes_max = 1u << 20,
		.header_timeout_ms = 20000,
		.body_timeout_ms = 60000,
		.idle_timeout_ms = 75000,
	};
}

/* --- accepting -------------------------------------------------------------------------------- */

static bool
may_accept(const struct http_server *s)
{
	return (!s->paused && !s->full && !s->draining && !s->resting);
}

static void
listeners_update(struct http_server *s)
{
	struct http_listener *l;

	TAILQ_FOREACH(l, &s->listeners, entry) {
		if (may_accept(s))
			event_add(&l->event, NULL);
		else
			event_del(&l->event);
	}
}

/* Out of descriptors or memory: the clients stay in the listen queue for a moment. */
static void
accept_pause(struct http_server *s)
{
	static const struct timeval wait = { 0, RETRY_MS * 1000 };

	s->full = true;
	listeners_update(s);
	event_add(&s->retry, &wait);
}

static void
on_retry(evutil_socket_t fd, short what, void *context)
{
	struct http_server *s = context;

	(void)fd;
	(void)what;
	s->full = s->conn_count >= s->limits.connections_max;
	listeners_update(s);
}

static void
accept_rest(struct http_server *s)
{
	static const struct timeval wait = { 0, REST_MS * 1000 };

	s->resting = true;
	listeners_update(s);
	event_add(&s->rest, &wait);
}

static void
on_rested(evutil_socket_t fd, short what, void *context)
{
	struct http_server *s = context;

	(void)fd;
	(void)what;
	s->resting = false;
	listeners_update(s);
}

/* False when there is nothing more to accept. */
static bool
accept_one(struct http_listener *l)
{
	struct http_server *s = l->server;
	union any_address address = { .storage = { .ss_family = AF_UNIX } };
	socklen_t bytes = sizeof(address);
	int fd = accept4(l->fd, &address.any, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		conn_open(s, fd, &address.any);
		return (true);
	}
	if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)
		return (true);
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		accept_pause(s);
	return (false);
}

static void
on_acceptable(evutil_socket_t fd, short what, void *context)
{
	struct http_listener *l = context;
	struct http_server *s = l->server;
	int i;

	(void)fd;
	(void)what;
	for (i = 0; i < ACCEPTS_MAX && may_accept(s); i++) {
		if (s->conn_count >= s->limits.connections_max) {
			s->full = true;
			listeners_update(s);
			return;
		}
		if (!accept_one(l))
			return;
	}
	if (i == ACCEPTS_MAX)
		accept_rest(s);
}

void
http_server_conn_closed(struct http_server *s)
{
	if (s->full && s->conn_count < s->limits.connections_max &&
	    !event_pending(&s->retry, EV_TIMEOUT, NULL)) {
		s->full = false;
		listeners_update(s);
	}
	if (s->draining && s->conn_count == 0)
		event_active(&s->drained, EV_TIMEOUT, 0);
}

/* --- life ------------------------------------------------------------------------------------- */

static void
on_drained(evutil_socket_t fd, short what, void *context)
{
	struct http_server *s = context;
	http_drained_fn *fn = s->drained_fn;

	(void)fd;
	(void)what;
	s->drained_fn = NULL;
	if (fn != NULL)
		fn(s->drained_argument);	/* may free s */
}

struct http_server *
http_server_new(struct event_base *base, const struct http_limits *limits,
    http_request_fn *on_request, void *context)
{
	struct http_server *s = calloc(1, sizeof(*s));

	assert(s != NULL && base != NULL && on_request != NULL);
	assert(limits->connections_max > 0 && limits->header_bytes_max >= 64);
	s->base = base;
	s->limits = *limits;
	s->on_request = on_request;
	s->context = context;
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->listeners);
	event_assign(&s->retry, base, -1, 0, on_retry, s);
	event_assign(&s->rest, base, -1, 0, on_rested, s);
	event_assign(&s->drained, base, -1, 0, on_drained, s);
	return (s);
}

int
http_server_listen(struct http_server *s, int fd, struct err *e)
{
	struct http_listener *l;
	int listening = 0;
	socklen_t bytes = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes) < 0 || !listening)
		return (err_set(e, ERR_INVALID, "descriptor %d is not a listening socket", fd));
	if (fd_set_nonblock(fd, 1) < 0)
		return (err_errno(e, errno, "cannot make descriptor %d non-blocking", fd));
	l = calloc(1, sizeof(*l));
	assert(l != NULL);
	l->server = s;
	l->fd = fd;
	event_assign(&l->event, s->base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
	TAILQ_INSERT_TAIL(&s->listeners, l, entry);
	if (may_accept(s))
		event_add(&l->event, NULL);
	return (0);
}

static void
listeners_close(struct http_server *s)
{
	struct http_listener *l;

	while ((l = TAILQ_FIRST(&s->listeners)) != NULL) {
		TAILQ_REMOVE(&s->listeners, l, entry);
		event_del(&l->event);
		close(l->fd);
		free(l);
	}
}

void
http_server_adopt(struct http_server *s, int fd)
{
	union any_address address = { .storage = { .ss_family = AF_UNIX } };
	socklen_t bytes = sizeof(address);

	fd_set_nonblock(fd, 1);
	if (getpeername(fd, &address.any, &bytes) < 0)
		address.any.sa_family = AF_UNIX;
	conn_open(s, fd, &address.any);
}

void
http_server_on_reject(struct http_server *s, http_reject_fn *fn)
{
	s->on_reject = fn;
}

void
http_server_set_limits(struct http_server *s, const struct http_limits *limits)
{
	assert(limits->connections_max > 0 && limits->header_bytes_max >= 64);
	s->limits = *limits;
	if (!event_pending(&s->retry, EV_TIMEOUT, NULL))
		s->full = s->conn_count >= s->limits.connections_max;
	listeners_update(s);
}

void
http_server_pause(struct http_server *s)
{
	s->paused = true;
	listeners_update(s);
}

void
http_server_resume(struct http_server *s)
{
	s->paused = false;
	listeners_update(s);
}

void
http_server_drain(struct http_server *s, http_drained_fn *fn, void *argument)
{
	struct http_conn *c;

	s->drained_fn = fn;
	s->drained_argument = argument;
	if (s->draining)
		return;
	s->draining = true;
	listeners_close(s);
	TAILQ_FOREACH(c, &s->conns, entry)
		conn_drain(c);
	if (s->conn_count == 0)
		event_active(&s->drained, EV_TIMEOUT, 0);
}

void
http_server_free(struct http_server *s)
{
	struct http_conn *c;

	if (s == NULL)
		return;
	s->draining = true;
	listeners_close(s);
	while ((c = TAILQ_FIRST(&s->conns)) != NULL)
		conn_shutdown(c);
	event_del(&s->retry);
	event_del(&s->rest);
	event_del(&s->drained);
	free(s);
}

size_t
http_server_connections(const struct http_server *s)
{
	return (s->conn_count);
}

size_t
http_server_requests(const struct http_server *s)
{
	return (s->request_count);
}

const struct http_counters *
http_server_counters(const struct http_server *s)
{
	return (&s->counters);
}

const char *
http_server_common_fields(struct http_server *s)
{
	uint64_t now = clock_real_ms();
	char date[30];

	if (s->date_second != now / 1000 || s->common[0] == '\0') {
		s->date_second = now / 1000;
		clock_format_http(now, date);
		snprintf(s->common, sizeof(s->common), "Date: %s\r\nServer: Holdfast\r\n", date);
	}
	return (s->common);
}
