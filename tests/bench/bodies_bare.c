/*
 * bodies_bare - what the drives do without us: a thread for each shard of each client, which writes
 * a file in pieces and syncs it once, or reads a shard that the store wrote and sums it up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/bodies.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "libbase/checksum.h"
#include "libbase/clock.h"
#include "libstore/volume/volume.h"

#define PIECE_BYTES	(1 << 20)
#define READ_BYTES	65536	/* what suits bare reads best */

struct bare {
	struct bench	*bench;
	unsigned	 client, shard;
	uint32_t	 crc;
	pthread_t	 thread;
};

static int
bare_open(const struct bare *b, int flags)
{
	const char *path = b->bench->path[b->client][b->shard];
	int fd = open(path, flags, 0600);

	if (fd < 0)
		die(path, NULL);
	return (fd);
}

static void *
bare_write(void *context)
{
	struct bare *b = context;
	uint64_t bytes = BODY_BYTES / b->bench->k, at;
	int fd = bare_open(b, O_WRONLY);

	for (at = 0; at < bytes; at += PIECE_BYTES)
		if (pwrite(fd, b->bench->body + at, PIECE_BYTES, (off_t)at) != PIECE_BYTES)
			die("a bare write failed", NULL);
	if (fdatasync(fd) < 0)
		die("a bare sync failed", NULL);
	close(fd);
	return (NULL);
}

/* Shard i of a volume is on slot (id + i) mod n. */
static uint32_t
bare_read_extent(const struct bare *b, const Hf__Extent *x, uint8_t *piece, uint32_t crc)
{
	unsigned slot = (unsigned)((x->volume + b->shard) % (b->bench->k + b->bench->m));
	uint64_t left = volume_extent_shard_bytes(b->bench->k, x->bytes), at = x->offset;
	char name[VOLUME_NAME_BYTES], path[192];
	int fd;

	volume_name(x->volume, name);
	snprintf(path, sizeof(path), "%s/%s%u/vol/%s", b->bench->directory,
	    b->bench->taken >> slot & 1 ? "away" : "d", slot, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path, NULL);
	while (left > 0) {
		size_t n = left < READ_BYTES ? (size_t)left : READ_BYTES;

		if (pread(fd, piece, n, (off_t)at) != (ssize_t)n)
			die("a bare read failed", NULL);
		crc = crc32c(crc, piece, n);
		at += n;
		left -= n;
	}
	close(fd);
	return (crc);
}

/* One shard of the client's body, as the store has it, its data units only. */
static void *
bare_read(void *context)
{
	struct bare *b = context;
	const Hf__ObjectEntry *entry = b->bench->clients[b->client].entry;
	uint8_t *piece = aligned_alloc(4096, READ_BYTES);
	unsigned i, x;

	for (i = 0; i < READS; i++)
		for (x = 0; x < entry->n_extents; x++)
			b->crc = bare_read_extent(b, entry->extents[x], piece, b->crc);
	free(piece);
	return (NULL);
}

/* Seconds. */
static double
bare_run(struct bench *b, void *(*run)(void *), unsigned shards)
{
	struct bare bare[CLIENTS_MAX * 16];
	unsigned i, count = b->clients_count * shards;
	uint64_t begin = clock_mono_ns();

	for (i = 0; i < count; i++) {
		bare[i] = (struct bare){ .bench = b, .client = i / shards, .shard = i % shards };
		if (pthread_create(&bare[i].thread, NULL, run, &bare[i]) != 0)
			die("cannot start a thread", NULL);
	}
	for (i = 0; i < count; i++)
		pthread_join(bare[i].thread, NULL);
	return ((double)(clock_mono_ns() - begin) / 1e9);
}

/* Outside the clock: the store has a run's blocks allocated before a body comes, too. */
static void
bare_allocate(struct bench *b)
{
	struct bare bare = { .bench = b };
	int fd;

	for (bare.client = 0; bare.client < b->clients_count; bare.client++)
		for (bare.shard = 0; bare.shard < b->k + b->m; bare.shard++) {
			(void)unlink(b->path[bare.client][bare.shard]);
			fd = bare_open(&bare, O_WRONLY | O_CREAT);
			if (fallocate(fd, 0, 0, (off_t)(BODY_BYTES / b->k)) < 0 || fsync(fd) < 0)
				die("cannot allocate a bare file", NULL);
			close(fd);
		}
}

double
bare_put(struct bench *b)
{
	bare_allocate(b);
	return (bare_run(b, bare_write, b->k + b->m));
}

double
bare_get(struct bench *b)
{
	return (bare_run(b, bare_read, b->k));
}
