/*
 * reclaim_job - one piece of reclaim: over the drives on a pool thread, then into the log.
 *
 * J1  One job at a time: reclaim.busy from its start until its record is durable, or it failed, or
 *     it is done without one.
 * J2  A job is recorded only after all of its punches came back well; marks and volumes wait until
 *     then, and are tried again (R4). Ranges that were given back have no record.
 * J3  The pool thread touches the job and the drives, never the state.
 * J4  Punches are synced before their record: a power cut takes none back that is forgotten.
 *
 * What a job punches is reclaim_plan.c's; when one begins is reclaim.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/reclaim_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/volume/volume.h"

#define RETRY_MS	5000

struct reclaim_job *
reclaim_job_new(struct state *st, enum reclaim_kind kind)
{
	struct reclaim_job *j = calloc(1, sizeof(*j));

	assert(j != NULL);
	j->st = st;
	j->drives = st->o.drives;
	j->kind = kind;
	return (j);
}

void
reclaim_job_free(struct reclaim_job *j)
{
	free(j->ranges);
	free(j->missed);
	free(j->rows);
	free(j);
}

void
reclaim_job_range(struct reclaim_job *j, uint64_t volume, uint64_t from, uint64_t to)
{
	if (from >= to)
		return;
	if (j->count == j->capacity) {
		j->capacity = j->capacity ? 2 * j->capacity : 64;
		j->ranges = realloc(j->ranges, j->capacity * sizeof(*j->ranges));
		assert(j->ranges != NULL);
	}
	j->ranges[j->count++] = (struct volume_range){ volume, from, to - from };
}

/* --- on a pool thread ------------------------------------------------------------------------- */

static int
seal_if_there(struct reclaim_job *j)
{
	int rc = volume_seal(j->drives, j->volume, j->thin, &j->e);

	return (rc == ERR_NOT_FOUND ? 0 : rc);
}

static int
drop_if_there(struct reclaim_job *j)
{
	Hf__CatalogVolume *row = catalog_volume(j->drives, j->volume);
	int rc = 0;

	if (row != NULL && row->state != HF__CATALOG_VOLUME__STATE__DROPPED)
		rc = volume_drop(j->drives, j->volume, &j->left, &j->e);
	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	return (rc);
}

static bool
first_of_volume(const struct reclaim_job *j, size_t i)
{
	for (size_t n = 0; n < i; n++)
		if (j->ranges[n].volume == j->ranges[i].volume)
			return (false);
	return (true);
}

/* J4. Where a sync fails nothing is known to be given back. */
static void
punches_sync(struct reclaim_job *j)
{
	for (size_t i = 0; j->rc == 0 && i < j->count; i++) {
		uint32_t missed;

		if (!first_of_volume(j, i))
			continue;
		j->rc = volume_punched_sync(j->drives, j->ranges[i].volume, &missed, &j->e);
		for (size_t n = i; missed != 0 && n < j->count; n++)
			if (j->ranges[n].volume == j->ranges[i].volume)
				j->missed[n] |= missed;
	}
}

static void
reclaim_work(void *context)
{
	struct reclaim_job *j = context;

	if (j->kind == RECLAIM_DROP) {
		j->rc = drop_if_there(j);
		return;
	}
	if (j->kind == RECLAIM_GAPS)
		j->rc = seal_if_there(j);
	j->missed = calloc(j->count + 1, sizeof(*j->missed));
	assert(j->missed != NULL);
	for (size_t i = 0; j->rc == 0 && i < j->count; i++) {
		const struct volume_range *r = &j->ranges[i];

		j->rc = volume_punch(j->drives, r->volume, r->offset, r->bytes, &j->missed[i],
		    &j->e);
		j->bytes += r->bytes;
	}
	if (j->kind == RECLAIM_FREED || j->kind == RECLAIM_GAPS)
		punches_sync(j);
}

/* --- back on the loop ------------------------------------------------------------------------- */

void
reclaim_failed(struct state *st, const struct err *e)
{
	st->stats.reclaim_failures++;
	st->reclaim.retry_ms = st->now_ms + RETRY_MS;
	st->reclaim.busy = false;
	if (st->o.on_note != NULL)
		st->o.on_note(st->o.context, NULL, e->text);
}

/* The job's record is durable. */
static void
record_done(struct state *st, struct op *op)
{
	struct reclaim_job *j = op->context;
	struct err e = ERR_INIT;
	int rc = 0;

	st->reclaim.busy = false;
	st->reclaim.recorded = NULL;
	if (j->kind == RECLAIM_FREED) {
		for (size_t i = 0; rc == 0 && i < j->count; i++)
			rc = reclaim_volume_look(st, j->ranges[i].volume, &e);
	} else if (j->kind == RECLAIM_GAPS) {
		reclaim_volume_forget(&st->reclaim, j->volume, false);
		rc = reclaim_volume_look(st, j->volume, &e);
	} else {
		reclaim_volume_forget(&st->reclaim, j->volume, true);
	}
	reclaim_job_free(j);
	cleanup_look(st);
	if (rc < 0)
		state_fatal(st, &e);
}

/* What was missed of one volume on one slot, from range i on; those ranges are taken off. */
static uint64_t
missed_bytes(struct reclaim_job *j, size_t i, unsigned slot)
{
	uint64_t bytes = 0;

	for (size_t n = i; n < j->count; n++) {
		const struct volume_range *r = &j->ranges[n];
		uint64_t end = r->offset + r->bytes;

		if (r->volume != j->ranges[i].volume || (j->missed[n] >> slot & 1) == 0)
			continue;
		j->missed[n] &= ~(1u << slot);
		if (j->kind == RECLAIM_GAPS && end > j->granted)
			end = j->granted;	/* behind it nothing was ever written */
		bytes += end > r->offset ? end - r->offset : 0;
	}
	return (bytes);
}

/* O1 of state_cleanup.h: first the tasks that remember what is left, then the record. */
static int
left_file(struct state *st, struct reclaim_job *j, struct err *e)
{
	struct cleanup_left left = { .all = j->kind == RECLAIM_GAPS || j->kind == RECLAIM_DROP };
	int rc = 0;

	if (j->kind == RECLAIM_DROP && j->left != 0) {
		left.what = CLEANUP_VOLUME;
		left.id = j->volume;
		left.slots = j->left;
		left.bytes = j->granted;
		return (cleanup_file(st, &left, CLEANUP_UNLINK_FAILED, e));
	}
	for (size_t i = 0; rc == 0 && i < j->count; i++)
		for (unsigned slot = 0; rc == 0 && j->missed[i] != 0; slot++) {
			if ((j->missed[i] >> slot & 1) == 0)
				continue;
			left.what = CLEANUP_PUNCH;
			left.id = j->ranges[i].volume;
			left.slots = 1u << slot;
			left.bytes = missed_bytes(j, i, slot);
			if (left.bytes > 0)
				rc = cleanup_file(st, &left, CLEANUP_DRIVE_AWAY, e);
		}
	return (rc);
}

static int
append_reclaimed(struct state *st, struct reclaim_job *j, struct err *e)
{
	Hf__RecordReclaimed r = HF__RECORD_RECLAIMED__INIT;
	Hf__FreedRow **rows = calloc(j->row_count, sizeof(Hf__FreedRow *));
	int rc;

	assert(rows != NULL);
	for (size_t i = 0; i < j->row_count; i++)
		rows[i] = &j->rows[i];
	r.n_rows = j->row_count;
	r.rows = rows;
	rc = state_append_own(st, RECORD_RECLAIMED, &r.base, record_done, j, e);
	free(rows);
	return (rc);
}

static int
append_sealed(struct state *st, struct reclaim_job *j, struct err *e)
{
	Hf__RecordVolumeSealed r = HF__RECORD_VOLUME_SEALED__INIT;

	r.volume = j->volume;
	r.dropped = j->kind == RECLAIM_DROP;
	return (state_append_own(st, RECORD_VOLUME_SEALED, &r.base, record_done, j, e));
}

static void
reclaim_done(void *context)
{
	struct reclaim_job *j = context;
	struct state *st = j->st;

	st->stats.reclaimed_bytes += j->bytes;
	if (j->rc == 0 && !st->failed)
		j->rc = left_file(st, j, &j->e);
	if (j->rc == 0 && !st->failed && j->kind == RECLAIM_FREED)
		j->rc = append_reclaimed(st, j, &j->e);
	else if (j->rc == 0 && !st->failed && j->kind != RECLAIM_RANGES)
		j->rc = append_sealed(st, j, &j->e);
	else if (j->rc == 0)
		st->reclaim.busy = false;
	if (j->rc < 0)
		reclaim_failed(st, &j->e);
	if (j->rc < 0 || j->kind == RECLAIM_RANGES || st->failed)
		reclaim_job_free(j);
	else
		st->reclaim.recorded = j;
	state_job_ended(st);
}

void
reclaim_job_start(struct state *st, struct reclaim_job *j)
{
	struct err e = ERR_INIT;

	st->reclaim.busy = true;
	if (state_job(st, reclaim_work, reclaim_done, j) < 0) {
		reclaim_job_free(j);
		err_set(&e, ERR_BUSY, "reclaim waits: too much work waits for the drives");
		reclaim_failed(st, &e);
	}
}
