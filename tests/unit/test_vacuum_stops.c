/*
 * test_vacuum_stops - vacuum that is refused memory, stopped at every question, or cut off by the
 * power at every step; and a rebuild of the index that is interrupted after one. HOLDFAST_TEST_CUT
 * is a step to cut at alone, HOLDFAST_TEST_CUTS takes all of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/proof.h"
#include "tests/unit/setting.h"
#include "tests/unit/vacuum_history.h"

/* Refused once at each place where memory is taken; what could be done then was done. */
Test(vacuum, no_memory_for_it, .timeout = 60)
{
	struct err e = ERR_INIT;
	unsigned refused = 0;
	uint64_t *ids;
	size_t n;

	vh.seed = 1001;
	vh_begin_lived(60);
	n = world_segments(&vh.w, &ids);
	for (size_t i = 0; i < n; i++) {
		vh.m.purse.refuse_at = 0;
		for (int rc = ERR_FULL; rc == ERR_FULL; refused += rc == ERR_FULL) {
			vh.m.purse.refuse_at++;
			rc = world_vacuum(&vh.m, ids[i], &e);
			cr_assert(rc == 0 || rc == ERR_FULL, "%s", e.text);
		}
	}
	vh.m.purse.refuse_at = 0;
	free(ids);
	cr_assert_geq(refused, 4 * n - 4, "its own, the list of the dead, the copies, a window");
	vh_check();
	vh_end();
}

/* A worker that ends at any of its questions: the next one finishes. */
Test(vacuum, stopped_at_every_question, .timeout = 300)
{
	uint64_t *ids;
	struct err e = ERR_INIT;
	size_t n;
	unsigned stops = 0;

	vh.seed = 1000;
	vh_begin_lived(60);
	n = world_segments(&vh.w, &ids);
	cr_assert_gt(n, 2);
	for (size_t i = 0; i < n; i++)
		for (unsigned stop = 1;; stop++) {
			int rc;

			vh.m.stop_at = stop;
			rc = world_vacuum(&vh.m, ids[i], &e);
			cr_assert(rc == 0 || rc == ERR_CANCELLED, "%s", e.text);
			vh_check_uses();
			if (rc == 0)
				break;
			stops++;
			if (stop % 3 == 0)
				vh_check_rebuilt();
		}
	vh.m.stop_at = 0;
	free(ids);
	vh_check();
	vh_check_rebuilt();
	vh_check();
	proof_say("maintenance stops", stops, "vacuum stopped at every question");
	vh_end();
}

static volatile bool stop;

static void
on_replay(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	stop |= done > total / 10 * 9;
}

/* What a rebuild leaves out until its end must not be taken for the whole by the next start. */
Test(vacuum, an_interrupted_rebuild_is_begun_anew, .timeout = 120)
{
	struct state_recovery how;
	struct err e = ERR_INIT;
	struct index *x = NULL, *own;
	char path[128], *live, *rebuilt;

	vh.seed = 1004;
	vh_begin_lived(60);
	vh_vacuum_all();
	for (unsigned i = 0; i < 4800; i++) {
		char key[32];

		snprintf(key, sizeof(key), "many-%u", i);
		world_put(&vh.w, ++vh.sequence, "b", key, "body", NULL);
		if (i % 16 == 15)
			vh_answered(0);
	}
	world_seal(&vh.w);
	snprintf(path, sizeof(path), "%s/second", vh.w.directory);
	stop = false;
	cr_assert_eq(state_recover(vh.w.drives, vh.w.log, path, 8 << 20, on_replay, NULL, &stop,
	    &how, &x, &e), ERR_CANCELLED, "%s", e.text);
	cr_assert_null(x);
	cr_assert_eq(index_open(path, 8 << 20, &x, &e), 0, "%s", e.text);
	cr_assert_gt(index_applied(x), catalog_horizon(vh.w.drives), "it was in the middle");
	index_close(&x);
	cr_assert_eq(state_recover(vh.w.drives, vh.w.log, path, 8 << 20, NULL, NULL, NULL, &how, &x,
	    &e), 0, "%s", e.text);
	cr_assert(how.rebuilt);
	cr_assert_not_null(strstr(how.why, "interrupted"), "%s", how.why);
	live = world_dump(&vh.w, NULL);
	own = vh.w.index;
	vh.w.index = x;
	rebuilt = world_dump(&vh.w, NULL);
	vh.w.index = own;
	vh_check_dumps(live, rebuilt);
	free(live);
	free(rebuilt);
	index_close(&x);
	vh_end();
}

static void
old_index_path(char out[128])
{
	snprintf(out, 128, "%s/old", vh.w.directory);
}

/* The power is back; it may fail again while the store recovers. The index is lost, or one from
 * before or within the vacuum, as a store has it that did not stop cleanly. */
static void
power_again(uint64_t step, uint64_t again)
{
	char path[128], old[128];

	disk_memory_restart(vh.w.disk);
	snprintf(path, sizeof(path), "%s/index", vh.w.directory);
	old_index_path(old);
	if (step % 3 != 0)
		world_index_remove(&vh.w);
	if (step % 3 == 1)
		cr_assert_eq(rename(old, path), 0);
	world_open_again(&vh.w, again);
}

/* As it is on the disk now. */
static void
index_keep(void)
{
	struct err e = ERR_INIT;
	uint64_t applied;
	char path[128];

	old_index_path(path);
	index_destroy(path, &e);
	remove(path);
	cr_assert_eq(index_checkpoint(vh.w.index, path, &applied, &e), 0, "%s", e.text);
}

/* False: the vacuum ended before the cut came. */
static bool
cut_at(uint64_t step)
{
	struct err e = ERR_INIT;
	uint64_t *ids;
	size_t n, old;
	bool was_cut;

	vh_begin_lived(40);
	n = world_segments(&vh.w, &ids);
	disk_memory_cut_at(vh.w.disk, step);
	old = vh_below(n);
	for (size_t i = 0; i < n && !disk_memory_cut(vh.w.disk); i++) {
		if (i == 0 || i == old)
			index_keep();
		world_vacuum(&vh.m, ids[i], &e);
	}
	free(ids);
	was_cut = disk_memory_cut(vh.w.disk);
	if (was_cut) {
		world_close(&vh.w);
		power_again(step, 1 + vh_below(80));
		vh_reopened();
		disk_memory_cut_at(vh.w.disk, 0);
	}
	disk_memory_cut_at(vh.w.disk, 0);
	vh_check_uses();
	vh_check();
	vh_check_rebuilt();
	vh_vacuum_all();
	vh_check();
	vh_check_rebuilt();
	vh_check();
	vh_end();
	return (was_cut);
}

Test(vacuum, a_cut_at_every_step, .timeout = 600)
{
	uint64_t only = setting("HOLDFAST_TEST_CUT", 0), step = 1, cuts = 0;
	uint64_t stride = setting("HOLDFAST_TEST_CUTS", 0) != 0 ? 1 : 17;

	vh.seed = 1002;
	if (only != 0) {
		cut_at(only);
		return;
	}
	/* Another stride each time would miss none; the first steps tell of each phase. */
	while (cut_at(step)) {
		step += step < 20 ? 1 : stride;
		cuts++;
	}
	proof_say("histories", cuts, "vacuum: the power cut in %" PRIu64 " steps", step);
	cr_assert_gt(cuts, 30);
}
