/*
 * latency - how long one kind of step takes on one drive, over a window that slides: a histogram of
 * powers of two in slices, the oldest of which is forgotten when a new one begins. Noting a step is
 * one atomic addition, from any thread.
 *
 * What is slow is not said here: drive_slow.h compares drives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_LATENCY_H
#define HF_STORE_LATENCY_H

#include <stdint.h>

/* Kinds of steps whose lengths can be compared: a log write with its sync, a read past the page
 * cache, a write and a sync of a shard, and the probes of a drive that is suspect. */
enum latency_kind { LATENCY_LOG, LATENCY_READ, LATENCY_READ_LARGE, LATENCY_WRITE,
	LATENCY_WRITE_LARGE, LATENCY_SYNC, LATENCY_PROBE, LATENCY_PROBE_READ, LATENCY_KINDS };
const char *latency_kind_name(enum latency_kind kind);
#define LATENCY_LARGE_BYTES	65536u	/* from here on a read or write is large */

/* Bucket n is [2^n, 2^(n+1)) us; the first begins at 0, the last never ends. */
#define LATENCY_BUCKETS	28u
#define LATENCY_SLICES	8u

/* All zeros: nothing was noted. */
struct latency {
	uint32_t	counts[LATENCY_SLICES][LATENCY_BUCKETS];
	uint32_t	slice;		/* that is counted in */
};

void latency_note(struct latency *l, uint64_t us);
/* What somebody else counted, with latency_bucket. */
void latency_add(struct latency *l, unsigned bucket, uint32_t count);
unsigned latency_bucket(uint64_t us);
/* So many slices begin: by one thread at a time. */
void latency_slide(struct latency *l, unsigned slices);
/* How many are in the window, and the median of them, of a bucket as if they lay evenly in it. */
uint64_t latency_median(const struct latency *l, uint64_t *median_us);

#endif
