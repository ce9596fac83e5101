/*
 * test_body_volumes - the volumes and runs that bodies are written to: how they grow, fill up, are
 * released and revoked, and lack drives or space.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/body_world.h"

Test(body_volumes, small_runs_and_full_volumes_make_several_extents)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	unsigned i;

	world_open(&w, 2, 1);
	w.fake.run_bytes_max = 3 * 65536 + 8192;
	w.fake.volume_bytes = 1 << 20;
	for (i = 0; i < 4; i++) {
		e = write_body(&w, "k", 4000000, i % 2 == 0 ? 4000000 : BODY_LENGTH_UNKNOWN);
		cr_assert_gt(e->n_extents, 4);
		read_well(&w, "k", e, 0, 4000000);
		read_well(&w, "k", e, 1234567, 2000000);
	}
	world_close(&w);
}

/* From 4 MiB of a shard on, doubled when half of one is used: no body waits for its space. */
Test(body_volumes, runs_grow_with_use_and_come_ahead, .timeout = 60)
{
	struct world w = { 0 };
	uint64_t used = 0, granted;

	world_open(&w, 2, 1);
	w.fake.run_bytes_max = 64 << 20;
	w.fake.volume_bytes = 256 << 20;
	while (used < 13 << 20) {
		write_body(&w, "k", 1 << 20, 1 << 20);
		world_for(&w, 5);
		used += 1 << 19;		/* of each shard */
		granted = w.fake.granted_bytes;
		cr_assert(granted - used >= 3 << 19, "%llu of %llu are used",
		    (unsigned long long)used, (unsigned long long)granted);
	}
	cr_assert_eq(w.fake.runs, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(w.fake.asked_bytes[i], UINT64_C(4) << 20 << i, "run %u of %llu", i,
		    (unsigned long long)w.fake.asked_bytes[i]);
	world_close(&w);
}

Test(body_volumes, a_filled_volume_is_released)
{
	struct world w = { 0 };
	struct write open;
	unsigned i;

	world_open(&w, 2, 1);
	w.fake.volume_bytes = 1 << 20;
	write_begin(&open, &w, 300000, 300000);
	world_until(&w, &open.done);
	for (i = 0; i < 10; i++)
		write_body(&w, "k", 700000, i % 2 == 0 ? 700000 : BODY_LENGTH_UNKNOWN);
	world_for(&w, 50);
	/* Held: the first, and those of the current run and of the next. */
	cr_assert_leq(w.fake.volume - w.fake.releases, 3, "%u of %llu volumes were released",
	    w.fake.releases, (unsigned long long)w.fake.volume);
	cr_assert_neq(w.fake.released, 1, "of the first a body is outstanding");
	write_commit(&open, "first");
	world_for(&w, 50);
	cr_assert_eq(w.fake.released, 1);
	cr_assert_leq(w.fake.volume - w.fake.releases, 2);
	write_begin(&open, &w, 300000, 300000);
	world_until(&w, &open.done);
	body_writer_free(&open.writer);		/* discarded: that settles it, too */
	write_body(&w, "k", 2500000, 2500000);
	world_for(&w, 50);
	cr_assert_leq(w.fake.volume - w.fake.releases, 2);
	world_close(&w);
}

Test(body_volumes, a_revoked_volume_is_released_when_its_bodies_are_done)
{
	struct world w = { 0 };
	struct write x;
	uint64_t first;

	world_open(&w, 2, 1);
	write_begin(&x, &w, 300000, 300000);
	world_until(&w, &x.done);
	first = w.fake.revoked = w.fake.volume;
	w.fake.volume_at = w.fake.volume_bytes;		/* the store grants of another */
	fake_store_notice(&w.fake);
	world_for(&w, 50);
	cr_assert_eq(w.fake.releases, 0, "a body is outstanding");
	cr_assert_gt(w.fake.returned_bytes, 0, "what was granted and not used goes back");
	write_body(&w, "other", 300000, 300000);
	cr_assert_neq(fake_store_key(&w.fake, "other")->entry->extents[0]->volume, first);
	write_commit(&x, "k");
	world_for(&w, 50);
	cr_assert_eq(w.fake.releases, 1);
	cr_assert_eq(w.fake.released, first);
	world_close(&w);
}

Test(body_volumes, offline_drives_are_written_around)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	struct write x;

	world_open(&w, 2, 2);
	write_body(&w, "warm", 100000, 100000);
	notice(&w, 1u << 1 | 1u << 2);
	e = write_body(&w, "k", 800000, 800000);
	cr_assert_eq(__builtin_popcount(e->extents[0]->missing), 2);
	read_well(&w, "k", e, 0, 800000);
	notice(&w, 7);
	write_begin(&x, &w, 800000, 800000);
	world_until(&w, &x.done);
	cr_assert_eq(x.code, ERR_NO_QUORUM, "%s", x.text);
	body_writer_free(&x.writer);
	world_close(&w);
}

Test(body_volumes, no_space_granted)
{
	struct world w = { 0 };
	struct write x;

	world_open(&w, 2, 1);
	w.fake.run_code = ERR_FULL;
	write_begin(&x, &w, 500000, 500000);
	world_until(&w, &x.done);
	cr_assert_eq(x.code, ERR_FULL, "%s", x.text);
	body_writer_free(&x.writer);
	w.fake.run_code = 0;
	write_body(&w, "k", 500000, 500000);
	world_close(&w);
}
