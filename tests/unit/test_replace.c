/*
 * test_replace - another drive takes a slot and is rebuilt; what was on drives that are gone for
 * good is given up; and drives that are not what they should be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/log/log_internal.h"
#include "tests/unit/rebuild_world.h"

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
	/* At the old path, where it looks, there is an empty directory, as if nothing were
	 * mounted. */
	disk_memory_restart(w.disk);
	world_open(&w);
	cr_assert_eq(drive_present_mask(w.drives), 7);
	names(3, "empty directory");
	cr_assert_null(disk_memory_find(w.disk, "/d3/", 0), "it was made a drive");
	world_close(&w);
	world_remove(&w);
}
