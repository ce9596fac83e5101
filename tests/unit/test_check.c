/*
 * test_check - a small store, damaged in each way in each kind of file: the check names just that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/checksum.h"
#include "libbase/file.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "libstore/volume/volume.h"
#include "tests/unit/check_store.h"

TestSuite(check, .init = cs_begin, .fini = cs_end, .timeout = 120);

/* --- a whole store ---------------------------------------------------------------------------- */

static uint32_t tree_crc;

static int
tree_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct buf text = BUF_INIT;

	(void)ftw;
	tree_crc = crc32c(tree_crc, path, strlen(path));
	if (type == FTW_F && st->st_size < 8 << 20 && file_read(path, 8 << 20, &text, NULL) == 0)
		tree_crc = crc32c(tree_crc, text.data, text.bytes);
	if (type == FTW_F)
		tree_crc = crc32c(tree_crc, &st->st_mtim, sizeof(st->st_mtim));
	buf_release(&text);
	return (0);
}

static uint32_t
tree_sum(void)
{
	tree_crc = 0;
	cr_assert_eq(nftw(cs.w.directory, tree_one, 16, FTW_PHYS), 0);
	return (tree_crc);
}

Test(check, a_whole_store_is_clean_and_untouched)
{
	uint32_t before = tree_sum();

	cs_finds(0, 0, 0);
	cr_assert(cs.sum.complete);
	cr_assert_eq(cs.sum.drives, 4);
	cr_assert_eq(cs.sum.catalogs, 4);
	cr_assert_eq(cs.sum.objects, 8);
	cr_assert_eq(cs.sum.places, 7);
	cr_assert_eq(cs.sum.extents, 1);
	cr_assert_eq(cs.sum.units, 4 * volume_row_count(2, &cs.big));
	cr_assert_gt(cs.sum.index_rows, 10);
	cr_assert_eq(tree_sum(), before, "the check changed something");
}

/* A copy of a running store is what a kill would leave behind, and it is not locked. */
static void
copy_beside(const char *to)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		execlp("cp", "cp", "-a", cs.w.directory, to, (char *)NULL);
		_exit(1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

Test(check, a_store_that_was_killed_is_clean)
{
	char original[64], copy[64];

	world_open(&cs.w);
	world_session(&cs.w, 2);
	world_put(&cs.w, 40, "b", "late", "late", NULL);
	world_settle(&cs.w);
	snprintf(original, sizeof(original), "%s", cs.w.directory);
	snprintf(copy, sizeof(copy), "/var/tmp/hf-state-copy-%d", getpid());
	copy_beside(copy);
	snprintf(cs.w.directory, sizeof(cs.w.directory), "%s", copy);
	cr_assert_eq(cs_check(NULL), 0);
	cr_assert_eq(cs.sum.faults[CHECK_LOST] + cs.sum.faults[CHECK_DEGRADED], 0);
	cr_assert_eq(cs.sum.objects, 9);
	cr_assert_gt(cs.sum.replayed, 0);
	world_remove(&cs.w);
	memset(cs.w.replies, 0, sizeof(cs.w.replies));
	snprintf(cs.w.directory, sizeof(cs.w.directory), "%s", original);
	world_close(&cs.w);
}

Test(check, a_running_store_is_not_looked_at)
{
	struct err e = ERR_INIT;
	char pid[32];

	world_open(&cs.w);
	snprintf(pid, sizeof(pid), "process %d ", getpid());
	cr_assert_eq(cs_check(&e), ERR_LOCKED);
	cr_assert_not_null(strstr(e.text, pid), "%s", e.text);
	world_close(&cs.w);
}

/* --- the log ---------------------------------------------------------------------------------- */

Test(check, a_flipped_bit_in_a_segment_names_drive_offset_and_object)
{
	const struct check_store_fault *f;
	unsigned slots[4];

	cs_mirror_slots(slots);
	cs_flip(cs_name(slots[1], "log", cs.small.segment, ".seg"),
	    cs.small.offset + cs.small.data_offset + 7);
	cs_finds(0, 2, 0);
	f = cs_fault_of("segment", cs_name(slots[1], "log", cs.small.segment, ".seg"));
	cr_assert_eq(f->slot, (int)slots[1]);
	cr_assert_eq(f->offset, cs.small.offset + cs.small.data_offset + 7);
	f = cs_fault_of("record", cs_name(slots[1], "log", cs.small.segment, ".seg"));
	cr_assert_eq(f->offset, cs.small.offset);
	cr_assert_str_eq(f->owner, "b/small-3");
}

Test(check, the_same_bit_on_all_mirrors_is_a_loss)
{
	unsigned slots[4], lost = 0;

	for (unsigned i = 0; i < cs_mirror_slots(slots); i++)
		cs_flip(cs_name(slots[i], "log", cs.small.segment, ".seg"),
		    cs.small.offset + cs.small.data_offset + 7);
	cr_assert_eq(cs_check(NULL), 0);
	for (unsigned i = 0; i < cs.fault_count; i++)
		lost += cs.faults[i].severity == CHECK_LOST &&
		    strcmp(cs.faults[i].owner, "b/small-3") == 0;
	cr_assert_eq(lost, 1);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], 2, "the batch, and the object");
}

Test(check, a_deleted_a_headless_and_a_cut_mirror)
{
	unsigned slots[4];

	cs_mirror_slots(slots);
	cs_drop(cs_name(slots[0], "log", cs.small.segment, ".seg"));
	cs_finds(0, 1, 0);
	cr_assert_eq(cs_fault_of("segment", ".seg")->slot, (int)slots[0]);
	cs_flip(cs_name(slots[1], "log", cs.small.segment, ".seg"), 20);
	cs_finds(0, 2, 0);
	cr_assert_eq(cs_fault_of("segment",
	    cs_name(slots[1], "log", cs.small.segment, ".seg"))->offset, 0);
}

Test(check, a_cut_mirror)
{
	unsigned slots[4];

	cs_mirror_slots(slots);
	cs_cut(cs_name(slots[2], "log", cs.small.segment, ".seg"), cs.small.offset + 100);
	cr_assert_eq(cs_check(NULL), 0);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], 0);
	cr_assert_eq(cs_fault_of("segment", cs_name(slots[2], "log", cs.small.segment,
	    ".seg"))->offset, cs.small.offset + 100);
}

Test(check, a_damaged_footer_is_harmless)
{
	unsigned slots[4];
	const char *name;

	cs_mirror_slots(slots);
	name = cs_name(slots[0], "log", cs.small.segment, ".seg");
	cs_flip(name, cs_file_bytes(name) - 4096 + 34);
	cs_finds(0, 0, 1);
	cs_fault_of("segment", name);
}

/* --- volumes ---------------------------------------------------------------------------------- */

Test(check, a_flipped_bit_in_a_volume_names_drive_offset_and_object)
{
	const char *name = cs_name(cs.big_slots[2], "vol", cs.big.volume, ".vol");
	const struct check_store_fault *f;

	cs_flip(name, cs.big.offset + VOLUME_UNIT_BYTES + 5);
	cs_finds(0, 1, 0);
	f = cs_fault_of("unit", name);
	cr_assert_eq(f->slot, (int)cs.big_slots[2]);
	cr_assert_eq(f->offset, cs.big.offset + VOLUME_UNIT_BYTES);
	cr_assert_str_eq(f->owner, "b/big");
}

Test(check, as_many_units_as_parity_bears_and_one_more)
{
	for (unsigned i = 0; i < 2; i++)
		cs_flip(cs_name(cs.big_slots[i], "vol", cs.big.volume, ".vol"), cs.big.offset + 5);
	cs_finds(0, 2, 0);
	cs_flip(cs_name(cs.big_slots[2], "vol", cs.big.volume, ".vol"), cs.big.offset + 5);
	cs_finds(1, 3, 0);
	cr_assert_str_eq(cs_fault_of("body", "")->owner, "b/big");
}

Test(check, a_deleted_and_a_cut_shard)
{
	cs_drop(cs_name(cs.big_slots[0], "vol", cs.big.volume, ".vol"));
	cs_finds(0, 1, 0);
	cr_assert_eq(cs_fault_of("volume", ".vol")->slot, (int)cs.big_slots[0]);
	cs_cut(cs_name(cs.big_slots[1], "vol", cs.big.volume, ".vol"), cs.big.offset + 10);
	cr_assert_eq(cs_check(NULL), 0);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], 0);
	cr_assert_eq(cs_fault_of("volume", cs_name(cs.big_slots[1], "vol", cs.big.volume,
	    ".vol"))->offset, cs.big.offset + 10);
}

Test(check, parity_that_is_whole_and_wrong)
{
	cs_big_write(true);
	cs_finds(0, (unsigned)volume_row_count(2, &cs.big), 0);
	cr_assert_eq(cs.faults[0].slot, (int)cs.big_slots[3]);
	cr_assert_not_null(strstr(cs.faults[0].text, "parity"));
}

/* --- drives and catalogs ---------------------------------------------------------------------- */

Test(check, damaged_missing_and_torn_catalogs)
{
	char path[256];
	int fd;

	cs_flip("d1/catalog", 50);
	cs_finds(0, 1, 0);
	cr_assert_eq(cs_fault_of("catalog", "d1/catalog")->slot, 1);
	snprintf(path, sizeof(path), "%s/d2/catalog", cs.w.directory);
	fd = open(path, O_WRONLY | O_APPEND);	/* behind the zeros that are written ahead */
	cr_assert_eq(write(fd, "HFC1 and no more", 16), 16);
	close(fd);
	cs_finds(0, 1, 1);
	cr_assert_eq(cs_fault_of("catalog", "d2/catalog")->severity, CHECK_HARMLESS);
	cs_drop("d3/catalog");
	cr_assert_eq(cs_check(NULL), 0);
	cs_fault_of("catalog", "d3/catalog");
	cs_fault_of("set", "");
}

Test(check, an_old_catalog_is_named_with_both_epochs)
{
	struct buf old = BUF_INIT;
	char path[256];

	snprintf(path, sizeof(path), "%s/d0/catalog", cs.w.directory);
	cr_assert_eq(file_read(path, 8 << 20, &old, NULL), 0);
	world_open(&cs.w);
	world_close(&cs.w);
	cr_assert_eq(file_replace(path, old.data, old.bytes, 0600, NULL), 0);
	buf_release(&old);
	cs_finds(0, 1, 0);
	cr_assert_not_null(strstr(cs_fault_of("catalog", "d0/catalog")->text, "the set is at"));
}

Test(check, a_damaged_drive_file_and_a_file_that_nothing_names)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/d0/log/00000000000000ff.seg", cs.w.directory);
	cr_assert_eq(file_replace(path, "x", 1, 0600, NULL), 0);
	cs_finds(0, 0, 1);
	cs_fault_of("file", "d0/log/00000000000000ff.seg");
	cs_drop("d0/log/00000000000000ff.seg");
	cs_flip("d3/drive", 30);
	cr_assert_eq(cs_check(NULL), 0);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], 0);
	cr_assert_eq(cs_fault_of("drive", "/d3")->severity, CHECK_DEGRADED);
}

/* --- the index -------------------------------------------------------------------------------- */

/* The index of the store that is closed, and rows that it is to have. */
struct edit {
	struct index		*index;
	struct index_layer	*layer;
	struct buf		 key;
};

static struct edit
edit_begin(void)
{
	struct edit x = { .layer = index_layer_new(), .key = BUF_INIT };
	char path[128];

	snprintf(path, sizeof(path), "%s/index", cs.w.directory);
	cr_assert_eq(index_open(path, 8 << 20, &x.index, NULL), 0);
	return (x);
}

static void
edit_put(struct edit *x, struct slice value)
{
	index_put(x->layer, buf_slice(&x->key), value);
}

static void
edit_end(struct edit *x)
{
	cr_assert_eq(index_write(x->index, x->layer, index_applied(x->index), NULL), 0);
	index_layer_free(x->layer);
	index_close(&x->index);
	buf_release(&x->key);
}

Test(check, a_row_of_the_index_that_the_log_does_not_know)
{
	struct edit x = edit_begin();

	index_put(x.layer, SLICE_LITERAL("Csection\0name"), SLICE_LITERAL(""));
	edit_end(&x);
	cs_finds(0, 2, 0);
	cr_assert_not_null(strstr(cs.faults[0].text, "Csection\\x00name"));
}

Test(check, a_volume_of_which_a_thin_extent_is_counted_that_is_none)
{
	struct edit x = edit_begin();
	struct index_reader r = { .index = x.index };
	Hf__VolumeUse *use;
	uint8_t value[256];

	key_volume(&x.key, cs.big.volume);
	cr_assert_eq(row_get(&r, buf_slice(&x.key), &hf__volume_use__descriptor, (void *)&use,
	    NULL), 0);
	use->thin_extents = 1;
	cr_assert_leq(hf__volume_use__get_packed_size(use), sizeof(value));
	edit_put(&x, SLICE(value, hf__volume_use__pack(use, value)));
	hf__volume_use__free_unpacked(use, NULL);
	edit_end(&x);
	cr_assert_eq(cs_check(NULL), 0);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], 0);
	cr_assert_eq(cs.sum.faults[CHECK_DEGRADED], 3, "two of the comparison");
	cr_assert_not_null(strstr(cs.faults[2].text, "lack a shard"));
}

/* What is counted of a segment is told twice, too: and by the rows that have their home there. */
Test(check, a_segment_of_which_too_little_is_counted)
{
	struct edit x = edit_begin();
	Hf__SegmentUse use = HF__SEGMENT_USE__INIT;
	uint8_t value[64];

	key_segment(&x.key, cs.small.segment);
	use.records = use.dead_records = 1;
	edit_put(&x, SLICE(value, hf__segment_use__pack(&use, value)));
	key_dead(&x.key, 1);
	edit_put(&x, SLICE_NONE);
	edit_end(&x);
	cr_assert_eq(cs_check(NULL), 0);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], 0);
	cr_assert_eq(cs.sum.faults[CHECK_HARMLESS], 1, "a dead record of no segment");
	cr_assert_eq(cs.sum.faults[CHECK_DEGRADED], 3 + 4,
	    "three of the comparison; homes, records, the dead, and what killed it");
}

/* Each fault of a task is told twice: by what follows from it, and because the log says other. */
Test(check, rows_of_tasks_that_contradict_each_other)
{
	struct edit x;

	cs_finds(0, 0, 0);
	cr_assert_eq(cs.sum.tasks, 2);
	x = edit_begin();
	key_task_place(&x.key, TASK_LIST_WAITING(0), 0, cs.w.replies[40]->tasks[0]->id);
	index_delete(x.layer, buf_slice(&x.key));
	key_task_print(&x.key, SLICE_LITERAL("0-vacuum"), false, 4711);
	edit_put(&x, SLICE_LITERAL("12345678"));
	key_meta(&x.key, "tasks.pending");
	edit_put(&x, SLICE_LITERAL("\3\0\0\0\0\0\0\0"));
	edit_end(&x);
	cr_assert_eq(cs_check(NULL), 0);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], 0);
	cr_assert_eq(cs.sum.faults[CHECK_HARMLESS], 1, "the count of those that wait");
	cr_assert_eq(cs.sum.faults[CHECK_DEGRADED], 4 + 3,
	    "four of the comparison; a place is missing, two are open, the sums differ");
}

Test(check, no_index_is_harmless_and_a_damaged_one_is_told)
{
	world_index_remove(&cs.w);
	cs_finds(0, 0, 1);
	cr_assert_eq(cs.sum.objects, 8);
	world_open(&cs.w);
	world_close(&cs.w);
	world_index_damage(&cs.w);
	cr_assert_eq(cs_check(NULL), 0);
	cr_assert_eq(cs.sum.faults[CHECK_LOST], 0);
	cr_assert_gt(cs.sum.faults[CHECK_DEGRADED], 0);
}
