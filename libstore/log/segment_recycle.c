/*
 * segment_recycle - which files of dropped segments may become those of next ones, and how one does
 * (where they are kept: drive_recycle.c).
 *
 * Q1  Nobody writes to a file that is given away: the log made it, no other process was ever told
 *     to fill it (row.made), and its drive was there all the time since, so that no write of ours
 *     is still on its way. What an earlier store wrote has ended: it had the drives locked.
 * Q2  The header of the new segment is durable before anything else of the file changes. Who still
 *     reads the old one by its descriptor finds by its checksums that bytes are wrong, and by the
 *     header why (segment_header_other).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>

#include "libstore/log/segment.h"

/* Q1 */
static bool
mirror_quiet(struct drive_set *s, unsigned slot, uint64_t first_lsn)
{
	return (slot < DRIVES_MAX &&
	    (drive_present_mask(s) & drive_unbroken_mask(s, LSN_EPOCH(first_lsn))) >> slot & 1);
}

bool
segment_mirror_recycle(struct drive_set *s, const Hf__CatalogSegment *row, unsigned i)
{
	uint32_t own = row->made & ~row->missing & ~row->linked;

	return ((own >> i & 1) && mirror_quiet(s, row->slots[i], row->first_lsn) &&
	    drive_recycle(s, row->slots[i], row->id));
}

/* Only what was prewritten is worth being kept. */
void
segment_recycle_unused(struct drive_set *s, struct segment *g)
{
	struct disk *d = drive_set_disk(s);
	bool all = true;

	for (unsigned i = 0; i < g->mirror_count; i++)
		all &= mirror_quiet(s, g->slots[i], g->first_lsn) && g->zeroing == 0 &&
		    g->prewritten > 0 &&
		    d->ops->truncate(d, g->handles[i], g->prewritten, NULL) == 0 &&
		    drive_recycle(s, g->slots[i], g->id);
	if (!all)
		segment_unlink(s, g);
}

uint64_t
segment_old_bytes(const struct segment *g)
{
	uint64_t least = g->bytes;

	for (unsigned i = 0; i < g->mirror_count; i++)
		if (g->old_bytes[i] < least)
			least = g->old_bytes[i];
	return (least & ~UINT64_C(4095));
}

/* Q2 */
static int
head_change(struct drive_set *s, const struct segment *g, int handle, uint64_t old_bytes,
    struct err *e)
{
	struct disk *d = drive_set_disk(s);
	uint8_t page[SEGMENT_HEADER_BYTES];
	struct iovec iov = { page, sizeof(page) };
	int rc;

	segment_header_encode(s, g, page);
	rc = d->ops->pwritev_sync(d, handle, &iov, 1, 0, e);
	if (rc == 0 && old_bytes > g->bytes)
		rc = d->ops->truncate(d, handle, g->bytes, e);
	return (rc);
}

int
segment_mirror_take(struct drive_set *s, struct segment *g, unsigned i, const char *path,
    struct err *e)
{
	struct disk *d = drive_set_disk(s);
	uint64_t bytes;
	int handle, rc;

	if (g->bytes != drive_set_segment_bytes(s) || !catalog_id_was_unforeseen(s, g->id))
		return (0);
	rc = drive_recycled_take(s, g->slots[i], path, &bytes, e);
	if (rc <= 0)
		return (rc);
	rc = handle = d->ops->open(d, path, O_RDWR, e);
	if (handle >= 0) {
		rc = head_change(s, g, handle, bytes, e);
		d->ops->close(d, handle);
	}
	if (rc == 0)
		g->old_bytes[i] = bytes < g->bytes ? bytes : g->bytes;
	else
		(void)d->ops->unlink(d, path, NULL);
	return (rc);
}
