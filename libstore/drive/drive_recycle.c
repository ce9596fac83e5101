/*
 * drive_recycle - files of segments that were dropped, kept in reserve/ to become those of next
 * ones: their blocks were written before, so nobody writes zeros to them.
 *
 * X1  Who gives a file away knows that nobody writes to it any more (segment.c). Who still reads
 *     from it finds the header of another segment, written and synced before anything else
 *     changes.
 * X2  A file is renamed to where it is kept and to where it is used, each rename synced before
 *     the next step: it never has two names, and what a crash leaves is in reserve/, or ends with
 *     .new, or is not named by the catalog.
 * X3  Every look at the space, and so the one before anything is refused, removes them where less
 *     is left than the reserve and a half. They do not count as free: what the last look promised
 *     can be had while they are there, and the reserve stays.
 * X4  A sync of a directory that failed costs the drive, though the file itself could be done
 *     without (drive_directory_sync).
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
#include "libstore/format/segment_format.h"

#define WORTH	8	/* a smaller part of a segment is not worth its place */

static void
kept_path(const struct drive_set *s, unsigned slot, uint64_t id, char out[4096])
{
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64 RECYCLED_ENDING, id);
	drive_path(s, slot, "reserve", name, out);
}

static void
directory_sync(struct drive_set *s, unsigned slot, const char *sub, int *rc, struct err *e)
{
	char directory[4096];

	drive_path(s, slot, sub, "", directory);
	if (*rc == 0)
		*rc = s->disk->ops->sync_dir(s->disk, directory, e);
}

/* Room is given back also where a reader keeps it open. */
static void
file_remove(struct drive_set *s, const char *path)
{
	struct disk *d = s->disk;
	int handle = d->ops->open(d, path, O_RDWR, NULL);

	if (handle >= 0) {
		(void)d->ops->truncate(d, handle, 0, NULL);
		d->ops->close(d, handle);
	}
	(void)d->ops->unlink(d, path, NULL);
}

/* lock is held. Index of the smallest or largest. */
static unsigned
kept_extreme(const struct drive_set *s, unsigned slot, bool largest)
{
	unsigned best = 0;

	for (unsigned n = 1; n < s->recycled_count[slot]; n++)
		if (s->recycled[slot][n].bytes != s->recycled[slot][best].bytes &&
		    (s->recycled[slot][n].bytes > s->recycled[slot][best].bytes) == largest)
			best = n;
	return (best);
}

static bool
kept_pop(struct drive_set *s, unsigned slot, struct recycled *out)
{
	struct recycled *all = s->recycled[slot];
	unsigned best;
	bool some;

	pthread_mutex_lock(&s->lock);
	some = s->recycled_count[slot] > 0;
	if (some) {
		best = kept_extreme(s, slot, true);
		*out = all[best];
		all[best] = all[--s->recycled_count[slot]];
	}
	pthread_mutex_unlock(&s->lock);
	return (some);
}

/* Where there is no place for one more the smallest is removed. */
static void
kept_push(struct drive_set *s, unsigned slot, struct recycled one)
{
	char path[4096];
	unsigned least;
	bool full;

	pthread_mutex_lock(&s->lock);
	full = s->recycled_count[slot] >= s->segments_spare;
	least = kept_extreme(s, slot, false);
	if (!full)
		s->recycled[slot][s->recycled_count[slot]++] = one;
	else if (s->segments_spare > 0 && s->recycled[slot][least].bytes < one.bytes) {
		struct recycled smaller = s->recycled[slot][least];

		s->recycled[slot][least] = one;
		one = smaller;
	}
	pthread_mutex_unlock(&s->lock);
	kept_path(s, slot, one.id, path);
	if (full)
		file_remove(s, path);
}

/* --- room ------------------------------------------------------------------------------------- */

/* X3 */
static bool
room_is_short(struct drive_set *s, unsigned slot, struct disk_space *space)
{
	uint64_t reserve = drive_reserve_bytes(s, slot);

	return (s->disk->ops->space(s->disk, s->drives[slot].path, space, NULL) < 0 ||
	    space->free_bytes < reserve + reserve / 2);
}

void
drive_recycled_yield(struct drive_set *s, unsigned slot, struct disk_space *space)
{
	struct recycled one;
	char path[4096];

	while (s->recycled_count[slot] > 0 && room_is_short(s, slot, space) &&
	    kept_pop(s, slot, &one)) {
		kept_path(s, slot, one.id, path);
		file_remove(s, path);
		(void)s->disk->ops->space(s->disk, s->drives[slot].path, space, NULL);
	}
}

unsigned
drive_recycled(const struct drive_set *s, unsigned slot, uint64_t *bytes)
{
	struct drive_set *set = (struct drive_set *)(uintptr_t)s;
	unsigned count;

	assert(slot < DRIVES_MAX);
	pthread_mutex_lock(&set->lock);
	count = s->recycled_count[slot];
	*bytes = 0;
	for (unsigned n = 0; n < count; n++)
		*bytes += s->recycled[slot][n].bytes;
	pthread_mutex_unlock(&set->lock);
	return (count);
}

uint64_t
drive_recycled_used(const struct drive_set *s)
{
	return (__atomic_load_n(&s->recycled_used, __ATOMIC_RELAXED));
}

/* --- what a start finds ----------------------------------------------------------------------- */

static bool
header_is(const uint8_t *page, uint64_t id)
{
	return (memcmp(page, SEGMENT_MAGIC, 8) == 0 && get_u64(page + SEGMENT_AT_ID) == id &&
	    get_u32(page + SEGMENT_AT_CRC) == crc32c(crc32c_seed(id, 0), page, SEGMENT_AT_CRC));
}

/* Its bytes, if it is worth being kept and is what its name says; 0. */
static uint64_t
file_worth(struct drive_set *s, const char *path, uint64_t id)
{
	struct disk *d = s->disk;
	uint8_t page[SEGMENT_HEADER_BYTES];
	uint64_t bytes = 0;
	int handle = d->ops->open(d, path, O_RDONLY, NULL);

	if (handle < 0)
		return (0);
	if (d->ops->size(d, handle, &bytes, NULL) < 0 || bytes < s->segment_bytes / WORTH ||
	    d->ops->pread(d, handle, page, sizeof(page), 0, NULL) != (ssize_t)sizeof(page) ||
	    !header_is(page, id))
		bytes = 0;
	d->ops->close(d, handle);
	return (bytes);
}

static void
kept_find(struct drive_set *s, unsigned slot)
{
	struct drive_names n;
	char path[4096];

	drive_path(s, slot, "reserve", "", path);
	(void)drive_names_list(s->disk, path, &n, NULL);
	for (size_t i = 0; i < n.count; i++) {
		uint64_t id, bytes;
		char ending[8];

		if (strlen(n.name[i]) != 20 ||
		    sscanf(n.name[i], "%16" SCNx64 "%4s", &id, ending) != 2 ||
		    strcmp(ending, RECYCLED_ENDING) != 0)
			continue;
		drive_path(s, slot, "reserve", n.name[i], path);
		bytes = file_worth(s, path, id);
		if (bytes == 0)
			file_remove(s, path);
		else
			kept_push(s, slot, (struct recycled){ id, bytes });
	}
	drive_names_release(&n);
}

void
drive_recycled_find(struct drive_set *s)
{
	uint32_t present = drive_present_mask(s);

	for (unsigned slot = 0; slot < s->count && !drive_set_read_only(s); slot++) {
		if (((present & ~s->recycled_found) >> slot & 1) == 0)
			continue;
		kept_find(s, slot);
		pthread_mutex_lock(&s->lock);
		s->recycled_found |= 1u << slot;	/* until then nothing is given */
		pthread_mutex_unlock(&s->lock);
	}
}

/* --- giving and taking ------------------------------------------------------------------------ */

static bool
keep(struct drive_set *s, unsigned slot, uint64_t id, struct err *e)
{
	struct disk *d = s->disk;
	struct disk_space space;
	char from[4096], to[4096], name[32], target[4];
	uint64_t bytes;
	int rc;

	snprintf(name, sizeof(name), "%016" PRIx64 ".seg", id);
	drive_path(s, slot, "log", name, from);
	kept_path(s, slot, id, to);
	bytes = file_worth(s, from, id);
	if (bytes == 0 || d->ops->readlink(d, from, target, sizeof(target), NULL) != ERR_INVALID ||
	    room_is_short(s, slot, &space) || d->ops->rename(d, from, to, NULL) < 0)
		return (false);
	rc = 0;
	directory_sync(s, slot, "log", &rc, e);
	directory_sync(s, slot, "reserve", &rc, e);
	if (rc < 0)		/* X2, X4 */
		file_remove(s, to);
	else
		kept_push(s, slot, (struct recycled){ id, bytes });
	return (true);
}

bool
drive_recycle(struct drive_set *s, unsigned slot, uint64_t id)
{
	struct err e = ERR_INIT;
	bool kept;

	if (slot >= s->count || s->segments_spare == 0 || !(s->recycled_found >> slot & 1))
		return (false);
	drive_steady_begin(s);
	kept = keep(s, slot, id, &e);
	drive_steady_end(s);
	if (e.code < 0)		/* X4 */
		drive_fail(s, slot, e.text, NULL);
	return (kept);
}

int
drive_recycled_take(struct drive_set *s, unsigned slot, const char *to, uint64_t *bytes,
    struct err *e)
{
	struct recycled one;
	char path[4096];
	int rc;

	*bytes = 0;
	if (!kept_pop(s, slot, &one))
		return (0);
	kept_path(s, slot, one.id, path);
	rc = s->disk->ops->rename(s->disk, path, to, e);
	if (rc == ERR_FULL || rc == ERR_NOT_FOUND)	/* a new file is as good */
		return (0);
	directory_sync(s, slot, "reserve", &rc, e);
	directory_sync(s, slot, "log", &rc, e);
	if (rc < 0) {		/* X2, X4 */
		file_remove(s, to);
		return (rc);
	}
	*bytes = one.bytes;
	__atomic_add_fetch(&s->recycled_used, 1, __ATOMIC_RELAXED);
	return (1);
}
