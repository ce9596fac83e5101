/*
 * index_gaps - see index_gaps.h. An ordered array: gaps are few, and change seldom.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_gaps.h"

#include <assert.h>
#include <stdlib.h>

/* Of the bytes that `from` and `to` do not share, the first six say how wide it is. */
static uint64_t
width_of(struct slice from, struct slice to)
{
	const uint8_t *a = from.data, *b = to.data;
	uint64_t low = 0, high = 0;
	size_t same = 0;

	while (same < from.bytes && same < to.bytes && a[same] == b[same])
		same++;
	for (size_t i = same; i < same + 6; i++) {
		low = low << 8 | (i < from.bytes ? a[i] : 0);
		high = high << 8 | (i < to.bytes ? b[i] : 0);
	}
	return ((uint64_t)(UINT16_MAX - (same < UINT16_MAX ? same : UINT16_MAX)) << 48 |
	    (high - low));
}

static uint8_t
table_of(struct slice key)
{
	return (key.bytes > 0 ? *(const uint8_t *)key.data : 0);
}

static void
gap_count(struct index_gaps *g, const struct gap *p, int n)
{
	unsigned last = table_of(buf_slice(&p->to));

	for (unsigned t = table_of(buf_slice(&p->from)); t <= last; t++)
		g->of_table[t] = (uint16_t)(g->of_table[t] + n);
}

/* The first gap that ends after key (or there, if touching); count if there is none. */
static unsigned
gap_at(const struct index_gaps *g, struct slice key, bool touching)
{
	unsigned low = 0, high = g->count, middle;

	while (low < high) {
		int order;

		middle = (low + high) / 2;
		order = slice_compare(buf_slice(&g->gaps[middle].to), key);
		if (order > 0 || (order == 0 && touching))
			high = middle;
		else
			low = middle + 1;
	}
	return (low);
}

static void
gap_remove(struct index_gaps *g, unsigned at)
{
	gap_count(g, &g->gaps[at], -1);
	g->changes++;
	buf_release(&g->gaps[at].from);
	buf_release(&g->gaps[at].to);
	g->count--;
	memmove(&g->gaps[at], &g->gaps[at + 1], (g->count - at) * sizeof(*g->gaps));
}

static int
narrower(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return ((x > y) - (x < y));
}

/* Many at once: keys that begin to live one after the other in a wide gap cost little each. */
static void
narrow_remove(struct index_gaps *g)
{
	uint64_t widths[GAPS_MAX + 1], limit;
	unsigned left = GAPS_MAX / 4;

	for (unsigned i = 0; i < g->count; i++)
		widths[i] = g->gaps[i].width;
	qsort(widths, g->count, sizeof(*widths), narrower);
	limit = widths[left - 1];
	g->cuts++;
	for (unsigned i = g->count; i > 0 && left > 0; i--) {
		if (g->gaps[i - 1].width > limit)
			continue;
		gap_remove(g, i - 1);
		left--;
	}
}

/* At its place in the order; nothing for an empty one. */
static void
gap_insert(struct index_gaps *g, unsigned at, struct slice from, struct slice to, uint64_t write)
{
	struct gap new = { .from = BUF_INIT, .to = BUF_INIT, .write = write,
	    .width = width_of(from, to) };

	if (slice_compare(from, to) >= 0)
		return;
	if (g->gaps == NULL)
		g->gaps = calloc(GAPS_MAX + 1, sizeof(*g->gaps));
	assert(g->gaps != NULL && g->count <= GAPS_MAX && at <= g->count);
	buf_append_slice(&new.from, from);
	buf_append_slice(&new.to, to);
	memmove(&g->gaps[at + 1], &g->gaps[at], (g->count - at) * sizeof(*g->gaps));
	g->gaps[at] = new;
	g->count++;
	g->changes++;
	gap_count(g, &new, 1);
	if (g->count > GAPS_MAX)	/* N3 */
		narrow_remove(g);
}

void
gaps_release(struct index_gaps *g)
{
	while (g->count > 0)
		gap_remove(g, g->count - 1);
	free(g->gaps);
	g->gaps = NULL;
}

void
gaps_add(struct index_gaps *g, struct slice from, struct slice to, uint64_t write)
{
	struct buf first = BUF_INIT, last = BUF_INIT;
	unsigned at = gap_at(g, from, true);

	buf_append_slice(&first, from);
	buf_append_slice(&last, to);
	while (at < g->count &&
	    slice_compare(buf_slice(&g->gaps[at].from), buf_slice(&last)) <= 0) {
		const struct gap *p = &g->gaps[at];

		if (slice_compare(buf_slice(&p->from), buf_slice(&first)) < 0) {
			buf_reset(&first);
			buf_append_slice(&first, buf_slice(&p->from));
		}
		if (slice_compare(buf_slice(&p->to), buf_slice(&last)) > 0) {
			buf_reset(&last);
			buf_append_slice(&last, buf_slice(&p->to));
		}
		write = p->write > write ? p->write : write;
		gap_remove(g, at);
	}
	gap_insert(g, at, buf_slice(&first), buf_slice(&last), write);
	buf_release(&first);
	buf_release(&last);
}

void
gaps_put(struct index_gaps *g, struct slice key)
{
	struct buf past = BUF_INIT;
	struct gap was;
	unsigned at;

	if (g->of_table[table_of(key)] == 0)
		return;
	at = gap_at(g, key, false);
	if (at == g->count || slice_compare(buf_slice(&g->gaps[at].from), key) > 0)
		return;
	was = g->gaps[at];
	gap_count(g, &was, -1);
	g->changes++;
	g->cuts++;
	g->count--;
	memmove(&g->gaps[at], &g->gaps[at + 1], (g->count - at) * sizeof(*g->gaps));
	buf_append_slice(&past, key);
	buf_append(&past, "", 1);		/* the next key that can be */
	gap_insert(g, at, buf_slice(&past), buf_slice(&was.to), was.write);
	gap_insert(g, gap_at(g, buf_slice(&was.from), false), buf_slice(&was.from), key, was.write);
	buf_release(&past);
	buf_release(&was.from);
	buf_release(&was.to);
}

bool
gaps_delete(struct index_gaps *g, struct slice key, uint64_t write)
{
	struct buf past = BUF_INIT;
	struct slice from, to;
	unsigned at;
	bool ended;

	if (g->of_table[table_of(key)] == 0)
		return (false);
	at = gap_at(g, key, true);
	if (at == g->count)
		return (false);
	from = buf_slice(&g->gaps[at].from);
	to = buf_slice(&g->gaps[at].to);
	buf_append_slice(&past, key);
	buf_append(&past, "", 1);
	ended = slice_equal(to, key);
	if (ended || slice_equal(from, buf_slice(&past)))
		gaps_add(g, key, buf_slice(&past), write);
	buf_release(&past);
	return (ended);
}

const struct gap *
gaps_find(const struct index_gaps *g, struct slice key, uint64_t write)
{
	for (unsigned i = gap_at(g, key, false); i < g->count; i++)
		if (g->gaps[i].write <= write)
			return (&g->gaps[i]);
	return (NULL);
}

/* --- those that are kept ---------------------------------------------------------------------- */

void
gaps_keep_true(struct index_gaps *kept, const struct index_gaps *now, gap_row_fn *row,
    void *context)
{
	for (unsigned i = 0; i < kept->count;) {
		struct slice from = buf_slice(&kept->gaps[i].from);
		struct slice to = buf_slice(&kept->gaps[i].to);
		unsigned at = gap_at(now, from, false);

		if (at < now->count &&
		    slice_compare(buf_slice(&now->gaps[at].from), from) <= 0 &&
		    slice_compare(buf_slice(&now->gaps[at].to), to) >= 0) {
			i++;
			continue;
		}
		row(context, from, SLICE_NONE);
		gap_remove(kept, i);
	}
}

void
gaps_keep_all(struct index_gaps *kept, const struct index_gaps *now, gap_row_fn *row,
    void *context)
{
	unsigned k = 0;

	for (unsigned n = 0; n < now->count || k < kept->count;) {
		const struct gap *new = n < now->count ? &now->gaps[n] : NULL;
		const struct gap *old = k < kept->count ? &kept->gaps[k] : NULL;
		int order = new == NULL ? 1 : old == NULL ? -1 :
		    slice_compare(buf_slice(&new->from), buf_slice(&old->from));

		if (order > 0) {
			row(context, buf_slice(&old->from), SLICE_NONE);
			k++;
			continue;
		}
		if (order < 0 || !slice_equal(buf_slice(&new->to), buf_slice(&old->to)))
			row(context, buf_slice(&new->from), buf_slice(&new->to));
		n++;
		k += order == 0;
	}
	gaps_release(kept);
	for (unsigned n = 0; n < now->count; n++)
		gap_insert(kept, n, buf_slice(&now->gaps[n].from), buf_slice(&now->gaps[n].to), 0);
}

int
gaps_kept(struct index_gaps *kept, struct slice from, struct slice to, struct err *e)
{
	if (slice_compare(from, to) >= 0 || (kept->count > 0 &&
	    slice_compare(from, buf_slice(&kept->gaps[kept->count - 1].to)) < 0))
		return (err_set(e, ERR_CORRUPT, "a gap ends before it begins, or before another"));
	if (kept->count == GAPS_MAX)
		return (err_set(e, ERR_CORRUPT, "more than %u gaps were kept", GAPS_MAX));
	gap_insert(kept, kept->count, from, to, 0);
	return (0);
}
