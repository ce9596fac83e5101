/*
 * state_request - from a request to its answer: a read is answered at once, a change is admitted,
 * refused or parked, and answered when what it depends on is durable (T1); what was answered before
 * is answered again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/state/op.h"
#include "libstore/state/state_internal.h"

struct op_row {
	read_fn		*read;
	admit_fn	*admit;
};

#define OP(NAME) HF__STORE_REQUEST__OP_##NAME
static const struct op_row op_rows[] = {
	[OP(BUCKET_PUT)] = { NULL, admit_bucket_put },
	[OP(BUCKET_DELETE)] = { NULL, admit_bucket_delete },
	[OP(BUCKET_GET)] = { read_bucket_get, NULL },
	[OP(BUCKET_LIST)] = { read_bucket_list, NULL },
	[OP(OBJECT_GET)] = { read_object_get, NULL },
	[OP(OBJECT_PUT)] = { NULL, admit_object_put },
	[OP(OBJECT_DELETE)] = { NULL, admit_object_delete },
	[OP(OBJECT_LIST)] = { read_object_list, NULL },
	[OP(UPLOAD_CREATE)] = { NULL, admit_upload_create },
	[OP(UPLOAD_GET)] = { read_upload_get, NULL },
	[OP(UPLOAD_LIST)] = { read_upload_list, NULL },
	[OP(PART_PUT)] = { NULL, admit_part_put },
	[OP(PART_LIST)] = { read_part_list, NULL },
	[OP(UPLOAD_COMPLETE)] = { NULL, admit_upload_complete },
	[OP(UPLOAD_ABORT)] = { NULL, admit_upload_abort },
	[OP(RUN_RESERVE)] = { NULL, admit_run_reserve },
	[OP(RUN_RETURN)] = { NULL, admit_run_return },
	[OP(EXTENT_DISCARD)] = { NULL, admit_extent_discard },
	[OP(VOLUME_RELEASE)] = { NULL, admit_volume_release },
	[OP(LAYOUT_GET)] = { read_layout_get, NULL },
	[OP(SEGMENT_LOCATE)] = { read_segment_locate, NULL },
	[OP(VOLUME_LOCATE)] = { read_volume_locate, NULL },
	[OP(DAMAGE_REPORT)] = { read_damage_report, NULL },
	[OP(DRIVE_LATENCIES)] = { read_drive_latencies, NULL },
	[OP(CONFIG_PUT)] = { NULL, admit_config_put },
	[OP(CONVERT_BEGIN)] = { NULL, admit_convert_begin },
	[OP(CONVERT_COMMIT)] = { NULL, admit_convert_commit },
	[OP(CONVERT_ABORT)] = { NULL, admit_convert_abort },
	[OP(CONFIG_LIST)] = { read_config_list, NULL },
	[OP(FEED_READ)] = { NULL, admit_feed_read },
	[OP(TASK_SUBMIT)] = { NULL, admit_task_submit },
	[OP(TASK_GET)] = { read_task_get, NULL },
	[OP(TASK_LIST)] = { read_task_list, NULL },
	[OP(TASK_UPDATE)] = { NULL, admit_task_update },
	[OP(REBUILD_PLAN)] = { read_rebuild_plan, NULL },
	[OP(REBUILD_EXTENTS)] = { read_rebuild_extents, NULL },
	[OP(REBUILD_DONE)] = { NULL, admit_rebuild_done },
	[OP(REBUILD_END)] = { NULL, admit_rebuild_end },
	[OP(SEGMENT_LIST)] = { read_segment_list, NULL },
	[OP(SEGMENT_DEAD)] = { read_segment_dead, NULL },
	[OP(SEGMENT_RELOCATE)] = { NULL, admit_segment_relocate },
	[OP(SEGMENT_DROP)] = { NULL, admit_segment_drop },
	[OP(SEGMENT_SEAL)] = { NULL, admit_segment_seal },
	[OP(WALK_OPEN)] = { NULL, admit_walk_open },
	[OP(WALK_KEEP)] = { NULL, admit_walk_keep },
	[OP(WALK_CLOSE)] = { NULL, admit_walk_close },
};

static const struct op_row *
op_row_find(Hf__StoreRequest__OpCase op)
{
	if ((size_t)op >= sizeof(op_rows) / sizeof(op_rows[0]) ||
	    (op_rows[op].read == NULL && op_rows[op].admit == NULL))
		return (NULL);
	return (&op_rows[op]);
}

/* --- answering -------------------------------------------------------------------------------- */

/* A grant's answer carries the volume's layout, which the catalog has and the log does not. */
static void
reply_add_layout(struct state *st, struct buf *reply)
{
	Hf__StoreReply *r = hf__store_reply__unpack(NULL, reply->bytes, reply->data);

	if (r != NULL && r->run != NULL && r->run->layout == NULL) {
		r->run->layout = catalog_volume(st->o.drives, r->run->volume);
		message_pack_into(reply, &r->base);
	}
	if (r != NULL)
		hf__store_reply__free_unpacked(r, NULL);
}

static void
volume_released(struct state *st, uint64_t volume)
{
	struct err e = ERR_INIT;

	if (reclaim_volume_look(st, volume, &e) < 0)
		state_fatal(st, &e);
}

void
op_finish(struct state *st, struct op *op)
{
	struct session *s = op->session;

	if (op->done != NULL) {
		op->done(st, op);
	} else {
		if (op->appended && op->sequence > s->answered_max)
			s->answered_max = op->sequence;
		if (op->has_run)
			reply_add_layout(st, &op->reply);
		if (op->released != 0 && !st->failed)
			volume_released(st, op->released);
		st->stats.answered++;
		st->o.on_reply(st->o.context, s, op->sequence, buf_slice(&op->reply));
	}
	op_free(st, op);
}

/* T1: what was decided on pending changes is said when they are durable. */
static void
op_wait(struct state *st, struct op *op)
{
	struct batch *newest = st->pending;

	if (newest == NULL) {
		op_finish(st, op);
		return;
	}
	while (newest->next != NULL)
		newest = newest->next;
	op_list_add(&newest->ops, op);
}

void
state_answer_later(struct state *st, struct op *op)
{
	if (st->pending != NULL)
		op_wait(st, op);
	else
		op_list_add(&st->ready, op);
}

/* A task that finds no room waits for some, and that is no trouble of the store. */
static bool
is_claim(const struct op *op)
{
	const Hf__StoreRequest *q = op->request;

	return (q != NULL && q->op_case == OP(TASK_UPDATE) && q->task_update->task != NULL &&
	    q->task_update->task->state == HF__TASK__STATE__ASSIGNED);
}

static bool
is_trouble(const struct op *op, int rc)
{
	return (rc == ERR_IO || rc == ERR_CORRUPT || (rc == ERR_FULL && !is_claim(op)) ||
	    rc == ERR_READ_ONLY || rc == ERR_INTERNAL || rc == ERR_NO_QUORUM);
}

static void
op_settle(struct state *st, struct op *op, int rc, const struct err *e)
{
	if (rc == ADMIT_APPENDED || rc == ADMIT_WORK || st->failed)
		return;
	if (rc == ADMIT_PARK) {
		assert(st->pending != NULL);
		put_keep_body(op);
		op_list_add(&st->parked, op);
		st->park_count++;
		return;
	}
	if (rc < 0) {
		st->stats.refused++;
		op_refuse(op, rc, e);
		if (st->o.on_note != NULL && is_trouble(op, rc))
			st->o.on_note(st->o.context, op->request_id, e->text);
	}
	op_wait(st, op);
}

void
state_admit(struct state *st, struct op *op)
{
	struct err e = ERR_INIT;
	int rc = ADMIT_PARK;

	if (st->frozen)
		rc = err_set(&e, st->frozen_why.code, "%s", st->frozen_why.text);
	else if (st->pending_count < PENDING_MAX)
		rc = op_row_find(op->request->op_case)->admit(st, op, &e);
	op_settle(st, op, rc, &e);
}

void
state_resume(struct state *st, struct op *op, int rc, const struct err *e)
{
	op_settle(st, op, rc, e);
}

/* --- requests --------------------------------------------------------------------------------- */

static void
reply_now(struct state *st, struct session *s, uint64_t sequence, const Hf__StoreReply *reply)
{
	st->stats.answered++;
	message_pack_into(&st->pack, &reply->base);
	st->o.on_reply(st->o.context, s, sequence, buf_slice(&st->pack));
}

static void
refuse_now(struct state *st, struct session *s, uint64_t sequence, int code, const char *text)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	reply.code = code;
	reply.error = (char *)(uintptr_t)text;
	st->stats.refused++;
	reply_now(st, s, sequence, &reply);
}

static void
request_read(struct state *st, struct session *s, uint64_t sequence, const struct op_row *row,
    const Hf__StoreRequest *q)
{
	Hf__StoreReply *reply = calloc(1, sizeof(*reply));
	struct err e = ERR_INIT;
	int rc;

	assert(reply != NULL);
	hf__store_reply__init(reply);
	rc = row->read(st, s, q, reply, &e);
	if (rc < 0) {
		reply->code = rc;
		string_replace(&reply->error, e.text);
	}
	reply->lsn = st->stats.applied_lsn;
	reply_now(st, s, sequence, reply);
	hf__store_reply__free_unpacked(reply, NULL);
}

/* What a sequence was answered; ERR_NOT_FOUND: nothing that is kept. */
static int
answer_find(struct state *st, struct session *s, uint64_t sequence, struct buf *out, struct err *e)
{
	struct index_reader r = state_committed(st);
	Hf__SessionAnswers *w;
	int rc;

	key_answers(&st->key, session_id(s), sequence);
	rc = row_get(&r, buf_slice(&st->key), &hf__session_answers__descriptor, (void *)&w, e);
	if (rc < 0)
		return (rc);
	rc = ERR_NOT_FOUND;
	for (size_t i = 0; rc < 0 && i < w->n_answers; i++)
		if (w->answers[i]->sequence == sequence) {
			buf_append(out, w->answers[i]->reply.data, w->answers[i]->reply.len);
			rc = 0;
		}
	hf__session_answers__free_unpacked(w, NULL);
	return (rc);
}

/* True if this was answered before: then it is answered again. */
static bool
request_repeat(struct state *st, struct session *s, uint64_t sequence, Hf__StoreRequest__OpCase op)
{
	struct buf reply = BUF_INIT;
	struct err e = ERR_INIT;
	int rc;

	if (op_find(st, s, sequence) != NULL) {
		st->stats.repeats++;
		return (true);
	}
	if (sequence > s->answered_max)
		return (false);
	rc = answer_find(st, s, sequence, &reply, &e);
	if (rc == ERR_NOT_FOUND)
		return (false);
	if (rc < 0) {	/* not known whether it was applied: say nothing */
		state_fatal(st, &e);
		return (true);
	}
	st->stats.repeats++;
	st->stats.answered++;
	if (op == OP(RUN_RESERVE))
		reply_add_layout(st, &reply);
	st->o.on_reply(st->o.context, s, sequence, buf_slice(&reply));
	buf_release(&reply);
	return (true);
}

static bool
state_is_open(const struct state *st, const struct session *s)
{
	return (!st->failed && !st->draining && s->state == SESSION_OPEN);
}

/* And has a place. */
static bool
request_is_new(struct state *st, struct session *s, uint64_t sequence, Hf__StoreRequest__OpCase op)
{
	if (request_repeat(st, s, sequence, op))
		return (false);
	if (st->op_count < st->o.operations_max)
		return (true);
	refuse_now(st, s, sequence, ERR_BUSY, "store.queue_operations_max operations wait already");
	return (false);
}

bool
state_takes(struct state *st, struct session *s, uint64_t sequence)
{
	return (state_is_open(st, s) && request_is_new(st, s, sequence, OP(OBJECT_PUT)));
}

void
state_request(struct state *st, struct session *s, uint64_t sequence, Hf__StoreRequest **request)
{
	Hf__StoreRequest *q = *request;
	const struct op_row *row = op_row_find(q->op_case);

	*request = NULL;
	if (!state_is_open(st, s))
		goto drop;
	if (row == NULL) {
		refuse_now(st, s, sequence, ERR_UNSUPPORTED,
		    "this store does not know the operation");
		goto drop;
	}
	if (q->op_case == OP(OBJECT_GET) && state_get_queue(st, s, sequence, q->object_get))
		goto drop;
	if (row->read != NULL) {
		request_read(st, s, sequence, row, q);
		goto drop;
	}
	if (!request_is_new(st, s, sequence, q->op_case))
		goto drop;
	state_admit(st, op_new(st, s, sequence, q));
	return;
drop:
	hf__store_request__free_unpacked(q, NULL);
}
