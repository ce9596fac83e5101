/*
 * index_rocksdb_iter - iterators, over layers and the database, around the gaps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_rocksdb_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"

/* Dead keys that were passed at a stretch, which make a gap. */
#define GAP_PASSED_MIN		64u

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

/* Chooses the stretch that i->from lies in, or the next one if it lies in a gap: true. */
static bool
iter_choose(struct index_iter *i)
{
	struct index *x = i->reader.index;
	const struct gap *g;
	bool around = false;

	buf_reset(&i->end);
	buf_reset(&i->past);
	buf_append_slice(&i->end, buf_slice(&i->upper));
	pthread_mutex_lock(&x->gaps_lock);
	g = gaps_find(&x->gaps, buf_slice(&i->from), i->write);
	if (g != NULL && slice_compare(buf_slice(&g->from), buf_slice(&i->from)) <= 0) {
		buf_reset(&i->from);
		buf_append_slice(&i->from, buf_slice(&g->to));
		around = true;
		g = gaps_find(&x->gaps, buf_slice(&i->from), i->write);
	}
	if (g != NULL && iter_below_upper(i, buf_slice(&g->from))) {
		buf_reset(&i->end);
		buf_append_slice(&i->end, buf_slice(&g->from));
		buf_append_slice(&i->past, buf_slice(&g->to));
	}
	pthread_mutex_unlock(&x->gaps_lock);
	return (around);
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
		bool around;

		iter_stretch_close(i);
		around = iter_choose(i);
		if (!iter_below_upper(i, buf_slice(&i->from)))
			return;
		iter_stretch_open(i);
		iter_step(i, true);
		if (rocksdb_iter_valid(i->db) || i->past.bytes == 0 || i->failure.code != 0)
			return;
		if (around)
			iter_note_gap(i);	/* between two: they are one */
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
	if (to.bytes == 0)
		key_gap(&i->upper, SLICE_NONE);
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

void
index_iter_probe(struct index *x, struct slice key, uint64_t passed_max)
{
	struct index_reader r = { .index = x };
	struct buf to = BUF_INIT;
	struct index_iter *i;

	key_after_prefix(&to, SLICE(key.data, 1));
	i = iter_new(&r, key, buf_slice(&to), passed_max);
	iter_db_seek(i);
	index_iter_free(i);
	buf_release(&to);
}
