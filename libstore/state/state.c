/*
 * state - the sequencer as a whole: how it opens and closes, what goes on in its turns, work on the
 * pool. Requests and answers are state_request.c's, batches and commits state_batch.c's.
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
		rc = promises_load(st, e);
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

/* --- turns ------------------------------------------------------------------------------------ */

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
	{ feed_turn, feed_next_ms, true },	/* sessions end by what is answered in a turn, */
	{ walks_turn, walks_next_ms, true },
	{ completions_turn, completions_next_ms, true },
	{ drop_turn, drop_next_ms, true },
	{ state_sessions_turn, NULL, true },	/* so that they need no other */
	{ thin_turn, thin_next_ms, false },
	{ reclaim_turn, reclaim_next_ms, false },
	{ tasks_turn, tasks_next_ms, false },
	{ cleanup_turn, cleanup_next_ms, false },
	{ conversions_turn, conversions_next_ms, false },
	{ parts_turn, parts_next_ms, false },
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
