/*
 * bus - request and reply, publish and subscribe, over nng 1.5.2. The only includer of nng.
 *
 * B1  nng's threads post notes to the inbox, and touch nothing else of ours. (One exception: a call
 *     that was sent starts its own receive.)
 * B2  Every operation of nng has its own note, which is in the list at most once: the list is
 *     bounded by what the loop's thread started.
 * B3  A request has exactly one reply; a call has exactly one on_reply, never from inside bus_call.
 * B4  Nothing here waits for a peer: a dialer that waits would hang on a stopped process, so all
 *     dial in the background, and whether anybody listens is asked of the kernel (socket_path.h).
 * B5  A dialer does not go on dialing for nobody: a peer that is not connected and has no calls is
 *     closed.
 *
 * Measured rules: resending off (a request is sent at most once), explicit timeouts, reconnect
 * after 5 to 20 ms, a receive limit, deep publish and subscribe buffers (16 by default: it loses
 * half), few threads (libc_for_nng.h), all signals blocked in nng's threads.
 *
 * What the bytes mean is message.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/bus.h"

#include <assert.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libipc/inbox.h"
#include "libipc/libc_for_nng.h"
#include "libipc/socket_path.h"

#define RECONNECT_MS_MIN	5
#define RECONNECT_MS_MAX	20
/* Somewhat larger messages are let in, so that message.c can refuse them with a sentence. */
#define RECEIVE_BYTES_MAX	(4 * BUS_MESSAGE_BYTES_MAX)
#define EVENTS_QUEUED_MAX	4096
#define SERVER_SLOTS		32	/* requests of one server under way; more wait outside */
#define REPLY_MS_MAX		5000	/* for a caller that does not take its reply */
#define CALLS_MAX		256
#define PEER_IDLE_MS		10000
#define CLOSE_MS		250
#define EVENTS_PER_TURN		64

struct bus {
	struct event_base	*base;
	struct inbox		*inbox;
	struct event		*idle;
	bool			 closing;
	unsigned		 users;		/* servers, publishers, subscribers */
	struct call		*calls;
	unsigned		 call_count;
	struct peer		*peers;
};

/* --- nng's sockets. --- */

static void
nng_start(void)
{
	sigset_t all, before;
	nng_socket s;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	libc_pretend_one_processor(true);
	if (nng_req0_open(&s) == 0)
		nng_close(s);
	libc_pretend_one_processor(false);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *
socket_close_thread(void *arg)
{
	nng_socket s = { .id = (uint32_t)(uintptr_t)arg };

	nng_close(s);
	return (NULL);
}

/*
 * nng 1.5.2 now and then never comes back from nng_close: its reaper waits for an operation of a
 * connection that ended at that moment. A loop must not wait with it: after CLOSE_MS the closing is
 * left to its thread, and false comes back: callbacks of s may still run.
 */
static bool
socket_close(nng_socket s)
{
	sigset_t all, before;
	struct timespec until;
	pthread_t thread;
	uint64_t ns;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, socket_close_thread, (void *)(uintptr_t)s.id);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)		/* no thread to be had: the kernel closes it at exit */
		return (false);
	ns = clock_mono_ns() + CLOSE_MS * UINT64_C(1000000);
	until.tv_sec = (time_t)(ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
	if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0)
		return (true);
	pthread_detach(thread);
	return (false);
}

static int
socket_open(int (*open_protocol)(nng_socket *), nng_socket *out, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int rv;

	pthread_once(&once, nng_start);
	rv = open_protocol(out);
	if (rv != 0)
		return (err_set(e, ERR_UNAVAILABLE, "cannot open a bus socket: %s",
		    nng_strerror(rv)));
	rv = nng_socket_set_size(*out, NNG_OPT_RECVMAXSZ, RECEIVE_BYTES_MAX);
	assert(rv == 0);
	rv = nng_socket_set_ms(*out, NNG_OPT_RECONNMINT, RECONNECT_MS_MIN);
	assert(rv == 0);
	rv = nng_socket_set_ms(*out, NNG_OPT_RECONNMAXT, RECONNECT_MS_MAX);
	assert(rv == 0);
	return (0);
}

static int
address_url(const char *address, char url[128], struct err *e)
{
	struct sockaddr_un unused;

	if (address[0] != '/')
		return (err_set(e, ERR_UNSUPPORTED,
		    "bus address '%s' is not the path of a Unix socket", address));
	if (socket_path_address(address, &unused, e) < 0)
		return (ERR_INVALID);
	snprintf(url, 128, "ipc://%s", address);
	return (0);
}

static int
socket_listen(nng_socket s, const char *address, struct err *e)
{
	nng_listener listener;
	char url[128];
	int rc, rv;

	rc = address_url(address, url, e);
	if (rc == 0)
		rc = socket_path_clear(address, e);
	if (rc < 0)
		return (rc);
	rv = nng_listener_create(&listener, s, url);
	if (rv == 0)
		rv = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600);
	if (rv == 0)
		rv = nng_listener_start(listener, 0);
	if (rv != 0)
		return (err_set(e, rv == NNG_EADDRINUSE ? ERR_LOCKED : ERR_IO,
		    "cannot listen on %s: %s", address, nng_strerror(rv)));
	return (0);
}

static int
socket_dial(nng_socket s, const char *address, struct err *e)
{
	char url[128];
	int rc, rv;

	rc = address_url(address, url, e);
	if (rc < 0)
		return (rc);
	rv = nng_dial(s, url, NULL, NNG_FLAG_NONBLOCK);		/* B4 */
	if (rv != 0)
		return (err_set(e, ERR_UNAVAILABLE, "cannot dial %s: %s", address,
		    nng_strerror(rv)));
	return (0);
}

static nng_msg *
message_of(struct slice bytes)
{
	nng_msg *m = NULL;
	int rv = nng_msg_alloc(&m, bytes.bytes);

	assert(rv == 0);
	if (bytes.bytes > 0)
		memcpy(nng_msg_body(m), bytes.data, bytes.bytes);
	return (m);
}

static struct slice
message_slice(nng_msg *m)
{
	return (SLICE(nng_msg_body(m), nng_msg_len(m)));
}

/* The message of a finished operation, which is the caller's now; NULL if there is none. */
static nng_msg *
aio_take_message(nng_aio *aio)
{
	nng_msg *m = nng_aio_get_msg(aio);

	nng_aio_set_msg(aio, NULL);
	return (m);
}

/* Ends an operation for good; no callback runs after return. */
static void
aio_end(nng_aio *aio)
{
	nng_msg *m;

	nng_aio_stop(aio);
	m = aio_take_message(aio);
	if (m != NULL)
		nng_msg_free(m);
	nng_aio_free(aio);
}

static int
code_of(int rv)
{
	switch (rv) {
	case 0:
		return (0);
	case NNG_ETIMEDOUT:
		return (ERR_TIMEOUT);
	case NNG_ECANCELED:
		return (ERR_CANCELLED);
	default:
		return (ERR_UNAVAILABLE);
	}
}

/* --- The bus. --- */

static void bus_on_idle(evutil_socket_t fd, short what, void *arg);
static void call_cancel_all(struct bus *b);
static void peer_close(struct bus *b, struct peer *p);

int
bus_open(struct event_base *base, struct bus **out, struct err *e)
{
	struct bus *b = calloc(1, sizeof(*b));
	int rc;

	assert(b != NULL);
	*out = NULL;
	b->base = base;
	rc = inbox_open(base, &b->inbox, e);
	if (rc < 0) {
		free(b);
		return (rc);
	}
	b->idle = event_new(base, -1, 0, bus_on_idle, b);
	assert(b->idle != NULL);
	*out = b;
	return (0);
}

void
bus_close(struct bus **bp)
{
	struct bus *b = *bp;

	if (b == NULL)
		return;
	assert(!inbox_dispatching(b->inbox) && b->users == 0);
	b->closing = true;
	inbox_dispatch(b->inbox);
	call_cancel_all(b);
	*bp = NULL;
	while (b->peers != NULL)
		peer_close(b, b->peers);
	event_free(b->idle);
	inbox_close(&b->inbox);
	free(b);
}

/* --- Serving. --- */

enum slot_state { SLOT_RECEIVING, SLOT_ANSWERING, SLOT_SENDING };

struct slot {
	struct note		 note;
	struct bus_server	*server;
	enum slot_state		 state;
	nng_ctx			 ctx;
	nng_aio			*aio;
	struct bus_request	*request;	/* while SLOT_ANSWERING */
};

struct bus_request {
	struct slot	*slot;		/* NULL: the server was closed meanwhile */
};

struct bus_server {
	struct bus		*bus;
	nng_socket		 socket;
	bus_request_fn		*on_request;
	void			*context;
	unsigned		 slot_count;
	struct slot		 slots[SERVER_SLOTS];
};

static void
slot_on_aio(void *arg)
{
	struct slot *t = arg;

	inbox_post(t->server->bus->inbox, &t->note);
}

static void
slot_receive(struct slot *t)
{
	t->state = SLOT_RECEIVING;
	nng_aio_set_timeout(t->aio, NNG_DURATION_INFINITE);
	nng_ctx_recv(t->ctx, t->aio);
}

static void
slot_answer(struct slot *t, nng_msg *m)
{
	struct bus_server *s = t->server;
	struct bus_request *r = calloc(1, sizeof(*r));

	assert(r != NULL);
	r->slot = t;
	t->state = SLOT_ANSWERING;
	t->request = r;
	s->on_request(s->context, r, message_slice(m));
	nng_msg_free(m);	/* t may be gone by now */
}

static void
slot_on_note(struct note *n)
{
	struct slot *t = (struct slot *)((char *)n - offsetof(struct slot, note));
	int rv = nng_aio_result(t->aio);
	nng_msg *m = aio_take_message(t->aio);

	if (rv == NNG_ECLOSED || rv == NNG_ECANCELED) {
		if (m != NULL)
			nng_msg_free(m);
	} else if (t->state == SLOT_RECEIVING && rv == 0) {
		assert(m != NULL);
		slot_answer(t, m);
	} else {
		if (m != NULL && rv != 0)
			nng_msg_free(m);
		slot_receive(t);
	}
}

static int
slot_open(struct bus_server *s, struct slot *t)
{
	int rv;

	t->server = s;
	t->note.on_note = slot_on_note;
	rv = nng_ctx_open(&t->ctx, s->socket);
	if (rv != 0)
		return (rv);
	rv = nng_aio_alloc(&t->aio, slot_on_aio, t);
	if (rv != 0)
		nng_ctx_close(t->ctx);
	return (rv);
}

int
bus_serve(struct bus *b, const char *address, bus_request_fn *on_request, void *context,
    struct bus_server **out, struct err *e)
{
	struct bus_server *s = calloc(1, sizeof(*s));
	int rc, rv = 0;
	unsigned i;

	assert(s != NULL);
	*out = NULL;
	s->bus = b;
	s->on_request = on_request;
	s->context = context;
	rc = socket_open(nng_rep0_open, &s->socket, e);
	if (rc < 0) {
		free(s);
		return (rc);
	}
	b->users++;
	while (rv == 0 && s->slot_count < SERVER_SLOTS) {
		rv = slot_open(s, &s->slots[s->slot_count]);
		s->slot_count += rv == 0;
	}
	rc = rv == 0 ? socket_listen(s->socket, address, e) :
	    err_set(e, ERR_UNAVAILABLE, "cannot serve %s: %s", address, nng_strerror(rv));
	if (rc < 0) {
		bus_server_close(&s);
		return (rc);
	}
	for (i = 0; i < s->slot_count; i++)
		slot_receive(&s->slots[i]);
	*out = s;
	return (0);
}

void
bus_reply(struct bus_request **rp, struct slice bytes)
{
	struct bus_request *r = *rp;
	struct slot *t = r->slot;

	assert(bytes.bytes <= BUS_MESSAGE_BYTES_MAX);
	*rp = NULL;
	free(r);
	if (t == NULL)
		return;
	assert(t->state == SLOT_ANSWERING && t->request == r);	/* B3 */
	t->request = NULL;
	t->state = SLOT_SENDING;
	nng_aio_set_msg(t->aio, message_of(bytes));
	nng_aio_set_timeout(t->aio, REPLY_MS_MAX);
	nng_ctx_send(t->ctx, t->aio);
}

void
bus_server_close(struct bus_server **sp)
{
	struct bus_server *s = *sp;
	unsigned i;

	if (s == NULL)
		return;
	*sp = NULL;
	for (i = 0; i < s->slot_count; i++) {
		struct slot *t = &s->slots[i];

		nng_ctx_close(t->ctx);
		aio_end(t->aio);
		inbox_forget(s->bus->inbox, &t->note);
		if (t->request != NULL)
			t->request->slot = NULL;
	}
	(void)socket_close(s->socket);
	s->bus->users--;
	free(s);
}

/* --- Calling. --- */

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

static void
peer_close(struct bus *b, struct peer *p)
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
	whole = socket_close(p->socket);
	inbox_forget(b->inbox, &p->note);
	if (!whole)
		return;		/* left to the closing thread's callbacks */
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
		peer_close(p->bus, p);		/* B5 */
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
	if (socket_open(nng_req0_open, &p->socket, NULL) < 0) {
		free(p->address);
		free(p);
		return (NULL);
	}
	p->next = b->peers;
	b->peers = p;
	nng_socket_set_ms(p->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	nng_pipe_notify(p->socket, NNG_PIPE_EV_ADD_PRE, peer_on_pipe, p);
	nng_pipe_notify(p->socket, NNG_PIPE_EV_REM_POST, peer_on_pipe, p);
	if (socket_dial(p->socket, address, NULL) < 0) {
		peer_close(b, p);
		return (NULL);
	}
	return (p);
}

/* Closes peers that had no calls for a while; sleeps until the next may be due. */
static void
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
			peer_close(b, p);
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
		aio_end(c->aio);
		inbox_forget(c->bus->inbox, &c->note);
		peer_put(p);
	}
	c->on_reply(c->context, code, code == 0 && m != NULL ? message_slice(m) : SLICE_NONE);
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
		code = code_of(nng_aio_result(c->aio));
		m = aio_take_message(c->aio);
	}
	if (c->bus->closing) {	/* who asked may be gone: an answer is too late, too */
		if (m != NULL)
			nng_msg_free(m);
		m = NULL;
		code = ERR_CANCELLED;
	}
	call_end(c, code, m);
}

static void
call_cancel_all(struct bus *b)
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
	nng_aio_set_msg(c->aio, message_of(bytes));
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
	nng_msg *m = message_of(bytes);
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
		    e, code_of(rv), "the call to %s failed: %s", address, nng_strerror(rv)));
	buf_append_slice(out, message_slice(m));
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
	rc = address_url(address, url, e);
	if (rc < 0)
		return (rc);
	if (!socket_path_listens(address))
		return (err_set(e, ERR_UNAVAILABLE, "nobody listens on %s", address));
	rc = socket_open(nng_req0_open, &s, e);
	if (rc < 0)
		return (rc);
	rc = socket_dial(s, address, e);
	if (rc == 0)
		rc = call_wait_on(s, address, bytes, timeout_ms, out, e);
	(void)socket_close(s);
	return (rc);
}

/* --- Events. --- */

struct bus_publisher {
	struct bus	*bus;
	nng_socket	 socket;
};

struct bus_subscriber {
	struct note	 note;
	struct bus	*bus;
	nng_socket	 socket;
	nng_aio		*aio;
	bus_event_fn	*on_event;
	void		*context;
	bool		 delivering, closed;
};

int
bus_publish_open(struct bus *b, const char *address, struct bus_publisher **out, struct err *e)
{
	struct bus_publisher *p = calloc(1, sizeof(*p));
	int rc;

	assert(p != NULL);
	*out = NULL;
	rc = socket_open(nng_pub0_open, &p->socket, e);
	if (rc < 0) {
		free(p);
		return (rc);
	}
	p->bus = b;
	b->users++;
	rc = nng_socket_set_int(p->socket, NNG_OPT_SENDBUF, EVENTS_QUEUED_MAX);
	assert(rc == 0);
	rc = socket_listen(p->socket, address, e);
	if (rc < 0)
		bus_publish_close(&p);
	*out = p;
	return (rc);
}

int
bus_publish(struct bus_publisher *p, struct slice bytes)
{
	nng_msg *m;

	if (bytes.bytes > BUS_MESSAGE_BYTES_MAX)
		return (ERR_TOO_LARGE);
	m = message_of(bytes);
	if (nng_sendmsg(p->socket, m, NNG_FLAG_NONBLOCK) != 0) {
		nng_msg_free(m);
		return (ERR_UNAVAILABLE);
	}
	return (0);
}

void
bus_publish_close(struct bus_publisher **pp)
{
	struct bus_publisher *p = *pp;

	if (p == NULL)
		return;
	*pp = NULL;
	(void)socket_close(p->socket);
	p->bus->users--;
	free(p);
}

static void
subscriber_on_aio(void *arg)
{
	struct bus_subscriber *s = arg;

	inbox_post(s->bus->inbox, &s->note);
}

static void
subscriber_free(struct bus_subscriber *s)
{
	if (s->aio != NULL) {
		aio_end(s->aio);
		inbox_forget(s->bus->inbox, &s->note);
	}
	(void)socket_close(s->socket);
	s->bus->users--;
	free(s);
}

/* What the note brought, and what else is there; the rest gets another note. */
static void
subscriber_on_note(struct note *n)
{
	struct bus_subscriber *s =
	    (struct bus_subscriber *)((char *)n - offsetof(struct bus_subscriber, note));
	int rv = nng_aio_result(s->aio);
	nng_msg *m = aio_take_message(s->aio);
	unsigned i;

	if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
		return;
	s->delivering = true;
	for (i = 1; rv == 0; i++) {
		s->on_event(s->context, message_slice(m));
		nng_msg_free(m);
		if (s->closed || i == EVENTS_PER_TURN)
			break;
		rv = nng_recvmsg(s->socket, &m, NNG_FLAG_NONBLOCK);
	}
	s->delivering = false;
	if (s->closed)
		subscriber_free(s);
	else
		nng_recv_aio(s->socket, s->aio);
}

int
bus_subscribe(struct bus *b, const char *address, bus_event_fn *on_event, void *context,
    struct bus_subscriber **out, struct err *e)
{
	struct bus_subscriber *s = calloc(1, sizeof(*s));
	int rc;

	assert(s != NULL);
	*out = NULL;
	s->note.on_note = subscriber_on_note;
	s->bus = b;
	s->on_event = on_event;
	s->context = context;
	rc = socket_open(nng_sub0_open, &s->socket, e);
	if (rc < 0) {
		free(s);
		return (rc);
	}
	b->users++;
	rc = nng_socket_set_int(s->socket, NNG_OPT_RECVBUF, EVENTS_QUEUED_MAX);
	assert(rc == 0);
	rc = nng_socket_set(s->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);
	assert(rc == 0);
	if (nng_aio_alloc(&s->aio, subscriber_on_aio, s) != 0)
		rc = err_set(e, ERR_NOMEM, "cannot subscribe to %s: no memory", address);
	if (rc == 0)
		rc = socket_dial(s->socket, address, e);
	if (rc < 0) {
		subscriber_free(s);
		return (rc);
	}
	nng_recv_aio(s->socket, s->aio);
	*out = s;
	return (0);
}

void
bus_subscribe_close(struct bus_subscriber **sp)
{
	struct bus_subscriber *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	s->closed = true;
	if (!s->delivering)
		subscriber_free(s);
}
