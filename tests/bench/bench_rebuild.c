/*
 * bench_rebuild - the rebuild of a shard, beside the same reads and writes without it and beside
 * one core's ISA-L.
 *
 *   bench_rebuild [DIRECTORY [MIB]]	default /var/tmp, 256 MiB in each shard file
 *   bench_rebuild -b BASE [MIB]	drives are BASE/d0 to BASE/d5, which are there
 *
 * 4+2 shard files of one volume. Without -b they are in one directory, so all drives are one disk;
 * rebuild_drives.py makes separate ones. What clients notice is measured by foreground.py.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/erasure.h"
#include "libstore/maintain/rebuild.h"
#include "libstore/volume/volume.h"
#include "tests/unit/tree.h"

#define K	4u
#define M	2u
#define SLOTS	(K + M)
#define LOST	1u
#define VOLUME	7u
#define MIB	(UINT64_C(1) << 20)

static char base[256];
static uint64_t shard_bytes;
static Hf__Extent extent;
static uint32_t slots[SLOTS] = { 0, 1, 2, 3, 4, 5 };

static void
path_of(unsigned slot, char out[320])
{
	snprintf(out, 320, "%s/d%u/vol/%016x.vol", base, slot, VOLUME);
}

static void
drives_make(void)
{
	struct erasure *c = erasure_new(K, M);
	uint8_t *units[SLOTS];
	char path[320];
	int fds[SLOTS];

	for (unsigned i = 0; i < SLOTS; i++) {
		snprintf(path, sizeof(path), "%s/d%u", base, i);
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "%s/d%u/vol", base, i);
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "%s/d%u/log", base, i);
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "%s/d%u/drive", base, i);
		close(open(path, O_RDWR | O_CREAT, 0600));
		path_of(i, path);
		fds[i] = open(path, O_RDWR | O_CREAT, 0600);
		units[i] = malloc(VOLUME_UNIT_BYTES);
		assert(fds[i] >= 0 && units[i] != NULL);
	}
	for (uint64_t r = 0; r < volume_row_count(K, &extent); r++) {
		struct volume_row row;

		volume_row_get(K, &extent, r, &row);
		for (unsigned i = 0; i < K; i++)
			memset(units[i], (int)(r + i * 17 + 1), VOLUME_PAYLOAD_BYTES);
		volume_row_encode(c, K, M, &extent, &row, units);
		for (unsigned i = 0; i < SLOTS; i++)
			assert(pwrite(fds[i], units[i], row.unit_bytes, (off_t)row.offset) ==
			    (ssize_t)row.unit_bytes);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		fdatasync(fds[i]);
		posix_fadvise(fds[i], 0, 0, POSIX_FADV_DONTNEED);
		close(fds[i]);
		free(units[i]);
	}
	erasure_free(c);
}

/* --- a store that knows this volume only ------------------------------------------------------ */

static int
ask(void *context, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e)
{
	Hf__StoreReply r = HF__STORE_REPLY__INIT;
	Hf__RebuildWork w = HF__REBUILD_WORK__INIT;
	Hf__CatalogDrive d = HF__CATALOG_DRIVE__INIT;
	Hf__CatalogVolume v = HF__CATALOG_VOLUME__INIT, *volumes[1] = { &v };
	Hf__Extent *extents[1] = { &extent };
	uint8_t *packed;
	size_t bytes;

	(void)context;
	(void)e;
	d.state = HF__CATALOG_DRIVE__STATE__RETURNING;
	v.id = VOLUME;
	v.state = HF__CATALOG_VOLUME__STATE__SEALED;
	v.k = K;
	v.m = M;
	v.slots = slots;
	v.n_slots = SLOTS;
	v.bytes = shard_bytes;
	v.lacking = 1u << LOST;
	w.drive = &d;
	w.left = 1;
	if (q->op_case == HF__STORE_REQUEST__OP_REBUILD_PLAN && q->rebuild_plan->after < VOLUME) {
		w.volumes = volumes;
		w.n_volumes = 1;
	}
	if (q->op_case == HF__STORE_REQUEST__OP_REBUILD_PLAN)
		r.rebuild = &w;
	if (q->op_case == HF__STORE_REQUEST__OP_REBUILD_EXTENTS &&
	    q->rebuild_extents->after_end == 0) {
		r.extents = extents;
		r.n_extents = 1;
	}
	bytes = hf__store_reply__get_packed_size(&r);
	packed = malloc(bytes + 1);
	hf__store_reply__pack(&r, packed);
	*out = hf__store_reply__unpack(NULL, bytes, packed);
	free(packed);
	return (0);
}

static int
rebuild_once(struct err *e)
{
	Hf__DriveLayout drives[SLOTS], *pointers[SLOTS];
	Hf__Layout layout = HF__LAYOUT__INIT;
	struct maintain m = { .disk = disk_posix(), .side_by_side = true,
	    .layout = &layout, .ask = ask };
	uint8_t deployment[16] = { 1 };
	char paths[SLOTS][320], path[320];

	for (unsigned i = 0; i < SLOTS; i++) {
		hf__drive_layout__init(&drives[i]);
		snprintf(paths[i], sizeof(paths[i]), "%s/d%u", base, i);
		drives[i].slot = i;
		drives[i].path = paths[i];
		pointers[i] = &drives[i];
	}
	layout.k = K;
	layout.m = M;
	layout.drives = pointers;
	layout.n_drives = SLOTS;
	layout.deployment = (ProtobufCBinaryData){ 16, deployment };
	path_of(LOST, path);
	unlink(path);
	return (rebuild_run(&m, LOST, e));
}

static double
rebuild(void)
{
	struct err e = ERR_INIT;
	uint64_t begin = clock_mono_ms();

	if (rebuild_once(&e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	return ((double)(clock_mono_ms() - begin));
}

/* --- the same without it ---------------------------------------------------------------------- */

static void *
bare_read(void *context)
{
	unsigned slot = *(unsigned *)context;
	char path[320];
	void *p = NULL;
	int fd;

	path_of(slot, path);
	fd = open(path, O_RDONLY | O_DIRECT);
	if (fd < 0)
		fd = open(path, O_RDONLY);
	assert(fd >= 0 && posix_memalign(&p, 4096, MIB) == 0);
	for (uint64_t at = 0; at < shard_bytes; at += MIB)
		assert(pread(fd, p, MIB, (off_t)at) > 0);
	close(fd);
	free(p);
	return (NULL);
}

static void *
bare_write(void *context)
{
	char path[320];
	void *p = NULL;
	int fd;

	(void)context;
	path_of(LOST, path);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
	if (fd < 0)
		fd = open(path, O_RDWR | O_CREAT, 0600);
	assert(fd >= 0 && posix_memalign(&p, 4096, MIB) == 0);
	memset(p, 1, MIB);
	for (uint64_t at = 0; at < shard_bytes; at += MIB)
		assert(pwrite(fd, p, MIB, (off_t)at) == (ssize_t)MIB);
	fdatasync(fd);
	close(fd);
	free(p);
	return (NULL);
}

static double
bare(void)
{
	static unsigned numbers[SLOTS] = { 0, 1, 2, 3, 4, 5 };
	pthread_t threads[K + 1];
	unsigned sources[K] = { 0, 2, 3, 4 }, lost = LOST;
	uint64_t begin = clock_mono_ms();

	for (unsigned i = 0; i < K; i++)
		pthread_create(&threads[i], NULL, bare_read, &numbers[sources[i]]);
	pthread_create(&threads[K], NULL, bare_write, NULL);
	for (unsigned i = 0; i <= K; i++)
		pthread_join(threads[i], NULL);
	bare_read(&lost);
	return ((double)(clock_mono_ms() - begin));
}

static double
isal(void)
{
	struct erasure *c = erasure_new(K, M);
	uint8_t *units[SLOTS];
	uint64_t begin, n = shard_bytes / VOLUME_UNIT_BYTES;

	for (unsigned i = 0; i < SLOTS; i++) {
		units[i] = malloc(VOLUME_UNIT_BYTES);
		memset(units[i], (int)i, VOLUME_UNIT_BYTES);
	}
	begin = clock_mono_ms();
	for (uint64_t i = 0; i < n; i++)
		erasure_rebuild(c, VOLUME_PAYLOAD_BYTES, 0x1d, 1u << LOST, units);
	erasure_free(c);
	for (unsigned i = 0; i < SLOTS; i++)
		free(units[i]);
	return ((double)(clock_mono_ms() - begin) + 0.001);
}

int
main(int argc, char **argv)
{
	bool there = argc > 2 && strcmp(argv[1], "-b") == 0;
	const char *where = there ? argv[2] : argc > 1 ? argv[1] : "/var/tmp";
	const char *size = there ? argv[3] : argc > 2 ? argv[2] : NULL;
	uint64_t mib = size != NULL ? strtoull(size, NULL, 10) : 256;
	double a, b, c;

	snprintf(base, sizeof(base), there ? "%.200s" : "%.200s/hf-rebuild-XXXXXX", where);
	assert(there || mkdtemp(base) != NULL);
	shard_bytes = mib * MIB;
	hf__extent__init(&extent);
	extent.volume = VOLUME;
	extent.bytes = shard_bytes / VOLUME_UNIT_BYTES * volume_row_body_bytes(K);
	extent.write_id = 99;
	drives_make();
	for (unsigned i = 0; i < 3; i++) {
		a = bare();
		b = rebuild();
		c = isal();
		printf("bare: read %u shards side by side, write one, sync, read it back: %.0f "
		    "MiB/s of shard; rebuild: %.0f MiB/s, ratio to bare %.2f; ISA-L on one core: "
		    "%.0f MiB/s, ratio %.2f\n", K, (double)mib * 1000 / a, (double)mib * 1000 / b,
		    a / b, (double)mib * 1000 / c, c / b);
		fflush(stdout);
	}
	if (!there)
		tree_remove(base);
	return (0);
}
