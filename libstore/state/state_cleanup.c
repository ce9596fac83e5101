/*
 * state_cleanup - files cleanup tasks of what reclaim could not give back, and works them off. See
 * state_cleanup.h.
 *
 * What is done on a drive is cleanup_job.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/state_cleanup.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/state/cleanup_job.h"
#include "libstore/state/cleanup_scan.h"
#include "libstore/state/op.h"

#define LOOKED_AT_MAX	4096u	/* rows in one turn */
#define RETRY_MS	5000
#define WORKER		"store"

static const char *const whats[CLEANUP_WHATS] = { "punch", "volume", "segment" };

/* --- filing ----------------------------------------------------------------------------------- */

static void
fingerprint_of(const struct cleanup_left *left, unsigned slot,
    char out[TASK_FINGERPRINT_BYTES_MAX + 1])
{
	snprintf(out, TASK_FINGERPRINT_BYTES_MAX + 1, "%016" PRIx64 "-cleanup-%s-%u", left->id,
	    whats[left->what], slot);
}

static void
nothing_done(struct state *st, struct op *op)
{
	(void)st;
	(void)op;
}

static int
task_put(struct state *st, Hf__Task *t, op_done_fn *done, void *context, struct err *e)
{
	Hf__RecordTaskPut r = HF__RECORD_TASK_PUT__INIT;

	r.task = t;
	return (state_append_own(st, RECORD_TASK_PUT, &r.base, done, context, e));
}

static int
file_new(struct state *st, const struct cleanup_left *left, unsigned slot, char *fingerprint,
    const char *reason, struct err *e)
{
	Hf__NameValue what = HF__NAME_VALUE__INIT, *parameters = &what;
	Hf__Task t = HF__TASK__INIT;
	char server[16];

	snprintf(server, sizeof(server), "%u", slot);
	what.name = (char *)(uintptr_t)"what";
	what.value = (char *)(uintptr_t)whats[left->what];
	t.type = (char *)(uintptr_t)TASK_TYPE_CLEANUP;
	t.fingerprint = fingerprint;
	t.priority = HF__TASK__PRIORITY__NORMAL;
	t.source = (char *)(uintptr_t)WORKER;
	t.reason = (char *)(uintptr_t)reason;
	t.volume_id = left->id;
	t.server = server;
	t.bytes = left->bytes;
	t.not_before_ms = left->not_before_ms;
	t.detected_ms = state_real_ms(st);
	t.n_parameters = 1;
	t.parameters = &parameters;
	return (task_put(st, &t, nothing_done, NULL, e));
}

static int
file_one(struct state *st, const struct cleanup_left *left, unsigned slot, const char *reason,
    struct err *e)
{
	char fingerprint[TASK_FINGERPRINT_BYTES_MAX + 1];
	Hf__Task *open;
	uint64_t bytes;
	int rc;

	fingerprint_of(left, slot, fingerprint);
	rc = task_find_open(st, fingerprint, &open, e);
	if (rc == ADMIT_PARK)
		return (err_set(e, ERR_BUSY, "task %s is not in the log yet", fingerprint));
	if (rc == ERR_NOT_FOUND)
		return (file_new(st, left, slot, fingerprint, reason, e));
	if (rc < 0)
		return (rc);
	bytes = left->all ? left->bytes : open->bytes + left->bytes;
	rc = 0;
	if (bytes != open->bytes) {
		open->bytes = bytes;
		rc = task_put(st, open, nothing_done, NULL, e);
	}
	hf__task__free_unpacked(open, NULL);
	return (rc);
}

int
cleanup_file(struct state *st, const struct cleanup_left *left, const char *reason, struct err *e)
{
	int rc = 0;

	for (unsigned slot = 0; rc == 0 && slot < drive_count(st->o.drives); slot++)
		if (left->slots >> slot & 1)
			rc = file_one(st, left, slot, reason, e);
	return (rc);
}

int
cleanup_filed(struct state *st, const struct cleanup_left *left, struct err *e)
{
	char fingerprint[TASK_FINGERPRINT_BYTES_MAX + 1];
	Hf__Task *open;
	int rc;

	for (unsigned slot = 0; slot < drive_count(st->o.drives); slot++) {
		if ((left->slots >> slot & 1) == 0)
			continue;
		fingerprint_of(left, slot, fingerprint);
		rc = task_find_open(st, fingerprint, &open, e);
		if (rc == ADMIT_PARK || rc == ERR_NOT_FOUND)
			return (0);
		if (rc < 0)
			return (rc);
		hf__task__free_unpacked(open, NULL);
	}
	return (1);
}

/* --- quarantine ------------------------------------------------------------------------------- */

/* Whether the catalog gave its number to something that is gone. */
static bool
was_dropped(struct state *st, const struct cleanup_found *f)
{
	Hf__CatalogSegment *segment;
	Hf__CatalogVolume *volume;

	if (!catalog_id_given(st->o.drives, f->id))
		return (false);
	if (f->what == CLEANUP_VOLUME) {
		volume = catalog_volume(st->o.drives, f->id);
		if (volume != NULL)
			hf__catalog_volume__free_unpacked(volume, NULL);
		return (volume == NULL);
	}
	segment = catalog_segment(st->o.drives, f->id);
	if (segment != NULL)
		hf__catalog_segment__free_unpacked(segment, NULL);
	return (segment == NULL);
}

static int
found_file(struct state *st, const struct cleanup_found *f, struct err *e)
{
	struct cleanup_left left = { .what = f->what, .id = f->id, .slots = 1u << f->slot,
	    .bytes = f->bytes > 0 ? f->bytes : 1, .all = true,
	    .not_before_ms = state_real_ms(st) + st->o.quarantine_ms };
	int rc;

	if (!was_dropped(st, f))
		return (0);
	rc = cleanup_filed(st, &left, e);
	return (rc != 0 ? rc : cleanup_file(st, &left, CLEANUP_QUARANTINED, e));
}

static void
scan_done(void *context)
{
	struct cleanup_scan *s = context;
	struct state *st = s->st;
	struct err e = ERR_INIT;
	int rc = 0;

	st->cleanup.busy = false;
	for (size_t i = 0; rc >= 0 && !st->failed && i < s->count; i++)
		rc = found_file(st, &s->found[i], &e);
	if (rc < 0) {		/* the log is busy: later, from the beginning */
		st->cleanup.scan |= s->slots;
		st->cleanup.look_ms = st->now_ms + RETRY_MS;
	} else {
		cleanup_look(st);
	}
	free(s);
	state_job_ended(st);
}

static void
scan_start(struct state *st)
{
	struct cleanup_scan *s = calloc(1, sizeof(*s));

	assert(s != NULL);
	s->st = st;
	s->drives = st->o.drives;
	s->slots = st->cleanup.scan;
	st->cleanup.scan = 0;
	st->cleanup.busy = true;
	if (state_job(st, cleanup_scan_work, scan_done, s) == 0)
		return;
	st->cleanup.busy = false;
	st->cleanup.scan = s->slots;
	st->cleanup.look_ms = st->now_ms + RETRY_MS;
	free(s);
}

/* --- working off ------------------------------------------------------------------------------ */

static bool
parse(const struct state *st, const Hf__Task *t, struct cleanup_job *j)
{
	char *end;

	if (strcmp(t->source, WORKER) != 0 || t->n_parameters != 1 ||
	    strcmp(t->parameters[0]->name, "what") != 0)
		return (false);
	for (j->what = 0; j->what < CLEANUP_WHATS; j->what++)
		if (strcmp(t->parameters[0]->value, whats[j->what]) == 0)
			break;
	j->slot = (unsigned)strtoul(t->server, &end, 10);
	j->id = t->volume_id;
	return (j->what < CLEANUP_WHATS && *end == '\0' && j->slot < drive_count(st->o.drives));
}

/* The end of a claim: whatever is in the way, it is tried again. */
static void
claim_over(struct state *st)
{
	st->cleanup.busy = false;
	cleanup_look(st);
}

static void
job_recorded(struct state *st, struct op *op)
{
	(void)op;
	claim_over(st);
}

/* A transition of our own: 0 when it is appended. */
static int
become(struct state *st, const Hf__Task *was, Hf__Task__State state, const char *error,
    op_done_fn *done, void *context, struct err *e)
{
	Hf__Task asked = *was, next;
	int rc;

	asked.state = state;
	asked.worker_id = (char *)(uintptr_t)WORKER;
	asked.error = (char *)(uintptr_t)error;
	rc = task_transition(&st->o.tasks, was, &asked, state_real_ms(st), &next, e);
	return (rc < 0 ? rc : task_put(st, &next, done, context, e));
}

/* Back on the loop. A task that somebody cancelled meanwhile stays as it is. */
static void
job_done(void *context)
{
	struct cleanup_job *j = context;
	struct state *st = j->st;
	struct err e = ERR_INIT;
	Hf__Task *t = NULL;
	int rc;

	rc = st->failed ? ERR_CANCELLED : task_find(st, j->task, &t, &e);
	if (rc == 0 && (t->lease != j->lease || t->state != HF__TASK__STATE__IN_PROGRESS))
		rc = ERR_STALE;
	if (rc == 0 && j->rc == 0)
		rc = become(st, t, HF__TASK__STATE__COMPLETED, "", job_recorded, NULL, &e);
	else if (rc == 0)
		rc = become(st, t, HF__TASK__STATE__FAILED, j->e.text, job_recorded, NULL, &e);
	if (rc < 0)
		claim_over(st);
	if (t != NULL)
		hf__task__free_unpacked(t, NULL);
	cleanup_job_free(j);
	state_job_ended(st);
}

/* The claim and its beginning are durable. */
static void
claimed(struct state *st, struct op *op)
{
	struct cleanup_job *j = op->context;

	st->cleanup.claimed = NULL;
	if (state_job(st, cleanup_job_work, job_done, j) == 0)
		return;
	cleanup_job_free(j);		/* the claim ends by its grace period */
	st->cleanup.busy = false;
	st->cleanup.look_ms = st->now_ms + RETRY_MS;
}

static int
claim(struct state *st, const Hf__Task *t, struct cleanup_job *j, struct err *e)
{
	Hf__Task *assigned;
	int rc;

	if (task_is_claimed((int)t->state))
		st->stats.tasks_reclaimed++;
	rc = become(st, t, HF__TASK__STATE__ASSIGNED, "", nothing_done, NULL, e);
	if (rc == 0)
		rc = task_find(st, t->id, &assigned, e);
	if (rc < 0)
		return (rc);
	j->task = t->id;
	j->lease = assigned->lease;
	rc = become(st, assigned, HF__TASK__STATE__IN_PROGRESS, "", claimed, j, e);
	st->cleanup.busy = rc == 0;
	st->cleanup.claimed = rc == 0 ? j : NULL;
	hf__task__free_unpacked(assigned, NULL);
	return (rc);
}

/* 1: begun; 0: it has to wait, or is not ours. */
static int
task_try(struct state *st, uint64_t id, struct err *e)
{
	struct cleanup_job *j;
	Hf__Task *t;
	int rc;

	rc = task_find(st, id, &t, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	j = cleanup_job_new(st);
	rc = parse(st, t, j) ? cleanup_job_plan(j, e) : 0;
	if (rc > 0)
		rc = claim(st, t, j, e);
	if (!st->cleanup.busy)		/* else it is in work */
		cleanup_job_free(j);
	hf__task__free_unpacked(t, NULL);
	return (rc < 0 ? rc : st->cleanup.busy);
}

/* Of a list, up to those that are due at real_ms: the first that can be begun. 1: one was; what is
 * due later is noted. */
static int
list_try(struct state *st, uint8_t list, uint64_t due_ms, uint64_t add_ms, unsigned *looked_at,
    struct err *e)
{
	const uint8_t prefix[2] = { 'Q', list };
	struct index_reader r = state_committed(st);
	struct rows rows = ROWS_INIT;
	uint64_t at, id, later;
	int rc;

	rc = rows_collect_prefix(&rows, &r, SLICE(prefix, 2), LOOKED_AT_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count && ++*looked_at < LOOKED_AT_MAX; i++) {
		Hf__TaskPlace *place;
		bool ours;

		rc = row_unpack(rows_value(&rows, i), &hf__task_place__descriptor, (void *)&place,
		    e);
		if (rc < 0)
			break;
		ours = strcmp(place->type, TASK_TYPE_CLEANUP) == 0;
		hf__task_place__free_unpacked(place, NULL);
		if (!ours || key_task_place_parse(rows_key(&rows, i), &list, &at, &id) < 0)
			continue;
		if (at + add_ms > due_ms) {
			later = st->now_ms + (at + add_ms - due_ms);
			if (later < st->cleanup.look_ms)
				st->cleanup.look_ms = later;
			break;
		}
		rc = task_try(st, id, e);
	}
	rows_release(&rows);
	return (rc);
}

static int
any_try(struct state *st, struct err *e)
{
	struct index_reader r = state_committed(st);
	uint64_t now = state_real_ms(st), orphan;
	unsigned looked_at = 0;
	int rc;

	rc = counter_get(&r, COUNTER_ORPHAN_BYTES, &orphan, e);
	if (rc < 0 || orphan == 0)
		return (rc);
	for (int p = TASK_PRIORITIES - 1; rc == 0 && p >= 0; p--)
		rc = list_try(st, (uint8_t)TASK_LIST_WAITING(p), now, 0, &looked_at, e);
	if (rc == 0)
		rc = list_try(st, TASK_LIST_CLAIMED, now, st->o.tasks.claim_grace_ms, &looked_at,
		    e);
	return (rc);
}

void
cleanup_look(struct state *st)
{
	st->cleanup.look = true;
}

void
cleanup_release(struct cleanup *c)
{
	if (c->claimed != NULL)
		cleanup_job_free(c->claimed);
	c->claimed = NULL;
}

void
cleanup_load(struct state *st)
{
	st->cleanup = (struct cleanup){ .look = true, .look_ms = UINT64_MAX };
}

void
cleanup_turn(struct state *st)
{
	uint32_t present = drive_present_mask(st->o.drives);
	struct cleanup *c = &st->cleanup;
	struct err e = ERR_INIT;

	if (c->busy || st->draining || st->failed || drive_set_read_only(st->o.drives))
		return;
	if (present == c->present && !c->look && c->look_ms > st->now_ms)
		return;
	c->scan |= present & ~c->present;
	c->present = present;
	c->look = false;
	c->look_ms = UINT64_MAX;
	if (c->scan != 0) {
		scan_start(st);
		return;
	}
	if (any_try(st, &e) < 0)
		c->look_ms = st->now_ms + RETRY_MS;
}

uint64_t
cleanup_next_ms(const struct state *st)
{
	if (st->cleanup.busy || st->draining || drive_set_read_only(st->o.drives))
		return (UINT64_MAX);
	return (st->cleanup.look ? st->now_ms : st->cleanup.look_ms);
}
