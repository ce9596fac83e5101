/*
 * test_index_copy - the copy of the index on a drive: made in steps, incremental, never a mix; and
 * what becomes of a lost index: from the copy where that can be used, else from the log, with the
 * same rows either way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/buf.h"
#include "libbase/checksum.h"
#include "libstore/index/index_copy_internal.h"
#include "tests/unit/proof.h"
#include "tests/unit/state_world.h"

static struct world w;
static uint64_t sequence;
static char index_dir[96];

static void
setup(void)
{
	world_make_simulated(&w, 7);
	snprintf(index_dir, sizeof(index_dir), "%s/index", w.directory);
	sequence = 0;
	w.restores = true;
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
}

static void
teardown(void)
{
	world_close(&w);
	world_remove(&w);
}

TestSuite(index_copy, .init = setup, .fini = teardown);

static void
puts_make(unsigned n)
{
	char key[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "key-%04u", (unsigned)sequence);
		world_put(&w, ++sequence, "b", key, "some body", NULL);
	}
	world_settle(&w);
}

/* What is asked, and told, of each copying. */
static struct index_copy_how how;
static unsigned chosen, damaged;
static uint64_t checked;

/* Copies to the end; *written is what was not named from the last copy. */
static int
copy_make(struct index_copy_about *about, uint64_t *written, struct err *e)
{
	struct index_copy_progress progress = { 0 };
	struct index_copier *c;
	int rc;

	rc = index_copier_open(w.index, index_dir, w.drives, &how, &chosen, &c, e);
	for (rc = rc < 0 ? rc : 1; rc > 0;)
		rc = index_copier_step(c, 700, e);
	if (rc == 0)
		index_copier_about(c, about, &progress);
	index_copier_close(&c);
	cr_assert(rc < 0 || progress.bytes == progress.done);
	*written = progress.done;
	checked = progress.checked;
	damaged = progress.damaged;
	how.check_after = progress.check_after;
	return (rc);
}

static struct index_copy_about
copied(uint64_t *written)
{
	struct index_copy_about about;
	struct err e = ERR_INIT;
	uint64_t n;

	cr_assert_eq(copy_make(&about, written != NULL ? written : &n, &e), 0, "%s", e.text);
	return (about);
}

/* Stops; the index is lost; starts. */
static void
index_lose(void)
{
	world_close(&w);
	world_index_remove(&w);
	world_open(&w);
}

static char *
file_of_copy(const char *part, unsigned n)
{
	const char *path = disk_memory_find(w.disk, part, n);

	cr_assert_not_null(path, "%s", part);
	return (strdup(path));
}

static unsigned
files_count(const char *part)
{
	unsigned n = 0;

	while (disk_memory_find(w.disk, part, n) != NULL)
		n++;
	return (n);
}

Test(index_copy, a_lost_index_costs_what_came_after_the_copy)
{
	struct index_copy_about about, found;
	char *before, *after;

	puts_make(40);
	about = copied(NULL);
	cr_assert_eq(about.lsn, index_applied(w.index));
	cr_assert_eq(index_copy_newest(w.drives, &found, NULL), 0);
	cr_assert(found.slot == about.slot && found.lsn == about.lsn &&
	    found.bytes == about.bytes && found.files == about.files);
	puts_make(3);
	before = world_dump(&w, NULL);
	index_lose();
	cr_assert(w.recovery.restored && !w.recovery.rebuilt);
	cr_assert_eq(w.recovery.copy.lsn, about.lsn);
	cr_assert_eq(w.recovery.records, 3);
	cr_assert_not_null(strstr(w.recovery.why, "there is none"), "%s", w.recovery.why);
	after = world_dump(&w, NULL);
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
}

Test(index_copy, a_damaged_index_comes_from_the_copy_too)
{
	char *before, *after;

	puts_make(10);
	copied(NULL);
	before = world_dump(&w, NULL);
	world_close(&w);
	world_index_damage(&w);
	world_open(&w);
	cr_assert(w.recovery.restored && !w.recovery.rebuilt);
	cr_assert_eq(w.recovery.records, 0);
	after = world_dump(&w, NULL);
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
}

Test(index_copy, without_a_copy_the_log_gives_the_index)
{
	char *before, *after;

	puts_make(10);
	before = world_dump(&w, NULL);
	index_lose();
	cr_assert_not(w.recovery.restored);
	cr_assert_gt(w.recovery.records, 10);
	cr_assert_not_null(strstr(w.recovery.copy_why, "no drive has"), "%s", w.recovery.copy_why);
	after = world_dump(&w, NULL);
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
}

Test(index_copy, tables_that_the_last_copy_has_are_not_written_again)
{
	struct index_copy_about first, second;
	uint64_t all, some;

	puts_make(400);
	first = copied(&all);
	cr_assert_eq(all, first.bytes);
	puts_make(1);
	second = copied(&some);
	cr_assert_eq(second.slot, first.slot);
	cr_assert_gt(second.lsn, first.lsn);
	cr_assert_lt(some, second.bytes, "nothing was kept");
	/* What only the first named is gone. */
	cr_assert_eq(files_count("/index/"), second.files + 1);
}

/* The table of most keys, in the copy. */
static char *
largest_file(void)
{
	struct disk *d = w.disk;
	uint64_t bytes, most = 0;
	const char *path;
	char *best = NULL;

	for (unsigned n = 0; (path = disk_memory_find(d, ".idx", n)) != NULL; n++) {
		int handle = d->ops->open(d, path, O_RDONLY, NULL);

		cr_assert_geq(handle, 0);
		cr_assert_eq(d->ops->size(d, handle, &bytes, NULL), 0);
		d->ops->close(d, handle);
		if (bytes <= most)
			continue;
		most = bytes;
		free(best);
		best = strdup(path);
	}
	cr_assert_not_null(best);
	return (best);
}

/* A table rots under a copy: the next one finds it, without anybody who needs it. */
Test(index_copy, what_is_kept_is_read_again_and_healed)
{
	struct index_copy_about about, found;
	struct err e = ERR_INIT;
	char *bad;

	puts_make(400);
	copied(NULL);
	cr_assert_eq(checked, 0);
	bad = largest_file();
	cr_assert(disk_memory_flip(w.disk, bad, 300));
	how.check_bytes = 1;			/* one table a time, round and round */
	for (unsigned i = 0; i < 8 && damaged == 0; i++) {
		puts_make(1);
		about = copied(NULL);
		cr_assert_gt(checked, 0);
	}
	cr_assert_eq(damaged, 1);
	cr_assert_eq(index_copy_verify(w.drives, about.slot, NULL, NULL, NULL, &found, &e), 0,
	    "%s", e.text);
	cr_assert_not(disk_memory_exists(w.disk, bad), "its number is not used again");
	free(bad);
	puts_make(1);
	copied(NULL);
	cr_assert_eq(damaged, 0);
	index_lose();
	cr_assert(w.recovery.restored);
}

/* Each drive that cannot be used is named, so that the next try is on another. */
Test(index_copy, a_drive_that_fails_is_told)
{
	struct index_copy_about about;
	struct err e = ERR_INIT;
	uint64_t written;
	unsigned first;

	puts_make(10);
	how.avoid = 0;
	cr_assert_eq(copy_make(&about, &written, &e), 0, "%s", e.text);
	first = about.slot;
	puts_make(10);
	disk_memory_set_eio(w.disk, first, true);
	cr_assert_lt(copy_make(&about, &written, &e), 0);
	cr_assert_eq(chosen, first);
	how.avoid = 1u << first;
	cr_assert_eq(copy_make(&about, &written, &e), 0, "%s", e.text);
	cr_assert_neq(about.slot, first);
	how.avoid = 15;
	cr_assert_eq(copy_make(&about, &written, &e), ERR_FULL);
	cr_assert_eq(chosen, DRIVES_MAX);
	disk_memory_set_eio(w.disk, first, false);
}

Test(index_copy, numbers_of_tables_that_begin_anew_are_no_proof)
{
	char *before, *after;

	puts_make(30);
	copied(NULL);
	world_close(&w);
	world_index_remove(&w);
	w.restores = false;	/* the log gives an index of other tables with the same numbers */
	world_open(&w);
	cr_assert_not(w.recovery.restored);
	world_session(&w, 2);
	puts_make(2);
	copied(NULL);
	before = world_dump(&w, NULL);
	w.restores = true;
	index_lose();
	cr_assert(w.recovery.restored && w.recovery.records == 0);
	after = world_dump(&w, NULL);
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
}

/* The start refuses the copy with these words, and the log gives the same index. */
static void
refused(const char *why)
{
	char *before = world_dump(&w, NULL), *after;

	index_lose();
	cr_assert_not(w.recovery.restored);
	cr_assert_not_null(strstr(w.recovery.copy_why, why), "%s", w.recovery.copy_why);
	after = world_dump(&w, NULL);
	cr_assert_str_eq(before, after);
	free(before);
	free(after);
}

Test(index_copy, a_flipped_bit_is_refused_wherever_it_is)
{
	struct index_copy_about about;
	struct err e = ERR_INIT;
	char *path;

	puts_make(30);
	for (unsigned n = 0; n < 3; n++) {
		about = copied(NULL);
		path = file_of_copy(".idx", n);
		cr_assert(disk_memory_flip(w.disk, path, 5));
		cr_assert_eq(index_copy_verify(w.drives, about.slot, NULL, NULL, NULL, &about, &e),
		    ERR_CORRUPT);
		cr_assert_not_null(strstr(e.text, path), "%s", e.text);
		refused("is damaged: its checksum is wrong");
		free(path);
		world_session(&w, (uint8_t)(2 + n));
		puts_make(1);
		index_copy_forget(w.drives);
		cr_assert_eq(files_count("/index/"), 0);
	}
}

Test(index_copy, damaged_names_are_refused)
{
	char *path;

	puts_make(5);
	copied(NULL);
	path = file_of_copy("/index/copy", 0);
	cr_assert(disk_memory_flip(w.disk, path, 60));
	refused("its checksum is wrong");
	free(path);
}

Test(index_copy, a_missing_table_is_refused)
{
	struct err e = ERR_INIT;
	char *path;

	puts_make(5);
	copied(NULL);
	path = file_of_copy(".idx", 1);
	cr_assert_eq(w.disk->ops->unlink(w.disk, path, &e), 0);
	refused("a file of it is missing");
	free(path);
}

/* Writes what `copy' says anew, changed. */
static void
names_change(void (*change)(Hf__IndexCopy *copy), uint32_t version)
{
	struct index_copy_about about;
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	Hf__IndexCopy *copy;
	struct iovec iov;
	char path[4096];
	size_t bytes;
	int handle;

	cr_assert_eq(index_copy_newest(w.drives, &about, &e), 0);
	cr_assert_eq(index_copy_load(w.drives, about.slot, &copy, &e), 0);
	change(copy);
	bytes = hf__index_copy__get_packed_size(copy);
	memset(buf_extend(&b, COPY_BODY_AT + bytes), 0, COPY_BODY_AT);
	memcpy(b.data, COPY_MAGIC, 8);
	put_u32(b.data + COPY_AT_VERSION, version);
	put_u32(b.data + COPY_AT_BYTES, (uint32_t)bytes);
	hf__index_copy__pack(copy, b.data + COPY_BODY_AT);
	put_u32(b.data + COPY_AT_CRC, crc32c(crc32c(0, b.data, COPY_AT_CRC),
	    b.data + COPY_BODY_AT, bytes));
	drive_path(w.drives, about.slot, "index", "copy", path);
	handle = w.disk->ops->open(w.disk, path, O_RDWR, &e);
	iov = (struct iovec){ b.data, b.bytes };
	cr_assert_eq(w.disk->ops->pwritev(w.disk, handle, &iov, 1, 0, &e), 0);
	cr_assert_eq(w.disk->ops->datasync(w.disk, handle, &e), 0);
	w.disk->ops->close(w.disk, handle);
	hf__index_copy__free_unpacked(copy, NULL);
	buf_release(&b);
}

static void
change_nothing(Hf__IndexCopy *copy)
{
	(void)copy;
}

static void
change_format(Hf__IndexCopy *copy)
{
	copy->format = 1;
}

static void
change_deployment(Hf__IndexCopy *copy)
{
	copy->deployment.data[3] ^= 1;
}

static void
change_lsn(Hf__IndexCopy *copy)
{
	copy->lsn += 1000;
}

static void
change_name(Hf__IndexCopy *copy)
{
	free(copy->files[0]->name);
	copy->files[0]->name = strdup("../../escape");
}

Test(index_copy, what_is_not_ours_or_not_known_is_refused)
{
	static const struct { void (*change)(Hf__IndexCopy *); uint32_t version; const char *why; }
	    rows[] = {
		{ change_nothing, COPY_VERSION + 1, "is of version 2" },
		{ change_format, COPY_VERSION, "has an index of format 1" },
		{ change_deployment, COPY_VERSION, "is of another deployment" },
		{ change_lsn, COPY_VERSION, "the log ends at" },
		{ change_name, COPY_VERSION, "names a file that cannot be" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		puts_make(2);
		copied(NULL);
		names_change(rows[i].change, rows[i].version);
		refused(rows[i].why);
		world_session(&w, (uint8_t)(i + 2));
	}
}

Test(index_copy, a_copy_behind_the_horizon_is_refused)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	struct index_copy_about about;
	struct err e = ERR_INIT;

	puts_make(5);
	about = copied(NULL);
	puts_make(5);
	world_close(&w);	/* flushed: the index itself stays in front of the horizon */
	world_open(&w);
	change.horizon_lsn = about.lsn + 2;
	change.reason = (char *)(uintptr_t)"test";
	cr_assert_eq(catalog_commit(w.drives, &change, &e), 0, "%s", e.text);
	refused("behind the horizon");
}

Test(index_copy, an_index_that_is_there_is_not_replaced)
{
	puts_make(5);
	copied(NULL);
	puts_make(5);
	world_close(&w);
	world_open(&w);
	cr_assert_not(w.recovery.restored || w.recovery.rebuilt);
	cr_assert_eq(w.recovery.records, 0);
}

Test(index_copy, the_newest_of_two_is_taken_and_the_older_is_the_second_try)
{
	struct index_copy_about first, second;
	struct err e = ERR_INIT;
	struct index_copier *c;
	char *path, *before, *after;
	char part[32];
	int rc = 1;

	puts_make(5);
	first = copied(NULL);
	puts_make(5);
	/* The drive of the first is away while the second is made: so it stays. */
	disk_memory_set_missing(w.disk, first.slot, true);
	cr_assert_eq(drive_fail(w.drives, first.slot, "test", &e), 0, "%s", e.text);
	cr_assert_eq(index_copier_open(w.index, index_dir, w.drives, &how, &chosen, &c,
	    &e), 0, "%s", e.text);
	while (rc > 0)
		rc = index_copier_step(c, UINT64_MAX / 2, &e);
	cr_assert_eq(rc, 0, "%s", e.text);
	index_copier_close(&c);
	cr_assert_eq(index_copy_newest(w.drives, &second, &e), 0);
	cr_assert_neq(second.slot, first.slot);
	before = world_dump(&w, NULL);
	world_close(&w);
	disk_memory_set_missing(w.disk, first.slot, false);
	world_index_remove(&w);
	world_open(&w);
	cr_assert(w.recovery.restored);
	cr_assert_eq(w.recovery.copy.slot, second.slot);
	after = world_dump(&w, NULL);
	cr_assert_str_eq(before, after);
	free(after);
	if (drive_online_mask(w.drives) >> first.slot & 1) {
		snprintf(part, sizeof(part), "/d%u/index/0", second.slot);
		path = file_of_copy(part, 0);
		cr_assert(disk_memory_flip(w.disk, path, 3));
		index_lose();
		cr_assert(w.recovery.restored);
		cr_assert_eq(w.recovery.copy.slot, first.slot);
		free(path);
	}
	free(before);
}

Test(index_copy, a_full_drive_is_told_and_puts_go_on)
{
	struct index_copy_about about;
	struct err e = ERR_INIT;
	uint64_t written;

	puts_make(5);
	disk_memory_set_free(w.disk, 1 << 20);
	drive_set_refresh_space(w.drives);
	cr_assert_eq(copy_make(&about, &written, &e), ERR_FULL);
	cr_assert_not_null(strstr(e.text, "no drive that is online has room"), "%s", e.text);
	cr_assert_eq(files_count("/index/"), 0);
	disk_memory_set_free(w.disk, UINT64_C(64) << 20);
	drive_set_refresh_space(w.drives);
	puts_make(2);
	cr_assert_eq(world_code(&w, sequence), 0);
	copied(NULL);
}

Test(index_copy, an_error_of_the_drive_leaves_the_last_copy)
{
	struct index_copy_about first, about;
	struct err e = ERR_INIT;
	uint64_t written;
	bool failed = true;

	puts_make(20);
	first = copied(NULL);
	for (unsigned n = 0; failed; n++) {
		cr_assert_lt(n, 200);
		disk_memory_fail_drive(w.disk, first.slot, n);
		puts_make(0);
		failed = copy_make(&about, &written, &e) < 0;
		disk_memory_fail_drive(w.disk, first.slot, UINT64_MAX);
		cr_assert_eq(index_copy_newest(w.drives, &about, &e), 0, "step %u", n);
		cr_assert_eq(index_copy_verify(w.drives, about.slot, NULL, NULL, NULL, &about, &e),
		    0, "step %u: %s", n, e.text);
	}
	index_lose();
	cr_assert(w.recovery.restored);
}

Test(index_copy, cancelled_between_steps_it_leaves_nothing)
{
	struct index_copier *c;
	struct err e = ERR_INIT;
	char path[128];

	puts_make(20);
	cr_assert_eq(index_copier_open(w.index, index_dir, w.drives, &how, &chosen, &c,
	    &e), 0, "%s", e.text);
	cr_assert_eq(index_copier_step(c, 100, &e), 1);
	cr_assert_gt(files_count("/index/"), 0);
	index_copier_close(&c);
	cr_assert_eq(files_count("/index/"), 0);
	snprintf(path, sizeof(path), "%s.copying", index_dir);
	cr_assert_neq(access(path, F_OK), 0);
	index_lose();
	cr_assert_not(w.recovery.restored);
}

/* A copying after a copying, and the power fails in its n-th step: the first, the second or, on
 * the way from one to the other, both are whole, and a lost index comes from one of them. */
static bool
power_cut_in_step(uint64_t n)
{
	struct index_copy_about first, about;
	struct err e = ERR_INIT;
	char *before, *after;
	uint64_t written;
	bool cut;

	puts_make(3);
	first = copied(NULL);
	puts_make(3);
	before = world_dump(&w, NULL);
	disk_memory_cut_at(w.disk, n);
	(void)copy_make(&about, &written, &e);
	cut = disk_memory_cut(w.disk);
	world_close(&w);
	disk_memory_restart(w.disk);
	world_index_remove(&w);
	world_open(&w);
	cr_assert(w.recovery.restored, "step %lu: %s", (unsigned long)n, w.recovery.copy_why);
	cr_assert_geq(w.recovery.copy.lsn, first.lsn);
	cr_assert_eq(w.recovery.records, w.recovery.copy.lsn == first.lsn ? 3 : 0);
	after = world_dump(&w, NULL);
	cr_assert_str_eq(before, after, "step %lu", (unsigned long)n);
	free(before);
	free(after);
	world_session(&w, (uint8_t)(n % 200 + 2));
	return (cut);
}

Test(index_copy, power_cut_at_each_step, .timeout = 300)
{
	uint64_t n = 1;

	while (power_cut_in_step(n))
		n++;
	cr_assert_gt(n, 10);
	proof_say("index copies", n - 1, "cut by a power failure, each in another step");
}
