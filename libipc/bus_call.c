/*
 * bus_call - peers, which are kept for the next call, and calls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libipc/bus_internal.h"
#include "libipc/socket_path.h"

#define CALLS_MAX		256
#define PEER_IDLE_MS		10000

/* One address: a socket with a dialer, kept for the next call. */
struct peer {
	struct note	 note;		/* the connection went */
	struct bus	*bus;
	struct peer	*next;
	char		*address;
	nng_socket	 socket;
	atomic_int	 pipes;		/* connections; nng's threads change it in no order */
	unsigned	 calls;
	uint64_t	 idle_since_ms;
	bool		 closed;
};

struct call {
	struct note	 note;
	struct bus	*bus;
	struct call	*next, **link;
	struct peer	*peer;		/* NULL: nothing was started */
	nng_ctx		 ctx;
	nng_aio		*aio;
	bool		 sent;		/* nng's threads only */
	int		 refused;	/* why nothing was started, or 0 */
	uint64_t	 deadline_ms;
	bus_reply_fn	*on_reply;
	void		*context;
};

/* Those whose socket did not close (bus_socket_close): callbacks may still come, so they stay. */
static _Atomic(struct peer *) peers_left;

static void
peer_on_pipe(nng_pipe pipe, nng_pipe_ev what, void *arg)
{
	struct peer *p = arg;

	(void)pipe;
	if (what == NNG_PIPE_EV_ADD_PRE) {
		atomic_fetch_add(&p->pipes, 1);
	} else {
		atomic_fetch_sub(&p->pipes, 1);
		inbox_post(p->bus->inbox, &p->note);
	}
}

void
bus_peer_close(struct bus *b, struct peer *p)
{
	struct peer **link = &b->peers;
	bool whole;

	assert(p->calls == 0);
	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	(void)nng_pipe_notify(p->socket, NNG_PIPE_EV_ADD_PRE, NULL, NULL);
	(void)nng_pipe_notify(p->socket, NNG_PIPE_EV_REM_POST, NULL, NULL);
	p->closed = true;
	whole = bus_socket_close(p->socket);
	inbox_forget(b->inbox, &p->note);
	if (!whole) {
		p->next = atomic_exchange(&peers_left, p);
		return;
	}
	free(p->address);
	free(p);
}

static void
peer_on_note(struct note *n)
{
	struct peer *p = (struct peer *)((char *)n - offsetof(struct peer, note));
	struct call *c;

	if (p->closed || atomic_load(&p->pipes) > 0)
		return;
	if (p->calls == 0) {
		bus_peer_close(p->bus, p);		/* B5 */
		return;
	}
	if (socket_path_listens(p->address))
		return;
	for (c = p->bus->calls; c != NULL; c = c->next)
		if (c->peer == p)
			nng_aio_abort(c->aio, NNG_ECONNREFUSED);
}

static struct peer *
peer_find(struct bus *b, const char *address)
{
	struct peer *p;

	for (p = b->peers; p != NULL; p = p->next)
		if (strcmp(p->address, address) == 0)
			break;
	return (p);
}

/* NULL if nobody listens there, or no socket can be had. */
static struct peer *
peer_get(struct bus *b, const char *address)
{
	struct peer *p = peer_find(b, address);

	if (p != NULL && atomic_load(&p->pipes) > 0)
		return (p);
	if (!socket_path_listens(address))
		return (NULL);
	if (p != NULL)
		return (p);
	p = calloc(1, sizeof(*p));
	assert(p != NULL);
	p->bus = b;
	p->note.on_note = peer_on_note;
	p->idle_since_ms = clock_mono_ms();
	p->address = strdup(address);
	assert(p->address != NULL);
	if (bus_socket_open(nng_req0_open, &p->socket, NULL) < 0) {
		free(p->address);
		free(p);
		return (NULL);
	}
	p->next = b->peers;
	b->peers = p;
	nng_socket_set_ms(p->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	nng_pipe_notify(p->socket, NNG_PIPE_EV_ADD_PRE, peer_on_pipe, p);
	nng_pipe_notify(p->socket, NNG_PIPE_EV_REM_POST, peer_on_pipe, p);
	if (bus_socket_dial(p->socket, address, NULL) < 0) {
		bus_peer_close(b, p);
		return (NULL);
	}
	return (p);
}

/* Closes peers that had no calls for a while; sleeps until the next may be due. */
void
bus_on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct bus *b = arg;
	struct peer *p, *next;
	uint64_t now = clock_mono_ms();
	struct timeval delay = { PEER_IDLE_MS / 1000, 0 };
	bool again = false;

	(void)fd;
	(void)what;
	for (p = b->peers; p != NULL; p = next) {
		next = p->next;
		if (p->calls == 0 && now - p->idle_since_ms >= PEER_IDLE_MS / 2)
			bus_peer_close(b, p);
		else if (p->calls == 0)
			again = true;
	}
	if (again)
		event_add(b->idle, &delay);
}

static void
peer_put(struct peer *p)
{
	struct timeval delay = { PEER_IDLE_MS / 1000, 0 };

	assert(p->calls > 0);
	if (--p->calls > 0)
		return;
	p->idle_since_ms = clock_mono_ms();
	if (!event_pending(p->bus->idle, EV_TIMEOUT, NULL))
		event_add(p->bus->idle, &delay);
}

static int
timeout_until(uint64_t deadline_ms)
{
	uint64_t now = clock_mono_ms(), left = deadline_ms > now ? deadline_ms - now : 0;

	return (left == 0 ? 1 : left > 3600000 ? 3600000 : (int)left);
}

/* On nng's threads. A note follows when the call is over, one way or the other. */
static void
call_on_aio(void *arg)
{
	struct call *c = arg;

	if (!c->sent && nng_aio_result(c->aio) == 0) {
		c->sent = true;
		nng_aio_set_msg(c->aio, NULL);
		nng_aio_set_timeout(c->aio, timeout_until(c->deadline_ms));
		nng_ctx_recv(c->ctx, c->aio);
		return;
	}
	inbox_post(c->bus->inbox, &c->note);
}

/* Takes c apart and says how it ended. */
static void
call_end(struct call *c, int code, nng_msg *m)
{
	struct peer *p = c->peer;

	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	c->bus->call_count--;
	if (p != NULL) {
		nng_ctx_close(c->ctx);
		bus_aio_end(c->aio);
		inbox_forget(c->bus->inbox, &c->note);
		peer_put(p);
	}
	c->on_reply(c->context, code, code == 0 && m != NULL ? bus_message_slice(m) : SLICE_NONE);
	if (m != NULL)
		nng_msg_free(m);
	free(c);
}

static void
call_on_note(struct note *n)
{
	struct call *c = (struct call *)((char *)n - offsetof(struct call, note));
	nng_msg *m = NULL;
	int code = c->refused;

	if (c->peer != NULL) {
		code = bus_code_of(nng_aio_result(c->aio));
		m = bus_aio_take_message(c->aio);
	}
	if (c->bus->closing) {	/* who asked may be gone: an answer is too late, too */
		if (m != NULL)
			nng_msg_free(m);
		m = NULL;
		code = ERR_CANCELLED;
	}
	call_end(c, code, m);
}

void
bus_calls_cancel(struct bus *b)
{
	while (b->calls != NULL) {
		struct call *c = b->calls;

		if (c->peer == NULL)
			inbox_forget(b->inbox, &c->note);
		call_end(c, ERR_CANCELLED, NULL);
	}
}

static int
call_start(struct call *c, const char *address, struct slice bytes)
{
	struct peer *p;

	if (c->bus->closing)
		return (ERR_CANCELLED);
	if (c->bus->call_count > CALLS_MAX)
		return (ERR_BUSY);
	if (bytes.bytes > BUS_MESSAGE_BYTES_MAX)
		return (ERR_TOO_LARGE);
	if (c->deadline_ms <= clock_mono_ms())
		return (ERR_TIMEOUT);
	p = peer_get(c->bus, address);
	if (p == NULL || nng_ctx_open(&c->ctx, p->socket) != 0)
		return (ERR_UNAVAILABLE);
	if (nng_aio_alloc(&c->aio, call_on_aio, c) != 0) {
		nng_ctx_close(c->ctx);
		return (ERR_UNAVAILABLE);
	}
	c->peer = p;
	p->calls++;
	nng_aio_set_msg(c->aio, bus_message_of(bytes));
	nng_aio_set_timeout(c->aio, timeout_until(c->deadline_ms));
	nng_ctx_send(c->ctx, c->aio);
	return (0);
}

void
bus_call(struct bus *b, const char *address, struct slice bytes, uint64_t deadline_ms,
    bus_reply_fn *on_reply, void *context)
{
	struct call *c = calloc(1, sizeof(*c));
	int rc;

	assert(c != NULL);
	c->note.on_note = call_on_note;
	c->bus = b;
	c->deadline_ms = deadline_ms;
	c->on_reply = on_reply;
	c->context = context;
	c->next = b->calls;
	c->link = &b->calls;
	if (c->next != NULL)
		c->next->link = &c->next;
	b->calls = c;
	b->call_count++;
	rc = call_start(c, address, bytes);
	if (rc < 0) {
		c->refused = rc;
		inbox_post(b->inbox, &c->note);	/* B3 */
	}
}

static int
call_wait_on(nng_socket s, const char *address, struct slice bytes, uint64_t timeout_ms,
    struct buf *out, struct err *e)
{
	uint64_t deadline = clock_mono_ms() + timeout_ms;
	nng_msg *m = bus_message_of(bytes);
	int rv;

	nng_socket_set_ms(s, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	nng_socket_set_ms(s, NNG_OPT_SENDTIMEO, timeout_until(deadline));
	rv = nng_sendmsg(s, m, 0);
	if (rv != 0) {
		nng_msg_free(m);
	} else {
		nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, timeout_until(deadline));
		rv = nng_recvmsg(s, &m, 0);
	}
	if (rv == NNG_ETIMEDOUT)
		return (err_set(e, ERR_TIMEOUT, "no answer from %s within %llu ms", address,
		    (unsigned long long)timeout_ms));
	if (rv != 0)
		return (err_set(
		    e, bus_code_of(rv), "the call to %s failed: %s", address, nng_strerror(rv)));
	buf_append_slice(out, bus_message_slice(m));
	nng_msg_free(m);
	return (0);
}

int
bus_call_wait(const char *address, struct slice bytes, uint64_t timeout_ms, struct buf *out,
    struct err *e)
{
	nng_socket s;
	char url[128];
	int rc;

	if (bytes.bytes > BUS_MESSAGE_BYTES_MAX)
		return (err_set(e, ERR_TOO_LARGE, "a message of %zu bytes is larger than %d",
		    bytes.bytes, BUS_MESSAGE_BYTES_MAX));
	rc = bus_address_url(address, url, e);
	if (rc < 0)
		return (rc);
	if (!socket_path_listens(address))
		return (err_set(e, ERR_UNAVAILABLE, "nobody listens on %s", address));
	rc = bus_socket_open(nng_req0_open, &s, e);
	if (rc < 0)
		return (rc);
	rc = bus_socket_dial(s, address, e);
	if (rc == 0)
		rc = call_wait_on(s, address, bytes, timeout_ms, out, e);
	(void)bus_socket_close(s);
	return (rc);
}
