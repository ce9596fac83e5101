/*
 * test_histories - thousands of short lives of a whole store: puts, conditional puts, multipart
 * uploads, deletes and reads by protocol servers that write their own shards; conversion, vacuum
 * with its drop, and rebuild by workers that hold the leases of tasks; on disks that lose power,
 * fail, rot, lie, hang and fill up, with processes killed and stopped on the way. Everything is
 * read back through the real readers.
 *
 * At most m drives are bad in a history (its victims), so nothing that was acknowledged may be
 * lost. What a history may meet, and where:
 *
 *   power cut, any legal subset kept     disk_memory_cut_at (lives; and at every step:
 *                                        a_cut_at_every_step)
 *   EIO on read, on write                EIO_ALL (a whole drive), EIO_ONCE (a step), BAD_READS
 *   a sync that fails                    EIO_ONCE; half of them lose what was written, for good
 *   ENOSPC                               FULL
 *   bit flips                            ROT
 *   misdirected and lost writes          LIES
 *   latency                              STALL: a write hangs, and arrives later or never; answers
 *                                        of pools and of the log come in any order, turns later
 *   drives missing, back with old epochs MISSING (at a start), drives_come_back (while it runs)
 *   an index older than the horizon      index_age, after vacuums dropped segments
 *   a stopped writer that resumes later  client_change (protocol servers), WORK_STOPPED (workers);
 *                                        also after another took them for dead and did their work
 *   up to m drives at once               victims_choose
 *
 * How many there were of each is printed. One in four random histories has maintenance and uploads;
 * at its end all that was begun is brought to its end, and the index that is built from the log
 * alone is, byte by byte, the one that grew.
 *
 * A failing seed is printed; HOLDFAST_TEST_SEED=n runs it alone, with HOLDFAST_TEST_CUT=n for
 * the exhaustive ones. HOLDFAST_TEST_HISTORIES is the number of random ones: a campaign is the same
 * with a large number, and HOLDFAST_TEST_FIRST a seed to begin with. HOLDFAST_TEST_CUT_STRIDE takes
 * every n-th step of the exhaustive ones only (for slow builds).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "tests/unit/history_life.h"
#include "tests/unit/index_memory.h"
#include "tests/unit/proof.h"
#include "tests/unit/setting.h"

static void
victims_choose(struct history *h)
{
	unsigned n = h->set->from, many = h->set->m;

	/* Missing ones must leave enough to write; no other fault takes a drive away at start. */
	while (many > 0 && (h->bad & (BAD(MISSING) | BAD(EIO_ALL) | BAD(BAD_READS))) &&
	    h->set->width - many < h->set->write_min)
		many--;
	while ((unsigned)__builtin_popcount(h->victims) < many)
		h->victims |= 1u << history_chance(h, n);
}

static bool
random_history(uint64_t seed)
{
	static struct history h;
	unsigned lives;

	history_begin(&h, seed, (unsigned)(seed % 11 < HISTORY_SETS ? seed % 11 : 0));
	if (seed % 3 != 0)
		h.bad = BAD(history_chance(&h, BADS)) | (history_chance(&h, 3) == 0
		    ? BAD(history_chance(&h, BADS)) : 0);
	if (h.set->from < h.set->drives)
		h.bad &= ~BAD(FULL);	/* a set joins where its catalogs have room */
	h.maintained = seed % 4 == 0;
	h.work.strict = h.bad == 0;
	victims_choose(&h);
	for (lives = 1 + (unsigned)history_chance(&h, 3); lives > 0 && !h.m.failed; lives--) {
		if (history_chance(&h, 3) != 0)
			disk_memory_cut_at(h.m.w.disk, 1 + history_chance(&h,
			    h.maintained ? 3000 : 500));
		else if (history_chance(&h, 2) == 0)
			disk_memory_die_at(h.m.w.disk, 1 + history_chance(&h,
			    h.maintained ? 3000 : 500));
		if (history_start(&h))
			history_live(&h, 10 + (unsigned)history_chance(&h, h.maintained ? 80 : 40));
		if (h.m.failed)
			break;
		if (!disk_memory_cut(h.m.w.disk) && history_chance(&h, 3) == 0)
			history_clean_end(&h);
		else
			history_power_end(&h);
		if (history_chance(&h, 2) == 0)
			history_heal(&h);
	}
	return (history_end(&h));
}

#define DYING	1000000u	/* from this seed on processes are killed at the step instead */

/* A short life whose power is cut at a step; returns whether the step came. */
static bool
short_history(uint64_t seed, unsigned set, uint64_t cut, bool *good)
{
	static const struct { enum model_kind kind; unsigned key; bool wait; } script[] = {
		{ MODEL_PUT, 0, false }, { MODEL_PUT, 1, true }, { MODEL_PUT, 2, false },
		{ MODEL_PUT_NEW, 0, true }, { MODEL_PUT, 1, false }, { MODEL_DELETE, 0, true },
		{ MODEL_PUT_NEW, 0, false }, { MODEL_PUT, 3, true }, { MODEL_DELETE, 2, true },
	};
	static struct history h;
	bool was_cut;

	history_begin(&h, seed, set);
	h.cut = cut;
	if (seed >= DYING)
		disk_memory_die_at(h.m.w.disk, cut);
	else
		disk_memory_cut_at(h.m.w.disk, cut);
	if (history_start(&h)) {
		hw_client_open(&h.m.w, 0);
		if (model_bucket(&h.m, 0))
			for (size_t i = 0; i < sizeof(script) / sizeof(script[0]) &&
			    history_alive(&h); i++) {
				model_begin(&h.m, 0, script[i].key, script[i].kind);
				if (script[i].wait)
					model_settle(&h.m);
			}
	}
	was_cut = disk_memory_cut(h.m.w.disk);
	if (!h.m.failed)
		history_power_end(&h);
	if (!h.m.failed && history_chance(&h, 2) == 0) {	/* and again while it recovers */
		disk_memory_cut_at(h.m.w.disk, 1 + history_chance(&h, 60));
		if (history_start(&h))
			history_power_end(&h);
		else
			hw_power_cut(&h.m.w);
	}
	*good = history_end(&h);
	return (was_cut);
}

/* All steps, or every stride-th, of all sets; returns how many came out wrong. */
static unsigned
every_step(uint64_t first_seed, uint64_t stride)
{
	uint64_t only = setting("HOLDFAST_TEST_CUT", 0);
	uint64_t seed = setting("HOLDFAST_TEST_SEED", 0), cut;
	unsigned bad = 0;

	for (unsigned set = 0; set < HISTORY_SETS; set++) {
		bool good, came = true;

		for (cut = only != 0 ? only : 1; came && cut < 2000; cut += stride) {
			came = short_history(seed != 0 ? seed : first_seed + 7 * cut + set, set,
			    cut, &good);
			bad += !good;
			if (only != 0 || bad > 3)
				break;
		}
		cr_expect(only != 0 || bad > 0 || cut > 60, "only %llu steps",
		    (unsigned long long)cut);
	}
	return (bad);
}

Test(histories, a_cut_at_every_step, .timeout = 600)
{
	uint64_t began = clock_mono_ms(), stride;
	bool alone = getenv("HOLDFAST_TEST_CUT") != NULL;

	if (getenv("HOLDFAST_TEST_SEED") != NULL && !alone)
		return;
	stride = setting("HOLDFAST_TEST_CUT_STRIDE", 1);
	cr_assert_eq(every_step(0, stride), 0);
	history_sum_say("the power cut at every step", began);
	memset(&history_sum, 0, sizeof(history_sum));
	if (!alone)
		cr_assert_eq(every_step(DYING, 3 * stride), 0);
	history_sum_say("all processes killed at every third step", began);
}

Test(histories, random, .timeout = 36000)
{
	uint64_t only = setting("HOLDFAST_TEST_SEED", 0), began = clock_mono_ms();
	uint64_t first = setting("HOLDFAST_TEST_FIRST", 1), seed;
	uint64_t count = setting("HOLDFAST_TEST_HISTORIES", 10000);
	unsigned bad = 0, never;

	if (setting("HOLDFAST_TEST_CUT", 0) != 0)
		return;
	for (seed = only != 0 ? only : first; seed < (only != 0 ? only + 1 : first + count) &&
	    bad < 4;
	    seed++)
		bad += !random_history(seed);
	history_sum_say("random", began);
	never = history_sum_say_faults();
	history_sum_say_maintenance();
	cr_assert_eq(bad, 0);
	cr_assert(only != 0 || count < 1000 || never == 0, "%u kinds of faults were not met",
	    never);
}

Test(histories, a_seed_tells_everything, .timeout = 300)
{
	char *first;

	if (getenv("HOLDFAST_TEST_SEED") != NULL)
		return;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		cr_assert(random_history(seed));
		first = strdup(history_came_to());
		cr_assert(random_history(seed));
		cr_assert_str_eq(history_came_to(), first, "seed %llu", (unsigned long long)seed);
		free(first);
	}
	proof_say("seeds replayed", 60, "and each came to the same");
}

/* As libstore/index/index.h says: whoever asks for one row after another has nothing of the row
 * before. */
Test(histories, the_index_in_memory_has_nothing_of_a_row_that_is_not_there)
{
	struct index_layer *l = index_layer_new();
	struct index_reader r = { .layers = { l }, .layer_count = 1 };
	struct buf b = BUF_INIT;

	cr_assert_eq(index_open("a_row", 1 << 20, &r.index, NULL), 0);
	index_put(l, SLICE_LITERAL("there"), SLICE_LITERAL("value"));
	cr_assert_eq(index_get(&r, SLICE_LITERAL("there"), &b, NULL), 0);
	cr_assert_eq(b.bytes, 5);
	cr_assert_eq(index_get(&r, SLICE_LITERAL("nowhere"), &b, NULL), ERR_NOT_FOUND);
	cr_assert_eq(b.bytes, 0);
	buf_release(&b);
	index_close((struct index **)(uintptr_t)&r.index);
	index_layer_free(l);
}
