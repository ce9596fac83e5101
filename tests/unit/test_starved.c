/*
 * test_starved - other programs take the room that the catalogs need, or mount drives read-only:
 * the store opens all the same, says why, reads everything, refuses with ERR_FULL, and is
 * read-write again when it is opened after the room came back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/log/log_internal.h"
#include "tests/unit/state_world.h"
#include "tests/unit/vacuum_world.h"

#define OBJECTS 24
#define DRIVES	4

static struct world w;
static bool there[OBJECTS];
static uint64_t sequence;

static const char *
key_of(unsigned n, char out[16])
{
	snprintf(out, 16, "key-%03u", n);
	return (out);
}

static int
put(unsigned n)
{
	char key[16];
	int rc;

	world_put(&w, ++sequence, "b", key_of(n, key), key, NULL);
	world_settle(&w);
	rc = world_code(&w, sequence);
	there[n] |= rc == 0;
	return (rc);
}

static int
drop(unsigned n)
{
	char key[16];
	int rc;

	world_delete(&w, ++sequence, "b", key_of(n, key));
	world_settle(&w);
	rc = world_code(&w, sequence);
	if (rc == 0)
		there[n] = false;
	return (rc);
}

static void
everything_reads(void)
{
	const Hf__StoreReply *r;
	char key[16];

	for (unsigned n = 0; n < OBJECTS; n++) {
		r = world_get(&w, ++sequence, "b", key_of(n, key));
		cr_assert_eq(r->code, there[n] ? 0 : ERR_NOT_FOUND, "%s: %s", key, r->error);
		cr_assert(!there[n] || r->entry->bytes == strlen(key));
	}
}

static void
begin(uint64_t seed)
{
	world_make_simulated(&w, seed);
	sequence = 0;
	memset(there, 0, sizeof(there));
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
	for (unsigned n = 0; n < OBJECTS; n++)
		cr_assert_eq(put(n), 0);
}

static void
end(void)
{
	world_close(&w);
	world_remove(&w);
}

/* Others leave so much on each drive. */
static void
leave_room(uint64_t bytes)
{
	for (unsigned drive = 0; drive < DRIVES; drive++)
		disk_memory_set_free_of(w.disk, drive, disk_memory_used(w.disk, drive) + bytes);
}

static uint8_t
next_session(void)
{
	static uint8_t id = 1;

	return (id = (uint8_t)(id % 250 + 1));
}

static void
reopen(void)
{
	world_close(&w);
	world_open(&w);
	memset(w.answers, 0, sizeof(w.answers));
	world_session(&w, next_session());
}

/* Opened again with room it is as if nothing had been. */
static void
recovers(void)
{
	disk_memory_set_free(w.disk, UINT64_C(64) << 20);
	reopen();
	cr_assert(!drive_set_read_only(w.drives));
	cr_assert_eq(drive_present_mask(w.drives), 15);
	everything_reads();
	for (unsigned n = 0; n < OBJECTS; n++)
		cr_assert_eq(put(n), 0);
	everything_reads();
}

static bool
starved(void)
{
	struct err e = ERR_INIT;
	struct drive d;
	int rc = drive_set_writable(w.drives, &e);

	cr_assert(rc == 0 || rc == ERR_FULL, "%s", e.text);
	if (rc == 0)
		return (false);
	cr_assert(drive_set_read_only(w.drives));
	cr_assert(strstr(e.text, "slot 0 (/d0)") != NULL, "%s", e.text);
	drive_get(w.drives, 0, &d);
	cr_assert_neq(d.closed, DRIVE_WRITABLE);
	cr_assert_neq(d.note[0], '\0');
	return (true);
}

/* Each start takes some of the room that the catalogs have; without any it is read-only. */
Test(starved, starts_until_nothing_is_left)
{
	unsigned opened = 0, closed = 0;
	bool enough;

	begin(11);
	world_close(&w);
	leave_room(0);
	world_open(&w);
	world_session(&w, next_session());
	for (; closed < 3 && opened < 200; opened++) {
		leave_room(0);
		reopen();
		everything_reads();
		closed += starved();
		cr_assert_eq(put(0), ERR_FULL);
		if (closed > 0)
			cr_assert_eq(drop(opened % OBJECTS), ERR_FULL);
		(void)drive_set_reopened(w.drives, &enough);
		cr_assert(!enough);
	}
	cr_assert_eq(closed, 3, "%u starts did not use the room up", opened);
	disk_memory_set_free(w.disk, UINT64_C(64) << 20);
	cr_assert_eq(drive_set_reopened(w.drives, &enough), 15);
	cr_assert(enough);
	recovers();
	end();
}

/* As if the file system knew no allocation: so much room is left behind the last frame. */
static void
catalog_cut(unsigned drive, uint64_t room)
{
	struct disk *d = w.disk;
	struct err e = ERR_INIT;
	uint64_t bytes = 0;
	char path[32];
	uint8_t *data;
	int handle;

	snprintf(path, sizeof(path), "/d%u/catalog", drive);
	handle = d->ops->open(d, path, O_RDWR, &e);
	cr_assert_geq(handle, 0);
	cr_assert_eq(d->ops->size(d, handle, &bytes, &e), 0);
	data = malloc(bytes);
	cr_assert_eq(d->ops->pread(d, handle, data, bytes, 0, &e), (ssize_t)bytes);
	while (bytes > 0 && data[bytes - 1] == 0)
		bytes--;
	free(data);
	d->ops->truncate(d, handle, (bytes + 4095) / 4096 * 4096 + room, &e);
	d->ops->datasync(d, handle, &e);
	d->ops->close(d, handle);
}

/* Whatever is left: it opens, reads, and what it acknowledges is there. */
Test(starved, any_room_at_the_start)
{
	unsigned closed = 0, deleted = 0;

	for (uint64_t room = 0; room < 24; room++) {
		begin(100 + room);
		world_close(&w);
		for (unsigned n = 0; n < DRIVES && room % 2 == 0; n++)
			catalog_cut(n, room * 8192);
		leave_room(room % 2 == 0 ? room * 512 : room * room * 4096);
		world_open(&w);
		memset(w.answers, 0, sizeof(w.answers));
		world_session(&w, next_session());
		everything_reads();
		closed += starved();
		for (unsigned n = 0; n < OBJECTS; n += 3) {
			int rc = drop(n);

			cr_assert(rc == 0 || rc == ERR_FULL);
			deleted += rc == 0;
		}
		cr_assert(!w.fatal);
		everything_reads();
		recovers();
		end();
	}
	cr_assert_gt(closed, 3);
	cr_assert_gt(deleted, OBJECTS);
}

/* While it runs: the catalogs have no room any more, the segment has. */
Test(starved, deletes_go_on_while_the_segment_has_room)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	struct err e = ERR_INIT;
	unsigned done = 0, changes = 0;
	int rc = 0;

	begin(12);
	leave_room(0);
	change.reason = (char *)(uintptr_t)"test";
	while (rc == 0 && changes++ < 1000)
		rc = catalog_commit(w.drives, &change, &e);
	cr_assert_eq(rc, ERR_NO_QUORUM, "%s", e.text);
	cr_assert(starved());
	cr_assert_eq(drive_online_mask(w.drives), 15, "nobody is lost");
	cr_assert_eq(catalog_commit(w.drives, &change, &e), ERR_FULL);
	cr_assert_eq(put(1), ERR_FULL);
	while ((rc = drop(done % OBJECTS)) == 0)
		done++;
	cr_assert_eq(rc, ERR_FULL);
	cr_assert_gt(done, 0);
	cr_assert(!w.fatal);
	everything_reads();
	reopen();
	cr_assert(starved());
	everything_reads();
	recovers();
	end();
}

/* One drive is full to the brim: the others go on, and it comes back. */
Test(starved, one_drive_leaves_and_returns)
{
	bool enough;
	struct drive d;

	begin(13);
	world_close(&w);
	for (unsigned starts = 0; starts < 200; starts++) {
		disk_memory_set_free_of(w.disk, 2, disk_memory_used(w.disk, 2));
		world_open(&w);
		if (drive_present_mask(w.drives) == 11)
			break;
		world_close(&w);
	}
	cr_assert_eq(drive_present_mask(w.drives), 11);
	cr_assert(!drive_set_read_only(w.drives));
	drive_get(w.drives, 2, &d);
	cr_assert_eq(d.closed, DRIVE_NO_ROOM);
	memset(w.answers, 0, sizeof(w.answers));
	world_session(&w, next_session());
	cr_assert_eq(put(3), 0);
	cr_assert_eq(drive_set_reopened(w.drives, &enough), 0);
	disk_memory_set_free(w.disk, UINT64_C(64) << 20);
	cr_assert_eq(drive_set_reopened(w.drives, &enough), 4);
	cr_assert(!enough);
	cr_assert_eq(drive_set_return(w.drives, 2, NULL), 0);
	cr_assert_eq(drive_set_reopened(w.drives, &enough), 0);
	cr_assert_eq(drive_present_mask(w.drives), 15);
	cr_assert_eq(put(4), 0);
	everything_reads();
	recovers();
	end();
}

Test(starved, a_mount_turns_read_only)
{
	struct drive d;
	bool enough;

	begin(14);
	disk_memory_set_read_only(w.disk, 1, true);
	drive_set_probe(w.drives);
	cr_assert_eq(drive_present_mask(w.drives), 13);
	cr_assert(!drive_set_read_only(w.drives));
	drive_get(w.drives, 1, &d);
	cr_assert_eq(d.closed, DRIVE_MOUNTED_READ_ONLY);
	cr_assert(strstr(d.note, "read-only") != NULL, "%s", d.note);
	cr_assert_eq(put(1), 0);
	everything_reads();
	reopen();	/* as at a start */
	cr_assert_eq(drive_present_mask(w.drives), 13);
	drive_get(w.drives, 1, &d);
	cr_assert_eq(d.closed, DRIVE_MOUNTED_READ_ONLY);
	cr_assert_eq(put(2), 0);
	disk_memory_set_read_only(w.disk, 1, false);
	cr_assert_eq(drive_set_reopened(w.drives, &enough), 2);
	cr_assert_eq(drive_set_return(w.drives, 1, NULL), 0);
	cr_assert_eq(drive_present_mask(w.drives), 15);
	everything_reads();
	recovers();
	end();
}

Test(starved, a_write_finds_the_mount_read_only)
{
	struct drive d;

	begin(15);
	disk_memory_set_read_only(w.disk, 0, true);
	for (unsigned n = 0; n < OBJECTS; n++)
		cr_assert_eq(put(n), 0);	/* whoever wrote it first failed the drive */
	drive_set_probe(w.drives);
	drive_get(w.drives, 0, &d);
	cr_assert_eq(d.closed, DRIVE_MOUNTED_READ_ONLY);
	cr_assert_eq(drive_present_mask(w.drives), 14);
	everything_reads();
	disk_memory_set_read_only(w.disk, 0, false);
	recovers();
	end();
}

Test(starved, all_mounts_are_read_only)
{
	bool enough;

	begin(16);
	for (unsigned n = 0; n < DRIVES; n++)
		disk_memory_set_read_only(w.disk, n, true);
	drive_set_probe(w.drives);
	cr_assert(starved());
	cr_assert_eq(put(1), ERR_FULL);
	everything_reads();
	for (unsigned n = 0; n < 2; n++) {
		reopen();
		cr_assert(starved());
		everything_reads();
		cr_assert_eq(drop(1), ERR_FULL);
	}
	(void)drive_set_reopened(w.drives, &enough);
	cr_assert(!enough);
	for (unsigned n = 0; n < DRIVES; n++)
		disk_memory_set_read_only(w.disk, n, false);
	(void)drive_set_reopened(w.drives, &enough);
	cr_assert(enough);
	recovers();
	end();
}

/* --- the index -------------------------------------------------------------------------------- */

static void
object_list(uint64_t sequence, size_t keys)
{
	WORLD_OP(object_list, ObjectList, OBJECT_LIST);
	const Hf__StoreReply *r;

	op.bucket = (char *)(uintptr_t)"b";
	op.max = 100;
	r = world_ask(&w, sequence, &q);
	cr_assert_eq(r->code, 0, "%s", r->error);
	cr_assert_eq(r->n_items, keys);
}

/* What is under way comes to its end; changes are refused with the reason, and reads, also by who
 * comes now, go on. Nothing is lost. */
Test(starved, changes_are_refused_while_the_index_has_no_room, .timeout = 60)
{
	struct err why = ERR_INIT;

	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_put(&w, 2, "b", "k", "x", NULL);
	world_settle(&w);
	world_put(&w, 3, "b", "l", "y", NULL);	/* admitted, and not committed */
	err_set(&why, ERR_FULL, "the index is full");
	state_freeze(w.state, &why);
	world_put(&w, 4, "b", "m", "z", NULL);
	world_delete(&w, 5, "b", "k");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 3), 0);
	cr_assert_eq(world_code(&w, 4), ERR_FULL);
	cr_assert_str_eq(w.replies[4]->error, "the index is full");
	cr_assert_eq(world_code(&w, 5), ERR_FULL);
	world_put(&w, 2, "b", "k", "x", NULL);	/* asked again: it was done */
	world_settle(&w);
	cr_assert_eq(w.answers[2], 2);
	cr_assert_eq(w.replies[2]->code, 0);
	cr_assert_eq(world_get(&w, 6, "b", "k")->code, 0);
	cr_assert_eq(world_get(&w, 7, "b", "m")->code, ERR_NOT_FOUND);
	object_list(8, 2);
	world_session(&w, 2);			/* cannot be recorded, and is served */
	cr_assert_eq(world_get(&w, 9, "b", "l")->code, 0);
	state_session_end(w.state, w.session);
	w.now_ms += 60000;
	world_settle(&w);
	cr_assert_not(w.fatal);
	cr_assert_eq(state_next_ms(w.state), UINT64_MAX, "nothing goes on by itself");
	world_close(&w);
	world_open(&w);
	world_session(&w, 3);
	cr_assert_eq(world_get(&w, 10, "b", "l")->code, 0);
	world_put(&w, 11, "b", "m", "z", NULL);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 11), 0);
	world_close(&w);
	world_remove(&w);
}

/* A segment of which nothing is needed; its answers are to move, and it killed records. */
static uint64_t
dead_segment(void)
{
	uint64_t *ids, id;
	size_t count;

	world_seal(&w);
	cr_assert_eq(put(0), 0);
	count = world_segments(&w, &ids);	/* the next one has only what is put now */
	free(ids);
	for (unsigned n = 0; n < 2 * OBJECTS; n++)
		cr_assert_eq(put(n % OBJECTS), 0);
	cr_assert_gt(world_segments(&w, &ids), count);
	id = ids[count];
	free(ids);
	return (id);
}

static void
segment_drop_send(uint64_t segment)
{
	WORLD_OP(segment_drop, SegmentDrop, SEGMENT_DROP);

	op.segment = segment;
	world_send(&w, ++sequence, &q);
}

static int
segment_drop(uint64_t segment)
{
	segment_drop_send(segment);
	world_settle(&w);
	w.now_ms += 10000;
	return (world_code(&w, sequence));
}

/* So many commits after it was asked for. False: it had its answer by then. */
static bool
freeze_in_drop(unsigned commits, bool drain_before)
{
	struct pollfd p = { .events = POLLIN };
	struct err why = ERR_INIT;
	uint64_t segment;
	bool waits;

	begin(20);
	segment = dead_segment();
	segment_drop_send(segment);
	state_turn(w.state, w.now_ms);
	p.fd = log_wake_fd(w.log);
	for (unsigned n = 0; n < commits && w.answers[sequence] == 0; n++) {
		cr_assert_eq(poll(&p, 1, 5000), 1);
		state_collect(w.state, w.now_ms);
	}
	waits = w.answers[sequence] == 0;
	err_set(&why, ERR_FULL, "the index is full");
	if (drain_before)
		state_drain(w.state);
	state_freeze(w.state, &why);
	world_settle(&w);
	if (waits)
		cr_assert_eq(world_code(&w, sequence), ERR_FULL);
	state_drain(w.state);
	world_settle(&w);
	reopen();
	everything_reads();
	for (unsigned n = 0; segment_drop(segment) == ERR_BUSY; n++)
		cr_assert_lt(n, 10);
	cr_assert_eq(world_code(&w, sequence), 0, "%s", w.replies[sequence]->error);
	everything_reads();
	end();
	return (waits);
}

/* Whoever asked for it is told, and a stop, before that or later, ends. */
Test(starved, a_drop_ends_wherever_it_is_when_the_index_has_no_room, .timeout = 120)
{
	unsigned steps = 0;

	while (freeze_in_drop(steps, false) && freeze_in_drop(steps, true))
		cr_assert_lt(++steps, 20);
	cr_assert_geq(steps, 3, "%u steps: rows move, records are named, its own are forgotten",
	    steps);
}
