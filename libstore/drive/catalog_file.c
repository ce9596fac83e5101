/*
 * catalog_file - a drive's copy of the catalog: read it whole, replace it by a snapshot, append a
 * change.
 *
 * F1  Frames stand one behind the other, each on its own pages; an epoch follows its predecessor by
 *     one.
 * F2  A file is replaced by rename, never rewritten in place.
 * F3  Room for the next changes is allocated behind the frames, so that a full drive keeps its
 *     catalog.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/format/catalog_format.h"
#include "libstore/format/segment_format.h"

static uint32_t
frame_crc(const uint8_t *frame, size_t body_bytes, uint64_t offset)
{
	uint32_t crc = crc32c_seed(get_u64(frame + CATALOG_AT_EPOCH), offset);

	crc = crc32c(crc, frame, CATALOG_AT_CRC);
	return (crc32c(crc, frame + CATALOG_HEADER_BYTES, body_bytes));
}

/* The frame at an offset of the whole file: its change, or NULL if none is whole there. */
static Hf__CatalogChange *
frame_parse(const struct buf *file, uint64_t offset, uint64_t *next, uint32_t *version)
{
	const uint8_t *p = file->data + offset;
	Hf__CatalogChange *change;
	uint64_t bytes;

	if (file->bytes - offset < CATALOG_HEADER_BYTES || get_u32(p) != CATALOG_MAGIC)
		return (NULL);
	bytes = get_u32(p + CATALOG_AT_BYTES);
	if (bytes > CATALOG_BODY_BYTES_MAX || bytes > file->bytes - offset - CATALOG_HEADER_BYTES)
		return (NULL);
	if (get_u32(p + CATALOG_AT_CRC) != frame_crc(p, bytes, offset))
		return (NULL);
	*version = get_u32(p + CATALOG_AT_VERSION);
	change = hf__catalog_change__unpack(NULL, bytes, p + CATALOG_HEADER_BYTES);
	if (change != NULL && change->epoch != get_u64(p + CATALOG_AT_EPOCH)) {
		hf__catalog_change__free_unpacked(change, NULL);
		return (NULL);
	}
	*next = offset + align_up(CATALOG_HEADER_BYTES + bytes, CATALOG_ALIGN);
	return (change);
}

/* C3: something whole behind the first bad frame means that the bad one is damage, not a torn end.
 */
static bool
frame_follows(const struct buf *file, uint64_t offset)
{
	Hf__CatalogChange *change;
	uint32_t version;
	uint64_t next;

	for (offset += CATALOG_ALIGN; offset < file->bytes; offset += CATALOG_ALIGN) {
		change = frame_parse(file, offset, &next, &version);
		if (change != NULL) {
			hf__catalog_change__free_unpacked(change, NULL);
			return (true);
		}
	}
	return (false);
}

static bool
slots_can_be(const uint32_t *slots, size_t count)
{
	for (size_t i = 0; i < count && count <= DRIVES_MAX; i++)
		if (slots[i] >= DRIVES_MAX)
			return (false);
	return (count <= DRIVES_MAX);
}

/* Masks of files have a bit for each. */
static int
files_check(const Hf__CatalogChange *c, const char *path, struct err *e)
{
	size_t i;

	for (i = 0; i < c->n_segments; i++)
		if (!slots_can_be(c->segments[i]->slots, c->segments[i]->n_slots))
			return (err_set(e, ERR_CORRUPT, "%s: segment %016" PRIx64
			    " is on drives that cannot be", path, c->segments[i]->id));
	for (i = 0; i < c->n_volumes; i++)
		if (!slots_can_be(c->volumes[i]->slots, c->volumes[i]->n_slots))
			return (err_set(e, ERR_CORRUPT, "%s: volume %016" PRIx64
			    " is on drives that cannot be", path, c->volumes[i]->id));
	return (0);
}

static int
change_check(const Hf__CatalogChange *c, const char *path, uint64_t offset,
    const uint8_t deployment[16], const struct catalog_rows *rows, struct err *e)
{
	size_t i;

	if (offset == 0) {
		if (!c->snapshot)
			return (err_set(e, ERR_CORRUPT, "%s does not start with a snapshot", path));
		if (c->deployment.len != 16 || memcmp(c->deployment.data, deployment, 16) != 0)
			return (err_set(
			    e, ERR_INVALID, "%s is of another deployment than its drive", path));
	} else if (c->epoch != rows->epoch + 1)
		return (err_set(e, ERR_CORRUPT, "%s: epoch %" PRIu64 " follows epoch %" PRIu64,
		    path, c->epoch, rows->epoch));
	for (i = 0; i < c->n_sets; i++)
		if (c->sets[i]->number >= DRIVES_MAX || (c->sets[i]->number == 0 &&
		    c->sets[i]->state != HF__CATALOG_SET__STATE__ACTIVE))
			return (err_set(e, ERR_CORRUPT, "%s: set %u cannot be", path,
			    c->sets[i]->number));
	return (files_check(c, path, e));
}

static int
frames_apply(const struct buf *file, const char *path, const uint8_t deployment[16],
    struct catalog_rows *rows, uint64_t *end, struct err *e)
{
	Hf__CatalogChange *change;
	uint64_t offset = 0, next = 0;
	uint32_t version = 0;
	int rc;

	while (offset < file->bytes) {
		change = frame_parse(file, offset, &next, &version);
		if (change == NULL)
			break;
		rc = version > CATALOG_VERSION
			 ? err_set(e, ERR_VERSION, "%s is of version %u; this program knows %u",
			       path, version, CATALOG_VERSION)
			 : change_check(change, path, offset, deployment, rows, e);
		if (rc == 0)
			catalog_rows_apply(rows, change);
		hf__catalog_change__free_unpacked(change, NULL);
		if (rc < 0)
			return (rc);
		offset = next;
	}
	if (offset == 0)
		return (err_set(e, ERR_CORRUPT, "%s has no whole snapshot", path));
	if (offset < file->bytes && frame_follows(file, offset))
		return (err_set(e, ERR_CORRUPT, "%s is damaged at offset %" PRIu64, path, offset));
	*end = offset;
	return (0);
}

int
catalog_file_load(struct disk *d, const char *path, const uint8_t deployment[16],
    struct catalog_rows *rows, uint64_t *end, struct err *e)
{
	struct buf file = BUF_INIT;
	uint64_t bytes;
	ssize_t n;
	int handle, rc;

	handle = d->ops->open(d, path, O_RDONLY, e);
	if (handle < 0)
		return (handle);
	rc = d->ops->size(d, handle, &bytes, e);
	if (rc == 0 && bytes > 2 * (uint64_t)CATALOG_BODY_BYTES_MAX)
		rc = err_set(e, ERR_CORRUPT, "%s is too large for a catalog", path);
	if (rc == 0) {
		n = d->ops->pread(d, handle, buf_reserve(&file, bytes + 1), bytes, 0, e);
		rc = n < 0 ? (int)n : 0;
		file.bytes = n < 0 ? 0 : (size_t)n;
	}
	d->ops->close(d, handle);
	if (rc == 0)
		rc = frames_apply(&file, path, deployment, rows, end, e);
	buf_release(&file);
	return (rc);
}

int
catalog_frame_write(struct disk *d, int handle, uint64_t epoch, uint32_t version, struct slice body,
    uint64_t offset, uint64_t *end, struct err *e)
{
	uint64_t bytes = align_up(CATALOG_HEADER_BYTES + body.bytes, CATALOG_ALIGN);
	uint8_t *frame = calloc(1, bytes);
	struct iovec iov = { frame, bytes };
	int rc;

	assert(frame != NULL && body.bytes <= CATALOG_BODY_BYTES_MAX);
	put_u32(frame, CATALOG_MAGIC);
	put_u32(frame + CATALOG_AT_BYTES, (uint32_t)body.bytes);
	put_u64(frame + CATALOG_AT_EPOCH, epoch);
	put_u32(frame + CATALOG_AT_VERSION, version);
	memcpy(frame + CATALOG_HEADER_BYTES, body.data, body.bytes);
	put_u32(frame + CATALOG_AT_CRC, frame_crc(frame, body.bytes, offset));
	rc = d->ops->pwritev(d, handle, &iov, 1, offset, e);
	free(frame);
	if (rc == 0)
		*end = offset + bytes;
	return (rc);
}

int
catalog_file_append(struct drive_set *s, unsigned slot, uint64_t epoch, uint32_t version,
    struct slice body, struct err *e)
{
	assert(s->catalog_handle[slot] >= 0);
	return (catalog_frame_write(s->disk, s->catalog_handle[slot], epoch, version, body,
	    s->catalog_end[slot], &s->catalog_end[slot], e));
}

int
catalog_file_sync(struct drive_set *s, unsigned slot, struct err *e)
{
	return (s->disk->ops->datasync(s->disk, s->catalog_handle[slot], e));
}

/* F3; without room there is none to keep. */
static int
room_keep(struct disk *d, int handle, uint64_t end, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = d->ops->allocate(d, handle, end, CATALOG_ROOM_BYTES, &why);

	return (rc == 0 || rc == ERR_FULL ? 0 : err_set(e, rc, "%s", why.text));
}

static void
file_take(struct drive_set *s, unsigned slot, int handle, uint64_t snapshot_end, uint64_t end)
{
	if (s->catalog_handle[slot] >= 0)
		s->disk->ops->close(s->disk, s->catalog_handle[slot]);
	s->catalog_handle[slot] = handle;
	s->catalog_snapshot_end[slot] = snapshot_end;
	s->catalog_end[slot] = end;
}

/* Room that was allocated long ago does, if it is not all but used up. */
static int
room_check(struct disk *d, int handle, uint64_t end, const char *path, struct err *e)
{
	uint64_t bytes = 0;
	int rc = d->ops->allocate(d, handle, end, CATALOG_ROOM_BYTES, e);

	if (rc != ERR_FULL)
		return (rc);
	rc = d->ops->size(d, handle, &bytes, e);
	if (rc == 0 && bytes < end + CATALOG_ROOM_BYTES_LEAST)
		rc = err_set(e, ERR_FULL, "no space is left on the drive, and %s has room for %"
		    PRIu64 " bytes more", path, bytes > end ? bytes - end : 0);
	return (rc);
}

int
catalog_file_continue(struct drive_set *s, unsigned slot, uint64_t end, struct err *e)
{
	struct disk *d = s->disk;
	char path[4096];
	int handle, rc;

	drive_path(s, slot, "", "catalog", path);
	handle = d->ops->open(d, path, O_RDWR, e);
	if (handle < 0)
		return (handle);
	rc = room_check(d, handle, end, path, e);
	if (rc == 0)
		file_take(s, slot, handle, 0, end);
	else
		d->ops->close(d, handle);
	return (rc);
}

static uint32_t
rows_version(const struct catalog_rows *r)
{
	Hf__CatalogDrive *drives[DRIVES_MAX];

	for (unsigned i = 0; i < DRIVES_MAX; i++)
		drives[i] = (Hf__CatalogDrive *)(uintptr_t)&r->drives[i];
	return (catalog_rows_version(drives, DRIVES_MAX, r->set_count > 1));
}

/* A new file in a directory, in place and durable. */
static int
file_make(struct drive_set *s, const char *directory, int handle, uint64_t *end, struct err *e)
{
	struct disk *d = s->disk;
	char fresh[4096], path[4096];
	struct buf body = BUF_INIT;
	int rc;

	snprintf(fresh, sizeof(fresh), "%s/catalog.new", directory);
	snprintf(path, sizeof(path), "%s/catalog", directory);
	catalog_rows_pack(&s->rows, s->deployment, s->k, s->m, &body);
	rc = d->ops->truncate(d, handle, 0, e);
	if (rc == 0)
		rc = catalog_frame_write(d, handle, s->rows.epoch, rows_version(&s->rows),
		    buf_slice(&body), 0, end, e);
	if (rc == 0)
		rc = room_keep(d, handle, *end, e);
	if (rc == 0)
		rc = d->ops->datasync(d, handle, e);
	if (rc == 0)
		rc = d->ops->rename(d, fresh, path, e);
	if (rc == 0)
		rc = d->ops->sync_dir(d, directory, e);
	buf_release(&body);
	return (rc);
}

int
catalog_file_make(struct drive_set *s, const char *directory, int *handle, uint64_t *end,
    struct err *e)
{
	struct disk *d = s->disk;
	char fresh[4096];
	int rc;

	assert(strlen(directory) <= PATH_BYTES_MAX);
	snprintf(fresh, sizeof(fresh), "%s/catalog.new", directory);
	*end = 0;
	*handle = d->ops->open(d, fresh, O_RDWR | O_CREAT, e);
	if (*handle < 0)
		return (*handle);
	rc = file_make(s, directory, *handle, end, e);
	if (rc == 0)
		return (0);
	d->ops->close(d, *handle);
	d->ops->unlink(d, fresh, NULL);	/* its room */
	*handle = -1;
	return (rc);
}

int
catalog_file_replace(struct drive_set *s, unsigned slot, struct err *e)
{
	char directory[4096];
	uint64_t end;
	int handle, rc;

	drive_path(s, slot, "", "", directory);
	rc = catalog_file_make(s, directory, &handle, &end, e);
	if (rc < 0)
		return (rc);
	file_take(s, slot, handle, end, end);
	return (room_keep(s->disk, handle, end, e));	/* what the old one had may be it */
}
