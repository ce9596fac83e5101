/*
 * index - ordered keys and values, rebuildable from the log. index_rocksdb_internal.h is
 * the wall around RocksDB.
 *
 * I1  A layer written with index_write, and the LSN it applied, reach the disk together or not at
 *     all.
 * I2  No write-ahead log: after a crash the index is at some earlier applied LSN; the log is
 *     replayed.
 * I3  Keys are as in index_keys.h. Values are messages of log.proto, packed.
 *
 * tests/unit/index_memory.c has every function that libstore calls, too, for simulated histories.
 *
 * A reader looks through layers, newest first, then the database: the state with everything that is
 * pending. One thread writes; readers with layers are of that thread; others use snapshots only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_H
#define HF_STORE_INDEX_H

#include "libbase/buf.h"
#include "libbase/err.h"

struct index;
struct index_layer;
struct index_iter;

#define INDEX_LAYERS_MAX 8

/* ERR_CORRUPT or ERR_VERSION: the caller may index_destroy and rebuild. A missing directory is
 * made. */
int index_open(const char *directory, uint64_t cache_bytes, struct index **out, struct err *e);
/* flushes; a failure to flush costs a replay */
void index_close(struct index **x);
int index_destroy(const char *directory, struct err *e);
/* Whether there is one, in whatever state. */
bool index_there(const char *directory);
uint64_t index_applied(const struct index *x);		/* LSN; 0 for a new index */
uint64_t index_passed(const struct index *x);		/* dead keys that iterators had to pass */
/* Applies a layer, which is empty then, and notes the LSN. What it writes is collected in memory
 * and reaches the database in large pieces (index_ahead.h). Any error, maybe of an earlier piece,
 * is final for this handle: the store must restart. Where an earlier piece had no room
 * (index_failed: ERR_FULL) a few more stay in memory, so that what is under way comes to an end. */
int index_write(struct index *x, struct index_layer *layer, uint64_t applied, struct err *e);
/* Between on and off very many rows are written, as in a replay: they go to tables at once, and an
 * index that was empty knows which keys it cannot have. Off: they are in the database. */
int index_bulk(struct index *x, bool on, struct err *e);
/* Makes what was applied durable. wait: returns when it is; from any thread. */
int index_flush(struct index *x, bool wait, struct err *e);
/* Opens one that nobody writes, a checkpoint, to read it; no file of it changes. ERR_NOT_FOUND:
 * there is none. */
int index_open_read_only(const char *directory, uint64_t cache_bytes, struct index **out,
    struct err *e);
/* Readable when something failed in the background, maybe of an idle index; index_failed says what
 * (0: nothing did). Final, as an error of index_write. ERR_FULL: its file system has no room; what
 * was applied can be read, as ever, and is durable when an index is opened that has room. */
int index_failure_fd(const struct index *x);
int index_failed(struct index *x, struct err *e);
/* Bytes of what was applied and is in no table file, at the most: an index that is opened anew, and
 * brought up to the log, has to find room for them. */
uint64_t index_unwritten(struct index *x);
/* A consistent copy (hard links where possible) in a directory that must not exist; *applied is its
 * LSN. From any thread. */
int index_checkpoint(struct index *x, const char *directory, uint64_t *applied, struct err *e);

/* A set of changes, and what they look like over older ones. */
struct index_layer *index_layer_new(void);
void index_layer_free(struct index_layer *l);
void index_layer_clear(struct index_layer *l);
/* Key and value are copied. */
void index_put(struct index_layer *l, struct slice key, struct slice value);
/* The caller knows that a reader sees no row with this key: deleted soon enough, it leaves no
 * trace. */
void index_put_fresh(struct index_layer *l, struct slice key, struct slice value);
void index_delete(struct index_layer *l, struct slice key);
size_t index_layer_count(const struct index_layer *l);

struct index_reader {
	struct index		*index;
	struct index_layer	*layers[INDEX_LAYERS_MAX];	/* newest first */
	unsigned		 layer_count;
};

/* Replaces *out's content, by nothing if there is no such row. 0, ERR_NOT_FOUND, ERR_IO. */
int index_get(const struct index_reader *r, struct slice key, struct buf *out, struct err *e);
/* Many at once, which costs less than one after the other. each is called for every key, in order:
 * 0 with the value (borrowed), or ERR_NOT_FOUND. An error ends it. */
typedef void index_value_fn(void *context, size_t i, int code, struct slice value);
int index_get_many(const struct index_reader *r, size_t count, const struct slice *keys,
    index_value_fn *each, void *context, struct err *e);
/* Walks keys in [from, to); to SLICE_NONE: to the end of the database. Sees the state at its
 * making; of what is written later, it may see a part. */
struct index_iter *index_iter_new(const struct index_reader *r, struct slice from, struct slice to);
void index_iter_free(struct index_iter *i);
bool index_iter_valid(const struct index_iter *i);
void index_iter_next(struct index_iter *i);
void index_iter_seek(struct index_iter *i, struct slice key);	/* forward only */
struct slice index_iter_key(const struct index_iter *i);	/* borrowed until it moves */
struct slice index_iter_value(const struct index_iter *i);
/* 0 or ERR_IO: check at the end */
int index_iter_error(const struct index_iter *i, struct err *e);

#endif
