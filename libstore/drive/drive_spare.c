/*
 * drive_spare - the part of the reserve that others cannot take: a few files on each drive, as
 * large as a short segment and allocated whole. One of them becomes the next segment of the log
 * where nothing else is left, so that deletes go on.
 *
 * Y1  A file is renamed to where it is needed: its room is never anybody's in between.
 * Y2  What stands in these files counts as free: it is ours, behind the shares of the log. They are
 *     used while there still is some room without them: catalogs can use no other.
 * Y3  They lie in a directory that only a drive has: where a file system went away or another
 *     directory was put, nothing is made.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/format/catalog_format.h"

/* Catalogs cannot use spares: so much is left to them by who can. */
#define OTHERS_BYTES (CATALOG_ROOM_BYTES + (UINT64_C(256) << 10))

static void
spare_path(const struct drive_set *s, unsigned slot, unsigned n, char out[4096])
{
	char name[16];

	snprintf(name, sizeof(name), "%u", n);
	drive_path(s, slot, "reserve", name, out);
}

/* One file, whole, or none. It need not be durable: the next start makes it again. */
static bool
spare_make(struct drive_set *s, unsigned slot, unsigned n)
{
	struct disk *d = s->disk;
	uint64_t bytes = 0;
	char path[4096];
	int handle, rc;

	spare_path(s, slot, n, path);
	handle = d->ops->open(d, path, O_RDWR | O_CREAT, NULL);
	if (handle < 0)
		return (false);
	rc = d->ops->size(d, handle, &bytes, NULL);
	if (rc == 0 && bytes < s->spare_bytes)
		rc = d->ops->allocate(d, handle, 0, s->spare_bytes, NULL);
	d->ops->close(d, handle);
	if (rc < 0)
		(void)d->ops->unlink(d, path, NULL);
	return (rc == 0);
}

static bool
room_left(struct drive_set *s, unsigned slot, uint64_t bytes)
{
	struct disk_space space;

	return (s->disk->ops->space(s->disk, s->drives[slot].path, &space, NULL) == 0 &&
	    !space.read_only && space.free_bytes >= bytes + OTHERS_BYTES);
}

static void
spares_make(struct drive_set *s, unsigned slot)
{
	for (unsigned n = 0; n < SPARES; n++) {
		if (s->spares[slot] >> n & 1)
			continue;
		if (!room_left(s, slot, 2 * s->spare_bytes) || !spare_make(s, slot, n))
			break;
		pthread_mutex_lock(&s->lock);
		s->spares[slot] |= 1u << n;
		pthread_mutex_unlock(&s->lock);
	}
}

/* Those that a full drive kept from before. */
static void
spares_find(struct drive_set *s, unsigned slot)
{
	struct disk *d = s->disk;
	uint64_t bytes;
	char path[4096];

	for (unsigned n = 0; n < SPARES; n++) {
		int handle;

		spare_path(s, slot, n, path);
		handle = d->ops->open(d, path, O_RDONLY, NULL);
		if (handle < 0)
			continue;
		if (d->ops->size(d, handle, &bytes, NULL) == 0 && bytes >= s->spare_bytes)
			s->spares[slot] |= 1u << n;
		d->ops->close(d, handle);
	}
	s->spares_found |= 1u << slot;
}

void
drive_spares_keep(struct drive_set *s, uint64_t bytes)
{
	uint32_t present = drive_present_mask(s);

	s->spare_bytes = bytes;
	for (unsigned slot = 0; slot < s->count; slot++) {
		if (!(present >> slot & 1) || s->spares[slot] == (1u << SPARES) - 1)
			continue;
		pthread_mutex_lock(&s->lock);
		if (!(s->spares_found >> slot & 1))
			s->spares[slot] = 0;
		pthread_mutex_unlock(&s->lock);
		if (!(s->spares_found >> slot & 1))
			spares_find(s, slot);
		if (!drive_set_read_only(s))
			spares_make(s, slot);
	}
}

bool
drive_spare_take(struct drive_set *s, unsigned slot, uint64_t bytes, const char *to)
{
	struct disk *d = s->disk;
	char path[4096], directory[4096];
	bool taken = false;

	drive_path(s, slot, "reserve", "", directory);
	for (unsigned n = 0; !taken && n < SPARES && bytes <= s->spare_bytes; n++) {
		if (!(s->spares[slot] >> n & 1))
			continue;
		pthread_mutex_lock(&s->lock);
		s->spares[slot] &= (uint8_t)~(1u << n);
		pthread_mutex_unlock(&s->lock);
		spare_path(s, slot, n, path);
		taken = d->ops->rename(d, path, to, NULL) == 0 &&
		    d->ops->sync_dir(d, directory, NULL) == 0;
	}
	return (taken);
}

bool
drive_spare_due(struct drive_set *s, unsigned slot, uint64_t bytes)
{
	return (s->spares[slot] != 0 && bytes <= s->spare_bytes && !room_left(s, slot, bytes));
}

uint64_t
drive_spares_bytes(const struct drive_set *s, uint64_t filesystem)
{
	uint32_t live = drive_live_mask(s);
	uint64_t n = 0;

	for (unsigned i = 0; i < s->count; i++)
		if (live >> i & 1 && s->drives[i].space.filesystem == filesystem)
			n += (unsigned)__builtin_popcount(s->spares[i]);
	return (n * s->spare_bytes);
}
