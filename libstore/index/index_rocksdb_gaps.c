/*
 * index_rocksdb_gaps - gaps as rows of the database: an index that is opened anew knows what it may
 * go around. Under the first key of a gap lies its end.
 *
 * A row is written together with the keys that it speaks of, or after them, and goes with the
 * first one that lives in it, in the same batch or table. So it is true in whatever state a crash,
 * a checkpoint or a copy has kept, which is that of one batch.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_rocksdb_internal.h"

#include "libstore/index/index_keys.h"

/* After so many rows all gaps that changed are written, GAPS_MAX rows that came and as many that
 * went at the most. */
#define KEEP_EVERY	16384u

/* One of the rows: into kept, and what may be gone around. */
static int
gap_row_load(struct index *x, rocksdb_iterator_t *i, struct err *e)
{
	struct slice from, to;
	size_t bytes;
	int rc;

	from.data = rocksdb_iter_key(i, &bytes);
	from = SLICE((const char *)from.data + 1, bytes - 1);
	to.data = rocksdb_iter_value(i, &bytes);
	to.bytes = bytes;
	rc = gaps_kept(&x->kept, from, to, e);
	if (rc < 0)
		return (err_prefix(e, "index %s", x->directory));
	gaps_add(&x->gaps, from, to, x->write);
	return (0);
}

int
gap_rows_load(struct index *x, struct err *e)
{
	struct buf first = BUF_INIT;
	rocksdb_iterator_t *i = rocksdb_create_iterator(x->db, x->read_options);
	char *message = NULL;
	int rc = 0;

	key_gap(&first, SLICE_NONE);
	for (rocksdb_iter_seek(i, (const char *)first.data, first.bytes);
	    rc == 0 && rocksdb_iter_valid(i); rocksdb_iter_next(i))
		rc = gap_row_load(x, i, e);
	rocksdb_iter_get_error(i, &message);
	if (message != NULL)
		rc = index_error(e, "cannot read", x->directory, message);
	rocksdb_iter_destroy(i);
	buf_release(&first);
	x->kept_changes = x->gaps.changes;
	x->kept_cuts = x->gaps.cuts;
	return (rc);
}

static void
gap_row_change(void *context, struct slice from, struct slice to)
{
	struct index *x = context;
	struct buf key = BUF_INIT;

	key_gap(&key, from);
	if (to.bytes > 0)
		index_put(x->gap_rows, buf_slice(&key), to);
	else
		index_delete(x->gap_rows, buf_slice(&key));
	buf_release(&key);
}

void
gap_rows_make(struct index *x, bool all)
{
	index_layer_clear(x->gap_rows);
	if (x->gaps.changes == x->kept_changes)
		return;
	if (all || x->unkept >= KEEP_EVERY) {
		gaps_keep_all(&x->kept, &x->gaps, gap_row_change, x);
		x->kept_changes = x->gaps.changes;
		x->unkept = 0;
	} else if (x->gaps.cuts != x->kept_cuts) {
		gaps_keep_true(&x->kept, &x->gaps, gap_row_change, x);
	}
	x->kept_cuts = x->gaps.cuts;
}

int
gap_rows_save(struct index *x, struct err *e)
{
	int rc = 0;

	if (x->read_only)
		return (0);
	pthread_mutex_lock(&x->write_lock);
	pthread_mutex_lock(&x->gaps_lock);
	gap_rows_make(x, true);
	pthread_mutex_unlock(&x->gaps_lock);
	if (x->failure.code == 0 && index_layer_count(x->gap_rows) > 0)
		rc = batch_write(x, e);
	pthread_mutex_unlock(&x->write_lock);
	return (rc);
}
