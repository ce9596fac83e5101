/*
 * test_index_gaps - stretches where nothing lives: joined, split, bounded, and not for snapshots
 * that are older.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/index/index_gaps.h"

static struct slice
s(const char *text)
{
	return (SLICE(text, strlen(text)));
}

/* "from-to@write " of each, with a key's NUL as `+'. */
static const char *
shown(const struct index_gaps *g, struct buf *out)
{
	buf_reset(out);
	for (unsigned i = 0; i < g->count; i++) {
		buf_append_slice(out, buf_slice(&g->gaps[i].from));
		buf_append_string(out, "-");
		buf_append_slice(out, buf_slice(&g->gaps[i].to));
		buf_printf(out, "@%u ", (unsigned)g->gaps[i].write);
	}
	for (size_t i = 0; i < out->bytes; i++)
		if (out->data[i] == 0)
			out->data[i] = '+';
	return (buf_string(out));
}

Test(index_gaps, join_when_they_overlap_or_touch)
{
	struct index_gaps g = { .count = 0 };
	struct buf b = BUF_INIT;

	gaps_add(&g, s("d"), s("f"), 2);
	gaps_add(&g, s("k"), s("m"), 4);
	gaps_add(&g, s("a"), s("b"), 6);
	cr_assert_str_eq(shown(&g, &b), "a-b@6 d-f@2 k-m@4 ");
	gaps_add(&g, s("b"), s("d"), 4);
	cr_assert_str_eq(shown(&g, &b), "a-f@6 k-m@4 ");
	gaps_add(&g, s("e"), s("z"), 2);
	cr_assert_str_eq(shown(&g, &b), "a-z@6 ");
	gaps_add(&g, s("c"), s("c"), 8);
	cr_assert_eq(g.count, 1);
	gaps_release(&g);
	gaps_add(&g, s("c"), s("c"), 8);
	cr_assert_eq(g.count, 0, "an empty one is none");
	gaps_release(&g);
	buf_release(&b);
}

Test(index_gaps, split_where_a_key_lives_and_heal_where_it_dies)
{
	struct index_gaps g = { .count = 0 };
	struct buf b = BUF_INIT;

	gaps_add(&g, s("b"), s("n"), 2);
	gaps_put(&g, s("a"));
	gaps_put(&g, s("n"));
	cr_assert_str_eq(shown(&g, &b), "b-n@2 ", "its end may live already");
	gaps_put(&g, s("f"));
	cr_assert_str_eq(shown(&g, &b), "b-f@2 f+-n@2 ");
	gaps_put(&g, s("b"));
	cr_assert_str_eq(shown(&g, &b), "b+-f@2 f+-n@2 ");
	gaps_put(&g, s("f"));
	cr_assert_str_eq(shown(&g, &b), "b+-f@2 f+-n@2 ", "it lives already");
	gaps_delete(&g, s("c"), 4);
	gaps_delete(&g, s("x"), 4);
	cr_assert_str_eq(shown(&g, &b), "b+-f@2 f+-n@2 ", "was empty, or touches none");
	gaps_delete(&g, s("f"), 6);
	cr_assert_str_eq(shown(&g, &b), "b+-n@6 ");
	gaps_delete(&g, s("n"), 8);
	gaps_delete(&g, s("b"), 8);
	cr_assert_str_eq(shown(&g, &b), "b-n+@8 ");
	gaps_release(&g);
	buf_release(&b);
}

Test(index_gaps, older_snapshots_may_not_use_them)
{
	struct index_gaps g = { .count = 0 };

	gaps_add(&g, s("b"), s("d"), 6);
	gaps_add(&g, s("g"), s("k"), 2);
	cr_assert_eq(gaps_find(&g, s("a"), 6), &g.gaps[0]);
	cr_assert_eq(gaps_find(&g, s("c"), 6), &g.gaps[0]);
	cr_assert_eq(gaps_find(&g, s("d"), 6), &g.gaps[1]);
	cr_assert_eq(gaps_find(&g, s("a"), 5), &g.gaps[1]);
	cr_assert_null(gaps_find(&g, s("k"), 6));
	cr_assert_null(gaps_find(&g, s("a"), 1));
	gaps_release(&g);
}

Test(index_gaps, the_narrowest_go_when_there_are_too_many)
{
	struct index_gaps g = { .count = 0 };
	char from[32], to[32];

	gaps_add(&g, s("O-a"), s("O-c"), 2);
	for (unsigned i = 0; i < 3 * GAPS_MAX; i++) {
		snprintf(from, sizeof(from), "O-d/%06u", i);
		snprintf(to, sizeof(to), "O-d/%06u/x", i);
		gaps_add(&g, s(from), s(to), 2);
		cr_assert_leq(g.count, GAPS_MAX);
	}
	cr_assert_gt(g.count, GAPS_MAX / 2);
	cr_assert(slice_equal(buf_slice(&g.gaps[0].from), s("O-a")));
	/* Keys that begin to live one after the other leave the wide rest. */
	gaps_add(&g, s("P"), s("Q"), 2);
	for (unsigned i = 0; i < 3 * GAPS_MAX; i++) {
		snprintf(from, sizeof(from), "P/%06u", i);
		gaps_put(&g, s(from));
	}
	cr_assert_not_null(gaps_find(&g, s("P/5"), 2));
	cr_assert(slice_equal(buf_slice(&gaps_find(&g, s("P/5"), 2)->to), s("Q")));
	cr_assert_eq(g.of_table['X'], 0);
	gaps_release(&g);
	for (unsigned t = 0; t < 256; t++)
		cr_assert_eq(g.of_table[t], 0);
}

/* Against one flag for each of some keys. */
Test(index_gaps, never_cover_what_lives)
{
	struct index_gaps g = { .count = 0 };
	bool lives[400] = { false };
	unsigned state = 7;
	char key[16], to[16];

	for (unsigned round = 0; round < 20000; round++) {
		unsigned n = ((state = state * 1103515245u + 12345u) >> 8) % 400, m = n;

		snprintf(key, sizeof(key), "O%03u", n);
		if (state >> 28 < 5) {
			gaps_put(&g, s(key));
			lives[n] = true;
		} else if (state >> 28 < 12) {
			lives[n] = false;
			gaps_delete(&g, s(key), round);
		} else {
			while (m < 400 && !lives[m])
				m++;
			snprintf(to, sizeof(to), "O%03u", m);
			gaps_add(&g, s(key), s(to), round);
		}
		for (unsigned i = 0; i < 400; i += 1 + state % 13) {
			const struct gap *p;

			snprintf(key, sizeof(key), "O%03u", i);
			p = gaps_find(&g, s(key), UINT64_MAX);
			cr_assert(!lives[i] || p == NULL ||
			    slice_compare(buf_slice(&p->from), s(key)) > 0, "%s lives", key);
		}
		for (unsigned i = 1; i < g.count; i++)
			cr_assert_lt(slice_compare(buf_slice(&g.gaps[i - 1].to),
			    buf_slice(&g.gaps[i].from)), 0);
	}
	gaps_release(&g);
}
