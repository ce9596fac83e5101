/*
 * test_state_volume - runs, extents, reclaim, the end of sessions, and volumes that are sealed
 * while their holder lives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "tests/unit/volume_world.h"

TestSuite(volume, .init = volume_world_begin, .fini = volume_world_end, .timeout = 60);

Test(volume, runs_grow_and_never_overlap)
{
	uint64_t volume, offset, bytes;
	const Hf__Run *r;

	r = reserve(2, 100);
	volume = r->volume;
	offset = r->offset;
	bytes = r->bytes;
	cr_assert_eq(bytes, MIB);
	r = reserve(3, 100);
	cr_assert_eq(r->volume, volume);
	cr_assert_eq(r->offset, offset + bytes);
	cr_assert_eq(r->bytes, 2 * MIB);
	offset = r->offset + r->bytes;
	r = reserve(4, 5 * MIB + 1);
	cr_assert_eq(r->offset, offset);
	cr_assert_eq(r->bytes, 5 * MIB + 4096);
	r = reserve(5, 60 * MIB);		/* more than is left: what is left */
	cr_assert_leq(r->offset + r->bytes, 16 * MIB);
	for (uint64_t i = 6; i < 8; i++)
		r = reserve(i, 16 * MIB);
	cr_assert_neq(r->volume, volume, "a full volume is followed by another");
}

Test(volume, two_reserves_in_one_turn_and_a_repeat)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);

	op.bytes = 4096;
	world_send(&w, 2, &q);
	world_send(&w, 2, &q);
	world_send(&w, 3, &q);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 2), 0);
	cr_assert_eq(world_code(&w, 3), 0);
	cr_assert_neq(w.replies[2]->run->offset, w.replies[3]->run->offset);
	world_send(&w, 2, &q);
	cr_assert_eq(w.answers[2], 2);
	cr_assert_eq(w.replies[2]->run->offset, 0);
	cr_assert_not_null(w.replies[2]->run->layout);
}

Test(volume, extents_must_be_granted_and_free)
{
	const Hf__Run *r = reserve(2, MIB);
	Hf__Extent x = extent(r->volume, r->offset, 300000), y;

	cr_assert_eq(put(3, "k", &x), 0, "%s", w.replies[3]->error);
	cr_assert_eq(put(4, "l", &x), ERR_INVALID, "it is taken");
	y = x;
	y.offset += 4096;
	cr_assert_eq(put(5, "l", &y), ERR_INVALID, "it overlaps");
	y.offset = r->offset + r->bytes;
	cr_assert_eq(put(6, "l", &y), ERR_INVALID, "it was not granted");
	y.offset = r->offset + 100;
	cr_assert_eq(put(7, "l", &y), ERR_INVALID, "it is not aligned");
	y.volume = 999;
	cr_assert_eq(put(8, "l", &y), ERR_STALE);
	y = x;
	y.offset = x.offset + volume_extent_shard_bytes(drive_set_k(w.drives), x.bytes);
	cr_assert_eq(put(9, "l", &y), 0, "what follows is free");
	y.offset = x.offset;
	world_session(&w, 2);
	cr_assert_eq(put(10, "l", &y), ERR_STALE, "another session's volume");
}

Test(volume, a_delete_gives_the_space_back_after_the_grace)
{
	const Hf__Run *r = reserve(2, 2 * MIB);
	Hf__Extent x = extent(r->volume, r->offset, MIB);
	uint64_t before = world_volume_blocks(&w), shard;
	struct state_stats stats;
	char *dump;

	shard = volume_extent_shard_bytes(drive_set_k(w.drives), MIB);
	cr_assert_geq(before, 2 * MIB * 4);
	cr_assert_eq(put(3, "k", &x), 0);
	world_delete(&w, 4, "b", "k");
	world_settle(&w);
	cr_assert_eq(world_volume_blocks(&w), before, "readers may still need it");
	cr_assert_neq(state_next_ms(w.state), UINT64_MAX);
	reclaim();
	cr_assert_eq(world_volume_blocks(&w), before - 4 * shard);
	dump = world_dump(&w, "FX");
	cr_assert_str_eq(dump, "");
	free(dump);
	state_stats(w.state, &stats);
	cr_assert_eq(stats.reclaimed_bytes, shard);
	cr_assert_eq(state_next_ms(w.state), UINT64_MAX, "nothing to do, no timer");
}

Test(volume, an_overwrite_frees_and_survives_a_restart)
{
	const Hf__Run *r = reserve(2, 2 * MIB);
	Hf__Extent x = extent(r->volume, r->offset, MIB);
	char *dump;

	cr_assert_eq(put(3, "k", &x), 0);
	world_put(&w, 4, "b", "k", "small", NULL);
	world_settle(&w);
	world_close(&w);
	world_open(&w);
	dump = world_dump(&w, "F");
	cr_assert_str_neq(dump, "", "freed and not punched yet");
	free(dump);
	reclaim();
	dump = world_dump(&w, "F");
	cr_assert_str_eq(dump, "");
	free(dump);
}

/* Else it could never be punched, and what is to be punched behind it neither. */
Test(volume, a_part_of_a_unit_is_not_returned)
{
	const Hf__Run *r = reserve(2, 2 * MIB);
	WORLD_OP(run_return, RunReturn, RUN_RETURN);
	struct state_stats stats;

	op.volume = r->volume;
	op.offset = r->offset;
	op.bytes = 256;
	cr_assert_eq(world_ask(&w, 3, &q)->code, ERR_INVALID);
	op.bytes = 4096;
	cr_assert_eq(world_ask(&w, 4, &q)->code, 0);
	reclaim();
	state_stats(w.state, &stats);
	cr_assert_eq(stats.reclaim_failures, 0);
	cr_assert_eq(stats.reclaimed_bytes, 4096);
}

Test(volume, what_is_returned_or_discarded_is_punched)
{
	const Hf__Run *r = reserve(2, 2 * MIB);
	uint64_t volume = r->volume, before = world_volume_blocks(&w), shard;
	Hf__Extent x = extent(volume, r->offset, MIB), *list = &x;
	WORLD_OP(run_return, RunReturn, RUN_RETURN);
	Hf__StoreRequest discard = HF__STORE_REQUEST__INIT;
	Hf__ExtentDiscard d = HF__EXTENT_DISCARD__INIT;

	shard = volume_extent_shard_bytes(drive_set_k(w.drives), MIB);
	op.volume = volume;
	op.offset = r->offset + r->bytes - MIB / 2;
	op.bytes = MIB / 2;
	cr_assert_eq(world_ask(&w, 3, &q)->code, 0);
	discard.op_case = HF__STORE_REQUEST__OP_EXTENT_DISCARD;
	discard.extent_discard = &d;
	d.n_extents = 1;
	d.extents = &list;
	cr_assert_eq(world_ask(&w, 4, &discard)->code, 0);
	reclaim();
	cr_assert_eq(world_volume_blocks(&w), before - 4 * (shard + MIB / 2));
	x.offset += shard;
	x.bytes = 100000;
	cr_assert_eq(put(5, "k", &x), 0);
	cr_assert_eq(world_ask(&w, 6, &discard)->code, ERR_INVALID, "live data is never discarded");
}

Test(volume, a_session_that_ends_seals_and_an_empty_volume_goes)
{
	const Hf__Run *r = reserve(2, 4 * MIB);
	uint64_t volume = r->volume, shard;
	Hf__Extent x = extent(volume, r->offset + MIB, MIB);
	Hf__CatalogVolume *row;
	char *dump;

	shard = volume_extent_shard_bytes(drive_set_k(w.drives), MIB);
	cr_assert_eq(put(3, "k", &x), 0);
	state_session_end(w.state, w.session);
	world_settle(&w);
	reclaim();
	cr_assert_eq(w.ended, 1);
	cr_assert_eq(world_volume_blocks(&w), 4 * shard, "only what is live is left");
	row = catalog_volume(w.drives, volume);
	cr_assert_eq(row->state, HF__CATALOG_VOLUME__STATE__SEALED);
	hf__catalog_volume__free_unpacked(row, NULL);
	world_session(&w, 2);
	x.offset = r->offset;
	cr_assert_eq(put(4, "l", &x), ERR_STALE);
	cr_assert_eq(world_get(&w, 5, "b", "k")->code, 0);
	world_delete(&w, 6, "b", "k");
	world_settle(&w);
	reclaim();
	cr_assert_eq(world_volume_blocks(&w), 0);
	dump = world_dump(&w, "XYF");
	cr_assert_str_eq(dump, "");
	free(dump);
}

Test(volume, a_volume_without_a_grant_is_dropped_at_start)
{
	struct err e = ERR_INIT;
	uint64_t id;
	Hf__CatalogVolume *row;

	cr_assert_eq(volume_create(w.drives, &id, &e), 0, "%s", e.text);
	world_close(&w);
	world_open(&w);
	reclaim();
	row = catalog_volume(w.drives, id);
	cr_assert(row == NULL || row->state == HF__CATALOG_VOLUME__STATE__DROPPED);
	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
}

Test(volume, rebuild_gives_the_same_volumes)
{
	const Hf__Run *r = reserve(2, 4 * MIB);
	Hf__Extent x = extent(r->volume, r->offset, MIB);

	cr_assert_eq(put(3, "k", &x), 0);
	x.offset += MIB;
	cr_assert_eq(put(4, "k", &x), 0);	/* frees the first */
	x.offset += MIB;
	cr_assert_eq(put(5, "l", &x), 0);
	reclaim();
	state_session_end(w.state, w.session);
	world_settle(&w);
	reclaim();
	cr_assert(world_rebuilt_alike(&w, NULL));
}

/* --- Sealing while the holder lives. ---------------------------------------------------------- */

static size_t
volume_rows(void)
{
	uint64_t *ids = NULL;
	size_t n = catalog_volume_ids(w.drives, &ids);

	free(ids);
	return (n);
}

Test(volume, a_released_volume_is_sealed_and_its_gaps_punched)
{
	const Hf__Run *r = reserve(2, 4 * MIB);
	uint64_t volume = r->volume;
	Hf__Extent x = extent(volume, r->offset + MIB, MIB);

	cr_assert_eq(put(3, "k", &x), 0);
	cr_assert_eq(release(4, volume), 0, "%s", w.replies[4]->error);
	x.offset = r->offset;
	cr_assert_eq(put(5, "l", &x), ERR_STALE, "nothing is committed in it any more");
	cr_assert_eq(release(6, volume), ERR_STALE);
	reclaim();
	cr_assert_eq(volume_state(volume), HF__CATALOG_VOLUME__STATE__SEALED);
	cr_assert_eq(world_volume_blocks(&w),
	    4 * volume_extent_shard_bytes(drive_set_k(w.drives), MIB), "only what is live");
	cr_assert_neq(reserve(7, MIB)->volume, volume, "it is never granted again");
	world_delete(&w, 8, "b", "k");
	world_settle(&w);
	reclaim();
	cr_assert_eq(volume_state(volume), -1, "an empty volume is dropped");
	cr_assert(world_rebuilt_alike(&w, NULL));
}

Test(volume, only_the_holder_releases)
{
	uint64_t volume = reserve(2, MIB)->volume;
	const Hf__Run *r;

	world_session(&w, 2);
	cr_assert_eq(release(3, volume), ERR_STALE);
	cr_assert_eq(release(4, 999), ERR_STALE);
	w.session = state_sessions(w.state)->next;
	r = reserve(5, MIB);
	cr_assert_eq(r->volume, volume);
}

Test(volume, what_is_freed_meanwhile_is_punched_once_and_then_the_gaps)
{
	const Hf__Run *r = reserve(2, 4 * MIB);
	uint64_t volume = r->volume;
	Hf__Extent x = extent(volume, r->offset, MIB);

	cr_assert_eq(put(3, "k", &x), 0);
	x.offset += MIB;
	cr_assert_eq(put(4, "l", &x), 0);
	world_delete(&w, 5, "b", "k");
	cr_assert_eq(release(6, volume), 0);
	cr_assert_eq(volume_state(volume), HF__CATALOG_VOLUME__STATE__ACTIVE);
	world_close(&w);		/* what waits is found again */
	world_open(&w);
	reclaim();
	cr_assert_eq(volume_state(volume), HF__CATALOG_VOLUME__STATE__SEALED);
	cr_assert_eq(world_volume_blocks(&w),
	    4 * volume_extent_shard_bytes(drive_set_k(w.drives), MIB));
	cr_assert(world_rebuilt_alike(&w, NULL));
}

/* One process, bodies put and deleted, volumes filled and released, and now and then a restart. */
Test(volume, long_traffic_of_one_session_keeps_volumes_few)
{
	uint64_t sequence = 2, volume = 0, shard = volume_extent_shard_bytes(drive_set_k(w.drives),
	    6 * MIB);
	char key[16], *dump;
	size_t most = 0;

	for (int i = 0; i < 60; i++) {
		const Hf__Run *r = reserve(sequence++, shard);
		Hf__Extent x = extent(r->volume, r->offset, 6 * MIB);

		snprintf(key, sizeof(key), "k%d", i);
		cr_assert_eq(put(sequence++, key, &x), 0, "%s", w.replies[sequence - 1]->error);
		if (volume != 0 && volume != x.volume)
			cr_assert_eq(release(sequence++, volume), 0);
		volume = x.volume;
		snprintf(key, sizeof(key), "k%d", i - 4);
		world_delete(&w, sequence++, "b", key);
		world_settle(&w);
		reclaim();
		most = volume_rows() > most ? volume_rows() : most;
		if (i % 20 == 19) {
			world_close(&w);
			world_open(&w);
			w.session = state_sessions(w.state);
			cr_assert_not_null(w.session);
		}
	}
	cr_assert_leq(most, 5, "%zu volumes at once", most);
	state_session_end(w.state, w.session);
	world_settle(&w);
	reclaim();
	dump = world_dump(&w, "SA");
	cr_assert_str_eq(dump, "");
	free(dump);
	cr_assert(world_rebuilt_alike(&w, NULL));
}

Test(volume, a_revoked_volume_is_left_by_its_holder)
{
	const Hf__Run *r = reserve(2, MIB);
	uint64_t volume = r->volume;
	Hf__Extent x = extent(volume, r->offset, MIB);

	cr_assert_not(state_volume_revoke(w.state, 999));
	cr_assert(state_volume_revoke(w.state, volume));
	cr_assert_eq(w.revocations, 1);
	cr_assert(session_held(w.session, volume)->revoked);
	cr_assert_neq(reserve(3, MIB)->volume, volume);
	cr_assert_eq(put(4, "k", &x), 0, "what is outstanding may still be committed");
	cr_assert(state_volume_revoke(w.state, volume), "and is asked for again");
	cr_assert_eq(release(5, volume), 0);
	cr_assert_not(state_volume_revoke(w.state, volume));
	reclaim();
	cr_assert_eq(volume_state(volume), HF__CATALOG_VOLUME__STATE__SEALED);
	cr_assert(world_rebuilt_alike(&w, NULL));
}
