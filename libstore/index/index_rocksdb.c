/*
 * index_rocksdb - the wall around RocksDB: ordered keys and values without a write-ahead log.
 *
 * One column family, because through the C API a flush over several is not atomic. What is applied
 * is collected first (index_ahead.h); a write of it is one batch that also holds the applied LSN,
 * so both reach the disk together (I1). Every error of a write is final: RocksDB's own state after
 * it is not to be trusted, and the log can rebuild everything.
 *
 * No timers of RocksDB run (statistics dumps are off): an idle store stays idle.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index.h"

#include <assert.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/file.h"
#include "libstore/index/index_ahead.h"
#include "libstore/index/index_filter.h"
#include "libstore/index/index_gaps.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/index_layer.h"

#define WRITE_BUFFER_BYTES	(32u * 1024 * 1024)
#define BLOCK_BYTES		(8u * 1024)
#define OPEN_FILES_MAX		256
#define BLOOM_BITS		10.0
#define INDEX_MANY		256
#define CHECKPOINT_CACHE	(1u << 20)
#define CACHE_PART_BITS		2
/* kXXH3 of RocksDB: its crc32c is slow where it was built without the instruction. */
#define CHECKSUM_XXH3		4
/* Deletes in tables that are listed: so many in memory are flushed, so that they are compacted. */
#define DELETES_MAX		100000u
#define DELETES_WINDOW		4096u		/* a table file with */
#define DELETES_DENSE		1024u		/* so many in so many rows is compacted */
/*
 * Dead keys that were passed at a stretch, which make a gap. One in so many deletes of listed rows
 * is where one is looked for, at once and so many looks later; and what such a look may cost.
 */
#define GAP_PASSED_MIN		64u
#define PROBE_EVERY		128u
#define PROBES_MAX		1024u		/* in one write */
#define PROBES_LATER		16u
#define PROBE_PASSED_MAX	8192u

struct index {
	rocksdb_t				*db;
	rocksdb_column_family_handle_t		*family;	/* the only one */
	rocksdb_options_t			*options;
	rocksdb_block_based_table_options_t	*table_options;
	rocksdb_cache_t				*cache;
	rocksdb_writeoptions_t			*write_options;
	rocksdb_readoptions_t			*read_options;
	rocksdb_writebatch_t			*batch;		/* reused */
	char					*directory;
	struct index_ahead			*ahead;
	_Atomic bool				 bulk;
	/* in bulk, of an empty one; or NULL */
	struct index_filter			*filter;
	uint64_t				 applied;
	/* of listed rows, since the last flush */
	_Atomic unsigned			 deletes;
	_Atomic bool				 dirty;		/* written since the last flush */
	pthread_mutex_t				 gaps_lock;
	struct index_gaps			 gaps;
	uint64_t				 write;	/* the last one; odd while it goes on */
	_Atomic uint64_t			 passed;	/* dead keys, by iterators */
	unsigned				 unprobed;	/* deletes of listed rows */
	struct buf				 later[PROBES_LATER];	/* a ring of keys */
	unsigned				 later_next;
};

/*
 * An iterator of RocksDB stands for a stretch between two gaps; where it ends, another goes on
 * behind the gap, on the same snapshot.
 */
struct index_iter {
	struct index_reader	 reader;
	struct ahead_view	 ahead;
	struct layer_cursor	 layers[INDEX_LAYERS_MAX + AHEAD_PARTS];	/* newest first */
	unsigned		 layer_count;
	rocksdb_readoptions_t	*options;
	rocksdb_iterator_t	*db;
	const rocksdb_snapshot_t *snapshot;	/* NULL while one stretch is enough */
	rocksdb_perfcontext_t	*counts;	/* of this thread */
	uint64_t		 write;		/* its state has this one */
	uint64_t		 passed_max;	/* in one step; 0: any number */
	struct buf		 at;		/* the current key, once valid */
	struct buf		 value;
	struct buf		 upper;
	struct buf		 end, past;	/* of the stretch; of the gap behind it, if any */
	struct buf		 from;		/* db was sent to the first key from here on */
	bool			 valid;
	struct err		 failure;	/* the first one: rows may be missing since */
};

static ahead_write_fn database_write;
/* Of the database alone. passed_max: it ends with an error where a step would pass more dead keys;
 * 0: any number. */
static struct index_iter *iter_new(const struct index_reader *r, struct slice from, struct slice to,
    uint64_t passed_max);
static void iter_db_seek(struct index_iter *i);

/* Takes RocksDB's message into e. Mentions of corruption are told apart: the caller may rebuild. */
static int
index_error(struct err *e, const char *what, const char *directory, char *message)
{
	int code = strstr(message, "orruption") != NULL || strstr(message, "checksum") != NULL ?
	    ERR_CORRUPT : ERR_IO;

	err_set(e, code, "%s index %s: %s", what, directory, message);
	rocksdb_free(message);
	return (code);
}

/* Few parts: one thread reads nearly always, and a part must hold the largest block. */
static rocksdb_cache_t *
cache_new(uint64_t bytes)
{
	rocksdb_lru_cache_options_t *o = rocksdb_lru_cache_options_create();
	rocksdb_cache_t *cache;

	rocksdb_lru_cache_options_set_capacity(o, bytes);
	rocksdb_lru_cache_options_set_num_shard_bits(o, CACHE_PART_BITS);
	cache = rocksdb_cache_create_lru_opts(o);
	rocksdb_lru_cache_options_destroy(o);
	return (cache);
}

static void
index_options_new(struct index *x, uint64_t cache_bytes)
{
	x->options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(x->options, 1);
	rocksdb_options_set_write_buffer_size(x->options, WRITE_BUFFER_BYTES);
	rocksdb_options_set_max_write_buffer_number(x->options, 3);
	rocksdb_options_set_max_open_files(x->options, OPEN_FILES_MAX);
	rocksdb_options_set_max_background_jobs(x->options, 2);
	/* Most keys that are asked for in memory are not there: a put of a new object. */
	rocksdb_options_set_memtable_whole_key_filtering(x->options, 1);
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(x->options, 0.05);
	/*
	 * Pages are read behind whatever was deleted in front of them. Compactions may fall behind
	 * for a while: reads become slower then, and writes, which the loop waits for, do not stop.
	 */
	rocksdb_options_add_compact_on_deletion_collector_factory(x->options, DELETES_WINDOW,
	    DELETES_DENSE);
	rocksdb_options_set_level0_slowdown_writes_trigger(x->options, 64);
	rocksdb_options_set_level0_stop_writes_trigger(x->options, 128);
	rocksdb_options_set_soft_pending_compaction_bytes_limit(x->options, UINT64_C(1) << 40);
	rocksdb_options_set_hard_pending_compaction_bytes_limit(x->options, UINT64_C(1) << 40);
	rocksdb_options_set_compression(x->options, rocksdb_lz4_compression);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(x->options, 1);
	rocksdb_options_set_stats_dump_period_sec(x->options, 0);
	rocksdb_options_set_stats_persist_period_sec(x->options, 0);
	rocksdb_options_set_max_log_file_size(x->options, 1024 * 1024);
	rocksdb_options_set_keep_log_file_num(x->options, 2);
	rocksdb_options_set_info_log_level(x->options, 2);	/* warnings */

	x->table_options = rocksdb_block_based_options_create();
	x->cache = cache_new(cache_bytes);
	rocksdb_block_based_options_set_block_cache(x->table_options, x->cache);
	rocksdb_block_based_options_set_block_size(x->table_options, BLOCK_BYTES);
	rocksdb_block_based_options_set_checksum(x->table_options, CHECKSUM_XXH3);
	rocksdb_block_based_options_set_format_version(x->table_options, 5);
	/*
	 * Indexes and filters of tables are kept in the cache, in pieces of a block's size: whole
	 * ones of many keys do not fit a part of the cache, and would be read anew for every get.
	 */
	rocksdb_block_based_options_set_index_type(x->table_options,
	    rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(x->table_options, 1);
	rocksdb_block_based_options_set_metadata_block_size(x->table_options, BLOCK_BYTES);
	rocksdb_block_based_options_set_pin_top_level_index_and_filter(x->table_options, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(x->table_options, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(
	    x->table_options, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(x->table_options,
	    1);
	rocksdb_block_based_options_set_filter_policy(x->table_options,
	    rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_options_set_block_based_table_factory(x->options, x->table_options);

	x->write_options = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(x->write_options, 1);
	x->read_options = rocksdb_readoptions_create();
	x->batch = rocksdb_writebatch_create();
	pthread_mutex_init(&x->gaps_lock, NULL);
	x->ahead = ahead_new(database_write, x);
}

static void
index_free(struct index *x)
{
	ahead_free(x->ahead);
	filter_free(x->filter);
	if (x->family != NULL)
		rocksdb_column_family_handle_destroy(x->family);
	if (x->db != NULL)
		rocksdb_close(x->db);
	rocksdb_writebatch_destroy(x->batch);
	rocksdb_readoptions_destroy(x->read_options);
	rocksdb_writeoptions_destroy(x->write_options);
	rocksdb_block_based_options_destroy(x->table_options);
	rocksdb_options_destroy(x->options);
	rocksdb_cache_destroy(x->cache);
	gaps_release(&x->gaps);
	for (unsigned i = 0; i < PROBES_LATER; i++)
		buf_release(&x->later[i]);
	pthread_mutex_destroy(&x->gaps_lock);
	free(x->directory);
	free(x);
}

/* Reads a u64 of the meta table; *out is 0 if it is not there. */
static int
index_meta_get(struct index *x, const char *name, uint64_t *out, struct err *e)
{
	struct index_reader r = { .index = x };
	struct buf key = BUF_INIT, value = BUF_INIT;
	int rc;

	*out = 0;
	key_meta(&key, name);
	rc = index_get(&r, buf_slice(&key), &value, e);
	if (rc == ERR_NOT_FOUND)
		rc = 0;
	else if (rc == 0 && value.bytes != 8)
		rc = err_set(e, ERR_CORRUPT, "index %s: meta value %s has %zu bytes, not 8",
		    x->directory, name, value.bytes);
	else if (rc == 0)
		*out = get_u64(value.data);
	buf_release(&key);
	buf_release(&value);
	return (rc);
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

static int
index_check_format(struct index *x, struct err *e)
{
	uint64_t version;
	int rc;

	rc = index_meta_get(x, "format", &version, e);
	if (rc == 0)
		rc = index_meta_get(x, "applied", &x->applied, e);
	if (rc < 0)
		return (rc);
	if (version == 0 && x->applied != 0)
		return (err_set(e, ERR_CORRUPT, "index %s has no format version", x->directory));
	if (version != 0 && version != INDEX_FORMAT_VERSION)
		return (err_set(e, ERR_VERSION, "index %s has format %llu; this program knows %d",
		    x->directory, (unsigned long long)version, INDEX_FORMAT_VERSION));
	return (0);
}

static struct index *
index_new(const char *directory, uint64_t cache_bytes)
{
	struct index *x = calloc(1, sizeof(*x));

	if (x == NULL || (x->directory = strdup(directory)) == NULL)
		abort();
	index_options_new(x, cache_bytes);
	return (x);
}

/* The database is open, or message says why not. */
static int
index_opened(struct index *x, char *message, struct index **out, struct err *e)
{
	int rc;

	if (message != NULL)
		rc = index_error(e, "cannot open", x->directory, message);
	else
		rc = index_check_format(x, e);
	if (rc < 0) {
		index_free(x);
		return (rc);
	}
	*out = x;
	return (0);
}

int
index_open(const char *directory, uint64_t cache_bytes, struct index **out, struct err *e)
{
	struct index *x;
	char *message = NULL;
	int rc;

	*out = NULL;
	rc = directory_make(directory, 0700, e);
	if (rc < 0)
		return (err_prefix(e, "cannot make the index directory"));
	x = index_new(directory, cache_bytes);
	x->db = rocksdb_open_column_families(x->options, directory, 1,
	    (const char *const[]){ "default" }, (const rocksdb_options_t *const[]){ x->options },
	    &x->family, &message);
	return (index_opened(x, message, out, e));
}

bool
index_there(const char *directory)
{
	char path[4200];

	snprintf(path, sizeof(path), "%.4095s/CURRENT", directory);
	return (access(path, F_OK) == 0);
}

int
index_open_read_only(const char *directory, uint64_t cache_bytes, struct index **out,
    struct err *e)
{
	struct index *x;
	char *message = NULL;

	*out = NULL;
	if (!index_there(directory))
		return (err_set(e, ERR_NOT_FOUND, "there is no index in %s", directory));
	x = index_new(directory, cache_bytes);
	rocksdb_options_set_create_if_missing(x->options, 0);
	x->db = rocksdb_open_for_read_only_column_families(x->options, directory, 1,
	    (const char *const[]){ "default" }, (const rocksdb_options_t *const[]){ x->options },
	    &x->family, false, &message);
	return (index_opened(x, message, out, e));
}

void
index_close(struct index **x)
{
	struct err e;

	if (*x == NULL)
		return;
	/* A failure costs a replay of the log at the next start, nothing else. */
	(void)index_flush(*x, true, &e);
	index_free(*x);
	*x = NULL;
}

int
index_destroy(const char *directory, struct err *e)
{
	rocksdb_options_t *options = rocksdb_options_create();
	char *message = NULL;
	int rc = 0;

	rocksdb_destroy_db(options, directory, &message);
	if (message != NULL)
		rc = index_error(e, "cannot remove", directory, message);
	rocksdb_options_destroy(options);
	return (rc);
}

uint64_t
index_applied(const struct index *x)
{
	return (x->applied);
}

uint64_t
index_passed(const struct index *x)
{
	return (x->passed);
}

/* Objects, versions, uploads. */
static bool
row_is_listed(struct slice key)
{
	const char table = key.bytes > 0 ? *(const char *)key.data : 0;

	return (table == 'O' || table == 'V' || table == 'U');
}

/* Keys whose surroundings may have become a gap, in their order. */
struct probes {
	struct slice	keys[PROBES_MAX];
	unsigned	count;
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

/* From here on to write_end what lives is no longer what any snapshot has. */
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
	pthread_mutex_unlock(&x->gaps_lock);
}

static void
write_end(struct index *x, const struct index_layer *layer)
{
	const struct layer_entry *entry;

	pthread_mutex_lock(&x->gaps_lock);
	x->write++;
	if (x->gaps.count > 0)
		for (entry = layer_seek(layer, SLICE_NONE, false); entry != NULL;
		    entry = layer_next(entry))
			if (entry->deleted)
				gaps_delete(&x->gaps, entry->key, x->write);
	pthread_mutex_unlock(&x->gaps_lock);
}

/* Looks for the next key that lives behind one: what is passed on the way becomes a gap. */
static void
probe(struct index *x, struct slice key)
{
	struct index_reader r = { .index = x };
	struct buf to = BUF_INIT;
	struct index_iter *i;

	key_after_prefix(&to, SLICE(key.data, 1));
	i = iter_new(&r, key, buf_slice(&to), PROBE_PASSED_MAX);
	iter_db_seek(i);
	index_iter_free(i);
	buf_release(&to);
}

/*
 * At once, from the last to the first, so that each look ends at the gap of the one before: that is
 * for many deletes in one write, or from the end to the start. And again later, for those one by
 * one towards the end, which lie behind a key only then.
 */
static void
probe_all(struct index *x, const struct probes *probes)
{
	for (unsigned n = probes->count; n > 0; n--) {
		struct buf *later = &x->later[x->later_next];

		probe(x, probes->keys[n - 1]);
		if (later->bytes > 0)
			probe(x, buf_slice(later));
		buf_reset(later);
		buf_append_slice(later, probes->keys[n - 1]);
		x->later_next = (x->later_next + 1) % PROBES_LATER;
	}
}

static int
database_flush(struct index *x, bool wait, struct err *e)
{
	rocksdb_flushoptions_t *options;
	char *message = NULL;

	if (!x->dirty)
		return (0);
	x->deletes = 0;
	if (wait)
		x->dirty = false;	/* what is written from here on is not flushed */
	options = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(options, wait);
	rocksdb_flush(x->db, options, &message);
	rocksdb_flushoptions_destroy(options);
	if (message == NULL)
		return (0);
	x->dirty = true;
	return (index_error(e, "cannot flush", x->directory, message));
}

static void
rows_to_batch(struct index *x, const struct index_layer *rows, struct probes *probes)
{
	const struct layer_entry *entry;

	rocksdb_writebatch_clear(x->batch);
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
		if (x->filter != NULL)
			filter_add(x->filter, entry->key);
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
	if (*message == NULL)
		rocksdb_sstfilewriter_finish(table, message);
	write_begin(x, rows);
	if (*message == NULL)
		rocksdb_ingest_external_file(x->db, &name, 1, o, message);
	(void)unlink(name);
	rocksdb_ingestexternalfileoptions_destroy(o);
	rocksdb_sstfilewriter_destroy(table);
	rocksdb_envoptions_destroy(env);
	buf_release(&path);
}

static int
rows_write(struct index *x, const struct index_layer *rows, struct err *e)
{
	struct probes probes = { .count = 0 };
	bool bulk = x->bulk;		/* may change meanwhile */
	char *message = NULL;

	if (bulk) {
		table_write(x, rows, &probes, &message);
	} else {
		rows_to_batch(x, rows, &probes);
		write_begin(x, rows);
		rocksdb_write(x->db, x->write_options, x->batch, &message);
		rocksdb_writebatch_clear(x->batch);
	}
	if (message != NULL)
		return (index_error(e, "cannot write", x->directory, message));
	write_end(x, rows);
	x->dirty |= !bulk;
	probe_all(x, &probes);
	return (0);
}

static int
database_write(void *context, const struct index_layer *rows, bool flush, struct err *e)
{
	struct index *x = context;
	int rc = 0;

	if (rows != NULL)
		rc = rows_write(x, rows, e);
	if (rc == 0 && (flush || x->deletes >= DELETES_MAX))
		rc = database_flush(x, false, e);
	return (rc);
}

int
index_write(struct index *x, struct index_layer *layer, uint64_t applied, struct err *e)
{
	int rc;

	assert(applied >= x->applied);
	if (x->applied == 0)
		layer_put_meta(layer, "format", INDEX_FORMAT_VERSION);
	layer_put_meta(layer, "applied", applied);	/* I1 */
	rc = ahead_add(x->ahead, layer, e);
	if (rc == 0)
		x->applied = applied;
	return (rc);
}

static bool
database_empty(struct index *x)
{
	rocksdb_iterator_t *i = rocksdb_create_iterator(x->db, x->read_options);
	bool empty;

	rocksdb_iter_seek_to_first(i);
	empty = !rocksdb_iter_valid(i);
	rocksdb_iter_destroy(i);
	return (empty);
}

int
index_bulk(struct index *x, bool on, struct err *e)
{
	int rc = 0;

	if (on && x->applied == 0 && database_empty(x))
		x->filter = filter_new();
	if (!on)
		rc = ahead_drain(x->ahead, e);
	ahead_bulk(x->ahead, on);
	x->bulk = on;
	if (!on) {
		filter_free(x->filter);
		x->filter = NULL;
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

int
index_checkpoint(struct index *x, const char *directory, uint64_t *applied, struct err *e)
{
	rocksdb_checkpoint_t *checkpoint;
	struct index *copy = NULL;
	char *message = NULL;
	int rc;

	rc = ahead_drain(x->ahead, e);
	if (rc < 0)
		return (rc);
	checkpoint = rocksdb_checkpoint_object_create(x->db, &message);
	if (message == NULL) {
		rocksdb_checkpoint_create(checkpoint, directory, 0, &message);
		rocksdb_checkpoint_object_destroy(checkpoint);
	}
	if (message != NULL)
		return (index_error(e, "cannot copy", x->directory, message));
	/* Batches may have been written meanwhile: only the copy knows what it has. */
	rc = index_open_read_only(directory, CHECKPOINT_CACHE, &copy, e);
	if (rc == 0)
		*applied = index_applied(copy);
	index_close(&copy);
	return (rc);
}

int
index_get(const struct index_reader *r, struct slice key, struct buf *out, struct err *e)
{
	const struct layer_entry *entry;
	rocksdb_pinnableslice_t *pinned;
	const char *value;
	char *message = NULL;
	size_t bytes;
	unsigned i;
	int found;

	assert(r->layer_count <= INDEX_LAYERS_MAX);
	buf_reset(out);
	for (i = 0; i < r->layer_count; i++) {
		entry = layer_find(r->layers[i], key);
		if (entry == NULL)
			continue;
		if (entry->deleted)
			return (err_set(e, ERR_NOT_FOUND, "no such key in the index"));
		buf_append(out, entry->value, entry->value_bytes);
		return (0);
	}
	found = ahead_get(r->index->ahead, key, out);
	if (found == AHEAD_DELETED)
		return (err_set(e, ERR_NOT_FOUND, "no such key in the index"));
	if (found == AHEAD_FOUND)
		return (0);
	if (r->index->filter != NULL && !filter_may_have(r->index->filter, key))
		return (err_set(e, ERR_NOT_FOUND, "no such key in the index"));
	pinned = rocksdb_get_pinned(r->index->db, r->index->read_options, key.data, key.bytes,
	    &message);
	if (message != NULL)
		return (index_error(e, "cannot read", r->index->directory, message));
	if (pinned == NULL)
		return (err_set(e, ERR_NOT_FOUND, "no such key in the index"));
	value = rocksdb_pinnableslice_value(pinned, &bytes);
	buf_append(out, value, bytes);
	rocksdb_pinnableslice_destroy(pinned);
	return (0);
}

/* A group of keys: those that ahead has not are asked of the database together. */
struct many {
	int			 found[INDEX_MANY];	/* AHEAD_ */
	size_t			 ends[INDEX_MANY];	/* of values from ahead */
	struct buf		 values;
	const char		*key[INDEX_MANY];
	size_t			 key_bytes[INDEX_MANY];
	rocksdb_pinnableslice_t	*value[INDEX_MANY];
	char			*message[INDEX_MANY];
	unsigned		 asked;
};

static void
many_ask(const struct index *x, struct many *m, size_t count, const struct slice *keys)
{
	m->asked = 0;
	buf_reset(&m->values);
	for (size_t i = 0; i < count; i++) {
		m->found[i] = ahead_get(x->ahead, keys[i], &m->values);
		m->ends[i] = m->values.bytes;
		if (m->found[i] != AHEAD_ABSENT)
			continue;
		m->key[m->asked] = keys[i].data;
		m->key_bytes[m->asked++] = keys[i].bytes;
	}
	memset(m->value, 0, m->asked * sizeof(*m->value));
	memset(m->message, 0, m->asked * sizeof(*m->message));
	if (m->asked > 0)
		rocksdb_batched_multi_get_cf(x->db, x->read_options, x->family, m->asked, m->key,
		    m->key_bytes, m->value, m->message, false);
}

/* Tells of an answer of the database. */
static int
many_answer(const struct index *x, const struct many *m, unsigned at, size_t number,
    index_value_fn *each, void *context, struct err *e)
{
	const char *value;
	size_t bytes;

	if (m->message[at] != NULL)
		return (index_error(e, "cannot read", x->directory, m->message[at]));
	if (m->value[at] == NULL) {
		each(context, number, ERR_NOT_FOUND, SLICE_NONE);
		return (0);
	}
	value = rocksdb_pinnableslice_value(m->value[at], &bytes);
	each(context, number, 0, SLICE(value, bytes));
	return (0);
}

static int
many_get(const struct index *x, struct many *m, size_t first, size_t count,
    const struct slice *keys, index_value_fn *each, void *context, struct err *e)
{
	unsigned at = 0;
	size_t from = 0;
	int rc = 0;

	many_ask(x, m, count, keys);
	for (size_t i = 0; rc == 0 && i < count; from = m->ends[i++]) {
		if (m->found[i] == AHEAD_ABSENT)
			rc = many_answer(x, m, at++, first + i, each, context, e);
		else if (m->found[i] == AHEAD_DELETED)
			each(context, first + i, ERR_NOT_FOUND, SLICE_NONE);
		else
			each(context, first + i, 0, SLICE(m->values.data + from,
			    m->ends[i] - from));
	}
	for (unsigned i = 0; i < m->asked; i++) {
		if (m->value[i] != NULL)
			rocksdb_pinnableslice_destroy(m->value[i]);
		if (i >= at && m->message[i] != NULL)
			rocksdb_free(m->message[i]);
	}
	return (rc);
}

int
index_get_many(const struct index_reader *r, size_t count, const struct slice *keys,
    index_value_fn *each, void *context, struct err *e)
{
	struct many m = { .values = BUF_INIT };
	int rc = 0;

	assert(r->layer_count == 0);	/* readers of pending state ask for one key at a time */
	for (size_t i = 0, n; rc == 0 && i < count; i += n) {
		n = count - i < INDEX_MANY ? count - i : INDEX_MANY;
		rc = many_get(r->index, &m, i, n, keys + i, each, context, e);
	}
	buf_release(&m.values);
	return (rc);
}

/* --- iteration -------------------------------------------------------------------------------- */

static bool
iter_below_upper(const struct index_iter *i, struct slice key)
{
	return (i->upper.bytes == 0 || slice_compare(key, buf_slice(&i->upper)) < 0);
}

static bool
iter_db_valid(const struct index_iter *i)
{
	return (i->db != NULL && rocksdb_iter_valid(i->db));
}

static struct slice
iter_db_key(const struct index_iter *i)
{
	size_t bytes;
	const char *key = rocksdb_iter_key(i->db, &bytes);

	return (SLICE(key, bytes));
}

/* Dead keys that this thread has passed up to now. */
static uint64_t
iter_passed(const struct index_iter *i)
{
	return (rocksdb_perfcontext_metric(i->counts, rocksdb_internal_delete_skipped_count));
}

/* From i->from to where db stands nothing lives, as long as nothing was written since (N2). */
static void
iter_note_gap(struct index_iter *i)
{
	struct index *x = i->reader.index;
	struct slice to = buf_slice(&i->end);

	if (i->failure.code != 0)
		return;
	if (rocksdb_iter_valid(i->db))
		to = iter_db_key(i);
	pthread_mutex_lock(&x->gaps_lock);
	if (to.bytes > 0 && i->write == x->write && i->write % 2 == 0)
		gaps_add(&x->gaps, buf_slice(&i->from), to, i->write);
	pthread_mutex_unlock(&x->gaps_lock);
}

/* RocksDB forgets an error at the next seek; whoever seeks on has missed rows all the same. */
static void
iter_note_failure(struct index_iter *i)
{
	char *message = NULL;

	rocksdb_iter_get_error(i->db, &message);
	if (message == NULL)
		return;
	if (i->failure.code == 0)
		(void)index_error(&i->failure, "cannot read", i->reader.index->directory, message);
	else
		rocksdb_free(message);
}

/* One step of db: to the first key from i->from on. */
static void
iter_step(struct index_iter *i, bool seek)
{
	uint64_t before = iter_passed(i), passed;

	if (seek)
		rocksdb_iter_seek(i->db, (const char *)i->from.data, i->from.bytes);
	else
		rocksdb_iter_next(i->db);
	if (!rocksdb_iter_valid(i->db))
		iter_note_failure(i);
	passed = iter_passed(i) - before;
	if (passed == 0)
		return;
	atomic_fetch_add(&i->reader.index->passed, passed);
	if (passed >= GAP_PASSED_MIN)
		iter_note_gap(i);
}

/* Chooses the stretch that i->from lies in, or the next one if it lies in a gap. */
static void
iter_choose(struct index_iter *i)
{
	struct index *x = i->reader.index;
	const struct gap *g;

	buf_reset(&i->end);
	buf_reset(&i->past);
	buf_append_slice(&i->end, buf_slice(&i->upper));
	pthread_mutex_lock(&x->gaps_lock);
	g = gaps_find(&x->gaps, buf_slice(&i->from), i->write);
	if (g != NULL && slice_compare(buf_slice(&g->from), buf_slice(&i->from)) <= 0) {
		buf_reset(&i->from);
		buf_append_slice(&i->from, buf_slice(&g->to));
		g = gaps_find(&x->gaps, buf_slice(&i->from), i->write);
	}
	if (g != NULL && iter_below_upper(i, buf_slice(&g->from))) {
		buf_reset(&i->end);
		buf_append_slice(&i->end, buf_slice(&g->from));
		buf_append_slice(&i->past, buf_slice(&g->to));
	}
	pthread_mutex_unlock(&x->gaps_lock);
}

static void
iter_stretch_close(struct index_iter *i)
{
	if (i->db == NULL)
		return;
	rocksdb_iter_destroy(i->db);
	rocksdb_readoptions_destroy(i->options);
	i->db = NULL;
	i->options = NULL;
}

static void
iter_stretch_open(struct index_iter *i)
{
	struct index *x = i->reader.index;

	/* Whoever needs a second stretch must see there what it saw in the first. */
	if (i->past.bytes > 0 && i->snapshot == NULL)
		i->snapshot = rocksdb_create_snapshot(x->db);
	i->options = rocksdb_readoptions_create();
	if (i->snapshot != NULL)
		rocksdb_readoptions_set_snapshot(i->options, i->snapshot);
	if (i->passed_max > 0)
		rocksdb_readoptions_set_max_skippable_internal_keys(i->options, i->passed_max);
	if (i->end.bytes > 0)
		rocksdb_readoptions_set_iterate_upper_bound(i->options, (const char *)i->end.data,
		    i->end.bytes);
	i->db = rocksdb_create_iterator(x->db, i->options);
}

/* To the first key of the database from i->from on, whatever the stretch. */
static void
iter_db_seek(struct index_iter *i)
{
	for (;;) {
		iter_stretch_close(i);
		iter_choose(i);
		if (!iter_below_upper(i, buf_slice(&i->from)))
			return;
		iter_stretch_open(i);
		iter_step(i, true);
		if (rocksdb_iter_valid(i->db) || i->past.bytes == 0 || i->failure.code != 0)
			return;
		buf_reset(&i->from);
		buf_append_slice(&i->from, buf_slice(&i->past));
	}
}

/* One step, and on behind the gap if the stretch has nothing more. */
static void
iter_db_step(struct index_iter *i, bool seek)
{
	iter_step(i, seek);
	if (rocksdb_iter_valid(i->db) || i->past.bytes == 0 || i->failure.code != 0)
		return;
	buf_reset(&i->from);
	buf_append_slice(&i->from, buf_slice(&i->past));
	iter_db_seek(i);
}

static void
iter_db_next(struct index_iter *i)
{
	buf_reset(&i->from);
	buf_append_slice(&i->from, iter_db_key(i));
	buf_append(&i->from, "", 1);
	iter_db_step(i, false);
}

/* Goes to the next key of the layers and the database. True: it is deleted, and not to be shown. */
static bool
iter_show(struct index_iter *i, bool after)
{
	const struct layer_entry *best = NULL, *entry;
	struct slice key, value;
	size_t bytes;

	for (unsigned n = 0; n < i->layer_count; n++) {
		entry = layer_cursor_seek(&i->layers[n], buf_slice(&i->at), after);
		if (entry != NULL && (best == NULL || slice_compare(entry->key, best->key) < 0))
			best = entry;
	}
	i->valid = false;
	if (iter_db_valid(i) && (best == NULL || slice_compare(iter_db_key(i), best->key) < 0)) {
		key = iter_db_key(i);
		value.data = rocksdb_iter_value(i->db, &bytes);
		value.bytes = bytes;
		best = NULL;
	} else if (best != NULL) {
		key = best->key;
		value = SLICE(best->value, best->value_bytes);
	} else {
		return (false);
	}
	i->valid = iter_below_upper(i, key);
	if (!i->valid)
		return (false);
	buf_reset(&i->at);
	buf_append_slice(&i->at, key);
	if (best != NULL && best->deleted)
		return (true);
	buf_reset(&i->value);
	buf_append_slice(&i->value, value);
	return (false);
}

/*
 * Settles on the least key >= `from' (> if after) that is not deleted, over the layers and the
 * database. The newest layer that has a key decides about it.
 */
static void
iter_settle(struct index_iter *i, bool after)
{
	bool deleted;

	do {
		while (iter_db_valid(i)) {
			int order = slice_compare(iter_db_key(i), buf_slice(&i->at));

			if (order > 0 || (order == 0 && !after))
				break;
			iter_db_next(i);
		}
		ahead_lock(i->reader.index->ahead);
		deleted = iter_show(i, after);
		ahead_unlock(i->reader.index->ahead);
		after = true;
	} while (deleted);
	if (i->failure.code != 0)
		i->valid = false;
}

static struct index_iter *
iter_new(const struct index_reader *r, struct slice from, struct slice to, uint64_t passed_max)
{
	struct index_iter *i = calloc(1, sizeof(*i));

	if (i == NULL)
		abort();
	assert(r->layer_count <= INDEX_LAYERS_MAX);
	i->reader = *r;
	i->passed_max = passed_max;
	rocksdb_set_perf_level(rocksdb_enable_count);
	i->counts = rocksdb_perfcontext_create();
	buf_append_slice(&i->upper, to);
	buf_append_slice(&i->at, from);
	buf_append_slice(&i->from, from);
	pthread_mutex_lock(&r->index->gaps_lock);
	i->write = r->index->write;
	pthread_mutex_unlock(&r->index->gaps_lock);
	return (i);
}

struct index_iter *
index_iter_new(const struct index_reader *r, struct slice from, struct slice to)
{
	struct index_iter *i = iter_new(r, from, to, 0);

	ahead_hold(r->index->ahead, &i->ahead);		/* before it looks at the database */
	for (unsigned n = 0; n < r->layer_count; n++)
		i->layers[i->layer_count++].layer = r->layers[n];
	for (unsigned n = 0; n < i->ahead.count; n++)
		i->layers[i->layer_count++].layer = ahead_rows(i->ahead.parts[n]);
	iter_db_seek(i);
	iter_settle(i, false);
	return (i);
}

void
index_iter_free(struct index_iter *i)
{
	if (i == NULL)
		return;
	iter_stretch_close(i);
	ahead_release(i->reader.index->ahead, &i->ahead);
	if (i->snapshot != NULL)
		rocksdb_release_snapshot(i->reader.index->db, i->snapshot);
	rocksdb_perfcontext_destroy(i->counts);
	buf_release(&i->at);
	buf_release(&i->value);
	buf_release(&i->upper);
	buf_release(&i->end);
	buf_release(&i->past);
	buf_release(&i->from);
	free(i);
}

bool
index_iter_valid(const struct index_iter *i)
{
	return (i->valid);
}

void
index_iter_next(struct index_iter *i)
{
	assert(i->valid);
	iter_settle(i, true);
}

void
index_iter_seek(struct index_iter *i, struct slice key)
{
	assert(slice_compare(key, buf_slice(&i->at)) >= 0);
	buf_reset(&i->at);
	buf_append_slice(&i->at, key);
	buf_reset(&i->from);
	buf_append_slice(&i->from, key);
	if (i->db == NULL || (i->past.bytes > 0 && slice_compare(key, buf_slice(&i->end)) >= 0))
		iter_db_seek(i);
	else
		iter_db_step(i, true);
	iter_settle(i, false);
}

struct slice
index_iter_key(const struct index_iter *i)
{
	assert(i->valid);
	return (buf_slice(&i->at));
}

struct slice
index_iter_value(const struct index_iter *i)
{
	assert(i->valid);
	return (buf_slice(&i->value));
}

int
index_iter_error(const struct index_iter *i, struct err *e)
{
	if (i->failure.code == 0)
		return (0);
	return (err_set(e, i->failure.code, "%s", i->failure.text));
}
