/*
 * test_check_shards - a store with converted segments on a simulated disk, damaged in each way: the
 * check names just that, and the object on it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"
#include "tests/unit/convert_world.h"
#include "tests/unit/world_check.h"

#define FAULTS_MAX 64

struct fault {
	enum check_severity	 severity;
	char			 kind[16], path[64], owner[64], text[400];
	int			 slot;
	uint64_t		 offset;
};

static struct fault faults[FAULTS_MAX];
static unsigned fault_count;
static struct check_summary sum;
static Hf__CatalogSegment *row;		/* the converted segment */

static void
on_fault(void *context, const struct check_fault *f)
{
	struct fault *to = &faults[fault_count];

	(void)context;
	if (fault_count == FAULTS_MAX)
		return;
	fault_count++;
	*to = (struct fault){ .severity = f->severity, .slot = f->slot,
	    .offset = f->has_offset ? f->offset : UINT64_MAX };
	snprintf(to->kind, sizeof(to->kind), "%s", f->kind);
	snprintf(to->path, sizeof(to->path), "%s", f->path != NULL ? f->path : "");
	snprintf(to->owner, sizeof(to->owner), "%s", f->owner != NULL ? f->owner : "");
	snprintf(to->text, sizeof(to->text), "%s", f->text);
}

static void
check(void)
{
	struct err e = ERR_INIT;

	fault_count = 0;
	cr_assert_eq(world_check(&w, on_fault, NULL, &sum, &e), 0, "%s", e.text);
}

static void
make(void)
{
	world_fill(11);
	convert_all(1);
	world_reopen();
	convert_all(1);
	world_reopen();
	row = catalog_segment(w.drives, segment_in(CONVERTED));
	world_close(&w);
}

static void
end(void)
{
	hf__catalog_segment__free_unpacked(row, NULL);
	world_remove(&w);
}

static const char *
shard_file(unsigned shard)
{
	static char path[64];

	snprintf(path, sizeof(path), "/d%u/log/%016" PRIx64 ".ecs", row->slots[shard], row->id);
	return (path);
}

static struct fault *
fault_of(const char *kind, const char *text)
{
	for (unsigned i = 0; i < fault_count; i++)
		if (strcmp(faults[i].kind, kind) == 0 && strstr(faults[i].text, text) != NULL)
			return (&faults[i]);
	for (unsigned i = 0; i < fault_count; i++)
		cr_log_error("%d %s %s %s", (int)faults[i].severity, faults[i].kind,
		    faults[i].path, faults[i].text);
	cr_assert_fail("no fault of %s with \"%s\"", kind, text);
	return (NULL);
}

Test(check_shards, a_clean_store)
{
	make();
	check();
	cr_assert_eq(fault_count, 0, "%s %s", faults[0].path, faults[0].text);
	cr_assert(sum.complete);
	cr_assert_gt(sum.segment_shards, 8);
	cr_assert_gt(sum.batches, 40);
	end();
}

Test(check_shards, a_flipped_bit_in_each_part)
{
	uint64_t table = shard_table_offset((make(), row->shard_bytes), 0);
	struct fault *f;

	disk_memory_flip(w.disk, shard_file(0), 40);
	disk_memory_flip(w.disk, shard_file(3), 8192);
	disk_memory_flip(w.disk, shard_file(2), table + 33);
	check();
	f = fault_of("segment", "the header of shard 0");
	cr_assert(f->severity == CHECK_DEGRADED && f->offset == 0);
	cr_assert_str_eq(f->path, shard_file(0));
	f = fault_of("segment", "wrong bytes in block 0 of shard 3");
	cr_assert(f->severity == CHECK_DEGRADED && f->offset == SHARD_HEADER_BYTES);
	f = fault_of("segment", "page 0 of the table");
	cr_assert(f->severity == CHECK_DEGRADED && f->offset == table);
	cr_assert_str_eq(f->path, shard_file(2));
	cr_assert_eq(fault_count, 3);
	end();
}

/* Objects on a damaged block are named. */
Test(check_shards, objects_are_named)
{
	unsigned named = 0;

	make();
	disk_memory_flip(w.disk, shard_file(0), 9000);
	check();
	for (unsigned i = 0; i < fault_count; i++) {
		cr_assert_eq(faults[i].severity, CHECK_DEGRADED, "%s", faults[i].text);
		named += strncmp(faults[i].owner, "b/k", 3) == 0 &&
		    strcmp(faults[i].path, shard_file(0)) == 0;
	}
	cr_assert_gt(named, 2);
	end();
}

Test(check_shards, a_missing_and_a_short_file)
{
	struct disk *d = ((void)make(), w.disk);
	int handle;

	cr_assert_eq(d->ops->unlink(d, shard_file(1), NULL), 0);
	handle = d->ops->open(d, shard_file(2), O_RDWR, NULL);
	cr_assert_eq(d->ops->truncate(d, handle, 10000, NULL), 0);
	d->ops->close(d, handle);
	check();
	cr_assert_eq(fault_of("segment", "shard 1 cannot be opened")->severity, CHECK_DEGRADED);
	cr_assert_eq(fault_of("segment", "it should have")->severity, CHECK_DEGRADED);
	cr_assert_eq(sum.faults[CHECK_LOST], 0);
	end();
}

/* A shard that is whole by itself, and of another content. */
Test(check_shards, parity_that_does_not_agree)
{
	struct shard_layout l;
	struct disk *d;
	uint8_t *block = malloc(SHARD_BLOCK_BYTES), page[TABLE_PAGE_BYTES];
	struct iovec iov;
	uint32_t sums[1];
	int handle;

	make();
	d = w.disk;
	cr_assert_eq(shard_layout_of(row, (const uint8_t[16]){ 0 }, &l, NULL), 0);
	cr_assert_eq(shard_block_count(l.shard_bytes), 1);
	handle = d->ops->open(d, shard_file(3), O_RDWR, NULL);
	cr_assert_eq(d->ops->pread(d, handle, block, l.shard_bytes, SHARD_HEADER_BYTES, NULL),
	    (ssize_t)l.shard_bytes);
	block[77] ^= 4;
	sums[0] = shard_block_crc(&l, 3, 0, block);
	shard_table_encode(&l, 3, 0, sums, page);
	iov = (struct iovec){ block, l.shard_bytes };
	d->ops->pwritev(d, handle, &iov, 1, SHARD_HEADER_BYTES, NULL);
	iov = (struct iovec){ page, sizeof(page) };
	d->ops->pwritev(d, handle, &iov, 1, shard_table_offset(l.shard_bytes, 0), NULL);
	d->ops->close(d, handle);
	check();
	cr_assert_eq(fault_of("segment", "is not what the other shards say")->slot,
	    (int)row->slots[3]);
	cr_assert_eq(fault_count, 1);
	free(block);
	end();
}

Test(check_shards, more_than_m_is_a_loss)
{
	make();
	for (unsigned i = 0; i < 3; i++)
		for (uint64_t at = 4100; at < SHARD_HEADER_BYTES + row->shard_bytes; at += 300)
			disk_memory_flip(w.disk, shard_file(i), at);
	check();
	cr_assert_eq(fault_of("segment", "of the stripe are whole")->severity, CHECK_LOST);
	cr_assert_eq(fault_of("segment", "cannot be replayed")->severity, CHECK_LOST);
	end();
}

/* What a crash leaves: told as files that nothing names. */
Test(check_shards, files_of_the_other_layout)
{
	struct disk *d;
	char path[64];
	int handle;

	make();
	d = w.disk;
	snprintf(path, sizeof(path), "/d1/log/%016" PRIx64 ".seg", row->id);
	handle = d->ops->open(d, path, O_RDWR | O_CREAT, NULL);
	d->ops->close(d, handle);
	check();
	cr_assert_eq(fault_of("file", "does not name it")->severity, CHECK_HARMLESS);
	cr_assert_eq(fault_count, 1);
	end();
}
