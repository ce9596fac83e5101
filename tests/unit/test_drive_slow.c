/*
 * test_drive_slow - histograms of latencies, and drives that are slower than their peers: found,
 * avoided where others suffice, and taken again; with a clock of the test's, and over a log on
 * drives that take their time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "libbase/clock.h"
#include "libstore/drive/drive_slow.h"
#include "libstore/log/log_internal.h"
#include "libstore/log/segment_judge.h"
#include "tests/unit/disk_memory.h"

#define WINDOW_MS	16000u		/* of the clock that the test turns */
#define STEP_MS		1000u

static const char *const paths[4] = { "/d0", "/d1", "/d2", "/d3" };
static const struct drive_slow_rule rule = { .times = 5, .floor_us = 50000,
	.window_ms = WINDOW_MS };

struct set {
	struct disk		*disk;
	struct drive_set	*set;
	uint64_t		 now_ms;
	bool			 watch;
};

static void
set_open(struct set *t, unsigned count, const char *erasure)
{
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = paths, .count = count, .erasure = erasure,
		.segment_bytes = 65536, .volume_bytes = 16u << 20 };
	struct err e = ERR_INIT;

	*t = (struct set){ .disk = disk_memory_new(7, count), .now_ms = 1000000 };
	cr_assert_eq(drive_set_open(t->disk, &o, &t->set, &e), 0, "%s", e.text);
	drive_slow_rule_set(t->set, &rule);
	(void)drive_slow_judge(t->set, t->now_ms, &t->watch);
}

static void
set_close(struct set *t)
{
	drive_set_close(&t->set);
	disk_memory_free(t->disk);
}

/* Each drive of the mask does steps of so many us until `ms' are over. Slow ones at the end. */
static uint32_t
pass(struct set *t, unsigned ms, enum latency_kind kind, const uint64_t us[4])
{
	uint32_t mask = drive_slow_mask(t->set);

	for (unsigned at = 0; at < ms; at += STEP_MS) {
		for (unsigned slot = 0; slot < drive_count(t->set); slot++)
			for (unsigned n = 0; us[slot] != 0 && n < 4; n++)
				drive_latency_note(t->set, slot, kind, us[slot]);
		t->now_ms += STEP_MS;
		mask = drive_slow_judge(t->set, t->now_ms, &t->watch);
	}
	return (mask);
}

static const uint64_t well[4] = { 20000, 22000, 21000, 25000 };
static const uint64_t one_slow[4] = { 20000, 22000, 310000, 25000 };

Test(latency, a_histogram_has_the_median_of_its_window)
{
	static struct latency l;
	uint64_t us;

	cr_assert_eq(latency_bucket(0), 0);
	cr_assert_eq(latency_bucket(1), 0);
	cr_assert_eq(latency_bucket(1024), 10);
	cr_assert_eq(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
	cr_assert_eq(latency_median(&l, &us), 0);
	cr_assert_eq(us, 0);
	for (unsigned i = 0; i < 100; i++)
		latency_note(&l, 1000 + i);
	latency_note(&l, 1000000000);
	cr_assert_eq(latency_median(&l, &us), 101);
	cr_assert(us >= 512 && us < 2048, "%d", (int)us);
	for (unsigned i = 0; i < LATENCY_SLICES; i++) {
		latency_slide(&l, 1);
		latency_note(&l, 40000);
	}
	cr_assert_eq(latency_median(&l, &us), LATENCY_SLICES, "the first slice is forgotten");
	cr_assert(us >= 32768 && us < 65536, "%d", (int)us);
	latency_slide(&l, 1000);
	cr_assert_eq(latency_median(&l, &us), 0);
}

Test(drive_slow, a_drive_is_slow_after_the_window_and_not_before)
{
	struct set t;
	char why[160];

	set_open(&t, 4, "");
	cr_assert_eq(pass(&t, 4 * WINDOW_MS, LATENCY_LOG, well), 0);
	cr_assert_not(t.watch);
	cr_assert_eq(pass(&t, WINDOW_MS, LATENCY_LOG, one_slow), 0, "not yet");
	cr_assert(t.watch);
	cr_assert_eq(pass(&t, WINDOW_MS, LATENCY_LOG, one_slow), 1u << 2);
	drive_slow_why(t.set, 2, why, sizeof(why));
	cr_assert_not_null(strstr(why, "times slower than its peers for 16 s: its log writes take"),
	    "%s", why);
	drive_slow_why(t.set, 1, why, sizeof(why));
	cr_assert_str_eq(why, "");
	cr_assert_eq(drive_online_mask(t.set), 15, "slow is not failed");
	set_close(&t);
}

Test(drive_slow, a_burst_fast_noise_and_slow_peers_are_none)
{
	static const uint64_t noise[4] = { 100, 90, 45000, 110 }, all[4] = { 300000, 310000,
		320000, 330000 }, twice[4] = { 100000, 110000, 220000, 100000 };
	struct set t;

	set_open(&t, 4, "");
	cr_assert_eq(pass(&t, WINDOW_MS / 2, LATENCY_SYNC, one_slow), 0);
	cr_assert_eq(pass(&t, 2 * WINDOW_MS, LATENCY_SYNC, well), 0, "a burst");
	cr_assert_not(t.watch);
	cr_assert_eq(pass(&t, 4 * WINDOW_MS, LATENCY_SYNC, noise), 0, "below the floor");
	cr_assert_eq(pass(&t, 4 * WINDOW_MS, LATENCY_SYNC, all), 0, "all alike");
	cr_assert_eq(pass(&t, 4 * WINDOW_MS, LATENCY_SYNC, twice), 0, "not so much slower");
	t.now_ms += 1000 * WINDOW_MS;
	cr_assert_eq(drive_slow_judge(t.set, t.now_ms, &t.watch), 0, "idle");
	set_close(&t);
}

/* --- What clients report. --- */

/* A report of one row for each drive, of so many steps of so many us. */
static int
reported(struct set *t, Hf__DriveLatencies__Row__Kind kind, const uint64_t us[4], uint32_t count,
    struct err *e)
{
	Hf__DriveLatencies all = HF__DRIVE_LATENCIES__INIT;
	Hf__DriveLatencies__Row rows[4], *list[4];
	uint32_t counts[4][LATENCY_BUCKETS] = { { 0 } };

	for (unsigned slot = 0; slot < drive_count(t->set); slot++) {
		hf__drive_latencies__row__init(&rows[slot]);
		rows[slot].slot = slot;
		rows[slot].kind = kind;
		rows[slot].counts = counts[slot];
		rows[slot].n_counts = LATENCY_BUCKETS;
		counts[slot][latency_bucket(us[slot])] = count;
		list[slot] = &rows[slot];
	}
	all.n_rows = drive_count(t->set);
	all.rows = list;
	return (drive_latencies_take(t->set, &all, e));
}

#define KIND(NAME) HF__DRIVE_LATENCIES__ROW__KIND__##NAME

Test(drive_slow, one_that_is_slow_for_bodies_alone_is_reported)
{
	static const Hf__DriveLatencies__Row__Kind kinds[] = { KIND(READ), KIND(READ_LARGE),
		KIND(WRITE), KIND(WRITE_LARGE), KIND(SYNC) };
	static const char *const names[] = { "small reads", "large reads", "small writes",
		"large writes", "syncs" };
	struct err e = ERR_INIT;
	struct set t;
	char why[200];

	for (unsigned i = 0; i < 5; i++) {
		set_open(&t, 4, "");
		cr_assert_eq(drive_latencies_ms(t.set), WINDOW_MS / 8);
		for (unsigned at = 0; at < 5 * WINDOW_MS / 2; at += WINDOW_MS / 8) {
			cr_assert_eq(reported(&t, kinds[i], one_slow, 3, &e), 0, "%s", e.text);
			(void)pass(&t, WINDOW_MS / 8, LATENCY_LOG, well);
		}
		cr_assert_eq(drive_slow_mask(t.set), 1u << 2, "its log writes are as fast");
		drive_slow_why(t.set, 2, why, sizeof(why));
		cr_assert_not_null(strstr(why, names[i]), "%s", why);
		cr_assert_eq(pass(&t, 2 * WINDOW_MS, LATENCY_LOG, well), 0, "it is well again");
		set_close(&t);
	}
}

/* Z4: whatever one report says, and what is said of others at once. */
Test(drive_slow, one_report_condemns_nobody)
{
	static const uint64_t lie[4] = { 1, 1, UINT64_MAX, 1 };
	struct err e = ERR_INIT;
	uint64_t mine, theirs;
	struct set t;

	set_open(&t, 4, "");
	cr_assert_eq(reported(&t, KIND(SYNC), lie, UINT32_MAX, &e), 0, "%s", e.text);
	cr_assert_eq(drive_latency_look(t.set, 2, LATENCY_SYNC, &mine, &theirs),
	    LATENCY_REPORT_SAMPLES);
	cr_assert_eq(pass(&t, 4 * WINDOW_MS, LATENCY_LOG, well), 0);
	cr_assert_not(t.watch);
	cr_assert_eq(reported(&t, KIND(READ), lie, UINT32_MAX, &e), 0, "%s", e.text);
	t.now_ms += STEP_MS;
	cr_assert_eq(drive_slow_judge(t.set, t.now_ms, &t.watch), 0);
	for (unsigned at = 0; at < 4 * WINDOW_MS; at += STEP_MS) {	/* and then silence */
		t.now_ms += STEP_MS;
		cr_assert_eq(drive_slow_judge(t.set, t.now_ms, &t.watch), 0);
	}
	cr_assert_not(t.watch);
	set_close(&t);
}

/* It weighs little beside what the others see, for as long as they see it. */
Test(drive_slow, counts_are_weighed)
{
	static uint32_t many[LATENCY_BUCKETS];
	Hf__DriveLatencies__Row row = HF__DRIVE_LATENCIES__ROW__INIT, *list[1] = { &row };
	Hf__DriveLatencies all = HF__DRIVE_LATENCIES__INIT;
	struct err e = ERR_INIT;
	uint64_t mine, theirs, n;
	struct set t;

	set_open(&t, 4, "");
	memset(many, 0xff, sizeof(many));
	many[0] = 1;
	row.kind = KIND(WRITE);
	row.counts = many;
	row.n_counts = LATENCY_BUCKETS;
	all.n_rows = 1;
	all.rows = list;
	cr_assert_eq(drive_latencies_take(t.set, &all, &e), 0, "%s", e.text);
	n = drive_latency_look(t.set, 0, LATENCY_WRITE, &mine, &theirs);
	cr_assert(n >= LATENCY_REPORT_SAMPLES && n <= LATENCY_REPORT_SAMPLES + LATENCY_BUCKETS,
	    "%d", (int)n);
	set_close(&t);
}

Test(drive_slow, a_report_that_makes_no_sense_is_refused_whole)
{
	static uint32_t counts[LATENCY_BUCKETS + 1] = { 5 };
	static const struct { uint32_t slot, kind; size_t n; const char *why; } wrong[] = {
		{ 4, KIND(READ), 1, "slot 4: there are 4" },
		{ UINT32_MAX, KIND(READ), 1, "slot 4294967295" },
		{ 1, KIND(NONE), 1, "kind 0" },
		{ 1, 6, 1, "kind 6" },
		{ 1, UINT32_MAX, 1, "kind 4294967295" },
		{ 1, KIND(SYNC), LATENCY_BUCKETS + 1, "29 buckets" },
		{ 0, KIND(READ), 1, "two rows" },
	};
	Hf__DriveLatencies__Row rows[2], *list[2] = { &rows[0], &rows[1] };
	Hf__DriveLatencies all = HF__DRIVE_LATENCIES__INIT;
	uint64_t mine, theirs;
	struct set t;

	set_open(&t, 4, "");
	all.n_rows = 2;
	all.rows = list;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct err e = ERR_INIT;

		for (unsigned r = 0; r < 2; r++) {
			hf__drive_latencies__row__init(&rows[r]);
			rows[r].kind = KIND(READ);
			rows[r].counts = counts;
			rows[r].n_counts = 1;
		}
		rows[1].slot = wrong[i].slot;
		rows[1].kind = (Hf__DriveLatencies__Row__Kind)wrong[i].kind;
		rows[1].n_counts = wrong[i].n;
		cr_assert_eq(drive_latencies_take(t.set, &all, &e), ERR_INVALID);
		cr_assert_not_null(strstr(e.text, wrong[i].why), "%s", e.text);
		cr_assert_eq(drive_latency_look(t.set, 0, LATENCY_READ, &mine, &theirs), 0);
	}
	set_close(&t);
}

/* Without steps nothing is known; then the probe says that it is fast. In between it stays. */
Test(drive_slow, it_is_taken_again_when_it_answers_as_its_peers_do)
{
	static const uint64_t between[4] = { 20000, 20000, 80000, 20000 }, nothing[4] = { 0 };
	struct set t;
	unsigned n;

	set_open(&t, 4, "");
	cr_assert_eq(pass(&t, 2 * WINDOW_MS, LATENCY_LOG, one_slow), 4);
	cr_assert_eq(pass(&t, 4 * WINDOW_MS, LATENCY_PROBE, nothing), 4, "nothing is known");
	cr_assert(t.watch);
	cr_assert_eq(pass(&t, 4 * WINDOW_MS, LATENCY_PROBE, between), 4, "hysteresis");
	cr_assert_eq(pass(&t, 2 * WINDOW_MS, LATENCY_PROBE, well), 0);
	cr_assert_not(t.watch);
	/* Soon again: it has to be well for longer and longer. */
	for (unsigned relapse = 1; relapse <= 6; relapse++) {
		cr_assert_eq(pass(&t, 2 * WINDOW_MS, LATENCY_LOG, one_slow), 4);
		for (n = 0; pass(&t, WINDOW_MS, LATENCY_PROBE, well) != 0; n++)
			cr_assert_lt(n, 20);
		cr_assert_geq(n, (1u << (relapse < 4 ? relapse : 4)) - 1, "relapse %d", relapse);
	}
	set_close(&t);
}

Test(drive_slow, of_two_drives_and_of_none)
{
	static const uint64_t two[4] = { 9000, 400000 }, second[4] = { 4000000, 300000 };
	struct set t;

	set_open(&t, 2, "1+1");
	cr_assert_eq(pass(&t, 2 * WINDOW_MS, LATENCY_LOG, two), 2);
	cr_assert_eq(pass(&t, 6 * WINDOW_MS, LATENCY_LOG, second), 1, "now it is the other");
	drive_slow_rule_set(t.set, &(struct drive_slow_rule){ .times = 0, .window_ms = 1000 });
	cr_assert_eq(drive_slow_judge(t.set, t.now_ms, &t.watch), 0, "switched off");
	cr_assert_not(t.watch);
	set_close(&t);
	set_open(&t, 1, "1+0");
	cr_assert_eq(pass(&t, 4 * WINDOW_MS, LATENCY_LOG, second), 0, "it has no peers");
	set_close(&t);
}

/* Steps of seconds are few: both mirrors of the log have one in four seconds. */
Test(drive_slow, few_long_steps_say_enough)
{
	struct set t;
	uint32_t mask = 0;

	set_open(&t, 4, "");
	for (unsigned n = 0; n < 12; n++) {
		drive_latency_note(t.set, 0, LATENCY_LOG, 3000);
		drive_latency_note(t.set, 1, LATENCY_LOG, 3900000);
		for (unsigned i = 0; i < 4; i++) {
			t.now_ms += STEP_MS;
			mask = drive_slow_judge(t.set, t.now_ms, &t.watch);
		}
	}
	cr_assert_eq(mask, 2);
	set_close(&t);
}

Test(drive_slow, a_drive_that_goes_away_begins_anew)
{
	struct set t;
	struct err e = ERR_INIT;
	uint64_t mine, theirs;

	set_open(&t, 4, "");
	cr_assert_eq(pass(&t, 2 * WINDOW_MS, LATENCY_LOG, one_slow), 4);
	cr_assert_gt(drive_latency_look(t.set, 2, LATENCY_LOG, &mine, &theirs), 8);
	cr_assert_geq(mine, 5 * theirs);
	cr_assert_eq(drive_fail(t.set, 2, "it is pulled out", &e), 0, "%s", e.text);
	cr_assert_eq(drive_slow_judge(t.set, t.now_ms + STEP_MS, &t.watch), 0);
	cr_assert_eq(drive_latency_look(t.set, 2, LATENCY_LOG, &mine, &theirs), 0);
	cr_assert_not(t.watch);
	set_close(&t);
}

/* --- the log, on drives that take their time -------------------------------------------------- */

static void
on_commit(void *context, const struct log_commit *c)
{
	cr_assert_eq(c->code, 0);
	++*(unsigned *)context;
}

static void
append_one(struct log *l)
{
	struct pollfd p = { log_wake_fd(l), POLLIN, 0 };
	struct err e = ERR_INIT;
	unsigned landed = 0;
	uint64_t batch;

	cr_assert_eq(log_append(l, LOG_SHARE_NONE, 7, SLICE("meta", 4), SLICE("some bytes", 10),
	    NULL, &batch, &e), 0, "%s", e.text);
	log_submit(l);
	while (landed == 0 && poll(&p, 1, 20000) == 1)
		log_collect(l, on_commit, &landed);
	cr_assert_eq(landed, 1);
}

/* The slots of the segment that is written, which has all its mirrors. */
static uint32_t
log_slots(struct log *l)
{
	uint32_t mask = 0;

	pthread_mutex_lock(&l->lock);
	cr_assert_eq(l->current->mirror_count, 3);
	for (unsigned i = 0; i < l->current->mirror_count; i++)
		mask |= 1u << l->current->slots[i];
	pthread_mutex_unlock(&l->lock);
	return (mask);
}

/* Until the drives that are slow are these. */
static void
append_until(struct set *t, struct log *l, uint32_t slow)
{
	uint64_t deadline = clock_mono_ms() + 30000;
	uint32_t mask = ~slow, before = 0;

	while (mask != slow && clock_mono_ms() < deadline) {
		append_one(l);
		mask = drive_slow_judge(t->set, clock_mono_ms(), &t->watch);
		if ((mask & ~before) != 0)
			log_drives_slow(l);
		if (mask != 0)
			drive_slow_probe(t->set, mask);
		before = mask;
	}
	for (unsigned i = 0; mask != slow && i < 4; i++)
		for (unsigned kind = 0; kind < LATENCY_KINDS; kind++) {
			uint64_t mine, theirs, n;

			n = drive_latency_look(t->set, i, kind, &mine, &theirs);
			fprintf(stderr, "slot %u: %u %s of %u us, peers %u us\n", i, (unsigned)n,
			    latency_kind_name(kind), (unsigned)mine, (unsigned)theirs);
		}
	cr_assert_eq(mask, slow, "%x are slow", mask);
}

Test(drive_slow, the_log_leaves_a_slow_drive_and_comes_back, .timeout = 120)
{
	struct drive_slow_rule quick = { .times = 3, .floor_us = 30000, .window_ms = 1200 };
	uint64_t deadline;
	struct err e = ERR_INIT;
	struct log *l;
	unsigned slow;
	struct set t;

	set_open(&t, 4, "");
	drive_slow_rule_set(t.set, &quick);
	cr_assert_eq(log_open_with(t.set, true, &l, &e), 0, "%s", e.text);
	append_one(l);
	slow = (unsigned)__builtin_ctz(log_slots(l));
	disk_memory_set_latency(t.disk, slow, 40);
	append_until(&t, l, 1u << slow);
	for (deadline = clock_mono_ms() + 20000; log_slots(l) >> slow & 1; append_one(l))
		cr_assert_lt(clock_mono_ms(), deadline, "the log stays on it");
	cr_assert_eq(drive_online_mask(t.set), 15);
	disk_memory_set_latency(t.disk, slow, 0);
	append_until(&t, l, 0);
	log_close(&l);
	set_close(&t);
}

Test(drive_slow, mirrors_are_not_given_up_for_speed, .timeout = 60)
{
	static const uint64_t two_slow[4] = { 900000, 22000, 910000, 25000 };
	uint32_t slots[DRIVES_MAX];
	struct err e = ERR_INIT;
	uint32_t mask = 0;
	struct log *l;
	struct set t;
	int n;

	set_open(&t, 4, "");
	cr_assert_eq(log_open_with(t.set, false, &l, &e), 0, "%s", e.text);
	cr_assert_eq(pass(&t, 3 * WINDOW_MS, LATENCY_WRITE, two_slow), 5);
	n = log_place_choose(l, LOG_SHARE_NONE, 65536, slots, &e);
	cr_assert_eq(n, 3, "%s", e.text);
	for (int i = 0; i < n; i++)
		mask |= 1u << slots[i];
	cr_assert_eq(mask & 10, 10, "both that are fast, and one more");
	log_drives_slow(l);
	log_close(&l);
	set_close(&t);
}
