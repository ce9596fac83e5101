/*
 * drive_file - the page that marks a directory as a drive: check it, make it.
 *
 * F1  The file comes into being by rename of a file that is whole, synced and locked, so that
 * nobody ever sees a half-written one, and two processes never format one drive.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "libbase/checksum.h"
#include "libbase/clock.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/format/catalog_format.h"

static uint32_t
page_crc(const uint8_t *page, size_t body_bytes)
{
	return (crc32c(crc32c(0, page, DRIVE_AT_CRC), page + DRIVE_BODY_AT, body_bytes));
}

static bool
page_whole(const uint8_t *page)
{
	uint32_t bytes = get_u32(page + DRIVE_AT_BYTES);

	return (bytes <= DRIVE_FILE_BYTES - DRIVE_BODY_AT &&
	    get_u32(page + DRIVE_AT_CRC) == page_crc(page, bytes));
}

/* A page of ours in which only the number of the version is damaged. */
static bool
version_rotten(const uint8_t *page)
{
	uint8_t ours[DRIVE_FILE_BYTES];

	memcpy(ours, page, sizeof(ours));
	put_u32(ours + DRIVE_AT_VERSION, DRIVE_VERSION);
	return (!page_whole(page) && page_whole(ours));
}

int
drive_file_read(struct disk *d, int handle, const char *path, Hf__DriveFile **out, struct err *e)
{
	uint8_t page[DRIVE_FILE_BYTES];
	uint32_t bytes;
	ssize_t n;

	n = d->ops->pread(d, handle, page, sizeof(page), 0, e);
	if (n < 0)
		return ((int)n);
	if ((size_t)n < sizeof(page) || memcmp(page, DRIVE_MAGIC, 8) != 0)
		return (err_set(e, ERR_CORRUPT, "%s is not a drive file", path));
	if (get_u32(page + DRIVE_AT_VERSION) > DRIVE_VERSION && !version_rotten(page))
		return (err_set(e, ERR_VERSION, "%s is of version %u; this program knows %u", path,
		    get_u32(page + DRIVE_AT_VERSION), DRIVE_VERSION));
	bytes = get_u32(page + DRIVE_AT_BYTES);
	if (!page_whole(page))
		return (err_set(e, ERR_CORRUPT, "%s is damaged: its checksum is wrong", path));
	*out = hf__drive_file__unpack(NULL, bytes, page + DRIVE_BODY_AT);
	if (*out == NULL || (*out)->deployment.len != 16 || (*out)->uuid.len != 16) {
		if (*out != NULL)
			hf__drive_file__free_unpacked(*out, NULL);
		*out = NULL;
		return (err_set(e, ERR_CORRUPT, "%s is damaged: its body is malformed", path));
	}
	return (0);
}

static int
page_write(struct disk *d, int handle, const Hf__DriveFile *file, struct err *e)
{
	uint8_t page[DRIVE_FILE_BYTES] = { 0 };
	struct iovec iov = { page, sizeof(page) };
	size_t bytes = hf__drive_file__get_packed_size(file);
	int rc;

	assert(bytes <= sizeof(page) - DRIVE_BODY_AT);
	memcpy(page, DRIVE_MAGIC, 8);
	put_u32(page + DRIVE_AT_VERSION, DRIVE_VERSION);
	put_u32(page + DRIVE_AT_BYTES, (uint32_t)bytes);
	hf__drive_file__pack(file, page + DRIVE_BODY_AT);
	put_u32(page + DRIVE_AT_CRC, page_crc(page, bytes));
	rc = d->ops->pwritev(d, handle, &iov, 1, 0, e);
	if (rc == 0)
		rc = d->ops->datasync(d, handle, e);
	return (rc);
}

void
drive_file_fill(const struct drive_set *s, unsigned slot, uint8_t uuid[16], Hf__DriveFile *out)
{
	hf__drive_file__init(out);
	out->version = DRIVE_VERSION;
	out->deployment.data = (uint8_t *)(uintptr_t)s->deployment;
	out->deployment.len = 16;
	out->set = drive_set_of(s, slot);
	out->slot = slot;
	out->uuid.data = uuid;
	out->uuid.len = 16;
	out->k = s->k;
	out->m = s->m;
	out->created_ms = clock_real_ms();
}

/* The directories above a path; not the root, where /drive may be anything. */
int
drive_file_outside(struct disk *d, const char *path, struct err *e)
{
	struct disk *u = d->direct != NULL ? d->direct : d;
	char above[4096], name[4096 + 8];
	Hf__DriveFile *file;
	char *slash;
	int handle, rc;

	snprintf(above, sizeof(above), "%s", path);
	while ((slash = strrchr(above, '/')) != NULL && slash != above) {
		*slash = '\0';
		snprintf(name, sizeof(name), "%s/drive", above);
		if (slash[1] == '\0' || (handle = u->ops->open(u, name, O_RDONLY, NULL)) < 0)
			continue;
		rc = drive_file_read(u, handle, name, &file, NULL);
		u->ops->close(u, handle);
		if (rc < 0)
			continue;
		hf__drive_file__free_unpacked(file, NULL);
		return (err_set(e, ERR_INVALID, "%.1500s lies inside of %.1500s, which is a drive: "
		    "a drive is a directory of its own", path, above));
	}
	return (0);
}

int
drive_file_create(struct disk *d, const char *path, const Hf__DriveFile *file, bool over,
    int *handle, struct err *e)
{
	char fresh[4096], final[4096];
	int fd, other, rc;

	snprintf(fresh, sizeof(fresh), "%s/drive.new", path);
	snprintf(final, sizeof(final), "%s/drive", path);
	rc = over ? 0 : drive_file_outside(d, path, e);
	if (rc < 0)
		return (rc);
	fd = d->ops->open(d, fresh, O_RDWR | O_CREAT, e);
	if (fd < 0)
		return (fd);
	rc = d->ops->lock(d, fd, e);
	if (rc == 0) {
		other = over ? ERR_NOT_FOUND : d->ops->open(d, final, O_RDONLY, NULL);
		if (other >= 0) {
			d->ops->close(d, other);
			rc = err_set(e, ERR_LOCKED, "%s was just made by another process", final);
		}
	}
	if (rc == 0)
		rc = page_write(d, fd, file, e);
	if (rc == 0)
		rc = d->ops->rename(d, fresh, final, e);
	if (rc == 0)
		rc = d->ops->sync_dir(d, path, e);
	if (rc < 0) {
		d->ops->close(d, fd);
		return (rc);
	}
	*handle = fd;
	return (0);
}
