/*
 * index_gaps - stretches of the index in which nothing lives, though dead keys may lie there.
 *
 * An iterator of the database passes every dead key between two that live, and a million of them
 * cost a tenth of a second. Whoever passed many notes where, and the next goes around.
 *
 * N1  No key in [from, to) of a gap lives: gaps_put is called before a key begins to.
 * N2  A gap was empty from the write that it carries until now. So whoever sees the state of that
 *     write, or of a later one, may go around it; an older snapshot may not.
 * N3  Gaps are ordered and do not overlap. At most GAPS_MAX: then the narrowest quarter goes, which
 *     costs time only.
 *
 * Others like these say which gaps are kept with the keys, as rows. A row that is not true any more
 * goes at once, with what made it so; new ones come now and then.
 *
 * Callers lock. Nothing here knows of the database.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_GAPS_H
#define HF_STORE_INDEX_GAPS_H

#include "libbase/buf.h"
#include "libbase/err.h"

#define GAPS_MAX	512

struct gap {
	struct buf	from, to;
	uint64_t	write;			/* N2 */
	uint64_t	width;			/* for comparing: ordered as how wide it is */
};

struct index_gaps {
	struct gap	*gaps;			/* GAPS_MAX + 1 places, or NULL */
	unsigned	 count;
	uint64_t	 changes, cuts;		/* cuts: of them, such that made one smaller */
	uint16_t	 of_table[256];		/* gaps that hold keys with that first byte */
};

void gaps_release(struct index_gaps *g);
/* Notes that nothing lives in [from, to); it grows together with what touches it. */
void gaps_add(struct index_gaps *g, struct slice from, struct slice to, uint64_t write);
/* A key is about to live. */
void gaps_put(struct index_gaps *g, struct slice key);
/* A key does not live any more, as of that write: gaps that touch it take it in. True: it was where
 * one ended, and those behind it may be dead, too. */
bool gaps_delete(struct index_gaps *g, struct slice key, uint64_t write);
/* The first gap that ends after key and may be used as of `write`; NULL: there is none. */
const struct gap *gaps_find(const struct index_gaps *g, struct slice key, uint64_t write);

/* A row: nothing lives from `from' to `to'; SLICE_NONE: there is no such row any more. */
typedef void gap_row_fn(void *context, struct slice from, struct slice to);
/* Of those that are kept, each that is not within one of now goes. */
void gaps_keep_true(struct index_gaps *kept, const struct index_gaps *now, gap_row_fn *row,
    void *context);
/* Those of now are those that are kept from here on. */
void gaps_keep_all(struct index_gaps *kept, const struct index_gaps *now, gap_row_fn *row,
    void *context);
/* One that was kept, in order: ERR_CORRUPT if it cannot be, after those before it. */
int gaps_kept(struct index_gaps *kept, struct slice from, struct slice to, struct err *e);

#endif
