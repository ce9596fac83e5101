/*
 * segment_version - refuses a set on which a newer program has written its log.
 *
 * Every process opens a segment of its own, so the newest tell; reading the headers of all would
 * cost a start with many segments its time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>

#include "libstore/drive_internal.h"
#include "libstore/segment.h"

static int
mirror_version_check(const struct drive_set *s, unsigned slot, uint64_t id, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	uint8_t page[SEGMENT_HEADER_BYTES];
	char path[4096];
	int handle, rc = 0;

	segment_path(s, slot, id, ".seg", path);
	handle = d->ops->open(d, path, O_RDONLY, NULL);
	if (handle < 0)			/* recovery decides about mirrors that are not there */
		return (0);
	if (d->ops->pread(d, handle, page, sizeof(page), 0, NULL) == (ssize_t)sizeof(page) &&
	    memcmp(page, SEGMENT_MAGIC, 8) == 0 &&
	    get_u32(page + SEGMENT_AT_VERSION) > SEGMENT_VERSION)
		rc = err_set(e, ERR_VERSION, "%s is of version %u; this program knows %u", path,
		    get_u32(page + SEGMENT_AT_VERSION), SEGMENT_VERSION);
	d->ops->close(d, handle);
	return (rc);
}

int
segment_versions_check(const struct drive_set *s, struct err *e)
{
	const struct catalog_rows *r = &s->rows;
	size_t i, n;
	int rc = 0;

	for (i = 0; rc == 0 && i < r->segment_count; i++) {
		const Hf__CatalogSegment *row = r->segments[i];

		if (row->state != HF__CATALOG_SEGMENT__STATE__OPEN && i + 1 < r->segment_count)
			continue;
		for (n = 0; rc == 0 && n < row->n_slots; n++)
			if (row->slots[n] < s->count && s->drives[row->slots[n]].lock_handle >= 0)
				rc = mirror_version_check(s, row->slots[n], row->id, e);
	}
	return (rc);
}
