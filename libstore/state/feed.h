/*
 * feed - the log as a feed of changes: where a reader is, and what comes after.
 *
 * F1  A cursor is opaque to its reader. It names its deployment and the last LSN that was told, and
 *     hints at where the next batch begins; a hint that is wrong costs a search, nothing else.
 * F2  What was told is not told again by that cursor, and nothing is left out: a cursor behind the
 *     horizon (a segment with records after it was dropped) is refused.
 * F3  Relocations are no changes. Changes of one key come in their order; no other is promised.
 * F4  Only the horizon makes a cursor stale. Files that went away under a read are those of a
 *     segment that was converted: the catalog is asked for its files again.
 *
 * Reading blocks, and touches nothing but the log's files: it is for the pool.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_FEED_H
#define HF_STORE_FEED_H

#include "libstore/log/log.h"
#include "schema/store.pb-c.h"

#define FEED_CURSOR_BYTES	45u
#define FEED_ENTRIES_MAX	1000u
#define FEED_BYTES_MAX		(1024u * 1024)	/* of entries in an answer; one may be over it */
#define FEED_SCAN_BYTES_MAX	(64u * 1024 * 1024)

struct feed_at {
	uint64_t	lsn;		/* told up to here */
	uint64_t	segment, offset;	/* of a batch with the next LSN; 0: unknown */
};

void feed_cursor_encode(const struct feed_at *at, const uint8_t deployment[16],
    uint8_t out[FEED_CURSOR_BYTES]);
/* Hostile bytes. ERR_INVALID: no cursor; ERR_VERSION; ERR_STALE: of another deployment. */
int feed_cursor_parse(struct slice bytes, const uint8_t deployment[16], struct feed_at *out,
    struct err *e);

/*
 * Every record of a change after *at and up to an LSN, as a packed FeedEntry without the name of
 * its bucket (id and bytes are borrowed). each returns true when it has enough. *at moves on over
 * all that was looked at. ERR_STALE: the place is gone, the horizon has passed it. ERR_NO_QUORUM:
 * too few of the drives that have it are there.
 */
typedef bool feed_each_fn(void *context, Hf__FeedEntry *entry);
int feed_read(struct log *l, struct drive_set *s, uint64_t upto, struct feed_at *at,
    feed_each_fn *each, void *context, struct err *e);

#endif
