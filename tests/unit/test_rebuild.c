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

static void
rebuild_3_and_check(uint64_t cut)
{
	struct err e = ERR_INIT;

	cr_assert_eq(rebuild(3, &e), 0, "cut %" PRIu64 ": %s", cut, e.text);
	cr_assert_eq(drive_online_mask(w.drives), 15, "cut %" PRIu64, cut);
	close_and_check();
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

/* --- another drive in its place --------------------------------------------------------------- */

/* Drive 3 is lost while bodies are put, and an empty one is in its place. */
static void
lose(uint64_t seed)
{
	begin(seed);
	bodies_put(4);
	disk_memory_set_missing(w.disk, 3, true);
	drive_set_probe(w.drives);
	bodies_put(2);
	disk_memory_wipe(w.disk, 3);
	disk_memory_set_missing(w.disk, 3, false);
}

Test(replace, a_new_drive_is_rebuilt_under_load, .timeout = 60)
{
	struct err e = ERR_INIT;
	struct drive d;
	uint8_t before[16];

	lose(11);
	drive_get(w.drives, 3, &d);
	memcpy(before, d.uuid, 16);
	cr_assert_eq(drive_set_replace(w.drives, 0, NULL, &e), ERR_EXISTS, "it is in use");
	cr_assert_eq(drive_set_replace(w.drives, 3, "/d1", &e), ERR_INVALID, "%s", e.text);
	cr_assert_eq(drive_set_replace(w.drives, 3, "/d1//", &e), ERR_INVALID, "%s", e.text);
	cr_assert_eq(drive_set_replace(w.drives, 3, "relative", &e), ERR_INVALID);
	cr_assert_eq(drive_set_replace(w.drives, 3, NULL, &e), 0, "%s", e.text);
	drive_get(w.drives, 3, &d);
	cr_assert_eq(d.state, HF__CATALOG_DRIVE__STATE__RETURNING);
	cr_assert_neq(memcmp(before, d.uuid, 16), 0);
	bodies_put(3);
	seal();
	world_session(&w, 2);
	cr_assert_eq(rebuild(3, &e), 0, "%s", e.text);
	cr_assert_eq(drive_online_mask(w.drives), 15);
	close_and_check_all();
	world_remove(&w);
}

/* Refused once at each place where memory is taken: it ends, and goes on when there is more. */
Test(replace, no_memory_for_it, .timeout = 120)
{
	struct err e = ERR_INIT;
	int rc = ERR_FULL;

	lose(12);
	cr_assert_eq(drive_set_replace(w.drives, 3, NULL, &e), 0, "%s", e.text);
	seal();
	world_session(&w, 2);
	for (purse.refuse_at = 1; rc == ERR_FULL; purse.refuse_at++) {
		rc = rebuild(3, &e);
		cr_assert(rc == 0 || rc == ERR_FULL, "%s", e.text);
		cr_assert_eq(drive_online_mask(w.drives), rc == 0 ? 15 : 7);
	}
	cr_assert_gt(purse.refuse_at, 4, "a mirror's footer and window, the buffers of volumes");
	purse.refuse_at = 0;
	close_and_check_all();
	world_remove(&w);
}

/* Nothing was written meanwhile: the log still has the old drive's file open. */
Test(replace, the_open_segment_is_not_on_the_old_drive, .timeout = 60)
{
	Hf__CatalogSegment *row;
	struct err e = ERR_INIT;
	uint64_t before;
	unsigned slot;

	begin(17);
	bodies_put(2);
	before = w.log->current->id;
	slot = w.log->current->slots[0];
	disk_memory_set_missing(w.disk, slot, true);
	drive_set_probe(w.drives);
	disk_memory_wipe(w.disk, slot);
	disk_memory_set_missing(w.disk, slot, false);
	cr_assert_eq(drive_set_replace(w.drives, slot, NULL, &e), 0, "%s", e.text);
	bodies_put(2);
	cr_assert_neq(w.log->current->id, before);
	row = catalog_segment(w.drives, before);
	cr_assert_eq(row->state, HF__CATALOG_SEGMENT__STATE__SEALED);
	cr_assert_eq(row->missing, 1);
	hf__catalog_segment__free_unpacked(row, NULL);
	cr_assert(drive_present_mask(w.drives) >> slot & 1, "the new drive did not fail");
	seal();
	world_session(&w, 2);
	cr_assert_eq(rebuild(slot, &e), 0, "%s", e.text);
	cr_assert_eq(drive_online_mask(w.drives), 15);
	close_and_check_all();
	world_remove(&w);
}

Test(replace, a_segment_that_goes_meanwhile_does_not_end_it, .timeout = 60)
{
	struct err e = ERR_INIT;
	unsigned busy = 0, slot;
	int rc;

	for (unsigned at = 1; at <= 12; at++) {
		begin(17);
		bodies_put(2);
		slot = w.log->current->slots[0];
		disk_memory_set_missing(w.disk, slot, true);
		drive_set_probe(w.drives);
		disk_memory_wipe(w.disk, slot);
		disk_memory_set_missing(w.disk, slot, false);
		cr_assert_eq(drive_set_replace(w.drives, slot, NULL, &e), 0, "%s", e.text);
		bodies_put(2);
		seal();
		world_session(&w, 2);
		vanish.slot = slot;
		vanish.step = 0;
		vanish.at = at;
		rc = rebuild(slot, &e);
		vanish.at = 0;
		cr_assert(rc == 0 || rc == ERR_BUSY, "step %u: %s", at, e.text);
		busy += rc == ERR_BUSY;
		if (rc == ERR_BUSY)
			cr_assert_eq(rebuild(slot, &e), 0, "step %u: %s", at, e.text);
		world_close(&w);
		world_remove(&w);
	}
	cr_assert_gt(busy, 0, "none was gone when it was read back");
}

Test(replace, a_directory_that_holds_anything_is_refused, .timeout = 60)
{
	struct err e = ERR_INIT;
	int h;

	begin(12);
	disk_memory_set_missing(w.disk, 3, true);
	drive_set_probe(w.drives);
	disk_memory_wipe(w.disk, 3);
	disk_memory_set_missing(w.disk, 3, false);
	h = w.disk->ops->open(w.disk, "/d3/photo", O_RDWR | O_CREAT, &e);
	w.disk->ops->close(w.disk, h);
	cr_assert_eq(drive_set_replace(w.drives, 3, NULL, &e), ERR_EXISTS);
	cr_assert_not_null(strstr(e.text, "photo"), "%s", e.text);
	world_close(&w);
	world_remove(&w);
}

/* Whatever fails while the new one is made a drive. */
Test(replace, a_drive_in_use_stays_if_the_new_one_cannot_be_written, .timeout = 60)
{
	struct err e = ERR_INIT;

	for (unsigned n = 1; n <= 5; n++) {
		begin(14 + n);
		bodies_put(2);
		disk_memory_fail_drive(w.disk, 4, n);
		cr_assert_lt(drive_set_replace(w.drives, 3, "/d4", &e), 0, "step %u", n);
		cr_assert_eq(drive_online_mask(w.drives), 15, "step %u: %s", n, e.text);
		bodies_put(1);
		cr_assert_eq(drive_set_replace(w.drives, 3, "/d4", &e), 0, "step %u: %s", n,
		    e.text);
		world_close(&w);
		world_remove(&w);
	}
}

Test(replace, what_only_the_old_drive_has_is_not_given_up_in_passing, .timeout = 60)
{
	struct err e = ERR_INIT;

	begin(13);
	bodies_put(2);
	disk_memory_set_missing(w.disk, 2, true);
	disk_memory_set_missing(w.disk, 3, true);
	drive_set_probe(w.drives);
	bodies_put(2);
	/* 2 comes back and lacks what was put meanwhile; 1 goes: then 3 is needed for nothing
	 * new. */
	disk_memory_set_missing(w.disk, 2, false);
	cr_assert_eq(drive_set_return(w.drives, 2, &e), 0, "%s", e.text);
	disk_memory_set_missing(w.disk, 1, true);
	drive_set_probe(w.drives);
	cr_assert_eq(drive_set_replace(w.drives, 3, NULL, &e), ERR_NO_QUORUM);
	cr_assert_not_null(strstr(e.text, "bring it back"), "%s", e.text);
	world_close(&w);
	world_remove(&w);
}

static void
lose_and_seal(uint64_t cut)
{
	lose(100 + cut);
	seal();
}

static void
replace_3(void)
{
	struct err e = ERR_INIT;

	(void)drive_set_replace(w.drives, 3, NULL, &e);
}

static void
replace_3_and_check(uint64_t cut)
{
	struct err e = ERR_INIT;

	if (!(drive_present_mask(w.drives) >> 3 & 1))
		cr_assert_eq(drive_set_replace(w.drives, 3, NULL, &e), 0, "cut %" PRIu64 ": %s",
		    cut, e.text);
	rebuild_3_and_check(cut);
}

Test(replace, the_power_fails_at_every_step, .timeout = 300)
{
	static const struct power_life life = { lose_and_seal, replace_3, 2, replace_3_and_check };

	cr_assert_gt(power_fails_at_every_step(&life), 8);
}

/* Two of four are lost at once: what is written meanwhile has two copies only, until both are
 * back. */
Test(replace, two_at_once_and_then_the_other_two_go, .timeout = 60)
{
	struct err e = ERR_INIT;

	begin(41);
	bodies_put(4);
	for (unsigned i = 2; i < 4; i++) {
		disk_memory_set_missing(w.disk, i, true);
		drive_set_probe(w.drives);
	}
	bodies_put(4);
	for (unsigned i = 2; i < 4; i++) {
		disk_memory_wipe(w.disk, i);
		disk_memory_set_missing(w.disk, i, false);
		cr_assert_eq(drive_set_replace(w.drives, i, NULL, &e), 0, "%s", e.text);
	}
	bodies_put(2);
	seal();
	world_session(&w, 2);
	rebuild(2, &e);			/* segments with few mirrors are sealed */
	bodies_put(1);
	seal();
	world_session(&w, 3);
	for (unsigned turn = 0; turn < 3; turn++)
		for (unsigned i = 2; i < 4; i++)
			rebuild(i, &e);
	cr_assert_eq(drive_online_mask(w.drives), 15, "%s", e.text);
	close_and_check_all();
	world_remove(&w);
}

/* --- giving up -------------------------------------------------------------------------------- */

static void
names(unsigned slot, const char *text)
{
	struct drive d;

	drive_get(w.drives, slot, &d);
	cr_assert_not_null(strstr(d.note, text), "slot %u: %s", slot, d.note);
}

/* Half of the set is lost, with a later history on it; an operator goes on with the other half. */
Test(accept_loss, the_absent_never_win_again, .timeout = 60)
{
	struct err e = ERR_INIT;
	uint64_t reign_epoch;

	begin(21);
	bodies_put(3);
	disk_memory_set_missing(w.disk, 0, true);
	disk_memory_set_missing(w.disk, 1, true);
	drive_set_probe(w.drives);
	bodies_put(3);			/* only on 2 and 3 */
	seal();
	world_close(&w);
	for (unsigned i = 0; i < 4; i++)
		disk_memory_set_missing(w.disk, i, i >= 2);
	disk_memory_restart(w.disk);
	world_open(&w);
	cr_assert(drive_set_read_only(w.drives));
	cr_assert_eq(drive_set_replace(w.drives, 2, NULL, &e), ERR_READ_ONLY);
	cr_assert_eq(drive_set_accept_loss(w.drives, 1u << 1, &e), ERR_EXISTS, "it is there");
	cr_assert_eq(drive_set_accept_loss(w.drives, 1u << 2, &e), ERR_NO_QUORUM);
	cr_assert_not_null(strstr(e.text, "may know more"), "%s", e.text);
	cr_assert_eq(drive_set_accept_loss(w.drives, 3u << 2, &e), 0, "%s", e.text);
	world_close(&w);
	world_index_remove(&w);		/* it knows what is lost */
	disk_memory_restart(w.disk);
	world_open(&w);
	cr_assert_not(drive_set_read_only(w.drives));
	world_session(&w, 3);
	sequence = 100;
	body_count = 20;
	bodies_put(2);
	reign_epoch = drive_set_epoch(w.drives);
	world_close(&w);
	/* They come back, with more epochs than were made since: refused, named, left alone. */
	for (unsigned i = 2; i < 4; i++)
		disk_memory_set_missing(w.disk, i, false);
	disk_memory_restart(w.disk);
	world_open(&w);
	cr_assert_geq(drive_set_epoch(w.drives), reign_epoch);
	cr_assert_eq(drive_present_mask(w.drives), 3);
	names(2, "given up");
	names(3, "given up");
	cr_assert_eq(drive_set_return(w.drives, 2, &e), ERR_DENIED, "%s", e.text);
	cr_assert_eq(drive_set_replace(w.drives, 2, NULL, &e), ERR_DENIED, "%s", e.text);
	disk_memory_wipe(w.disk, 2);
	cr_assert_eq(drive_set_replace(w.drives, 2, NULL, &e), 0, "%s", e.text);
	for (uint8_t id = 1; id < 4; id += 2) {	/* none of them lives any more */
		world_session(&w, id);
		seal();
	}
	world_session(&w, 5);
	sequence = 200;
	cr_assert_eq(rebuild(2, &e), 0, "%s", e.text);
	cr_assert_eq(drive_online_mask(w.drives), 7);
	world_close(&w);
	world_remove(&w);
}

Test(accept_loss, two_halves_that_both_went_on_are_told_apart, .timeout = 60)
{
	struct err e = ERR_INIT;
	unsigned side, i;

	begin(22);
	seal();
	world_close(&w);
	for (side = 0; side < 2; side++) {
		for (i = 0; i < 4; i++)
			disk_memory_set_missing(w.disk, i, i / 2 != side);
		disk_memory_restart(w.disk);
		world_open(&w);
		cr_assert_eq(drive_set_accept_loss(w.drives, side == 0 ? 12 : 3, &e), 0, "%s",
		    e.text);
		world_close(&w);
	}
	for (i = 0; i < 4; i++)
		disk_memory_set_missing(w.disk, i, false);
	disk_memory_restart(w.disk);
	cr_assert_eq(world_try_open(&w, &e), ERR_INVALID);
	cr_assert_not_null(strstr(e.text, "without each other"), "%s", e.text);
	world_remove(&w);
}

/* --- small damage ----------------------------------------------------------------------------- */

Test(damage, a_drive_file_is_written_anew, .timeout = 60)
{
	begin(31);
	bodies_put(2);
	seal();
	world_close(&w);
	cr_assert(disk_memory_flip(w.disk, "/d1/drive", 30));
	disk_memory_restart(w.disk);
	world_open(&w);
	cr_assert_eq(drive_online_mask(w.drives), 15);
	names(1, "written anew");
	world_close(&w);
	disk_memory_restart(w.disk);
	world_open(&w);
	cr_assert_eq(drive_online_mask(w.drives), 15);
	close_and_check_all();
	world_remove(&w);
}

Test(damage, a_wrong_drive_is_named_and_left_alone, .timeout = 60)
{
	struct err e = ERR_INIT;

	lose(32);
	cr_assert_eq(drive_set_replace(w.drives, 3, "/d3b", &e), 0, "%s", e.text);
	seal();
	world_close(&w);
	/* The first drive of the slot was put back at its old path: it is empty; format it anew. */
	disk_memory_restart(w.disk);
	world_open(&w);
	cr_assert_eq(drive_present_mask(w.drives), 7);
	world_close(&w);
	world_remove(&w);
}
