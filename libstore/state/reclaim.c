/*
 * reclaim - what waits to be given back to the drives, and when its turn comes. See reclaim.h.
 *
 * Q1  Ranges that were given back go first: nothing refers to them. Marks and volumes wait until
 *     they are due.
 * Q2  What waits is in memory only; all but the ranges is found again at start (reclaim_load).
 *
 * What a job punches is reclaim_plan.c's, how it runs reclaim_job.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/reclaim_internal.h"

#include <assert.h>
#include <stdlib.h>

/* After something was freed, how often it is looked whether readers need it; also what is freed in
 * this time is given back together. */
#define LOOK_MS		500

static void
volume_add(struct state *st, uint64_t volume, uint64_t due_ms, bool drop)
{
	struct reclaim *r = &st->reclaim;

	for (size_t i = 0; i < r->volume_count; i++)
		if (r->volumes[i].volume == volume && r->volumes[i].drop == drop)
			return;
	if (r->volume_count == r->volume_capacity) {
		r->volume_capacity = r->volume_capacity ? 2 * r->volume_capacity : 16;
		r->volumes = realloc(r->volumes, r->volume_capacity * sizeof(*r->volumes));
		assert(r->volumes != NULL);
	}
	r->volumes[r->volume_count++] = (struct reclaim_volume){ volume, due_ms, drop };
}

void
reclaim_volume_forget(struct reclaim *r, uint64_t volume, bool drop)
{
	for (size_t i = 0; i < r->volume_count; i++)
		if (r->volumes[i].volume == volume && r->volumes[i].drop == drop) {
			memmove(&r->volumes[i], &r->volumes[i + 1],
			    (r->volume_count - i - 1) * sizeof(*r->volumes));
			r->volume_count--;
			return;
		}
}

void
reclaim_drop(struct state *st, uint64_t volume)
{
	volume_add(st, volume, st->now_ms, true);
}

/*
 * Sealed by a program that did not mark what extents lack: nothing says that shards are to be
 * rebuilt, or were.
 */
static bool
use_unmarked(struct state *st, uint64_t volume, const Hf__VolumeUse *use)
{
	Hf__CatalogVolume *row;
	bool unmarked;

	if (!use->punched || use->thin_extents == 0)
		return (false);
	row = catalog_volume(st->o.drives, volume);
	unmarked = row != NULL && (row->lacking | row->complete) == 0;
	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	return (unmarked);
}

/* What a volume's row says is to be done with it. */
static void
use_look(struct state *st, uint64_t volume, const Hf__VolumeUse *use)
{
	struct session *s = session_find(&st->sessions, bin_slice(use->holder));

	if (!use->sealed && s != NULL) {
		if (s->volume == 0 || s->volume != volume)
			run_session_load(st, s, use, volume);
		return;
	}
	/* What was freed has its own punches; the last of them looks again. */
	if (!use->punched && use->freed_rows == 0)
		volume_add(st, volume, st->now_ms, false);
	else if (use->punched && use->live_bytes == 0 && use->freed_rows == 0)
		reclaim_drop(st, volume);
}

int
reclaim_volume_look(struct state *st, uint64_t volume, struct err *e)
{
	struct index_reader r = state_committed(st);
	Hf__VolumeUse *use;
	int rc;

	key_volume(&st->key, volume);
	rc = row_get(&r, buf_slice(&st->key), &hf__volume_use__descriptor, (void *)&use, e);
	if (rc == ERR_NOT_FOUND)
		return (0);
	if (rc < 0)
		return (rc);
	use_look(st, volume, use);
	hf__volume_use__free_unpacked(use, NULL);
	return (0);
}

static int
volumes_look(struct state *st, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct rows rows = ROWS_INIT;
	int rc;

	rc = rows_collect_prefix(&rows, &r, SLICE_LITERAL("Y"), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		uint64_t volume = get_be64((const uint8_t *)rows_key(&rows, i).data + 1);
		Hf__VolumeUse *use;

		rc = row_unpack(rows_value(&rows, i), &hf__volume_use__descriptor, (void *)&use, e);
		if (rc < 0)
			break;
		use_look(st, volume, use);
		if (use_unmarked(st, volume, use))
			volume_add(st, volume, st->now_ms, false);
		hf__volume_use__free_unpacked(use, NULL);
	}
	rows_release(&rows);
	return (rc);
}

/* Volumes that were made and never granted from: the store died in between. */
static int
orphans_find(struct state *st, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct buf value = BUF_INIT;
	uint64_t *ids = NULL;
	size_t n = catalog_volume_ids(st->o.drives, &ids);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		Hf__CatalogVolume *row = catalog_volume(st->o.drives, ids[i]);

		key_volume(&st->key, ids[i]);
		rc = index_get(&r, buf_slice(&st->key), &value, e);
		if (rc == ERR_NOT_FOUND) {
			rc = 0;
			if (row != NULL && row->state != HF__CATALOG_VOLUME__STATE__DROPPED)
				reclaim_drop(st, ids[i]);
		}
		if (row != NULL)
			hf__catalog_volume__free_unpacked(row, NULL);
	}
	buf_release(&value);
	free(ids);
	return (rc);
}

int
reclaim_load(struct state *st, struct err *e)
{
	struct index_reader r = state_committed(st);
	int rc;

	st->reclaim.queue = calloc(RECLAIM_QUEUE_MAX, sizeof(*st->reclaim.queue));
	assert(st->reclaim.queue != NULL);
	rc = row_any(&r, SLICE_LITERAL("F"), e);
	if (rc > 0)
		reclaim_freed(st, index_applied(st->o.index));
	if (rc >= 0)
		rc = volumes_look(st, e);
	if (rc == 0)
		rc = orphans_find(st, e);
	return (rc);
}

void
reclaim_release(struct reclaim *r)
{
	if (r->recorded != NULL)
		reclaim_job_free(r->recorded);
	free(r->queue);
	free(r->volumes);
	*r = (struct reclaim){ 0 };
}

void
reclaim_freed(struct state *st, uint64_t lsn)
{
	struct reclaim *r = &st->reclaim;
	uint64_t due = st->now_ms + st->o.reclaim_grace_ms;
	struct reclaim_mark *last = r->mark_count > 0 ? &r->marks[r->mark_count - 1] : NULL;

	/* A mark takes in what follows closely: the first of them only waits a little longer. But
	 * not for ever. */
	if (last != NULL && (r->mark_count == RECLAIM_MARKS_MAX ||
	    st->now_ms - last->begun_ms <= st->o.reclaim_grace_ms / RECLAIM_MARKS_MAX)) {
		last->lsn = lsn;
		last->due_ms = due;
		return;
	}
	r->marks[r->mark_count++] = (struct reclaim_mark){ lsn, due, st->now_ms + LOOK_MS,
	    st->now_ms };
}

/* R1: its time has come, or nobody needs it any more. */
static bool
mark_ready(struct state *st, struct reclaim_mark *m)
{
	if (m->due_ms <= st->now_ms)
		return (true);
	if (m->look_ms > st->now_ms)
		return (false);
	m->look_ms = st->now_ms + LOOK_MS;
	return (state_readers_past(st, m->lsn));
}

void
reclaim_range(struct state *st, uint64_t volume, uint64_t offset, uint64_t bytes)
{
	struct reclaim *r = &st->reclaim;

	if (r->queue_count < RECLAIM_QUEUE_MAX)
		r->queue[r->queue_count++] = (struct volume_range){ volume, offset, bytes };
}

void
reclaim_turn(struct state *st)
{
	struct reclaim *r = &st->reclaim;

	if (r->busy || st->draining || st->failed || r->retry_ms > st->now_ms ||
	    drive_set_read_only(st->o.drives))
		return;
	r->retry_ms = 0;
	if (r->queue_count > 0) {
		reclaim_queue_start(st);
		return;
	}
	while (!r->busy && r->mark_count > 0 && r->retry_ms == 0 && mark_ready(st, &r->marks[0]))
		reclaim_freed_start(st);
	for (size_t i = 0; !r->busy && i < r->volume_count && r->retry_ms == 0; i++) {
		struct reclaim_volume v = r->volumes[i];

		if (v.due_ms > st->now_ms)
			continue;
		if (v.drop)
			reclaim_drop_start(st, v.volume);
		else
			reclaim_gaps_start(st, v.volume);
	}
}

uint64_t
reclaim_next_ms(const struct state *st)
{
	const struct reclaim *r = &st->reclaim;
	uint64_t next = UINT64_MAX;

	if (r->busy || st->draining || drive_set_read_only(st->o.drives))
		return (UINT64_MAX);
	if (r->queue_count > 0)
		next = st->now_ms;
	if (r->mark_count > 0 && r->marks[0].due_ms < next)
		next = r->marks[0].due_ms;
	if (r->mark_count > 0 && st->o.readers != NULL && r->marks[0].look_ms < next)
		next = r->marks[0].look_ms;
	for (size_t i = 0; i < r->volume_count; i++)
		if (r->volumes[i].due_ms < next)
			next = r->volumes[i].due_ms;
	return (next == UINT64_MAX || next > r->retry_ms ? next : r->retry_ms);
}
