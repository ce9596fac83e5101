/*
 * test_body_records - small bodies inside of records: on mirrors, moved by a vacuum, and in shards
 * of converted segments.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "libbase/checksum.h"
#include "libstore/log/segment_shard.h"
#include "tests/unit/body_world.h"

Test(body_records, mirrors_of_inline_bodies)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	char path[256];
	struct read x;
	int fd;
	unsigned i;

	world_open(&w, 2, 2);
	for (i = 0; i < 20; i++)
		e = write_body(&w, "k", 3000 + i, 3000 + i);
	cr_assert_not_null(e->place);
	read_well(&w, "k", e, 0, e->bytes);
	for (i = 0; i < 3; i++) {
		uint8_t b;

		snprintf(path, sizeof(path), "%s/log/%016x.seg", w.fake.paths[i], 3);
		fd = open(path, O_RDWR);
		cr_assert_geq(fd, 0);
		cr_assert_eq(pread(fd, &b, 1,
		    (off_t)(e->place->offset + e->place->data_offset + 9)), 1);
		b ^= 1;
		cr_assert_eq(pwrite(fd, &b, 1,
		    (off_t)(e->place->offset + e->place->data_offset + 9)), 1);
		close(fd);
		x = read_body(&w, "k", e, 100, 2000);
		cr_assert_eq(x.code, i < 2 ? 0 : ERR_CORRUPT, "%s", x.text);
		cr_assert_eq(x.at, i < 2 ? 2000 : 0);
	}
	cr_assert_gt(w.fake.damages, 0);
	world_close(&w);
}

static void
on_found(void *context, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	(void)bucket;
	(void)entry;
	(void)e;
	cr_assert_eq(code, 0);
	*(bool *)context = true;
}

static void
look_up(struct world *w, const char *key)
{
	bool found = false;

	object_lookup(w->objects, "RID", "b", slice_from_string(key), clock_mono_ms() + 10000,
	    on_found, &found);
	world_until(w, &found);
}

/* A vacuum moves records and no slot tells: the store is asked again, once and not by each. */
Test(body_records, a_moved_record_is_asked_for_once)
{
	struct world w = { 0 };
	Hf__ObjectEntry *old;
	Hf__Place moved;
	char path[256];
	unsigned i, gets;
	int fd;

	world_open(&w, 2, 2);
	moved = *write_body(&w, "copy", 4000, 4000)->place;
	old = entry_copy(write_body(&w, "k", 4000, 4000));
	look_up(&w, "k");
	*fake_store_key(&w.fake, "k")->entry->place = moved;
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/log/%016x.seg", w.fake.paths[i], 3);
		fd = open(path, O_RDWR);
		cr_assert_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)old->place->offset, old->place->record_bytes), 0);
		close(fd);
	}
	look_up(&w, "k");
	gets = w.fake.gets;
	read_well(&w, "k", old, 0, 4000);
	cr_assert_eq(w.fake.gets, gets + 1);
	look_up(&w, "k");
	cr_assert_eq(w.fake.gets, gets + 2, "the cache forgot the old place");
	look_up(&w, "k");
	cr_assert_eq(w.fake.gets, gets + 2);
	hf__object_entry__free_unpacked(old, NULL);
	world_close(&w);
}

/* Where it is said to be it is not any more either, before it is read there. */
Test(body_records, a_record_that_moves_again_is_asked_for_again)
{
	struct world w = { 0 };
	Hf__ObjectEntry *old;
	struct read x;
	unsigned gets;

	world_open(&w, 2, 2);
	old = entry_copy(write_body(&w, "k", 4000, 4000));
	old->place->lsn += 7;
	gets = w.fake.gets;
	w.fake.moves = 3;
	read_well(&w, "k", old, 0, 4000);
	cr_assert_eq(w.fake.gets, gets + 4);
	w.fake.moves = 1000;
	x = read_body(&w, "k", old, 0, 4000);
	cr_assert_eq(x.code, ERR_STALE, "%s: it is no damage", x.text);
	cr_assert_eq(x.at, 0);
	cr_assert_lt(w.fake.gets, gets + 30, "there is an end to it");
	hf__object_entry__free_unpacked(old, NULL);
	world_close(&w);
}

static void
segment_shard_flip(struct world *w, unsigned shard, uint64_t from, uint64_t to)
{
	char path[256];
	uint8_t b;
	int fd;

	fake_store_segment_shard_path(&w->fake, shard, path);
	fd = open(path, O_RDWR);
	cr_assert_geq(fd, 0);
	for (; from < to; from += 61) {
		cr_assert_eq(pread(fd, &b, 1, (off_t)from), 1);
		b ^= 1;
		cr_assert_eq(pwrite(fd, &b, 1, (off_t)from), 1);
	}
	close(fd);
}

#define CONVERTED_BODIES 60

struct converted { const Hf__ObjectEntry *entries[CONVERTED_BODIES]; };

static void
converted_read(struct world *w, const struct converted *c)
{
	char key[16];
	unsigned i;

	for (i = 0; i < CONVERTED_BODIES; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		read_well(w, key, c->entries[i], 0, c->entries[i]->bytes);
		read_well(w, key, c->entries[i], 100, 1000);
	}
}

/* Bodies on both sides of each boundary and across it; an old map, shards gone and damaged. */
Test(body_records, converted_segments, .timeout = 60)
{
	struct world w = { 0 };
	struct converted c;
	struct read x;
	char key[16], path[256];
	unsigned i, crossing = 0;

	world_open(&w, 3, 2);
	for (i = 0; i < CONVERTED_BODIES; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		c.entries[i] = write_body(&w, key, 3000 + i * 1000, 3000 + i * 1000);
	}
	converted_read(&w, &c);
	fake_store_convert(&w.fake);
	for (i = 0; i < CONVERTED_BODIES; i++)
		crossing += c.entries[i]->place->offset / w.fake.shard_bytes !=
		    (c.entries[i]->place->offset + c.entries[i]->place->record_bytes - 1) /
		    w.fake.shard_bytes;
	cr_assert_eq(crossing, 2);
	converted_read(&w, &c);		/* the mirrors are gone: it asks where it is now */
	world_for(&w, 20);
	w.fake.damages = w.fake.damage_slots = 0;
	converted_read(&w, &c);
	cr_assert_eq(w.fake.damages, 0);
	notice(&w, 1u << 3 | 1u << 4);	/* offline: slots of shards 0 and 1 */
	converted_read(&w, &c);
	notice(&w, 0);
	segment_shard_flip(&w, 0, 4096, SHARD_HEADER_BYTES + w.fake.shard_bytes);
	converted_read(&w, &c);
	world_for(&w, 20);
	cr_assert_eq(w.fake.damage_slots, 1u << 3);
	segment_shard_flip(&w, 3, 4096, SHARD_HEADER_BYTES + w.fake.shard_bytes);
	converted_read(&w, &c);
	fake_store_segment_shard_path(&w.fake, 1, path);
	cr_assert_eq(unlink(path), 0);
	segment_shard_flip(&w, 0, 4100, 4104);
	for (i = 0; i < CONVERTED_BODIES; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		x = read_body(&w, key, c.entries[i], 0, c.entries[i]->bytes);
		cr_assert(x.code == 0 ? x.at == c.entries[i]->bytes : x.at == 0);
	}
	world_close(&w);
}

/* The file of a mirror, which readers have open, becomes that of another segment. */
static void
mirrors_reuse(struct world *w, char paths[3][256])
{
	static uint8_t content[1 << 20];
	uint8_t *page = content;
	uint64_t id = 99;

	memset(content, 0x55, sizeof(content));
	memset(page, 0, SEGMENT_HEADER_BYTES);
	memcpy(page, SEGMENT_MAGIC, 8);
	put_u32(page + SEGMENT_AT_VERSION, SEGMENT_VERSION);
	put_u64(page + SEGMENT_AT_ID, id);
	put_u32(page + SEGMENT_AT_CRC, crc32c(crc32c_seed(id, 0), page, SEGMENT_AT_CRC));
	for (unsigned i = 0; i < 3; i++) {
		int fd = open(paths[i], O_RDWR);

		cr_assert_geq(fd, 0);
		cr_assert_eq(pwrite(fd, content, sizeof(content), 0), (ssize_t)sizeof(content));
		close(fd);
	}
	w->fake.damages = 0;
}

Test(bodies, a_file_that_is_another_segments_is_no_damage, .timeout = 60)
{
	struct world w = { 0 };
	struct converted c;
	char key[16], path[256], kept[3][256];

	world_open(&w, 3, 2);
	for (unsigned i = 0; i < CONVERTED_BODIES; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		c.entries[i] = write_body(&w, key, 3000 + i * 1000, 3000 + i * 1000);
	}
	converted_read(&w, &c);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/log/%016x.seg", w.fake.paths[i], 3);
		snprintf(kept[i], sizeof(kept[i]), "%.240s/log/old", w.fake.paths[i]);
		cr_assert_eq(link(path, kept[i]), 0);
	}
	fake_store_convert(&w.fake);
	mirrors_reuse(&w, kept);
	converted_read(&w, &c);		/* it asks where it is now */
	world_for(&w, 20);
	cr_assert_eq(w.fake.corrupt, 0);
	world_close(&w);
}

/* Gone with their segment: then the object is elsewhere, or lost, and never absent. */
Test(body_records, shards_that_are_gone_are_asked_about)
{
	struct world w = { 0 };
	Hf__ObjectEntry *old;
	char path[256];
	unsigned gets;
	struct read x;

	world_open(&w, 2, 2);
	old = entry_copy(write_body(&w, "k", 4000, 4000));
	fake_store_convert(&w.fake);
	for (unsigned i = 0; i < 4; i++) {
		fake_store_segment_shard_path(&w.fake, i, path);
		cr_assert_eq(unlink(path), 0);
	}
	gets = w.fake.gets;
	x = read_body(&w, "k", old, 0, 4000);
	cr_assert_eq(x.code, ERR_CORRUPT, "%d %s", x.code, x.text);
	cr_assert_eq(w.fake.gets, gets + 1);
	hf__object_entry__free_unpacked(old, NULL);
	world_close(&w);
}

Test(body_records, a_warm_inline_read_comes_at_once)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	struct read x = { .bytes = 4096 };

	world_open(&w, 2, 1);
	e = write_body(&w, "k", 4096, 4096);
	read_well(&w, "k", e, 0, 4096);		/* opens the file, learns the map */
	read_begin(&x, &w, "k", e, on_piece);
	cr_assert(x.done && x.code == 0 && x.at == 4096);
	body_reader_free(&x.reader);
	world_close(&w);
}
