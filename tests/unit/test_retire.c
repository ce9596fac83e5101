/*
 * test_retire - a drive that works makes room for a new one, which takes over from it: links, then
 * copies, and at any time everything is whole. Over a simulated disk.
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
#include "tests/unit/proof.h"
#include "tests/unit/retire_world.h"

/* --- as it should go -------------------------------------------------------------------------- */

Test(retire, a_drive_is_copied_under_load, .timeout = 60)
{
	struct err e = ERR_INIT;
	struct drive d;

	begin(51);
	bodies_put(6);
	body_delete(2);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	slot_check(3, "/d4", true);
	cr_assert_gt(links_count("/d4"), 0);
	bodies_put(4);			/* also in volumes that were begun on the old drive */
	body_delete(4);
	seal();
	world_session(&w, 2);
	body_delete(3);
	cr_assert_eq(drive_online_mask(w.drives), 15);
	cr_assert_eq(retire(3, "/d5", &e), ERR_BUSY, "%s", e.text);
	cr_assert_eq(rebuild(3, &e), 0, "%s", e.text);
	slot_check(3, "/d4", false);
	cr_assert_eq(rebuild(3, &e), 0, "again: nothing to do");
	drive_get(w.drives, 3, &d);
	cr_assert_str_eq(d.note, "");
	bodies_put(2);
	new_proves_itself(3, "/d4");
}

/* What is not sealed yet keeps the old drive until it is. */
Test(retire, the_old_drive_stays_while_anything_is_written_on_it, .timeout = 60)
{
	struct err e = ERR_INIT;

	begin(52);
	bodies_put(2);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	cr_assert_eq(rebuild(3, &e), ERR_BUSY, "%s", e.text);
	slot_check(3, "/d4", true);
	bodies_put(2);
	seal();
	world_session(&w, 2);
	cr_assert_eq(rebuild(3, &e), 0, "%s", e.text);
	slot_check(3, "/d4", false);
	new_proves_itself(3, "/d4");
}

/* A start that still has the old path follows the drive; one with the new path needs nothing. */
Test(retire, it_goes_on_after_a_restart, .timeout = 60)
{
	struct err e = ERR_INIT;

	begin(53);
	bodies_put(3);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	bodies_put(2);
	world_close(&w);
	disk_memory_restart(w.disk);
	check(CHECK_DEGRADED);		/* with the old path, too */
	world_open(&w);
	world_session(&w, 1);
	slot_check(3, "/d4", true);
	bodies_put(2);
	seal();
	world_session(&w, 4);
	cr_assert_eq(rebuild(3, &e), 0, "%s", e.text);
	bodies_put(1);
	world_close(&w);
	disk_memory_restart(w.disk);
	check(CHECK_DEGRADED);
	world_open(&w);
	world_session(&w, 5);
	slot_check(3, "/d4", false);
	bodies_put(1);
	seal();
	new_proves_itself(3, "/d4");
}

/* --- what is refused -------------------------------------------------------------------------- */

Test(retire, refusals, .timeout = 60)
{
	struct err e = ERR_INIT;
	int h;

	begin(54);
	bodies_put(2);
	cr_assert_eq(retire(3, "relative", &e), ERR_INVALID);
	cr_assert_eq(retire(3, "/d1", &e), ERR_INVALID, "%s", e.text);
	cr_assert_eq(retire(3, "/d3/", &e), ERR_INVALID, "%s", e.text);
	h = w.disk->ops->open(w.disk, "/d4/photo", O_RDWR | O_CREAT, &e);
	w.disk->ops->close(w.disk, h);
	cr_assert_eq(retire(3, "/d4", &e), ERR_EXISTS, "%s", e.text);
	cr_assert_not_null(strstr(e.text, "photo"), "%s", e.text);
	disk_memory_set_free_of(w.disk, 5, 1 << 20);
	cr_assert_eq(retire(3, "/d5", &e), ERR_FULL, "%s", e.text);
	disk_memory_set_missing(w.disk, 3, true);
	drive_set_probe(w.drives);
	cr_assert_eq(retire(3, "/d6", &e), ERR_UNAVAILABLE, "%s", e.text);
	cr_assert_not_null(strstr(e.text, "replace"), "%s", e.text);
	disk_memory_set_missing(w.disk, 3, false);
	cr_assert_eq(drive_set_return(w.drives, 3, &e), 0, "%s", e.text);
	cr_assert_eq(retire(3, "/d6", &e), ERR_UNAVAILABLE, "%s", e.text);
	world_close(&w);
	world_remove(&w);
}

/* Nobody knows of the new drive yet: the old one stays, and it may be tried again. */
Test(retire, any_step_on_the_new_drive_may_fail, .timeout = 120)
{
	struct err e = ERR_INIT;
	unsigned refused = 0;

	for (unsigned n = 1;; n++) {
		int rc;

		begin(60 + n);
		bodies_put(2);
		disk_memory_fail_drive(w.disk, 4, n);
		rc = retire(3, "/d4", &e);
		if (rc == 0 && drive_online_mask(w.drives) == 15) {
			disk_memory_fail_drive(w.disk, 4, 0);
			world_close(&w);
			world_remove(&w);
			break;
		}
		refused++;
		bodies_put(1);
		if (drive_online_mask(w.drives) == 15) {
			cr_assert_eq(retire(3, "/d4", &e), 0, "step %u: %s", n,
			    e.text);
		} else if (!(drive_present_mask(w.drives) >> 3 & 1))	/* when it had the slot */
			cr_assert_eq(drive_set_return(w.drives, 3, &e), 0, "step %u: %s", n,
			    e.text);
		seal();
		world_session(&w, 2);
		cr_assert_eq(rebuild(3, &e), 0, "step %u: %s", n, e.text);
		new_proves_itself(3, "/d4");
	}
	cr_assert_gt(refused, 10);
}

/* --- the power -------------------------------------------------------------------------------- */

static void
go_on_and_prove(uint64_t cut)
{
	struct err e = ERR_INIT;
	struct drive d;

	cr_assert_eq(drive_online_mask(w.drives), 15, "cut %" PRIu64, cut);
	drive_get(w.drives, 3, &d);
	if (strcmp(d.path, "/d3") == 0)
		cr_assert_eq(retire(3, "/d4", &e), 0, "cut %" PRIu64 ": %s",
		    cut, e.text);
	bodies_put(1);
	seal();
	world_session(&w, 9);
	cr_assert_eq(rebuild(3, &e), 0, "cut %" PRIu64 ": %s", cut, e.text);
	slot_check(3, "/d4", false);
	new_proves_itself(3, "/d4");
}

static void
bodies_only(uint64_t cut)
{
	begin(100 + cut);
	bodies_put(3);
}

static void
take_over(void)
{
	(void)retire(3, "/d4", NULL);
}

Test(retire, the_power_fails_at_every_step_of_taking_over, .timeout = 300)
{
	static const struct power_life life = { bodies_only, take_over, 1, go_on_and_prove };
	unsigned steps = power_fails_at_every_step(&life);

	proof_say("histories", steps, "a drive takes over: the power cut at every step");
	cr_assert_gt(steps, 20);
}

static void
taken_over(uint64_t cut)
{
	struct err e = ERR_INIT;

	begin(500 + cut);
	bodies_put(3);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	seal();
	world_session(&w, 2);
}

static void
copy(void)
{
	struct err e = ERR_INIT;

	(void)rebuild(3, &e);
}

Test(retire, the_power_fails_at_every_step_of_the_copying, .timeout = 300)
{
	static const struct power_life life = { taken_over, copy, 3, go_on_and_prove };
	unsigned steps = power_fails_at_every_step(&life);

	proof_say("histories", steps, "a retired drive is copied: the power cut at every step");
	cr_assert_gt(steps, 20);
}

/* --- the old drive goes too early, or rots ---------------------------------------------------- */

Test(retire, the_old_drive_is_lost_before_the_end, .timeout = 60)
{
	struct err e = ERR_INIT;
	struct drive d;

	for (unsigned restart = 0; restart < 2; restart++) {
		begin(70 + restart);
		bodies_put(4);
		cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
		bodies_put(2);
		seal();
		if (restart) {
			world_close(&w);
			old_goes(3, "/d4");
			disk_memory_restart(w.disk);
			w.last_path = "/d4";
			world_open(&w);
		} else {
			disk_memory_set_missing(w.disk, 3, true);
			drive_set_probe(w.drives);
		}
		drive_get(w.drives, 3, &d);
		cr_assert_eq(d.state, HF__CATALOG_DRIVE__STATE__RETURNING, "%u: %d %s %s", restart,
		    (int)d.state, d.path, d.note);
		cr_assert_not_null(strstr(d.note, restart ? "rebuilt" : "took over is gone"), "%s",
		    d.note);
		world_session(&w, 2);
		bodies_put(2);
		seal();
		world_session(&w, 3);
		cr_assert_eq(rebuild(3, &e), 0, "%s", e.text);
		slot_check(3, "/d4", false);
		new_proves_itself(3, "/d4");
	}
}

/* A unit that is bad on the old drive is computed from the others. */
Test(retire, what_is_damaged_on_the_old_drive_is_made_whole, .timeout = 60)
{
	struct err e = ERR_INIT;

	begin(75);
	bodies_put(6);
	seal();
	world_session(&w, 2);
	cr_assert(disk_memory_flip(w.disk, disk_memory_find(w.disk, "/d3/vol/", 0), 100));
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	seal();
	world_session(&w, 3);
	cr_assert_eq(rebuild(3, &e), 0, "%s", e.text);
	new_proves_itself(3, "/d4");
}

/* The old drive cannot be used again by a start that was told its path only. */
Test(retire, the_old_drive_alone_is_not_taken_for_the_slot, .timeout = 60)
{
	struct err e = ERR_INIT;
	struct drive d;

	begin(76);
	bodies_put(2);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	seal();
	world_session(&w, 2);
	cr_assert_eq(rebuild(3, &e), 0, "%s", e.text);
	world_close(&w);
	disk_memory_set_missing(w.disk, 4, true);
	reopen(3);
	drive_get(w.drives, 3, &d);
	cr_assert_eq(d.state, HF__CATALOG_DRIVE__STATE__OFFLINE);
	world_close(&w);
	world_remove(&w);
}
