/*
 * op - an operation in flight: its identity, its answer, the slots of the generation table it
 * touches.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/op.h"

#include <assert.h>
#include <stdlib.h>

#define OPS_KEPT		256u
#define REPLY_KEPT_BYTES	4096u

static struct op **
op_bucket(struct state *st, const struct session *s, uint64_t sequence)
{
	uint64_t h = ((uintptr_t)s >> 5 ^ sequence) * UINT64_C(0x9e3779b97f4a7c15);

	return (&st->hash[(h >> 32) % OP_BUCKETS]);
}

struct op *
op_find(struct state *st, const struct session *s, uint64_t sequence)
{
	struct op *op = *op_bucket(st, s, sequence);

	while (op != NULL && (op->session != s || op->sequence != sequence))
		op = op->hash_next;
	return (op);
}

static void *
memory_alloc(void *arena, size_t bytes)
{
	return (arena_alloc(arena, bytes));
}

static void
memory_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static struct op *
op_take(struct state *st)
{
	struct op *op = st->ops_kept;

	if (op != NULL) {
		st->ops_kept = op->next;
		st->ops_kept_count--;
		*op = (struct op){ .memory = op->memory, .reply = op->reply };
	} else {
		op = calloc(1, sizeof(*op));
		assert(op != NULL);
		arena_init(&op->memory, SIZE_MAX);
	}
	op->allocator = (ProtobufCAllocator){ memory_alloc, memory_free, &op->memory };
	return (op);
}

static void
op_give(struct state *st, struct op *op)
{
	if (ARENA_PIECE_PER_CHUNK || st->ops_kept_count >= OPS_KEPT ||
	    op->reply.capacity > REPLY_KEPT_BYTES) {
		arena_release(&op->memory);
		buf_release(&op->reply);
		free(op);
		return;
	}
	arena_reset(&op->memory);
	buf_reset(&op->reply);
	op->next = st->ops_kept;
	st->ops_kept = op;
	st->ops_kept_count++;
}

void
ops_release(struct state *st)
{
	struct op *op;

	while ((op = st->ops_kept) != NULL) {
		st->ops_kept = op->next;
		arena_release(&op->memory);
		buf_release(&op->reply);
		free(op);
	}
	st->ops_kept_count = 0;
}

void
op_request_set(struct op *op, Hf__StoreRequest *request, bool in_arena)
{
	op->request = request;
	op->in_arena = in_arena;
	op->floor = request->floor;
	op->has_run = request->op_case == HF__STORE_REQUEST__OP_RUN_RESERVE;
	memcpy(op->request_id, request->request_id,
	    strnlen(request->request_id, sizeof(op->request_id) - 1));
}

struct op *
op_new(struct state *st, struct session *s, uint64_t sequence, Hf__StoreRequest *request)
{
	struct op *op = op_take(st);

	op->session = s;
	op->sequence = sequence;
	if (request != NULL)
		op_request_set(op, request, false);
	if (s != NULL) {
		struct op **at = op_bucket(st, s, sequence);

		op->hash_next = *at;
		*at = op;
		s->op_count++;
	}
	st->op_count++;
	return (op);
}

void
op_free(struct state *st, struct op *op)
{
	if (op->session != NULL) {
		struct op **at = op_bucket(st, op->session, op->sequence);

		while (*at != op)
			at = &(*at)->hash_next;
		*at = op->hash_next;
		assert(op->session->op_count > 0);
		op->session->op_count--;
	}
	assert(st->op_count > 0);
	st->op_count--;
	op_request_free(op);
	op_give(st, op);
}

void
op_request_free(struct op *op)
{
	if (op->request != NULL && !op->in_arena)
		hf__store_request__free_unpacked(op->request, NULL);
	op->request = NULL;
}

void
op_origin(const struct op *op, Hf__Origin *out)
{
	hf__origin__init(out);
	out->session = (ProtobufCBinaryData){ SESSION_ID_BYTES, op->session->id };
	out->sequence = op->sequence;
	out->floor = op->floor;
}

void
op_reply_pack(struct op *op, const Hf__StoreReply *reply)
{
	message_pack_into(&op->reply, &reply->base);
}

void
op_refuse(struct op *op, int code, const struct err *e)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	reply.code = code;
	reply.error = (char *)(uintptr_t)e->text;
	op_reply_pack(op, &reply);
}

static void
op_slot_add(struct op *op, uint32_t slot)
{
	uint32_t *slots = op->slots;

	if (op->slot_count == op->slot_capacity) {
		op->slot_capacity = op->slot_capacity ? 8 * op->slot_capacity : 2;
		op->slots = arena_alloc(&op->memory, op->slot_capacity * sizeof(*slots));
		assert(op->slots != NULL);
		if (op->slot_count > 0)
			memcpy(op->slots, slots, op->slot_count * sizeof(*slots));
	}
	op->slots[op->slot_count++] = slot;
}

void
op_slot(struct state *st, struct op *op, const char *bucket, struct slice key)
{
	if (st->o.table != NULL)
		op_slot_add(op, gentable_object_slot(st->o.table, slice_from_string(bucket), key));
}

void
op_bucket_slot(struct state *st, struct op *op, const char *bucket)
{
	if (st->o.table != NULL)
		op_slot_add(op, gentable_bucket_slot(st->o.table, slice_from_string(bucket)));
}
