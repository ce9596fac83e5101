/*
 * state_task_history - bounds what is kept of finished tasks: the oldest go first, by a record of
 * their own, when there are too many or when they are too old.
 *
 * Nothing is looked at until a task has changed or the oldest one's time has come.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/state/op.h"

#define PRUNE_MAX	256u	/* in one record */
#define LOOK_MAX	8u	/* rows, if none must go for their number */
#define RETRY_MS	5000

static int
finished_count(struct state *st, uint64_t *out, struct err *e)
{
	struct index_reader r = state_committed(st);
	uint64_t n;
	int rc = 0;

	*out = 0;
	for (int state = 0; rc == 0 && state < TASK_STATES; state++) {
		char name[32];

		if (task_is_open(state))
			continue;
		snprintf(name, sizeof(name), "%s%s", COUNTER_TASKS, task_state_name(state));
		rc = counter_get(&r, name, &n, e);
		*out += n;
	}
	return (rc);
}

static void
prune_done(struct state *st, struct op *op)
{
	(void)op;
	st->tasks.pruning = false;
	st->tasks.changed = true;	/* there may be more */
}

static int
prune_append(struct state *st, uint64_t *ids, size_t n, struct err *e)
{
	Hf__RecordTaskDelete r = HF__RECORD_TASK_DELETE__INIT;
	int rc;

	r.ids = ids;
	r.n_ids = n;
	rc = state_append_own(st, RECORD_TASK_DELETE, &r.base, prune_done, NULL, e);
	st->tasks.pruning = rc == 0;
	return (rc);
}

/* The first rows of the list of finished tasks that are to go; sets when the next is too old. */
static size_t
prune_choose(struct state *st, const struct rows *rows, uint64_t too_many, uint64_t *ids)
{
	uint64_t now = state_real_ms(st), age = st->o.tasks.history_age_ms, at, id;
	uint8_t list;
	size_t n = 0;

	st->tasks.prune_ms = UINT64_MAX;
	for (size_t i = 0; i < rows->count; i++) {
		if (key_task_place_parse(rows_key(rows, i), &list, &at, &id) < 0)
			continue;
		if (n >= too_many && at + age > now) {
			st->tasks.prune_ms = st->now_ms + (at + age - now);
			break;
		}
		ids[n++] = id;
	}
	return (n);
}

static int
prune(struct state *st, struct err *e)
{
	struct index_reader r = state_committed(st);
	const uint8_t prefix[2] = { 'Q', TASK_LIST_FINISHED };
	struct rows rows = ROWS_INIT;
	uint64_t ids[PRUNE_MAX], count, max = st->o.tasks.history_max;
	size_t n;
	int rc;

	rc = finished_count(st, &count, e);
	if (rc == 0)
		rc = rows_collect_prefix(&rows, &r, SLICE(prefix, 2), count > max ? PRUNE_MAX :
		    LOOK_MAX, e);
	if (rc == 0) {
		n = prune_choose(st, &rows, count > max ? count - max : 0, ids);
		if (n > 0)
			rc = prune_append(st, ids, n, e);
	}
	rows_release(&rows);
	return (rc);
}

void
tasks_load(struct state *st)
{
	st->tasks.changed = true;
	st->tasks.prune_ms = UINT64_MAX;
}

void
tasks_turn(struct state *st)
{
	struct err e = ERR_INIT;

	if (st->tasks.pruning || st->draining || drive_set_read_only(st->o.drives) ||
	    (!st->tasks.changed && st->tasks.prune_ms > st->now_ms))
		return;
	st->tasks.changed = false;
	if (prune(st, &e) < 0)		/* the log is busy or full: later */
		st->tasks.prune_ms = st->now_ms + RETRY_MS;
}

uint64_t
tasks_next_ms(const struct state *st)
{
	if (st->tasks.pruning || st->draining || drive_set_read_only(st->o.drives))
		return (UINT64_MAX);
	return (st->tasks.changed ? st->now_ms : st->tasks.prune_ms);
}
