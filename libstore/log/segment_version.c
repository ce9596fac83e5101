/*
 * segment_version - refuses a set on which a newer program has written its log.
 *
 * Every process opens a segment of its own, so the newest tell; reading the headers of all would
 * cost a start with many segments its time. Of converted ones the last one tells: they are not
 * opened in order, so it need not be the newest, and a header that is met later is refused then.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>

#include "libbase/checksum.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/log/segment.h"

/* Of a mirror or shard: both have the number in the same place. */
static int
file_version_check(const struct drive_set *s, const Hf__CatalogSegment *row, unsigned i,
    struct err *e)
{
	bool converted = row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED;
	uint32_t known = converted ? SHARD_VERSION : SEGMENT_VERSION;
	uint32_t seed = crc32c_seed(row->id, converted ? i * row->shard_bytes : 0);
	struct disk *d = drive_set_disk(s);
	uint8_t page[SEGMENT_HEADER_BYTES];
	char path[4096];
	int handle, rc = 0;

	segment_row_path(s, row, i, path);
	handle = d->ops->open(d, path, O_RDONLY, NULL);
	if (handle < 0)			/* recovery decides about mirrors that are not there */
		return (0);
	if (d->ops->pread(d, handle, page, sizeof(page), 0, NULL) == (ssize_t)sizeof(page) &&
	    memcmp(page, converted ? SHARD_MAGIC : SEGMENT_MAGIC, 8) == 0 &&
	    get_u32(page + SEGMENT_AT_VERSION) > known && !header_version_rotten(page, known, seed))
		rc = err_set(e, ERR_VERSION, "%s is of version %u; this program knows %u", path,
		    get_u32(page + SEGMENT_AT_VERSION), known);
	d->ops->close(d, handle);
	return (rc);
}

static size_t
last_converted(const struct catalog_rows *r)
{
	size_t i = r->segment_count;

	while (i > 0 && r->segments[i - 1]->state != HF__CATALOG_SEGMENT__STATE__CONVERTED)
		i--;
	return (i == 0 ? SIZE_MAX : i - 1);
}

int
segment_versions_check(const struct drive_set *s, struct err *e)
{
	const struct catalog_rows *r = &s->rows;
	size_t i, n, converted = last_converted(r);
	int rc = 0;

	for (i = 0; rc == 0 && i < r->segment_count; i++) {
		const Hf__CatalogSegment *row = r->segments[i];

		if (row->state != HF__CATALOG_SEGMENT__STATE__OPEN && i + 1 < r->segment_count &&
		    i != converted)
			continue;
		for (n = 0; rc == 0 && n < row->n_slots; n++)
			if (row->slots[n] < s->count && s->drives[row->slots[n]].lock_handle >= 0)
				rc = file_version_check(s, row, (unsigned)n, e);
	}
	return (rc);
}
