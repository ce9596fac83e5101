/*
 * apply - what a record of the log does to the index. One function for three uses: provisionally
 * when a record is admitted (so that later admissions see it), finally when it is committed, and at
 * replay.
 *
 * A1  What is written depends on the record and on the rows that the reader shows, on nothing else:
 *     a replay gives the same bytes as the first time.
 * A2  Applying never refuses: conditions were decided at admission. Rows that should be there and
 *     are not (only damage explains it) are passed over, so that one bad row does not keep a store
 *     from starting.
 * A3  A provisional application knows neither LSN nor place. Nothing that it writes may get into a
 *     record. It leaves out what no admission looks at: answers and counters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_APPLY_H
#define HF_STORE_APPLY_H

#include "libstore/index.h"
#include "libstore/record.h"

/* LSNs with this bit are of provisional rows. Real epochs (LSN_EPOCH_MAX) never reach it. */
#define LSN_PROVISIONAL		(UINT64_C(1) << 63)

#define COUNTER_OBJECTS		"objects"
#define COUNTER_BUCKETS		"buckets"
#define COUNTER_UPLOADS		"uploads"

struct apply {
	struct index_reader	 reader;	/* layers[0] == layer */
	struct index_layer	*layer;
	bool			 provisional;
	/* Results of the last record. */
	struct buf		 reply;		/* StoreReply, packed; empty if nobody asked */
	uint32_t		 freed;		/* extents that were freed */
	/* Of this folder's apply*.c. */
	const struct record	*record;
	struct buf		 key, value;
};

void apply_init(struct apply *a, struct index *x, struct index_layer *layer);
void apply_release(struct apply *a);			/* the layer is the caller's */
/* 0; ERR_CORRUPT: the body is not the type's message; ERR_VERSION: an unknown type; ERR_IO. */
int apply_record(struct apply *a, const struct record *r, struct err *e);
/* The value of a counter as the reader shows it. */
int counter_get(const struct index_reader *r, const char *name, uint64_t *out, struct err *e);

#endif
