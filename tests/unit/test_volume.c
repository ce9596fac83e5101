/*
 * test_volume - geometry for every k and m, encoding against every loss, identity, and shard files
 * on drives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/log/segment_judge.h"
#include "libstore/volume/volume.h"

#include <criterion/criterion.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libstore/volume/volume_format.h"

static const uint64_t base_sizes[] = {
	1, 2, 4063, 4064, 4065, 4096, 65503, 65504, 65505, 65536, 131008, 262144, 1000003,
};

static void
check_geometry(unsigned k, uint64_t bytes)
{
	Hf__Extent x = HF__EXTENT__INIT;
	struct volume_row row;
	uint64_t i, body = 0, at = 8192, count;

	x.offset = at;
	x.bytes = bytes;
	count = volume_row_count(k, &x);
	for (i = 0; i < count; i++) {
		volume_row_get(k, &x, i, &row);
		cr_assert_eq(row.body_offset, body);
		cr_assert_eq(row.offset, at);
		cr_assert(row.unit_bytes % VOLUME_ALIGN_BYTES == 0 &&
		    row.unit_bytes <= VOLUME_UNIT_BYTES);
		cr_assert(row.body_bytes > 0);
		cr_assert_leq(row.body_bytes,
		    (uint64_t)k * (row.unit_bytes - VOLUME_TRAILER_BYTES));
		if (i + 1 < count)
			cr_assert_eq(row.unit_bytes, VOLUME_UNIT_BYTES);
		else if (row.unit_bytes > VOLUME_ALIGN_BYTES)	/* as small as it can be */
			cr_assert_gt(row.body_bytes,
			    (uint64_t)k * (row.unit_bytes - VOLUME_ALIGN_BYTES -
			    VOLUME_TRAILER_BYTES));
		body += row.body_bytes;
		at += row.unit_bytes;
	}
	cr_assert_eq(body, bytes);
	cr_assert_eq(at - 8192, volume_extent_shard_bytes(k, bytes));
}

Test(volume, geometry)
{
	unsigned k, i, j;

	for (k = 1; k <= 12; k++) {
		uint64_t row = volume_row_body_bytes(k);

		cr_assert_eq(volume_extent_shard_bytes(k, 0), 0);
		for (i = 0; i < sizeof(base_sizes) / sizeof(base_sizes[0]); i++)
			for (j = 0; j < 4; j++)
				check_geometry(k, base_sizes[i] + j * row);
		for (i = 1; i <= 3; i++) {
			check_geometry(k, i * row - 1);
			check_geometry(k, i * row);
			check_geometry(k, i * row + 1);
		}
		check_geometry(k, k * UINT64_C(4064));
		check_geometry(k, k * UINT64_C(4064) + 1);
	}
}

struct row_test {
	Hf__Extent	 x;
	struct volume_row row;
	struct erasure	*c;
	unsigned	 k, m;
	uint8_t		*units[16], *saved[16];
};

static void
row_test_make(struct row_test *t, unsigned k, unsigned m, uint32_t body_bytes)
{
	uint32_t left = body_bytes, payload;
	unsigned i;

	*t = (struct row_test){ .k = k, .m = m, .c = erasure_new(k, m) };
	hf__extent__init(&t->x);
	t->x.volume = 0x1234;
	t->x.offset = 40960;
	t->x.bytes = body_bytes;
	t->x.write_id = UINT64_C(0xfeedfacecafebeef);
	volume_row_get(k, &t->x, 0, &t->row);
	payload = t->row.unit_bytes - VOLUME_TRAILER_BYTES;
	for (i = 0; i < k + m; i++) {
		uint32_t here = i >= k ? 0 : left < payload ? left : payload;

		t->units[i] = malloc(t->row.unit_bytes);
		t->saved[i] = malloc(t->row.unit_bytes);
		memset(t->units[i], 0xAA, t->row.unit_bytes);	/* what is not body must not stay */
		random_bytes(t->units[i], here);
		left -= here;
	}
	volume_row_encode(t->c, k, m, &t->x, &t->row, t->units);
	for (i = 0; i < k + m; i++)
		memcpy(t->saved[i], t->units[i], t->row.unit_bytes);
}

static void
row_test_free(struct row_test *t)
{
	unsigned i;

	for (i = 0; i < t->k + t->m; i++) {
		free(t->units[i]);
		free(t->saved[i]);
	}
	erasure_free(t->c);
}

static void
check_loss(struct row_test *t, uint32_t lost)
{
	uint32_t present = ((1u << (t->k + t->m)) - 1) & ~lost;
	unsigned i;

	for (i = 0; i < t->k + t->m; i++)
		if (lost >> i & 1)
			memset(t->units[i], 0x55, t->row.unit_bytes);
	cr_assert_eq(erasure_rebuild(t->c, t->row.unit_bytes - VOLUME_TRAILER_BYTES, present, lost,
	    t->units), 0);
	for (i = 0; i < t->k + t->m; i++)
		if (lost >> i & 1) {
			volume_unit_seal(&t->x, &t->row, i, t->units[i]);
			cr_assert_eq(memcmp(t->units[i], t->saved[i], t->row.unit_bytes), 0);
		}
}

Test(volume, every_loss_is_rebuilt)
{
	static const uint32_t sizes[] = { 1, 5000, 200000 };
	struct row_test t;
	unsigned k, m, s, i;

	for (k = 1; k <= 12; k++)
		for (m = 0; m <= 4; m++)
			for (s = 0; s < 3; s++) {
				uint32_t bytes = sizes[s] > volume_row_body_bytes(k) ?
				    (uint32_t)volume_row_body_bytes(k) : sizes[s], lost, n = 0;
				struct err e = ERR_INIT;

				row_test_make(&t, k, m, bytes);
				for (i = 0; i < k + m; i++)
					cr_assert_eq(volume_unit_check(&t.x, &t.row, i, t.units[i],
					    &e), 0, "%s", e.text);
				for (lost = 1; lost < 1u << (k + m) && n < 40; lost += 1 + lost / 7)
					if ((unsigned)__builtin_popcount(lost) <= m) {
						check_loss(&t, lost);
						n++;
					}
				row_test_free(&t);
			}
}

Test(volume, damage_and_identity)
{
	struct row_test t;
	struct volume_row row;
	Hf__Extent x;
	uint32_t i;

	row_test_make(&t, 2, 2, 9000);
	for (i = 0; i < t.row.unit_bytes; i += 61) {	/* a bit anywhere, the trailer included */
		t.units[1][i] ^= 4;
		cr_assert_lt(volume_unit_check(&t.x, &t.row, 1, t.units[1], NULL), 0,
		    "bit in byte %u", i);
		t.units[1][i] ^= 4;
	}
	for (i = 0; i < VOLUME_TRAILER_BYTES; i++) {
		uint8_t *p = t.units[1] + t.row.unit_bytes - VOLUME_TRAILER_BYTES + i;

		*p ^= 0x80;
		cr_assert_lt(volume_unit_check(&t.x, &t.row, 1, t.units[1], NULL), 0,
		    "trailer byte %u", i);
		*p ^= 0x80;
	}
	cr_assert_eq(volume_unit_check(&t.x, &t.row, 1, t.units[1], NULL), 0);
	t.units[1][0] ^= 1;
	cr_assert_eq(volume_unit_check(&t.x, &t.row, 1, t.units[1], NULL), ERR_CORRUPT);
	t.units[1][0] ^= 1;

	/* A whole unit, but not this one. */
	cr_assert_eq(volume_unit_check(&t.x, &t.row, 0, t.units[1], NULL), ERR_STALE);
	x = t.x;
	x.write_id++;
	cr_assert_eq(volume_unit_check(&x, &t.row, 1, t.units[1], NULL), ERR_STALE);
	x = t.x;
	x.volume++;
	cr_assert_eq(volume_unit_check(&x, &t.row, 1, t.units[1], NULL), ERR_STALE);
	row = t.row;
	row.offset += 4096;
	cr_assert_eq(volume_unit_check(&t.x, &row, 1, t.units[1], NULL), ERR_STALE);

	memset(t.units[1], 0, t.row.unit_bytes);	/* punched */
	cr_assert_eq(volume_unit_check(&t.x, &t.row, 1, t.units[1], NULL), ERR_STALE);
	memset(t.units[1], 0xff, t.row.unit_bytes);
	cr_assert_eq(volume_unit_check(&t.x, &t.row, 1, t.units[1], NULL), ERR_CORRUPT);
	row_test_free(&t);
}

/* --- shard files ------------------------------------------------------------------------------ */

#define DRIVES 4

struct set_test {
	char		 root[64], paths[DRIVES][96];
	const char	*path_list[DRIVES];
	struct drive_set *set;
};

/* The real disk, where one drive can be made to look full. */
static struct disk_ops ops;
static struct disk disk = { .ops = &ops };
static char full_path[96];

static int
disk_space_of(struct disk *d, const char *path, struct disk_space *out, struct err *e)
{
	int rc = disk_posix()->ops->space(disk_posix(), path, out, e);

	(void)d;
	if (rc == 0 && full_path[0] != '\0') {
		out->filesystem = path[strlen(path) - 1];
		if (strcmp(path, full_path) == 0)
			out->free_bytes = 0;
	}
	return (rc);
}

static void
set_open(struct set_test *t)
{
	struct drive_set_options options = { .judge = &segment_judge,
	    .paths = t->path_list, .count = DRIVES,
	    .erasure = "2+2", .segment_bytes = 4u << 20, .volume_bytes = 16u << 20 };
	struct err e = ERR_INIT;
	int i;

	snprintf(t->root, sizeof(t->root), "/tmp/test_volume.XXXXXX");
	cr_assert_not_null(mkdtemp(t->root));
	for (i = 0; i < DRIVES; i++) {
		snprintf(t->paths[i], sizeof(t->paths[i]), "%s/d%d", t->root, i);
		mkdir(t->paths[i], 0700);
		t->path_list[i] = t->paths[i];
	}
	ops = *disk_posix()->ops;
	ops.space = disk_space_of;
	full_path[0] = '\0';
	cr_assert_eq(drive_set_open(&disk, &options, &t->set, &e), 0, "%s", e.text);
}

static void
set_close(struct set_test *t)
{
	char command[128];

	drive_set_close(&t->set);
	snprintf(command, sizeof(command), "rm -rf %s", t->root);
	cr_assert_eq(system(command), 0);
}

static int
shard_stat(struct set_test *t, unsigned slot, uint64_t id, struct stat *st)
{
	char path[4096], name[VOLUME_NAME_BYTES];

	volume_name(id, name);
	drive_path(t->set, slot, "vol", name, path);
	return (stat(path, st));
}

Test(volume, files_from_creation_to_drop)
{
	struct set_test t;
	struct err e = ERR_INIT;
	Hf__CatalogVolume *row;
	struct stat st;
	uint64_t id, other, epoch;
	uint32_t missed;
	int i;

	set_open(&t);
	cr_assert_eq(volume_create(t.set, &id, &e), 0, "%s", e.text);
	cr_assert_eq(volume_create(t.set, &other, &e), 0, "%s", e.text);
	cr_assert_neq(id, other);
	row = catalog_volume(t.set, id);
	cr_assert_not_null(row);
	cr_assert_eq(row->k, 2);
	cr_assert_eq(row->n_slots, 4);
	cr_assert_eq(row->slots[0], id % DRIVES);
	hf__catalog_volume__free_unpacked(row, NULL);
	for (i = 0; i < DRIVES; i++) {
		cr_assert_eq(shard_stat(&t, i, id, &st), 0);
		cr_assert_eq((uint64_t)st.st_size, drive_set_volume_bytes(t.set));
	}
	cr_assert_eq(volume_allocate(t.set, id, 65536, 1u << 20, &e), 0, "%s", e.text);
	cr_assert_eq(shard_stat(&t, 0, id, &st), 0);
	cr_assert_geq(st.st_blocks * 512, 1 << 20);
	cr_assert_eq(volume_punch(t.set, id, 65536, 1u << 20, &missed, &e), 0, "%s", e.text);
	cr_assert_eq(missed, 0);
	cr_assert_eq(volume_punch(t.set, id, 65536, 1u << 20, &missed, &e), 0, "again: %s", e.text);
	cr_assert_eq(shard_stat(&t, 0, id, &st), 0);
	cr_assert_lt(st.st_blocks * 512, 1 << 20);

	cr_assert_eq(volume_allocate(t.set, id, 0, 4097, &e), ERR_INVALID);
	cr_assert_eq(volume_allocate(t.set, id, drive_set_volume_bytes(t.set), 4096, &e),
	    ERR_INVALID);
	cr_assert_eq(volume_allocate(t.set, 999999, 0, 4096, &e), ERR_NOT_FOUND);

	cr_assert_eq(volume_seal(t.set, id, 0, &e), 0, "%s", e.text);
	cr_assert_eq(volume_seal(t.set, id, 0, &e), 0, "again: %s", e.text);
	row = catalog_volume(t.set, id);
	cr_assert_eq(row->state, HF__CATALOG_VOLUME__STATE__SEALED);
	cr_assert_eq(row->lacking, 0);
	hf__catalog_volume__free_unpacked(row, NULL);
	epoch = drive_set_epoch(t.set);
	cr_assert_eq(volume_seal(t.set, id, 2, &e), 0, "%s", e.text);
	cr_assert_eq(volume_seal(t.set, id, 2, &e), 0, "again: %s", e.text);
	cr_assert_eq(drive_set_epoch(t.set), epoch + 1, "what is so already takes no epoch");
	cr_assert_eq(catalog_lacking_marked(t.set, (unsigned)(id + 1) % DRIVES), 1);
	cr_assert_eq(catalog_lacking_marked(t.set, (unsigned)(id + 2) % DRIVES), 0);
	row = catalog_volume(t.set, id);
	cr_assert_eq(row->lacking, 2);
	hf__catalog_volume__free_unpacked(row, NULL);
	cr_assert_eq(volume_seal(t.set, 999999, 2, &e), ERR_NOT_FOUND);
	cr_assert_eq(volume_drop(t.set, id, &missed, &e), 0, "%s", e.text);
	cr_assert_eq(missed, 0);
	cr_assert_lt(shard_stat(&t, 0, id, &st), 0);
	cr_assert_eq(shard_stat(&t, 0, other, &st), 0);
	cr_assert_eq(volume_drop(t.set, id, &missed, &e), ERR_NOT_FOUND);
	set_close(&t);
}

Test(volume, a_failed_drive_is_left_out)
{
	struct set_test t;
	struct err e = ERR_INIT;
	struct volume_range range = { 0, 0, 65536 };
	struct stat st;
	uint64_t id;
	uint32_t missed;

	set_open(&t);
	cr_assert_eq(drive_fail(t.set, 3, "test", &e), 0, "%s", e.text);
	cr_assert_eq(volume_create(t.set, &id, &e), 0, "%s", e.text);
	cr_assert_lt(shard_stat(&t, 3, id, &st), 0);
	cr_assert_eq(shard_stat(&t, 2, id, &st), 0);
	cr_assert_eq(volume_allocate(t.set, id, 0, 65536, &e), 0, "%s", e.text);
	cr_assert_eq(volume_punch(t.set, id, 0, 65536, &missed, &e), 0, "%s", e.text);
	cr_assert_eq(missed, 1u << 3);
	cr_assert_eq(volume_punched_sync(t.set, id, &missed, &e), 0, "%s", e.text);
	cr_assert_eq(missed, 1u << 3);
	cr_assert_eq(volume_punch_slot(t.set, id, 2, &range, 1, &e), 0, "%s", e.text);
	cr_assert_eq(volume_punch_slot(t.set, id, 3, &range, 1, &e), 0, "no file: %s", e.text);
	cr_assert_eq(volume_drop(t.set, id, &missed, &e), 0, "%s", e.text);
	cr_assert_eq(missed, 1u << 3);
	set_close(&t);
}

Test(volume, a_full_set_allocates_nothing)
{
	struct set_test t;
	struct err e = ERR_INIT;
	struct stat st;
	uint64_t id;

	set_open(&t);
	cr_assert_eq(volume_create(t.set, &id, &e), 0, "%s", e.text);
	snprintf(full_path, sizeof(full_path), "%s", t.paths[2]);	/* only this one */
	drive_set_refresh_space(t.set);
	cr_assert_eq(volume_allocate(t.set, id, 0, 1u << 20, &e), ERR_FULL, "%s", e.text);
	cr_assert_eq(shard_stat(&t, 0, id, &st), 0);
	cr_assert_lt(st.st_blocks * 512, 1 << 20);
	full_path[0] = '\0';	/* room is found when it is asked for, not at the next look */
	cr_assert_eq(volume_allocate(t.set, id, 0, 1u << 20, &e), 0, "%s", e.text);
	set_close(&t);
}
