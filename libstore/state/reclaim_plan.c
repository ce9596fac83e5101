/*
 * reclaim_plan - what a job punches: ranges given back, what a mark covers, gaps between extents.
 *
 * Freed and live extents are read from the committed index: freed ones a bounded piece at a time,
 * oldest first. What is between live extents is punched only in a volume without a holder.
 *
 * How a job runs and what it records is reclaim_job.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/reclaim_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/volume/volume.h"

void
reclaim_queue_start(struct state *st)
{
	struct reclaim *r = &st->reclaim;
	struct reclaim_job *j = reclaim_job_new(st, RECLAIM_RANGES);
	size_t n = r->queue_count < RECLAIM_RANGES_MAX ? r->queue_count : RECLAIM_RANGES_MAX;

	for (size_t i = 0; i < n; i++)
		reclaim_job_range(j, r->queue[i].volume, r->queue[i].offset,
		    r->queue[i].offset + r->queue[i].bytes);
	memmove(r->queue, r->queue + n, (r->queue_count - n) * sizeof(*r->queue));
	r->queue_count -= n;
	reclaim_job_start(st, j);
}

/* Bytes of an extent in each shard file, by its volume's row; 0 if that is gone. */
static uint64_t
shard_bytes(struct state *st, const Hf__Extent *x)
{
	struct index_reader r = state_committed(st);
	Hf__VolumeUse *use;
	uint64_t bytes;

	key_volume(&st->key, x->volume);
	if (row_get(&r, buf_slice(&st->key), &hf__volume_use__descriptor, (void *)&use, NULL) < 0)
		return (0);
	bytes = volume_extent_shard_bytes(use->k, x->bytes);
	hf__volume_use__free_unpacked(use, NULL);
	return (bytes);
}

static int
freed_collect(struct state *st, uint64_t lsn, struct rows *rows, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc;

	key_freed(&from, st->reclaim.from_lsn, 0);
	key_freed(&to, lsn + 1, 0);
	rc = rows_collect(rows, &r, buf_slice(&from), buf_slice(&to), RECLAIM_RANGES_MAX, e);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

static int
freed_job_fill(struct reclaim_job *j, const struct rows *rows, struct err *e)
{
	j->rows = calloc(rows->count, sizeof(*j->rows));
	assert(j->rows != NULL);
	for (size_t i = 0; i < rows->count; i++) {
		const uint8_t *key = rows_key(rows, i).data;
		Hf__Extent *x;
		int rc;

		rc = row_unpack(rows_value(rows, i), &hf__extent__descriptor, (void *)&x, e);
		if (rc < 0)
			return (rc);
		reclaim_job_range(j, x->volume, x->offset, x->offset + shard_bytes(j->st, x));
		hf__extent__free_unpacked(x, NULL);
		hf__freed_row__init(&j->rows[i]);
		j->rows[i].lsn = get_be64(key + 1);
		j->rows[i].number = get_be32(key + 9);
		j->row_count++;
	}
	return (0);
}

void
reclaim_freed_start(struct state *st)
{
	struct reclaim *r = &st->reclaim;
	struct reclaim_mark mark = r->marks[0];
	struct rows rows = ROWS_INIT;
	struct reclaim_job *j = reclaim_job_new(st, RECLAIM_FREED);
	struct err e = ERR_INIT;
	int rc;

	rc = freed_collect(st, mark.lsn, &rows, &e);
	if (rc == 0 && rows.count > 0)
		rc = freed_job_fill(j, &rows, &e);
	if (rc < 0) {
		reclaim_job_free(j);
		reclaim_failed(st, &e);
	} else if (rows.count == 0) {
		reclaim_job_free(j);
		r->from_lsn = mark.lsn + 1;
		memmove(r->marks, r->marks + 1, --r->mark_count * sizeof(*r->marks));
	} else {
		r->from_lsn = j->rows[0].lsn;
		reclaim_job_start(st, j);
	}
	rows_release(&rows);
}

static int
range_compare(const void *a, const void *b)
{
	const struct volume_range *x = a, *y = b;

	return (x->offset < y->offset ? -1 : x->offset > y->offset);
}

/* Adds the extents of a volume, which are the rows with a prefix, to live. */
static int
live_collect(struct state *st, struct slice prefix, uint64_t volume, struct reclaim_job *live,
    struct err *e)
{
	struct index_reader r = state_committed(st);
	struct rows rows = ROWS_INIT;
	int rc;

	rc = rows_collect_prefix(&rows, &r, prefix, SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		Hf__Extent *x;

		rc = row_unpack(rows_value(&rows, i), &hf__extent__descriptor, (void *)&x, e);
		if (rc < 0)
			break;
		reclaim_job_range(live, volume, x->offset, x->offset + shard_bytes(st, x));
		live->thin |= x->missing;
		hf__extent__free_unpacked(x, NULL);
	}
	rows_release(&rows);
	return (rc);
}

/* Freed extents of the volume wait for their own punch. */
static bool
volume_has_freed(struct state *st, uint64_t volume)
{
	struct index_reader r = state_committed(st);
	Hf__VolumeUse *use;
	bool freed;

	key_volume(&st->key, volume);
	if (row_get(&r, buf_slice(&st->key), &hf__volume_use__descriptor, (void *)&use, NULL) < 0)
		return (false);
	freed = use->freed_rows > 0;
	hf__volume_use__free_unpacked(use, NULL);
	return (freed);
}

int
reclaim_gaps(struct state *st, const Hf__CatalogVolume *row, struct reclaim_job *j, struct err *e)
{
	struct reclaim_job *live;
	uint8_t prefix[9];
	uint64_t at = 0;
	int rc;

	if (volume_has_freed(st, row->id))
		return (0);
	live = reclaim_job_new(st, RECLAIM_RANGES);
	prefix[0] = 'X';
	put_be64(prefix + 1, row->id);
	rc = live_collect(st, SLICE(prefix, sizeof(prefix)), row->id, live, e);
	if (live->count > 0)
		qsort(live->ranges, live->count, sizeof(*live->ranges), range_compare);
	for (size_t i = 0; i < live->count; i++) {
		reclaim_job_range(j, row->id, at, live->ranges[i].offset);
		if (at < live->ranges[i].offset + live->ranges[i].bytes)
			at = live->ranges[i].offset + live->ranges[i].bytes;
	}
	reclaim_job_range(j, row->id, at, row->bytes);
	j->thin = live->thin;
	reclaim_job_free(live);
	return (rc < 0 ? rc : 1);
}

/*
 * A sealed volume: everything between live extents, up to the end of the file. While freed extents
 * of it wait for their grace it waits too: the last of them looks at it again. What its extents
 * lack is known for good now, and gets into the catalog when that seals it.
 */
void
reclaim_gaps_start(struct state *st, uint64_t volume)
{
	struct reclaim_job *j = reclaim_job_new(st, RECLAIM_GAPS);
	Hf__CatalogVolume *row = catalog_volume(st->o.drives, volume);
	struct err e = ERR_INIT;
	int rc = 1;

	j->volume = volume;
	j->granted = reclaim_granted(st, volume);
	if (row != NULL && row->state != HF__CATALOG_VOLUME__STATE__DROPPED)
		rc = reclaim_gaps(st, row, j, &e);
	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	if (rc > 0) {
		reclaim_job_start(st, j);
		return;
	}
	reclaim_job_free(j);
	if (rc == 0)
		reclaim_volume_forget(&st->reclaim, volume, false);
	else
		reclaim_failed(st, &e);
}

uint64_t
reclaim_granted(struct state *st, uint64_t volume)
{
	struct index_reader r = state_committed(st);
	Hf__VolumeUse *use;
	uint64_t granted;

	key_volume(&st->key, volume);
	if (row_get(&r, buf_slice(&st->key), &hf__volume_use__descriptor, (void *)&use, NULL) < 0)
		return (0);
	granted = use->granted;
	hf__volume_use__free_unpacked(use, NULL);
	return (granted);
}

/* Slots of a volume that are not there now; 0 if the catalog has it not. */
static uint32_t
slots_away(struct state *st, uint64_t volume)
{
	Hf__CatalogVolume *row = catalog_volume(st->o.drives, volume);
	uint32_t present = drive_present_mask(st->o.drives), away = 0;

	if (row == NULL)
		return (0);
	for (size_t i = 0; row->state != HF__CATALOG_VOLUME__STATE__DROPPED &&
	    i < row->n_slots; i++)
		if ((present >> row->slots[i] & 1) == 0)
			away |= 1u << row->slots[i];
	hf__catalog_volume__free_unpacked(row, NULL);
	return (away);
}

/*
 * Files on drives that are away are filed for cleanup first: once the catalog has dropped the
 * volume, nothing else tells of them.
 */
static int
drop_is_filed(struct state *st, struct reclaim_job *j, struct err *e)
{
	struct cleanup_left left = { .what = CLEANUP_VOLUME, .id = j->volume,
	    .slots = slots_away(st, j->volume), .bytes = j->granted, .all = true };
	int rc = cleanup_filed(st, &left, e);

	return (rc != 0 ? rc : cleanup_file(st, &left, CLEANUP_DRIVE_AWAY, e));
}

void
reclaim_drop_start(struct state *st, uint64_t volume)
{
	struct reclaim_job *j = reclaim_job_new(st, RECLAIM_DROP);
	struct err e = ERR_INIT;
	int rc;

	j->volume = volume;
	j->granted = reclaim_granted(st, volume);
	if (j->granted == 0)
		j->granted = 1;		/* an empty file is one, too */
	rc = drop_is_filed(st, j, &e);
	if (rc > 0) {
		reclaim_job_start(st, j);
		return;
	}
	reclaim_job_free(j);
	if (rc < 0 && rc != ERR_BUSY)
		reclaim_failed(st, &e);
	else		/* when the task is durable */
		st->reclaim.retry_ms = st->now_ms + 1;
}
