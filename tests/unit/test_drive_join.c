/*
 * test_drive_join - sets of new drives that join: the power is cut, or a drive fails, at every
 * step; what is refused; which drives must be there then; where the next file goes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/log/log_internal.h"
#include "libstore/log/segment_judge.h"
#include "libstore/state/conversion.h"
#include "libstore/volume/volume.h"
#include "tests/unit/disk_memory.h"
#include "tests/unit/proof.h"

#define OLD 4
#define ALL 8

static const char *const paths[] = { "/d0", "/d1", "/d2", "/d3", "/d4", "/d5", "/d6", "/d7", "/d8",
	"/d9", "/d10", "/d11" };

static int
open_some(struct disk *d, unsigned count, struct drive_set **s, struct err *e)
{
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = paths, .count = count, .erasure = "",
		.segment_bytes = 65536, .volume_bytes = 16u << 20 };

	return (drive_set_open(d, &o, s, e));
}

/* A store of four drives with some volumes. */
static struct disk *
old_store(uint64_t seed, unsigned drives)
{
	struct disk *d = disk_memory_new(seed, drives);
	struct err e = ERR_INIT;
	struct drive_set *s;
	uint64_t id;

	disk_memory_set_free(d, UINT64_C(1) << 30);
	cr_assert_eq(open_some(d, OLD, &s, &e), 0, "%s", e.text);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(volume_create(s, &id, &e), 0, "%s", e.text);
	drive_set_close(&s);
	return (d);
}

static size_t
volumes_count(struct drive_set *s)
{
	uint64_t *ids;
	size_t n = catalog_volume_ids(s, &ids);

	free(ids);
	return (n);
}

/* The set of a new volume. */
static unsigned
volume_set(struct drive_set *s)
{
	Hf__CatalogVolume *row;
	struct err e = ERR_INIT;
	unsigned set;
	uint64_t id;

	cr_assert_eq(volume_create(s, &id, &e), 0, "%s", e.text);
	row = catalog_volume(s, id);
	cr_assert_eq(row->n_slots, 4);
	set = drive_set_of(s, row->slots[0]);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(drive_set_of(s, row->slots[i]), set, "a file lies in one set");
	hf__catalog_volume__free_unpacked(row, NULL);
	return (set);
}

static void
joined_check(struct disk *d, size_t volumes)
{
	struct err e = ERR_INIT;
	struct drive_set *s;

	cr_assert_eq(open_some(d, ALL, &s, &e), 0, "%s", e.text);
	cr_assert_eq(drive_sets(s), 2);
	cr_assert_eq(drive_online_mask(s), 255, "%x", drive_online_mask(s));
	cr_assert(!drive_set_read_only(s));
	cr_assert_eq(volumes_count(s), volumes);
	cr_assert_eq(volume_set(s), 1, "the new set is empty");
	drive_set_close(&s);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0, "%s", e.text);
	cr_assert_eq(drive_sets_joined(s), 0);
	cr_assert_eq(volumes_count(s), volumes + 1);
	drive_set_close(&s);
}

/* An operator who takes the new drives out again, unless they are in use by now. */
static size_t
old_alone(struct disk *d)
{
	struct err e = ERR_INIT;
	struct drive_set *s;
	uint64_t id;
	int rc = open_some(d, OLD, &s, &e);

	if (rc < 0) {
		cr_assert_eq(rc, ERR_CONFIG, "%s", e.text);
		cr_assert(strstr(e.text, "8 in 2 sets") != NULL, "%s", e.text);
		return (3);
	}
	cr_assert_eq(drive_online_mask(s), 15);
	cr_assert_eq(volumes_count(s), 3);
	cr_assert_eq(volume_create(s, &id, &e), 0, "%s", e.text);
	drive_set_close(&s);
	return (4);
}

Test(drive_join, is_finished_wherever_it_was_cut)
{
	struct err e = ERR_INIT;
	struct drive_set *s;
	struct disk *d;
	unsigned finished = 0;
	uint64_t cut;

	for (cut = 1; finished < 20; cut++) {
		size_t volumes = 3;

		d = old_store(cut, ALL);
		disk_memory_cut_at(d, cut);
		if (open_some(d, ALL, &s, &e) == 0) {
			finished += !disk_memory_cut(d);
			drive_set_close(&s);
		}
		disk_memory_restart(d);
		if (cut % 2 == 0)
			volumes = old_alone(d);
		joined_check(d, volumes);
		disk_memory_free(d);
	}
	proof_say("sets that join", cut - 1, "the power cut at every step");
}

/* A step fails: the start may fail, or go on without that drive; the next one finds all of it. */
Test(drive_join, any_step_may_fail)
{
	struct err e = ERR_INIT;
	struct drive_set *s;
	struct disk *d;

	for (uint64_t n = 1; n < 140; n++) {
		d = old_store(n, ALL);
		disk_memory_fail_step(d, n);
		if (open_some(d, ALL, &s, &e) == 0) {
			cr_assert(!drive_set_read_only(s));
			drive_set_close(&s);
		}
		disk_memory_restart(d);
		cr_assert_eq(open_some(d, ALL, &s, &e), 0, "step %d: %s", (int)n, e.text);
		cr_assert_eq(drive_sets(s), 2);
		cr_assert_eq(drive_present_mask(s), 255);
		cr_assert_eq(volumes_count(s), 3);
		drive_set_close(&s);
		disk_memory_free(d);
	}
	proof_say("sets that join", 139, "EIO at every step");
}

static void
refused(struct disk *d, unsigned count, int code, const char *part)
{
	struct err e = ERR_INIT;
	struct drive_set *s;

	cr_assert_eq(open_some(d, count, &s, &e), code, "%s", e.text);
	cr_assert(strstr(e.text, part) != NULL, "\"%s\" has no \"%s\"", e.text, part);
	cr_assert_eq(open_some(d, OLD, &s, &e), 0, "%s", e.text);
	cr_assert_eq(volumes_count(s), 3);
	drive_set_close(&s);
}

static void
file_make(struct disk *d, const char *path)
{
	struct err e = ERR_INIT;
	int h = d->ops->open(d, path, 0100 | 2, &e);

	cr_assert(h >= 0);
	d->ops->close(d, h);
}

Test(drive_join, refusals)
{
	static const char *const others[] = { "/d4", "/d5", "/d6", "/d7" };
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = others, .count = 4, .erasure = "",
		.segment_bytes = 65536, .volume_bytes = 16u << 20 };
	struct disk *d = old_store(1, ALL);
	struct err e = ERR_INIT;
	struct drive_set *s;

	refused(d, 5, ERR_CONFIG, "names 5 drives, and a set of 2+2 has 4");
	refused(d, 7, ERR_CONFIG, "sets are added whole");
	disk_memory_set_missing(d, 6, true);
	refused(d, ALL, ERR_INVALID, "cannot add a set of 4 drives in the slots from 4 on: /d6");
	disk_memory_set_missing(d, 6, false);
	file_make(d, "/d5/letter");
	refused(d, ALL, ERR_INVALID, "holds files but no drive file");
	disk_memory_wipe(d, 5);
	cr_assert_eq(drive_set_open(d, &o, &s, &e), 0, "%s", e.text);
	drive_set_close(&s);
	refused(d, ALL, ERR_INVALID, "belongs to another deployment");
	for (unsigned i = 4; i < ALL; i++)
		disk_memory_wipe(d, i);
	o.erasure = "3+1";
	o.paths = paths;
	o.count = ALL;
	cr_assert_eq(drive_set_open(d, &o, &s, &e), ERR_CONFIG);
	cr_assert(strstr(e.text, "was formatted as 2+2") != NULL, "%s", e.text);
	joined_check(d, 3);
	cr_assert_eq(open_some(d, OLD, &s, &e), ERR_CONFIG);
	cr_assert(strstr(e.text, "8 in 2 sets") != NULL, "%s", e.text);
	disk_memory_free(d);
}

/* Drives of a set that is in use, listed once more or for another slot. */
Test(drive_join, a_drive_is_in_one_slot_of_one_set)
{
	static const char *const twice[] = { "/d0", "/d1", "/d2", "/d3", "/d4", "/d5", "/d6",
	    "/d3/" }, *const swapped[] = { "/d4", "/d5", "/d6", "/d7", "/d0", "/d1", "/d2", "/d3" };
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = twice, .count = ALL, .erasure = "",
		.segment_bytes = 65536, .volume_bytes = 16u << 20 };
	struct disk *d = old_store(1, ALL);
	struct err e = ERR_INIT;
	struct drive_set *s;

	cr_assert_eq(drive_set_open(d, &o, &s, &e), ERR_CONFIG, "%s", e.text);
	cr_assert(strstr(e.text, "names /d3/ twice, for slots 3 and 7") != NULL, "%s", e.text);
	joined_check(d, 3);
	o.paths = swapped;
	cr_assert_eq(drive_set_open(d, &o, &s, &e), ERR_INVALID);
	cr_assert(strstr(e.text, "belongs in slot 4") != NULL, "%s", e.text);
	disk_memory_free(d);
}

Test(drive_join, a_directory_inside_of_a_drive_is_none)
{
	static const char *const inside[8] = { "/d0", "/d1", "/d2", "/d3", "/d4", "/d1/more/",
		"/d6", "/d7" };
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = inside, .count = 8, .erasure = "",
		.segment_bytes = 65536, .volume_bytes = 16u << 20 };
	struct disk *d = old_store(3, 8);
	struct err e = ERR_INIT;
	struct drive_set *s;

	cr_assert_eq(d->ops->mkdir(d, "/d1/more", &e), 0, "%s", e.text);
	cr_assert_eq(drive_set_open(d, &o, &s, &e), ERR_INVALID);
	cr_assert_not_null(strstr(e.text, "lies inside of /d1, which is a drive"), "%s", e.text);
	cr_assert_eq(open_some(d, OLD, &s, &e), 0, "%s", e.text);
	drive_set_close(&s);
	cr_assert_eq(open_some(d, 8, &s, &e), 0, "another place: %s", e.text);
	drive_set_close(&s);
	disk_memory_free(d);
}

Test(drive_join, a_set_that_is_in_use_does_not_join_again)
{
	struct disk *d = old_store(1, ALL);
	struct err e = ERR_INIT;
	struct drive_set *s;

	file_make(d, "/d4/drive.new");		/* of an interrupted format: nothing */
	joined_check(d, 3);
	disk_memory_wipe(d, 4);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0, "%s", e.text);
	cr_assert_eq(drive_present_mask(s), 255 & ~0x10u, "an empty directory is no drive");
	drive_set_close(&s);
	disk_memory_free(d);
}

Test(drive_join, two_sets_at_once)
{
	struct disk *d = old_store(1, 12);
	struct err e = ERR_INIT;
	struct drive_set *s;
	unsigned seen = 0;

	cr_assert_eq(open_some(d, 12, &s, &e), 0, "%s", e.text);
	cr_assert_eq(drive_sets_joined(s), 2);
	for (unsigned i = 0; i < 6; i++)
		seen |= 1u << volume_set(s);
	cr_assert_eq(seen, 6, "the old set has three volumes already");
	seen = 0;
	for (unsigned i = 0; i < 3; i++)
		seen |= 1u << volume_set(s);
	cr_assert_eq(seen, 7, "now all have as many");
	drive_set_close(&s);
	disk_memory_free(d);
}

/* --- afterwards ------------------------------------------------------------------------------- */

static void
start_with(struct disk *d, uint32_t missing, int code, bool read_only)
{
	struct err e = ERR_INIT;
	struct drive_set *s;
	int rc;

	for (unsigned i = 0; i < ALL; i++)
		disk_memory_set_missing(d, i, missing >> i & 1);
	rc = open_some(d, ALL, &s, &e);
	cr_assert_eq(rc, code, "without %x: %s", missing, e.text);
	if (rc < 0)
		return;
	cr_assert_eq(drive_set_read_only(s), read_only, "without %x", missing);
	cr_assert_eq(drive_present_mask(s), 255 & ~missing);
	drive_set_close(&s);
}

Test(drive_join, each_set_needs_its_quorum)
{
	struct disk *d = old_store(1, ALL);

	joined_check(d, 3);
	start_with(d, 0x11, 0, false);
	start_with(d, 0x30, 0, true);
	start_with(d, 0x03, 0, true);
	start_with(d, 0x70, ERR_NO_QUORUM, false);
	start_with(d, 0x0e, ERR_NO_QUORUM, false);
	start_with(d, 0, 0, false);
	disk_memory_free(d);
}

Test(drive_join, failures_count_in_their_set)
{
	struct disk *d = old_store(1, ALL);
	struct err e = ERR_INIT;
	struct drive_set *s;

	joined_check(d, 3);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0);
	cr_assert_eq(drive_fail(s, 0, "test", &e), 0);
	cr_assert_eq(drive_fail(s, 5, "test", &e), 0);
	cr_assert_eq(drive_fail(s, 1, "test", &e), 0);
	cr_assert_eq(drive_fail(s, 6, "test", &e), 0, "%s", e.text);
	cr_assert_eq(drive_fail(s, 7, "test", &e), ERR_NO_QUORUM);
	cr_assert(drive_set_read_only(s));
	drive_set_close(&s);
	disk_memory_free(d);
}

/* Files go to a set that is whole, though another has less in it. */
Test(drive_join, placement_looks_at_drives_and_room)
{
	struct disk *d = old_store(1, ALL);
	struct err e = ERR_INIT;
	struct drive_set *s;
	uint32_t slots[DRIVES_MAX];
	struct log l = { .batch_bytes_max = 0 };

	joined_check(d, 3);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0);
	l.set = s;
	cr_assert_eq(log_place_choose(&l, LOG_SHARE_NONE, 65536, slots, &e), 3);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(drive_set_of(s, slots[i]), 1);
	drive_space_take(s, 6, UINT64_C(1) << 40);
	cr_assert(!drive_set_has_room(s, 1, 65536));
	cr_assert(drive_sets_have_room(s, 65536));
	cr_assert_eq(log_place_choose(&l, LOG_SHARE_NONE, 65536, slots, &e), 3);
	cr_assert_eq(drive_set_of(s, slots[0]), 0, "there is least room on slot 6");
	cr_assert_eq(volume_set(s), 1, "which has some, when one looks again");
	cr_assert_eq(drive_fail(s, 4, "test", &e), 0);
	cr_assert_eq(volume_set(s), 0, "the drive in slot 4 is away");
	cr_assert_eq(log_place_choose(&l, LOG_SHARE_NONE, 65536, slots, &e), 3);
	cr_assert_eq(drive_set_of(s, slots[0]), 0);
	drive_set_close(&s);
	disk_memory_free(d);
}

static void
record_add(struct log *l)
{
	static const uint8_t meta[16], data[1000];
	struct err e = ERR_INIT;
	uint64_t batch;

	cr_assert_eq(log_append(l, LOG_SHARE_NONE, RECORD_OBJECT_PUT, SLICE(meta, sizeof(meta)),
	    SLICE(data, sizeof(data)), NULL, &batch, &e), 0, "%s", e.text);
	log_submit(l);
}

static void
nothing(void *context, const struct log_commit *c)
{
	(void)context;
	cr_assert_eq(c->code, 0);
}

/* Opens the log, adds records, and has them sealed; the segment. */
static uint64_t
segment_fill(struct drive_set *s)
{
	struct err e = ERR_INIT;
	struct log *l;
	uint64_t id;

	cr_assert_eq(log_open_with(s, false, &l, &e), 0, "%s", e.text);
	for (unsigned i = 0; i < 8; i++)
		record_add(l);
	while (log_collect(l, nothing, NULL) > 0)
		;
	id = log_seal_early(l);
	cr_assert_neq(id, 0);
	log_close(&l);
	return (id);
}

/* Others leave so much on the drives of the first set. */
static void
others_take(struct disk *d, bool on, uint64_t leave)
{
	char path[16];

	for (unsigned i = 0; i < OLD; i++) {
		struct err e = ERR_INIT;
		int h;

		snprintf(path, sizeof(path), "/d%u/big", i);
		h = d->ops->open(d, path, 0100 | 2, &e);
		cr_assert(h >= 0);
		cr_assert_eq(d->ops->truncate(d, h, 0, &e), 0);
		if (on)
			cr_assert_eq(d->ops->truncate(d, h, (UINT64_C(1) << 30) -
			    disk_memory_used(d, i) - leave, &e), 0);
		d->ops->close(d, h);
	}
}

static unsigned
conversion_set(struct drive_set *s, uint64_t segment)
{
	struct shard_writer by = { 1, 1 };
	Hf__CatalogSegment *row;
	struct err e = ERR_INIT;
	unsigned set;

	cr_assert_eq(conversion_prepare(s, segment, by, true, &row, &e), 0, "%s", e.text);
	cr_assert_eq(row->n_slots, 4);
	set = drive_set_of(s, row->slots[0]);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(drive_set_of(s, row->slots[i]), set);
	conversion_abort(s, row, by);
	hf__catalog_segment__free_unpacked(row, NULL);
	return (set);
}

Test(drive_join, a_segment_of_a_full_set_is_converted_in_another)
{
	struct disk *d = old_store(1, ALL);
	struct err e = ERR_INIT;
	struct drive_set *s;
	uint64_t old, new;

	cr_assert_eq(open_some(d, OLD, &s, &e), 0, "%s", e.text);
	old = segment_fill(s);
	drive_set_close(&s);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0, "%s", e.text);
	new = segment_fill(s);
	cr_assert_eq(conversion_set(s, old), 0, "it has room");
	cr_assert_eq(conversion_set(s, new), 1);
	others_take(d, true, 65536);
	cr_assert_eq(conversion_set(s, old), 1, "now it has none");
	cr_assert_eq(conversion_set(s, new), 1);
	others_take(d, false, 0);
	cr_assert_eq(conversion_set(s, old), 0);
	drive_set_close(&s);
	disk_memory_free(d);
}

/* All but so much of the room in a set is promised to somebody. */
static void
promise_most(struct drive_set *s, unsigned set, uint64_t owner, int64_t leave)
{
	uint32_t slots[4];
	struct drive_want want = { .owner = owner, .slots = slots, .count = 4 };
	struct err e = ERR_INIT;

	drive_set_refresh_space(s);
	for (unsigned i = 0; i < 4; i++)
		slots[i] = 4 * set + i;
	want.bytes = (uint64_t)(drive_room_locked(s, slots[0]) -
	    (int64_t)drive_promised(s, slots[0]) - leave);
	cr_assert_eq(drive_promise(s, &want, false, &e), 0, "%s", e.text);
}

/* The drives that the log's next segment goes to. */
static uint32_t
log_slots(struct drive_set *s)
{
	struct log l = { .batch_bytes_max = 0, .set = s };
	uint32_t slots[DRIVES_MAX], mask = 0;
	struct err e = ERR_INIT;

	cr_assert_eq(log_place_choose(&l, LOG_SHARE_NONE, 65536, slots, &e), 3, "%s", e.text);
	for (unsigned i = 0; i < 3; i++)
		mask |= 1u << slots[i];
	return (mask);
}

static unsigned
log_set(struct drive_set *s)
{
	return (drive_set_of(s, (unsigned)__builtin_ctz(log_slots(s))));
}

/* A drive is left alone while others have more that nobody was promised, and taken when they have
 * not. */
Test(drive_join, the_log_goes_where_most_is_left)
{
	const uint32_t slot = 0;
	struct drive_want want = { .owner = 7, .slots = &slot, .count = 1, .bytes = 700u << 20 };
	struct disk *d = old_store(1, OLD);
	struct err e = ERR_INIT;
	struct drive_set *s;

	disk_memory_set_free_of(d, 0, UINT64_C(3) << 29);
	cr_assert_eq(open_some(d, OLD, &s, &e), 0, "%s", e.text);
	cr_assert(log_slots(s) & 1);
	cr_assert_eq(drive_promise(s, &want, false, &e), 0, "%s", e.text);
	cr_assert_eq(log_slots(s), 0xe);
	cr_assert_eq(drive_fail(s, 2, "test", &e), 0, "%s", e.text);
	cr_assert_eq(log_slots(s), 0xb);
	drive_set_close(&s);
	disk_memory_free(d);
}

/* A task is sent to where nobody else was promised the room; what is made anew goes there too, and
 * is refused nothing. */
Test(drive_join, what_is_promised_in_one_set_sends_others_to_another)
{
	struct disk *d = old_store(1, ALL);
	struct err e = ERR_INIT;
	struct drive_set *s;
	uint64_t old;

	cr_assert_eq(open_some(d, OLD, &s, &e), 0, "%s", e.text);
	old = segment_fill(s);
	drive_set_close(&s);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0, "%s", e.text);
	promise_most(s, 1, 8, 1 << 20);
	cr_assert_eq(log_set(s), 0);
	cr_assert_eq(volume_set(s), 0);
	drive_promise_end(s, 8);
	promise_most(s, 0, 7, 4096);
	cr_assert_eq(log_set(s), 1);
	cr_assert_eq(volume_set(s), 1);
	cr_assert_eq(conversion_promise(s, old, 1, true, &e), 0, "%s", e.text);
	for (unsigned slot = 4; slot < 8; slot++)
		cr_assert_gt(drive_promised(s, slot), 0);
	promise_most(s, 1, 8, 4096);
	cr_assert_eq(conversion_promise(s, old, 2, true, &e), ERR_FULL);
	cr_assert_not_null(strstr(e.text, "are promised to other tasks"), "%s", e.text);
	cr_assert(!drive_promise_has(s, 2));
	cr_assert_eq(conversion_set(s, old), 1, "for task 1, as it was promised");
	cr_assert(!drive_promise_has(s, 1), "it is allocated");
	log_set(s);
	volume_set(s);		/* puts find room, although all of it is promised */
	drive_set_close(&s);
	disk_memory_free(d);
}

Test(drive_join, a_drive_of_the_new_set_is_replaced_or_given_up)
{
	struct disk *d = old_store(1, 9);
	struct err e = ERR_INIT;
	struct drive_set *s;

	joined_check(d, 3);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0);
	cr_assert_eq(drive_set_replace(s, 6, "/d8", &e), 0, "%s", e.text);
	cr_assert_eq(drive_online_mask(s), 255 & ~0x40u);
	drive_set_close(&s);
	start_with(d, 0x40, 0, false);	/* /d6 is not the drive of slot 6 any more */
	disk_memory_set_missing(d, 5, true);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0);
	cr_assert(drive_set_read_only(s));
	cr_assert_eq(drive_set_accept_loss(s, 0x60, &e), 0, "%s", e.text);
	drive_set_close(&s);
	cr_assert_eq(open_some(d, ALL, &s, &e), 0, "%s", e.text);
	cr_assert(!drive_set_read_only(s));
	cr_assert_eq(drive_present_mask(s), 255 & ~0x60u);
	drive_set_close(&s);
	disk_memory_free(d);
}
