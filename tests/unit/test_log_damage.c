/*
 * test_log_damage - what of the tail of the log is rot, what a crash left, and what is served of
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include "tests/unit/log_model.h"

/* Writes a few batches and cuts the power, so that the segment stays open. */
static void
open_segment_left(struct log_model *m)
{
	unsigned i;

	log_model_start(m, false, 65536);
	m->log->current->prewritten = 0; /* all of it is as good: no other segment is taken */
	for (i = 0; i < 6; i++) {
		log_model_append(m);
		log_submit(m->log);
		cr_assert_eq(log_collect(m->log, log_model_on_commit, m), 1);
	}
	disk_memory_cut_at(m->disk, 1);
	log_model_append(m);
	log_submit(m->log);
	log_model_close(m);
	disk_memory_restart(m->disk);
}

Test(log, rot_in_one_mirror_is_taken_from_another)
{
	static struct log_model m;
	struct err e = ERR_INIT;
	struct log_rot rot[LOG_ROT_MAX];
	unsigned i;

	open_segment_left(&m);
	m.rotten = true;
	for (i = 0; i < 3; i++) /* each mirror is damaged elsewhere */
		cr_assert(disk_memory_flip(
		    m.disk, disk_memory_find(m.disk, ".seg", i), 4096 * (i + 1) + 70));
	cr_assert_eq(log_model_open(&m, &e), 0, "%s", e.text);
	cr_assert_eq(log_rot(m.log, rot), 3, "each is named");
	for (i = 0; i < 3; i++)
		cr_assert(rot[i].offset == 4096 * (i + 1) && rot[i].bytes > 0 &&
		    rot[i].slot < 4);
	cr_assert(rot[0].slot != rot[1].slot && rot[1].slot != rot[2].slot);
	log_model_check(&m);
	cr_assert(!m.failed);
	log_model_close(&m);
	cr_assert_eq(log_model_open(&m, &e), 0, "%s", e.text);
	cr_assert_eq(log_rot(m.log, rot), 0, "it was repaired");
	log_model_close(&m);
	disk_memory_free(m.disk);
}

/* A power cut leaves torn ends, and what was not everywhere: no rot, wherever it is cut. */
Test(log, torn_ends_are_no_rot)
{
	static struct log_model m;
	struct log_rot rot[LOG_ROT_MAX];
	struct err e = ERR_INIT;

	for (unsigned cut = 1; cut < 60; cut++) {
		memset(&m, 0, sizeof(m));
		log_model_start(&m, false, 65536);
		disk_memory_cut_at(m.disk, cut);
		for (unsigned i = 0; i < 12; i++) {
			log_model_append(&m);
			log_submit(m.log);
			log_collect(m.log, log_model_on_commit, &m);
		}
		log_model_close(&m);
		disk_memory_restart(m.disk);
		cr_assert_eq(log_model_open(&m, &e), 0, "%s", e.text);
		cr_assert_eq(log_rot(m.log, rot), 0, "cut at %u: %lu at %lu in slot %u", cut,
		    (unsigned long)rot[0].segment, (unsigned long)rot[0].offset, rot[0].slot);
		log_model_close(&m);
		disk_memory_free(m.disk);
	}
}

Test(log, rot_in_all_mirrors_is_no_tail)
{
	static struct log_model m;
	struct err e = ERR_INIT;
	unsigned i;

	open_segment_left(&m);
	for (i = 0; i < 3; i++)
		cr_assert(disk_memory_flip(m.disk, disk_memory_find(m.disk, ".seg", i), 4096 + 70));
	cr_assert_eq(log_model_open(&m, &e), ERR_CORRUPT);
	cr_assert(strstr(e.text, "acknowledged") != NULL, "%s", e.text);
	disk_memory_free(m.disk);
}

/* All processes die between a write and its sync; with two of four drives the log is read only. */
static uint64_t
tail_that_is_not_synced(struct log_model *m)
{
	struct err e = ERR_INIT;
	unsigned slot;
	uint64_t lsn;

	cr_assert_eq(log_model_open(m, &e), 0, "%s", e.text);
	slot = m->log->current->slots[0];
	log_model_append(m);
	disk_memory_die_at(m->disk, 1);
	log_submit(m->log);
	cr_assert(disk_memory_died(m->disk));
	log_model_close(m);
	disk_memory_restart(m->disk);
	for (unsigned i = 0; i < 4; i++)
		disk_memory_set_missing(m->disk, i, i != slot && i != (slot + 1) % 4);
	cr_assert_eq(log_model_open(m, &e), 0, "%s", e.text);
	cr_assert(drive_set_read_only(m->set));
	lsn = log_last_lsn(m->log);
	log_model_close(m);
	return (lsn);
}

/* What was shown to readers stays, though nobody had a promise of it. */
Test(log, what_is_served_read_only_is_on_the_drives)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct log_model m = { .seed = seed, .disk = disk_memory_new(seed, 4),
		    .next_number = 1 };
		struct err e = ERR_INIT;
		uint64_t lsn = tail_that_is_not_synced(&m);

		cr_assert_gt(lsn, 0, "the tail is there");
		disk_memory_restart(m.disk);	/* the power fails */
		for (unsigned i = 0; i < 4; i++)
			disk_memory_set_missing(m.disk, i, false);
		cr_assert_eq(log_model_open(&m, &e), 0, "%s", e.text);
		cr_assert_geq(log_last_lsn(m.log), lsn, "seed %llu", (unsigned long long)seed);
		log_model_close(&m);
		disk_memory_free(m.disk);
	}
}
