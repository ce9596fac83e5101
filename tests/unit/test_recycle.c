/*
 * test_recycle - files of dropped segments as those of next ones: which may be, what readers of the
 * old ones meet, and room. That nothing is lost at any step of it is shown by test_log,
 * test_segment_life and test_histories, in which they are used, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/format/segment_format.h"
#include "libstore/log/log_internal.h"
#include "libstore/log/segment_judge.h"
#include "libstore/log/segment_source.h"
#include "tests/unit/disk_memory.h"

#define DRIVES		4
#define SEGMENT		65536u

static struct disk *disk;
static struct drive_set *set;
static struct log *written;
static unsigned damages;

static void
store_open(unsigned spares)
{
	static const char *const paths[DRIVES] = { "/d0", "/d1", "/d2", "/d3" };
	struct drive_set_options o = { .judge = &segment_judge,
	    .paths = paths, .count = DRIVES, .erasure = "2+2",
	    .segment_bytes = SEGMENT, .volume_bytes = 16u << 20, .segments_spare = spares };
	struct err e = ERR_INIT;

	if (disk == NULL)
		disk = disk_memory_new(1, DRIVES);
	cr_assert_eq(drive_set_open(disk, &o, &set, &e), 0, "%s", e.text);
	cr_assert_eq(log_open_with(set, false, &written, &e), 0, "%s", e.text);
}

static void
store_close(void)
{
	log_close(&written);
	drive_set_close(&set);
}

static void
end(void)
{
	store_close();
	disk_memory_free(disk);
	disk = NULL;
}

static void
on_commit(void *context, const struct log_commit *c)
{
	(void)context;
	cr_assert_eq(c->code, 0);
}

/* Records of 4 KiB, one in a batch. */
static void
append(unsigned count)
{
	static uint8_t meta[64], data[4096];
	struct err e = ERR_INIT;
	uint64_t batch;

	while (count-- > 0) {
		cr_assert_eq(log_append(written, LOG_SHARE_NONE, RECORD_OBJECT_PUT,
		    SLICE(meta, sizeof(meta)), SLICE(data, sizeof(data)), NULL, &batch, &e), 0,
		    "%s", e.text);
		log_submit(written);
		log_collect(written, on_commit, NULL);
	}
}

/* Of more than so many segments the oldest, as the catalog has it. */
static Hf__CatalogSegment *
first_of(size_t count)
{
	uint64_t *ids;
	Hf__CatalogSegment *row;

	cr_assert_gt(catalog_segment_ids(set, &ids), count);
	row = catalog_segment(set, ids[0]);
	free(ids);
	return (row);
}

static Hf__CatalogSegment *
oldest(void)
{
	Hf__CatalogSegment *row = first_of(1);

	cr_assert_eq(row->state, HF__CATALOG_SEGMENT__STATE__SEALED);
	return (row);
}

static void
forget(const Hf__CatalogSegment *row)
{
	Hf__CatalogSegment gone = HF__CATALOG_SEGMENT__INIT, *rows = &gone;
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	struct err e = ERR_INIT;

	gone.id = row->id;
	gone.state = HF__CATALOG_SEGMENT__STATE__DROPPED;
	change.segments = &rows;
	change.n_segments = 1;
	change.horizon_lsn = row->last_lsn;
	cr_assert_eq(catalog_commit(set, &change, &e), 0, "%s", e.text);
}

static void
drop(Hf__CatalogSegment *row)
{
	forget(row);
	segment_unlink_row(set, row);
	hf__catalog_segment__free_unpacked(row, NULL);
}

static unsigned
kept(void)
{
	unsigned count = 0;
	uint64_t bytes;

	for (unsigned slot = 0; slot < DRIVES; slot++)
		count += drive_recycled(set, slot, &bytes);
	return (count);
}

static unsigned
files(const char *part)
{
	unsigned n = 0;

	while (disk_memory_find(disk, part, n) != NULL)
		n++;
	return (n);
}

Test(recycle, next_segments_are_written_into_old_files)
{
	uint64_t first;

	store_open(RECYCLED_MAX);
	append(60);
	drop(oldest());
	drop(oldest());
	cr_assert_eq(kept(), 6);
	cr_assert_eq(files(".old"), 6);
	first = written->current->id;
	cr_assert_lt(first, 100);
	append(60);
	cr_assert_gt(drive_recycled_used(set), 3);
	cr_assert_gt(written->current->id, UINT64_C(1) << 32, "nobody knew its number before");
	cr_assert_eq(files(".new"), 0);
	cr_assert_leq(kept(), 3);
	end();
}

Test(recycle, no_more_than_wanted_and_none_without)
{
	store_open(1);
	append(120);
	for (unsigned i = 0; i < 4; i++)
		drop(oldest());
	cr_assert_leq(kept(), DRIVES);
	cr_assert_eq(kept(), files(".old"));
	store_close();
	cr_assert_gt(files(".old"), 0);
	store_open(0);
	cr_assert_eq(files(".old"), 0);
	append(60);
	drop(oldest());
	cr_assert_eq(kept() + files(".old"), 0);
	end();
}

static void
on_damage(void *context, unsigned slot, uint64_t offset, const struct err *why)
{
	(void)context;
	(void)slot;
	(void)offset;
	(void)why;
	damages++;
}

static int
on_record(void *context, const struct record *r, struct err *e)
{
	(void)r;
	(void)e;
	++*(unsigned *)context;
	return (0);
}

/* It is no damage, and the row is to be asked for again. */
Test(recycle, who_reads_the_old_file_is_told)
{
	struct segment_source *source;
	struct segment_paths paths;
	Hf__CatalogSegment *row;
	struct err e = ERR_INIT;
	unsigned seen = 0;

	store_open(RECYCLED_MAX);
	append(60);
	drop(oldest());		/* a short one */
	row = oldest();
	segment_paths_of_set(set, &paths);
	cr_assert_eq(segment_source_open(&paths, row, &source, &e), 0, "%s", e.text);
	segment_source_on_damage(source, on_damage, NULL);
	cr_assert_eq(segment_source_records(source, 0, on_record, &seen, &e), 0, "%s", e.text);
	cr_assert_gt(seen, 5);
	drop(row);
	seen = 0;
	cr_assert_eq(segment_source_records(source, 0, on_record, &seen, &e), 0,
	    "nothing changes in it before it is used");
	for (unsigned i = 0; i < 60; i++) {
		append(1);
		if (segment_source_records(source, 0, on_record, &seen, &e) < 0)
			cr_assert_eq(e.code, ERR_STALE, "%s", e.text);
		cr_assert_eq(damages, 0);
	}
	cr_assert_eq(e.code, ERR_STALE);
	segment_source_close(&source);
	end();
}

/* Of each rule one file that must not be used. */
Test(recycle, files_that_somebody_may_still_write_to_are_removed)
{
	Hf__CatalogSegment *row;
	struct err e = ERR_INIT;
	uint32_t made;
	unsigned slot;

	store_open(RECYCLED_MAX);
	append(120);
	row = oldest();
	made = row->made;
	cr_assert_eq(made, (1u << row->n_slots) - 1);
	forget(row);
	row->made = made & ~1u;
	cr_assert_not(segment_mirror_recycle(set, row, 0), "a worker has filled it");
	row->made = made;
	row->missing = 1;
	cr_assert_not(segment_mirror_recycle(set, row, 0), "one may be filling it");
	row->missing = 0;
	row->linked = 1;
	cr_assert_not(segment_mirror_recycle(set, row, 0), "it is another drive's");
	row->linked = 0;
	cr_assert(segment_mirror_recycle(set, row, 1));
	slot = row->slots[0];
	cr_assert_eq(drive_fail(set, slot, "a write hung", &e), 0, "%s", e.text);
	cr_assert_not(segment_mirror_recycle(set, row, 0), "the drive is away");
	cr_assert_eq(drive_set_return(set, slot, &e), 0, "%s", e.text);
	drive_recycled_find(set);
	cr_assert(drive_present_mask(set) >> slot & 1);
	hf__catalog_segment__free_unpacked(row, NULL);
	row = oldest();		/* a file that is there, and was before */
	for (size_t i = 0; i < row->n_slots; i++)
		cr_assert_eq(segment_mirror_recycle(set, row, (unsigned)i),
		    row->slots[i] != slot, "a write may come late");
	hf__catalog_segment__free_unpacked(row, NULL);
	end();
}

/* One whose mirror failed is sealed in the catalog first, and gets its footer some time later: who
 * drops it meanwhile gives none of its files away. */
Test(recycle, a_segment_that_still_gets_its_footer_keeps_its_files)
{
	Hf__CatalogSegment *row;
	unsigned before;

	store_open(RECYCLED_MAX);
	append(1);
	row = first_of(0);
	cr_assert_eq(row->made, 7, "three mirrors");
	disk_memory_set_eio(disk, row->slots[0], true);
	append(1);
	hf__catalog_segment__free_unpacked(row, NULL);
	row = oldest();
	cr_assert_eq(row->made, 0);
	before = kept();
	drop(row);
	cr_assert_eq(kept(), before);
	append(1);
	row = first_of(0);
	cr_assert_eq(row->made, 7);
	hf__catalog_segment__free_unpacked(row, NULL);
	end();
}

Test(recycle, a_rebuild_takes_the_mark_away)
{
	Hf__CatalogSegment *row, *marked;
	struct err e = ERR_INIT;
	uint64_t gone;
	size_t gone_count;

	store_open(RECYCLED_MAX);
	append(60);
	row = oldest();
	row->missing = 1;
	cr_assert_eq(catalog_segment_put(set, row, "test", &e), 0, "%s", e.text);
	for (unsigned slot = 0; slot < DRIVES; slot++) {
		struct catalog_lacking l;

		catalog_lacking_find(set, slot, 0, 1, &l);
		if (slot == row->slots[0])
			cr_assert_eq(catalog_rebuilt(set, slot, l.drive.since_epoch, &row->id, 1,
			    &gone, &gone_count, &e), 0, "%s", e.text);
		catalog_lacking_release(&l);
	}
	marked = catalog_segment(set, row->id);
	cr_assert_eq(marked->missing, 0);
	cr_assert_eq(marked->made, row->made & ~1u);
	hf__catalog_segment__free_unpacked(marked, NULL);
	hf__catalog_segment__free_unpacked(row, NULL);
	end();
}

/* They are gone before the reserve is touched. */
Test(recycle, room_comes_first)
{
	uint64_t before, bytes, used, reserve;
	Hf__CatalogSegment *row;
	struct drive d;
	unsigned slot;

	store_open(RECYCLED_MAX);
	append(60);
	row = oldest();
	slot = row->slots[0];
	drop(row);
	cr_assert_gt(drive_recycled(set, slot, &bytes), 0);
	drive_set_refresh_space(set);
	drive_get(set, slot, &d);
	before = d.space.free_bytes;
	used = disk_memory_used(disk, slot);
	cr_assert_eq(before, d.space.total_bytes - used + drive_spares_bytes(set, slot));
	reserve = drive_reserve_bytes(set, slot);
	disk_memory_set_free_of(disk, slot, used + reserve + reserve / 2 - 4096);
	drive_set_refresh_space(set);
	cr_assert_eq(drive_recycled(set, slot, &bytes), 0);
	cr_assert_gt(kept(), 0, "others have room");
	append(60);
	reserve = drive_reserve_bytes(set, slot);
	disk_memory_set_free_of(disk, slot, disk_memory_used(disk, slot) + reserve);
	drop(oldest());
	cr_assert_eq(drive_recycled(set, slot, &bytes), 0, "none is kept");
	end();
}

static const struct disk_ops *whole_ops;
static char losing[16];		/* a directory */

static int
sync_dir_or_lose(struct disk *d, const char *path, struct err *e)
{
	if (strncmp(path, losing, strlen(losing)) == 0)
		return (err_set(e, ERR_IO, "%s: names were lost", path));
	return (whole_ops->sync_dir(d, path, e));
}

/* The file could be done without; but the next sync of the directory would vouch for names that
 * this one has lost. */
Test(recycle, a_drive_that_loses_names_fails)
{
	enum { GIVES, TAKES, REMOVES };

	for (unsigned what = GIVES; what <= REMOVES; what++) {
		struct disk_ops ops;
		Hf__CatalogSegment *row;
		unsigned slot;

		store_open(what == REMOVES ? 0 : RECYCLED_MAX);
		append(60);
		row = oldest();
		slot = row->slots[0];
		if (what == TAKES)
			drop(row);
		whole_ops = disk->ops;
		ops = *whole_ops;
		ops.sync_dir = sync_dir_or_lose;
		snprintf(losing, sizeof(losing), "/d%u/%s", slot, what == REMOVES ? "log" :
		    "reserve");
		disk->ops = &ops;
		cr_assert(drive_present_mask(set) >> slot & 1);
		if (what == TAKES)
			append(60);
		else
			drop(row);
		cr_assert_not(drive_present_mask(set) >> slot & 1);
		disk->ops = whole_ops;
		append(10);
		end();
	}
}

/* A crash left a file that was taken, or one that is no segment's. */
Test(recycle, what_is_not_what_its_name_says_is_removed)
{
	const char *path;

	store_open(RECYCLED_MAX);
	append(60);
	drop(oldest());
	store_close();
	path = disk_memory_find(disk, ".old", 0);
	cr_assert_not_null(path);
	cr_assert(disk_memory_flip(disk, path, SEGMENT_AT_ID));
	store_open(RECYCLED_MAX);
	cr_assert_eq(kept(), files(".old"));
	cr_assert_not(disk_memory_exists(disk, path));
	end();
}

/* The power fails behind the new name: what stands in it is another segment's. */
Test(recycle, a_segment_that_was_not_named_leaves_nothing)
{
	for (uint64_t step = 1; step < 120; step++) {
		store_open(RECYCLED_MAX);
		append(30);
		drop(oldest());
		disk_memory_cut_at(disk, step);
		for (unsigned i = 0; i < 30 && !disk_memory_cut(disk); i++) {
			static uint8_t body[4096];
			uint64_t batch;

			if (log_append(written, LOG_SHARE_NONE, RECORD_OBJECT_PUT,
			    SLICE(body, 64), SLICE(body, sizeof(body)), NULL, &batch, NULL) < 0)
				break;
			log_submit(written);
		}
		disk_memory_cut_at(disk, 1);
		store_close();
		disk_memory_restart(disk);
		store_open(RECYCLED_MAX);
		cr_assert_eq(files("/quarantine/"), 0, "step %llu: %s", (unsigned long long)step,
		    disk_memory_find(disk, "/quarantine/", 0));
		cr_assert_eq(files(".new"), 0);
		cr_assert_eq(kept(), files(".old"));
		end();
	}
}
