/*
 * bus_event - publishing and subscribing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "libipc/bus_internal.h"

#define EVENTS_QUEUED_MAX	4096
#define EVENTS_PER_TURN		64

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
	rc = bus_socket_open(nng_pub0_open, &p->socket, e);
	if (rc < 0) {
		free(p);
		return (rc);
	}
	p->bus = b;
	b->users++;
	rc = nng_socket_set_int(p->socket, NNG_OPT_SENDBUF, EVENTS_QUEUED_MAX);
	assert(rc == 0);
	rc = bus_socket_listen(p->socket, address, e);
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
	m = bus_message_of(bytes);
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
	(void)bus_socket_close(p->socket);
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
		bus_aio_end(s->aio);
		inbox_forget(s->bus->inbox, &s->note);
	}
	(void)bus_socket_close(s->socket);
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
	nng_msg *m = bus_aio_take_message(s->aio);
	unsigned i;

	if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
		return;
	s->delivering = true;
	for (i = 1; rv == 0; i++) {
		s->on_event(s->context, bus_message_slice(m));
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
	rc = bus_socket_open(nng_sub0_open, &s->socket, e);
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
		rc = bus_socket_dial(s->socket, address, e);
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
