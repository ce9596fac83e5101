/*
 * test_convert - segments from mirrors to shards on a simulated disk: everything is read as before,
 * with drives gone and bits flipped; a power cut, an error, a second worker or a restart of the
 * store at every step of a conversion leaves one layout in force, loses nothing, and the conversion
 * can be done again.
 *
 * A failing step is run alone with HOLDFAST_TEST_STEP=n.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/state/feed.h"
#include "tests/unit/convert_world.h"
#include "tests/unit/proof.h"

/* --- reading ---------------------------------------------------------------------------------- */

Test(convert, everything_is_read_as_before, .timeout = 60)
{
	char *live, *rebuilt;
	unsigned n;

	world_fill(1);
	live = world_dump(&w, "BOVUPXYFC");
	n = convert_all(1);
	cr_assert_gt(n, 1);
	all_check();
	cr_assert_gt(files_of(segment_in(CONVERTED), ".seg"), 0);	/* for old readers */
	w.now_ms += 2000;
	world_settle(&w);
	cr_assert_eq(files_of(segment_in(CONVERTED), ".seg"), 0);
	cr_assert_eq(files_of(segment_in(CONVERTED), ".ecs"), 4);
	all_check();
	world_close(&w);
	world_index_remove(&w);
	world_open(&w);
	rebuilt = world_dump(&w, "BOVUPXYFC");
	cr_assert_str_eq(live, rebuilt);
	all_check();
	layouts_check();
	free(live);
	free(rebuilt);
	world_end();
}

/* Which two of four drives are not there. */
Test(convert, rebuilt_without_m_drives, .timeout = 60)
{
	struct err e = ERR_INIT;
	char *live, *rebuilt;

	world_fill(2);
	convert_all(1);
	world_reopen();	/* no mirrors any more */
	convert_all(1);
	world_reopen();
	live = world_dump(&w, "BOVUPXYC");
	world_close(&w);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < a; b++) {
			disk_memory_set_missing(w.disk, a, true);
			disk_memory_set_missing(w.disk, b, true);
			world_index_remove(&w);
			cr_assert_eq(world_try_open(&w, &e), 0, "without %u and %u: %s", a, b,
			    e.text);
			cr_assert(drive_set_read_only(w.drives));
			rebuilt = world_dump(&w, "BOVUPXYC");
			cr_assert_str_eq(live, rebuilt, "without %u and %u", a, b);
			all_check();
			world_close(&w);
			free(rebuilt);
			disk_memory_set_missing(w.disk, a, false);
			disk_memory_set_missing(w.disk, b, false);
		}
	free(live);
	world_remove(&w);
}

static unsigned damages;

static void
on_damage(void *context, unsigned slot, uint64_t offset, const struct err *why)
{
	(void)context;
	(void)offset;
	cr_assert_lt(slot, 4);
	cr_assert_neq(why->code, 0);
	damages++;
}

static int
count_each(void *context, const struct record *r, struct err *e)
{
	(void)r;
	(void)e;
	++*(uint64_t *)context;
	return (0);
}

Test(convert, flipped_bits_in_m_shards, .timeout = 60)
{
	struct segment_source *source;
	struct segment_paths paths;
	Hf__CatalogSegment *row;
	struct err e = ERR_INIT;
	char *live, *rebuilt, path[64];
	uint64_t id, n;
	int rc;

	world_fill(3);
	convert_all(1);
	world_reopen();
	live = world_dump(&w, "BOVUPXYC");
	id = segment_in(CONVERTED);
	row = catalog_segment(w.drives, id);
	/* Every page of two shards, header and table too. */
	for (uint64_t at = 30; at < shard_file_bytes(row->shard_bytes); at += 1500)
		for (unsigned i = 0; i < 2; i++) {
			snprintf(path, sizeof(path), "/d%u/log/%016" PRIx64 ".ecs", row->slots[i],
			    id);
			cr_assert(disk_memory_flip(w.disk, path, at));
		}
	segment_paths_of_set(w.drives, &paths);
	cr_assert_eq(segment_source_open(&paths, row, &source, &e), 0, "%s", e.text);
	segment_source_on_damage(source, on_damage, NULL);
	n = 0;
	cr_assert_eq(segment_source_records(source, 0, count_each, &n, &e), 0, "%s", e.text);
	cr_assert_eq(n, row->last_lsn - row->first_lsn + 1);
	cr_assert_gt(damages, 0);
	n = 0;
	cr_assert_eq(segment_source_heads(source, 0, count_each, &n, &e), 0, "%s", e.text);
	cr_assert_eq(n, row->last_lsn - row->first_lsn + 1);
	segment_source_close(&source);
	all_check();
	world_close(&w);
	world_index_remove(&w);
	world_open(&w);
	rebuilt = world_dump(&w, "BOVUPXYC");
	cr_assert_str_eq(live, rebuilt);
	/* A third one is too many: that is said, not guessed. */
	for (uint64_t at = 4096; at < SHARD_HEADER_BYTES + row->shard_bytes; at += 512) {
		snprintf(path, sizeof(path), "/d%u/log/%016" PRIx64 ".ecs", row->slots[3], id);
		cr_assert(disk_memory_flip(w.disk, path, at + 17));
	}
	world_close(&w);
	world_index_remove(&w);
	rc = world_try_open(&w, &e);
	cr_assert_lt(rc, 0);
	cr_assert_not_null(strstr(e.text, "is damaged on all its shards"), "%s", e.text);
	hf__catalog_segment__free_unpacked(row, NULL);
	free(live);
	free(rebuilt);
	world_remove(&w);
}

/* --- followers -------------------------------------------------------------------------------- */

struct follower {
	struct feed_at	at;
	unsigned	told;
	bool		converts;	/* what it is reading, at once */
};

/* The next entry; behind the first in the middle of a segment the files of that become others'. */
static bool
follow_each(void *context, Hf__FeedEntry *entry)
{
	struct follower *f = context;
	uint64_t reading = f->at.segment, used = drive_recycled_used(w.drives);
	char key[16], body[3000] = "";
	struct err e = ERR_INIT;

	if (entry->kind != HF__FEED_ENTRY__KIND__PUT)
		return (false);
	snprintf(key, sizeof(key), "k%u", f->told++);
	cr_assert(entry->key.len == strlen(key) && memcmp(entry->key.data, key, strlen(key)) == 0,
	    "%.*s, not %s", (int)entry->key.len, (const char *)entry->key.data, key);
	if (f->told != 3 || !f->converts)
		return (false);
	cr_assert_eq(convert(reading, 1, &e), 0, "%s", e.text);
	w.now_ms += 2000;
	world_settle(&w);
	memset(body, 'x', sizeof(body) - 1);
	for (unsigned i = 0; i < 120; i++) {
		snprintf(key, sizeof(key), "l%u", i);
		world_put(&w, ++sequence, "b", key, body, NULL);
		world_settle(&w);
	}
	cr_assert_geq(drive_recycled_used(w.drives), used + 3, "its files are in use again");
	return (false);
}

/* Its cursor is good: it is not told to begin anew. */
Test(convert, who_follows_the_log_reads_on_in_the_shards, .timeout = 60)
{
	for (unsigned converts = 0; converts < 2; converts++) {
		struct follower f = { .converts = converts == 1 };
		struct state_stats t;
		struct err e = ERR_INIT;

		world_fill(5);
		state_stats(w.state, &t);
		cr_assert_eq(feed_read(w.log, w.drives, t.applied_lsn, &f.at, follow_each, &f,
		    &e), 0, "%s", e.text);
		cr_assert_eq(f.told, 40);
		cr_assert_eq(f.at.lsn, t.applied_lsn);
		world_end();
	}
}

/* Drives that are away are no reason to begin anew either. */
Test(convert, who_follows_the_log_waits_for_drives, .timeout = 60)
{
	struct follower f = { 0 };
	struct state_stats t;
	struct err e = ERR_INIT;

	world_fill(6);
	state_stats(w.state, &t);
	for (unsigned i = 0; i < 3; i++)
		drive_fail(w.drives, i, "test", NULL);
	cr_assert_eq(feed_read(w.log, w.drives, t.applied_lsn, &f.at, follow_each, &f, &e),
	    ERR_NO_QUORUM, "%s", e.text);
	world_end();
}

/* --- refusals --------------------------------------------------------------------------------- */

Test(convert, what_the_store_refuses, .timeout = 60)
{
	struct err e = ERR_INIT;
	uint64_t id;
	struct worker k;

	world_fill(4);
	id = segment_in(SEALED);
	cr_assert_eq(convert(segment_in(HF__CATALOG_SEGMENT__STATE__OPEN), 1, &e), ERR_BUSY,
	    "%s", e.text);
	cr_assert_eq(convert(999999, 1, &e), ERR_NOT_FOUND);
	disk_memory_set_free(w.disk, 1 << 20);
	cr_assert_eq(convert(id, 1, &e), ERR_FULL, "%s", e.text);
	disk_memory_set_free(w.disk, 64 << 20);
	worker_init(&k, 1);
	k.cancel_at = 3;
	cr_assert_eq(convert_run(&k.m, id, &e), ERR_CANCELLED);
	worker_release(&k);
	cr_assert_eq(files_of(id, ".new"), 0);
	disk_memory_set_eio(w.disk, 3, true);
	drive_fail(w.drives, 3, "test", &e);
	cr_assert_eq(convert(id, 2, &e), ERR_NO_QUORUM, "%s", e.text);
	disk_memory_set_eio(w.disk, 3, false);
	cr_assert_eq(catalog_segment_hold(w.drives, 999999, true, &e), ERR_NOT_FOUND);
	cr_assert_eq(catalog_segment_hold(w.drives, segment_in(HF__CATALOG_SEGMENT__STATE__OPEN),
	    true, &e), ERR_BUSY, "%s", e.text);
	world_reopen();
	cr_assert_eq(catalog_segment_hold(w.drives, id, true, &e), 0, "%s", e.text);
	cr_assert_eq(catalog_segment_hold(w.drives, id, true, &e), 0, "again: %s", e.text);
	world_reopen();
	cr_assert_eq(convert(id, 3, &e), ERR_DENIED, "%s", e.text);
	cr_assert_eq(catalog_segment_hold(w.drives, id, false, &e), 0, "%s", e.text);
	cr_assert_eq(convert(id, 3, &e), 0, "%s", e.text);
	cr_assert_eq(convert(id, 3, &e), 0, "%s", e.text);	/* it is: nothing is to be done */
	world_reopen();
	layouts_check();
	all_check();
	world_end();
}

/* Its worker may hang, or cannot ask any more: the store does not wait for its word. */
Test(convert, a_task_that_ends_takes_its_files_with_it, .timeout = 60)
{
	Hf__Task first, second;
	struct err e = ERR_INIT;
	struct worker k;
	uint64_t id;

	world_fill(6);
	id = segment_in(SEALED);
	first = task_new("erasure_coding", id);
	cr_assert_eq(task_become(&first, HF__TASK__STATE__ASSIGNED), 0);
	cr_assert_eq(task_become(&first, HF__TASK__STATE__IN_PROGRESS), 0);
	cr_assert_eq(begin_for(&first), 0);
	cr_assert_eq(files_of(id, ".new"), 4);
	cr_assert_eq(task_become(&first, HF__TASK__STATE__CANCELLED), 0);
	world_settle(&w);
	cr_assert_eq(files_of(id, ".new"), 0, "they take room");
	second = task_new("erasure_coding", id);
	cr_assert_eq(task_become(&second, HF__TASK__STATE__ASSIGNED), 0);
	cr_assert(second.lease == first.lease && second.id != first.id);
	cr_assert_eq(begin_for(&second), 0, "leases of two tasks say nothing of each other");
	cr_assert_eq(begin_for(&first), ERR_STALE);
	worker_init(&k, second.lease);
	k.task.id = second.id;
	cr_assert_eq(convert_run(&k.m, id, &e), 0, "%s", e.text);
	worker_release(&k);
	world_reopen();
	layouts_check();
	all_check();
	world_end();
}

static void
shard_path(unsigned slot, uint64_t id, char out[64])
{
	snprintf(out, 64, "/d%u/log/%016" PRIx64 ".ecs", slot, id);
}

/* As a newer program would write it. */
static void
version_raise(unsigned slot, const Hf__CatalogSegment *row)
{
	uint8_t page[SHARD_HEADER_BYTES];
	struct iovec iov = { page, sizeof(page) };
	char path[64];
	int handle;

	shard_path(slot, row->id, path);
	handle = w.disk->ops->open(w.disk, path, O_RDWR, NULL);
	cr_assert_geq(handle, 0);
	cr_assert_eq(w.disk->ops->pread(w.disk, handle, page, sizeof(page), 0, NULL),
	    (ssize_t)sizeof(page));
	put_u32(page + SHARD_AT_VERSION, SHARD_VERSION + 1);
	put_u32(page + SHARD_AT_CRC, crc32c(crc32c_seed(row->id, page[SHARD_AT_SHARD] *
	    row->shard_bytes), page, SHARD_AT_CRC));
	cr_assert_eq(w.disk->ops->pwritev(w.disk, handle, &iov, 1, 0, NULL), 0);
	w.disk->ops->close(w.disk, handle);
}

Test(convert, a_newer_version_is_refused)
{
	struct err e = ERR_INIT;
	Hf__CatalogSegment *row;

	world_fill(5);
	convert_all(1);
	world_reopen();
	row = catalog_segment(w.drives, segment_in(CONVERTED));
	world_close(&w);
	for (unsigned i = 0; i < 4; i++)
		version_raise(i, row);
	world_index_remove(&w);
	cr_assert_lt(world_try_open(&w, &e), 0);
	cr_assert_not_null(strstr(e.text, "version 2; this program knows 1"), "%s", e.text);
	hf__catalog_segment__free_unpacked(row, NULL);
	world_remove(&w);
}

/* A bit of the number alone: the other shards have what it had. */
Test(convert, a_rotten_version_is_damage)
{
	uint64_t *ids;
	char path[64];
	size_t n;

	world_fill(6);
	convert_all(1);
	world_reopen();
	n = catalog_segment_ids(w.drives, &ids);
	world_close(&w);
	for (size_t i = 0; i < n; i++) {
		shard_path((unsigned)i % 4, ids[i], path);
		disk_memory_flip(w.disk, path, SHARD_AT_VERSION);	/* 1 becomes 17 */
		snprintf(path, sizeof(path), "/d%u/log/%016" PRIx64 ".seg", (unsigned)i % 4,
		    ids[i]);
		disk_memory_flip(w.disk, path, SEGMENT_AT_VERSION);
	}
	free(ids);
	world_index_remove(&w);
	world_open(&w);
	all_check();
	world_end();
}

/* --- at every step ---------------------------------------------------------------------------- */

static uint64_t
step_only(void)
{
	const char *only = getenv("HOLDFAST_TEST_STEP");

	return (only != NULL ? strtoull(only, NULL, 10) : 0);
}

static void
after_check(uint64_t lease)
{
	all_check();
	layouts_check();
	convert_all(lease);	/* it can be run again */
	all_check();
	world_reopen();
	all_check();
	layouts_check();
}

/*
 * Power fails at every changing step of a conversion, and again while the store recovers; each step
 * with four fates of what was not synced.
 */
Test(convert, power_cut_at_every_step, .timeout = 240)
{
	struct err e = ERR_INIT;
	uint64_t only = step_only(), id;
	bool cut = true;

	for (step = only != 0 ? only : 4; cut && (only == 0 || step == only); step++) {
		world_fill(step);
		id = segment_in(SEALED);
		disk_memory_cut_at(w.disk, step / 4);
		convert(id, 1, &e);
		w.now_ms += 2000;	/* mirrors go */
		if (!disk_memory_cut(w.disk))
			world_settle(&w);
		cut = disk_memory_cut(w.disk);
		world_close(&w);
		disk_memory_restart(w.disk);
		world_open_again(&w, 1 + disk_memory_random(w.disk, 60));
		w.answers[0] = 0;
		world_session(&w, 1);
		after_check(2);
		world_end();
	}
	proof_say("histories", step, "conversion: the power cut at every step");
	cr_assert(only != 0 || step > 150);
}

/* One write, sync, rename, ... fails. */
Test(convert, error_at_every_step, .timeout = 240)
{
	struct err e = ERR_INIT;
	uint64_t only = step_only(), id, steps = UINT64_MAX;

	for (step = only != 0 ? only : 1; step <= steps && (only == 0 || step == only); step++) {
		uint64_t before;

		world_fill(step);
		id = segment_in(SEALED);
		before = disk_memory_steps(w.disk);
		disk_memory_fail_step(w.disk, step);
		if (convert(id, 1, &e) == 0) {
			w.now_ms += 2000;
			world_settle(&w);
			steps = disk_memory_steps(w.disk) - before;
		}
		disk_memory_fail_step(w.disk, 0);
		all_check();
		world_reopen();
		after_check(2);
		world_end();
	}
	proof_say("histories", step, "conversion: an error at every step");
}

/* --- a worker that goes on late --------------------------------------------------------------- */

static void
another_converts(struct worker *k)
{
	struct err e = ERR_INIT;
	uint64_t id = segment_in(SEALED);
	int rc;

	(void)k;
	rc = convert(id, 2, &e);
	cr_assert_eq(rc, 0, "step %lu: %s", (unsigned long)step, e.text);
}

static void
store_restarts(struct worker *k)
{
	(void)k;
	world_reopen();
}

static void
restarts_and_converts(struct worker *k)
{
	world_reopen();
	another_converts(k);
	w.now_ms += 2000;
	world_settle(&w);
}

static void
stops_here(struct worker *k)
{
	k->at = 0;
	store_gone = true;
}

static void
bit_flips(struct worker *k)
{
	const char *path;

	(void)k;
	for (unsigned i = 0; (path = disk_memory_find(w.disk, ".1.new", i)) != NULL; i++)
		if (disk_memory_flip(w.disk, path, 5000))
			return;
}

/* Runs a conversion in which something happens at every step in turn. */
static void
meanwhile(void (*what)(struct worker *k), bool done)
{
	uint64_t only = step_only(), steps = UINT64_MAX;
	struct err e = ERR_INIT;
	struct worker k;
	int rc;

	for (step = only != 0 ? only : 1; step <= steps && (only == 0 || step == only); step++) {
		uint64_t id;

		world_fill(step);
		id = segment_in(SEALED);
		worker_init(&k, 1);
		k.at = step;
		k.meanwhile = what;
		rc = convert_run(&k.m, id, &e);
		if (k.steps < step)
			steps = step;
		store_gone = false;
		cr_assert(!done || files_of(id, ".ecs") == 4, "step %lu: %d %s",
		    (unsigned long)step, rc, e.text);
		worker_release(&k);
		all_check();
		world_reopen();
		after_check(3);
		world_end();
	}
	proof_say("histories", step, "conversion: a restart, another worker or an end at every "
	    "step");
	cr_assert(only != 0 || step > 10);
}

Test(convert, another_worker_at_every_step, .timeout = 240)
{
	meanwhile(another_converts, true);
}

Test(convert, the_store_restarts_at_every_step, .timeout = 240)
{
	meanwhile(store_restarts, false);
}

Test(convert, restart_and_another_worker_at_every_step, .timeout = 240)
{
	meanwhile(restarts_and_converts, true);
}

Test(convert, the_worker_ends_at_every_step, .timeout = 240)
{
	meanwhile(stops_here, false);
}

/* It ends with the reason, and the next one, with more, does it. */
Test(convert, no_memory_for_it, .timeout = 60)
{
	struct err e = ERR_INIT;
	struct worker k;
	uint64_t id;

	world_fill(1);
	id = segment_in(SEALED);
	worker_init(&k, 1);
	k.purse.refuse_at = 1;
	cr_assert_eq(convert_run(&k.m, id, &e), ERR_FULL, "%s", e.text);
	cr_assert_eq(files_of(id, ".new"), 0);
	k.purse = (struct purse){ 0 };
	cr_assert_eq(convert_run(&k.m, id, &e), 0, "%s", e.text);
	cr_assert_eq(k.purse.asked, 1);
	cr_assert_geq(k.purse.most, 4 * 65536);
	worker_release(&k);
	all_check();
	world_end();
}

/* What was written is not what is read: it is not committed. */
Test(convert, a_bit_flips_at_every_step, .timeout = 240)
{
	meanwhile(bit_flips, false);
}

/* All records of a converted segment, from any two of its four shards. */
static void
any_two_shards_check(uint64_t id)
{
	Hf__CatalogSegment *row = catalog_segment(w.drives, id);
	struct segment_source *source;
	struct segment_paths paths;
	struct err e = ERR_INIT;
	uint64_t n;

	cr_assert_eq(row->state, CONVERTED);
	for (unsigned gone = 1; gone < 16; gone++) {
		if (__builtin_popcount(gone) != 2)
			continue;
		for (unsigned i = 0; i < 4; i++)
			disk_memory_set_missing(w.disk, i, gone >> i & 1);
		segment_paths_of_set(w.drives, &paths);
		cr_assert_eq(segment_source_open(&paths, row, &source, &e), 0, "%s", e.text);
		n = 0;
		cr_assert_eq(segment_source_records(source, 0, count_each, &n, &e), 0,
		    "seed %lu, without %x: %s", (unsigned long)step, gone, e.text);
		cr_assert_eq(n, row->last_lsn - row->first_lsn + 1);
		segment_source_close(&source);
	}
	for (unsigned i = 0; i < 4; i++)
		disk_memory_set_missing(w.disk, i, false);
	hf__catalog_segment__free_unpacked(row, NULL);
}

/* A drive tells writes as done that are lost or go elsewhere: a shard with such a hole, be it of
 * parity, is not committed. */
Test(convert, a_drive_lies, .timeout = 240)
{
	const struct disk_tally *tally;
	struct err e = ERR_INIT;
	unsigned refused = 0, rc;
	uint64_t id, told;

	for (step = 1; step <= 24; step++) {
		world_fill(step);
		id = segment_in(SEALED);
		tally = disk_memory_tally(w.disk);
		disk_memory_set_liar(w.disk, 1u << step % 4, 4);
		told = tally->lost + tally->misdirected;
		rc = convert(id, 1, &e) != 0;
		disk_memory_set_liar(w.disk, 0, 0);
		cr_assert(rc == 0 || tally->lost + tally->misdirected > told, "seed %lu: %s",
		    (unsigned long)step, e.text);
		refused += rc;
		if (rc == 0)
			any_two_shards_check(id);
		world_end();
	}
	cr_assert_gt(refused, 4);
	cr_assert_lt(refused, 24);
	proof_say("histories", step - 1, "conversion: a drive that lies");
}
