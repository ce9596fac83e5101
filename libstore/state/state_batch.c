/*
 * state_batch - pending batches: records appended, applied provisionally to their batch's layer,
 * and what happens when the log has committed them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/state/op.h"

/* --- records ---------------------------------------------------------------------------------- */

static struct batch *
batch_get(struct state *st, uint64_t number)
{
	struct batch *b = st->pending;

	while (b != NULL && b->next != NULL)
		b = b->next;
	if (b != NULL && b->number == number)
		return (b);
	assert(b == NULL || number > b->number);
	b = calloc(1, sizeof(*b));
	assert(b != NULL);
	b->number = number;
	b->layer = index_layer_new();
	op_list_init(&b->ops);
	*st->pending_last = b;
	st->pending_last = &b->next;
	st->pending_count++;
	return (b);
}

/* m is as it was packed. A put, which stays what it is, is applied itself. */
static int
apply_provisionally(struct state *st, struct batch *b, uint16_t type, const ProtobufCMessage *m,
    struct slice data, struct err *e)
{
	struct record r = { .lsn = LSN_PROVISIONAL | ++st->provisional, .type = type,
	    .meta = buf_slice(&st->pack), .data = data };

	st->admit.reader = state_reader(st);
	st->admit.layer = b->layer;
	assert(st->admit.reader.layers[0] == b->layer);
	if (type == RECORD_OBJECT_PUT)
		return (apply_message(&st->admit, &r, (ProtobufCMessage *)(uintptr_t)m, e));
	return (apply_record(&st->admit, &r, e));
}

int
state_append(struct state *st, struct op *op, enum log_share share, uint16_t type,
    const ProtobufCMessage *m, struct slice data, struct err *e)
{
	struct batch *b;
	uint64_t number;
	int rc;

	if (st->frozen)
		return (err_set(e, st->frozen_why.code, "%s", st->frozen_why.text));
	if (op->session != NULL && type != RECORD_SESSION_OPEN &&
	    (rc = session_log(st, op->session, e)) < 0)
		return (rc);
	message_pack_into(&st->pack, m);
	if (st->pack.bytes > RECORD_META_BYTES_MAX || data.bytes > RECORD_DATA_BYTES_MAX)
		return (err_set(e, ERR_TOO_LARGE, "a record of %zu and %zu bytes is over the limit",
		    st->pack.bytes, data.bytes));
	rc = log_append(st->o.log, share, type, buf_slice(&st->pack), data, op, &number, e);
	if (rc < 0)
		return (rc);
	b = batch_get(st, number);
	op_list_add(&b->ops, op);
	op->appended = true;
	buckets_on_append(st, type);
	rc = apply_provisionally(st, b, type, m, data, e);
	if (rc < 0)
		state_fatal(st, e);
	op->fresh = st->admit.fresh;
	op_request_free(op);
	return (ADMIT_APPENDED);
}

int
state_append_done(struct state *st, enum log_share share, uint16_t type, const ProtobufCMessage *m,
    struct slice data, op_done_fn *done, void *context, struct err *e)
{
	struct op *op;
	int rc;

	if (st->pending_count >= PENDING_MAX)
		return (err_set(e, ERR_BUSY, "%u batches are pending", st->pending_count));
	op = op_new(st, NULL, 0, NULL);
	op->done = done;
	op->context = context;
	rc = state_append(st, op, share, type, m, data, e);
	if (rc < 0)
		op_free(st, op);
	return (rc);
}

int
state_append_own(struct state *st, uint16_t type, const ProtobufCMessage *m, op_done_fn *done,
    void *context, struct err *e)
{
	return (state_append_done(st, LOG_SHARE_FREE, type, m, SLICE_NONE, done, context, e));
}

/* --- commits ---------------------------------------------------------------------------------- */

static void
batch_slots(struct state *st, const struct batch *b, void (*each)(struct gentable *, uint32_t))
{
	if (st->o.table == NULL)
		return;
	for (const struct op *op = b->ops.first; op != NULL; op = op->next)
		for (unsigned i = 0; op->appended && i < op->slot_count; i++)
			each(st->o.table, op->slots[i]);
}

static void
batch_finish(struct state *st)
{
	struct batch *b = st->pending;
	struct err e = ERR_INIT;
	int rc;

	rc = apply_flush(&st->commit, &e);
	if (rc < 0) {
		state_fatal(st, &e);
		return;
	}
	batch_slots(st, b, gentable_begin);
	rc = index_write(st->o.index, st->commit_layer, st->commit_lsn, &e);
	if (rc < 0) {
		state_fatal(st, &e);	/* slots stay odd: nothing is cached */
		return;
	}
	batch_slots(st, b, gentable_end);
	if (st->o.table != NULL)
		gentable_set_applied(st->o.table, st->commit_lsn);
	buckets_on_applied(st);
	index_layer_clear(st->commit_layer);
	st->stats.applied_lsn = st->commit_lsn;
	if (st->commit_freed)
		reclaim_freed(st, st->commit_lsn);
	st->commit_freed = false;
	st->committed = true;
	st->cleanup.look |= st->cleanup.changed;
	st->cleanup.changed = false;
	st->pending = b->next;
	if (st->pending == NULL)
		st->pending_last = &st->pending;
	st->pending_count--;
	for (struct op *op = b->ops.first, *next; op != NULL; op = next) {
		next = op->next;
		op_finish(st, op);
	}
	index_layer_free(b->layer);
	free(b);
}

void
state_on_commit(void *context, const struct log_commit *c)
{
	struct state *st = context;
	struct op *op = c->cookie;
	struct err e = ERR_INIT;
	int rc;

	if (st->failed)
		return;
	if (c->code != 0) {
		err_set(&e, c->code, "the log could not commit batch %llu: %s",
		    (unsigned long long)c->batch, err_phrase(c->code));
		state_fatal(st, &e);
		return;
	}
	assert(st->pending != NULL && st->pending->number == c->batch);
	buckets_on_commit(st, c->record.type);
	st->commit.known_fresh = op->fresh;
	if (op->record != NULL)
		rc = apply_message(&st->commit, &c->record, op->record, &e);
	else
		rc = apply_record(&st->commit, &c->record, &e);
	if (rc < 0) {
		state_fatal(st, &e);
		return;
	}
	buf_reset(&op->reply);
	buf_append_slice(&op->reply, buf_slice(&st->commit.reply));
	st->commit_freed |= st->commit.freed > 0;
	st->tasks.changed |= c->record.type == RECORD_TASK_PUT;
	st->conversions.look |= c->record.type == RECORD_TASK_PUT;
	st->cleanup.changed |= st->commit.cleanup;
	st->parts.look |= st->commit.ended;
	st->commit_lsn = c->record.lsn;
	st->unflushed_bytes += c->record.place.record_bytes;
	st->unflushed_records++;
	if (c->last_of_batch)
		batch_finish(st);
}
