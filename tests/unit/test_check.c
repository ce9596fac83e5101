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
#include "tests/unit/state_world.h"
#include "tests/unit/world_check.h"

#define FAULTS_MAX	64
#define BODY_BYTES	3000
#define BIG_BYTES	300000u

struct fault {
	enum check_severity	 severity;
	char			 kind[16], path[256], owner[64], text[512];
	int			 slot;
	uint64_t		 offset;
};

static struct world w;
static Hf__Extent big;			/* of object b/big */
static Hf__Place small;			/* of object b/small-3 */
static uint32_t big_slots[4];		/* by shard */
static struct fault faults[FAULTS_MAX];
static unsigned fault_count;
static struct check_summary sum;

/* --- a store ---------------------------------------------------------------------------------- */

static void
unit_write(unsigned slot, uint64_t offset, const uint8_t *unit, size_t bytes)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/d%u/vol/%016" PRIx64 ".vol", w.directory, slot,
	    big.volume);
	fd = open(path, O_WRONLY);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(pwrite(fd, unit, bytes, (off_t)offset), (ssize_t)bytes);
	close(fd);
}

static void
big_row_write(const struct erasure *c, uint64_t index, bool wrong_parity)
{
	uint8_t *units[4];
	struct volume_row row;
	unsigned i;

	volume_row_get(2, &big, index, &row);
	for (i = 0; i < 4; i++) {
		units[i] = malloc(VOLUME_UNIT_BYTES);
		memset(units[i], (int)(index * 4 + i + 1), VOLUME_UNIT_BYTES);
	}
	volume_row_encode(c, 2, 2, &big, &row, units);
	if (wrong_parity) {
		units[3][100] ^= 1;
		volume_unit_seal(&big, &row, 3, units[3]);
	}
	for (i = 0; i < 4; i++) {
		unit_write(big_slots[i], row.offset, units[i], row.unit_bytes);
		free(units[i]);
	}
}

static void
big_write(bool wrong_parity)
{
	struct erasure *c = erasure_new(2, 2);

	for (uint64_t i = 0; i < volume_row_count(2, &big); i++)
		big_row_write(c, i, wrong_parity);
	erasure_free(c);
}

static void
big_put(uint64_t sequence)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);
	const Hf__Run *run;

	op.bytes = BIG_BYTES;
	run = world_ask(&w, sequence, &q)->run;
	cr_assert_not_null(run);
	hf__extent__init(&big);
	big.volume = run->volume;
	big.offset = run->offset;
	big.bytes = BIG_BYTES;
	big.write_id = 4711;
	for (unsigned i = 0; i < 4; i++)
		big_slots[i] = run->layout->slots[i];
	big_write(false);
	world_put_extent(&w, sequence + 1, "b", "big", &big);
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence + 1), 0);
}

/* Tasks: one that waits, one that is done with. */
static void
tasks_put(uint64_t sequence)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	WORLD_OP_AGAIN(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task task = HF__TASK__INIT;
	const Hf__StoreReply *r;

	op.task = &task;
	task.type = (char *)(uintptr_t)"vacuum";
	world_ask(&w, sequence, &q);
	task.volume_id = 1;
	r = world_ask(&w, sequence + 1, &q);
	cr_assert_eq(r->code, 0);
	op2.id = r->tasks[0]->id;
	op2.task = &task;
	task.state = HF__TASK__STATE__CANCELLED;
	cr_assert_eq(world_ask(&w, sequence + 2, &q2)->code, 0);
}

static void
setup(void)
{
	char body[BODY_BYTES + 1], key[32];

	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	for (unsigned i = 0; i < 8; i++) {
		memset(body, 'a' + (int)i, BODY_BYTES);
		body[BODY_BYTES] = '\0';
		snprintf(key, sizeof(key), "small-%u", i);
		world_put(&w, 2 + i, "b", key, body, NULL);
		world_settle(&w);
	}
	big_put(20);
	small = *world_get(&w, 30, "b", "small-3")->entry->place;
	world_delete(&w, 31, "b", "small-7");
	world_settle(&w);
	tasks_put(40);
	world_close(&w);
}

static void
teardown(void)
{
	world_remove(&w);
}

TestSuite(check, .init = setup, .fini = teardown, .timeout = 120);

/* --- checking --------------------------------------------------------------------------------- */

static void
on_fault(void *context, const struct check_fault *f)
{
	struct fault *out = &faults[fault_count];

	(void)context;
	cr_log_info("%s %s %d %s %" PRIu64 " %s: %s", check_severity_name(f->severity), f->kind,
	    f->slot, f->path != NULL ? f->path : "-", f->has_offset ? f->offset : 0,
	    f->owner != NULL ? f->owner : "-", f->text);
	cr_assert_lt(fault_count++, FAULTS_MAX);
	out->severity = f->severity;
	out->slot = f->slot;
	out->offset = f->has_offset ? f->offset : UINT64_MAX;
	snprintf(out->kind, sizeof(out->kind), "%s", f->kind);
	snprintf(out->path, sizeof(out->path), "%s", f->path != NULL ? f->path : "");
	snprintf(out->owner, sizeof(out->owner), "%s", f->owner != NULL ? f->owner : "");
	snprintf(out->text, sizeof(out->text), "%s", f->text);
}

static int
check(struct err *e)
{
	fault_count = 0;
	return (world_check(&w, on_fault, NULL, &sum, e));
}

static void
check_finds(unsigned lost, unsigned degraded, unsigned harmless)
{
	struct err e = ERR_INIT;

	cr_assert_eq(check(&e), 0, "%s", e.text);
	for (unsigned i = 0; i < fault_count; i++)
		if (sum.faults[CHECK_LOST] != lost || sum.faults[CHECK_DEGRADED] != degraded ||
		    sum.faults[CHECK_HARMLESS] != harmless)
			fprintf(stderr, "%s %s: %s (%s)\n", check_severity_name(faults[i].severity),
			    faults[i].kind, faults[i].text, faults[i].owner);
	cr_assert_eq(sum.faults[CHECK_LOST], lost);
	cr_assert_eq(sum.faults[CHECK_DEGRADED], degraded);
	cr_assert_eq(sum.faults[CHECK_HARMLESS], harmless);
}

/* The one fault of a kind on a file whose path ends so. */
static const struct fault *
fault_of(const char *kind, const char *path_end)
{
	const struct fault *found = NULL;

	for (unsigned i = 0; i < fault_count; i++) {
		size_t n = strlen(faults[i].path), end = strlen(path_end);

		if (strcmp(faults[i].kind, kind) != 0 || n < end ||
		    strcmp(faults[i].path + n - end, path_end) != 0)
			continue;
		cr_assert_null(found, "two faults of %s in %s", kind, path_end);
		found = &faults[i];
	}
	cr_assert_not_null(found, "no fault of %s in %s", kind, path_end);
	return (found);
}

static const char *
name_of(unsigned slot, const char *sub, uint64_t id, const char *ending)
{
	static char name[128];

	snprintf(name, sizeof(name), "d%u/%s/%016" PRIx64 "%s", slot, sub, id, ending);
	return (name);
}

static void
flip(const char *name, uint64_t offset)
{
	char path[256];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w.directory, name);
	fd = open(path, O_RDWR);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 0x10;
	cr_assert_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

static uint64_t
file_bytes(const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", w.directory, name);
	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return ((uint64_t)st.st_size);
}

static void
cut(const char *name, uint64_t bytes)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", w.directory, name);
	cr_assert_eq(truncate(path, (off_t)bytes), 0, "%s", path);
}

static void
drop(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", w.directory, name);
	cr_assert_eq(unlink(path), 0, "%s", path);
}

/* Slots that hold a mirror of the segment with b/small-3. */
static unsigned
mirror_slots(unsigned slots[4])
{
	unsigned n = 0;
	char path[256];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", w.directory,
		    name_of(i, "log", small.segment, ".seg"));
		if (access(path, F_OK) == 0)
			slots[n++] = i;
	}
	cr_assert_eq(n, 3);
	return (n);
}

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
	cr_assert_eq(nftw(w.directory, tree_one, 16, FTW_PHYS), 0);
	return (tree_crc);
}

Test(check, a_whole_store_is_clean_and_untouched)
{
	uint32_t before = tree_sum();

	check_finds(0, 0, 0);
	cr_assert(sum.complete);
	cr_assert_eq(sum.drives, 4);
	cr_assert_eq(sum.catalogs, 4);
	cr_assert_eq(sum.objects, 8);
	cr_assert_eq(sum.places, 7);
	cr_assert_eq(sum.extents, 1);
	cr_assert_eq(sum.units, 4 * volume_row_count(2, &big));
	cr_assert_gt(sum.index_rows, 10);
	cr_assert_eq(tree_sum(), before, "the check changed something");
}

/* A copy of a running store is what a kill would leave behind, and it is not locked. */
static void
copy_beside(const char *to)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		execlp("cp", "cp", "-a", w.directory, to, (char *)NULL);
		_exit(1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

Test(check, a_store_that_was_killed_is_clean)
{
	char original[64], copy[64];

	world_open(&w);
	world_session(&w, 2);
	world_put(&w, 40, "b", "late", "late", NULL);
	world_settle(&w);
	snprintf(original, sizeof(original), "%s", w.directory);
	snprintf(copy, sizeof(copy), "/var/tmp/hf-state-copy-%d", getpid());
	copy_beside(copy);
	snprintf(w.directory, sizeof(w.directory), "%s", copy);
	cr_assert_eq(check(NULL), 0);
	cr_assert_eq(sum.faults[CHECK_LOST] + sum.faults[CHECK_DEGRADED], 0);
	cr_assert_eq(sum.objects, 9);
	cr_assert_gt(sum.replayed, 0);
	world_remove(&w);
	memset(w.replies, 0, sizeof(w.replies));
	snprintf(w.directory, sizeof(w.directory), "%s", original);
	world_close(&w);
}

Test(check, a_running_store_is_not_looked_at)
{
	struct err e = ERR_INIT;
	char pid[32];

	world_open(&w);
	snprintf(pid, sizeof(pid), "process %d ", getpid());
	cr_assert_eq(check(&e), ERR_LOCKED);
	cr_assert_not_null(strstr(e.text, pid), "%s", e.text);
	world_close(&w);
}

/* --- the log ---------------------------------------------------------------------------------- */

Test(check, a_flipped_bit_in_a_segment_names_drive_offset_and_object)
{
	const struct fault *f;
	unsigned slots[4];

	mirror_slots(slots);
	flip(name_of(slots[1], "log", small.segment, ".seg"), small.offset + small.data_offset + 7);
	check_finds(0, 2, 0);
	f = fault_of("segment", name_of(slots[1], "log", small.segment, ".seg"));
	cr_assert_eq(f->slot, (int)slots[1]);
	cr_assert_eq(f->offset, small.offset + small.data_offset + 7);
	f = fault_of("record", name_of(slots[1], "log", small.segment, ".seg"));
	cr_assert_eq(f->offset, small.offset);
	cr_assert_str_eq(f->owner, "b/small-3");
}

Test(check, the_same_bit_on_all_mirrors_is_a_loss)
{
	unsigned slots[4], lost = 0;

	for (unsigned i = 0; i < mirror_slots(slots); i++)
		flip(name_of(slots[i], "log", small.segment, ".seg"),
		    small.offset + small.data_offset + 7);
	cr_assert_eq(check(NULL), 0);
	for (unsigned i = 0; i < fault_count; i++)
		lost += faults[i].severity == CHECK_LOST &&
		    strcmp(faults[i].owner, "b/small-3") == 0;
	cr_assert_eq(lost, 1);
	cr_assert_eq(sum.faults[CHECK_LOST], 2, "the batch, and the object");
}

Test(check, a_deleted_a_headless_and_a_cut_mirror)
{
	unsigned slots[4];

	mirror_slots(slots);
	drop(name_of(slots[0], "log", small.segment, ".seg"));
	check_finds(0, 1, 0);
	cr_assert_eq(fault_of("segment", ".seg")->slot, (int)slots[0]);
	flip(name_of(slots[1], "log", small.segment, ".seg"), 20);
	check_finds(0, 2, 0);
	cr_assert_eq(fault_of("segment",
	    name_of(slots[1], "log", small.segment, ".seg"))->offset, 0);
}

Test(check, a_cut_mirror)
{
	unsigned slots[4];

	mirror_slots(slots);
	cut(name_of(slots[2], "log", small.segment, ".seg"), small.offset + 100);
	cr_assert_eq(check(NULL), 0);
	cr_assert_eq(sum.faults[CHECK_LOST], 0);
	cr_assert_eq(fault_of("segment", name_of(slots[2], "log", small.segment, ".seg"))->offset,
	    small.offset + 100);
}

Test(check, a_damaged_footer_is_harmless)
{
	unsigned slots[4];
	const char *name;

	mirror_slots(slots);
	name = name_of(slots[0], "log", small.segment, ".seg");
	flip(name, file_bytes(name) - 4096 + 34);
	check_finds(0, 0, 1);
	fault_of("segment", name);
}

/* --- volumes ---------------------------------------------------------------------------------- */

Test(check, a_flipped_bit_in_a_volume_names_drive_offset_and_object)
{
	const char *name = name_of(big_slots[2], "vol", big.volume, ".vol");
	const struct fault *f;

	flip(name, big.offset + VOLUME_UNIT_BYTES + 5);
	check_finds(0, 1, 0);
	f = fault_of("unit", name);
	cr_assert_eq(f->slot, (int)big_slots[2]);
	cr_assert_eq(f->offset, big.offset + VOLUME_UNIT_BYTES);
	cr_assert_str_eq(f->owner, "b/big");
}

Test(check, as_many_units_as_parity_bears_and_one_more)
{
	for (unsigned i = 0; i < 2; i++)
		flip(name_of(big_slots[i], "vol", big.volume, ".vol"), big.offset + 5);
	check_finds(0, 2, 0);
	flip(name_of(big_slots[2], "vol", big.volume, ".vol"), big.offset + 5);
	check_finds(1, 3, 0);
	cr_assert_str_eq(fault_of("body", "")->owner, "b/big");
}

Test(check, a_deleted_and_a_cut_shard)
{
	drop(name_of(big_slots[0], "vol", big.volume, ".vol"));
	check_finds(0, 1, 0);
	cr_assert_eq(fault_of("volume", ".vol")->slot, (int)big_slots[0]);
	cut(name_of(big_slots[1], "vol", big.volume, ".vol"), big.offset + 10);
	cr_assert_eq(check(NULL), 0);
	cr_assert_eq(sum.faults[CHECK_LOST], 0);
	cr_assert_eq(fault_of("volume", name_of(big_slots[1], "vol", big.volume, ".vol"))->offset,
	    big.offset + 10);
}

Test(check, parity_that_is_whole_and_wrong)
{
	big_write(true);
	check_finds(0, (unsigned)volume_row_count(2, &big), 0);
	cr_assert_eq(faults[0].slot, (int)big_slots[3]);
	cr_assert_not_null(strstr(faults[0].text, "parity"));
}

/* --- drives and catalogs ---------------------------------------------------------------------- */

Test(check, damaged_missing_and_torn_catalogs)
{
	char path[256];
	int fd;

	flip("d1/catalog", 50);
	check_finds(0, 1, 0);
	cr_assert_eq(fault_of("catalog", "d1/catalog")->slot, 1);
	snprintf(path, sizeof(path), "%s/d2/catalog", w.directory);
	fd = open(path, O_WRONLY | O_APPEND);	/* behind the zeros that are written ahead */
	cr_assert_eq(write(fd, "HFC1 and no more", 16), 16);
	close(fd);
	check_finds(0, 1, 1);
	cr_assert_eq(fault_of("catalog", "d2/catalog")->severity, CHECK_HARMLESS);
	drop("d3/catalog");
	cr_assert_eq(check(NULL), 0);
	fault_of("catalog", "d3/catalog");
	fault_of("set", "");
}

Test(check, an_old_catalog_is_named_with_both_epochs)
{
	struct buf old = BUF_INIT;
	char path[256];

	snprintf(path, sizeof(path), "%s/d0/catalog", w.directory);
	cr_assert_eq(file_read(path, 8 << 20, &old, NULL), 0);
	world_open(&w);
	world_close(&w);
	cr_assert_eq(file_replace(path, old.data, old.bytes, 0600, NULL), 0);
	buf_release(&old);
	check_finds(0, 1, 0);
	cr_assert_not_null(strstr(fault_of("catalog", "d0/catalog")->text, "the set is at"));
}

Test(check, a_damaged_drive_file_and_a_file_that_nothing_names)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/d0/log/00000000000000ff.seg", w.directory);
	cr_assert_eq(file_replace(path, "x", 1, 0600, NULL), 0);
	check_finds(0, 0, 1);
	fault_of("file", "d0/log/00000000000000ff.seg");
	drop("d0/log/00000000000000ff.seg");
	flip("d3/drive", 30);
	cr_assert_eq(check(NULL), 0);
	cr_assert_eq(sum.faults[CHECK_LOST], 0);
	cr_assert_eq(fault_of("drive", "/d3")->severity, CHECK_DEGRADED);
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

	snprintf(path, sizeof(path), "%s/index", w.directory);
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
	check_finds(0, 2, 0);
	cr_assert_not_null(strstr(faults[0].text, "Csection\\x00name"));
}

Test(check, a_volume_of_which_a_thin_extent_is_counted_that_is_none)
{
	struct edit x = edit_begin();
	struct index_reader r = { .index = x.index };
	Hf__VolumeUse *use;
	uint8_t value[256];

	key_volume(&x.key, big.volume);
	cr_assert_eq(row_get(&r, buf_slice(&x.key), &hf__volume_use__descriptor, (void *)&use,
	    NULL), 0);
	use->thin_extents = 1;
	cr_assert_leq(hf__volume_use__get_packed_size(use), sizeof(value));
	edit_put(&x, SLICE(value, hf__volume_use__pack(use, value)));
	hf__volume_use__free_unpacked(use, NULL);
	edit_end(&x);
	cr_assert_eq(check(NULL), 0);
	cr_assert_eq(sum.faults[CHECK_LOST], 0);
	cr_assert_eq(sum.faults[CHECK_DEGRADED], 3, "two of the comparison");
	cr_assert_not_null(strstr(faults[2].text, "lack a shard"));
}

/* What is counted of a segment is told twice, too: and by the rows that have their home there. */
Test(check, a_segment_of_which_too_little_is_counted)
{
	struct edit x = edit_begin();
	Hf__SegmentUse use = HF__SEGMENT_USE__INIT;
	uint8_t value[64];

	key_segment(&x.key, small.segment);
	use.records = use.dead_records = 1;
	edit_put(&x, SLICE(value, hf__segment_use__pack(&use, value)));
	key_dead(&x.key, 1);
	edit_put(&x, SLICE_NONE);
	edit_end(&x);
	cr_assert_eq(check(NULL), 0);
	cr_assert_eq(sum.faults[CHECK_LOST], 0);
	cr_assert_eq(sum.faults[CHECK_HARMLESS], 1, "a dead record of no segment");
	cr_assert_eq(sum.faults[CHECK_DEGRADED], 3 + 4,
	    "three of the comparison; homes, records, the dead, and what killed it");
}

/* Each fault of a task is told twice: by what follows from it, and because the log says other. */
Test(check, rows_of_tasks_that_contradict_each_other)
{
	struct edit x;

	check_finds(0, 0, 0);
	cr_assert_eq(sum.tasks, 2);
	x = edit_begin();
	key_task_place(&x.key, TASK_LIST_WAITING(0), 0, w.replies[40]->tasks[0]->id);
	index_delete(x.layer, buf_slice(&x.key));
	key_task_print(&x.key, SLICE_LITERAL("0-vacuum"), false, 4711);
	edit_put(&x, SLICE_LITERAL("12345678"));
	key_meta(&x.key, "tasks.pending");
	edit_put(&x, SLICE_LITERAL("\3\0\0\0\0\0\0\0"));
	edit_end(&x);
	cr_assert_eq(check(NULL), 0);
	cr_assert_eq(sum.faults[CHECK_LOST], 0);
	cr_assert_eq(sum.faults[CHECK_HARMLESS], 1, "the count of those that wait");
	cr_assert_eq(sum.faults[CHECK_DEGRADED], 4 + 3,
	    "four of the comparison; a place is missing, two are open, the sums differ");
}

Test(check, no_index_is_harmless_and_a_damaged_one_is_told)
{
	world_index_remove(&w);
	check_finds(0, 0, 1);
	cr_assert_eq(sum.objects, 8);
	world_open(&w);
	world_close(&w);
	world_index_damage(&w);
	cr_assert_eq(check(NULL), 0);
	cr_assert_eq(sum.faults[CHECK_LOST], 0);
	cr_assert_gt(sum.faults[CHECK_DEGRADED], 0);
}
