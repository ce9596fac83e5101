/*
 * state_put - object_put as it came: what most requests are costs no memory of its own.
 *
 * The message is unpacked into the operation's arena, without the body, which stays where it is and
 * is copied once, to the log. The record is kept there too, until it is committed: then it need not
 * be unpacked again.
 *
 * Only puts as clients pack them come this way, their fields in order and without a condition; all
 * others, and what is not well formed, are state_request's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "libstore/state/op.h"

/* Field numbers of StoreRequest and ObjectPut. */
#define REQUEST_ID	1
#define REQUEST_FLOOR	2
#define PUT_DATA	4

struct field {
	const uint8_t	*at;		/* its tag */
	uint64_t	 number;
	unsigned	 type;
	uint64_t	 value;		/* of a varint */
	struct slice	 bytes;		/* of what has a length */
};

/* A put, cut into pieces; all borrowed. */
struct put_pieces {
	struct slice	request_id, put, data;		/* put: without data */
	uint64_t	floor;
};

static bool
varint_take(struct slice *s, uint64_t *out)
{
	const uint8_t *p = s->data;

	*out = 0;
	for (size_t i = 0; i < s->bytes && i < 9; i++) {
		*out |= (uint64_t)(p[i] & 0x7f) << 7 * i;
		if (p[i] < 0x80) {
			*s = SLICE(p + i + 1, s->bytes - i - 1);
			return (true);
		}
	}
	return (false);
}

/* The next field; false: it is of another kind than the two, or not whole. */
static bool
field_take(struct slice *s, struct field *out)
{
	uint64_t tag, n;

	out->at = s->data;
	if (!varint_take(s, &tag) || !varint_take(s, &n))
		return (false);
	out->number = tag >> 3;
	out->type = tag & 7;
	out->value = n;
	if (out->type == PROTOBUF_C_WIRE_TYPE_VARINT)
		return (true);
	if (out->type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED || n > s->bytes)
		return (false);
	out->bytes = SLICE(s->data, (size_t)n);
	*s = SLICE((const uint8_t *)s->data + n, s->bytes - (size_t)n);
	return (true);
}

/* The body is the last field, or there is none. */
static bool
put_cut(struct slice put, struct put_pieces *out)
{
	struct slice rest = put;
	struct field f = { .number = 0 };

	out->put = put;
	while (rest.bytes > 0) {
		if (!field_take(&rest, &f) ||
		    f.type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED || f.number > PUT_DATA ||
		    (f.number == PUT_DATA && rest.bytes > 0))
			return (false);
		if (f.number != PUT_DATA)
			continue;
		out->put.bytes = (size_t)(f.at - (const uint8_t *)put.data);
		out->data = f.bytes;
	}
	return (true);
}

static bool
request_cut(struct slice request, struct put_pieces *out)
{
	uint64_t last = 0;
	struct field f;

	*out = (struct put_pieces){ .floor = 0 };
	while (request.bytes > 0) {
		if (!field_take(&request, &f) || f.number <= last)
			return (false);
		last = f.number;
		if (f.number == REQUEST_ID && f.type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
			out->request_id = f.bytes;
		else if (f.number == REQUEST_FLOOR && f.type == PROTOBUF_C_WIRE_TYPE_VARINT)
			out->floor = f.value;
		else if (f.number != HF__STORE_REQUEST__OP_OBJECT_PUT ||
		    f.type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ||
		    !put_cut(f.bytes, out))
			return (false);
	}
	return (last == HF__STORE_REQUEST__OP_OBJECT_PUT);
}

/* Into op's arena; NULL: it is no ObjectPut. */
static Hf__StoreRequest *
request_unpack(struct op *op, const struct put_pieces *w)
{
	Hf__StoreRequest *q = arena_alloc(&op->memory, sizeof(*q));

	hf__store_request__init(q);
	q->floor = w->floor;
	q->request_id = arena_string(&op->memory, w->request_id);
	q->op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	q->object_put = hf__object_put__unpack(&op->allocator, w->put.bytes, w->put.data);
	if (q->object_put == NULL)
		return (NULL);
	q->object_put->data = (ProtobufCBinaryData){ w->data.bytes,
	    (uint8_t *)(uintptr_t)w->data.data };
	return (q);
}

bool
state_put(struct state *st, struct session *s, uint64_t sequence, struct slice request)
{
	struct put_pieces w;
	Hf__StoreRequest *q;
	struct op *op;

	if (!request_cut(request, &w))
		return (false);
	if (!state_takes(st, s, sequence))
		return (true);
	op = op_new(st, s, sequence, NULL);
	q = request_unpack(op, &w);
	if (q == NULL) {
		op_free(st, op);
		return (false);
	}
	op_request_set(op, q, true);
	state_admit(st, op);
	return (true);
}

void
put_keep_body(struct op *op)
{
	ProtobufCBinaryData *data = &op->request->object_put->data;
	struct slice own;

	if (!op->in_arena || op->body_kept)
		return;
	own = arena_slice(&op->memory, SLICE(data->data, data->len));
	assert(own.data != NULL);
	data->data = (uint8_t *)(uintptr_t)own.data;
	op->body_kept = true;
}
