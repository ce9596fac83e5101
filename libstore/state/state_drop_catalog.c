/*
 * state_drop_catalog - the last of a segment: the index flushed, its row in the catalog, its files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/state_drop_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/log/segment.h"

struct catalog_job {
	struct state	*st;
	uint64_t	 segment;
	int		 rc;
	struct err	 e;
};

static int
segment_forget(struct state *st, Hf__CatalogSegment *row, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogSegment gone = HF__CATALOG_SEGMENT__INIT, *rows = &gone;
	int rc;

	gone.id = row->id;
	gone.state = HF__CATALOG_SEGMENT__STATE__DROPPED;
	change.segments = &rows;
	change.n_segments = 1;
	change.horizon_lsn = row->last_lsn;	/* the higher one stays */
	change.reason = (char *)(uintptr_t)"segment vacuumed";
	rc = catalog_commit(st->o.drives, &change, e);
	if (rc == 0)
		segment_unlink_row(st->o.drives, row);
	return (rc);
}

/* On a pool thread. */
static void
catalog_work(void *context)
{
	struct catalog_job *j = context;
	Hf__CatalogSegment *row;

	j->rc = index_flush(j->st->o.index, true, &j->e);	/* Z3 */
	row = j->rc == 0 ? catalog_segment(j->st->o.drives, j->segment) : NULL;
	if (row == NULL)
		return;
	j->rc = segment_forget(j->st, row, &j->e);
	hf__catalog_segment__free_unpacked(row, NULL);
}

/* As a start does (state_recover.c): the catalog knows, the log need not tell. */
static void
use_remove(struct state *st, uint64_t segment)
{
	struct index_layer *l = index_layer_new();
	struct err e = ERR_INIT;

	key_segment(&st->key, segment);
	index_delete(l, buf_slice(&st->key));
	if (!st->failed && index_write(st->o.index, l, index_applied(st->o.index), &e) < 0)
		state_fatal(st, &e);
	index_layer_free(l);
}

static void
catalog_done(void *context)
{
	struct catalog_job *j = context;
	struct state *st = j->st;
	struct drop *d = &st->drop;

	d->busy = false;
	if (j->rc < 0) {
		d->phase = DROP_GRACE;
		drop_retry(st, &j->e);
	} else {
		st->stats.segments_dropped++;
		d->dead_lsn = 0;
		use_remove(st, j->segment);
		drop_stop(st, 0, NULL);
		if (d->resumed && drop_load(st, &j->e) < 0)
			state_fatal(st, &j->e);
	}
	free(j);
	state_job_ended(st);
}

/*
 * Files on drives that are away are filed for cleanup first: once the catalog has dropped the
 * segment, nothing else tells of them. 1; 0 until that is durable; or an error.
 */
static int
drop_is_filed(struct state *st, struct err *e)
{
	Hf__CatalogSegment *row = catalog_segment(st->o.drives, st->drop.segment);
	uint32_t present = drive_present_mask(st->o.drives);
	struct cleanup_left left = { .what = CLEANUP_SEGMENT, .id = st->drop.segment, .all = true };
	int rc;

	if (row == NULL)
		return (1);
	left.bytes = row->shard_bytes != 0 ? row->shard_bytes : row->bytes;
	for (size_t i = 0; i < row->n_slots; i++)
		if (row->slots[i] < DRIVES_MAX && (present >> row->slots[i] & 1) == 0)
			left.slots |= 1u << row->slots[i];
	hf__catalog_segment__free_unpacked(row, NULL);
	rc = cleanup_filed(st, &left, e);
	if (rc == 0)
		rc = cleanup_file(st, &left, CLEANUP_DRIVE_AWAY, e);
	else
		return (rc);
	return (rc == ERR_BUSY ? 0 : rc);
}

void
drop_catalog(struct state *st)
{
	struct catalog_job *j;
	struct err e = ERR_INIT;
	int rc = drop_is_filed(st, &e);

	if (rc < 0)
		drop_retry(st, &e);
	if (rc == 0)
		st->drop.due_ms = st->now_ms + 1;
	if (rc <= 0)
		return;
	j = calloc(1, sizeof(*j));
	assert(j != NULL);
	j->st = st;
	j->segment = st->drop.segment;
	st->drop.busy = true;
	st->drop.phase = DROP_CATALOG;
	if (state_job(st, catalog_work, catalog_done, j) < 0) {
		st->drop.busy = false;
		st->drop.phase = DROP_GRACE;	/* again in a later turn */
		free(j);
	}
}
