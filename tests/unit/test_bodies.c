/*
 * test_bodies - bodies of many sizes written and read back, whole and in ranges, with shards and
 * mirrors gone or damaged, disks that fail, bodies dropped in the middle, and memory bounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/metrics.h"
#include "libstore/log/segment_shard.h"
#include "libstore/volume/volume.h"
#include "tests/unit/object_world.h"

static char bucket_name[] = "b";

/* --- A disk that fails on demand. ------------------------------------------------------------- */

static struct {
	/* on handles opened below it: EIO; or a read does not come back */
	const char	*write_path, *sync_path, *read_path, *hang_path, *hang_path_too;
	const char	*hang_writes, *hang_syncs;
	unsigned	 hanging, hung_reads;
	bool		 sync_once;	/* then the disk is well again */
	int		 code;
	unsigned	 syncs, writes;
	char		 paths[4096][128];
	pthread_mutex_t	 lock;
	pthread_cond_t	 unhang;
} bad = { .lock = PTHREAD_MUTEX_INITIALIZER, .unhang = PTHREAD_COND_INITIALIZER };

static bool
bad_handle(const char **below, int handle)
{
	const char *path;
	bool is;

	pthread_mutex_lock(&bad.lock);
	path = *below;
	is = path != NULL && handle < 4096 && strncmp(bad.paths[handle], path, strlen(path)) == 0;
	pthread_mutex_unlock(&bad.lock);
	return (is);
}

static void
bad_reads_fail(const char *below)
{
	pthread_mutex_lock(&bad.lock);
	bad.read_path = below;
	pthread_mutex_unlock(&bad.lock);
}

static int
bad_open(struct disk *d, const char *path, int flags, struct err *e)
{
	int handle = disk_posix()->ops->open(disk_posix(), path, flags, e);

	(void)d;
	pthread_mutex_lock(&bad.lock);
	if (handle >= 0 && handle < 4096)
		snprintf(bad.paths[handle], sizeof(bad.paths[0]), "%s", path);
	pthread_mutex_unlock(&bad.lock);
	return (handle);
}

static void
bad_close(struct disk *d, int handle)
{
	(void)d;
	disk_posix()->ops->close(disk_posix(), handle);
}

static void
bad_hang(const char **below, int handle)
{
	if (!bad_handle(below, handle))
		return;
	pthread_mutex_lock(&bad.lock);
	bad.hanging++;
	bad.hung_reads++;
	while (*below != NULL)
		pthread_cond_wait(&bad.unhang, &bad.lock);
	bad.hanging--;
	pthread_cond_broadcast(&bad.unhang);
	pthread_mutex_unlock(&bad.lock);
}

static void
bad_reads_hang(const char *below, const char *too)
{
	pthread_mutex_lock(&bad.lock);
	bad.hang_path = below;
	bad.hang_path_too = too;
	pthread_cond_broadcast(&bad.unhang);
	while (below == NULL && bad.hanging > 0)
		pthread_cond_wait(&bad.unhang, &bad.lock);
	pthread_mutex_unlock(&bad.lock);
}

/* NULL: no more. */
static void
bad_writes_hang(const char *writes, const char *syncs)
{
	pthread_mutex_lock(&bad.lock);
	bad.hang_writes = writes;
	bad.hang_syncs = syncs;
	pthread_cond_broadcast(&bad.unhang);
	while (writes == NULL && syncs == NULL && bad.hanging > 0)
		pthread_cond_wait(&bad.unhang, &bad.lock);
	pthread_mutex_unlock(&bad.lock);
}

static ssize_t
bad_pread(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	(void)d;
	if (bad_handle(&bad.read_path, handle))
		return (err_set(e, ERR_IO, "read: this disk is bad"));
	bad_hang(&bad.hang_path, handle);
	bad_hang(&bad.hang_path_too, handle);
	return (disk_posix()->ops->pread(disk_posix(), handle, out, bytes, offset, e));
}

static int
bad_pwritev(struct disk *d, int handle, const struct iovec *iov, int n, uint64_t offset,
    struct err *e)
{
	(void)d;
	__atomic_add_fetch(&bad.writes, 1, __ATOMIC_RELAXED);
	if (bad_handle(&bad.write_path, handle))
		return (err_set(e, bad.code, "write: this disk is bad"));
	bad_hang(&bad.hang_writes, handle);
	return (disk_posix()->ops->pwritev(disk_posix(), handle, iov, n, offset, e));
}

static int
bad_datasync(struct disk *d, int handle, struct err *e)
{
	(void)d;
	__atomic_add_fetch(&bad.syncs, 1, __ATOMIC_RELAXED);
	if (bad_handle(&bad.sync_path, handle)) {
		if (bad.sync_once)
			bad.sync_path = NULL;
		return (err_set(e, ERR_IO, "sync: this disk is bad"));
	}
	bad_hang(&bad.hang_syncs, handle);
	return (disk_posix()->ops->datasync(disk_posix(), handle, e));
}

static const struct disk_ops bad_ops = {
	.open = bad_open, .close = bad_close, .pread = bad_pread, .pwritev = bad_pwritev,
	.datasync = bad_datasync,
};
static struct disk bad_disk = { .ops = &bad_ops };

/* --- Writing. --------------------------------------------------------------------------------- */

static uint8_t
body_byte(uint64_t i)
{
	return ((uint8_t)((i * 2654435761u) >> 13 ^ i));
}

struct write {
	struct world		*w;
	struct body_writer	*writer;
	uint64_t		 bytes, at;
	size_t			 step;		/* at most so much at a time */
	bool			 done, committed;
	int			 code;
	char			 text[200];
	uint8_t			 md5[DIGEST_BYTES_MAX];
};

static void
on_done(void *context, int code, const struct err *e)
{
	struct write *x = context;

	x->code = code;
	snprintf(x->text, sizeof(x->text), "%.199s", e->text);
	if (code == 0)
		body_writer_digest(x->writer, DIGEST_MD5, x->md5);
	x->done = true;
}

static void
write_more(void *context)
{
	struct write *x = context;

	while (x->at < x->bytes) {
		size_t room, i;
		uint8_t *space = body_writer_space(x->writer, &room, write_more, x);

		if (space == NULL)
			return;
		cr_assert(room > 0 && room <= 256 * 1024 + 4096);
		if (room > x->step)
			room = x->step;
		if (room > x->bytes - x->at)
			room = x->bytes - x->at;
		for (i = 0; i < room; i++)
			space[i] = body_byte(x->at + i);
		body_writer_filled(x->writer, room);
		x->at += room;
	}
	body_writer_finish(x->writer, on_done, x);
}

static void
write_begin(struct write *x, struct world *w, uint64_t bytes, uint64_t expected)
{
	static const enum digest_kind kinds[] = { DIGEST_MD5, DIGEST_CRC32C };

	*x = (struct write){ .w = w, .bytes = bytes, .step = 50000 };
	x->writer = body_writer_new(w->objects, "RID", expected, kinds, 2, clock_mono_ms() + 10000);
	write_more(x);
}

static void
on_put(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct write *x = context;

	(void)reply;
	cr_assert_eq(code, 0, "%s", e->text);
	body_writer_committed(x->writer);
	x->committed = true;
}

static void
write_commit(struct write *x, const char *key)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut op = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	op.bucket = bucket_name;
	op.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)(uintptr_t)key };
	op.entry = &entry;
	body_writer_fill_put(x->writer, &op);
	cr_assert_eq(entry.bytes, x->bytes);
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	request.object_put = &op;
	object_call(x->w->objects, "RID", &request, clock_mono_ms() + 5000, on_put, x);
	world_until(x->w, &x->committed);
	body_writer_free(&x->writer);
}

static void
digest_check(const struct write *x)
{
	uint8_t md5[DIGEST_BYTES_MAX];
	struct digest d;
	uint64_t i;

	digest_init(&d, DIGEST_MD5);
	for (i = 0; i < x->bytes; i++) {
		uint8_t b = body_byte(i);

		digest_update(&d, &b, 1);
	}
	digest_final(&d, md5);
	cr_assert_eq(memcmp(md5, x->md5, 16), 0, "md5 of %llu bytes",
	    (unsigned long long)x->bytes);
}

/* Writes a body and commits it; checks its digest. Returns the entry (of the fake store). */
static const Hf__ObjectEntry *
write_body(struct world *w, const char *key, uint64_t bytes, uint64_t expected)
{
	struct write x;

	write_begin(&x, w, bytes, expected);
	world_until(w, &x.done);
	cr_assert_eq(x.code, 0, "%s", x.text);
	digest_check(&x);
	write_commit(&x, key);
	return (fake_store_key(&w->fake, key)->entry);
}

/* --- Reading. --------------------------------------------------------------------------------- */

struct read {
	struct body_reader	*reader;
	uint64_t		 offset, bytes, at, seed;
	bool			 done;
	int			 code;
	unsigned		 pieces;
	char			 text[200];
};

static void
on_piece(void *context, int code, struct slice data, const struct err *e)
{
	struct read *x = context;
	size_t i;

	if (code != 0 || data.bytes == 0) {
		x->code = code;
		snprintf(x->text, sizeof(x->text), "%.199s", e->text);
		x->done = true;
		return;
	}
	cr_assert_leq(data.bytes, x->bytes - x->at);
	for (i = 0; i < data.bytes; i++)
		if (((const uint8_t *)data.data)[i] != body_byte(x->offset + x->at + i - x->seed))
			cr_assert_fail("wrong byte at %llu",
			    (unsigned long long)(x->offset + x->at + i));
	x->at += data.bytes;
	x->pieces++;
	body_reader_next(x->reader, on_piece, x);
}

static struct read
read_body(struct world *w, const char *key, const Hf__ObjectEntry *entry, uint64_t offset,
    uint64_t bytes)
{
	struct read x = { .offset = offset, .bytes = bytes };

	x.reader = body_reader_new(w->objects, "RID", "b", slice_from_string(key), entry, offset,
	    bytes, clock_mono_ms() + 10000);
	body_reader_next(x.reader, on_piece, &x);
	world_until(w, &x.done);
	body_reader_free(&x.reader);
	return (x);
}

static void
read_well(struct world *w, const char *key, const Hf__ObjectEntry *entry, uint64_t offset,
    uint64_t bytes)
{
	struct read x = read_body(w, key, entry, offset, bytes);

	cr_assert_eq(x.code, 0, "%s", x.text);
	cr_assert_eq(x.at, bytes);
}

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

static void
notice(struct world *w, uint32_t offline)	/* makes the reader open files anew */
{
	w->fake.offline = offline;
	fake_store_notice(&w->fake);
	world_for(w, 20);
}

/* --- Tests. ----------------------------------------------------------------------------------- */

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

Test(bodies, small_runs_and_full_volumes_make_several_extents)
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
Test(bodies, runs_grow_with_use_and_come_ahead, .timeout = 60)
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

Test(bodies, a_filled_volume_is_released)
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

Test(bodies, a_revoked_volume_is_released_when_its_bodies_are_done)
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

Test(bodies, any_m_shards_may_be_gone, .timeout = 120)
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

Test(bodies, more_than_m_lost_is_an_error_and_no_wrong_byte)
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

Test(bodies, flipped_bits_are_repaired_and_reported)
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

Test(bodies, a_replaced_object_is_stale_not_wrong)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	Hf__ObjectEntry *old;
	uint8_t *packed;
	size_t bytes;
	struct read x;
	unsigned i;

	world_open(&w, 2, 1);
	e = write_body(&w, "k", 500000, 500000);
	bytes = hf__object_entry__get_packed_size(e);
	packed = malloc(bytes);
	hf__object_entry__pack(e, packed);
	old = hf__object_entry__unpack(NULL, bytes, packed);
	free(packed);
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

Test(bodies, offline_drives_are_written_around)
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

Test(bodies, mirrors_of_inline_bodies)
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
Test(bodies, a_moved_record_is_asked_for_once)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	Hf__ObjectEntry *old;
	Hf__Place moved;
	char path[256];
	uint8_t packed[4096];
	unsigned i, gets;
	int fd;

	world_open(&w, 2, 2);
	moved = *write_body(&w, "copy", 4000, 4000)->place;
	e = write_body(&w, "k", 4000, 4000);
	cr_assert_lt(hf__object_entry__get_packed_size(e), sizeof(packed));
	old = hf__object_entry__unpack(NULL, hf__object_entry__pack(e, packed), packed);
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
Test(bodies, a_record_that_moves_again_is_asked_for_again)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	Hf__ObjectEntry *old;
	struct read x;
	uint8_t packed[4096];
	unsigned gets;

	world_open(&w, 2, 2);
	e = write_body(&w, "k", 4000, 4000);
	cr_assert_lt(hf__object_entry__get_packed_size(e), sizeof(packed));
	old = hf__object_entry__unpack(NULL, hf__object_entry__pack(e, packed), packed);
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
Test(bodies, converted_segments, .timeout = 60)
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

/* Gone with their segment: then the object is elsewhere, or lost, and never absent. */
Test(bodies, shards_that_are_gone_are_asked_about)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	Hf__ObjectEntry *old;
	uint8_t packed[4096];
	char path[256];
	unsigned gets;
	struct read x;

	world_open(&w, 2, 2);
	e = write_body(&w, "k", 4000, 4000);
	cr_assert_lt(hf__object_entry__get_packed_size(e), sizeof(packed));
	old = hf__object_entry__unpack(NULL, hf__object_entry__pack(e, packed), packed);
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

Test(bodies, a_warm_inline_read_comes_at_once)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e;
	struct read x = { .bytes = 4096 };

	world_open(&w, 2, 1);
	e = write_body(&w, "k", 4096, 4096);
	read_well(&w, "k", e, 0, 4096);		/* opens the file, learns the map */
	x.reader = body_reader_new(w.objects, "RID", "b", SLICE_LITERAL("k"), e, 0, 4096,
	    clock_mono_ms() + 1000);
	body_reader_next(x.reader, on_piece, &x);
	cr_assert(x.done && x.code == 0 && x.at == 4096);
	body_reader_free(&x.reader);
	world_close(&w);
}

/* --- Readahead: the loop, threads, and errors in the middle. ---------------------------------- */

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

static void
read_begin(struct world *w, struct read *x, const Hf__ObjectEntry *e, body_data_fn *fn)
{
	*x = (struct read){ .bytes = e->bytes };
	x->reader = body_reader_new(w->objects, "RID", "b", SLICE_LITERAL("k"), e, 0, e->bytes,
	    clock_mono_ms() + 10000);
	body_reader_next(x->reader, fn, x);
}

Test(bodies, a_warm_body_comes_at_once_but_not_all_in_one_turn, .timeout = 60)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e = long_body(&w);
	struct read x;

	read_begin(&w, &x, e, on_piece);
	cr_assert_gt(x.pieces, 0, "read by the loop");
	cr_assert_leq(x.pieces, 8 * 8, "others want their turn");
	world_until(&w, &x.done);
	cr_assert(x.code == 0 && x.at == LONG_BYTES, "%s", x.text);
	body_reader_free(&x.reader);
	world_close(&w);
}

Test(bodies, what_the_page_cache_lacks_is_read_by_threads, .timeout = 60)
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

Test(bodies, a_shard_that_ends_in_the_middle_is_rebuilt, .timeout = 60)
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
	x->code = code;
	snprintf(x->text, sizeof(x->text), "%.199s", e->text);
	x->done = true;
}

Test(bodies, all_drives_fail_in_the_middle, .timeout = 60)
{
	struct world w = { .disk = &bad_disk };
	const Hf__ObjectEntry *e = long_body(&w);
	struct read x;

	w.fake.gets = 0;
	read_begin(&w, &x, e, on_piece_then_bad);
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

Test(bodies, a_caller_that_goes_at_any_piece, .timeout = 60)
{
	struct world w = { 0 };
	const Hf__ObjectEntry *e = long_body(&w);
	unsigned i;

	for (i = 1; i <= 40; i++) {
		struct read x = { .seed = i };

		x.reader = body_reader_new(w.objects, "RID", "b", SLICE_LITERAL("k"), e, 0,
		    LONG_BYTES, clock_mono_ms() + 10000);
		body_reader_next(x.reader, on_piece_then_gone, &x);
		world_until(&w, &x.done);
	}
	world_close(&w);	/* all memory is back: objects_release asserts it */
}

/* --- Digests of several bodies. --------------------------------------------------------------- */

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

/* --- Drives that fail. ------------------------------------------------------------------------ */

Test(bodies, a_disk_that_fails_writes_or_syncs_is_left_out)
{
	struct world w = { .disk = &bad_disk };
	const Hf__ObjectEntry *e;
	unsigned round;

	for (round = 0; round < 2; round++) {
		world_open(&w, 2, 2);
		bad.code = ERR_IO;
		bad.write_path = round == 0 ? w.fake.paths[1] : NULL;
		bad.sync_path = round == 1 ? w.fake.paths[1] : NULL;
		e = write_body(&w, "k", 900000, 900000);
		cr_assert_eq(__builtin_popcount(e->extents[0]->missing), 1);
		world_for(&w, 20);
		cr_assert_eq(w.fake.damage_slots, 2);
		bad.write_path = bad.sync_path = NULL;
		read_well(&w, "k", e, 0, e->bytes);
		bad.read_path = w.fake.paths[2];
		read_well(&w, "k", e, 0, e->bytes);
		bad.read_path = NULL;
		world_close(&w);
	}
}

#define READ_MS		300u
#define POOL_THREADS	3u		/* of the world */

/* How long a read takes; its body is right. */
static uint64_t
read_ms(struct world *w, const Hf__ObjectEntry *e)
{
	uint64_t begun = clock_mono_ms();

	read_well(w, "k", e, 0, e->bytes);
	return (clock_mono_ms() - begun);
}

static void
hung_reads(struct world *w, const Hf__ObjectEntry *e)
{
	unsigned damages, hung;
	uint64_t deadline;

	w->fake.damages = bad.hung_reads = 0;
	bad_reads_hang(w->fake.paths[0], w->fake.paths[1]);
	notice(w, 0xf);
	notice(w, 0);
	cr_assert_lt(read_ms(w, e), 4 * READ_MS, "it waited for the drives");
	world_for(w, 20);
	hung = bad.hung_reads;
	damages = w->fake.damages;
	cr_assert_gt(hung, 0);
	cr_assert_leq(hung, 2 * POOL_THREADS, "each thread of the pool once on each drive");
	cr_assert_eq(objects_hung(w->objects), hung);
	cr_assert_gt(damages, 0, "the store is told");
	for (unsigned i = 0; i < 20; i++)
		cr_assert_lt(read_ms(w, e), READ_MS, "it waited for what is known to hang");
	cr_assert_eq(bad.hung_reads, hung, "nobody else waits for it");
	cr_assert_eq(w->fake.damages, damages);
	bad_reads_hang(NULL, NULL);
	deadline = clock_mono_ms() + 20000;
	while (objects_hung(w->objects) > 0 && clock_mono_ms() < deadline)
		world_for(w, 5);
	cr_assert_eq(objects_hung(w->objects), 0);
	(void)read_ms(w, e);
	cr_assert_eq(w->fake.damages, damages, "they answer again, and are read again");
}

Test(bodies, a_drive_that_hangs_is_not_waited_for, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS };
	const Hf__ObjectEntry *e;

	world_open(&w, 2, 2);
	e = write_body(&w, "k", 3000001, 3000001);
	hung_reads(&w, e);
	for (unsigned i = 0; i < 4; i++)	/* the mirrors of a record: on drives 0, 1, 2 */
		e = write_body(&w, "k", 5000 + i, 5000 + i);
	cr_assert_not_null(e->place);
	hung_reads(&w, e);
	world_close(&w);
}

/* Nobody has the bytes: that is said, in time. */
Test(bodies, more_drives_hang_than_can_be_done_without, .timeout = 60)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS };
	const Hf__ObjectEntry *e;
	uint64_t begun;
	struct read x;

	world_open(&w, 2, 1);
	e = write_body(&w, "k", 700001, 700001);
	notice(&w, 0x7);
	notice(&w, 0);
	bad_reads_hang(w.fake.paths[0], w.fake.paths[1]);
	begun = clock_mono_ms();
	x = read_body(&w, "k", e, 0, e->bytes);
	cr_assert_eq(x.code, ERR_TIMEOUT, "%s", x.text);
	cr_assert_eq(x.at, 0);
	cr_assert_lt(clock_mono_ms() - begun, 6 * READ_MS);
	bad_reads_hang(NULL, NULL);
	world_close(&w);
}

/* What the others have is not read from a drive that is slow; what only it has is. */
Test(bodies, a_slow_drive_is_read_last, .timeout = 60)
{
	struct world w = { .disk = &bad_disk };
	const Hf__ObjectEntry *e, *small;

	world_open(&w, 2, 2);
	e = write_body(&w, "k", 3000001, 3000001);
	small = write_body(&w, "s", 5000, 5000);
	w.fake.slow = 0x3;
	notice(&w, 0);
	bad_reads_fail(w.fake.paths[0]);
	w.fake.damages = 0;
	read_well(&w, "k", e, 0, e->bytes);
	read_well(&w, "s", small, 0, small->bytes);
	world_for(&w, 20);
	cr_assert_eq(w.fake.damages, 0, "it was read");
	bad_reads_fail(NULL);
	notice(&w, 0x4);	/* too few others are left */
	read_well(&w, "k", e, 0, e->bytes);
	w.fake.slow = 0;
	world_close(&w);
}

#define WRITE_MS	3000u	/* no sync takes so long, however busy the machine is */

/* How long a body takes to be written; *missing: shards. */
static uint64_t
write_ms(struct world *w, const char *key, uint32_t *missing)
{
	uint64_t begun = clock_mono_ms();
	const Hf__ObjectEntry *e = write_body(w, key, 3000001, 3000001);

	*missing = e->extents[0]->missing;
	return (clock_mono_ms() - begun);
}

static void
answers_again(struct world *w)
{
	uint64_t deadline = clock_mono_ms() + 20000;

	bad_writes_hang(NULL, NULL);
	while (objects_hung(w->objects) > 0 && clock_mono_ms() < deadline)
		world_for(w, 5);
	cr_assert_eq(objects_hung(w->objects), 0);
}

/* The body goes on with the others, with one shard less; what was given up writes copies. */
Test(bodies, a_write_that_hangs_costs_the_deadline, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	const Hf__ObjectEntry *e;
	uint32_t missing;

	world_open(&w, 2, 2);
	(void)write_body(&w, "before", 3000001, 3000001);
	bad_writes_hang(w.fake.paths[1], NULL);
	cr_assert_lt(write_ms(&w, "hung", &missing), 3 * WRITE_MS, "it waited for the drive");
	cr_assert_eq(__builtin_popcount(missing), 1);
	cr_assert_gt(w.fake.damages, 0, "the store is told");
	cr_assert_gt(objects_hung(w.objects), 0);
	cr_assert_lt(write_ms(&w, "known", &missing), WRITE_MS, "it waited for what is known");
	cr_assert_eq(__builtin_popcount(missing), 1);
	answers_again(&w);
	(void)write_ms(&w, "well", &missing);
	cr_assert_eq(missing, 0);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const keys[] = { "hung", "known", "well" };

		e = fake_store_key(&w.fake, keys[i])->entry;
		read_well(&w, keys[i], e, 0, e->bytes);
	}
	world_close(&w);
}

/* A sync that was given up is final for its file: C2 of file_cache.h. */
Test(bodies, a_sync_that_hangs_costs_the_deadline, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	const Hf__ObjectEntry *e;
	uint32_t missing;

	world_open(&w, 2, 2);
	bad_writes_hang(NULL, w.fake.paths[2]);
	cr_assert_lt(write_ms(&w, "hung", &missing), 3 * WRITE_MS, "it waited for the drive");
	cr_assert_eq(__builtin_popcount(missing), 1);
	answers_again(&w);
	e = fake_store_key(&w.fake, "hung")->entry;
	read_well(&w, "hung", e, 0, e->bytes);
	(void)write_ms(&w, "after", &missing);
	cr_assert_eq(__builtin_popcount(missing), 1, "nobody knows what of it is durable");
	world_close(&w);
}

/* A read that is overdue says nothing of writes, which may take longer. */
Test(bodies, a_read_that_hangs_does_not_cost_a_body_its_shard, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	const Hf__ObjectEntry *e;
	uint32_t missing;

	world_open(&w, 2, 2);
	e = write_body(&w, "k", 3000001, 3000001);
	bad_reads_hang(w.fake.paths[0], w.fake.paths[1]);
	notice(&w, 0xf);
	notice(&w, 0);
	(void)read_ms(&w, e);
	cr_assert_gt(objects_hung(w.objects), 0);
	(void)write_ms(&w, "other", &missing);
	cr_assert_eq(missing, 0);
	bad_reads_hang(NULL, NULL);
	world_close(&w);
}

/* Too few are left, or fewer than store.min_write_redundancy wants: that is said, in time. */
Test(bodies, a_body_that_too_few_drives_take_is_refused_in_time, .timeout = 120)
{
	struct world w = { .disk = &bad_disk, .read_ms_max = READ_MS, .write_ms_max = WRITE_MS };
	uint64_t begun;
	struct write x;

	for (unsigned quorum = 0; quorum <= 4; quorum += 4) {
		world_open(&w, quorum == 0 ? 3 : 2, quorum == 0 ? 0 : 2);
		(void)write_body(&w, "before", 3000001, 3000001);
		w.fake.write_quorum = quorum;
		notice(&w, 0x1);
		notice(&w, 0);
		bad_writes_hang(w.fake.paths[1], NULL);
		begun = clock_mono_ms();
		write_begin(&x, &w, 3000001, 3000001);
		world_until(&w, &x.done);
		cr_assert_eq(x.code, ERR_NO_QUORUM, "%s", x.text);
		cr_assert_not_null(strstr(x.text, "shards can be written"), "%s", x.text);
		cr_assert_lt(clock_mono_ms() - begun, 3 * WRITE_MS);
		answers_again(&w);
		body_writer_free(&x.writer);
		world_for(&w, 20);
		world_close(&w);
	}
}

Test(bodies, too_many_failing_disks_fail_the_body)
{
	struct world w = { .disk = &bad_disk };
	struct write x;
	unsigned round;

	for (round = 0; round < 3; round++) {
		world_open(&w, 2, 1);
		bad.code = round == 2 ? ERR_FULL : ERR_IO;
		bad.write_path = round != 1 ? w.fake.root : NULL;
		bad.sync_path = round == 1 ? w.fake.root : NULL;
		write_begin(&x, &w, 3000000, BODY_LENGTH_UNKNOWN);
		world_until(&w, &x.done);
		cr_assert_eq(x.code, round == 2 ? ERR_FULL : ERR_NO_QUORUM, "%s", x.text);
		bad.write_path = bad.sync_path = NULL;
		body_writer_free(&x.writer);
		world_for(&w, 20);
		cr_assert_eq(w.fake.discards, 1);
		world_close(&w);
	}
}

Test(bodies, everything_is_synced_before_done)
{
	struct world w = { .disk = &bad_disk };
	struct write x;
	unsigned before;

	world_open(&w, 2, 1);
	bad.syncs = 0;
	write_begin(&x, &w, 500000, 500000);
	world_until(&w, &x.done);
	cr_assert_eq(x.code, 0);
	cr_assert_geq(bad.syncs, 3);
	before = bad.writes;
	cr_assert_leq(before, 3u * 4);		/* rows next to each other go in one write */
	write_commit(&x, "k");
	world_close(&w);
}

#define AHEAD_BYTES	(UINT64_C(28) << 20)	/* long enough for a sync ahead */

Test(bodies, a_long_body_is_synced_on_its_way_and_at_the_end, .timeout = 60)
{
	struct world w = { .disk = &bad_disk };
	struct write x;

	world_open(&w, 2, 1);
	bad.syncs = 0;
	write_begin(&x, &w, AHEAD_BYTES, AHEAD_BYTES);
	world_until(&w, &x.done);
	cr_assert_eq(x.code, 0, "%s", x.text);
	cr_assert_geq(bad.syncs, 2 * 3);
	write_commit(&x, "k");
	world_close(&w);
}

/* A drive forgets what it could not write; a later sync that succeeds proves nothing. */
Test(bodies, a_sync_on_the_way_that_fails_costs_the_shard, .timeout = 60)
{
	struct world w = { .disk = &bad_disk };
	const Hf__ObjectEntry *e;

	world_open(&w, 2, 1);
	bad.sync_once = true;
	bad.sync_path = w.fake.paths[1];
	e = write_body(&w, "k", AHEAD_BYTES, AHEAD_BYTES);
	cr_assert_null(bad.sync_path);
	cr_assert_eq(__builtin_popcount(e->extents[0]->missing), 1);
	world_for(&w, 20);
	cr_assert_eq(w.fake.damage_slots, 2);
	read_well(&w, "k", e, 0, e->bytes);
	bad.sync_once = false;
	world_close(&w);
}

Test(bodies, no_space_granted)
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
		r.reader = body_reader_new(w.objects, "RID", "b", SLICE_LITERAL("k"),
		    fake_store_key(&w.fake, "k")->entry, 0, 2000000, clock_mono_ms() + 1000);
		body_reader_next(r.reader, on_piece, &r);
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

/* --- Multipart. ------------------------------------------------------------------------------- */

static void
part_add(struct world *w, uint32_t number, const Hf__ObjectEntry *body)
{
	Hf__Part part = HF__PART__INIT;
	uint8_t *packed;
	size_t bytes;

	part.number = number;
	part.bytes = body->bytes;
	part.place = body->place;
	part.n_extents = body->n_extents;
	part.extents = body->extents;
	bytes = hf__part__get_packed_size(&part);
	packed = malloc(bytes);
	hf__part__pack(&part, packed);
	w->fake.parts[w->fake.part_count++] = hf__part__unpack(NULL, bytes, packed);
	free(packed);
}

static struct read
read_parts(struct world *w, const Hf__ObjectEntry *e, uint64_t part_bytes, uint64_t offset,
    uint64_t bytes)
{
	struct read x = { .offset = 0, .bytes = bytes };
	uint64_t at;

	/* Each part repeats the pattern: read piecewise so that the check can begin anew. */
	for (at = offset; at < offset + bytes; ) {
		uint64_t rest = part_bytes - at % part_bytes;

		if (rest > offset + bytes - at)
			rest = offset + bytes - at;
		x = (struct read){ .offset = at, .seed = at / part_bytes * part_bytes,
		    .bytes = rest };
		x.reader = body_reader_new(w->objects, "RID", "b", SLICE_LITERAL("m"), e, at, rest,
		    clock_mono_ms() + 10000);
		body_reader_next(x.reader, on_piece, &x);
		world_until(w, &x.done);
		body_reader_free(&x.reader);
		cr_assert_eq(x.code, 0, "%s", x.text);
		cr_assert_eq(x.at, rest);
		at += rest;
	}
	return (x);
}

static void
multipart(uint32_t parts, uint32_t number_step, uint64_t part_bytes)
{
	struct world w = { 0 };
	Hf__ObjectEntry e = HF__OBJECT_ENTRY__INIT;
	Hf__PartRun run = HF__PART_RUN__INIT, *runs[1] = { &run };
	static uint8_t id[16] = "0123456789abcdef";
	const Hf__ObjectEntry *body;
	unsigned i, lists;

	world_open(&w, 2, 1);
	body = write_body(&w, "part", part_bytes, part_bytes);
	for (i = 0; i < parts; i++)
		part_add(&w, 1 + i * number_step, body);
	run.count = parts;
	run.bytes = part_bytes;
	e.bytes = parts * part_bytes;
	e.part_count = parts;
	e.upload_id = (ProtobufCBinaryData){ 16, id };
	e.n_parts = 1;
	e.parts = runs;
	read_parts(&w, &e, part_bytes, 0, part_bytes * (parts < 4 ? parts : 4));
	read_parts(&w, &e, part_bytes, part_bytes - 10, 20);
	lists = w.fake.lists;
	read_parts(&w, &e, part_bytes, e.bytes - part_bytes - 5, part_bytes + 5);
	if (number_step == 1)
		cr_assert_leq(w.fake.lists - lists, 4, "no listing in vain");
	world_close(&w);
}

Test(bodies, multipart_of_volumes) { multipart(5, 1, 150000); }
Test(bodies, multipart_of_inline_parts) { multipart(5, 1, 5000); }
Test(bodies, multipart_with_gaps) { multipart(7, 13, 5000); }
Test(bodies, multipart_of_many_parts) { multipart(1500, 1, 100); }
Test(bodies, multipart_of_many_parts_with_gaps) { multipart(1500, 2, 100); }

static void
on_same(void *context, int code, struct slice data, const struct err *e)
{
	struct read *x = context;
	size_t i;

	if (code != 0 || data.bytes == 0) {
		x->code = code;
		snprintf(x->text, sizeof(x->text), "%.199s", e->text);
		x->done = true;
		return;
	}
	for (i = 0; i < data.bytes; i++)
		cr_assert_eq(((const uint8_t *)data.data)[i], body_byte(0));
	x->at += data.bytes;
	body_reader_next(x->reader, on_same, x);
}

Test(bodies, a_whole_multipart_body_in_one_read)
{
	struct world w = { 0 };
	Hf__ObjectEntry e = HF__OBJECT_ENTRY__INIT;
	Hf__PartRun run = HF__PART_RUN__INIT, *runs[1] = { &run };
	static uint8_t id[16] = "0123456789abcdef";
	const Hf__ObjectEntry *body;
	struct read x = { 0 };
	unsigned i;

	world_open(&w, 2, 1);
	body = write_body(&w, "part", 1, 1);
	for (i = 0; i < 200; i++)
		part_add(&w, 1 + i, body);
	run.count = 200;
	run.bytes = 1;
	e.bytes = 200;
	e.part_count = 200;
	e.upload_id = (ProtobufCBinaryData){ 16, id };
	e.n_parts = 1;
	e.parts = runs;
	x.reader = body_reader_new(w.objects, "RID", "b", SLICE_LITERAL("m"), &e, 0, 200,
	    clock_mono_ms() + 10000);
	body_reader_next(x.reader, on_same, &x);
	world_until(&w, &x.done);
	body_reader_free(&x.reader);
	cr_assert_eq(x.code, 0, "%s", x.text);
	cr_assert_eq(x.at, 200);
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
