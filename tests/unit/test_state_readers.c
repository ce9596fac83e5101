/*
 * test_state_readers - what is deleted stays until readers are done with it, and no longer than the
 * grace.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/volume_world.h"

TestSuite(readers, .init = volume_world_begin, .fini = volume_world_end, .timeout = 60);

/* An object, read by the session at a published LSN, or without one, and deleted. */
static uint64_t
read_and_delete(bool publish, int *slot, uint64_t *owner)
{
	const Hf__Run *r = reserve(2, 2 * MIB);
	Hf__Extent x = extent(r->volume, r->offset, MIB);

	cr_assert_eq(put(3, "k", &x), 0);
	*owner = readers_owner(session_id(w.session));
	if (publish) {
		*slot = readers_claim(w.readers, *owner);
		cr_assert(readers_publish(w.readers, *slot, *owner, gentable_applied(w.table)));
	}
	cr_assert_eq(world_get(&w, 4, "b", "k")->code, 0);
	world_delete(&w, 5, "b", "k");
	world_settle(&w);
	return (world_volume_blocks(&w));
}

static void
grace_is(uint64_t ms)
{
	world_close(&w);
	w.grace_ms = ms;
	world_open(&w);
	w.session = state_sessions(w.state);
}

Test(readers, a_reader_keeps_what_is_deleted_until_it_is_done)
{
	uint64_t before, owner;
	int slot;

	grace_is(20000);
	before = read_and_delete(true, &slot, &owner);
	pass(5000);
	cr_assert_eq(world_volume_blocks(&w), before, "the reader needs it");
	cr_assert_not(state_readers_past(w.state, gentable_applied(w.table)));
	readers_publish(w.readers, slot, owner, gentable_applied(w.table));
	cr_assert(state_readers_past(w.state, gentable_applied(w.table)));
	pass(1000);
	cr_assert_lt(world_volume_blocks(&w), before, "long before the grace is over");
	cr_assert_eq(state_next_ms(w.state), UINT64_MAX);
}

/* What is deleted stays for the grace, and not longer. */
static void
stays_for_the_grace(bool published)
{
	uint64_t before, owner;
	int slot;

	grace_is(5000);
	before = read_and_delete(published, &slot, &owner);
	pass(4500);
	cr_assert_eq(world_volume_blocks(&w), before);
	pass(1000);
	cr_assert_lt(world_volume_blocks(&w), before);
}

Test(readers, a_reader_that_is_too_slow_is_not_waited_for) { stays_for_the_grace(true); }

Test(readers, a_dead_reader_is_not_waited_for)
{
	uint64_t before, owner;
	int slot;

	grace_is(20000);
	before = read_and_delete(true, &slot, &owner);
	pass(2000);
	cr_assert_eq(world_volume_blocks(&w), before);
	state_session_end(w.state, w.session);
	pass(1000);
	cr_assert_not(readers_has(w.readers, owner));
	cr_assert_lt(world_volume_blocks(&w), before);
}

Test(readers, who_reads_and_does_not_say_so_gets_the_whole_grace) { stays_for_the_grace(false); }

Test(readers, what_readers_published_outlives_the_store)
{
	uint64_t before, owner;
	int slot;

	grace_is(20000);
	before = read_and_delete(true, &slot, &owner);
	readers_claim(w.readers, 4711);		/* of a process that is gone meanwhile */
	world_close(&w);
	world_open(&w);
	cr_assert_not(readers_has(w.readers, 4711));
	pass(3000);
	cr_assert_eq(world_volume_blocks(&w), before);
	readers_publish(w.readers, slot, owner, 0);
	pass(1000);
	cr_assert_lt(world_volume_blocks(&w), before);
}

Test(readers, a_stream_of_deletes_does_not_put_off_the_first)
{
	uint64_t sequence = 6, before, owner;
	char key[16];
	int slot;

	grace_is(5000);
	before = read_and_delete(false, &slot, &owner);
	for (int i = 0; i < 90; i++) {
		const Hf__Run *r = reserve(sequence++, 65536);
		Hf__Extent x = extent(r->volume, r->offset, 70000);

		snprintf(key, sizeof(key), "s%d", i);
		cr_assert_eq(put(sequence++, key, &x), 0);
		before = world_volume_blocks(&w);
		world_delete(&w, sequence++, "b", key);
		world_settle(&w);
		pass(i < 30 ? 0 : 100);
	}
	(void)before;
	{
		struct state_stats stats;

		state_stats(w.state, &stats);
		cr_assert_gt(stats.reclaimed_bytes, 0,
		    "the first has waited longer than its grace");
	}
}
