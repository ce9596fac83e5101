/*
 * drive_quarantine - moves files that the catalog does not name out of log/ and vol/: a drive that
 * was away cannot bring deleted objects back. Files ending in .new and segments without a batch
 * never held a record and are removed.
 *
 * Of a segment that is being converted there may be mirrors and shards; the row says which are in
 * force. The others are removed, but only if those in force are there (struct drive_judge).
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

static bool
slot_among(const uint32_t *slots, size_t count, unsigned slot)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (slots[i] == slot)
			return (true);
	return (false);
}

enum fate { KEEP, PUT_AWAY, REMOVE };

static enum fate
segment_fate(struct drive_set *s, unsigned slot, uint64_t id, const char *ending)
{
	const Hf__CatalogSegment *row = catalog_rows_segment(&s->rows, id);
	bool converted = row != NULL && row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED;
	bool mirror = strcmp(ending, ".seg") == 0;

	if (row == NULL || (!mirror && strcmp(ending, ".ecs") != 0))
		return (PUT_AWAY);
	if (mirror != converted)
		return (slot_among(row->slots, row->n_slots, slot) ? KEEP : PUT_AWAY);
	if (s->judge->row_there(s, row))
		return (REMOVE);
	return (mirror ? KEEP : PUT_AWAY);
}

static enum fate
file_fate(struct drive_set *s, unsigned slot, const char *sub, const char *name)
{
	const Hf__CatalogVolume *volume;
	char ending[8];
	uint64_t id;
	int used = 0;

	if (strlen(name) != 20 || sscanf(name, "%16" SCNx64 "%4s%n", &id, ending, &used) != 2 ||
	    used != 20)
		return (PUT_AWAY);
	if (strcmp(sub, "log") == 0)
		return (segment_fate(s, slot, id, ending));
	volume = catalog_rows_volume(&s->rows, id);
	return (strcmp(ending, ".vol") == 0 && volume != NULL &&
		slot_among(volume->slots, volume->n_slots, slot) ? KEEP : PUT_AWAY);
}

/* A page of zeros, or the first batch of a segment with another id: see drive_recycle.c. */
static bool
page_unused(const uint8_t *page, size_t bytes, uint64_t id)
{
	uint64_t other = get_u64(page + BATCH_AT_SEGMENT);
	size_t i;

	if (bytes == 4096 && other != id && get_u32(page) == BATCH_MAGIC &&
	    get_u32(page + BATCH_AT_CRC) == crc32c(crc32c_seed(other, SEGMENT_HEADER_BYTES), page,
	    BATCH_AT_CRC))
		return (true);
	for (i = 0; i < bytes && page[i] == 0; i++)
		;
	return (bytes > 0 && i == bytes);
}

/* A segment that a crash left before the catalog named it: nothing was written behind its
 * header. */
static bool
never_written(struct disk *d, const char *path, const char *name)
{
	uint8_t page[4096] = { 0 };
	uint64_t id;
	ssize_t n;
	int handle = d->ops->open(d, path, O_RDONLY, NULL);

	if (handle < 0)
		return (false);
	n = d->ops->pread(d, handle, page, sizeof(page), SEGMENT_HEADER_BYTES, NULL);
	d->ops->close(d, handle);
	return (n > 0 && sscanf(name, "%16" SCNx64, &id) == 1 &&
	    page_unused(page, (size_t)n, id));
}

static int
move_away(struct drive_set *s, unsigned slot, const char *sub, const char *name, bool remove,
    struct err *e)
{
	char from[4096], to[4096], kept[320];
	size_t bytes = strlen(name);

	drive_path(s, slot, sub, name, from);
	if (remove)
		return (s->disk->ops->unlink(s->disk, from, e));
	if (bytes > 4 && (strcmp(name + bytes - 4, ".new") == 0 ||
	    (strcmp(name + bytes - 4, ".seg") == 0 && never_written(s->disk, from, name))))
		return (s->disk->ops->unlink(s->disk, from, e));
	snprintf(kept, sizeof(kept), "%" PRIu64 "-%s-%s", s->rows.epoch, sub, name);
	drive_path(s, slot, "quarantine", kept, to);
	return (s->disk->ops->rename(s->disk, from, to, e));
}

static int
directory_clean(struct drive_set *s, unsigned slot, const char *sub, struct err *e)
{
	struct drive_names n;
	char path[4096];
	size_t i, moved = 0;
	int rc;

	drive_path(s, slot, sub, "", path);
	rc = drive_names_list(s->disk, path, &n, e);
	for (i = 0; i < n.count; i++) {
		enum fate fate = rc == 0 ? file_fate(s, slot, sub, n.name[i]) : KEEP;

		if (fate != KEEP) {
			rc = move_away(s, slot, sub, n.name[i], fate == REMOVE, e);
			moved++;
		}
	}
	drive_names_release(&n);
	if (rc == 0 && moved > 0)
		rc = s->disk->ops->sync_dir(s->disk, path, e);
	return (rc);
}

int
drive_quarantine(struct drive_set *s, unsigned slot, struct err *e)
{
	int rc;

	rc = directory_clean(s, slot, "log", e);
	if (rc == 0)
		rc = directory_clean(s, slot, "vol", e);
	return (rc);
}
