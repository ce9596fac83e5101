/*
 * test_state_volume - runs, extents, reclaim and the end of sessions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/index/index_layer.h"
#include "libstore/volume/volume.h"
#include "tests/unit/state_world.h"

#define MIB (1024u * 1024)

static struct world w;

static void
setup(void)
{
	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
}

static void
teardown(void)
{
	world_close(&w);
	world_remove(&w);
}

TestSuite(volume, .init = setup, .fini = teardown, .timeout = 60);

static const Hf__Run *
reserve(uint64_t sequence, uint64_t bytes)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);

	op.bytes = bytes;
	cr_assert_eq(world_ask(&w, sequence, &q)->code, 0, "%s", w.replies[sequence]->error);
	cr_assert_not_null(w.replies[sequence]->run->layout);
	return (w.replies[sequence]->run);
}

static Hf__Extent
extent(uint64_t volume, uint64_t offset, uint64_t bytes)
{
	Hf__Extent x = HF__EXTENT__INIT;

	x.volume = volume;
	x.offset = offset;
	x.bytes = bytes;
	x.write_id = 7;
	return (x);
}

static int
put(uint64_t sequence, const char *key, const Hf__Extent *x)
{
	world_put_extent(&w, sequence, "b", key, x);
	world_settle(&w);
	return (world_code(&w, sequence));
}

/* Lets the grace pass and reclaim do all that it has to. */
static void
reclaim(void)
{
	for (int i = 0; i < 20; i++) {
		w.now_ms += 1001;
		world_settle(&w);
		state_turn(w.state, w.now_ms);
		world_settle(&w);
	}
}

static void
pass(uint64_t ms)
{
	for (uint64_t end = w.now_ms + ms; w.now_ms < end; ) {
		w.now_ms += 100;
		state_turn(w.state, w.now_ms);
		world_settle(&w);
	}
}

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

static int
release(uint64_t sequence, uint64_t volume)
{
	WORLD_OP(volume_release, VolumeRelease, VOLUME_RELEASE);

	op.volume = volume;
	return (world_ask(&w, sequence, &q)->code);
}

static size_t
volume_rows(void)
{
	uint64_t *ids = NULL;
	size_t n = catalog_volume_ids(w.drives, &ids);

	free(ids);
	return (n);
}

static int
volume_state(uint64_t volume)
{
	Hf__CatalogVolume *row = catalog_volume(w.drives, volume);
	int state = row == NULL ? -1 : (int)row->state;

	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	return (state);
}

static void
rebuild_and_compare(void)
{
	cr_assert(world_rebuilt_alike(&w, NULL));
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
	rebuild_and_compare();
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
	rebuild_and_compare();
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
	rebuild_and_compare();
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
	rebuild_and_compare();
}

/* --- Thin extents. ---------------------------------------------------------------------------- */

static uint32_t
volume_lacking(uint64_t volume)
{
	Hf__CatalogVolume *row = catalog_volume(w.drives, volume);
	uint32_t lacking;

	cr_assert_not_null(row);
	lacking = row->lacking;
	hf__catalog_volume__free_unpacked(row, NULL);
	return (lacking);
}

static uint64_t
thin_extents(uint64_t volume)
{
	struct index_reader r = { .index = w.index };
	struct buf key = BUF_INIT;
	Hf__VolumeUse *use;
	uint64_t n;

	key_volume(&key, volume);
	cr_assert_eq(row_get(&r, buf_slice(&key), &hf__volume_use__descriptor, (void *)&use,
	    NULL), 0);
	n = use->thin_extents;
	hf__volume_use__free_unpacked(use, NULL);
	buf_release(&key);
	return (n);
}

/* A body of which a write to some shards failed, while their drives went on. */
static Hf__Extent
thin_put(uint64_t sequence, const char *key, uint32_t missing)
{
	const Hf__Run *r = reserve(sequence, 300000);
	Hf__Extent x = extent(r->volume, r->offset, 300000);

	x.missing = missing;
	cr_assert_eq(put(sequence + 1, key, &x), 0, "%s", w.replies[sequence + 1]->error);
	return (x);
}

Test(volume, one_with_thin_extents_is_asked_back_and_marked)
{
	uint64_t volume = thin_put(2, "k", 4).volume;

	cr_assert_eq(thin_extents(volume), 1);
	pass(200);
	cr_assert_eq(w.revocations, 1);
	cr_assert_eq(volume_lacking(volume), 0, "it may be written still");
	cr_assert_eq(catalog_lacking_marked(w.drives, 0), 0);
	cr_assert_eq(release(4, volume), 0);
	reclaim();
	cr_assert_eq(volume_state(volume), HF__CATALOG_VOLUME__STATE__SEALED);
	cr_assert_eq(volume_lacking(volume), 4);
	cr_assert_eq(catalog_lacking_marked(w.drives, (unsigned)(volume + 2) % 4), 1);
	cr_assert_eq(state_next_ms(w.state), UINT64_MAX, "nothing to do, no timer");
	world_delete(&w, 5, "b", "k");
	world_settle(&w);
	cr_assert_eq(thin_extents(volume), 0);
	rebuild_and_compare();
}

Test(volume, one_with_thin_extents_is_asked_back_after_a_restart)
{
	uint64_t volume = thin_put(2, "k", 1).volume;

	world_close(&w);
	world_open(&w);
	w.session = state_sessions(w.state);
	cr_assert_eq(w.revocations, 1);
	pass(200);
	cr_assert_eq(w.revocations, 2);
	state_session_end(w.state, w.session);
	reclaim();
	cr_assert_eq(volume_lacking(volume), 1);
	rebuild_and_compare();
}

Test(volume, thin_extents_do_not_cost_a_volume_each)
{
	uint64_t first = thin_put(2, "k", 1).volume, second;

	pass(200);
	second = thin_put(4, "l", 1).volume;
	cr_assert_neq(second, first);
	pass(4000);
	cr_assert_eq(thin_put(6, "m", 1).volume, second);
	cr_assert_eq(w.revocations, 1);
	pass(2000);
	cr_assert_eq(w.revocations, 2);
	pass(20000);
	cr_assert_eq(w.revocations, 2);
}

Test(volume, extents_that_lack_what_cannot_be_are_refused)
{
	const Hf__Run *r = reserve(2, 300000);
	Hf__Extent x = extent(r->volume, r->offset, 300000);

	x.missing = 7;
	cr_assert_eq(put(3, "k", &x), ERR_INVALID, "fewer than k are left");
	x.missing = 16;
	cr_assert_eq(put(4, "k", &x), ERR_INVALID, "there is no such shard");
	pass(200);
	cr_assert_eq(w.revocations, 0);
	x.missing = 12;
	cr_assert_eq(put(5, "k", &x), 0);
}

Test(volume, what_a_drive_that_is_away_lacks_is_known_already)
{
	struct err e = ERR_INIT;
	const Hf__Run *r;
	Hf__Extent x;

	cr_assert_eq(drive_fail(w.drives, 3, "test", &e), 0, "%s", e.text);
	r = reserve(2, 300000);
	x = extent(r->volume, r->offset, 300000);
	x.missing = r->layout->lacking;
	cr_assert_neq(x.missing, 0);
	cr_assert_eq(put(3, "k", &x), 0);
	pass(200);
	cr_assert_eq(w.revocations, 0);
}

/* An earlier program sealed it without a mark. */
Test(volume, thin_extents_that_nobody_marked_are_found_at_a_start)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	uint64_t volume = thin_put(2, "k", 2).volume;
	Hf__CatalogVolume *row;
	struct err e = ERR_INIT;

	state_session_end(w.state, w.session);
	reclaim();
	cr_assert_eq(volume_lacking(volume), 2);
	row = catalog_volume(w.drives, volume);
	row->lacking = 0;
	change.volumes = &row;
	change.n_volumes = 1;
	cr_assert_eq(catalog_commit_locked(w.drives, &change, 0, NULL, &e), 0, "%s", e.text);
	hf__catalog_volume__free_unpacked(row, NULL);
	cr_assert_eq(volume_lacking(volume), 0);
	world_close(&w);
	world_open(&w);
	reclaim();
	cr_assert_eq(volume_lacking(volume), 2);
	rebuild_and_compare();
}

Test(volume, a_session_end_without_a_list_seals_what_names_it)
{
	Hf__RecordSessionEnd old = HF__RECORD_SESSION_END__INIT;
	uint8_t packed[64];
	size_t bytes;
	uint64_t volume = reserve(2, MIB)->volume;
	struct session *s = w.session;
	struct apply a;
	struct index_layer *layer = index_layer_new();
	struct record record = { .lsn = LSN(100, 1), .type = RECORD_SESSION_END };
	Hf__VolumeUse *use;
	struct buf key = BUF_INIT;

	old.session = (ProtobufCBinaryData){ SESSION_ID_BYTES, s->id };
	bytes = hf__record_session_end__pack(&old, packed);
	record.meta = SLICE(packed, bytes);
	apply_init(&a, w.index, layer);
	cr_assert_eq(apply_record(&a, &record, NULL), 0);
	key_volume(&key, volume);
	cr_assert_eq(row_get(&a.reader, buf_slice(&key), &hf__volume_use__descriptor, (void *)&use,
	    NULL), 0);
	cr_assert(use->sealed);
	hf__volume_use__free_unpacked(use, NULL);
	apply_release(&a);
	index_layer_free(layer);
	buf_release(&key);
}

/* --- Readers. --------------------------------------------------------------------------------- */

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

Test(volume, a_reader_keeps_what_is_deleted_until_it_is_done)
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

Test(volume, a_reader_that_is_too_slow_is_not_waited_for) { stays_for_the_grace(true); }

Test(volume, a_dead_reader_is_not_waited_for)
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

Test(volume, who_reads_and_does_not_say_so_gets_the_whole_grace) { stays_for_the_grace(false); }

Test(volume, what_readers_published_outlives_the_store)
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

Test(volume, a_stream_of_deletes_does_not_put_off_the_first)
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
