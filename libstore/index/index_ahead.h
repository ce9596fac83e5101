/*
 * index_ahead - rows that were applied and are not in the database yet. They are collected in
 * memory, and a thread brings them there in large sorted pieces: what died meanwhile never gets
 * there, and who applies rows does not wait for the database.
 *
 *   ahead_add ──► part that grows ──► part that is written ──► database
 *
 * A1  Parts reach the database whole and one after the other, and an ahead_add is in one part.
 * A2  A part is readable until it is in the database, and longer for who holds it: what was added
 *     is always seen, in a part or there.
 * A3  Only the newest part changes, by ahead_add, under the lock. Many reads after the last one
 *     make it go to the database, too, where they cost less.
 *
 * Any thread may call; ahead_add is for one at a time. After a failed write nothing is written any
 * more, and every call that adds or waits says why; but after ERR_FULL some more rows are taken,
 * and kept in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_AHEAD_H
#define HF_STORE_INDEX_AHEAD_H

#include "libstore/index/index.h"

struct index_ahead;
struct ahead_part;

#define AHEAD_PARTS	2

/* On ahead's thread. rows NULL: there are none. flush: what was written up to here is to be made
 * durable, which need not be waited for. Returns 1 if the database goes on with it by itself: then
 * it is asked again soon, without rows, whether that failed. */
typedef int ahead_write_fn(void *context, const struct index_layer *rows, bool flush,
    struct err *e);

struct index_ahead *ahead_new(ahead_write_fn *write, void *context);
/* What is not in the database is lost: ahead_drain comes before. */
void ahead_free(struct index_ahead *a);
/* Takes the entries of the layer. May wait, if rows come faster than the database takes them. */
int ahead_add(struct index_ahead *a, struct index_layer *rows, struct err *e);
/* Parts are larger while it is on. */
void ahead_bulk(struct index_ahead *a, bool on);
/* Readable when writing failed, and ahead_failed says why. */
int ahead_failure_fd(const struct index_ahead *a);
int ahead_failed(struct index_ahead *a, struct err *e);
/* Of memory: of what was added, and is not in the database. */
size_t ahead_bytes(struct index_ahead *a);
/* Asks for what was added to be written, and flushed. */
int ahead_flush_soon(struct index_ahead *a, struct err *e);
/* Returns when everything that was added before the call is in the database. */
int ahead_drain(struct index_ahead *a, struct err *e);

enum { AHEAD_ABSENT, AHEAD_FOUND, AHEAD_DELETED };
/* Appends the value to out. */
int ahead_get(struct index_ahead *a, struct slice key, struct buf *out);
/* The same, between ahead_lock and ahead_unlock. */
int ahead_find(struct index_ahead *a, struct slice key, struct buf *out);

/* For an iterator: parts with rows, newest first. They are held before it looks at the database. */
struct ahead_view {
	struct ahead_part	*parts[AHEAD_PARTS];
	unsigned		 count;
};
void ahead_hold(struct index_ahead *a, struct ahead_view *out);
void ahead_release(struct index_ahead *a, struct ahead_view *v);
/* Between these nothing is added, and entries of parts may be looked at. */
void ahead_lock(struct index_ahead *a);
void ahead_unlock(struct index_ahead *a);
const struct index_layer *ahead_rows(const struct ahead_part *p);

#endif
