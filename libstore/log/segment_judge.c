/*
 * segment_judge - see segment_judge.h.
 *
 * Versions: every process opens a segment of its own, so the newest tell; reading the headers of
 * all would cost a start with many segments its time. Of converted ones the last one tells: they
 * are not opened in order, so it need not be the newest, and a header that is met later is refused
 * then.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/log/segment_judge.h"

#include <fcntl.h>
#include <inttypes.h>

#include "libbase/checksum.h"
#include "libstore/drive/drive_set.h"
#include "libstore/log/segment.h"

/* --- versions --------------------------------------------------------------------------------- */

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

static int
versions_check(const struct drive_set *s, struct err *e)
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

/* --- what is there ---------------------------------------------------------------------------- */

static bool
mirror_there(struct drive_set *s, unsigned slot, uint64_t segment)
{
	struct disk *d = drive_set_disk(s);
	uint8_t page[SEGMENT_HEADER_BYTES];
	uint32_t sector;
	char path[4096];
	int handle;
	bool there;

	segment_path(s, slot, segment, ".seg", path);
	handle = d->ops->open(d, path, O_RDONLY, NULL);
	if (handle < 0)
		return (false);
	there = d->ops->pread(d, handle, page, sizeof(page), 0, NULL) == (ssize_t)sizeof(page) &&
	    segment_header_parse(page, drive_set_deployment(s), segment, &sector);
	d->ops->close(d, handle);
	return (there);
}

int
segment_shard_look(struct drive_set *s, int handle, const struct shard_layout *l, unsigned shard,
    struct shard_layout *full, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	uint8_t page[SHARD_HEADER_BYTES];
	uint64_t bytes;
	ssize_t n;
	int rc;

	rc = d->ops->size(d, handle, &bytes, e);
	if (rc < 0)
		return (rc);
	if (bytes != shard_file_bytes(l->shard_bytes))
		return (err_set(e, ERR_CORRUPT, "shard %u of segment %016" PRIx64 " has %" PRIu64
		    " bytes; it should have %" PRIu64, shard, l->segment, bytes,
		    shard_file_bytes(l->shard_bytes)));
	n = d->ops->pread(d, handle, page, sizeof(page), 0, e);
	if (n != (ssize_t)sizeof(page))
		return (n < 0 ? (int)n : err_set(e, ERR_CORRUPT, "shard %u of segment %016" PRIx64
		    " ends within its header", shard, l->segment));
	return (shard_header_check(l, shard, page, full, e));
}

static bool
shard_there(struct drive_set *s, const struct shard_layout *l, unsigned shard, unsigned slot)
{
	struct disk *d = drive_set_disk(s);
	struct shard_layout full;
	char name[SHARD_NAME_BYTES], path[4096];
	int handle;
	bool there;

	shard_name(l->segment, name);
	drive_path(s, slot, "log", name, path);
	handle = d->ops->open(d, path, O_RDONLY, NULL);
	if (handle < 0)
		return (false);
	there = segment_shard_look(s, handle, l, shard, &full, NULL) == 0;
	d->ops->close(d, handle);
	return (there);
}

static bool
slot_present(struct drive_set *s, unsigned slot)
{
	return (slot < drive_count(s) && drive_present_mask(s) >> slot & 1);
}

static bool
row_there(struct drive_set *s, const Hf__CatalogSegment *row)
{
	bool converted = row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED;
	struct shard_layout l;
	unsigned i, there = 0;

	if (converted && shard_layout_of(row, drive_set_deployment(s), &l, NULL) < 0)
		return (false);
	for (i = 0; i < row->n_slots; i++)
		there += slot_present(s, row->slots[i]) &&
		    (converted ? shard_there(s, &l, i, row->slots[i]) :
		    mirror_there(s, row->slots[i], row->id));
	return (there >= (converted ? l.k : 1));
}

const struct drive_judge segment_judge = {
	.versions_check = versions_check,
	.row_there = row_there,
};
