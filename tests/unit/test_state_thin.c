/*
 * test_state_thin - thin extents: bodies that lack shards although all drives are there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/volume_world.h"

TestSuite(thin, .init = volume_world_begin, .fini = volume_world_end, .timeout = 60);

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

Test(thin, one_with_thin_extents_is_asked_back_and_marked)
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
	cr_assert(world_rebuilt_alike(&w, NULL));
}

Test(thin, one_with_thin_extents_is_asked_back_after_a_restart)
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
	cr_assert(world_rebuilt_alike(&w, NULL));
}

Test(thin, thin_extents_do_not_cost_a_volume_each)
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

Test(thin, extents_that_lack_what_cannot_be_are_refused)
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

Test(thin, what_a_drive_that_is_away_lacks_is_known_already)
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
Test(thin, thin_extents_that_nobody_marked_are_found_at_a_start)
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
	cr_assert(world_rebuilt_alike(&w, NULL));
}

Test(thin, a_session_end_without_a_list_seals_what_names_it)
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
