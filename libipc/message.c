/*
 * message - envelopes of the control bus: parsing them from hostile bytes, dispatching by table,
 * calling.
 *
 * M1  Nothing that comes over the bus reaches a handler unless its row, size and body were checked.
 * M2  Every request gets one reply: the handler's, or a refusal that was counted.
 *
 * The rows are schema/messages.def; what a message does is its handler's business. Events are
 * event.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libipc/message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/metrics.h"
#include "schema/worker.pb-c.h"

static const struct message_row rows[] = {
#define MESSAGE(number, NAME, request, reply, bytes_max, repeat) \
	{ number, #NAME, &hf__##request##__descriptor, &hf__##reply##__descriptor, bytes_max },
#include "schema/messages.def"
#undef MESSAGE
};

const struct message_row *
message_row(uint32_t type)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((uint32_t)rows[i].type == type)
			return (&rows[i]);
	return (NULL);
}

static void
pack_to(struct buf *out, const ProtobufCMessage *m)
{
	size_t bytes = protobuf_c_message_get_packed_size(m);

	protobuf_c_message_pack(m, buf_extend(out, bytes));
}

/* --- Parsing. --- */

static int
envelope_check(const Hf__ControlRequest *q, const struct message_row **row, struct err *e)
{
	if (q->version != MESSAGE_VERSION)
		return (err_set(e, ERR_VERSION, "message version %u is not the %d spoken here",
		    q->version, MESSAGE_VERSION));
	*row = message_row(q->type);
	if (*row == NULL)
		return (err_set(e, ERR_UNSUPPORTED, "there is no message type %u", q->type));
	if (strlen(q->request_id) > MESSAGE_NAME_BYTES_MAX ||
	    strlen(q->asked_by) > MESSAGE_NAME_BYTES_MAX)
		return (err_set(e, ERR_TOO_LARGE,
		    "request_id or asked_by of %s is longer than %d bytes", (*row)->name,
		    MESSAGE_NAME_BYTES_MAX));
	if (q->body.len > (*row)->bytes_max)
		return (err_set(e, ERR_TOO_LARGE, "the body of %s has %zu bytes, more than %zu",
		    (*row)->name, q->body.len, (*row)->bytes_max));
	return (0);
}

int
message_parse(struct slice bytes, const struct message_row **row, Hf__ControlRequest **envelope,
    ProtobufCMessage **body, struct err *e)
{
	Hf__ControlRequest *q;
	int rc;

	if (bytes.bytes > BUS_MESSAGE_BYTES_MAX)
		return (err_set(e, ERR_TOO_LARGE, "a message of %zu bytes is larger than %d",
		    bytes.bytes, BUS_MESSAGE_BYTES_MAX));
	q = hf__control_request__unpack(NULL, bytes.bytes, bytes.data);
	if (q == NULL)
		return (
		    err_set(e, ERR_PROTOCOL, "%zu bytes are not a control message", bytes.bytes));
	rc = envelope_check(q, row, e);
	if (rc == 0) {
		*body = protobuf_c_message_unpack((*row)->request, NULL, q->body.len, q->body.data);
		if (*body == NULL)
			rc = err_set(e, ERR_PROTOCOL, "the body of %s is malformed", (*row)->name);
	}
	if (rc < 0) {
		hf__control_request__free_unpacked(q, NULL);
		return (rc);
	}
	*envelope = q;
	return (0);
}

/* --- Serving. --- */

struct message_server {
	struct bus_server			*server;
	void					*context;
	unsigned				 table_count;
	const struct message_handler *const	*tables;	/* a copy, after the struct */
};

/* A message and what it owns. */
struct message_held {
	struct message		 message;	/* first: message_reply gets its address */
	Hf__ControlRequest	*envelope;
	ProtobufCMessage	*body;
};

static void
reply_send(struct bus_request **r, int code, const char *sentence, const ProtobufCMessage *body)
{
	Hf__ControlReply reply = HF__CONTROL_REPLY__INIT;
	struct buf packed = BUF_INIT, out = BUF_INIT;

	reply.version = MESSAGE_VERSION;
	reply.code = code;
	reply.error = (char *)(uintptr_t)sentence;
	if (body != NULL)
		pack_to(&packed, body);
	reply.body.data = packed.data;
	reply.body.len = packed.bytes;
	pack_to(&out, &reply.base);
	if (out.bytes > BUS_MESSAGE_BYTES_MAX) {
		assert(body != NULL);	/* sentences are short */
		reply_send(r, ERR_TOO_LARGE, "the reply is larger than a message may be", NULL);
	} else {
		metric_add(METRIC_ipc_requests_total, 1);
		bus_reply(r, buf_slice(&out));
	}
	buf_release(&packed);
	buf_release(&out);
}

static const struct message_handler *
server_find(const struct message_server *s, enum message_type type)
{
	const struct message_handler *h;
	unsigned i;

	for (i = 0; i < s->table_count; i++)
		for (h = s->tables[i]; h != NULL && h->on_message != NULL; h++)
			if (h->type == type)
				return (h);
	return (NULL);
}

static void
held_free(struct message_held *d)
{
	hf__control_request__free_unpacked(d->envelope, NULL);
	protobuf_c_message_free_unpacked(d->body, NULL);
	free(d);
}

static void
server_on_request(void *context, struct bus_request *r, struct slice bytes)
{
	const struct message_server *s = context;
	const struct message_handler *h = NULL;
	struct message_held *d = calloc(1, sizeof(*d));
	struct err e = ERR_INIT;
	int rc;

	assert(d != NULL);
	rc = message_parse(bytes, &d->message.row, &d->envelope, &d->body, &e);
	if (rc == 0) {
		h = server_find(s, d->message.row->type);
		if (h == NULL) {
			rc = err_set(
			    &e, ERR_UNSUPPORTED, "%s is not answered here", d->message.row->name);
			held_free(d);
		}
	} else {
		free(d);
	}
	if (rc < 0) {
		metric_add(METRIC_ipc_refused_total, 1);	/* M2 */
		reply_send(&r, rc, e.text, NULL);
		return;
	}
	d->message.request = r;
	d->message.envelope = d->envelope;
	d->message.body = d->body;
	h->on_message(s->context, &d->message);
}

int
message_serve(struct bus *b, const char *address, const struct message_handler *const tables[],
    unsigned table_count, void *context, struct message_server **out, struct err *e)
{
	struct message_server *s = calloc(1, sizeof(*s) + table_count * sizeof(tables[0]));
	int rc;

	assert(s != NULL);
	*out = NULL;
	memcpy(s + 1, tables, table_count * sizeof(tables[0]));
	s->tables = (const struct message_handler *const *)(s + 1);
	s->table_count = table_count;
	s->context = context;
	rc = bus_serve(b, address, server_on_request, s, &s->server, e);
	if (rc < 0)
		free(s);
	else
		*out = s;
	return (rc);
}

void
message_server_close(struct message_server **s)
{
	if (*s == NULL)
		return;
	bus_server_close(&(*s)->server);
	free(*s);
	*s = NULL;
}

void
message_reply(struct message **mp, const ProtobufCMessage *body)
{
	struct message_held *d = (struct message_held *)*mp;

	*mp = NULL;
	assert(body == NULL || body->descriptor == d->message.row->reply);
	reply_send(&d->message.request, 0, "", body);
	held_free(d);
}

void
message_refuse(struct message **mp, const struct err *e)
{
	struct message_held *d = (struct message_held *)*mp;

	*mp = NULL;
	assert(e->code < 0);
	reply_send(&d->message.request, e->code, e->text, NULL);
	held_free(d);
}

/* --- Calling. --- */

struct message_calling {
	const struct message_row	*row;
	char				*address;
	message_reply_fn		*on_reply;
	void				*context;
};

static void
request_pack(const struct message_row *row, const ProtobufCMessage *body, const char *asked_by,
    struct buf *out)
{
	Hf__ControlRequest q = HF__CONTROL_REQUEST__INIT;
	struct buf packed = BUF_INIT;
	uint8_t random[8];
	char id[17];

	assert(body == NULL || body->descriptor == row->request);
	random_bytes(random, sizeof(random));
	hex_encode(random, sizeof(random), id);
	if (body != NULL)
		pack_to(&packed, body);
	q.version = MESSAGE_VERSION;
	q.type = (uint32_t)row->type;
	q.request_id = id;
	q.asked_by = (char *)(uintptr_t)asked_by;
	q.body.data = packed.data;
	q.body.len = packed.bytes;
	pack_to(out, &q.base);
	buf_release(&packed);
}

/* 0 and *body (the caller's), or what the server said, or ERR_PROTOCOL. */
static int
reply_parse(const struct message_row *row, const char *address, struct slice bytes,
    ProtobufCMessage **body, struct err *e)
{
	Hf__ControlReply *r = hf__control_reply__unpack(NULL, bytes.bytes, bytes.data);
	int rc = 0;

	if (r == NULL)
		return (err_set(e, ERR_PROTOCOL, "%s answered %s with something else than a reply",
		    address, row->name));
	if (r->version != MESSAGE_VERSION || r->code > 0)
		rc = err_set(e, ERR_PROTOCOL, "%s answered %s with version %u, code %d", address,
		    row->name, r->version, r->code);
	else if (r->code < 0)
		rc = err_set(e, r->code, "%s", r->error);
	else if ((*body = protobuf_c_message_unpack(row->reply, NULL, r->body.len, r->body.data)) ==
		 NULL)
		rc = err_set(
		    e, ERR_PROTOCOL, "%s answered %s with a malformed body", address, row->name);
	hf__control_reply__free_unpacked(r, NULL);
	return (rc);
}

static void
call_on_reply(void *context, int code, struct slice bytes)
{
	struct message_calling *c = context;
	ProtobufCMessage *body = NULL;
	struct err e = ERR_INIT;

	if (code == 0)
		code = reply_parse(c->row, c->address, bytes, &body, &e);
	else
		err_set(&e, code, "%s to %s: %s", c->row->name, c->address,
		    code == ERR_UNAVAILABLE ? "nobody answers there" :
		    code == ERR_TIMEOUT ? "no answer before the deadline" : err_phrase(code));
	c->on_reply(c->context, code, body, &e);
	if (body != NULL)
		protobuf_c_message_free_unpacked(body, NULL);
	free(c->address);
	free(c);
}

void
message_call(struct bus *b, const char *address, enum message_type type,
    const ProtobufCMessage *body, const char *asked_by, uint64_t deadline_ms,
    message_reply_fn *on_reply, void *context)
{
	struct message_calling *c = calloc(1, sizeof(*c));
	struct buf bytes = BUF_INIT;

	assert(c != NULL);
	c->row = message_row(type);
	assert(c->row != NULL);
	c->address = strdup(address);
	assert(c->address != NULL);
	c->on_reply = on_reply;
	c->context = context;
	request_pack(c->row, body, asked_by, &bytes);
	bus_call(b, address, buf_slice(&bytes), deadline_ms, call_on_reply, c);
	buf_release(&bytes);
}

int
message_call_wait(const char *address, enum message_type type, const ProtobufCMessage *body,
    const char *asked_by, uint64_t timeout_ms, ProtobufCMessage **reply, struct err *e)
{
	const struct message_row *row = message_row(type);
	struct buf bytes = BUF_INIT, answer = BUF_INIT;
	int rc;

	assert(row != NULL);
	request_pack(row, body, asked_by, &bytes);
	rc = bus_call_wait(address, buf_slice(&bytes), timeout_ms, &answer, e);
	if (rc == 0)
		rc = reply_parse(row, address, buf_slice(&answer), reply, e);
	buf_release(&bytes);
	buf_release(&answer);
	return (rc);
}
