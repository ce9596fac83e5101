/*
 * feed - follows the changes of all objects and buckets: each is told once to each reader, those of
 * one key in their order.
 *
 * A cursor is opaque bytes that the reader keeps where it likes. Without one it begins now. Who has
 * fallen behind what the store keeps gets ERR_STALE and a cursor of now: it walks over everything
 * there is, and goes on from that cursor. Somebody who waits costs the store nothing but answers
 * to this process's changes meanwhile, which it keeps: so wait for seconds, not for minutes.
 *
 *   feed_open ──► feed_next ──► fn: entries, a new cursor ──► feed_next ──► ... ──► feed_close
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_FEED_H
#define HF_OBJECT_FEED_H

#include "libobject/object.h"

#define FEED_CURSOR_MAX	128

struct feed;

/* cursor: up to FEED_CURSOR_MAX bytes, copied; empty: from now on. Never NULL. */
struct feed *feed_open(struct objects *o, struct slice cursor);
void feed_close(struct feed **f);	/* fn will not come */
/* Where the reader is: to be kept once the entries before it were dealt with. Borrowed. */
struct slice feed_cursor(const struct feed *f);

/*
 * code 0: entries (borrowed until return), none if nothing happened for wait_ms; feed_cursor is
 * behind them. ERR_STALE: changes are missing, and feed_cursor is of now. ERR_INVALID, ERR_VERSION:
 * the cursor is none. ERR_UNAVAILABLE: the store is away; ask again.
 */
typedef void feed_fn(void *context, int code, Hf__FeedEntry *const *entries, size_t count,
    const struct err *e);
/* The next changes, at most max of them (0: as many as fit an answer). One at a time. fn never
 * comes from inside this call, and may call feed_next and feed_close. */
void feed_next(struct feed *f, uint32_t max, uint32_t wait_ms, feed_fn *fn, void *context);

#endif
