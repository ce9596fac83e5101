/*
 * fuzz_catalog - any bytes as the two small files of a drive: each is taken, or refused with a
 * sentence. What a catalog says it says again when it was written anew.
 *
 * Input: the file as it is; then once more as frames with the right checksums, so that what is
 * behind those is reached: two bytes of length (little-endian), a CatalogChange, and so on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/format/catalog_format.h"
#include "tests/unit/disk_memory.h"

#define INPUT_BYTES_MAX	65536
#define K		2u
#define M		2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint8_t deployment[16];
static struct disk *disk;

static int
file_open(const char *path)
{
	int h = disk->ops->open(disk, path, O_RDWR | O_CREAT, NULL);

	assert(h >= 0 && disk->ops->truncate(disk, h, 0, NULL) == 0);
	return (h);
}

static void
bytes_write(int h, const void *data, size_t bytes, uint64_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)data, bytes };

	if (bytes > 0)
		assert(disk->ops->pwritev(disk, h, &iov, 1, offset, NULL) == 0);
}

/* --- the catalog ------------------------------------------------------------------------------ */

static void
slots_check(const uint32_t *slots, size_t count)
{
	assert(count <= DRIVES_MAX);
	for (size_t i = 0; i < count; i++)
		assert(slots[i] < DRIVES_MAX);
}

/* 0: *out is what it says, written anew. */
static int
rows_load(const char *path, struct buf *out)
{
	struct catalog_rows rows;
	struct err e = ERR_INIT;
	uint64_t end = 0;
	int rc;

	catalog_rows_init(&rows);
	rc = catalog_file_load(disk, path, deployment, &rows, &end, &e);
	assert(rc == 0 || rc == ERR_CORRUPT || rc == ERR_VERSION || rc == ERR_INVALID);
	assert(rc == 0 || e.text[0] != '\0');
	buf_reset(out);
	if (rc == 0) {
		assert(end > 0 && end % CATALOG_ALIGN == 0);
		for (size_t i = 0; i < rows.segment_count; i++)
			slots_check(rows.segments[i]->slots, rows.segments[i]->n_slots);
		for (size_t i = 0; i < rows.volume_count; i++)
			slots_check(rows.volumes[i]->slots, rows.volumes[i]->n_slots);
		catalog_rows_pack(&rows, deployment, K, M, out);
	}
	catalog_rows_release(&rows);
	return (rc);
}

static void
catalog_try(const char *path)
{
	struct buf first = BUF_INIT, again = BUF_INIT;
	Hf__CatalogChange *change;
	uint64_t end;
	int h;

	if (rows_load(path, &first) == 0) {
		change = hf__catalog_change__unpack(NULL, first.bytes, first.data);
		assert(change != NULL);
		h = file_open("/d0/again");
		assert(catalog_frame_write(disk, h, change->epoch, 1, buf_slice(&first), 0, &end,
		    NULL) == 0);
		disk->ops->close(disk, h);
		hf__catalog_change__free_unpacked(change, NULL);
		assert(rows_load("/d0/again", &again) == 0);
		assert(slice_equal(buf_slice(&first), buf_slice(&again)));
	}
	buf_release(&first);
	buf_release(&again);
}

/* Its epoch is that of its frame; the first one's deployment is the drive's. */
static uint64_t
epoch_of(struct slice body, bool first)
{
	Hf__CatalogChange *change = hf__catalog_change__unpack(NULL, body.bytes, body.data);
	uint64_t epoch = 0;

	if (change == NULL)
		return (0);
	epoch = change->epoch;
	if (first && change->deployment.len == sizeof(deployment))
		memcpy(deployment, change->deployment.data, sizeof(deployment));
	hf__catalog_change__free_unpacked(change, NULL);
	return (epoch);
}

static void
frames_write(int h, const uint8_t *data, size_t bytes)
{
	uint64_t at = 0;
	size_t n;

	for (; bytes > 2; data += 2 + n, bytes -= 2 + n) {
		struct slice body;

		n = get_u16(data);
		n = n < bytes - 2 ? n : bytes - 2;
		body = SLICE(data + 2, n);
		assert(catalog_frame_write(disk, h, epoch_of(body, at == 0), 1, body, at, &at,
		    NULL) == 0);
	}
}

/* --- the drive file --------------------------------------------------------------------------- */

static void
drive_try(const uint8_t *data, size_t bytes)
{
	uint8_t page[DRIVE_FILE_BYTES] = { 0 };
	Hf__DriveFile *file = NULL;
	struct err e = ERR_INIT;
	int h = file_open("/d0/drive"), rc;
	size_t n = bytes < sizeof(page) - DRIVE_BODY_AT ? bytes : sizeof(page) - DRIVE_BODY_AT;

	memcpy(page, DRIVE_MAGIC, 8);
	put_u32(page + DRIVE_AT_VERSION, bytes % 4 == 0 ? DRIVE_VERSION + 1 : DRIVE_VERSION);
	put_u32(page + DRIVE_AT_BYTES, (uint32_t)n);
	memcpy(page + DRIVE_BODY_AT, data, n);
	put_u32(page + DRIVE_AT_CRC, crc32c(crc32c(0, page, DRIVE_AT_CRC), page + DRIVE_BODY_AT,
	    n));
	bytes_write(h, page, sizeof(page), 0);
	rc = drive_file_read(disk, h, "/d0/drive", &file, &e);
	assert(rc == 0 || rc == ERR_CORRUPT || rc == ERR_VERSION);
	if (rc == 0) {
		assert(file->uuid.len == 16 && file->deployment.len == 16);
		hf__drive_file__free_unpacked(file, NULL);
	}
	bytes_write(h, data, bytes, 0);
	rc = drive_file_read(disk, h, "/d0/drive", &file, &e);
	if (rc == 0)
		hf__drive_file__free_unpacked(file, NULL);
	disk->ops->close(disk, h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	int h;

	if (bytes > INPUT_BYTES_MAX)
		return (0);
	disk = disk_memory_new(1, 1);
	h = file_open("/d0/catalog");
	bytes_write(h, data, bytes, 0);
	disk->ops->close(disk, h);
	catalog_try("/d0/catalog");
	h = file_open("/d0/frames");
	frames_write(h, data, bytes);
	disk->ops->close(disk, h);
	catalog_try("/d0/frames");
	drive_try(data, bytes);
	disk_memory_free(disk);
	return (0);
}
