/*
 * test_body_readahead - long bodies: read by the loop and by threads, errors in the middle, callers
 * that go at any piece.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "libbase/metrics.h"
#include "libstore/volume/volume.h"
#include "tests/unit/bad_disk.h"
#include "tests/unit/body_world.h"

#define LONG_BYTES	8000000u

/* A long body whose files are open, so that its bytes can be had at once. */
static const Hf__ObjectEntry *
long_body(struct world *w)
{
	const Hf__ObjectEntry *e;

	world_open(w, 2, 1);
	e = write_body(w, "k", LONG_BYTES, LONG_BYTES);
	read_well(w, "k", e, 0, LONG_BYTES);
	return (e);
}

Test(body_readahead, a_warm_body_comes_at_once_but_not_all_in_one_turn, .timeout = 60)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e = long_body(&w);
	struct read x = { .bytes = LONG_BYTES };

	read_begin(&x, &w, "k", e, on_piece);
	cr_assert_gt(x.pieces, 0, "read by the loop");
	cr_assert_leq(x.pieces, 8 * 8, "others want their turn");
	world_until(&w, &x.done);
	cr_assert(x.code == 0 && x.at == LONG_BYTES, "%s", x.text);
	body_reader_free(&x.reader);
	world_close(&w);
}

Test(body_readahead, what_the_page_cache_lacks_is_read_by_threads, .timeout = 60)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e = long_body(&w);
	char path[256];
	unsigned i, round;
	int fd;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 3; i++) {
			fake_store_shard_path(&w.fake, e->extents[0]->volume, i, path);
			fd = open(path, O_RDONLY);
			cr_assert_eq(posix_fadvise(fd, (off_t)round << 20, round == 2 ? 65536 : 0,
			    POSIX_FADV_DONTNEED), 0);
			close(fd);
		}
		read_well(&w, "k", e, 0, LONG_BYTES);
	}
	world_close(&w);
}

static void
on_piece_then_rest(void *context, int code, struct slice data, const struct err *e)
{
	struct read *x = context;

	cr_assert_eq(code, 0, "%s", e->text);
	x->at += data.bytes;
	x->pieces++;
}

/* Jobs of a reader that rests wait without a thread: they were there before those of others. */
Test(body_readahead, a_reader_that_rests_takes_no_thread_from_another, .timeout = 60)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e, *small;
	struct read x = { .bytes = LONG_BYTES }, y;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);	/* so nobody helps */
	e = long_body(&w);
	small = write_body(&w, "small", 4000, 4000);
	read_begin(&x, &w, "k", e, on_piece_then_rest);
	world_for(&w, 20);
	cr_assert_eq(x.pieces, 1);
	y = read_body(&w, "small", small, 0, 4000);	/* its file is not open yet */
	cr_assert(y.code == 0 && y.at == 4000, "%s", y.text);
	body_reader_free(&x.reader);
	world_close(&w);
}

Test(body_readahead, a_shard_that_ends_in_the_middle_is_rebuilt, .timeout = 60)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e = long_body(&w);
	const Hf__Extent *x = e->extents[0];
	struct read r;
	char path[256];

	fake_store_shard_path(&w.fake, x->volume, 0, path);
	cr_assert_eq(truncate(path, (off_t)(x->offset + volume_extent_shard_bytes(2, x->bytes) / 2 +
	    100)), 0);
	read_well(&w, "k", e, 0, LONG_BYTES);
	cr_assert_gt(metric_get(METRIC_s3_reconstructed_units_total), 0);
	fake_store_shard_path(&w.fake, x->volume, 2, path);
	cr_assert_eq(truncate(path, 4096), 0);
	r = read_body(&w, "k", e, 0, LONG_BYTES);
	cr_assert_neq(r.code, 0);
	cr_assert_lt(r.at, LONG_BYTES);
	world_close(&w);
}

/* Everything is in order until the caller has a megabyte. */
static void
on_piece_then_bad(void *context, int code, struct slice data, const struct err *e)
{
	struct read *x = context;

	if (code == 0 && data.bytes > 0) {
		x->at += data.bytes;
		if (x->at >= 1000000)
			bad_reads_fail("/");
		body_reader_next(x->reader, on_piece_then_bad, x);
		return;
	}
	read_end(x, code, e);
}

Test(body_readahead, all_drives_fail_in_the_middle, .timeout = 60)
{
	struct world w = { .disk = &bad_disk };
	const Hf__ObjectEntry *e = long_body(&w);
	struct read x = { .bytes = LONG_BYTES };

	w.fake.gets = 0;
	read_begin(&x, &w, "k", e, on_piece_then_bad);
	world_until(&w, &x.done);
	bad_reads_fail(NULL);
	cr_assert_eq(x.code, ERR_IO, "%s", x.text);
	cr_assert(x.at >= 1000000 && x.at < LONG_BYTES);
	cr_assert_geq(w.fake.gets, 1, "the store is asked whether it moved");
	body_reader_free(&x.reader);
	world_close(&w);
}

/* Its caller is gone: from inside of the call that gives it a piece. */
static void
on_piece_then_gone(void *context, int code, struct slice data, const struct err *e)
{
	struct read *x = context;

	(void)e;
	cr_assert(code == 0 && data.bytes > 0);
	if (++x->pieces == x->seed) {
		body_reader_free(&x->reader);
		x->done = true;
	} else {
		body_reader_next(x->reader, on_piece_then_gone, x);
	}
}

Test(body_readahead, a_caller_that_goes_at_any_piece, .timeout = 60)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e = long_body(&w);
	unsigned i;

	for (i = 1; i <= 40; i++) {
		struct read x = { .bytes = LONG_BYTES, .seed = i };

		read_begin(&x, &w, "k", e, on_piece_then_gone);
		world_until(&w, &x.done);
	}
	world_close(&w);	/* all memory is back: objects_release asserts it */
}
