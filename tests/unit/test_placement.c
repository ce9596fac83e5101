/*
 * test_placement - room on the drives for tasks that are claimed: several conversions at once onto
 * drives that are nearly full each find theirs, or are not claimed; a promise ends when its claim
 * does; puts come first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/maintain/rebuild.h"
#include "libstore/state/conversion.h"
#include "tests/unit/convert_world.h"

#define DRIVES	4
#define SLOT	3	/* of the drive that is rebuilt */
#define TASKS	5
#define OTHERS	(UINT64_C(1) << 40)	/* ids of tasks that are not there */
#define S(NAME)	HF__TASK__STATE__##NAME

/* --- how much room there is ------------------------------------------------------------------- */

/* Others take, or leave, what is more or less than so much above the reserve. */
static void
room_set(unsigned slot, int64_t room)
{
	for (unsigned tries = 0; tries < 20; tries++) {
		struct drive d;

		drive_set_refresh_space(w.drives);
		if (drive_room_locked(w.drives, slot) == room)
			return;
		drive_get(w.drives, slot, &d);
		disk_memory_set_free_of(w.disk, slot, (uint64_t)((int64_t)d.space.total_bytes +
		    room - drive_room_locked(w.drives, slot)));
	}
	cr_assert(false, "slot %u has %lld bytes of room, not %lld", slot,
	    (long long)drive_room_locked(w.drives, slot), (long long)room);
}

static void
rooms_set(int64_t room)
{
	for (unsigned slot = 0; slot < DRIVES; slot++)
		room_set(slot, room);
}

static uint64_t
promised(void)
{
	uint64_t bytes = 0;

	for (unsigned slot = 0; slot < DRIVES; slot++)
		bytes += drive_promised(w.drives, slot);
	return (bytes);
}

static void
objects_put(const char *name, unsigned count)
{
	char key[32], body[2001];

	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	for (unsigned i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "%s%u", name, i);
		world_put(&w, ++sequence, "b", key, body, NULL);
		world_settle(&w);
		cr_assert_eq(world_code(&w, sequence), 0);
	}
}

/* With enough segments. */
static void
begin(uint64_t seed)
{
	world_fill(seed);
	objects_put("more", 90);
	world_settle(&w);
}

/* By an owner for each drive. */
static void
promise_to_others(unsigned slot, uint64_t bytes)
{
	const uint32_t on = slot;
	const struct drive_want want = { .owner = OTHERS + slot, .slots = &on, .count = 1,
		.bytes = bytes, .leaves = DRIVE_LEAVES_NOTHING };
	struct err e = ERR_INIT;

	cr_assert_eq(drive_promise(w.drives, &want, true, &e), 0, "%s", e.text);
}

/* --- conversions ------------------------------------------------------------------------------ */

/* The n-th sealed segment. */
static uint64_t
sealed(unsigned n)
{
	uint64_t *ids, id = 0;
	size_t count = catalog_segment_ids(w.drives, &ids);

	for (size_t i = 0; i < count && id == 0; i++) {
		Hf__CatalogSegment *row = catalog_segment(w.drives, ids[i]);

		if (row->state == SEALED && n-- == 0)
			id = ids[i];
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	return (id);
}

/* Of sealed segments; and what a shard file of each takes. */
static void
tasks_make(Hf__Task tasks[TASKS], uint64_t needs[TASKS])
{
	for (unsigned i = 0; i < TASKS; i++) {
		uint64_t id = sealed(i);

		cr_assert_neq(id, 0, "there are too few segments");
		tasks[i] = task_new(TASK_TYPE_ERASURE_CODING, id);
		cr_assert_eq(task_become(&tasks[i], S(ASSIGNED)), 0);
		needs[i] = drive_promised(w.drives, 0);
		cr_assert_gt(needs[i], 0);
		cr_assert_eq(promised(), DRIVES * needs[i]);
		cr_assert_eq(task_become(&tasks[i], S(PENDING)), 0);
		cr_assert_eq(promised(), 0, "it was given back");
	}
}

static void
claim_send(const Hf__Task *t)
{
	WORLD_OP(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task next = *t;

	op.id = t->id;
	op.from_state = (uint32_t)t->state;
	op.from_lease = t->lease;
	next.state = S(ASSIGNED);
	next.worker_id = (char *)(uintptr_t)"w";
	op.task = &next;
	world_send(&w, ++sequence, &q);
}

/* All of them are claimed in one turn; those get it that find room, one after the other. */
static void
claim_all(Hf__Task tasks[TASKS], const uint64_t needs[TASKS], uint64_t room)
{
	uint64_t first = sequence + 1;

	for (unsigned i = 0; i < TASKS; i++)
		claim_send(&tasks[i]);
	world_settle(&w);
	for (unsigned i = 0; i < TASKS; i++) {
		const Hf__StoreReply *r = w.replies[first + i];

		cr_assert_eq(r->code, needs[i] <= room ? 0 : ERR_FULL, "%u: %s", i, r->error);
		if (r->code == 0) {
			room -= needs[i];
			tasks[i].state = S(ASSIGNED);
			tasks[i].lease = r->tasks[0]->lease;
		} else
			cr_assert_not_null(strstr(r->error, "are promised to other tasks"), "%s",
			    r->error);
	}
}

static void
convert_as(Hf__Task *t)
{
	struct err e = ERR_INIT;
	struct worker k;

	worker_init(&k, t->lease);
	k.task.id = t->id;
	cr_assert_eq(convert_run(&k.m, t->volume_id, &e), 0, "%s", e.text);
	worker_release(&k);
	cr_assert_eq(task_become(t, S(COMPLETED)), 0);
}

static void
begin_each(Hf__Task tasks[TASKS])
{
	for (unsigned i = 0; i < TASKS; i++)
		if (tasks[i].state == S(ASSIGNED)) {
			cr_assert_eq(task_become(&tasks[i], S(IN_PROGRESS)), 0);
			cr_assert_eq(begin_for(&tasks[i]), 0, "it was promised room");
		}
	cr_assert_eq(promised(), 0, "all of it is allocated");
}

/* Room for two of five, and nearly for a third. */
Test(placement, conversions_that_are_claimed_at_once_each_find_room, .timeout = 60)
{
	Hf__Task tasks[TASKS];
	uint64_t needs[TASKS], room;
	unsigned first = 0;

	begin(1);
	tasks_make(tasks, needs);
	room = needs[0] + needs[1] + needs[2] - 4096;
	rooms_set((int64_t)room);
	claim_all(tasks, needs, room);
	begin_each(tasks);
	for (unsigned i = 0; i < TASKS; i++)
		if (tasks[i].state == S(IN_PROGRESS)) {
			convert_as(&tasks[i]);
			first++;
		}
	cr_assert(first >= 2 && first < TASKS);
	w.now_ms += 2000;	/* mirrors go, and make room for the others */
	world_settle(&w);
	rooms_set(1 << 20);
	for (unsigned i = 0; i < TASKS; i++)
		if (tasks[i].state == S(PENDING)) {
			cr_assert_eq(task_become(&tasks[i], S(ASSIGNED)), 0);
			cr_assert_eq(task_become(&tasks[i], S(IN_PROGRESS)), 0);
			convert_as(&tasks[i]);
		}
	all_check();
	world_end();
}

/* Where all else is taken one conversion may use half of the reserve, and one only. */
Test(placement, one_may_use_the_reserve, .timeout = 60)
{
	Hf__Task tasks[TASKS];
	uint64_t needs[TASKS];

	begin(2);
	tasks_make(tasks, needs);
	rooms_set((int64_t)needs[0] / 2);
	cr_assert_eq(task_become(&tasks[0], S(ASSIGNED)), 0);
	cr_assert_eq(task_become(&tasks[1], S(ASSIGNED)), ERR_FULL);
	cr_assert_eq(w.notes, 0, "it waits; nobody need do anything");
	cr_assert_eq(task_become(&tasks[0], S(PENDING)), 0);
	cr_assert_eq(task_become(&tasks[1], S(ASSIGNED)), 0);
	world_end();
}

/* A1: half of the reserve that one was promised is its own, whoever is promised room after it. */
Test(placement, half_of_the_reserve_stays_promised, .timeout = 60)
{
	const uint32_t slots[] = { 0, 1, 2, 3 };
	struct drive_want want = { .owner = OTHERS + 77, .slots = slots, .count = 4,
		.bytes = 8192, .leaves = DRIVE_LEAVES_HALF };
	struct err e = ERR_INIT;

	begin(2);
	rooms_set(4096);
	cr_assert_eq(drive_promise(w.drives, &want, false, &e), 0, "%s", e.text);
	promise_to_others(SLOT, 4096);	/* the rebuild of a thin extent is claimed */
	cr_assert_eq(drive_want_check(w.drives, &want, &e), 0, "it was promised: %s", e.text);
	want.leaves = DRIVE_LEAVES_RESERVE;	/* another began to convert */
	cr_assert_eq(drive_want_check(w.drives, &want, &e), 0, "it was promised: %s", e.text);
	want.leaves = DRIVE_LEAVES_HALF;
	want.owner++;
	cr_assert_eq(drive_want_check(w.drives, &want, &e), ERR_FULL, "it is one at a time");
	want.owner--;
	drive_promise_end(w.drives, want.owner);
	cr_assert_eq(drive_want_check(w.drives, &want, &e), ERR_FULL, "it has none any more");
	world_end();
}

/* --- how a promise ends ----------------------------------------------------------------------- */

Test(placement, a_promise_ends_with_its_claim, .timeout = 60)
{
	static const Hf__Task__State ends[] = { S(PENDING), S(FAILED), S(STUCK), S(CANCELLED) };
	uint64_t needs[TASKS];
	Hf__Task tasks[TASKS];

	begin(3);
	tasks_make(tasks, needs);
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		cr_assert_eq(task_become(&tasks[i], S(ASSIGNED)), 0);
		cr_assert_eq(task_become(&tasks[i], S(IN_PROGRESS)), 0);
		cr_assert_eq(task_become(&tasks[i], S(IN_PROGRESS)), 0, "renewed");
		cr_assert_eq(promised(), DRIVES * needs[i]);
		cr_assert_eq(task_become(&tasks[i], ends[i]), 0);
		cr_assert_eq(promised(), 0, "as %d", (int)ends[i]);
	}
	world_end();
}

/* It is asked for under a lease that somebody else has by now. */
Test(placement, a_claim_that_comes_too_late_takes_nothing, .timeout = 60)
{
	uint64_t needs[TASKS], first;
	Hf__Task tasks[TASKS];

	begin(4);
	tasks_make(tasks, needs);
	first = sequence + 1;
	claim_send(&tasks[0]);
	claim_send(&tasks[0]);
	world_settle(&w);
	cr_assert_eq(w.replies[first]->code, 0);
	cr_assert_eq(w.replies[first + 1]->code, ERR_STALE);
	cr_assert_eq(promised(), DRIVES * needs[0], "of the one that has it");
	tasks[0].state = S(ASSIGNED);
	tasks[0].lease = w.replies[first]->tasks[0]->lease;
	cr_assert_eq(task_become(&tasks[0], S(PENDING)), 0);
	cr_assert_eq(promised(), 0);
	world_end();
}

Test(placement, a_restart_finds_promises_again, .timeout = 60)
{
	uint64_t needs[TASKS];
	Hf__Task tasks[TASKS];

	begin(5);
	tasks_make(tasks, needs);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(task_become(&tasks[i], S(ASSIGNED)), 0);
	cr_assert_eq(task_become(&tasks[2], S(IN_PROGRESS)), 0);
	cr_assert_eq(begin_for(&tasks[2]), 0);
	cr_assert_eq(promised(), DRIVES * (needs[0] + needs[1]));
	world_reopen();		/* what the third had allocated is gone */
	cr_assert_eq(promised(), DRIVES * (needs[0] + needs[1] + needs[2]));
	cr_assert_eq(task_become(&tasks[1], S(PENDING)), 0);
	cr_assert_eq(promised(), DRIVES * (needs[0] + needs[2]));
	convert_as(&tasks[2]);
	cr_assert_eq(promised(), DRIVES * needs[0]);
	all_check();
	world_end();
}

/* A2 of drive_promise.c: to others there is as much room before as after. */
Test(placement, what_is_allocated_is_promised_no_more, .timeout = 60)
{
	const uint32_t slots[] = { 0 };
	struct drive_want want = { .owner = OTHERS, .slots = slots, .count = 1, .bytes = 8192 };
	struct err e = ERR_INIT;

	begin(10);
	rooms_set(65536);
	cr_assert_eq(drive_promise(w.drives, &want, false, &e), 0, "%s", e.text);
	want.owner++;
	want.bytes = 65536 - 8192;
	for (unsigned n = 0; n < 2; n++) {
		cr_assert_eq(drive_want_check(w.drives, &want, &e), 0, "%s", e.text);
		drive_promise_take(w.drives, OTHERS, 0, 4096);
		cr_assert_eq(drive_promised(w.drives, 0), 4096 - 4096 * n);
	}
	cr_assert_eq(drive_want_check(w.drives, &want, &e), 0, "%s", e.text);
	drive_promise_take(w.drives, OTHERS, 0, 4096);
	cr_assert_eq(drive_promised(w.drives, 0), 0, "it took more than that");
	cr_assert_eq(drive_want_check(w.drives, &want, &e), ERR_FULL);
	world_end();
}

/* --- what is no conversion -------------------------------------------------------------------- */

Test(placement, a_vacuum_is_promised_nothing, .timeout = 60)
{
	Hf__Task t;

	begin(6);
	rooms_set(0);
	t = task_new(TASK_TYPE_VACUUM, sealed(0));
	cr_assert_eq(task_become(&t, S(ASSIGNED)), 0);
	cr_assert_eq(promised(), 0);
	world_end();
}

/* All room above the reserve is promised, and is taken by what a client waits for. The conversion
 * finds that before it has written anything. */
Test(placement, puts_come_first, .timeout = 60)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);
	Hf__Task tasks[TASKS];
	uint64_t needs[TASKS];

	begin(7);
	tasks_make(tasks, needs);
	rooms_set(1 << 20);
	cr_assert_eq(task_become(&tasks[0], S(ASSIGNED)), 0);
	cr_assert_eq(task_become(&tasks[1], S(ASSIGNED)), 0);
	for (unsigned slot = 0; slot < DRIVES; slot++)
		promise_to_others(slot, (1 << 20) - needs[0] - needs[1]);
	cr_assert_eq(task_become(&tasks[2], S(ASSIGNED)), ERR_FULL);
	cr_assert(!state_full(w.state));
	op.bytes = 1 << 19;
	cr_assert_eq(world_ask(&w, ++sequence, &q)->code, 0, "%s", w.replies[sequence]->error);
	cr_assert_eq(task_become(&tasks[1], S(IN_PROGRESS)), 0);
	cr_assert_eq(begin_for(&tasks[1]), ERR_FULL);
	cr_assert_eq(files_of(tasks[1].volume_id, ".new"), 0);
	cr_assert_eq(task_become(&tasks[1], S(FAILED)), 0);
	cr_assert(!drive_promise_has(w.drives, tasks[1].id));
	cr_assert(drive_promise_has(w.drives, tasks[0].id));
	world_end();
}

/* --- rebuilds --------------------------------------------------------------------------------- */

static uint64_t
lacking(void)
{
	struct catalog_lacking l;
	uint64_t bytes;

	catalog_lacking_find(w.drives, SLOT, 0, 0, &l);
	bytes = l.left_bytes;
	catalog_lacking_release(&l);
	return (bytes);
}

/* A new drive is in the SLOT. */
static void
drive_is_new(void)
{
	struct err e = ERR_INIT;

	cr_assert_eq(drive_fail(w.drives, SLOT, "test", &e), 0, "%s", e.text);
	disk_memory_wipe(w.disk, SLOT);
	cr_assert_eq(drive_set_replace(w.drives, SLOT, NULL, &e), 0, "%s", e.text);
	log_drives_changed(w.log);
	world_settle(&w);
	cr_assert_gt(lacking(), 0);
}

static void
rebuild_as(Hf__Task *t)
{
	struct err e = ERR_INIT;
	struct worker k;

	worker_init(&k, t->lease);
	k.task.id = t->id;
	cr_assert_eq(rebuild_run(&k.m, SLOT, &e), 0, "%s", e.text);
	worker_release(&k);
	cr_assert_eq(promised(), 0, "it lacks nothing any more");
	cr_assert_eq(task_become(t, S(COMPLETED)), 0);
}

Test(placement, a_rebuild_waits_for_what_others_were_promised, .timeout = 60)
{
	struct drive d;
	Hf__Task t;

	begin(8);
	drive_is_new();
	cr_assert_gt(lacking(), 0);
	t = task_new(TASK_TYPE_DRIVE_REBUILD, SLOT);
	drive_get(w.drives, SLOT, &d);
	promise_to_others(SLOT, d.space.free_bytes - lacking() / 2);
	cr_assert_eq(task_become(&t, S(ASSIGNED)), ERR_FULL);
	drive_promise_end(w.drives, OTHERS + SLOT);
	cr_assert_eq(task_become(&t, S(ASSIGNED)), 0);
	cr_assert_eq(drive_promised(w.drives, SLOT), lacking());
	cr_assert_eq(task_become(&t, S(IN_PROGRESS)), 0);
	rebuild_as(&t);
	world_end();
}

/* What it lacks has holes: where the room seems not to suffice at all it begins. */
Test(placement, a_rebuild_does_not_wait_for_what_nobody_has, .timeout = 60)
{
	Hf__Task t;

	begin(9);
	drive_is_new();
	t = task_new(TASK_TYPE_DRIVE_REBUILD, SLOT);
	disk_memory_set_free_of(w.disk, SLOT, disk_memory_used(w.disk, SLOT));
	promise_to_others(SLOT, lacking() / 4);
	cr_assert_eq(task_become(&t, S(ASSIGNED)), 0);
	cr_assert_eq(task_become(&t, S(PENDING)), 0);
	cr_assert_eq(promised(), lacking() / 4);
	world_end();
}
