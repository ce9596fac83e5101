/*
 * test_histories - thousands of short lives of a whole store: puts, conditional puts, deletes and
 * reads by protocol servers that write their own shards, on disks that lose power, fail, rot, lie
 * and fill up, with processes killed and stopped on the way. Everything is read back through the
 * real readers.
 *
 * At most m drives are bad in a history (its victims), so nothing that was acknowledged may be
 * lost. A failing seed is printed; HOLDFAST_TEST_SEED=n runs it alone, with HOLDFAST_TEST_CUT=n for
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
#include "libstore/drive.h"
#include "tests/unit/history_model.h"
#include "tests/unit/index_memory.h"
#include "tests/unit/proof.h"

static const struct { const char *erasure; unsigned drives, m, write_min; } sets[] = {
	{ "2+2", 4, 2, 3 }, { "2+1", 3, 1, 2 }, { "1+1", 2, 1, 2 }, { "4+2", 6, 2, 4 },
	{ "1+0", 1, 0, 1 },
};
#define SETS (sizeof(sets) / sizeof(sets[0]))

/* What may go wrong in a history besides power cuts and kills. */
enum { BAD_EIO = 1, BAD_STEP = 2, BAD_MISSING = 4, BAD_ROT = 8, BAD_LIES = 16, BAD_FULL = 32 };

struct history {
	struct model	 m;
	unsigned	 set, bad;
	uint32_t	 victims;
	uint64_t	 cut;		/* exhaustive: the step of the first life */
};

static struct { unsigned histories, operations, acknowledged, reads, cuts, kills, stops,
    faults; } sum;

static uint64_t
chance(struct history *h, uint64_t below)
{
	return (disk_memory_random(h->m.w.disk, below));
}

static uint64_t
environment_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return (text == NULL ? otherwise : strtoull(text, NULL, 10));
}

static unsigned
victim(struct history *h)
{
	unsigned n = (unsigned)chance(h, sets[h->set].drives);

	while (!(h->victims >> n & 1))
		n = (n + 1) % sets[h->set].drives;
	return (n);
}

static void
drives_heal(struct history *h)
{
	for (unsigned i = 0; i < sets[h->set].drives; i++) {
		disk_memory_set_eio(h->m.w.disk, i, false);
		disk_memory_set_missing(h->m.w.disk, i, false);
	}
	disk_memory_set_liar(h->m.w.disk, 0, 0);
	disk_memory_fail_drive(h->m.w.disk, 0, 0);
	disk_memory_set_free(h->m.w.disk, UINT64_C(64) << 20);
}

/* Others fill the drives, but for the reserve and a little more. */
static void
space_shrink(struct history *h)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < sets[h->set].drives; i++)
		if (disk_memory_used(h->m.w.disk, i) > used)
			used = disk_memory_used(h->m.w.disk, i);
	disk_memory_set_free(h->m.w.disk, used + 6 * h->m.w.segment_bytes + (chance(h, 8) << 16));
}

/* Something goes wrong with a victim, or with the space of all. */
static void
fault(struct history *h)
{
	struct disk *d = h->m.w.disk;
	unsigned kind = (unsigned)chance(h, 6), v;
	const char *path;

	while (h->bad != 0 && !(h->bad >> kind & 1))
		kind = (kind + 1) % 6;
	if (h->bad == 0 || (h->victims == 0 && kind != 5))
		return;
	v = h->victims != 0 ? victim(h) : 0;
	sum.faults++;
	model_trail(&h->m, " <%u@%u>", kind, v);
	if (kind == 0)
		disk_memory_set_eio(d, v, true);
	else if (kind == 1)
		disk_memory_fail_drive(d, v, 1 + chance(h, 12));
	else if (kind == 2)
		disk_memory_set_missing(d, v, true);
	else if (kind == 3) {
		path = disk_memory_rot(d, v);
		model_trail(&h->m, "%s", path != NULL ? path : "");
	} else if (kind == 4)
		disk_memory_set_liar(d, 1u << v, 2 + (unsigned)chance(h, 6));
	else if (kind == 5)
		space_shrink(h);
}

/* --- lives ------------------------------------------------------------------------------------ */

static bool
alive(struct history *h)
{
	return (!h->m.failed && !h->m.w.fatal && h->m.w.state != NULL &&
	    !disk_memory_cut(h->m.w.disk));
}

/* Starts the store; a power cut on the way is the end of this life, another error is wrong. */
static bool
store_start(struct history *h)
{
	struct err e = ERR_INIT;
	int rc = hw_store_open(&h->m.w, &e);

	if (rc < 0 && !disk_memory_cut(h->m.w.disk))
		model_wrong(&h->m, "open: %s", e.text);
	return (rc == 0);
}

static void
client_change(struct history *h)
{
	struct hw *w = &h->m.w;
	unsigned n = (unsigned)chance(h, 3), what = (unsigned)chance(h, 4);

	if (w->clients[n].objects == NULL)
		hw_client_open(w, n);
	else if (w->clients[n].stopped && what < 3)
		hw_client_resume(w, n);
	else if (what == 0) {
		model_trail(&h->m, " kill%u", n);
		hw_client_kill(w, n);
		hw_settle(w);
		model_forget(&h->m);
		sum.kills++;
	} else if (what == 1 && !w->clients[n].stopped) {
		/* Answers to it that are on their way may say more than the model knows. */
		bool lost = chance(h, 2) == 0;

		model_trail(&h->m, " stop%u%s", n, lost ? "!" : "");
		hw_client_stop(w, n, lost);
		sum.stops++;
	}
}

static void
step(struct history *h)
{
	static const enum model_kind kinds[] = { MODEL_PUT, MODEL_PUT, MODEL_PUT, MODEL_PUT_NEW,
	    MODEL_DELETE, MODEL_GET, MODEL_GET };
	uint64_t what = chance(h, 22);

	if (what == 0)
		client_change(h);
	else if (what == 1 || (what == 20 && h->bad != 0))
		fault(h);
	else if (what == 2)
		h->m.w.now_ms += chance(h, 3000);
	else if (what == 3)
		model_settle(&h->m);
	else if (what < 16)
		model_begin(&h->m, (unsigned)chance(h, 3), (unsigned)chance(h, MODEL_KEYS),
		    kinds[chance(h, 7)]);
	for (unsigned turns = (unsigned)chance(h, 6); turns > 0 && alive(h); turns--)
		hw_turn(&h->m.w);
}

/* The store dies alone, and comes again; clients that live ask again. */
static void
store_again(struct history *h)
{
	model_trail(&h->m, " STORE");
	hw_store_kill(&h->m.w);
	sum.kills++;
	if (chance(h, 4) == 0)
		index_memory_remove();
	else
		index_memory_go_back((unsigned)chance(h, 3));
	if (disk_memory_cut(h->m.w.disk) || !store_start(h))
		return;
	model_settle(&h->m);
}

static void
end_of_power(struct history *h)
{
	model_trail(&h->m, " CUT");
	hw_power_cut(&h->m.w);
	model_forget(&h->m);
	sum.cuts++;
	if (chance(h, 6) == 0)
		index_memory_remove();
	else
		index_memory_go_back((unsigned)chance(h, 3));
}

static void
clean_end(struct history *h)
{
	model_trail(&h->m, " STOP");
	for (unsigned n = 0; n < HW_CLIENTS_MAX; n++) {
		if (h->m.w.clients[n].stopped)
			hw_client_resume(&h->m.w, n);
		model_settle(&h->m);
	}
	for (unsigned n = 0; n < HW_CLIENTS_MAX && alive(h); n++)
		hw_client_kill(&h->m.w, n);
	if (!alive(h)) {
		end_of_power(h);
		return;
	}
	hw_settle(&h->m.w);
	hw_store_close(&h->m.w);
	model_forget(&h->m);
	if (disk_memory_cut(h->m.w.disk))
		end_of_power(h);
}

static void
life(struct history *h, unsigned steps)
{
	for (unsigned n = 0; n < 2; n++)
		hw_client_open(&h->m.w, n);
	if (!model_bucket(&h->m, 0) && alive(h))
		return;
	for (unsigned i = 0; i < steps && !h->m.failed && !disk_memory_cut(h->m.w.disk); i++) {
		if (alive(h))
			step(h);
		if (!disk_memory_cut(h->m.w.disk) && (h->m.w.fatal || chance(h, 40) == 0))
			store_again(h);
		if (h->m.w.state == NULL)
			return;
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool
opened_for_reading(struct history *h, const char *when)
{
	h->m.bucket = true;
	if (!store_start(h)) {
		model_trail(&h->m, " (%s)", when);
		return (false);
	}
	hw_client_open(&h->m.w, 3);
	return (true);
}

static void
closed_again(struct history *h)
{
	hw_client_kill(&h->m.w, 3);
	hw_store_close(&h->m.w);
}

static void
rebuilt_differs(struct model *m, const char *grown, const char *rebuilt)
{
	size_t at = 0, line = 0;

	for (; grown[at] == rebuilt[at]; at++)
		if (grown[at] == '\n')
			line = at + 1;
	model_wrong(m, "the rebuilt index differs: %.100s is %.100s", grown + line, rebuilt + line);
}

/* When all is deleted and no client is left, nothing stays in volumes. */
static void
nothing_left_check(struct history *h)
{
	struct model *m = &h->m;

	for (unsigned k = 0; k < MODEL_KEYS; k++)
		model_begin(m, 3, k, MODEL_DELETE);
	model_settle(m);
	model_verify(m, 3, "deleted");
	hw_client_kill(&m->w, 3);
	for (unsigned i = 0; i < 20; i++) {
		m->w.now_ms += 2000;
		hw_settle(&m->w);
	}
	hw_store_close(&m->w);
	if (!store_start(h))		/* what the catalog does not name goes away */
		return;
	hw_settle(&m->w);
	if (disk_memory_find(m->w.disk, "/vol/", 0) != NULL) {
		struct state_stats t;

		state_stats(m->w.state, &t);
		model_wrong(m, "%s (and %s) is left after all was deleted; reclaim: %llu wait, "
		    "%llu failed", disk_memory_find(m->w.disk, "/vol/", 0),
		    disk_memory_find(m->w.disk, "/vol/", 1) == NULL ? "nothing else" :
		    disk_memory_find(m->w.disk, "/vol/", 1),
		    (unsigned long long)t.reclaim_waiting,
		    (unsigned long long)t.reclaim_failures);
	}
	hw_client_open(&m->w, 3);
}

/* Rebuilt from the log alone the index is, byte by byte, the one that grew. */
static void
rebuilt_check(struct history *h)
{
	char *grown, *rebuilt = NULL;

	hw_client_kill(&h->m.w, 3);
	hw_settle(&h->m.w);
	hw_store_close(&h->m.w);
	if (!store_start(h))
		return;
	grown = hw_dump(&h->m.w);
	hw_store_kill(&h->m.w);
	index_memory_remove();
	if (store_start(h)) {
		rebuilt = hw_dump(&h->m.w);
		if (strcmp(grown, rebuilt) != 0)
			rebuilt_differs(&h->m, grown, rebuilt);
		hw_client_open(&h->m.w, 3);
		model_verify(&h->m, 3, "rebuilt");
	}
	free(grown);
	free(rebuilt);
}

/* With any m drives away all of it can be read. */
static void
without_m_drives(struct history *h)
{
	unsigned n = sets[h->set].drives;
	uint32_t away = 0;

	while ((unsigned)__builtin_popcount(away) < sets[h->set].m)
		away |= 1u << chance(h, n);
	for (unsigned i = 0; i < n; i++)
		disk_memory_set_missing(h->m.w.disk, i, away >> i & 1);
	if (opened_for_reading(h, "without m drives")) {
		model_verify(&h->m, 3, "without m drives");
		closed_again(h);
	}
	drives_heal(h);
}

static bool
history_end(struct history *h)
{
	struct model *m = &h->m;

	drives_heal(h);
	disk_memory_cut_at(m->w.disk, 0);
	if (!m->failed && opened_for_reading(h, "at the end")) {
		if (model_bucket(m, 3))
			model_verify(m, 3, "at the end");
		if (!m->failed && chance(h, 4) == 0)
			rebuilt_check(h);
		/* A drive that lied about its own files may be one that nobody can look after. */
		if (!m->failed && chance(h, 4) == 0 && m->w.drives != NULL &&
		    !drive_set_read_only(m->w.drives) && !(h->bad & (BAD_LIES | BAD_ROT)))
			nothing_left_check(h);
		closed_again(h);
	}
	if (!m->failed && h->bad == 0 && sets[h->set].m > 0)
		without_m_drives(h);
	if (m->failed)
		fprintf(stderr, "HOLDFAST_TEST_SEED=%llu HOLDFAST_TEST_CUT=%llu (set %s, bad %u, "
		    "victims "
		    "%x): %s\n    %s\n", (unsigned long long)m->seed, (unsigned long long)h->cut,
		    sets[h->set].erasure, h->bad, h->victims, m->why, m->trail);
	sum.histories++;
	sum.operations += m->operations;
	sum.acknowledged += m->acknowledged;
	sum.reads += m->reads;
	model_free(m);
	return (!m->failed);
}

static void
history_begin(struct history *h, uint64_t seed, unsigned set)
{
	memset(h, 0, sizeof(*h));
	h->set = set;
	model_make(&h->m, seed, sets[set].drives, sets[set].erasure);
	if (chance(h, 2) == 0)
		disk_memory_set_sector(h->m.w.disk, 512);
}

static void
victims_choose(struct history *h)
{
	unsigned n = sets[h->set].drives, many = sets[h->set].m;

	/* Missing ones must leave enough to write; no other fault takes a drive away at start. */
	while (many > 0 && (h->bad & (BAD_MISSING | BAD_EIO)) && n - many < sets[h->set].write_min)
		many--;
	while ((unsigned)__builtin_popcount(h->victims) < many)
		h->victims |= 1u << chance(h, n);
}

static bool
random_history(uint64_t seed)
{
	static struct history h;
	unsigned lives;

	history_begin(&h, seed, (unsigned)(seed % 7 < SETS ? seed % 7 : 0));
	if (seed % 3 != 0)
		h.bad = 1u << chance(&h, 6) | (chance(&h, 3) == 0 ? 1u << chance(&h, 6) : 0);
	victims_choose(&h);
	for (lives = 1 + (unsigned)chance(&h, 3); lives > 0 && !h.m.failed; lives--) {
		if (chance(&h, 3) != 0)
			disk_memory_cut_at(h.m.w.disk, 1 + chance(&h, 500));
		if (store_start(&h))
			life(&h, 10 + (unsigned)chance(&h, 40));
		if (h.m.failed)
			break;
		if (!disk_memory_cut(h.m.w.disk) && chance(&h, 3) == 0)
			clean_end(&h);
		else
			end_of_power(&h);
		if (chance(&h, 2) == 0)
			drives_heal(&h);
	}
	return (history_end(&h));
}

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
	disk_memory_cut_at(h.m.w.disk, cut);
	if (store_start(&h)) {
		hw_client_open(&h.m.w, 0);
		if (model_bucket(&h.m, 0))
			for (size_t i = 0; i < sizeof(script) / sizeof(script[0]) &&
			    alive(&h); i++) {
				model_begin(&h.m, 0, script[i].key, script[i].kind);
				if (script[i].wait)
					model_settle(&h.m);
			}
	}
	was_cut = disk_memory_cut(h.m.w.disk);
	if (!h.m.failed)
		end_of_power(&h);
	if (!h.m.failed && chance(&h, 2) == 0) {	/* and again while it recovers */
		disk_memory_cut_at(h.m.w.disk, 1 + chance(&h, 60));
		if (store_start(&h))
			end_of_power(&h);
		else
			hw_power_cut(&h.m.w);
	}
	*good = history_end(&h);
	return (was_cut);
}

static void
say_counts(const char *what, uint64_t began_ms)
{
	proof_say("histories", sum.histories,
	    "store and clients, %s (%u operations, %u acknowledged, %u "
	    "reads, %u power cuts, %u kills, %u stops, %u faults; %llu ms)", what, sum.operations,
	    sum.acknowledged, sum.reads, sum.cuts, sum.kills, sum.stops, sum.faults,
	    (unsigned long long)(clock_mono_ms() - began_ms));
}

Test(histories, a_cut_at_every_step, .timeout = 600)
{
	uint64_t only = environment_number("HOLDFAST_TEST_CUT", 0), began = clock_mono_ms();
	uint64_t seed = environment_number("HOLDFAST_TEST_SEED", 0), cut;
	uint64_t stride = environment_number("HOLDFAST_TEST_CUT_STRIDE", 1);
	bool good, came = true;
	unsigned bad = 0;

	if (seed != 0 && only == 0)
		return;
	for (unsigned set = 0; set < SETS; set++) {
		came = true;
		for (cut = only != 0 ? only : 1; came && cut < 2000; cut += stride) {
			came = short_history(seed != 0 ? seed : 7 * cut + set, set, cut, &good);
			bad += !good;
			if (only != 0 || bad > 3)
				break;
		}
		cr_expect(only != 0 || bad > 0 || cut > 60, "only %llu steps",
		    (unsigned long long)cut);
	}
	say_counts("the power cut at every step", began);
	cr_assert_eq(bad, 0);
}

Test(histories, random, .timeout = 36000)
{
	uint64_t only = environment_number("HOLDFAST_TEST_SEED", 0), began = clock_mono_ms();
	uint64_t first = environment_number("HOLDFAST_TEST_FIRST", 1), seed;
	uint64_t count = environment_number("HOLDFAST_TEST_HISTORIES", 10000);
	unsigned bad = 0;

	if (environment_number("HOLDFAST_TEST_CUT", 0) != 0)
		return;
	for (seed = only != 0 ? only : first; seed < (only != 0 ? only + 1 : first + count) &&
	    bad < 4;
	    seed++)
		bad += !random_history(seed);
	say_counts("random", began);
	cr_assert_eq(bad, 0);
}
