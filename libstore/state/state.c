/*
 * state - the sequencer: requests, admission, pending batches, commits, answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/state.h"

#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/state/op.h"

/* What a start after a kill replays: a second or two. */
#define FLUSH_RECORDS	UINT64_C(300000)

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

/* What an earlier store made visible is; slots of sessions that are gone are free. */
static void
readers_load(struct state *st)
{
	uint64_t owners[SESSIONS_MAX];
	size_t n = 0;

	if (st->o.table != NULL)
		gentable_set_applied(st->o.table, st->stats.applied_lsn);
	for (struct session *s = st->sessions.first; s != NULL; s = s->next)
		owners[n++] = readers_owner(session_id(s));
	if (st->o.readers != NULL)
		readers_keep(st->o.readers, owners, n);
}

int
state_open(const struct state_options *options, struct state **out, struct err *e)
{
	struct state *st = calloc(1, sizeof(*st));
	struct index_reader r;
	int rc;

	assert(st != NULL);
	st->o = *options;
	st->pending_last = &st->pending;
	op_list_init(&st->parked);
	op_list_init(&st->ready);
	st->commit_layer = index_layer_new();
	apply_init(&st->commit, st->o.index, st->commit_layer);
	apply_init(&st->admit, st->o.index, NULL);
	st->admit.provisional = true;
	st->now_ms = clock_mono_ms();
	st->stats.applied_lsn = index_applied(st->o.index);
	r = state_committed(st);
	rc = session_table_load(&st->sessions, &r, e);
	for (struct session *s = st->sessions.first; s != NULL; s = s->next)
		s->durable = true;
	if (rc == 0)
		rc = reclaim_load(st, e);
	if (rc == 0)
		rc = drop_load(st, e);
	if (rc == 0)
		readers_load(st);
	if (rc < 0) {
		state_close(&st);
		return (rc);
	}
	tasks_load(st);
	cleanup_load(st);
	parts_load(st);
	walks_load(st);
	*out = st;
	return (0);
}

static void
ops_free(struct state *st, struct op *op)
{
	while (op != NULL) {
		struct op *next = op->next;

		op_free(st, op);
		op = next;
	}
}

void
state_close(struct state **stp)
{
	struct state *st = *stp;

	if (st == NULL)
		return;
	assert(st->jobs == 0);
	while (st->pending != NULL) {
		struct batch *b = st->pending;

		st->pending = b->next;
		ops_free(st, b->ops.first);
		index_layer_free(b->layer);
		free(b);
	}
	ops_free(st, st->parked.first);
	ops_free(st, st->ready.first);
	for (struct session *s = st->sessions.first; s != NULL; s = s->next)
		ops_free(st, s->run_head);
	completions_release(st);
	drop_release(st);
	feed_release(st);
	walks_release(st);
	session_table_release(&st->sessions);
	reclaim_release(&st->reclaim);
	cleanup_release(&st->cleanup);
	conversions_release(&st->conversions);
	apply_release(&st->commit);
	apply_release(&st->admit);
	index_layer_free(st->commit_layer);
	ops_release(st);
	buf_release(&st->pack);
	buf_release(&st->key);
	buf_release(&st->gets.keys);
	free(st);
	*stp = NULL;
}

struct index_reader
state_committed(struct state *st)
{
	return ((struct index_reader){ .index = st->o.index, .layer_count = 0 });
}

struct index_reader
state_reader(struct state *st)
{
	struct index_reader r = { .index = st->o.index, .layer_count = st->pending_count };
	unsigned at = st->pending_count;

	assert(st->pending_count <= PENDING_MAX);
	for (struct batch *b = st->pending; b != NULL; b = b->next)
		r.layers[--at] = b->layer;	/* newest first */
	return (r);
}

void
state_fatal(struct state *st, const struct err *e)
{
	if (st->failed)
		return;
	st->failed = true;
	st->failure = *e;
	st->o.on_fatal(st->o.context, e);
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

static void
ready_answer(struct state *st)
{
	struct op *op = st->ready.first;

	op_list_init(&st->ready);
	for (struct op *next; op != NULL; op = next) {
		next = op->next;
		op_finish(st, op);
	}
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
		if (st->o.on_note != NULL && (rc == ERR_IO || rc == ERR_CORRUPT || rc == ERR_FULL ||
		    rc == ERR_READ_ONLY || rc == ERR_INTERNAL || rc == ERR_NO_QUORUM))
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

/* --- turns ------------------------------------------------------------------------------------ */

static void
unpark(struct state *st)
{
	struct op *op = st->parked.first;

	op_list_init(&st->parked);
	st->park_count = 0;
	for (struct op *next; op != NULL; op = next) {
		next = op->next;
		if (op->session->state == SESSION_OPEN)
			state_admit(st, op);
		else
			op_free(st, op);
	}
}

static void
index_flush_when_due(struct state *st)
{
	struct err e = ERR_INIT;

	if (st->unflushed_bytes < st->o.index_flush_bytes &&
	    st->unflushed_records < FLUSH_RECORDS)
		return;
	st->unflushed_bytes = st->unflushed_records = 0;
	if (index_flush(st->o.index, false, &e) < 0 && e.code != ERR_FULL)
		state_fatal(st, &e);
	st->stats.last_flush_ms = st->now_ms;
}

void
state_collect(struct state *st, uint64_t now_ms)
{
	st->now_ms = now_ms;
	state_gets_answer(st);
	if (!st->failed)
		log_collect(st->o.log, state_on_commit, st);
	state_turn(st, now_ms);
}

/* What goes on by itself, in this order; next_ms: when it wants its turn without being called.
 * frozen: also when nothing may change any more, because somebody may wait for its answer. */
static const struct part {
	void		(*turn)(struct state *st);
	uint64_t	(*next_ms)(const struct state *st);
	bool		 frozen;
} parts[] = {
	{ feed_turn, feed_next_ms, true },	/* what it answers lets sessions end */
	{ walks_turn, walks_next_ms, true },
	{ state_sessions_turn, NULL, true },
	{ thin_turn, thin_next_ms, false },
	{ reclaim_turn, reclaim_next_ms, false },
	{ tasks_turn, tasks_next_ms, false },
	{ cleanup_turn, cleanup_next_ms, false },
	{ conversions_turn, conversions_next_ms, false },
	{ parts_turn, parts_next_ms, false },
	{ completions_turn, completions_next_ms, true },
	{ drop_turn, drop_next_ms, true },
	{ index_flush_when_due, NULL, false },
};
#define PARTS	(sizeof(parts) / sizeof(parts[0]))

static bool
part_goes_on(const struct state *st, const struct part *p)
{
	return (!st->frozen || p->frozen);
}

void
state_turn(struct state *st, uint64_t now_ms)
{
	st->now_ms = now_ms;
	state_gets_answer(st);
	if (st->failed)
		return;
	ready_answer(st);
	if (st->committed) {
		st->committed = false;
		unpark(st);
	}
	for (size_t i = 0; i < PARTS; i++)
		if (part_goes_on(st, &parts[i]))
			parts[i].turn(st);
	if (!st->failed)
		log_submit(st->o.log);
}

uint64_t
state_next_ms(const struct state *st)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < PARTS && !st->failed; i++) {
		uint64_t own = UINT64_MAX;

		if (parts[i].next_ms != NULL && part_goes_on(st, &parts[i]))
			own = parts[i].next_ms(st);
		next = own < next ? own : next;
	}
	return (next);
}

void
state_freeze(struct state *st, const struct err *why)
{
	st->frozen = true;
	st->frozen_why = *why;
	st->committed = true;	/* who waits for what may never come is told */
}

void
state_drain(struct state *st)
{
	st->draining = true;
}

bool
state_idle(const struct state *st)
{
	return (st->jobs == 0 && st->gets.count == 0 && (st->failed || st->op_count == 0));
}

int
state_job(struct state *st, pool_work_fn *work, pool_done_fn *done, void *context)
{
	st->jobs++;
	if (st->o.pool == NULL) {
		work(context);
		done(context);
		return (0);
	}
	if (pool_submit(st->o.pool, work, done, context) < 0) {
		st->jobs--;
		return (ERR_BUSY);
	}
	return (0);
}

void
state_job_ended(struct state *st)
{
	assert(st->jobs > 0);
	st->jobs--;
	if (st->o.on_wake != NULL)
		st->o.on_wake(st->o.context);
}
