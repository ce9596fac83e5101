/*
 * bus_serve - a server: slots that receive requests, and wait for their replies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "libipc/bus_internal.h"

#define SERVER_SLOTS		32	/* requests of one server under way; more wait outside */
#define REPLY_MS_MAX		5000	/* for a caller that does not take its reply */

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
	s->on_request(s->context, r, bus_message_slice(m));
	nng_msg_free(m);	/* t may be gone by now */
}

static void
slot_on_note(struct note *n)
{
	struct slot *t = (struct slot *)((char *)n - offsetof(struct slot, note));
	int rv = nng_aio_result(t->aio);
	nng_msg *m = bus_aio_take_message(t->aio);

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
	rc = bus_socket_open(nng_rep0_open, &s->socket, e);
	if (rc < 0) {
		free(s);
		return (rc);
	}
	b->users++;
	while (rv == 0 && s->slot_count < SERVER_SLOTS) {
		rv = slot_open(s, &s->slots[s->slot_count]);
		s->slot_count += rv == 0;
	}
	rc = rv == 0 ? bus_socket_listen(s->socket, address, e) :
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
	nng_aio_set_msg(t->aio, bus_message_of(bytes));
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
		bus_aio_end(t->aio);
		inbox_forget(s->bus->inbox, &t->note);
		if (t->request != NULL)
			t->request->slot = NULL;
	}
	(void)bus_socket_close(s->socket);
	s->bus->users--;
	free(s);
}
