/*
 * test_disk_deadline - steps on a drive that hangs: given up, counted, refused, and cleaned up when
 * they come back; and a set that goes on without such a drive.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libstore/disk/disk_deadline.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/log/segment_judge.h"
#include "libstore/volume/volume.h"
#include "tests/unit/disk_memory.h"

#define REFUSALS 40
#define ONE_MS	1000u	/* a deadline; one more takes longer than is asserted, however it goes */

static const char *const paths[4] = { "/d0", "/d1", "/d2", "/d3" };

static int
drive_file(struct disk *d, const char *path)
{
	struct err e = ERR_INIT;
	int h = d->ops->open(d, path, O_RDWR | O_CREAT, &e);

	cr_assert_geq(h, 0, "%s", e.text);
	return (h);
}

static void
hung_wait(struct disk *d, unsigned n)
{
	uint64_t deadline = clock_mono_ms() + 20000;

	while (disk_deadline_hung(d) != n && clock_mono_ms() < deadline)
		usleep(1000);
	cr_assert_eq(disk_deadline_hung(d), n);
}

/* Steps that are refused take no time: had each waited, it were a deadline each. */
static void
expect_at_once(uint64_t begin, unsigned steps, unsigned deadline_ms)
{
	cr_assert_lt(clock_mono_ms() - begin, (uint64_t)steps * deadline_ms / 2, "%u steps", steps);
}

Test(deadline, a_step_that_hangs_is_given_up_and_the_drive_refused, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 300);
	char text[64] = "what the caller had", back[64] = "";
	struct iovec iov = { text, sizeof(text) };
	struct err e = ERR_INIT;
	int a = drive_file(d, "/d0/drive"), b = drive_file(d, "/d1/drive");
	uint64_t begin;

	disk_memory_set_hang(under, 0, true);
	cr_assert_eq(d->ops->pwritev(d, a, &iov, 1, 0, &e), ERR_TIMEOUT);
	cr_assert_not_null(strstr(e.text, "did not answer"), "%s", e.text);
	memset(text, 'x', sizeof(text) - 1);	/* it is the caller's again */
	cr_assert_eq(disk_deadline_hung(d), 1);
	begin = clock_mono_ms();
	for (unsigned i = 0; i < REFUSALS; i++) {
		cr_assert_eq(d->ops->datasync(d, a, &e), ERR_TIMEOUT);
		cr_assert_eq(d->ops->mkdir(d, "/d0/log", &e), ERR_TIMEOUT);
	}
	expect_at_once(begin, 2 * REFUSALS, 300);
	cr_assert_eq(disk_deadline_hung(d), 1, "they were not begun");
	cr_assert_eq(d->ops->pwritev(d, b, &iov, 1, 0, &e), 0, "another drive: %s", e.text);
	disk_memory_set_hang(under, 0, false);
	hung_wait(d, 0);
	cr_assert_eq(d->ops->pread(d, a, back, sizeof(back), 0, &e), sizeof(back));
	cr_assert_str_eq(back, "what the caller had", "the copy was written, not what came after");
	cr_assert_eq(d->ops->datasync(d, a, &e), 0, "%s", e.text);
	d->ops->close(d, a);
	d->ops->close(d, b);
	disk_deadline_free(&d);
	disk_memory_free(under);
}

Test(deadline, what_opens_late_is_closed_again, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 200);
	struct err e = ERR_INIT;
	int a = drive_file(d, "/d0/drive"), h;

	disk_memory_set_hang(under, 0, true);
	cr_assert_eq(d->ops->open(d, "/d0/late", O_RDWR | O_CREAT, &e), ERR_TIMEOUT);
	disk_memory_set_hang(under, 0, false);
	hung_wait(d, 0);
	h = under->ops->open(under, "/d0/late", O_RDWR, &e);
	cr_assert_eq(h, a + 1, "its handle is free again");
	under->ops->close(under, h);
	d->ops->close(d, a);
	disk_deadline_free(&d);
	disk_memory_free(under);
}

/* The step has its handle only: as long as it hangs the number must not become another file's. */
Test(deadline, a_handle_is_closed_after_the_steps_that_hang_on_it, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 200);
	char text[64] = "of the first file";
	struct iovec iov = { text, sizeof(text) };
	struct err e = ERR_INIT;
	int a = drive_file(d, "/d0/drive"), b, again;
	uint64_t bytes = 1, deadline;

	disk_memory_set_hang(under, 0, true);
	cr_assert_eq(d->ops->pwritev(d, a, &iov, 1, 0, &e), ERR_TIMEOUT);
	d->ops->close(d, a);
	usleep(50000);
	b = drive_file(d, "/d1/drive");
	disk_memory_set_hang(under, 0, false);
	hung_wait(d, 0);
	cr_assert_eq(d->ops->size(d, b, &bytes, &e), 0, "%s", e.text);
	cr_assert_eq(bytes, 0, "what was given up went to another file");
	for (deadline = clock_mono_ms() + 20000; clock_mono_ms() < deadline; usleep(1000)) {
		again = under->ops->open(under, "/d0/drive", O_RDWR, &e);
		under->ops->close(under, again);
		if (again == a)
			break;
	}
	cr_assert_eq(again, a, "it is closed then");
	d->ops->close(d, b);
	disk_deadline_free(&d);
	disk_memory_free(under);
}

/* The files of one that is retired, which hangs, have their paths on the one that takes over. */
Test(deadline, a_link_is_of_the_drive_to_which_it_leads, .timeout = 60)
{
	for (unsigned known = 0; known < 2; known++) {
		struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 300);
		struct disk_open opens[2] = { { .path = "/d0/log/y", .flags = O_RDWR },
			{ .path = "/d0/own", .flags = O_RDWR } };
		struct iovec iov = { (void *)(uintptr_t)"text", 4 };
		struct err e = ERR_INIT;
		int a = drive_file(d, "/d0/drive"), b = known ? drive_file(d, "/d1/drive") : -1, h;
		uint64_t begin;

		cr_assert_eq(d->ops->mkdir(d, "/d0/log", &e), 0, "%s", e.text);
		cr_assert_eq(d->ops->mkdir(d, "/d1/log", &e), 0, "%s", e.text);
		under->ops->close(under, drive_file(under, "/d1/log/x"));
		under->ops->close(under, drive_file(under, "/d1/log/y"));
		under->ops->close(under, drive_file(under, "/d0/own"));
		cr_assert_eq(d->ops->symlink(d, "/d1/log/x", "/d0/log/x", &e), 0, "%s", e.text);
		cr_assert_eq(d->ops->symlink(d, "/d1/log/y", "/d0/log/y", &e), 0, "%s", e.text);
		h = d->ops->open(d, "/d0/log/x", O_RDWR, &e);
		cr_assert_geq(h, 0, "%s", e.text);
		disk_memory_set_hang(under, 1, true);
		cr_assert_eq(d->ops->pwritev(d, h, &iov, 1, 0, &e), ERR_TIMEOUT);
		cr_assert_eq(disk_deadline_hung(d), 1);
		cr_assert_not(disk_deadline_refuses(d, "/d0"));
		cr_assert(disk_deadline_refuses(d, "/d1"));
		cr_assert_eq(d->ops->pwritev(d, a, &iov, 1, 0, &e), 0, "%s", e.text);
		cr_assert_eq(d->ops->mkdir(d, "/d0/vol", &e), 0, "%s", e.text);
		begin = clock_mono_ms();
		for (unsigned i = 0; i < REFUSALS; i++) {
			cr_assert_eq(d->ops->open(d, "/d0/log/y", O_RDWR, &e), ERR_TIMEOUT);
			disk_deadline_open_all(d, opens, 2);
			cr_assert_eq(opens[0].handle, ERR_TIMEOUT);
			cr_assert_geq(opens[1].handle, 0, "%s", opens[1].why.text);
			d->ops->close(d, opens[1].handle);
		}
		expect_at_once(begin, 2 * REFUSALS, 300);
		disk_memory_set_hang(under, 1, false);
		hung_wait(d, 0);
		d->ops->close(d, h);
		d->ops->close(d, a);
		if (b >= 0)
			d->ops->close(d, b);
		disk_deadline_free(&d);
		disk_memory_free(under);
	}
}

Test(deadline, a_set_goes_on_without_a_drive_that_hangs, .timeout = 60)
{
	struct drive_set_options o = { .judge = &segment_judge,
	    .paths = paths, .count = 4, .erasure = "",
	    .segment_bytes = 65536, .volume_bytes = 1 << 20 };
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 300);
	struct err e = ERR_INIT;
	struct drive_set *s;
	struct drive dr;
	uint64_t id, begin;

	cr_assert_eq(drive_set_open(d, &o, &s, &e), 0, "%s", e.text);
	cr_assert_eq(drive_online_mask(s), 15);
	disk_memory_set_hang(under, 2, true);
	begin = clock_mono_ms();
	cr_assert_eq(volume_create(s, &id, &e), 0, "%s", e.text);
	cr_assert_eq(volume_allocate(s, id, 0, 65536, &e), 0, "%s", e.text);
	cr_assert_lt(clock_mono_ms() - begin, 5000);
	cr_assert_eq(drive_online_mask(s), 11);
	drive_get(s, 2, &dr);
	cr_assert_not_null(strstr(dr.note, "answer"), "%s", dr.note);
	drive_set_probe(s);
	drive_set_refresh_space(s);
	cr_assert_eq(volume_seal(s, id, 0, &e), 0, "%s", e.text);
	disk_memory_set_hang(under, 2, false);
	hung_wait(d, 0);
	cr_assert_eq(drive_set_return(s, 2, &e), 0, "%s", e.text);
	cr_assert_eq(drive_present_mask(s), 15);
	drive_set_close(&s);
	disk_deadline_free(&d);
	disk_memory_free(under);
}

Test(deadline, a_commit_waits_for_two_that_hang_no_longer_than_for_one, .timeout = 60)
{
	struct drive_set_options o = { .judge = &segment_judge,
	    .paths = paths, .count = 4, .erasure = "",
	    .segment_bytes = 65536, .volume_bytes = 1 << 20 };
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 2 * ONE_MS);
	Hf__CatalogVolume row = HF__CATALOG_VOLUME__INIT;
	uint32_t slots[4] = { 0, 1, 2, 3 };
	struct err e = ERR_INIT;
	struct drive_set *s;
	uint64_t begin;

	cr_assert_eq(drive_set_open(d, &o, &s, &e), 0, "%s", e.text);
	row.id = catalog_next_id(s);
	row.k = row.m = 2;
	row.slots = slots;
	row.n_slots = 4;
	row.bytes = 1 << 20;
	disk_memory_set_hang(under, 0, true);
	disk_memory_set_hang(under, 3, true);
	begin = clock_mono_ms();
	cr_assert_eq(catalog_volume_put(s, &row, "test", &e), 0, "%s", e.text);
	cr_assert_lt(clock_mono_ms() - begin, 4 * ONE_MS, "not one after the other");
	cr_assert_eq(drive_online_mask(s), 6);
	disk_memory_set_hang(under, 0, false);
	disk_memory_set_hang(under, 3, false);
	hung_wait(d, 0);
	drive_set_close(&s);
	disk_deadline_free(&d);
	disk_memory_free(under);
}

/* --- several writes without copies ------------------------------------------------------------ */

static void
write_of(struct disk_write *w, int handle, char *text)
{
	*w = (struct disk_write){ .handle = handle, .iov_count = 1, .offset = 0,
		.iov = { { text, strlen(text) } } };
}

Test(deadline, of_several_writes_only_those_that_hang_are_given_up, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 200);
	char *text = strdup("of all four"), back[16] = "";
	struct disk_write w[4];
	struct disk_kept *kept;
	struct err e = ERR_INIT;
	uint64_t begin = 0;
	int h[4];

	disk_deadline_writes(d, 400);
	for (unsigned i = 0; i < 4; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/d%u/drive", i);
		h[i] = drive_file(d, path);
	}
	for (unsigned i = 0; i < 4; i++)
		write_of(&w[i], h[i], text);
	disk_deadline_write_all(d, w, 4, &kept);
	cr_assert_null(kept);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(w[i].rc, 0, "%s", w[i].why.text);
	disk_memory_set_hang(under, 0, true);
	disk_memory_set_hang(under, 2, true);
	for (unsigned round = 0; round <= REFUSALS; round++) {
		text[0] = (char)('O' + round);
		for (unsigned i = 0; i < 4; i++)
			write_of(&w[i], h[i], text);
		disk_deadline_write_all(d, w, 4, &kept);
		for (unsigned i = 0; i < 4; i++)
			cr_assert_eq(w[i].rc, i % 2 == 0 ? ERR_TIMEOUT : 0, "%d", (int)i);
		cr_assert_eq(disk_deadline_hung(d), 2, "the next are refused at once");
		if (round == 0) {
			cr_assert_not_null(kept);
			disk_kept_add(kept, text);	/* ours no more */
			disk_kept_put(&kept);
			text = strdup("of the next");
			begin = clock_mono_ms();
		} else {
			cr_assert_null(kept, "nothing of it hangs");
		}
	}
	expect_at_once(begin, REFUSALS, 400);
	disk_memory_set_hang(under, 0, false);
	disk_memory_set_hang(under, 2, false);
	hung_wait(d, 0);
	cr_assert_eq(d->ops->pread(d, h[0], back, 11, 0, &e), 11, "%s", e.text);
	cr_assert_str_eq(back, "Of all four", "what hung came from memory that was kept");
	for (unsigned i = 0; i < 4; i++)
		d->ops->close(d, h[i]);
	free(text);
	disk_deadline_free(&d);
	disk_memory_free(under);
}

static const char *const files[4] = { "/d0/drive", "/d1/drive", "/d2/drive", "/d3/drive" };

/* Deadlines run side by side. */
Test(deadline, three_writes_that_hang_cost_one_deadline, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, ONE_MS);
	struct disk_write w[8];
	struct disk_kept *kept;
	char *text = strdup("of all four");
	uint64_t begin;
	int h[4];

	for (unsigned i = 0; i < 4; i++)
		h[i] = drive_file(d, files[i]);
	for (unsigned i = 0; i < 3; i++)
		disk_memory_set_hang(under, i, true);
	for (unsigned i = 0; i < 8; i++)	/* of each drive two */
		write_of(&w[i], h[i % 4], text);
	begin = clock_mono_ms();
	disk_deadline_write_all(d, w, 8, &kept);
	cr_assert_lt(clock_mono_ms() - begin, 5 * ONE_MS / 2);
	cr_assert_geq(clock_mono_ms() - begin, ONE_MS);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(w[i].rc, i % 4 == 3 ? 0 : ERR_TIMEOUT, "%u: %s", i, w[i].why.text);
	cr_assert_geq(disk_deadline_hung(d), 3);
	cr_assert_not_null(kept);
	disk_kept_add(kept, text);
	disk_kept_put(&kept);
	for (unsigned i = 0; i < 3; i++)
		disk_memory_set_hang(under, i, false);
	hung_wait(d, 0);
	for (unsigned i = 0; i < 4; i++)
		d->ops->close(d, h[i]);
	disk_deadline_free(&d);
	disk_memory_free(under);
}

/* One that is slow, and does not hang, keeps nobody waiting; its own write is done. */
Test(deadline, a_slow_write_is_waited_for_and_the_others_are_done, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 20 * ONE_MS);
	struct disk_write w[4];
	struct disk_kept *kept;
	char text[] = "of all four", back[12] = "";
	uint64_t begin;
	int h[4];

	for (unsigned i = 0; i < 4; i++)
		h[i] = drive_file(d, files[i]);
	for (unsigned i = 0; i < 3; i++)
		disk_memory_set_latency(under, i, ONE_MS);
	for (unsigned i = 0; i < 4; i++)
		write_of(&w[i], h[i], text);
	begin = clock_mono_ms();
	disk_deadline_write_all(d, w, 4, &kept);
	cr_assert_lt(clock_mono_ms() - begin, 5 * ONE_MS / 2, "side by side");
	cr_assert_null(kept);
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(w[i].rc, 0, "%s", w[i].why.text);
		disk_memory_set_latency(under, i, 0);
		cr_assert_eq(d->ops->pread(d, h[i], back, 11, 0, NULL), 11);
		cr_assert_str_eq(back, text);
		d->ops->close(d, h[i]);
	}
	disk_deadline_free(&d);
	disk_memory_free(under);
}

Test(deadline, three_opens_that_hang_cost_one_deadline, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, ONE_MS);
	static const char *const new[4] = { "/d0/new", "/d1/new", "/d2/new", "/d3/new" };
	struct disk_open o[5];
	uint64_t begin;

	for (unsigned i = 0; i < 4; i++) {
		d->ops->close(d, drive_file(d, files[i]));
		o[i] = (struct disk_open){ .path = new[i], .flags = O_RDWR | O_CREAT };
	}
	o[4] = (struct disk_open){ .path = "/d3/nothing", .flags = O_RDWR };
	for (unsigned i = 0; i < 3; i++)
		disk_memory_set_hang(under, i, true);
	begin = clock_mono_ms();
	for (unsigned round = 0; round <= REFUSALS; round++) {
		disk_deadline_open_all(d, o, 5);
		if (round == 0) {
			cr_assert_lt(clock_mono_ms() - begin, 5 * ONE_MS / 2);
			begin = clock_mono_ms();
		}
		for (unsigned i = 0; i < 3; i++)
			cr_assert_eq(o[i].handle, ERR_TIMEOUT, "%s", o[i].why.text);
		cr_assert_geq(o[3].handle, 0, "%s", o[3].why.text);
		cr_assert_eq(o[4].handle, ERR_NOT_FOUND);
		cr_assert_eq(disk_deadline_hung(d), 3);
		d->ops->close(d, o[3].handle);
	}
	expect_at_once(begin, REFUSALS, ONE_MS);
	for (unsigned i = 0; i < 3; i++)
		disk_memory_set_hang(under, i, false);
	hung_wait(d, 0);
	disk_deadline_free(&d);
	disk_memory_free(under);
}

Test(deadline, a_read_that_hangs_does_not_refuse_writes, .timeout = 60)
{
	struct disk *under = disk_memory_new(1, 4), *d = disk_deadline_new(under, 100);
	struct iovec iov = { (char[]){ "bytes" }, 5 };
	struct err e = ERR_INIT;
	char byte;
	int a;

	disk_deadline_writes(d, 5000);
	a = drive_file(d, "/d0/drive");
	disk_memory_set_latency(under, 0, 800);
	cr_assert_eq(d->ops->pread(d, a, &byte, 1, 0, &e), ERR_TIMEOUT);
	cr_assert_eq(d->ops->pread(d, a, &byte, 1, 0, &e), ERR_TIMEOUT, "refused");
	cr_assert_not_null(strstr(e.text, "earlier"), "%s", e.text);
	cr_assert(disk_deadline_refuses(d, "/d0/drive"));
	cr_assert_eq(d->ops->pwritev(d, a, &iov, 1, 0, &e), 0, "it takes longer: %s", e.text);
	disk_memory_set_latency(under, 0, 0);
	hung_wait(d, 0);
	d->ops->close(d, a);
	disk_deadline_free(&d);
	disk_memory_free(under);
}
