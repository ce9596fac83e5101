/*
 * walk - reads the whole of the index without asking the store for each piece of it: the store
 * gives a checkpoint, which walkers share, and which nobody writes; it is opened with
 * libstore/index/index.h (index_open_read_only) by the process that walks, so that a walk costs the
 * store nothing and memory is bounded by that index's cache.
 *
 *   walk_begin ──► read ──► walk_keep (more often than lapse_ms) ──► read ──► walk_end
 *
 * For threads that wait (ask.h). A walk is consistent: everything in it is as of one moment, which
 * feed_cursor names; who must be current follows the feed from there. Who wants to go on later than
 * a walk lives keeps the last key that it dealt with, and begins another walk behind that key.
 *
 * ERR_STALE from walk_keep, or an error of reading after the store restarted: the checkpoint is
 * gone. ERR_BUSY from walk_begin: there are as many as there may be; allow an older one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_WALK_H
#define HF_OBJECT_WALK_H

#include "libobject/ask.h"
#include "libobject/feed.h"

#define WALK_ID_MAX 64

struct walk {
	char		directory[4096];
	uint64_t	lsn, lapse_ms, age_ms;
	uint8_t		feed_cursor[FEED_CURSOR_MAX];
	size_t		feed_cursor_bytes;
	uint8_t		id[WALK_ID_MAX];
	size_t		id_bytes;		/* 0: none is open */
};

/* max_age_ms: a checkpoint of others that is not older is good enough; 0: one that has everything
 * that was answered before. */
int walk_begin(struct ask *a, uint64_t max_age_ms, struct walk *out, struct err *e);
int walk_keep(struct ask *a, const struct walk *w, struct err *e);
/* Harmless if none is open. */
void walk_end(struct ask *a, struct walk *w);

#endif
