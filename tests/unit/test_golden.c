/*
 * test_golden - stores that earlier programs left are read by this one; a newer version of any file
 * is refused, by name, and nothing is touched.
 *
 * tests/golden/v1/set.tar.xz was made with:
 *	mkdir OUT; HOLDFAST_GOLDEN_MAKE=OUT tests/unit/test_golden --filter golden/make
 *	tar -C OUT -cS d0 d1 d2 d3 | xz -9e >tests/golden/v1/set.tar.xz
 * It is made anew only for a new version, in a directory of that version; this one stays.
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
#include <unistd.h>

#include "libbase/checksum.h"
#include "libbase/file.h"
#include "libstore/format/catalog_format.h"
#include "libstore/index/index_keys.h"
#include "libstore/format/segment_format.h"
#include "libstore/volume/volume.h"
#include "tests/unit/golden.h"
#include "tests/unit/world_check.h"

#define SMALL_COUNT	6u		/* "small-0" to "small-5", of 0, 700, 1400, ... bytes */
#define BIG_BYTES	140000u		/* "big": a full row and a short one of 2+2 */

static struct world w;

static void
small_body(unsigned n, char out[8192])
{
	for (unsigned i = 0; i < n * 700; i++)
		out[i] = (char)('a' + (n + i / 7) % 26);
	out[n * 700] = '\0';
}

static uint8_t
big_byte(uint64_t at)
{
	return ((uint8_t)(at * 31 + at / 251));
}

/* --- making one ------------------------------------------------------------------------------- */

static void
unit_write(const Hf__CatalogVolume *layout, unsigned shard, uint64_t offset, const uint8_t *unit,
    size_t bytes)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/d%u/vol/%016" PRIx64 ".vol", w.directory,
	    layout->slots[shard], layout->id);
	fd = open(path, O_WRONLY);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, unit, bytes, (off_t)offset), (ssize_t)bytes);
	close(fd);
}

static void
big_put(uint64_t sequence)
{
	WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);
	Hf__Extent x = HF__EXTENT__INIT;
	struct erasure *c = erasure_new(2, 2);
	const Hf__Run *run_granted;
	uint8_t *units[4];

	op.bytes = BIG_BYTES;
	run_granted = world_ask(&w, sequence, &q)->run;
	cr_assert_not_null(run_granted);
	x.volume = run_granted->volume;
	x.offset = run_granted->offset;
	x.bytes = BIG_BYTES;
	x.write_id = 0x0123456789abcdef;
	for (unsigned i = 0; i < 4; i++)
		units[i] = malloc(VOLUME_UNIT_BYTES);
	for (uint64_t n = 0; n < volume_row_count(2, &x); n++) {
		struct volume_row row;

		volume_row_get(2, &x, n, &row);
		for (uint32_t i = 0; i < row.body_bytes; i++)
			units[i / (row.unit_bytes - VOLUME_TRAILER_BYTES)]
			    [i % (row.unit_bytes - VOLUME_TRAILER_BYTES)] =
			    big_byte(row.body_offset + i);
		volume_row_encode(c, 2, 2, &x, &row, units);
		for (unsigned i = 0; i < 4; i++)
			unit_write(run_granted->layout, i, row.offset, units[i], row.unit_bytes);
	}
	for (unsigned i = 0; i < 4; i++)
		free(units[i]);
	erasure_free(c);
	world_put_extent(&w, sequence + 1, "golden", "big", &x);
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence + 1), 0);
}

static void
small_put(unsigned n, uint64_t sequence)
{
	char key[32], body[8192];

	snprintf(key, sizeof(key), "small-%u", n);
	small_body(n, body);
	world_put(&w, sequence, "golden", key, body, NULL);
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence), 0);
}

/* A sealed segment with everything, and an open one behind it, as a kill leaves it. */
Test(golden, make, .timeout = 60)
{
	const char *out = golden_out();

	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "golden");
	world_settle(&w);
	for (unsigned i = 0; i < SMALL_COUNT - 1; i++)
		small_put(i, 2 + i);
	big_put(10);
	world_close(&w);
	world_open(&w);
	world_session(&w, 2);
	small_put(SMALL_COUNT - 1, 20);
	golden_leave(&w, out);
	world_close(&w);
	world_remove(&w);
}

/* --- reading it ------------------------------------------------------------------------------- */

static void
unpack(void)
{
	golden_unpack(&w, "v1/set.tar.xz");
}

static void
golden_remove(void)
{
	world_remove(&w);
}

static unsigned faults;

static void
on_fault(void *context, const struct check_fault *f)
{
	(void)context;
	faults += f->severity != CHECK_HARMLESS;
	fprintf(stderr, "%s %s %s\n", f->kind, f->path != NULL ? f->path : "-", f->text);
}

static int
set_check(struct check_summary *sum, struct err *e)
{
	faults = 0;
	return (world_check(&w, on_fault, NULL, sum, e));
}

static void
bytes_read(unsigned slot, const char *sub, uint64_t id, const char *ending, uint64_t offset,
    void *out, size_t bytes)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/d%u/%s/%016" PRIx64 "%s", w.directory, slot, sub, id,
	    ending);
	fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(pread(fd, out, bytes, (off_t)offset), (ssize_t)bytes);
	close(fd);
}

static void
small_expect(unsigned n, uint64_t sequence)
{
	char key[32], body[8192], record[16384];
	const Hf__ObjectEntry *entry;
	Hf__CatalogSegment *row;
	struct slice data;
	struct err e = ERR_INIT;

	snprintf(key, sizeof(key), "small-%u", n);
	small_body(n, body);
	entry = world_get(&w, sequence, "golden", key)->entry;
	cr_assert_not_null(entry, "%s", key);
	cr_assert_eq(entry->bytes, n * 700);
	if (n == 0)
		return;
	row = catalog_segment(w.drives, entry->place->segment);
	for (size_t i = 0; i < row->n_slots; i++) {
		bytes_read(row->slots[i], "log", row->id, ".seg", entry->place->offset, record,
		    entry->place->record_bytes);
		cr_assert_eq(record_body(SLICE(record, entry->place->record_bytes), entry->place,
		    &data, &e), 0, "%s", e.text);
		cr_assert_eq(data.bytes, n * 700);
		cr_assert_eq(memcmp(data.data, body, n * 700), 0);
	}
	hf__catalog_segment__free_unpacked(row, NULL);
}

static void
big_expect(uint64_t sequence)
{
	const Hf__ObjectEntry *entry = world_get(&w, sequence, "golden", "big")->entry;
	Hf__CatalogVolume *row = catalog_volume(w.drives, entry->extents[0]->volume);
	uint8_t unit[VOLUME_UNIT_BYTES];
	struct volume_row r;
	uint64_t at = 0;

	cr_assert_eq(entry->bytes, BIG_BYTES);
	for (uint64_t n = 0; n < volume_row_count(2, entry->extents[0]); n++) {
		volume_row_get(2, entry->extents[0], n, &r);
		for (unsigned i = 0; i < 2; i++) {
			bytes_read(row->slots[i], "vol", row->id, ".vol", r.offset, unit,
			    r.unit_bytes);
			cr_assert_eq(volume_unit_check(entry->extents[0], &r, i, unit, NULL), 0);
			for (uint32_t b = 0; b < r.unit_bytes - VOLUME_TRAILER_BYTES &&
			    at < r.body_offset + r.body_bytes; b++, at++)
				cr_assert_eq(unit[b], big_byte(at));
		}
	}
	cr_assert_eq(at, BIG_BYTES);
	hf__catalog_volume__free_unpacked(row, NULL);
}

Test(golden, every_object_of_version_1_is_read, .init = unpack, .fini = golden_remove,
    .timeout = 60)
{
	struct check_summary sum;
	struct err e = ERR_INIT;

	cr_assert_eq(set_check(&sum, &e), 0, "%s", e.text);
	cr_assert_eq(faults, 0);
	cr_assert_eq(sum.objects, SMALL_COUNT + 1);
	w.now_ms = 1;
	world_open(&w);
	world_session(&w, 9);
	for (unsigned i = 0; i < SMALL_COUNT; i++)
		small_expect(i, 1 + i);
	big_expect(50);
	world_close(&w);
	cr_assert_eq(set_check(&sum, &e), 0, "%s", e.text);
	cr_assert_eq(faults, 0);
}

/* --- newer versions --------------------------------------------------------------------------- */

static uint32_t tree_crc;

static int
tree_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct buf text = BUF_INIT;

	(void)ftw;
	(void)st;
	if (strstr(path, "/index") != NULL)
		return (0);
	tree_crc = crc32c(tree_crc, path, strlen(path));
	if (type == FTW_F && file_read(path, 32 << 20, &text, NULL) == 0)
		tree_crc = crc32c(tree_crc, text.data, text.bytes);
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

static uint8_t *
file_take(const char *name, int *fd, struct stat *st)
{
	char path[256];
	uint8_t *p;

	snprintf(path, sizeof(path), "%s/%s", w.directory, name);
	*fd = open(path, O_RDWR);
	cr_assert_geq(*fd, 0, "%s", path);
	cr_assert_eq(fstat(*fd, st), 0);
	p = malloc((size_t)st->st_size);
	cr_assert_eq(pread(*fd, p, (size_t)st->st_size, 0), st->st_size);
	return (p);
}

/* Both who serves and who looks refuse, with the file's name and both versions. */
static void
refused(const char *name, const char *versions)
{
	uint32_t before = tree_sum();
	struct check_summary sum;
	struct err e = ERR_INIT;

	cr_assert_eq(world_try_open(&w, &e), ERR_VERSION, "%s", e.text);
	cr_assert_not_null(strstr(e.text, name), "%s", e.text);
	cr_assert_not_null(strstr(e.text, versions), "%s", e.text);
	cr_assert_eq(tree_sum(), before, "something was touched");
	if (strstr(name, ".seg") == NULL)
		cr_assert_eq(set_check(&sum, &e), ERR_VERSION);
	cr_assert_eq(tree_sum(), before);
}

TestSuite(newer, .init = unpack, .fini = golden_remove, .timeout = 60);

Test(newer, drive_file_is_refused)
{
	struct stat st;
	int fd;
	uint8_t *p = file_take("d1/drive", &fd, &st);

	put_u32(p + DRIVE_AT_VERSION, DRIVE_VERSION + 1);
	put_u32(p + DRIVE_AT_CRC, crc32c(crc32c(0, p, DRIVE_AT_CRC), p + DRIVE_BODY_AT,
	    get_u32(p + DRIVE_AT_BYTES)));
	cr_assert_eq(pwrite(fd, p, DRIVE_BODY_AT, 0), DRIVE_BODY_AT);
	close(fd);
	free(p);
	refused("/d1/drive", "version 2; this program knows 1");
}

/* Not a newer program's: it is damaged, and the others will do. */
Test(newer, a_rotten_version_is_damage)
{
	struct err e = ERR_INIT;
	struct drive d;
	struct stat st;
	int fd;
	uint8_t *p = file_take("d1/drive", &fd, &st);

	p[DRIVE_AT_VERSION] ^= 16;
	cr_assert_eq(pwrite(fd, p, 16, 0), 16);
	close(fd);
	free(p);
	cr_assert_eq(world_try_open(&w, &e), 0, "%s", e.text);
	drive_get(w.drives, 1, &d);
	cr_assert(d.state != HF__CATALOG_DRIVE__STATE__ONLINE || d.note[0] != '\0', "not seen");
	world_close(&w);
}

Test(newer, catalog_is_refused)
{
	struct stat st;
	int fd;
	uint8_t *p = file_take("d2/catalog", &fd, &st);
	uint32_t crc = crc32c_seed(get_u64(p + CATALOG_AT_EPOCH), 0);

	put_u32(p + CATALOG_AT_VERSION, CATALOG_VERSION + 1);
	crc = crc32c(crc, p, CATALOG_AT_CRC);
	crc = crc32c(crc, p + CATALOG_HEADER_BYTES, get_u32(p + CATALOG_AT_BYTES));
	put_u32(p + CATALOG_AT_CRC, crc);
	cr_assert_eq(pwrite(fd, p, CATALOG_HEADER_BYTES, 0), CATALOG_HEADER_BYTES);
	close(fd);
	free(p);
	refused("/d2/catalog", "version 4; this program knows 3");
}

/* Every program opens a segment of its own: the newest on a drive tells. */
static void
newest_segment(char out[64], uint64_t *id)
{
	char path[256];

	for (uint64_t n = 64; n > 0; n--)
		for (unsigned slot = 0; slot < 4; slot++) {
			snprintf(out, 64, "d%u/log/%016" PRIx64 ".seg", slot, n);
			snprintf(path, sizeof(path), "%s/%s", w.directory, out);
			if (access(path, F_OK) == 0) {
				*id = n;
				return;
			}
		}
	cr_assert_fail("no segment");
}

Test(newer, segment_is_refused)
{
	struct check_summary sum;
	char name[64];
	struct stat st;
	uint64_t id = 0;
	uint8_t *p;
	int fd;

	world_open(&w);
	world_session(&w, 9);
	world_close(&w);
	newest_segment(name, &id);
	p = file_take(name, &fd, &st);
	put_u32(p + SEGMENT_AT_VERSION, SEGMENT_VERSION + 1);
	put_u32(p + SEGMENT_AT_CRC, crc32c(crc32c_seed(id, 0), p, SEGMENT_AT_CRC));
	cr_assert_eq(pwrite(fd, p, SEGMENT_HEADER_BYTES, 0), (ssize_t)SEGMENT_HEADER_BYTES);
	close(fd);
	free(p);
	refused(strchr(name, '/'), "version 2; this program knows 1");
	cr_assert_eq(set_check(&sum, NULL), 0);
	cr_assert_eq(faults, 1, "the check names it, and goes on");
}

Test(newer, index_is_refused)
{
	struct index_layer *l = index_layer_new();
	struct err e = ERR_INIT;
	struct index *x = NULL;
	struct buf key = BUF_INIT;
	uint8_t version[8];
	char path[128];

	world_open(&w);
	world_close(&w);
	snprintf(path, sizeof(path), "%s/index", w.directory);
	cr_assert_eq(index_open(path, 8 << 20, &x, NULL), 0);
	key_meta(&key, "format");
	put_u64(version, INDEX_FORMAT_VERSION + 1);
	index_put(l, buf_slice(&key), SLICE(version, 8));
	cr_assert_eq(index_write(x, l, index_applied(x), NULL), 0);
	index_close(&x);
	cr_assert_eq(index_open(path, 8 << 20, &x, &e), ERR_VERSION);
	cr_assert_not_null(strstr(e.text, path), "%s", e.text);
	cr_assert_not_null(strstr(e.text, "; this program knows "), "%s", e.text);
	index_layer_free(l);
	buf_release(&key);
}
