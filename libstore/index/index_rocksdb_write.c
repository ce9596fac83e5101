/*
 * index_rocksdb_write - rows that were applied, on their way to the database: collected, in
 * batches, in a replay as tables of their own; flushed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_rocksdb_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "libstore/index/index_keys.h"

/* Deletes in tables that are listed: so many in memory are flushed, so that they are compacted. */
#define DELETES_MAX		100000u
/*
 * One in so many deletes of listed rows is where a gap is looked for, at once, and of a write's
 * last one so many such writes later; and what such a look may cost.
 */
#define PROBE_EVERY		128u
#define PROBES_MAX		1024u		/* in one write */
#define ENDS_MAX		64u
#define PROBE_PASSED_MAX	8192u
/* What failed in the background with less room than this failed for want of it: a table that is not
 * whole is removed again. */
#define FULL_BYTES		(UINT64_C(128) << 20)

/* Objects, versions, uploads. */
static bool
row_is_listed(struct slice key)
{
	const char table = key.bytes > 0 ? *(const char *)key.data : 0;

	return (table == 'O' || table == 'V' || table == 'U');
}

/* Keys behind which a gap may be now, in their order; and those at which one ended until now. */
struct probes {
	struct slice	keys[PROBES_MAX], ends[ENDS_MAX];
	unsigned	count, end_count;
};

static void
deleted_row(struct index *x, struct slice key, struct probes *probes)
{
	if (!row_is_listed(key))
		return;
	x->deletes++;
	if (++x->unprobed < PROBE_EVERY || probes->count == PROBES_MAX)
		return;
	x->unprobed = 0;
	probes->keys[probes->count++] = key;
}

/* From here on to write_end what lives is no longer what any snapshot has. What gaps become by it
 * is written with it. */
static void
write_begin(struct index *x, const struct index_layer *layer)
{
	const struct layer_entry *entry;

	pthread_mutex_lock(&x->gaps_lock);
	x->write++;
	if (x->gaps.count > 0)
		for (entry = layer_seek(layer, SLICE_NONE, false); entry != NULL;
		    entry = layer_next(entry))
			if (!entry->deleted)
				gaps_put(&x->gaps, entry->key);
	gap_rows_make(x, false);
	pthread_mutex_unlock(&x->gaps_lock);
}

static void
write_end(struct index *x, const struct index_layer *layer, struct probes *probes)
{
	const struct layer_entry *entry;

	pthread_mutex_lock(&x->gaps_lock);
	x->write++;
	if (x->gaps.count > 0)
		for (entry = layer_seek(layer, SLICE_NONE, false); entry != NULL;
		    entry = layer_next(entry))
			if (entry->deleted && gaps_delete(&x->gaps, entry->key, x->write) &&
			    probes->end_count < ENDS_MAX)
				probes->ends[probes->end_count++] = entry->key;
	pthread_mutex_unlock(&x->gaps_lock);
}

/*
 * At once, from the last to the first, so that each look ends at the gap of the one before: that is
 * for many deletes in one write, or from the end to the start. Then from where gaps ended to those.
 * And again later, for those one by one towards the end, which lie behind a key only then.
 */
static void
probe_all(struct index *x, const struct probes *probes)
{
	struct buf *later = &x->later[x->later_next];

	for (unsigned n = probes->count; n > 0; n--)
		index_iter_probe(x, probes->keys[n - 1], PROBE_PASSED_MAX);
	for (unsigned n = probes->end_count; n > 0; n--)
		index_iter_probe(x, probes->ends[n - 1], PROBE_PASSED_MAX);
	if (probes->count == 0)
		return;
	if (later->bytes > 0)
		index_iter_probe(x, buf_slice(later), PROBE_PASSED_MAX);
	buf_reset(later);
	buf_append_slice(later, probes->keys[probes->count - 1]);
	x->later_next = (x->later_next + 1) % PROBES_LATER;
}

static int
memory_flush(struct index *x, bool wait, struct err *e)
{
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	char *message = NULL;

	x->deletes = 0;
	rocksdb_flushoptions_set_wait(options, wait);
	rocksdb_flush(x->db, options, &message);
	rocksdb_flushoptions_destroy(options);
	if (message != NULL)
		return (index_error(e, "cannot flush", x->directory, message));
	return (0);
}

/* Who waits for it while another does waits for the other: nothing is dirty only when that ends. */
int
database_flush(struct index *x, bool wait, struct err *e)
{
	int rc = 0;

	if (x->dirty)
		rc = gap_rows_save(x, e);
	if (rc < 0 || !wait)
		return (rc == 0 && x->dirty ? memory_flush(x, false, e) : rc);
	pthread_mutex_lock(&x->flush_lock);
	if (atomic_exchange(&x->dirty, false))	/* what is written from here on is not flushed */
		rc = memory_flush(x, true, e);
	if (rc < 0)
		x->dirty = true;
	pthread_mutex_unlock(&x->flush_lock);
	return (rc);
}

static void
rows_to_batch(struct index *x, const struct index_layer *rows, struct probes *probes)
{
	const struct layer_entry *entry;

	for (entry = layer_seek(rows, SLICE_NONE, false); entry != NULL;
	    entry = layer_next(entry)) {
		if (entry->deleted) {
			deleted_row(x, entry->key, probes);
			rocksdb_writebatch_delete(x->batch, entry->key.data, entry->key.bytes);
		} else {
			rocksdb_writebatch_put(x->batch, entry->key.data, entry->key.bytes,
			    (const char *)entry->value, entry->value_bytes);
		}
	}
}

static void
rows_to_table(struct index *x, rocksdb_sstfilewriter_t *table, const struct index_layer *rows,
    struct probes *probes, char **message)
{
	const struct layer_entry *entry;

	for (entry = layer_seek(rows, SLICE_NONE, false); entry != NULL && *message == NULL;
	    entry = layer_next(entry)) {
		if (entry->deleted) {
			deleted_row(x, entry->key, probes);
			rocksdb_sstfilewriter_delete(table, entry->key.data, entry->key.bytes,
			    message);
		} else {
			rocksdb_sstfilewriter_put(table, entry->key.data, entry->key.bytes,
			    (const char *)entry->value, entry->value_bytes, message);
		}
	}
}

/* Rows of gaps lie behind all others. The table reaches behind them in any case, so that RocksDB
 * flushes those that are in its memory, and older, before it takes the table. */
static void
gap_rows_to_table(struct index *x, rocksdb_sstfilewriter_t *table, struct probes *probes,
    char **message)
{
	struct buf last = BUF_INIT;

	key_gap(&last, SLICE_LITERAL("\xff"));
	rows_to_table(x, table, x->gap_rows, probes, message);
	if (*message == NULL)
		rocksdb_sstfilewriter_delete(table, (const char *)last.data, last.bytes, message);
	buf_release(&last);
}

/* Makes a table file of the rows; it becomes the database's, durable, in one step. */
static void
table_write(struct index *x, const struct index_layer *rows, struct probes *probes, char **message)
{
	rocksdb_envoptions_t *env = rocksdb_envoptions_create();
	rocksdb_sstfilewriter_t *table = rocksdb_sstfilewriter_create(env, x->options);
	rocksdb_ingestexternalfileoptions_t *o = rocksdb_ingestexternalfileoptions_create();
	struct buf path = BUF_INIT;
	const char *name;

	buf_printf(&path, "%s/bulk.table", x->directory);
	name = buf_string(&path);
	(void)unlink(name);	/* of a crash: it may be a table's other name */
	rocksdb_ingestexternalfileoptions_set_move_files(o, 1);
	rocksdb_sstfilewriter_open(table, name, message);
	if (*message == NULL)
		rows_to_table(x, table, rows, probes, message);
	write_begin(x, rows);
	if (*message == NULL)
		gap_rows_to_table(x, table, probes, message);
	if (*message == NULL)
		rocksdb_sstfilewriter_finish(table, message);
	if (*message == NULL)
		rocksdb_ingest_external_file(x->db, &name, 1, o, message);
	(void)unlink(name);
	rocksdb_ingestexternalfileoptions_destroy(o);
	rocksdb_sstfilewriter_destroy(table);
	rocksdb_envoptions_destroy(env);
	buf_release(&path);
}

/* It does not say why. */
static int
background_failed(const struct index *x, struct err *e)
{
	struct statvfs v;
	uint64_t left = UINT64_MAX;

	if (statvfs(x->directory, &v) == 0)
		left = (uint64_t)v.f_bavail * v.f_frsize;
	if (left >= FULL_BYTES)
		return (err_set(e, ERR_IO, "index %s: a flush or a compaction failed; the file LOG "
		    "there says why", x->directory));
	return (err_set(e, ERR_FULL, "index %s: a flush or a compaction failed, and its file "
	    "system has %" PRIu64 " MiB left", x->directory, left >> 20));
}

/* What RocksDB does by itself: 1 while it does something; an error if it failed since the start. */
static int
database_background(const struct index *x, struct err *e)
{
	static const char *const busy[] = { "rocksdb.mem-table-flush-pending",
	    "rocksdb.num-running-flushes", "rocksdb.compaction-pending",
	    "rocksdb.num-running-compactions" };
	uint64_t n;

	if (rocksdb_property_int(x->db, "rocksdb.background-errors", &n) == 0 && n > 0)
		return (background_failed(x, e));
	for (unsigned i = 0; i < sizeof(busy) / sizeof(busy[0]); i++)
		if (rocksdb_property_int(x->db, busy[i], &n) == 0 && n > 0)
			return (1);
	return (0);
}

/* What is kept may be other than the rows. Every later write says why, too: who has to know of a
 * file system that is full is perhaps not who found it so. */
static int
write_failed(struct index *x, char *message, struct err *e)
{
	(void)index_error(&x->failure, "cannot write", x->directory, message);
	return (err_set(e, x->failure.code, "%s", x->failure.text));
}

int
batch_write(struct index *x, struct err *e)
{
	char *message = NULL;

	rows_to_batch(x, x->gap_rows, NULL);
	rocksdb_write(x->db, x->write_options, x->batch, &message);
	rocksdb_writebatch_clear(x->batch);
	x->dirty = true;
	return (message == NULL ? 0 : write_failed(x, message, e));
}

/* With write_lock. */
static int
rows_write(struct index *x, const struct index_layer *rows, struct probes *probes, struct err *e)
{
	char *message = NULL;
	int rc = 0;

	if (x->failure.code != 0)
		return (err_set(e, x->failure.code, "%s", x->failure.text));
	if (x->bulk) {
		table_write(x, rows, probes, &message);
		if (message != NULL)
			rc = write_failed(x, message, e);
	} else {
		rows_to_batch(x, rows, probes);
		write_begin(x, rows);
		rc = batch_write(x, e);
	}
	if (rc == 0)
		write_end(x, rows, probes);
	x->unkept += index_layer_count(rows);
	return (rc);
}

int
database_write(void *context, const struct index_layer *rows, bool flush, struct err *e)
{
	struct index *x = context;
	struct probes probes = { .count = 0 };
	int rc = 0;

	if (rows != NULL) {
		pthread_mutex_lock(&x->write_lock);
		rc = rows_write(x, rows, &probes, e);
		pthread_mutex_unlock(&x->write_lock);
	}
	if (rc == 0)
		probe_all(x, &probes);
	if (rc == 0 && (flush || x->deletes >= DELETES_MAX))
		rc = database_flush(x, false, e);
	return (rc == 0 ? database_background(x, e) : rc);
}

int
index_failure_fd(const struct index *x)
{
	return (ahead_failure_fd(x->ahead));
}

int
index_failed(struct index *x, struct err *e)
{
	return (ahead_failed(x->ahead, e));
}

uint64_t
index_unwritten(struct index *x)
{
	uint64_t bytes;

	if (rocksdb_property_int(x->db, "rocksdb.cur-size-all-mem-tables", &bytes) != 0)
		bytes = 0;
	return (bytes + ahead_bytes(x->ahead));
}

static void
layer_put_meta(struct index_layer *l, const char *name, uint64_t value)
{
	struct buf key = BUF_INIT;
	uint8_t bytes[8];

	key_meta(&key, name);
	put_u64(bytes, value);
	index_put(l, buf_slice(&key), SLICE(bytes, 8));
	buf_release(&key);
}

/* What ahead and the database may have. */
static void
filter_add_rows(struct index_filter *f, const struct index_layer *rows)
{
	const struct layer_entry *entry;

	for (entry = layer_seek(rows, SLICE_NONE, false); entry != NULL;
	    entry = layer_next(entry))
		if (!entry->deleted)
			filter_add(f, entry->key);
}

int
index_write(struct index *x, struct index_layer *layer, uint64_t applied, struct err *e)
{
	int rc;

	assert(applied >= x->applied);
	if (x->applied == 0)
		layer_put_meta(layer, "format", INDEX_FORMAT_VERSION);
	layer_put_meta(layer, "applied", applied);	/* I1 */
	if (x->filter != NULL)
		filter_add_rows(x->filter, layer);
	rc = ahead_add(x->ahead, layer, e);
	if (rc == 0)
		x->applied = applied;
	return (rc);
}

/* Of an index to which nothing was applied: there are a few rows that say whose it is. */
static int
filter_begin(struct index *x, struct err *e)
{
	struct index_reader r = { .index = x };
	struct index_iter *i = index_iter_new(&r, SLICE_NONE, SLICE_NONE);
	int rc;

	x->filter = filter_new();
	for (; index_iter_valid(i); index_iter_next(i))
		filter_add(x->filter, index_iter_key(i));
	rc = index_iter_error(i, e);
	index_iter_free(i);
	return (rc);
}

/*
 * Every compaction writes the lower level anew, as keys come in no order: while all of an index is
 * written they are few, of many tables. Who reads looks into more tables meanwhile, and the filter
 * says mostly that it need not.
 */
static int
compactions_set(struct index *x, bool bulk, struct err *e)
{
	static const char *const keys[] = { "level0_file_num_compaction_trigger",
	    "max_bytes_for_level_base" };
	const char *const rare[] = { "32", "1073741824" }, *const usual[] = { "4", "268435456" };
	char *message = NULL;

	rocksdb_set_options(x->db, 2, keys, bulk ? rare : usual, &message);
	if (message != NULL)
		return (index_error(e, "cannot set compactions of", x->directory, message));
	return (0);
}

int
index_bulk(struct index *x, bool on, struct err *e)
{
	int rc = 0;

	if (on && x->applied == 0)
		rc = filter_begin(x, e);
	if (!on)
		rc = ahead_drain(x->ahead, e);
	if (rc == 0 && !on && x->bulk)
		rc = gap_rows_save(x, e);	/* of what was replayed, which is durable */
	if (rc == 0 && !on && x->bulk)
		rc = database_flush(x, false, e);
	if (rc == 0 && x->filter != NULL)
		rc = compactions_set(x, on, e);
	ahead_bulk(x->ahead, on);
	x->bulk = on;
	if (!on) {
		filter_free(x->filter);
		x->filter = NULL;
		malloc_trim(0);		/* of parts, which were large */
	}
	return (rc);
}

int
index_flush(struct index *x, bool wait, struct err *e)
{
	int rc;

	if (!wait)
		return (ahead_flush_soon(x->ahead, e));
	rc = ahead_drain(x->ahead, e);
	return (rc == 0 ? database_flush(x, true, e) : rc);
}
