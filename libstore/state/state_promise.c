/*
 * state_promise - see state_promise.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/state_promise.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/state/conversion.h"
#include "libstore/state/op.h"

struct promise_job {
	struct state		*st;
	struct op		*op;
	struct drive_set	*drives;
	uint64_t		 task, volume_id;
	bool			 rebuild, use_reserve;
	int			 rc;
	struct err		 e;
};

static bool
is_rebuild(const Hf__Task *t)
{
	return (strcmp(t->type, TASK_TYPE_DRIVE_REBUILD) == 0);
}

bool
promise_wanted(const Hf__Task *t)
{
	return (strcmp(t->type, TASK_TYPE_ERASURE_CODING) == 0 || is_rebuild(t));
}

static uint64_t
lacking_bytes(struct drive_set *s, unsigned slot)
{
	struct catalog_lacking lacks;
	uint64_t bytes;

	catalog_lacking_find(s, slot, 0, 0, &lacks);
	bytes = lacks.left_bytes;
	catalog_lacking_release(&lacks);
	return (bytes);
}

/* R3 */
static int
rebuild_promise(struct drive_set *s, uint64_t volume_id, uint64_t task, bool anyway, struct err *e)
{
	uint32_t slot = (uint32_t)volume_id;
	struct drive_want want = { .owner = task, .slots = &slot, .count = 1,
		.leaves = DRIVE_LEAVES_NOTHING };
	int rc;

	if (volume_id >= drive_count(s))
		return (0);		/* its worker is told */
	if (!anyway)
		drive_set_refresh_space(s);
	want.bytes = lacking_bytes(s, slot);
	rc = drive_promise(s, &want, anyway, e);
	if (rc == ERR_FULL && !drive_leaves_space(s, slot, want.bytes, 0))
		rc = drive_promise(s, &want, true, e);
	return (rc);
}

void
promise_rebuilt(struct drive_set *s, uint64_t task, unsigned slot)
{
	if (!drive_promise_has(s, task))
		return;
	/* first: it may count twice for a moment, never not at all */
	drive_set_refresh_space(s);
	drive_promise_lower(s, task, slot, lacking_bytes(s, slot));
}

/* What is wrong but for the room its worker is told when it begins. */
static void
promise_work(void *context)
{
	struct promise_job *j = context;

	if (j->rebuild)
		j->rc = rebuild_promise(j->drives, j->volume_id, j->task, false, &j->e);
	else
		j->rc = conversion_promise(j->drives, j->volume_id, j->task, j->use_reserve, &j->e);
	if (j->rc != ERR_FULL)
		j->rc = 0;
}

static void
promise_done(void *context)
{
	struct promise_job *j = context;
	struct state *st = j->st;
	uint64_t task = j->task;
	int rc = j->rc;

	if (st->failed)
		rc = ADMIT_WORK;	/* never answered */
	else if (rc == 0)
		rc = st->pending_count < PENDING_MAX ? admit_task_claim(st, j->op, &j->e) :
		    ADMIT_PARK;		/* it is looked again then */
	state_resume(st, j->op, rc, &j->e);
	if (rc != ADMIT_APPENDED && !st->failed)
		promise_follow(st, task);
	free(j);
	state_job_ended(st);
}

int
promise_start(struct state *st, struct op *op, const Hf__Task *t, struct err *e)
{
	struct promise_job *j = calloc(1, sizeof(*j));

	assert(j != NULL);
	*j = (struct promise_job){ .st = st, .op = op, .drives = st->o.drives, .task = t->id,
		.volume_id = t->volume_id, .rebuild = is_rebuild(t),
		.use_reserve = st->conversions.count == 0 && drive_promises(st->o.drives) == 0 };
	if (state_job(st, promise_work, promise_done, j) == 0)
		return (ADMIT_WORK);
	free(j);
	return (err_set(e, ERR_BUSY, "too much work waits for the drives"));
}

static bool
in_work(const Hf__Task *t)
{
	return (t->state == HF__TASK__STATE__ASSIGNED || t->state == HF__TASK__STATE__IN_PROGRESS);
}

void
promise_follow(struct state *st, uint64_t task)
{
	struct err e = ERR_INIT;
	Hf__Task *t;
	bool keeps = false;

	if (!drive_promise_has(st->o.drives, task))
		return;
	if (task_find(st, task, &t, &e) == 0) {
		keeps = in_work(t);
		hf__task__free_unpacked(t, NULL);
	}
	if (!keeps)
		drive_promise_end(st->o.drives, task);
}

/* --- at the start ----------------------------------------------------------------------------- */

/* It was promised before: where there is no room any more it finds that when it begins. */
static void
promise_again(struct state *st, const Hf__Task *t)
{
	struct err ignored = ERR_INIT;

	if (is_rebuild(t))
		(void)rebuild_promise(st->o.drives, t->volume_id, t->id, true, &ignored);
	else
		(void)conversion_promise(st->o.drives, t->volume_id, t->id, true, &ignored);
}

int
promises_load(struct state *st, struct err *e)
{
	struct index_reader r = state_committed(st);
	const uint8_t prefix[2] = { 'Q', TASK_LIST_CLAIMED };
	struct rows rows = ROWS_INIT;
	uint64_t at, id;
	uint8_t list;
	int rc = rows_collect_prefix(&rows, &r, SLICE(prefix, 2), DRIVE_PROMISES_MAX, e);

	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		Hf__Task *t;

		if (key_task_place_parse(rows_key(&rows, i), &list, &at, &id) < 0)
			continue;
		rc = task_find(st, id, &t, e);
		if (rc < 0)
			break;
		if (promise_wanted(t) && in_work(t))
			promise_again(st, t);
		hf__task__free_unpacked(t, NULL);
	}
	rows_release(&rows);
	return (rc);
}
