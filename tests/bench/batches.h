/*
 * batches - how large the batches were that a log wrote: read from the mirrors of its segments.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BENCH_BATCHES_H
#define HF_BENCH_BATCHES_H

#include <stddef.h>
#include <stdint.h>

struct batches {
	size_t		*bytes, count, capacity;	/* of each, with its padding */
	uint64_t	 records, first_lsn, last_lsn;
};

/* Those behind b->last_lsn, of the drives DIRECTORY/d0 and so on, instead of what was there. Their
 * order is that of segments and batches on the first drive that has each. */
void batches_read(struct batches *b, const char *directory, unsigned drives);
void batches_release(struct batches *b);

#endif
