/*
 * volume_world - see volume_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/volume_world.h"

#include <stdlib.h>

struct world w;

void
volume_world_begin(void)
{
	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
}

void
volume_world_end(void)
{
	world_close(&w);
	world_remove(&w);
}

const Hf__Run *
reserve(uint64_t sequence, uint64_t bytes)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);

	op.bytes = bytes;
	cr_assert_eq(world_ask(&w, sequence, &q)->code, 0, "%s", w.replies[sequence]->error);
	cr_assert_not_null(w.replies[sequence]->run->layout);
	return (w.replies[sequence]->run);
}

Hf__Extent
extent(uint64_t volume, uint64_t offset, uint64_t bytes)
{
	Hf__Extent x = HF__EXTENT__INIT;

	x.volume = volume;
	x.offset = offset;
	x.bytes = bytes;
	x.write_id = 7;
	return (x);
}

int
put(uint64_t sequence, const char *key, const Hf__Extent *x)
{
	world_put_extent(&w, sequence, "b", key, x);
	world_settle(&w);
	return (world_code(&w, sequence));
}

void
reclaim(void)
{
	for (int i = 0; i < 20; i++) {
		w.now_ms += 1001;
		world_settle(&w);
		state_turn(w.state, w.now_ms);
		world_settle(&w);
	}
}

void
pass(uint64_t ms)
{
	for (uint64_t end = w.now_ms + ms; w.now_ms < end; ) {
		w.now_ms += 100;
		state_turn(w.state, w.now_ms);
		world_settle(&w);
	}
}

int
release(uint64_t sequence, uint64_t volume)
{
	WORLD_OP(volume_release, VolumeRelease, VOLUME_RELEASE);

	op.volume = volume;
	return (world_ask(&w, sequence, &q)->code);
}

int
volume_state(uint64_t volume)
{
	Hf__CatalogVolume *row = catalog_volume(w.drives, volume);
	int state = row == NULL ? -1 : (int)row->state;

	if (row != NULL)
		hf__catalog_volume__free_unpacked(row, NULL);
	return (state);
}
