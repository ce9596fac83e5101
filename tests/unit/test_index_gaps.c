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
	cr_assert_not(gaps_delete(&g, s("c"), 4));
	cr_assert_not(gaps_delete(&g, s("x"), 4));
	cr_assert_str_eq(shown(&g, &b), "b+-f@2 f+-n@2 ", "was empty, or touches none");
	gaps_delete(&g, s("f"), 6);
	cr_assert_str_eq(shown(&g, &b), "b+-n@6 ");
	cr_assert(gaps_delete(&g, s("n"), 8), "one ended there");
	cr_assert_not(gaps_delete(&g, s("b"), 8));
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

/* "from-to " of rows that come, "from! " of those that go. */
static void
row_show(void *context, struct slice from, struct slice to)
{
	buf_append_slice(context, from);
	buf_append_string(context, to.bytes > 0 ? "-" : "!");
	buf_append_slice(context, to);
	buf_append_string(context, " ");
}

static const char *
rows_shown(struct index_gaps *kept, const struct index_gaps *now, bool all, struct buf *out)
{
	buf_reset(out);
	(all ? gaps_keep_all : gaps_keep_true)(kept, now, row_show, out);
	for (size_t i = 0; i < out->bytes; i++)
		if (out->data[i] == 0)
			out->data[i] = '+';
	return (buf_string(out));
}

Test(index_gaps, what_is_kept_goes_once_it_is_not_true_and_comes_when_asked)
{
	struct index_gaps g = { .count = 0 }, kept = { .count = 0 };
	struct buf b = BUF_INIT;

	gaps_add(&g, s("b"), s("d"), 2);
	gaps_add(&g, s("m"), s("p"), 2);
	cr_assert_str_eq(rows_shown(&kept, &g, false, &b), "");
	cr_assert_str_eq(rows_shown(&kept, &g, true, &b), "b-d m-p ");
	cr_assert_str_eq(rows_shown(&kept, &g, true, &b), "");
	gaps_add(&g, s("d"), s("f"), 4);
	gaps_add(&g, s("k"), s("p"), 4);
	cr_assert_str_eq(rows_shown(&kept, &g, false, &b), "", "smaller, and true");
	gaps_put(&g, s("e"));
	cr_assert_str_eq(rows_shown(&kept, &g, false, &b), "", "it was not in what is kept");
	gaps_put(&g, s("o"));
	cr_assert_str_eq(rows_shown(&kept, &g, false, &b), "m! ");
	cr_assert_str_eq(rows_shown(&kept, &g, true, &b), "b-e e+-f k-o o+-p ");
	gaps_put(&g, s("b"));
	gaps_release(&g);
	gaps_add(&g, s("k"), s("o"), 6);
	cr_assert_str_eq(rows_shown(&kept, &g, true, &b), "b! e+! o+! ");
	gaps_release(&g);
	cr_assert_str_eq(rows_shown(&kept, &g, false, &b), "k! ");
	cr_assert_eq(kept.count, 0);
	gaps_release(&kept);
	buf_release(&b);
}

Test(index_gaps, rows_that_cannot_be_are_not_read)
{
	struct index_gaps g = { .count = 0 };
	struct err e = ERR_INIT;
	char from[16], to[16];

	cr_assert_eq(gaps_kept(&g, s(""), s(""), &e), ERR_CORRUPT);
	cr_assert_eq(gaps_kept(&g, s(""), s("b"), &e), 0, "in front of every key");
	cr_assert_eq(gaps_kept(&g, s(""), s("c"), &e), ERR_CORRUPT);
	cr_assert_eq(gaps_kept(&g, s("b"), s("d"), &e), 0);
	cr_assert_eq(gaps_kept(&g, s("d"), s("f"), &e), 0, "they may touch");
	cr_assert_eq(gaps_kept(&g, s("e"), s("g"), &e), ERR_CORRUPT);
	cr_assert_eq(gaps_kept(&g, s("k"), s("k"), &e), ERR_CORRUPT);
	cr_assert_eq(gaps_kept(&g, s("k"), s(""), &e), ERR_CORRUPT);
	cr_assert_eq(g.count, 3);
	for (unsigned i = 3; i < GAPS_MAX; i++) {
		snprintf(from, sizeof(from), "p%04u", i);
		snprintf(to, sizeof(to), "p%04u+", i);
		cr_assert_eq(gaps_kept(&g, s(from), s(to), &e), 0);
	}
	cr_assert_eq(gaps_kept(&g, s("q"), s("r"), &e), ERR_CORRUPT);
	cr_assert_not_null(strstr(e.text, "more than"), "%s", e.text);
	gaps_release(&g);
}
