/*
 * latency - see latency.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/disk/latency.h"

#include <assert.h>

const char *
latency_kind_name(enum latency_kind kind)
{
	static const char *const names[LATENCY_KINDS] = { "log writes", "small reads",
		"large reads", "small writes", "large writes", "syncs", "probes",
		"probing reads" };

	assert(kind < LATENCY_KINDS);
	return (names[kind]);
}

unsigned
latency_bucket(uint64_t us)
{
	unsigned bucket = us < 2 ? 0 : 63 - (unsigned)__builtin_clzll(us);

	return (bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1);
}

void
latency_add(struct latency *l, unsigned bucket, uint32_t count)
{
	uint32_t slice = __atomic_load_n(&l->slice, __ATOMIC_RELAXED);

	assert(bucket < LATENCY_BUCKETS);
	__atomic_fetch_add(&l->counts[slice % LATENCY_SLICES][bucket], count, __ATOMIC_RELAXED);
}

void
latency_note(struct latency *l, uint64_t us)
{
	latency_add(l, latency_bucket(us), 1);
}

/* Who notes meanwhile is counted in the slice before, or lost: one step of many. */
void
latency_slide(struct latency *l, unsigned slices)
{
	unsigned n = slices < LATENCY_SLICES ? slices : LATENCY_SLICES;

	for (unsigned i = 0; i < n; i++) {
		uint32_t next = l->slice + 1;

		for (unsigned b = 0; b < LATENCY_BUCKETS; b++)
			__atomic_store_n(&l->counts[next % LATENCY_SLICES][b], 0,
			    __ATOMIC_RELAXED);
		__atomic_store_n(&l->slice, next, __ATOMIC_RELAXED);
	}
}

uint64_t
latency_median(const struct latency *l, uint64_t *median_us)
{
	uint64_t sums[LATENCY_BUCKETS] = { 0 }, total = 0, before = 0, middle;
	unsigned b = 0;

	for (unsigned s = 0; s < LATENCY_SLICES; s++)
		for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
			sums[i] += __atomic_load_n(&l->counts[s][i], __ATOMIC_RELAXED);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		total += sums[i];
	*median_us = 0;
	if (total == 0)
		return (0);
	middle = (total - 1) / 2;
	while (before + sums[b] <= middle)
		before += sums[b++];
	*median_us = (UINT64_C(1) << b) + ((middle - before) * 2 + 1) * (UINT64_C(1) << b) /
	    (sums[b] * 2);
	return (total);
}
