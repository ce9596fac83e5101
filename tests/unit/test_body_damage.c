/*
 * test_body_damage - shards of bodies that are gone, damaged or of another body: never a wrong
 * byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <unistd.h>

#include "libbase/metrics.h"
#include "libstore/volume/volume.h"
#include "tests/unit/body_world.h"

static void
shards_unlink(struct world *w, const Hf__ObjectEntry *entry, uint32_t shards)
{
	char path[256];
	unsigned i;
	size_t x;

	for (x = 0; x < entry->n_extents; x++)
		for (i = 0; i < w->fake.k + w->fake.m; i++)
			if (shards >> i & 1) {
				fake_store_shard_path(&w->fake, entry->extents[x]->volume, i, path);
				unlink(path);
			}
}

static void
shards_flip(struct world *w, const Hf__ObjectEntry *entry, unsigned shard, uint64_t every)
{
	char path[256];
	uint64_t at, end;
	uint8_t b;
	int fd;

	fake_store_shard_path(&w->fake, entry->extents[0]->volume, shard, path);
	fd = open(path, O_RDWR);
	end = entry->extents[0]->offset + volume_extent_shard_bytes(w->fake.k,
	    entry->extents[0]->bytes);
	for (at = entry->extents[0]->offset + 77; at < end; at += every) {
		cr_assert_eq(pread(fd, &b, 1, (off_t)at), 1);
		b ^= 0x10;
		cr_assert_eq(pwrite(fd, &b, 1, (off_t)at), 1);
	}
	close(fd);
}

Test(body_damage, any_m_shards_may_be_gone, .timeout = 120)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	uint32_t lost;

	for (lost = 1; lost < 16; lost++) {
		if (__builtin_popcount(lost) > 2)
			continue;
		world_open(&w, 2, 2);
		e = write_body(&w, "k", 700001, 700001);
		notice(&w, 0xf);		/* closes the files */
		notice(&w, 0);
		shards_unlink(&w, e, lost);
		read_well(&w, "k", e, 0, e->bytes);
		read_well(&w, "k", e, 333333, 100000);
		if (lost & 3) {
			world_for(&w, 10);
			cr_assert_gt(w.fake.damages, 0);
			cr_assert_gt(metric_get(METRIC_s3_reconstructed_units_total), 0);
		}
		world_close(&w);
	}
}

Test(body_damage, more_than_m_lost_is_an_error_and_no_wrong_byte)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	struct read x;

	world_open(&w, 2, 1);
	e = write_body(&w, "k", 700001, 700001);
	notice(&w, 7);
	notice(&w, 0);
	shards_flip(&w, e, 0, 65536);
	shards_flip(&w, e, 2, 65536);
	x = read_body(&w, "k", e, 0, e->bytes);
	cr_assert_eq(x.code, ERR_CORRUPT, "%s", x.text);
	cr_assert_geq(w.fake.gets, 1, "the store is asked before it is called damage");
	world_close(&w);
}

Test(body_damage, flipped_bits_are_repaired_and_reported)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;

	world_open(&w, 4, 2);
	e = write_body(&w, "k", 3000000, 3000000);
	shards_flip(&w, e, 1, 65536);
	shards_flip(&w, e, 3, 131072);
	read_well(&w, "k", e, 0, e->bytes);
	world_for(&w, 20);
	cr_assert_eq(__builtin_popcount(w.fake.damage_slots), 2);
	world_close(&w);
}

Test(body_damage, a_replaced_object_is_stale_not_wrong)
{
	struct world w = { 0 };
	Hf__ObjectEntry *old;
	struct read x;
	unsigned i;

	world_open(&w, 2, 1);
	old = entry_copy(write_body(&w, "k", 500000, 500000));
	write_body(&w, "k", 500000, 500000);
	for (i = 0; i < 3; i++) {		/* its space is punched, or written by another */
		char path[256];
		int fd;

		fake_store_shard_path(&w.fake, old->extents[0]->volume, i, path);
		fd = open(path, O_RDWR);
		cr_assert_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)old->extents[0]->offset, (off_t)volume_extent_shard_bytes(2, 500000)),
		    0);
		close(fd);
	}
	x = read_body(&w, "k", old, 0, 500000);
	cr_assert_eq(x.code, ERR_STALE, "%s", x.text);
	cr_assert_eq(x.at, 0);
	hf__object_entry__free_unpacked(old, NULL);
	world_close(&w);
}
