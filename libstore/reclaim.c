/*
 * reclaim - gives the space of freed and abandoned rows back to the drives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/reclaim.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/op.h"
#include "libstore/volume.h"

#define RETRY_MS	5000

enum reclaim_kind { RECLAIM_RANGES, RECLAIM_FREED, RECLAIM_GAPS, RECLAIM_DROP };

struct reclaim_job {
	struct state		*st;
	struct drive_set	*drives;
	enum reclaim_kind	 kind;
	struct range		*ranges;
	size_t			 count, capacity;
	Hf__FreedRow		*rows;		/* RECLAIM_FREED: what is freed */
	size_t			 row_count;
	uint64_t		 volume;	/* RECLAIM_GAPS, RECLAIM_DROP */
	uint64_t		 bytes;		/* punched on each shard */
	int			 rc;
	struct err		 e;
};

static struct reclaim_job *
job_new(struct state *st, enum reclaim_kind kind)
{
	struct reclaim_job *j = calloc(1, sizeof(*j));

	assert(j != NULL);
	j->st = st;
	j->drives = st->o.drives;
	j->kind = kind;
	return (j);
}

static void
job_free(struct reclaim_job *j)
{
	free(j->ranges);
	free(j->rows);
	free(j);
}

static void
job_range(struct reclaim_job *j, uint64_t volume, uint64_t from, uint64_t to)
{
	if (from >= to)
		return;
	if (j->count == j->capacity) {
		j->capacity = j->capacity ? 2 * j->capacity : 64;
		j->ranges = realloc(j->ranges, j->capacity * sizeof(*j->ranges));
		assert(j->ranges != NULL);
	}
	j->ranges[j->count++] = (struct range){ volume, from, to - from };
}

/* --- on a pool thread ------------------------------------------------------------------------- */

static int
seal_if_active(struct reclaim_job *j)
{
	Hf__CatalogVolume *row = catalog_volume(j->drives, j->volume);
	int rc = 0;

	if (row != NULL && row->state == HF__CATALOG_VOLUME__STATE__ACTIVE)
		rc = volume_seal(j->drives, j->volume, &j->e);
	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	return (rc);
}

static int
drop_if_there(struct reclaim_job *j)
{
	Hf__CatalogVolume *row = catalog_volume(j->drives, j->volume);
	int rc = 0;

	if (row != NULL && row->state != HF__CATALOG_VOLUME__STATE__DROPPED)
		rc = volume_drop(j->drives, j->volume, &j->e);
	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	return (rc);
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
		j->rc = seal_if_active(j);
	for (size_t i = 0; j->rc == 0 && i < j->count; i++) {
		const struct range *r = &j->ranges[i];

		j->rc = volume_punch(j->drives, r->volume, r->offset, r->bytes, &j->e);
		j->bytes += r->bytes;
	}
}

/* --- what waits ------------------------------------------------------------------------------- */

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

static void
volume_forget(struct reclaim *r, uint64_t volume, bool drop)
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
	if (!use->punched)
		volume_add(st, volume, st->now_ms + st->o.reclaim_grace_ms, false);
	else if (use->live_bytes == 0 && use->freed_rows == 0)
		reclaim_drop(st, volume);
}

static int
volume_look(struct state *st, uint64_t volume, struct err *e)
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

int
reclaim_scan(struct state *st, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct rows rows = ROWS_INIT;
	int rc;

	rc = rows_collect_prefix(&rows, &r, SLICE_LITERAL("Y"), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		Hf__VolumeUse *use;

		rc = row_unpack(rows_value(&rows, i), &hf__volume_use__descriptor, (void *)&use, e);
		if (rc < 0)
			break;
		use_look(st, get_be64((const uint8_t *)rows_key(&rows, i).data + 1), use);
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
		rc = reclaim_scan(st, e);
	if (rc == 0)
		rc = orphans_find(st, e);
	return (rc);
}

void
reclaim_release(struct reclaim *r)
{
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

	/* A mark takes in what follows closely: the first of them only waits a little longer. */
	if (last != NULL && (r->mark_count == RECLAIM_MARKS_MAX ||
	    due - last->due_ms <= st->o.reclaim_grace_ms / 64))
		r->mark_count--;
	r->marks[r->mark_count++] = (struct reclaim_mark){ lsn, due };
}

void
reclaim_range(struct state *st, uint64_t volume, uint64_t offset, uint64_t bytes)
{
	struct reclaim *r = &st->reclaim;

	if (r->queue_count < RECLAIM_QUEUE_MAX)
		r->queue[r->queue_count++] = (struct range){ volume, offset, bytes };
}

/* --- jobs ------------------------------------------------------------------------------------- */

static void
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
	if (j->kind == RECLAIM_FREED) {
		for (size_t i = 0; rc == 0 && i < j->count; i++)
			rc = volume_look(st, j->ranges[i].volume, &e);
	} else if (j->kind == RECLAIM_GAPS) {
		volume_forget(&st->reclaim, j->volume, false);
		rc = volume_look(st, j->volume, &e);
	} else {
		volume_forget(&st->reclaim, j->volume, true);
	}
	job_free(j);
	if (rc < 0)
		state_fatal(st, &e);
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
	if (j->rc == 0 && !st->failed && j->kind == RECLAIM_FREED)
		j->rc = append_reclaimed(st, j, &j->e);
	else if (j->rc == 0 && !st->failed && j->kind != RECLAIM_RANGES)
		j->rc = append_sealed(st, j, &j->e);
	else if (j->rc == 0)
		st->reclaim.busy = false;
	if (j->rc < 0)
		reclaim_failed(st, &j->e);
	if (j->rc < 0 || j->kind == RECLAIM_RANGES || st->failed)
		job_free(j);
	state_job_ended(st);
}

static void
job_start(struct state *st, struct reclaim_job *j)
{
	struct err e = ERR_INIT;

	st->reclaim.busy = true;
	if (state_job(st, reclaim_work, reclaim_done, j) < 0) {
		job_free(j);
		err_set(&e, ERR_BUSY, "reclaim waits: too much work waits for the drives");
		reclaim_failed(st, &e);
	}
}

static void
queue_start(struct state *st)
{
	struct reclaim *r = &st->reclaim;
	struct reclaim_job *j = job_new(st, RECLAIM_RANGES);
	size_t n = r->queue_count < RECLAIM_RANGES_MAX ? r->queue_count : RECLAIM_RANGES_MAX;

	for (size_t i = 0; i < n; i++)
		job_range(j, r->queue[i].volume, r->queue[i].offset,
		    r->queue[i].offset + r->queue[i].bytes);
	memmove(r->queue, r->queue + n, (r->queue_count - n) * sizeof(*r->queue));
	r->queue_count -= n;
	job_start(st, j);
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
		job_range(j, x->volume, x->offset, x->offset + shard_bytes(j->st, x));
		hf__extent__free_unpacked(x, NULL);
		hf__freed_row__init(&j->rows[i]);
		j->rows[i].lsn = get_be64(key + 1);
		j->rows[i].number = get_be32(key + 9);
		j->row_count++;
	}
	return (0);
}

/* Punches what a mark covers, a bounded piece at a time; with nothing left the mark goes. */
static void
freed_start(struct state *st)
{
	struct reclaim *r = &st->reclaim;
	struct reclaim_mark mark = r->marks[0];
	struct rows rows = ROWS_INIT;
	struct reclaim_job *j = job_new(st, RECLAIM_FREED);
	struct err e = ERR_INIT;
	int rc;

	rc = freed_collect(st, mark.lsn, &rows, &e);
	if (rc == 0 && rows.count > 0)
		rc = freed_job_fill(j, &rows, &e);
	if (rc < 0) {
		job_free(j);
		reclaim_failed(st, &e);
	} else if (rows.count == 0) {
		job_free(j);
		r->from_lsn = mark.lsn + 1;
		memmove(r->marks, r->marks + 1, --r->mark_count * sizeof(*r->marks));
	} else {
		r->from_lsn = j->rows[0].lsn;
		job_start(st, j);
	}
	rows_release(&rows);
}

static int
range_compare(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->offset < y->offset ? -1 : x->offset > y->offset);
}

/* Adds the extents of a volume among the rows with a prefix to live. */
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
		if (x->volume == volume)
			job_range(live, volume, x->offset, x->offset + shard_bytes(st, x));
		hf__extent__free_unpacked(x, NULL);
	}
	rows_release(&rows);
	return (rc);
}

/*
 * A sealed volume: everything between live extents, up to the end of the file. Freed extents whose
 * grace is not over count as live here: they have their own punch.
 */
static void
gaps_start(struct state *st, uint64_t volume)
{
	struct reclaim_job *live = job_new(st, RECLAIM_RANGES), *j = job_new(st, RECLAIM_GAPS);
	Hf__CatalogVolume *row = catalog_volume(st->o.drives, volume);
	struct err e = ERR_INIT;
	uint8_t prefix[9];
	uint64_t at = 0;
	int rc;

	j->volume = volume;
	prefix[0] = 'X';
	put_be64(prefix + 1, volume);
	rc = live_collect(st, SLICE(prefix, sizeof(prefix)), volume, live, &e);
	if (rc == 0)
		rc = live_collect(st, SLICE_LITERAL("F"), volume, live, &e);
	if (live->count > 0)
		qsort(live->ranges, live->count, sizeof(*live->ranges), range_compare);
	for (size_t i = 0; i < live->count; i++) {
		job_range(j, volume, at, live->ranges[i].offset);
		if (at < live->ranges[i].offset + live->ranges[i].bytes)
			at = live->ranges[i].offset + live->ranges[i].bytes;
	}
	if (row != NULL && row->state != HF__CATALOG_VOLUME__STATE__DROPPED)
		job_range(j, volume, at, row->bytes);
	else
		j->count = 0;
	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	job_free(live);
	if (rc == 0) {
		job_start(st, j);
		return;
	}
	job_free(j);
	reclaim_failed(st, &e);
}

static void
drop_start(struct state *st, uint64_t volume)
{
	struct reclaim_job *j = job_new(st, RECLAIM_DROP);

	j->volume = volume;
	job_start(st, j);
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
		queue_start(st);
		return;
	}
	while (!r->busy && r->mark_count > 0 && r->marks[0].due_ms <= st->now_ms &&
	    r->retry_ms == 0)
		freed_start(st);
	for (size_t i = 0; !r->busy && i < r->volume_count && r->retry_ms == 0; i++) {
		struct reclaim_volume v = r->volumes[i];

		if (v.due_ms > st->now_ms)
			continue;
		if (v.drop)
			drop_start(st, v.volume);
		else
			gaps_start(st, v.volume);
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
	for (size_t i = 0; i < r->volume_count; i++)
		if (r->volumes[i].due_ms < next)
			next = r->volumes[i].due_ms;
	return (next == UINT64_MAX || next > r->retry_ms ? next : r->retry_ms);
}
