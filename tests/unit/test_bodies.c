/*
 * test_bodies - bodies of many sizes written and read back, whole and in ranges; digests, memory
 * bounds, bodies dropped in the middle, and what is published for reclaim.
 *
 * The rest of this program: test_body_*.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "libstore/volume/volume.h"
#include "tests/unit/body_world.h"

Test(bodies, sizes_known_and_unknown, .timeout = 120)
{
	static const unsigned sets[][2] = { { 1, 0 }, { 1, 1 }, { 2, 2 }, { 4, 2 }, { 9, 3 } };
	unsigned s, i, u;

	for (s = 0; s < 5; s++) {
		unsigned k = sets[s][0];
		uint64_t row = volume_row_body_bytes(k);
		uint64_t sizes[] = { 0, 1, 4095, 4096, 65535, 65536, 65537, 65536 + 4096, 70000,
		    row - 1, row, row + 1, 2 * row - 1, 3 * row, 3 * row + 12345, 5 * row + 1,
		    16 * row, 3000000 };
		struct world w = { 0 };

		world_open(&w, k, sets[s][1]);
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (u = 0; u < 3; u++) {	/* exact, unknown, wrong */
				uint64_t expected = u == 0 ? sizes[i] : u == 1
				    ? BODY_LENGTH_UNKNOWN :
				    sizes[i] / 2 + 5;
				const Hf__ObjectEntry *e = write_body(&w, "k", sizes[i], expected);

				cr_assert_eq(e->bytes, sizes[i]);
				if (u == 0)
					cr_assert_eq(e->n_extents > 0, sizes[i] > 65536);
				read_well(&w, "k", e, 0, sizes[i]);
				if (sizes[i] > 3)
					read_well(&w, "k", e, sizes[i] / 3, sizes[i] / 2);
				if (sizes[i] > 0)
					read_well(&w, "k", e, sizes[i] - 1, 1);
			}
		cr_assert_eq(w.fake.damages, 0);
		world_close(&w);
	}
}

Test(bodies, ranges, .timeout = 60)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	uint64_t size = 1500000, i;

	world_open(&w, 3, 2);
	e = write_body(&w, "k", size, size);
	for (i = 0; i < 60; i++) {
		uint64_t from = i * 7919 * 31 % size, bytes = i * i * 613 % (size - from) + 1;

		read_well(&w, "k", e, from, bytes);
	}
	read_well(&w, "k", e, 65503, 2);
	read_well(&w, "k", e, 65504, 65504);
	read_well(&w, "k", e, size, 0);
	world_close(&w);
}

Test(bodies, bodies_of_any_length_are_hashed_side_by_side, .timeout = 60)
{
	static const uint64_t bytes[] = { 3000000, 700001, 1234567, 2000, 524032, 2096129, 90000 };
	struct world w = { 0 };
	struct write x[7];
	unsigned round, i;
	char key[16];

	world_open(&w, 2, 1);
	for (round = 2; round <= 7; round++) {
		for (i = 0; i < round; i++)
			write_begin(&x[i], &w, bytes[i], i % 2 ? BODY_LENGTH_UNKNOWN : bytes[i]);
		if (round % 2 == 1)	/* one goes while it is hashed beside others */
			body_writer_free(&x[0].writer);
		for (i = round % 2; i < round; i++) {
			world_until(&w, &x[i].done);
			cr_assert_eq(x[i].code, 0, "%s", x[i].text);
			digest_check(&x[i]);
			snprintf(key, sizeof(key), "k%u", i);
			write_commit(&x[i], key);
		}
	}
	world_close(&w);
}

Test(bodies, memory_stays_within_its_bound, .timeout = 60)
{
	struct world w = { .body_memory_max = 1 << 20 };
	static struct write x[24];
	unsigned i;
	char key[16];

	world_open(&w, 2, 2);
	for (i = 0; i < 24; i++)
		write_begin(&x[i], &w, i % 3 == 0 ? 60000 : 400000,
		    i % 2 == 0 ? BODY_LENGTH_UNKNOWN :
		    i % 3 == 0 ? 60000 : 400000);
	for (i = 0; i < 24; i++) {
		/* Inline bodies hold their memory until they are freed: so free in the order they
		 * finish. */
		unsigned j, n = 0;

		while (n == 0) {
			for (j = 0; j < 24; j++)
				if (x[j].done && x[j].writer != NULL) {
					cr_assert_eq(x[j].code, 0, "%s", x[j].text);
					snprintf(key, sizeof(key), "k%u", j);
					write_commit(&x[j], key);
					read_well(&w, key, fake_store_key(&w.fake, key)->entry, 0,
					    x[j].bytes);
					n++;
					break;
				}
			if (n == 0)
				world_turn(&w);
		}
	}
	world_close(&w);
}

/* Until no more than `bytes` of what was granted is out, or for so long. */
static void
world_for_returned(struct world *w, uint64_t bytes, unsigned ms)
{
	unsigned i;

	for (i = 0; i < ms / 50; i++) {
		world_for(w, 50);
		if (w->fake.granted_bytes - w->fake.returned_bytes == bytes)
			return;
	}
}

Test(bodies, dropped_in_the_middle_at_any_moment, .timeout = 120)
{
	struct world w = { 0 };
	unsigned i;

	world_open(&w, 2, 1);
	write_body(&w, "k", 2000000, 2000000);
	for (i = 0; i < 60; i++) {
		struct write x;
		struct read r = { .bytes = 2000000 };

		write_begin(&x, &w, 3000000, i % 2 == 0 ? 3000000 : BODY_LENGTH_UNKNOWN);
		read_begin(&r, &w, "k", fake_store_key(&w.fake, "k")->entry, on_piece);
		world_for(&w, i % 12);
		body_writer_free(&x.writer);
		body_reader_free(&r.reader);
		cr_assert_null(x.writer);
	}
	world_for_returned(&w, volume_extent_shard_bytes(2, 2000000), 2000);
	cr_assert_gt(w.fake.discards, 0);
	objects_close(&w.objects);
	world_for_returned(&w, volume_extent_shard_bytes(2, 2000000), 5000);
	world_close(&w);
	/* Everything but the committed body came back: nothing that was granted is lost. */
	cr_assert_eq(w.fake.granted_bytes - w.fake.returned_bytes,
	    volume_extent_shard_bytes(2, 2000000));
}

Test(bodies, a_store_that_restarts_is_waited_for)
{
	struct world w = { 0 };
	struct write x;

	world_open(&w, 2, 1);
	w.fake.run_bytes_max = 4 * 65536;
	write_body(&w, "warm", 100000, 100000);
	write_begin(&x, &w, 5000000, 5000000);
	fake_store_hang_up(&w.fake);
	world_for(&w, 100);
	cr_assert_not(x.done);
	fake_store_listen(&w.fake);
	world_until(&w, &x.done);
	cr_assert_eq(x.code, 0, "%s", x.text);
	write_commit(&x, "k");
	read_well(&w, "k", fake_store_key(&w.fake, "k")->entry, 0, 5000000);
	world_close(&w);
}

Test(bodies, a_lost_session_loses_its_bodies)
{
	struct world w = { 0 };
	struct write x;

	world_open(&w, 2, 1);
	w.fake.run_bytes_max = 4 * 65536;
	write_body(&w, "warm", 100000, 100000);
	write_begin(&x, &w, 2000000, 2000000);
	fake_store_hang_up(&w.fake);
	w.fake.lose_session = true;
	fake_store_listen(&w.fake);
	world_until(&w, &x.done);
	cr_assert_eq(x.code, ERR_UNAVAILABLE, "%s", x.text);
	body_writer_free(&x.writer);
	write_body(&w, "k", 2000000, 2000000);
	world_close(&w);
}

/* --- What is published for reclaim. ----------------------------------------------------------- */

struct look {
	struct world		*w;
	struct body_reader	*reader;
	bool			 done;
};

static void
on_look(void *context, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	struct look *x = context;

	(void)bucket;
	cr_assert_eq(code, 0, "%s", e->text);
	x->reader = body_reader_new(x->w->objects, "RID", "b", SLICE_LITERAL("k"), entry, 0,
	    entry->bytes, clock_mono_ms() + 10000);
	x->done = true;
}

static void
look_begin(struct look *x, struct world *w)
{
	*x = (struct look){ .w = w };
	object_lookup(w->objects, "RID", "b", SLICE_LITERAL("k"), clock_mono_ms() + 10000, on_look,
	    x);
	world_until(w, &x->done);
}

Test(bodies, the_oldest_read_is_published)
{
	struct world w = { 0 };
	struct look first, second;
	uint64_t lsn;

	world_open(&w, 2, 1);
	write_body(&w, "k", 300000, 300000);
	cr_assert_eq(readers_oldest(w.fake.readers), UINT64_MAX, "nothing is read");
	lsn = gentable_applied(w.fake.table);
	cr_assert_gt(lsn, 0);
	look_begin(&first, &w);		/* from the store */
	cr_assert_eq(readers_oldest(w.fake.readers), lsn);
	gentable_set_applied(w.fake.table, lsn + 10);
	look_begin(&second, &w);	/* from the cache, as of now */
	cr_assert_eq(readers_oldest(w.fake.readers), lsn, "the oldest counts");
	body_reader_free(&first.reader);
	cr_assert_eq(readers_oldest(w.fake.readers), lsn + 10);
	body_reader_free(&second.reader);
	cr_assert_eq(readers_oldest(w.fake.readers), UINT64_MAX);
	world_close(&w);
}

Test(bodies, a_new_session_publishes_in_its_own_slot)
{
	struct world w = { 0 };
	struct look x;
	uint64_t owner;

	world_open(&w, 2, 1);
	write_body(&w, "k", 300000, 300000);
	owner = readers_owner(SLICE(w.fake.session, 16));
	cr_assert(readers_has(w.fake.readers, owner));
	look_begin(&x, &w);
	fake_store_hang_up(&w.fake);
	w.fake.lose_session = true;
	fake_store_listen(&w.fake);
	world_for(&w, 500);
	cr_assert_not(readers_has(w.fake.readers, owner));
	cr_assert(readers_has(w.fake.readers, readers_owner(SLICE(w.fake.session, 16))));
	cr_assert_neq(readers_oldest(w.fake.readers), UINT64_MAX, "the read goes on");
	body_reader_free(&x.reader);
	cr_assert_eq(readers_oldest(w.fake.readers), UINT64_MAX);
	world_close(&w);
}
