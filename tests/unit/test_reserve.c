/*
 * test_reserve - drives full up to the reserve, and clients that write what they can into it:
 * config, tasks, vacuum's tasks for what is not there and again and again for what is. Then deletes
 * and vacuum still work, and the store is not full any more.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "tests/unit/vacuum_world.h"

#define FREE_BYTES	(UINT64_C(4) << 20)	/* of each drive; the rest is taken by others */
#define DELETE_KEYS	16
#define OBJECTS_MAX	1000
#define BODY_BYTES	3500
#define REFUSALS	40			/* in a row: it is over */

static struct world w;
static struct maintainer keeper;
static bool there[OBJECTS_MAX];
static unsigned object_count;
static uint64_t sequence;

/* So that the reserve, a part of the whole drive, is many of the small segments of this world. */
static void
others_take(unsigned drive)
{
	struct disk_space space;
	struct err e = ERR_INIT;
	char path[32];
	int handle;

	snprintf(path, sizeof(path), "/d%u", drive);
	cr_assert_eq(w.disk->ops->space(w.disk, path, &space, &e), 0);
	snprintf(path, sizeof(path), "/d%u/others", drive);
	handle = w.disk->ops->open(w.disk, path, O_RDWR | O_CREAT, &e);
	cr_assert_geq(handle, 0);
	cr_assert_eq(w.disk->ops->allocate(w.disk, handle, 0, space.free_bytes - FREE_BYTES, &e),
	    0, "%s", e.text);
	w.disk->ops->close(w.disk, handle);
}

static void
begin(void)
{
	world_make_simulated(&w, 21);
	sequence = 0;
	object_count = 0;
	memset(there, 0, sizeof(there));
	world_open(&w);
	world_session(&w, 1);
	world_maintain(&w, &keeper);
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
	for (unsigned drive = 0; drive < 4; drive++)
		others_take(drive);
	drive_set_refresh_space(w.drives);
}

static void
end(void)
{
	world_maintain_end(&keeper);
	world_close(&w);
	world_remove(&w);
}

/* The next number of an answer; those of the maintenance are left alone. */
static uint64_t
next_sequence(void)
{
	if (sequence + 1 == MAINTAIN_SEQUENCE) {
		sequence = 0;
		w.floor = 0;
		memset(w.answers, 0, MAINTAIN_SEQUENCE * sizeof(w.answers[0]));
	}
	sequence++;
	return (sequence);
}

static int
code(void)
{
	world_settle(&w);
	cr_assert(!w.fatal);
	cr_assert_gt(w.answers[sequence], 0);
	return (w.replies[sequence]->code);
}

static int
put(unsigned n)
{
	static char body[BODY_BYTES + 1];
	char key[32];

	memset(body, 'x', BODY_BYTES);
	snprintf(key, sizeof(key), "key-%04u", n);
	world_put(&w, next_sequence(), "b", key, body, NULL);
	return (code());
}

/* Some of those that are there, from n on but each so manyth, by one request. */
static int
drop(unsigned n, unsigned keep_each)
{
	WORLD_OP(object_delete, ObjectDelete, OBJECT_DELETE);
	ProtobufCBinaryData keys[DELETE_KEYS];
	unsigned of[DELETE_KEYS];
	char names[DELETE_KEYS][32];
	int rc;

	op.bucket = (char *)(uintptr_t)"b";
	op.keys = keys;
	for (; n < object_count && op.n_keys < DELETE_KEYS; n++) {
		if (!there[n] || (keep_each != 0 && n % keep_each == 0))
			continue;
		snprintf(names[op.n_keys], sizeof(names[0]), "key-%04u", n);
		of[op.n_keys] = n;
		keys[op.n_keys].data = (uint8_t *)names[op.n_keys];
		keys[op.n_keys].len = strlen(names[op.n_keys]);
		op.n_keys++;
	}
	if (op.n_keys == 0)
		return (1);
	world_send(&w, next_sequence(), &q);
	rc = code();
	for (size_t i = 0; rc == 0 && i < op.n_keys; i++)
		there[of[i]] = false;
	return (rc);
}

static void
fill(void)
{
	int rc = 0;

	for (; object_count < OBJECTS_MAX; object_count++) {
		rc = put(object_count);
		if (rc != 0)
			break;
		there[object_count] = true;
	}
	cr_assert_eq(rc, ERR_FULL, "%u objects did not fill it", object_count);
}

/* --- what hammers ----------------------------------------------------------------------------- */

static int
hammer_config(unsigned n)
{
	WORLD_OP(config_put, ConfigPut, CONFIG_PUT);
	char value[2000];

	memset(value, 'v', sizeof(value));
	snprintf(value, 12, "%010u", n);
	value[11] = 'v';
	value[sizeof(value) - 1] = '\0';
	op.section = (char *)(uintptr_t)"hammer";
	op.name = (char *)(uintptr_t)"value";
	op.value = value;
	world_send(&w, next_sequence(), &q);
	return (code());
}

static int
submit(const char *type, uint64_t volume, unsigned n)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	Hf__Task t = HF__TASK__INIT;
	char print[64], reason[900];

	memset(reason, 'r', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	snprintf(print, sizeof(print), "%s-%u", type, n);
	t.type = (char *)(uintptr_t)type;
	t.fingerprint = print;
	t.source = (char *)(uintptr_t)"operator";
	t.reason = reason;
	t.volume_id = volume;
	t.priority = HF__TASK__PRIORITY__URGENT;
	op.task = &t;
	world_send(&w, next_sequence(), &q);
	return (code());
}

static int
hammer_tasks(unsigned n)
{
	return (submit("hammer", n, n));
}

static int
hammer_vacuum_of_nothing(unsigned n)
{
	return (submit("vacuum", 1000000 + n, n));
}

/* Of segments that are there, the same ones again and again. */
static int
hammer_vacuum(unsigned n)
{
	uint64_t *ids;
	size_t count = world_segments(&w, &ids);
	int rc;

	cr_assert_gt(count, 3);
	rc = submit("vacuum", ids[n % 3], 100000 + n);
	free(ids);
	return (rc);
}

/* One key by each request, and with it many that are not there: as long as a record can be. */
static int
hammer_delete(unsigned n)
{
	WORLD_OP(object_delete, ObjectDelete, OBJECT_DELETE);
	ProtobufCBinaryData keys[DELETE_KEYS];
	static char names[DELETE_KEYS][900];
	unsigned first;

	for (first = 0; first < object_count && !there[first]; first++)
		;
	if (first == object_count)
		return (1);
	op.bucket = (char *)(uintptr_t)"b";
	op.keys = keys;
	for (op.n_keys = 0; op.n_keys < DELETE_KEYS; op.n_keys++) {
		memset(names[op.n_keys], 'z', sizeof(names[0]) - 1);
		snprintf(names[op.n_keys], 24, "none-%06u-%02zu", n, op.n_keys);
		if (op.n_keys == 0)
			snprintf(names[0], 32, "key-%04u", first);
		else
			names[op.n_keys][strlen(names[op.n_keys])] = 'z';
		keys[op.n_keys].data = (uint8_t *)names[op.n_keys];
		keys[op.n_keys].len = strlen(names[op.n_keys]);
	}
	world_send(&w, next_sequence(), &q);
	if (code() == 0)
		there[first] = false;
	return (w.replies[sequence]->code);
}

static unsigned
hammer(int (*one)(unsigned n))
{
	static unsigned n;
	unsigned taken = 0, refused = 0;

	for (; refused < REFUSALS; n++) {
		int rc = one(n);

		cr_assert(rc == 0 || rc == ERR_FULL, "%s", w.replies[sequence]->error);
		taken += rc == 0;
		refused = rc == 0 ? 0 : refused + 1;
		cr_assert_lt(taken, 2500, "it has no end");
	}
	return (taken);
}

static uint64_t
least_free(void)
{
	uint64_t least = UINT64_MAX;
	struct drive d;

	drive_set_refresh_space(w.drives);
	for (unsigned slot = 0; slot < 4; slot++) {
		drive_get(w.drives, slot, &d);
		least = d.space.free_bytes < least ? d.space.free_bytes : least;
	}
	return (least);
}

/* --- what must work all the same -------------------------------------------------------------- */

/* Of a segment's bytes, in per cent. */
static unsigned
garbage_of(uint64_t segment)
{
	struct index_reader r = { .index = w.index };
	Hf__SegmentUse *use = NULL;
	struct buf key = BUF_INIT;
	unsigned percent = 0;

	key_segment(&key, segment);
	if (row_get(&r, buf_slice(&key), &hf__segment_use__descriptor,
	    (ProtobufCMessage **)(void *)&use, NULL) == 0) {
		percent = use->bytes > 0 ? (unsigned)(use->dead_bytes * 100 / use->bytes) : 0;
		hf__segment_use__free_unpacked(use, NULL);
	}
	buf_release(&key);
	return (percent);
}

/* As they are found: the one with the most garbage first, while it is more than 30 %. */
static void
vacuum_all(void)
{
	uint64_t *ids, best = 0, before = 0;
	struct err e = ERR_INIT;
	unsigned most, percent;
	size_t n;

	for (unsigned done = 0; done < 60; done++) {
		n = world_segments(&w, &ids);
		for (size_t i = most = 0; i < n; i++) {
			percent = garbage_of(ids[i]);
			if (percent > most) {
				most = percent;
				best = ids[i];
			}
		}
		free(ids);
		if (most <= 30 || best == before)
			return;
		before = best;
		cr_assert_eq(world_vacuum(&keeper, best, &e), 0, "segment %lu, %u %% garbage: %s",
		    (unsigned long)best, most, e.text);
		w.now_ms += 5000;
		world_settle(&w);
	}
}

static void
everything_reads(void)
{
	char key[32];

	for (unsigned n = 0; n < object_count; n++) {
		snprintf(key, sizeof(key), "key-%04u", n);
		cr_assert_eq(world_get(&w, next_sequence(), "b", key)->code,
		    there[n] ? 0 : ERR_NOT_FOUND);
		w.answers[sequence] = 0;
	}
}

static void
deletes_and_vacuum_work(void)
{
	unsigned again = 0;
	int rc;

	while ((rc = drop(0, 4)) != 1)
		cr_assert_eq(rc, 0, "delete: %s", w.replies[sequence]->error);
	vacuum_all();
	for (unsigned n = 1; n < object_count && put(n) == 0; n += 4) {
		there[n] = true;
		again++;
	}
	cr_assert_geq(again, object_count / 4, "only %u puts after the vacuum", again);
	everything_reads();
}

Test(reserve, config_and_tasks_leave_it_to_deletes, .timeout = 120)
{
	uint64_t reserve;
	unsigned taken[4];

	begin();
	fill();
	reserve = drive_reserve_bytes(w.drives, 0);
	taken[0] = hammer(hammer_config);
	taken[1] = hammer(hammer_tasks);
	taken[2] = hammer(hammer_vacuum_of_nothing);
	cr_assert_geq(least_free() + 65536, reserve / 4 * 3);
	taken[3] = hammer(hammer_vacuum);
	cr_assert_leq(taken[3], 3 * 32);
	cr_assert_gt(taken[3], 0, "a vacuum can be queued when nothing else can");
	cr_log_info("%u objects, then %u config values, %u tasks, %u and %u tasks of vacuum",
	    object_count, taken[0], taken[1], taken[2], taken[3]);
	deletes_and_vacuum_work();
	end();
}

/* All that can be deleted is, one by one; the vacuum has what it needs. */
Test(reserve, deletes_leave_it_to_vacuum, .timeout = 120)
{
	unsigned done = 0, waited = 0;
	int rc = 0;

	begin();
	fill();
	(void)hammer(hammer_tasks);
	for (unsigned round = 0; rc != 1; round++) {
		cr_assert_lt(round, 20);
		for (; (rc = hammer_delete(done)) == 0; done++)
			;
		cr_assert(rc == 1 || rc == ERR_FULL);
		waited += rc == ERR_FULL;
		(void)hammer(hammer_config);
		vacuum_all();
	}
	cr_log_info("%u deletes, the vacuum %u times in between", done, waited);
	cr_assert_gt(waited, 0);
	for (unsigned n = 0; n < object_count / 2; n++) {
		cr_assert_eq(put(n), 0, "put %u: %s", n, w.replies[sequence]->error);
		there[n] = true;
	}
	everything_reads();
	end();
}

/* Others fill the drives to the last byte: what is kept on them takes deletes, and no puts. */
Test(reserve, others_take_the_last_byte, .timeout = 120)
{
	unsigned done = 0;
	uint64_t *ids;
	size_t before;
	int rc;

	begin();
	for (object_count = 0; object_count < 200; object_count++) {
		cr_assert_eq(put(object_count), 0);
		there[object_count] = true;
	}
	for (unsigned drive = 0; drive < 4; drive++)
		disk_memory_set_free_of(w.disk, drive, disk_memory_used(w.disk, drive));
	drive_set_refresh_space(w.drives);
	while ((rc = put(object_count)) == 0)	/* in what was made before */
		there[object_count++] = true;
	cr_assert_eq(rc, ERR_FULL);
	before = catalog_segment_ids(w.drives, &ids);
	free(ids);
	while ((rc = hammer_delete(done)) == 0)
		done++;
	cr_assert(rc == 1 || rc == ERR_FULL);
	cr_assert_geq(catalog_segment_ids(w.drives, &ids), before + 1, "%u deletes", done);
	free(ids);
	cr_assert_gt(done, 3);
	cr_assert(!drive_set_read_only(w.drives));
	everything_reads();
	for (unsigned drive = 0; drive < 4; drive++)
		disk_memory_set_free_of(w.disk, drive, UINT64_C(64) << 20);
	drive_set_refresh_space(w.drives);
	cr_assert_eq(put(object_count), 0, "room again");
	end();
}
