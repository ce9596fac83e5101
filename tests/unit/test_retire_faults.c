/*
 * test_retire_faults - a drive is retired, and the old one or the new one fails, rots, fills up or
 * goes at any step; its worker is killed; segments are converted; two are retired at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/drive/drive_slow.h"
#include "libstore/log/log_internal.h"
#include "tests/unit/proof.h"
#include "tests/unit/retire_world.h"

static Hf__CatalogDrive__State
state_of(unsigned slot)
{
	struct drive d;

	drive_get(w.drives, slot, &d);
	return (d.state);
}

/* Again and again, as tasks are, until it is done. */
static void
rebuild_until_done(unsigned slot, unsigned n)
{
	struct err e = ERR_INIT;
	int rc = ERR_BUSY;

	for (unsigned i = 0; rc < 0 && i < 8; i++) {
		rc = rebuild(slot, &e);
		w.now_ms += 2000;
		world_settle(&w);
	}
	cr_assert_eq(rc, 0, "step %u: %s", n, e.text);
}

/* Mirrors and shards of segments, and volumes, on the drive that is retired. */
static void
filled(uint64_t seed)
{
	begin(seed);
	bodies_put(4);
	seal();
	world_session(&w, 2);
	log_seal_early(w.log);
	world_settle(&w);
	bodies_put(1);
	convert_sealed();
	bodies_put(2);
	log_seal_early(w.log);
	world_settle(&w);
}

/* --- the old drive ---------------------------------------------------------------------------- */

/* What clients and the store do meanwhile. */
static void
life(void)
{
	bodies_put(2);
	body_delete(1);
	body_delete(4);
	seal();
	world_session(&w, 3);
	body_delete(3);
	bodies_put(1);
}

static uint64_t
steps_failed(void)
{
	const struct disk_tally *t = disk_memory_tally(w.disk);

	return (t->writes_failed + t->syncs_failed + t->others_failed);
}

/* once: one changing step on it fails; else everything on it does from then on. */
static bool
old_drive_fails(unsigned n, bool once)
{
	struct err e = ERR_INIT;
	uint64_t failed;
	bool hit;

	filled(300 + n);
	cr_assert_eq(retire(3, "/d4", &e), 0, "step %u: %s", n, e.text);
	if (once)
		disk_memory_fail_drive(w.disk, 3, n);
	else
		disk_memory_break_drive(w.disk, 3, n);
	failed = steps_failed();
	life();
	cr_assert_neq(state_of(3), HF__CATALOG_DRIVE__STATE__OFFLINE, "step %u", n);
	rebuild(3, &e);
	cr_assert_neq(state_of(3), HF__CATALOG_DRIVE__STATE__OFFLINE, "step %u", n);
	seal();
	world_session(&w, 4);
	rebuild_until_done(3, n);
	hit = once ? steps_failed() > failed : disk_memory_broken(w.disk);
	disk_memory_fail_drive(w.disk, 3, 0);
	slot_check(3, "/d4", false);
	bodies_put(1);
	new_proves_itself(3, "/d4");
	return (hit);
}

Test(retire_faults, the_old_drive_breaks_at_any_step, .timeout = 300)
{
	unsigned n = 1;

	while (old_drive_fails(n, false))
		n += 13;
	proof_say("histories", n / 13, "a drive is retired: it answers EIO from every step on");
	cr_assert_gt(n, 20);
}

Test(retire_faults, a_step_on_the_old_drive_fails, .timeout = 300)
{
	unsigned n = 1;

	while (old_drive_fails(n, true))
		n += 7;
	proof_say("histories", n / 7, "a drive is retired: a step on it fails");
	cr_assert_gt(n, 20);
}

Test(retire_faults, the_old_drive_has_bad_sectors, .timeout = 120)
{
	for (unsigned one_in = 1; one_in < 5; one_in++) {
		struct err e = ERR_INIT;

		filled(700 + one_in);
		cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
		bodies_put(1);
		seal();
		world_session(&w, 3);
		disk_memory_set_bad_reads(w.disk, 3, one_in);
		rebuild_until_done(3, one_in);
		disk_memory_set_bad_reads(w.disk, 3, 0);
		slot_check(3, "/d4", false);
		new_proves_itself(3, "/d4");
	}
}

/* A bit of each file on it: mirror, shard, volume. */
Test(retire_faults, everything_on_the_old_drive_is_rotten, .timeout = 60)
{
	struct err e = ERR_INIT;
	const char *path;
	unsigned n = 0;

	filled(710);
	for (unsigned i = 0; (path = disk_memory_find(w.disk, "/d3/", i)) != NULL; i++)
		if (strstr(path, "/log/") != NULL || strstr(path, "/vol/") != NULL)
			n += disk_memory_flip(w.disk, path, i % 2 == 0 ? 100 : 5000);
	cr_assert_gt(n, 3);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	seal();
	world_session(&w, 3);
	rebuild_until_done(3, 0);
	slot_check(3, "/d4", false);
	new_proves_itself(3, "/d4");
}

/* Two others have gone for good: what nobody else can give comes from it, failing or not. */
Test(retire_faults, what_only_the_old_drive_has_comes_from_it, .timeout = 60)
{
	struct err e = ERR_INIT;

	filled(720);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	seal();
	world_session(&w, 3);
	cr_assert_eq(drive_file_fail(w.drives, 3, true, "a test", &e), 0, "%s", e.text);
	cr_assert_eq(state_of(3), HF__CATALOG_DRIVE__STATE__RETURNING);
	disk_memory_set_bad_reads(w.disk, 0, 1);
	disk_memory_set_bad_reads(w.disk, 1, 1);
	disk_memory_set_bad_reads(w.disk, 2, 3);
	rebuild_until_done(3, 0);
	for (unsigned i = 0; i < 3; i++)
		disk_memory_set_bad_reads(w.disk, i, 0);
	slot_check(3, "/d4", false);
	new_proves_itself(3, "/d4");
}

/* The log still writes to a file on the old drive when the next one, on the new, fails. */
Test(retire_faults, what_fails_on_the_new_drive_costs_the_new_drive, .timeout = 60)
{
	struct err e = ERR_INIT, why[DRIVES_MAX] = { ERR_INIT };
	struct log *l;
	struct drive d;
	unsigned slot, i = 0;

	begin(770);
	bodies_put(1);
	l = w.log;
	slot = l->current->slots[0];
	disk_memory_set_free_of(w.disk, 4, UINT64_C(2) << 30);
	cr_assert_null(l->next);
	cr_assert_eq(drive_set_retire(w.drives, slot, "/d4", &e), 0, "%s", e.text);
	pthread_mutex_lock(&l->lock);
	for (l->want_next = true; l->next == NULL; )
		cr_assert(log_keeper_step(l));
	cr_assert(segment_mirror_linked(w.drives, l->current->id, slot));
	while (i < l->next->mirror_count && l->next->slots[i] != slot)
		i++;
	cr_assert_lt(i, l->next->mirror_count, "it has the most room");
	cr_assert_not(segment_mirror_linked(w.drives, l->next->id, slot));
	err_set(&why[i], ERR_IO, "zeros");
	log_zeros_failed(l, l->next, 1u << i, why);
	while (log_keeper_step(l))
		;
	pthread_mutex_unlock(&l->lock);
	drive_get(w.drives, slot, &d);
	cr_assert_eq(d.state, HF__CATALOG_DRIVE__STATE__OFFLINE, "%s", d.note);
	cr_assert_str_eq(d.path, "/d4");
	cr_assert_not_null(d.former, "the old one has what it had");
	bodies_put(1);
	world_close(&w);
	world_remove(&w);
}

/* What clients measure on the slot's files is mostly the old drive's speed. */
Test(retire_faults, a_slow_old_drive_makes_no_slow_new_one, .timeout = 60)
{
	const struct drive_slow_rule rule = { .times = 8, .floor_us = 1000, .window_ms = 1000 };
	Hf__DriveLatencies__Row row = HF__DRIVE_LATENCIES__ROW__INIT, *rows = &row;
	Hf__DriveLatencies report = HF__DRIVE_LATENCIES__INIT;
	uint32_t counts[20] = { [19] = 10 };
	uint64_t median, peers;
	struct err e = ERR_INIT;

	filled(771);
	drive_slow_rule_set(w.drives, &rule);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	row.slot = 3;
	row.kind = HF__DRIVE_LATENCIES__ROW__KIND__READ;
	row.n_counts = 20;
	row.counts = counts;
	report.n_rows = 1;
	report.rows = &rows;
	cr_assert_eq(drive_latencies_take(w.drives, &report, &e), 0, "%s", e.text);
	cr_assert_eq(drive_latency_look(w.drives, 3, LATENCY_READ, &median, &peers), 0);
	seal();
	world_session(&w, 3);
	rebuild_until_done(3, 0);
	cr_assert_eq(drive_latencies_take(w.drives, &report, &e), 0, "%s", e.text);
	cr_assert_eq(drive_latency_look(w.drives, 3, LATENCY_READ, &median, &peers), 10);
	world_close(&w);
	world_remove(&w);
}

/* --- the worker ------------------------------------------------------------------------------- */

Test(retire_faults, the_worker_is_killed_at_every_step, .timeout = 300)
{
	unsigned kills = 0;
	bool dead = true;

	for (unsigned at = 1; dead; at += 2) {
		struct err e = ERR_INIT;

		filled(800 + at);
		cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
		seal();
		world_session(&w, 3);
		killed = (struct rebuild_killed){ .at = at, .heard = at % 4 == 1 };
		rebuild(3, &e);
		dead = killed.step >= at;
		killed.at = 0;
		kills += dead;
		if (dead && at % 3 == 0)
			body_delete(2);
		rebuild_until_done(3, at);
		slot_check(3, "/d4", false);
		new_proves_itself(3, "/d4");
	}
	proof_say("maintenance stops", kills, "a retired drive is copied: its worker killed");
	cr_assert_gt(kills, 10);
}

/* --- the new drive ---------------------------------------------------------------------------- */

/* It waits for room; nothing is lacking meanwhile, also over a restart. */
Test(retire_faults, the_new_drive_fills_up, .timeout = 60)
{
	struct err e = ERR_INIT;

	filled(730);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	seal();
	world_session(&w, 3);
	disk_memory_set_free_of(w.disk, 4, disk_memory_used(w.disk, 4) + 8192);
	cr_assert_eq(rebuild(3, &e), ERR_FULL, "%s", e.text);
	slot_check(3, "/d4", true);
	world_close(&w);
	disk_memory_restart(w.disk);
	check_paths[3] = "/d4";
	check(CHECK_DEGRADED);
	world_open(&w);
	world_session(&w, 4);
	slot_check(3, "/d4", true);
	disk_memory_set_free_of(w.disk, 4, disk_memory_used(w.disk, 4) + 8192);
	cr_assert_eq(rebuild(3, &e), ERR_FULL, "%s", e.text);
	disk_memory_set_free_of(w.disk, 4, 1 << 30);
	rebuild_until_done(3, 0);
	slot_check(3, "/d4", false);
	new_proves_itself(3, "/d4");
}

/* Pulled half way: it comes back and goes on, or another takes the slot. */
Test(retire_faults, the_new_drive_goes, .timeout = 120)
{
	for (unsigned back = 0; back < 2; back++)
		for (unsigned at = 3; at < 40; at += 9) {
			const char *path = back ? "/d4" : "/d5";
			struct err e = ERR_INIT;

			filled(740 + 10 * at + back);
			cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
			seal();
			world_session(&w, 3);
			killed = (struct rebuild_killed){ .at = at };
			rebuild(3, &e);
			killed.at = 0;
			disk_memory_set_missing(w.disk, 4, true);
			drive_set_probe(w.drives);
			cr_assert_eq(state_of(3), HF__CATALOG_DRIVE__STATE__OFFLINE);
			bodies_put(2);
			body_delete(2);
			if (back)
				disk_memory_set_missing(w.disk, 4, false);
			cr_assert_eq(back ? drive_set_return(w.drives, 3, &e) :
			    drive_set_replace(w.drives, 3, path, &e), 0, "%s", e.text);
			log_drives_changed(w.log);
			world_settle(&w);
			seal();
			world_session(&w, 4);
			rebuild_until_done(3, at);
			slot_check(3, path, false);
			new_proves_itself(3, path);
		}
}

/* The old directory again, when it was emptied; as it is it is refused. */
Test(retire_faults, back_to_the_old_directory, .timeout = 60)
{
	struct err e = ERR_INIT;

	filled(750);
	cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
	cr_assert_eq(retire(3, "/d3", &e), ERR_BUSY, "%s", e.text);
	seal();
	world_session(&w, 3);
	rebuild_until_done(3, 0);
	cr_assert_eq(retire(3, "/d3", &e), ERR_EXISTS, "%s", e.text);
	bodies_put(1);
	disk_memory_wipe(w.disk, 3);
	cr_assert_eq(retire(3, "/d3", &e), 0, "%s", e.text);
	seal();
	world_session(&w, 4);
	rebuild_until_done(3, 0);
	slot_check(3, "/d3", false);
	bodies_put(1);
	world_close(&w);
	disk_memory_set_missing(w.disk, 4, true);
	reopen(5);
	slot_check(3, "/d3", false);
	close_and_check_all();
	world_remove(&w);
}

/* --- two at once ------------------------------------------------------------------------------ */

Test(retire_faults, two_of_a_set_at_once, .timeout = 120)
{
	for (unsigned lost = 0; lost < 3; lost++) {	/* none, one, both of the old ones */
		struct err e = ERR_INIT;

		filled(760 + lost);
		cr_assert_eq(retire(3, "/d4", &e), 0, "%s", e.text);
		cr_assert_eq(retire(2, "/d4", &e), ERR_INVALID, "%s", e.text);
		cr_assert_eq(retire(2, "/d5", &e), 0, "%s", e.text);
		bodies_put(2);
		body_delete(3);
		seal();
		world_session(&w, 3);
		world_close(&w);
		reopen(4);
		slot_check(3, "/d4", true);
		slot_check(2, "/d5", true);
		for (unsigned i = 0; i < lost; i++)
			disk_memory_set_missing(w.disk, 2 + i, true);
		drive_set_probe(w.drives);
		bodies_put(1);
		seal();
		world_session(&w, 5);
		rebuild_until_done(2, lost);
		rebuild_until_done(3, lost);
		slot_check(3, "/d4", false);
		slot_check(2, "/d5", false);
		cr_assert_eq(links_count("/d5"), 0);
		old_goes(2, "/d5");
		new_proves_itself(3, "/d4");
	}
}
