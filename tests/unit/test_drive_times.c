/*
 * test_drive_times - what libobject counts of reads, writes and syncs on drives that take their
 * time, and tells the store; nothing when nothing is done, or nobody asks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libstore/disk/disk.h"
#include "tests/unit/object_world.h"

#define KIND(NAME)	HF__DRIVE_LATENCIES__ROW__KIND__##NAME
#define KINDS		6u
#define SLOW_MS		60u	/* of the slow drive */
#define REPORT_MS	40u
#define BODY_BYTES	700001u

static char bucket_name[] = "b";

/* --- A disk on which one drive takes its time. ------------------------------------------------ */

static struct {
	const char	*reads, *writes, *syncs;	/* slow below this path */
	char		 paths[4096][128];
} slow;

static void
wait_below(const char *path, int handle)
{
	if (path != NULL && handle < 4096 && strncmp(slow.paths[handle], path, strlen(path)) == 0)
		usleep(SLOW_MS * 1000);
}

static int
slow_open(struct disk *d, const char *path, int flags, struct err *e)
{
	int handle = disk_posix()->ops->open(disk_posix(), path, flags, e);

	(void)d;
	if (handle >= 0 && handle < 4096)
		snprintf(slow.paths[handle], sizeof(slow.paths[0]), "%s", path);
	return (handle);
}

static void
slow_close(struct disk *d, int handle)
{
	(void)d;
	disk_posix()->ops->close(disk_posix(), handle);
}

static ssize_t
slow_pread(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	(void)d;
	wait_below(slow.reads, handle);
	return (disk_posix()->ops->pread(disk_posix(), handle, out, bytes, offset, e));
}

static int
slow_pwritev(struct disk *d, int handle, const struct iovec *iov, int n, uint64_t offset,
    struct err *e)
{
	(void)d;
	wait_below(slow.writes, handle);
	return (disk_posix()->ops->pwritev(disk_posix(), handle, iov, n, offset, e));
}

static int
slow_datasync(struct disk *d, int handle, struct err *e)
{
	(void)d;
	wait_below(slow.syncs, handle);
	return (disk_posix()->ops->datasync(disk_posix(), handle, e));
}

static const struct disk_ops slow_ops = { .open = slow_open, .close = slow_close,
	.pread = slow_pread, .pwritev = slow_pwritev, .datasync = slow_datasync };
static struct disk slow_disk = { .ops = &slow_ops };

/* --- Bodies. ---------------------------------------------------------------------------------- */

struct body {
	struct world		*w;
	struct body_writer	*writer;
	struct body_reader	*reader;
	uint64_t		 bytes, at;
	bool			 done;
};

static void
on_written(void *context, int code, const struct err *e)
{
	struct body *b = context;

	cr_assert_eq(code, 0, "%s", e->text);
	b->done = true;
}

static void
write_more(void *context)
{
	struct body *b = context;

	while (b->at < b->bytes) {
		size_t room;
		uint8_t *space = body_writer_space(b->writer, &room, write_more, b);

		if (space == NULL)
			return;
		room = room < b->bytes - b->at ? room : b->bytes - b->at;
		memset(space, 'x', room);
		body_writer_filled(b->writer, room);
		b->at += room;
	}
	body_writer_finish(b->writer, on_written, b);
}

static void
on_put(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct body *b = context;

	(void)reply;
	cr_assert_eq(code, 0, "%s", e->text);
	body_writer_committed(b->writer);
	b->done = true;
}

static const Hf__ObjectEntry *
put(struct world *w, uint64_t bytes)
{
	struct body b = { .w = w, .bytes = bytes };
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut op = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	b.writer = body_writer_new(w->objects, "RID", bytes, NULL, 0, clock_mono_ms() + 10000);
	write_more(&b);
	world_until(w, &b.done);
	op.bucket = bucket_name;
	op.key = (ProtobufCBinaryData){ 1, (uint8_t *)(uintptr_t)"k" };
	op.entry = &entry;
	body_writer_fill_put(b.writer, &op);
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	request.object_put = &op;
	b.done = false;
	object_call(w->objects, "RID", &request, clock_mono_ms() + 5000, on_put, &b);
	world_until(w, &b.done);
	body_writer_free(&b.writer);
	return (fake_store_key(&w->fake, "k")->entry);
}

static void
on_piece(void *context, int code, struct slice data, const struct err *e)
{
	struct body *b = context;

	cr_assert_eq(code, 0, "%s", e->text);
	b->at += data.bytes;
	b->done = data.bytes == 0;
	if (!b->done)
		body_reader_next(b->reader, on_piece, b);
}

static void
get(struct world *w, const Hf__ObjectEntry *entry)
{
	struct body b = { .w = w };

	b.reader = body_reader_new(w->objects, "RID", "b", slice_from_string("k"), entry, 0,
	    entry->bytes, clock_mono_ms() + 10000);
	body_reader_next(b.reader, on_piece, &b);
	world_until(w, &b.done);
	cr_assert_eq(b.at, entry->bytes);
	body_reader_free(&b.reader);
}

/* A report after so many, and what comes behind it: on a busy machine one put is told in two. */
static void
report_wait(struct world *w, unsigned before)
{
	uint64_t deadline = clock_mono_ms() + 10000;

	while (w->fake.reports == before && clock_mono_ms() < deadline)
		world_for(w, 5);
	cr_assert_gt(w->fake.reports, before, "nothing was reported");
	world_for(w, 3 * REPORT_MS);
}

static uint64_t
steps(const struct world *w, unsigned kind)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < w->fake.n; slot++)
		sum += w->fake.steps[slot][kind];
	return (sum);
}

static void
layout_told(struct world *w, uint64_t every_ms)
{
	w->fake.latency_ms = every_ms;
	if (w->fake.client != NULL)	/* else it is told with the first answer */
		fake_store_notice(&w->fake);
	world_for(w, 20);
}

/* --- Tests. ----------------------------------------------------------------------------------- */

static bool
mostly_slow(const struct world *w, unsigned kind)
{
	return (2 * w->fake.slow_steps[1][kind] > w->fake.steps[1][kind]);
}

/* The end of a body is small. */
static bool
small_of(unsigned kind, unsigned large)
{
	return (large != KIND(SYNC) && kind + 1 == large);
}

/* Slot 1 is slow for one kind of step at a time, and only that is told of it. */
Test(drive_times, each_kind_of_step_is_told_of_its_drive, .timeout = 60)
{
	static const unsigned kinds[] = { KIND(READ_LARGE), KIND(WRITE_LARGE), KIND(SYNC) };
	struct world w = { .disk = &slow_disk };

	world_open(&w, 2, 2);
	layout_told(&w, REPORT_MS);
	for (unsigned i = 0; i < 3; i++) {
		const char *path = w.fake.paths[1];

		memset(w.fake.steps, 0, sizeof(w.fake.steps));
		memset(w.fake.slow_steps, 0, sizeof(w.fake.slow_steps));
		slow.reads = i == 0 ? path : NULL;
		slow.writes = i == 1 ? path : NULL;
		slow.syncs = i == 2 ? path : NULL;
		for (unsigned n = 0; n < 4; n++)
			get(&w, put(&w, BODY_BYTES));
		report_wait(&w, w.fake.reports);
		for (unsigned kind = 1; kind < KINDS; kind++)
			cr_assert(kind == kinds[i] ? mostly_slow(&w, kind) :
			    small_of(kind, kinds[i]) || !mostly_slow(&w, kind),
			    "%u of %u steps of kind %u",
			    (unsigned)w.fake.slow_steps[1][kind], (unsigned)w.fake.steps[1][kind],
			    kind);
		cr_assert_gt(steps(&w, kinds[i]), w.fake.steps[1][kinds[i]], "and of its peers");
	}
	slow.reads = slow.writes = slow.syncs = NULL;
	world_close(&w);
}

/* Bodies of a few KiB are counted apart from those of many. */
Test(drive_times, small_steps_are_counted_by_themselves, .timeout = 60)
{
	struct world w = { .disk = &slow_disk };
	const Hf__ObjectEntry *e;

	world_open(&w, 2, 2);
	w.fake.inline_max = 4096;
	layout_told(&w, REPORT_MS);
	e = put(&w, 20000);
	cr_assert_gt(e->n_extents, 0);
	get(&w, e);
	report_wait(&w, 0);
	cr_assert_eq(steps(&w, KIND(WRITE)), 4);
	cr_assert_eq(steps(&w, KIND(SYNC)), 4);
	cr_assert_eq(steps(&w, KIND(READ)), 2);
	cr_assert_eq(steps(&w, KIND(WRITE_LARGE)) + steps(&w, KIND(READ_LARGE)), 0);
	world_close(&w);
}

/* T2; and what was counted is told once. */
Test(drive_times, nothing_is_told_without_steps_or_unasked, .timeout = 60)
{
	struct world w = { .disk = &slow_disk };
	unsigned reports;
	uint64_t told;

	world_open(&w, 2, 2);
	get(&w, put(&w, BODY_BYTES));
	world_for(&w, 3 * REPORT_MS);
	cr_assert_eq(w.fake.reports, 0, "nobody asked");
	layout_told(&w, REPORT_MS);
	world_for(&w, 3 * REPORT_MS);
	cr_assert_eq(w.fake.reports, 0, "of what was before");
	(void)put(&w, BODY_BYTES);
	report_wait(&w, 0);
	told = steps(&w, KIND(SYNC));
	reports = w.fake.reports;
	world_for(&w, 3 * REPORT_MS);
	cr_assert_eq(w.fake.reports, reports);
	cr_assert_eq(told, 4);
	cr_assert_eq(steps(&w, KIND(SYNC)), told);
	world_close(&w);
}

/* What was measured while the store was away is not told later; what is measured then, is. */
Test(drive_times, a_store_that_is_away_is_told_nothing_old, .timeout = 60)
{
	struct world w = { .disk = &slow_disk };
	unsigned reports;

	world_open(&w, 2, 2);
	layout_told(&w, REPORT_MS);
	(void)put(&w, BODY_BYTES);
	fake_store_hang_up(&w.fake);
	reports = w.fake.reports;	/* a put that took its time has told of itself */
	memset(w.fake.steps, 0, sizeof(w.fake.steps));
	world_for(&w, 3 * REPORT_MS);
	cr_assert_eq(w.fake.reports, reports);
	fake_store_listen(&w.fake);
	world_for(&w, 300);
	(void)put(&w, BODY_BYTES);
	report_wait(&w, reports);
	cr_assert_eq(steps(&w, KIND(SYNC)), 4);
	world_close(&w);
}
