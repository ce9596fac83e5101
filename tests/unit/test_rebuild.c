/*
 * test_rebuild - a drive comes back, or a new one comes in its place: what it lacks is rebuilt, and
 * then any other m drives may go. Over a simulated disk; the check reads every byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/log/log_internal.h"
#include "libstore/maintain/rebuild.h"
#include "libstore/volume/volume.h"
#include "tests/unit/proof.h"
#include "tests/unit/rebuild_world.h"
#include "tests/unit/world_check.h"

/* --- a drive that returns --------------------------------------------------------------------- */

/* Drive 3 is away while bodies are put and deleted. */
static void
history(uint64_t seed)
{
	begin(seed);
	bodies_put(4);
	disk_memory_set_missing(w.disk, 3, true);
	drive_set_probe(w.drives);
	cr_assert_eq(drive_online_mask(w.drives), 7);
	bodies_put(6);
	body_delete(1);
	body_delete(5);
	seal();
	cr_assert_eq(drive_present_mask(w.drives), 7);
	world_close(&w);
	disk_memory_set_missing(w.disk, 3, false);
}

Test(rebuild, a_drive_that_returns_counts_when_it_has_everything, .timeout = 60)
{
	struct catalog_lacking lacks;
	struct err e = ERR_INIT;
	struct drive d;

	history(1);
	reopen(2);
	cr_assert_eq(drive_present_mask(w.drives), 15);
	cr_assert_eq(drive_online_mask(w.drives), 7, "it lacks shards");
	drive_get(w.drives, 3, &d);
	cr_assert_not_null(strstr(d.note, "to be rebuilt"), "%s", d.note);
	bodies_put(3);			/* what is new goes to it, too */
	seal();
	world_session(&w, 4);
	catalog_lacking_find(w.drives, 3, 0, 0, &lacks);
	cr_assert_eq(rebuild(3, &e), 0, "%s", e.text);
	cr_assert_eq(progress.total, lacks.left_bytes);
	cr_assert_gt(progress.steps, lacks.left, "within files, too");
	catalog_lacking_release(&lacks);
	cr_assert_eq(drive_online_mask(w.drives), 15);
	drive_get(w.drives, 3, &d);
	cr_assert_str_eq(d.note, "");
	cr_assert_eq(rebuild(3, &e), 0, "again: nothing to do");
	close_and_check_all();
	world_remove(&w);
}

Test(rebuild, what_is_still_written_is_left_alone, .timeout = 60)
{
	struct err e = ERR_INIT;

	begin(2);
	bodies_put(2);
	disk_memory_set_missing(w.disk, 2, true);
	drive_set_probe(w.drives);
	bodies_put(2);
	world_close(&w);
	disk_memory_set_missing(w.disk, 2, false);
	disk_memory_restart(w.disk);
	world_open(&w);			/* the session goes on with its volume */
	cr_assert_eq(drive_online_mask(w.drives), 11);
	world_session(&w, 9);
	cr_assert_eq(rebuild(2, &e), ERR_BUSY, "%s", e.text);
	cr_assert_eq(drive_online_mask(w.drives), 11);
	world_close(&w);
	world_remove(&w);
}

static void
returned(uint64_t cut)
{
	history(cut);
	reopen(2);
}

static void
rebuild_3(void)
{
	struct err e = ERR_INIT;

	(void)rebuild(3, &e);
}

Test(rebuild, the_power_fails_at_every_step, .timeout = 300)
{
	static const struct power_life life = { returned, rebuild_3, 3, rebuild_3_and_check };
	unsigned restarts = power_fails_at_every_step(&life);

	proof_say("histories", restarts, "rebuild of a drive: the power cut at every step");
	cr_assert_gt(restarts, 10);
}

/* Another one does it again, from wherever that was; then any two drives may go. */
Test(rebuild, the_worker_is_killed_at_every_step, .timeout = 300)
{
	unsigned kills = 0;

	for (unsigned at = 1;; at++) {
		struct err e = ERR_INIT;
		bool dead;

		history(at);
		reopen(2);
		killed.at = at;
		killed.step = 0;
		killed.heard = at % 2 == 0;
		rebuild(3, &e);
		dead = killed.step >= at;
		killed.at = 0;
		if (dead) {
			kills++;
			world_session(&w, 3);
			cr_assert_eq(rebuild(3, &e), 0, "step %u: %s", at, e.text);
		}
		cr_assert_eq(drive_online_mask(w.drives), 15, "step %u", at);
		if (dead && at % 8 > 1) {
			world_close(&w);
			disk_memory_restart(w.disk);
			check(CHECK_DEGRADED);
		} else {
			close_and_check_all();
		}
		world_remove(&w);
		if (!dead)
			break;
	}
	proof_say("maintenance stops", kills,
	    "rebuild of a drive: its worker killed at every step");
	cr_assert_gt(kills, 10);
}

Test(rebuild, a_damaged_row_is_named_and_the_rest_is_rebuilt, .timeout = 60)
{
	struct err e = ERR_INIT;
	struct catalog_lacking lacks;
	unsigned hit = 0;

	history(3);
	reopen(2);
	/* Two of three others of a volume are damaged all over. */
	catalog_lacking_find(w.drives, 3, 0, 8, &lacks);
	cr_assert_gt(lacks.volume_count, 0);
	for (unsigned i = 0; i < 4; i++) {
		const Hf__CatalogVolume *v = lacks.volumes[lacks.volume_count - 1];
		char path[64];

		snprintf(path, sizeof(path), "/d%u/vol/%016" PRIx64 ".vol", v->slots[i], v->id);
		if (v->slots[i] == 3 || hit++ == 2)
			continue;
		for (uint64_t at = 100; at < 1 << 20; at += 4096)
			disk_memory_flip(w.disk, path, at);
	}
	catalog_lacking_release(&lacks);
	cr_assert_eq(rebuild(3, &e), ERR_NO_QUORUM, "%s", e.text);
	cr_assert_not_null(strstr(e.text, "shards are whole"), "%s", e.text);
	cr_assert_eq(drive_online_mask(w.drives), 7, "it does not count");
	world_close(&w);
	world_remove(&w);
}

/* --- drives that were there all the time ------------------------------------------------------ */

/* Writes of two shards fail, now of one and now of the other; all drives stay online. */
static void
thin_history(uint64_t seed)
{
	begin(seed);
	bodies_put(2);
	failing = 2;
	bodies_put(1);
	failing = 8;
	bodies_put(2);
	failing = 0;
	bodies_put(1);
	body_delete(0);
	seal();
	world_session(&w, 2);
	cr_assert_eq(drive_online_mask(w.drives), 15);
}

/* Every drive that lacks something is rebuilt; false: that failed. */
static bool
thin_rebuild(struct err *e)
{
	for (unsigned slot = 0; slot < 4; slot++)
		if (catalog_lacking_marked(w.drives, slot) > 0 && rebuild(slot, e) < 0)
			return (false);
	return (true);
}

Test(thin, what_could_not_be_written_is_rebuilt, .timeout = 60)
{
	struct err e = ERR_INIT;
	unsigned lack = 0;
	uint64_t epoch;

	thin_history(61);
	for (unsigned slot = 0; slot < 4; slot++)
		lack += catalog_lacking_marked(w.drives, slot) > 0;
	cr_assert_gt(lack, 0);
	cr_assert(thin_rebuild(&e), "%s", e.text);
	cr_assert_eq(drive_online_mask(w.drives), 15);
	epoch = drive_set_epoch(w.drives);
	for (unsigned slot = 0; slot < 4; slot++) {
		cr_assert_eq(catalog_lacking_marked(w.drives, slot), 0);
		cr_assert_eq(rebuild(slot, &e), 0, "%s", e.text);
	}
	cr_assert_eq(drive_set_epoch(w.drives), epoch, "nothing to do");
	close_and_check_all();
	world_remove(&w);
}

/* What check says of extents that lack shards; the store is closed. */
static void
thin_check(const char *says)
{
	enum check_severity least = CHECK_DEGRADED;
	struct err e = ERR_INIT;

	disk_memory_restart(w.disk);
	cr_assert_eq(world_check(&w, on_fault, &least, &sum, &e), 0, "%s", e.text);
	cr_assert_gt(sum.faults[CHECK_DEGRADED], 0);
	cr_assert_eq(sum.faults[CHECK_LOST], 0, "%s", lost_text);
	cr_assert_not_null(strstr(lost_text, "not rebuilt"), "%s", lost_text);
	cr_assert_eq(strstr(lost_text, "nothing says") != NULL, strcmp(says, "nothing") == 0,
	    "%s", lost_text);
}

Test(thin, the_check_names_what_nobody_knows, .timeout = 60)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	uint64_t *ids;
	size_t n;
	struct err e = ERR_INIT;

	thin_history(62);
	world_close(&w);
	thin_check("it is marked");
	world_open(&w);
	n = catalog_volume_ids(w.drives, &ids);
	for (size_t i = 0; i < n; i++) {
		Hf__CatalogVolume *row = catalog_volume(w.drives, ids[i]);

		row->lacking = 0;
		change.volumes = &row;
		change.n_volumes = 1;
		cr_assert_eq(catalog_commit_locked(w.drives, &change, 0, NULL, &e), 0);
		hf__catalog_volume__free_unpacked(row, NULL);
	}
	free(ids);
	world_close(&w);
	thin_check("nothing");
	world_remove(&w);
}

static void
thin_act(void)
{
	struct err e = ERR_INIT;

	(void)thin_rebuild(&e);
}

static void
thin_go_on(uint64_t cut)
{
	struct err e = ERR_INIT;

	cr_assert(thin_rebuild(&e), "cut %" PRIu64 ": %s", cut, e.text);
	close_and_check();
}

Test(thin, the_power_fails_at_every_step, .timeout = 300)
{
	static const struct power_life life = { thin_history, thin_act, 3, thin_go_on };
	unsigned restarts = power_fails_at_every_step(&life);

	proof_say("histories", restarts,
	    "rebuild of shards that could not be written: the power cut at every step");
	cr_assert_gt(restarts, 10);
}
