/*
 * vacuum_internal - what vacuum.c and vacuum_proof.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_VACUUM_INTERNAL_H
#define HF_STORE_VACUUM_INTERNAL_H

#include "libstore/log/segment_source.h"
#include "libstore/maintain/budget.h"
#include "libstore/maintain/vacuum.h"

/* Dead records in the order of their LSNs. */
struct vacuum_dead {
	uint64_t	*pairs;		/* record, killer */
	size_t		 count, capacity;	/* pairs */
};

struct vacuum {
	const struct maintain	*m;
	struct budget		 budget;
	Hf__CatalogSegment	*row;
	struct segment_paths	 paths;
	struct vacuum_dead	 dead;
	size_t			 dead_at;	/* records are walked in the same order */
	/* Live records that wait to be sent. */
	Hf__SegmentRelocate__Item	*items, **list;
	size_t			 item_count;
	struct buf		 bytes;		/* of their meta and data */
	uint64_t		 done, total;
};

/* Asks; BUSY is waited out. */
int vacuum_ask(const struct maintain *m, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e);
void vacuum_progress(struct vacuum *v, uint64_t bytes);
/* vacuum_proof.c: every record that a row of v->dead moved to can be read from each drive that has
 * it, past the page cache. */
int vacuum_prove(struct vacuum *v, struct err *e);

#endif
