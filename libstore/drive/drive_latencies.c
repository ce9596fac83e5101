/*
 * drive_latencies - what clients of the store measured on drives, beside what the store did itself:
 * checked, weighed, and added to the histograms that drive_slow.c compares (Z4 of drive_slow.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/drive/drive_internal.h"
#include "libstore/drive/drive_slow.h"

#define KINDS	6u	/* of a report, NONE among them */

static const enum latency_kind kinds[KINDS] = {
	[HF__DRIVE_LATENCIES__ROW__KIND__READ] = LATENCY_READ,
	[HF__DRIVE_LATENCIES__ROW__KIND__READ_LARGE] = LATENCY_READ_LARGE,
	[HF__DRIVE_LATENCIES__ROW__KIND__WRITE] = LATENCY_WRITE,
	[HF__DRIVE_LATENCIES__ROW__KIND__WRITE_LARGE] = LATENCY_WRITE_LARGE,
	[HF__DRIVE_LATENCIES__ROW__KIND__SYNC] = LATENCY_SYNC,
};

static int
row_check(const struct drive_set *s, const Hf__DriveLatencies__Row *row, uint32_t seen[KINDS],
    struct err *e)
{
	unsigned kind = (unsigned)row->kind;

	if (row->slot >= s->count)
		return (err_set(e, ERR_INVALID, "latencies of slot %u: there are %u", row->slot,
		    s->count));
	if (kind == HF__DRIVE_LATENCIES__ROW__KIND__NONE || kind >= KINDS)
		return (err_set(e, ERR_INVALID, "latencies of steps of kind %u: there is none",
		    kind));
	if (row->n_counts > LATENCY_BUCKETS)
		return (err_set(e, ERR_INVALID, "latencies in %zu buckets: there are %u",
		    row->n_counts, LATENCY_BUCKETS));
	if (seen[kind] >> row->slot & 1)
		return (err_set(e, ERR_INVALID, "two rows of latencies of slot %u, kind %u",
		    row->slot, kind));
	seen[kind] |= 1u << row->slot;
	return (0);
}

/* It takes over from another, on which many of its files still are: nobody said of which they
 * are. */
static bool
slot_moves(const struct drive_set *s, unsigned slot)
{
	struct drive d;

	drive_get(s, slot, &d);
	return (d.former != NULL);
}

/* Of many steps so many that they weigh no more than is believed; a bucket that had any has one. */
static void
row_take(struct drive_set *s, const Hf__DriveLatencies__Row *row)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < row->n_counts; i++)
		sum += row->counts[i];
	for (size_t i = 0; i < row->n_counts; i++) {
		uint64_t n = row->counts[i];

		if (sum > LATENCY_REPORT_SAMPLES)
			n = (n * LATENCY_REPORT_SAMPLES + sum - 1) / sum;
		if (n > 0)
			drive_latency_add(s, row->slot, kinds[row->kind], (unsigned)i,
			    (uint32_t)n);
	}
}

int
drive_latencies_take(struct drive_set *s, const Hf__DriveLatencies *report, struct err *e)
{
	uint32_t seen[KINDS] = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < report->n_rows; i++)
		rc = row_check(s, report->rows[i], seen, e);
	for (size_t i = 0; rc == 0 && i < report->n_rows; i++)
		if (!slot_moves(s, report->rows[i]->slot))
			row_take(s, report->rows[i]);
	return (rc);
}

/* The half of a window that is compared has some four of them. */
uint64_t
drive_latencies_ms(const struct drive_set *s)
{
	return (s->slow_rule.times > 0 ? 2 * drive_slow_pause_ms(s) : 0);
}
