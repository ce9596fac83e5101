/*
 * index_memory - see index_memory.h. The rows are one index_layer; an iterator looks for the next
 * key in it and in the reader's layers each time that it moves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/index_memory.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/index/index_layer.h"

#define FLUSHES_KEPT 6

struct flush {
	struct index_layer	*rows;
	uint64_t		 applied;
};
struct index {
	struct index_layer	*rows;
	uint64_t		 applied;
};
struct index_iter {
	struct index_reader	 reader;
	struct buf		 upper;
	struct buf		 key, value;	/* what changes is let go of by the layer */
	bool			 valid, bounded;
};

static struct flush flushes[FLUSHES_KEPT];	/* the last is the newest */
static unsigned flush_count;
static bool crashing;

static struct index_layer *
rows_copy(const struct index_layer *from)
{
	struct index_layer *to = index_layer_new();
	const struct layer_entry *x;

	for (x = layer_seek(from, SLICE_NONE, false); x != NULL; x = layer_seek(from, x->key, true))
		if (!x->deleted)
			index_put(to, x->key, SLICE(x->value, x->value_bytes));
	return (to);
}

static void
flush_forget(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		index_layer_free(flushes[i].rows);
	memmove(&flushes[from], &flushes[to], (flush_count - to) * sizeof(flushes[0]));
	flush_count -= to - from;
}

void
index_memory_crash(bool on)
{
	crashing = on;
}

void
index_memory_go_back(unsigned n)
{
	if (n > flush_count)
		n = flush_count;
	flush_forget(flush_count - n, flush_count);
}

void
index_memory_remove(void)
{
	flush_forget(0, flush_count);
}

int
index_open(const char *directory, uint64_t cache_bytes, struct index **out, struct err *e)
{
	struct index *x = calloc(1, sizeof(*x));

	(void)directory;
	(void)cache_bytes;
	(void)e;
	assert(x != NULL);
	if (flush_count > 0) {
		x->rows = rows_copy(flushes[flush_count - 1].rows);
		x->applied = flushes[flush_count - 1].applied;
	} else
		x->rows = index_layer_new();
	*out = x;
	return (0);
}

void
index_close(struct index **xp)
{
	struct index *x = *xp;

	if (x == NULL)
		return;
	*xp = NULL;
	if (!crashing)
		(void)index_flush(x, true, NULL);
	index_layer_free(x->rows);
	free(x);
}

int
index_destroy(const char *directory, struct err *e)
{
	(void)directory;
	(void)e;
	index_memory_remove();
	return (0);
}

uint64_t
index_applied(const struct index *x)
{
	return (x->applied);
}

int
index_write(struct index *x, struct index_layer *layer, uint64_t applied, struct err *e)
{

	(void)e;
	layer_take(x->rows, layer);
	if (applied != 0)
		x->applied = applied;
	return (0);
}

int
index_bulk(struct index *x, bool on, struct err *e)
{
	(void)x;
	(void)on;
	(void)e;
	return (0);
}

int
index_flush(struct index *x, bool wait, struct err *e)
{
	(void)wait;
	(void)e;
	if (flush_count == FLUSHES_KEPT)
		flush_forget(0, 1);
	flushes[flush_count++] = (struct flush){ rows_copy(x->rows), x->applied };
	return (0);
}

int
index_checkpoint(struct index *x, const char *directory, uint64_t *applied, struct err *e)
{
	(void)x;
	(void)applied;
	return (err_set(e, ERR_INTERNAL, "%s: no copies of an index in memory", directory));
}

bool
index_there(const char *directory)
{
	(void)directory;
	return (flush_count > 0);
}

int
index_open_read_only(const char *directory, uint64_t cache_bytes, struct index **out,
    struct err *e)
{
	(void)cache_bytes;
	*out = NULL;
	return (err_set(e, ERR_NOT_FOUND, "%s: no copies of an index in memory", directory));
}

/* The first row with a key >= key (greater if after), as the reader sees it; deleted rows too. */
static const struct layer_entry *
row_seek(const struct index_reader *r, struct slice key, bool after)
{
	const struct layer_entry *best = NULL, *x;

	for (unsigned i = 0; i <= r->layer_count; i++) {
		x = layer_seek(i < r->layer_count ? r->layers[i] : r->index->rows, key, after);
		if (x != NULL && (best == NULL || slice_compare(x->key, best->key) < 0))
			best = x;	/* of equal keys the newest layer's stays */
	}
	return (best);
}

int
index_get(const struct index_reader *r, struct slice key, struct buf *out, struct err *e)
{
	const struct layer_entry *x = row_seek(r, key, false);

	buf_reset(out);
	if (x == NULL || x->deleted || !slice_equal(x->key, key))
		return (err_set(e, ERR_NOT_FOUND, "no such row"));
	buf_append(out, x->value, x->value_bytes);
	return (0);
}

int
index_get_many(const struct index_reader *r, size_t count, const struct slice *keys,
    index_value_fn *each, void *context, struct err *e)
{
	struct buf value = BUF_INIT;
	int rc;

	for (size_t i = 0; i < count; i++) {
		rc = index_get(r, keys[i], &value, e);
		each(context, i, rc, rc == 0 ? buf_slice(&value) : SLICE_NONE);
	}
	buf_release(&value);
	return (0);
}

/* Goes to the first row that is there, from key on. */
static void
iter_settle(struct index_iter *i, struct slice key, bool after)
{
	const struct layer_entry *x = row_seek(&i->reader, key, after);

	while (x != NULL && x->deleted)
		x = row_seek(&i->reader, x->key, true);
	if (x != NULL && i->bounded && slice_compare(x->key, buf_slice(&i->upper)) >= 0)
		x = NULL;
	i->valid = x != NULL;
	if (x == NULL)
		return;
	buf_reset(&i->key);
	buf_append_slice(&i->key, x->key);
	buf_reset(&i->value);
	buf_append(&i->value, x->value, x->value_bytes);
}

struct index_iter *
index_iter_new(const struct index_reader *r, struct slice from, struct slice to)
{
	struct index_iter *i = calloc(1, sizeof(*i));

	assert(i != NULL);
	i->reader = *r;
	i->bounded = to.data != NULL;
	buf_append(&i->upper, to.data, to.bytes);
	iter_settle(i, from, false);
	return (i);
}

void
index_iter_free(struct index_iter *i)
{
	if (i == NULL)
		return;
	buf_release(&i->upper);
	buf_release(&i->key);
	buf_release(&i->value);
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
	struct buf from = BUF_INIT;

	buf_append_slice(&from, buf_slice(&i->key));
	iter_settle(i, buf_slice(&from), true);
	buf_release(&from);
}

void
index_iter_seek(struct index_iter *i, struct slice key)
{
	if (i->valid && slice_compare(buf_slice(&i->key), key) < 0)
		iter_settle(i, key, false);
}

struct slice
index_iter_key(const struct index_iter *i)
{
	return (buf_slice(&i->key));
}

struct slice
index_iter_value(const struct index_iter *i)
{
	return (buf_slice(&i->value));
}

int
index_iter_error(const struct index_iter *i, struct err *e)
{
	(void)i;
	(void)e;
	return (0);
}
