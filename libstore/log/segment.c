/*
 * segment - files of a segment's mirrors, and its batches. See segment.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/log/segment.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/checksum.h"
#include "libstore/log/segment_shard.h"

#define PREWRITE_CHUNK (1024u * 1024)
#define WINDOW_BYTES (1024u * 1024)
#define LOOK_AHEAD_MAX (2 * (uint64_t)BATCH_BYTES_MAX)

/* --- files --------------------------------------------------------------------------------------
 */

void
segment_path(
    const struct drive_set *s, unsigned slot, uint64_t id, const char *ending, char out[4096])
{
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64 "%s", id, ending);
	drive_path(s, slot, "log", name, out);
}

bool
segment_mirror_linked(struct drive_set *s, uint64_t id, unsigned slot)
{
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64 ".seg", id);
	return (drive_file_linked(s, slot, "log", name));
}

int
segment_mirror_fail(struct drive_set *s, uint64_t id, unsigned slot, const char *why,
    struct err *e)
{
	return (drive_file_fail(s, slot, segment_mirror_linked(s, id, slot), why, e));
}

void
segment_row_path(const struct drive_set *s, const Hf__CatalogSegment *row, unsigned i,
    char out[4096])
{
	segment_path(s, row->slots[i], row->id,
	    row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED ? ".ecs" : ".seg", out);
}

void
segment_header_encode(
    const struct drive_set *s, const struct segment *g, uint8_t page[SEGMENT_HEADER_BYTES])
{
	memset(page, 0, SEGMENT_HEADER_BYTES);
	memcpy(page, SEGMENT_MAGIC, 8);
	put_u32(page + SEGMENT_AT_VERSION, SEGMENT_VERSION);
	put_u32(page + SEGMENT_AT_SECTOR, g->sector_bytes);
	memcpy(page + SEGMENT_AT_DEPLOYMENT, drive_set_deployment(s), 16);
	put_u64(page + SEGMENT_AT_ID, g->id);
	put_u64(page + SEGMENT_AT_BYTES, g->bytes);
	put_u32(page + SEGMENT_AT_CRC, crc32c(crc32c_seed(g->id, 0), page, SEGMENT_AT_CRC));
}

/* Where the file system takes no O_DIRECT, or not so, the page cache takes them. */
int
segment_zeros_write(struct drive_set *s, const struct segment *g, unsigned mirror, uint64_t from,
    size_t bytes, bool sync, struct err *e)
{
	struct iovec zeros = { disk_zeros(), bytes };
	struct disk *d = drive_set_disk(s);
	int (*put)(struct disk *d, int handle, const struct iovec *iov, int iov_count,
	    uint64_t offset, struct err *e) = sync ? d->ops->pwritev_sync : d->ops->pwritev;
	int rc = ERR_UNSUPPORTED;

	assert(bytes <= DISK_ZEROS_BYTES);
	if (g->direct[mirror] >= 0)
		rc = put(d, g->direct[mirror], &zeros, 1, from, e);
	if (rc == ERR_UNSUPPORTED || rc == ERR_IO)
		rc = put(d, g->handles[mirror], &zeros, 1, from, e);
	return (rc);
}

/* A chunk of zeros on every mirror; now and then a sync, which keeps the queues short. */
static int
zeros_write(struct drive_set *s, const struct segment *g, uint64_t at, size_t bytes,
    unsigned *mirror, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	int rc = 0;

	for (*mirror = 0; rc == 0 && *mirror < g->mirror_count; ++*mirror) {
		if (at + bytes <= g->old_bytes[*mirror])
			continue;
		rc = segment_zeros_write(s, g, *mirror, at, bytes, false, e);
		if (rc == 0 && (at / PREWRITE_CHUNK) % 4 == 3)
			rc = d->ops->datasync(d, g->handles[*mirror], e);
		if (rc < 0)
			return (rc);
	}
	return (0);
}

/* Zeros on all mirrors side by side, so that they are equally far when somebody is in a hurry. */
static int
segment_prewrite(struct drive_set *s, struct segment *g, struct prewrite *how, unsigned *mirror,
    struct err *e)
{
	uint64_t end = g->bytes < how->bytes_max ? g->bytes : how->bytes_max, at;
	uint64_t old = segment_old_bytes(g);
	size_t bytes;
	int rc = 0;

	for (at = SEGMENT_HEADER_BYTES; rc == 0 && at < end && !how->hurry; at += bytes) {
		bytes = end - at < PREWRITE_CHUNK ? (size_t)(end - at) : PREWRITE_CHUNK;
		rc = zeros_write(s, g, at, bytes, mirror, e);
		if (rc == 0 && how->pause_us > 0 && at + bytes > old)
			usleep(how->pause_us);
	}
	g->prewritten = at > old ? at : old;
	return (rc);
}

static int
handles_open(struct disk *d, struct segment *g, unsigned i, const char *path, struct err *e)
{
	int rc = d->ops->open(d, path, O_RDWR | O_CREAT, e);

	if (rc < 0)
		return (rc);
	g->handles[i] = rc;
	rc = d->ops->open(d, path, O_RDWR | O_DIRECT, NULL);
	g->direct[i] = rc < 0 ? -1 : rc;
	return (0);
}

static void
mirror_handles_close(struct disk *d, struct segment *g, unsigned i)
{
	if (g->handles[i] >= 0)
		d->ops->close(d, g->handles[i]);
	if (g->direct[i] >= 0)
		d->ops->close(d, g->direct[i]);
	g->handles[i] = g->direct[i] = -1;
}

static int
mirror_create(struct drive_set *s, struct segment *g, unsigned i, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	char fresh[4096];
	int rc;

	segment_path(s, g->slots[i], g->id, ".new", fresh);
	rc = segment_mirror_take(s, g, i, fresh, e);
	if (rc == 0)
		rc = handles_open(d, g, i, fresh, e);
	return (rc == 0 ? d->ops->allocate(d, g->handles[i], 0, g->bytes, e) : rc);
}

/* Records wait that may use the reserve; where others took all of it, what they could not take. */
static int
mirror_create_spare(struct drive_set *s, struct segment *g, unsigned i, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	char fresh[4096];
	int rc = ERR_FULL;

	segment_path(s, g->slots[i], g->id, ".new", fresh);
	if (!drive_spare_due(s, g->slots[i], g->bytes))
		rc = mirror_create(s, g, i, e);
	if (rc == ERR_FULL && !drive_spare_take(s, g->slots[i], g->bytes, fresh))
		return (g->handles[i] >= 0 ? rc : mirror_create(s, g, i, e));
	if (rc != ERR_FULL)
		return (rc);
	mirror_handles_close(d, g, i);
	return (handles_open(d, g, i, fresh, e));
}

static int
mirror_head_write(struct drive_set *s, struct segment *g, unsigned i, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	uint8_t page[SEGMENT_HEADER_BYTES];
	struct iovec iov = { page, sizeof(page) };
	int rc;

	segment_header_encode(s, g, page);
	rc = d->ops->pwritev(d, g->handles[i], &iov, 1, 0, e);
	if (rc == 0)
		rc = d->ops->datasync(d, g->handles[i], e);
	return (rc);
}

static int
mirror_name(struct drive_set *s, struct segment *g, unsigned i, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	char fresh[4096], path[4096], directory[4096];
	int rc;

	segment_path(s, g->slots[i], g->id, ".new", fresh);
	segment_path(s, g->slots[i], g->id, ".seg", path);
	drive_path(s, g->slots[i], "log", "", directory);
	rc = d->ops->rename(d, fresh, path, e);
	if (rc == 0)
		rc = d->ops->sync_dir(d, directory, e);
	return (rc);
}

typedef int mirror_fn(struct drive_set *s, struct segment *g, unsigned i, struct err *e);

/* *mirror is the one at fault. */
static int
mirrors_each(struct drive_set *s, struct segment *g, mirror_fn *each, unsigned *mirror,
    struct err *e)
{
	int rc = 0;

	for (*mirror = 0; *mirror < g->mirror_count; ++*mirror) {
		rc = each(s, g, *mirror, e);
		if (rc < 0)
			break;
	}
	return (rc);
}

/* Names come last: what a crash leaves ends with .new and is removed at the next start. */
static int
mirrors_make(struct drive_set *s, struct segment *g, struct prewrite *prewrite, unsigned *mirror,
    struct err *e)
{
	int rc;

	rc = mirrors_each(s, g, prewrite != NULL ? mirror_create : mirror_create_spare, mirror,
	    e);
	if (rc == 0 && prewrite != NULL)
		rc = segment_prewrite(s, g, prewrite, mirror, e);
	else
		g->prewritten = segment_old_bytes(g);
	if (rc == 0)
		rc = mirrors_each(s, g, mirror_head_write, mirror, e);
	if (rc == 0)
		rc = mirrors_each(s, g, mirror_name, mirror, e);
	return (rc);
}

/* A segment that could not be made on every drive. */
static void
mirrors_forget(struct drive_set *s, const struct segment *g)
{
	struct disk *d = drive_set_disk(s);
	char fresh[4096];
	unsigned i;

	for (i = 0; i < g->mirror_count; i++)
		if (g->handles[i] >= 0 && drive_present_mask(s) >> g->slots[i] & 1) {
			segment_path(s, g->slots[i], g->id, ".new", fresh);
			d->ops->unlink(d, fresh, NULL);
		}
	segment_unlink(s, g);
}

int
segment_create(struct drive_set *s, uint64_t id, const uint32_t *slots, unsigned count,
    uint64_t bytes, struct prewrite *prewrite, struct segment **out, unsigned *failed_slot,
    struct err *e)
{
	struct segment *g = calloc(1, sizeof(*g));
	unsigned i, mirror;
	int rc;

	assert(g != NULL && count > 0 && count <= DRIVES_MAX);
	g->id = id;
	g->bytes = bytes;
	g->end = SEGMENT_HEADER_BYTES;
	g->sector_bytes = drive_set_sector_bytes(s);
	g->mirror_count = count;
	g->refs = 1;
	for (i = 0; i < count; i++) {
		g->slots[i] = slots[i];
		g->handles[i] = g->direct[i] = -1;
	}
	rc = mirrors_make(s, g, prewrite, &mirror, e);
	if (rc < 0) {
		*failed_slot = slots[mirror];
		mirrors_forget(s, g);
		segment_close(s, &g);
		return (rc);
	}
	for (i = 0; i < count; i++)
		drive_space_take(s, slots[i], bytes);
	*out = g;
	return (0);
}

/* Batches start on sectors as they were where the segment was made: its header tells. */
static int
mirror_open(struct drive_set *s, struct segment *g, unsigned i, bool writable)
{
	struct disk *d = drive_set_disk(s);
	uint8_t page[SEGMENT_HEADER_BYTES];
	char path[4096];
	int handle;

	if (!(drive_present_mask(s) >> g->slots[i] & 1))
		return (-1);
	segment_path(s, g->slots[i], g->id, ".seg", path);
	handle = d->ops->open(d, path, writable ? O_RDWR : O_RDONLY, NULL);
	if (handle < 0)
		return (-1);
	if (d->ops->pread(d, handle, page, sizeof(page), 0, NULL) == (ssize_t)sizeof(page) &&
	    segment_header_parse(page, drive_set_deployment(s), g->id, &g->sector_bytes))
		return (handle);
	d->ops->close(d, handle);
	return (-1);
}

struct segment *
segment_open(struct drive_set *s, const Hf__CatalogSegment *row, bool writable, unsigned *readable)
{
	struct segment *g = calloc(1, sizeof(*g));
	unsigned i;

	assert(g != NULL && row->n_slots <= DRIVES_MAX);
	g->id = row->id;
	g->first_lsn = row->first_lsn;
	g->last_lsn = row->last_lsn;
	g->bytes = row->bytes;
	g->end = row->bytes;
	g->missing = row->missing;
	g->sector_bytes = drive_set_sector_bytes(s);
	g->mirror_count = (unsigned)row->n_slots;
	g->refs = 1;
	*readable = 0;
	for (i = 0; i < g->mirror_count; i++) {
		g->slots[i] = row->slots[i] < drive_count(s) ? row->slots[i] : 0;
		g->direct[i] = -1;
		g->handles[i] =
		    row->slots[i] < drive_count(s) ? mirror_open(s, g, i, writable) : -1;
		*readable += g->handles[i] >= 0;
	}
	return (g);
}

void
segment_close(struct drive_set *s, struct segment **segment)
{
	struct disk *d = drive_set_disk(s);
	struct segment *g = *segment;
	unsigned i;

	*segment = NULL;
	if (g == NULL)
		return;
	for (i = 0; i < g->mirror_count; i++) {
		if (g->handles[i] >= 0)
			d->ops->close(d, g->handles[i]);
		if (g->direct[i] >= 0)
			d->ops->close(d, g->direct[i]);
	}
	free(g);
}

static void
file_unlink(struct drive_set *s, unsigned slot, const char *name)
{
	struct disk *d = drive_set_disk(s);
	char path[4096];

	/* a failed drive may hang */
	if (slot >= DRIVES_MAX || !(drive_present_mask(s) >> slot & 1))
		return;
	drive_path(s, slot, "log", name, path);
	if (d->ops->unlink(d, path, NULL) == 0)
		drive_directory_sync(s, slot, "log");
}

static void
mirror_name_of(uint64_t id, char out[32])
{
	snprintf(out, 32, "%016" PRIx64 ".seg", id);
}

void
segment_unlink(struct drive_set *s, const struct segment *g)
{
	char name[32];

	mirror_name_of(g->id, name);
	for (unsigned i = 0; i < g->mirror_count; i++)
		file_unlink(s, g->slots[i], name);
}

void
segment_unlink_row(struct drive_set *s, const Hf__CatalogSegment *row)
{
	bool converted = row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED;
	char name[SHARD_NAME_BYTES];

	if (converted)
		shard_name(row->id, name);
	else
		mirror_name_of(row->id, name);
	for (unsigned i = 0; i < row->n_slots; i++)
		if (converted || !segment_mirror_recycle(s, row, i))
			file_unlink(s, row->slots[i], name);
}

/* --- reading ------------------------------------------------------------------------------------
 */

static ssize_t
mirror_read(void *disk, unsigned handle, void *out, size_t bytes, uint64_t offset)
{
	struct disk *d = disk;

	return (d->ops->pread(d, (int)handle, out, bytes, offset, NULL));
}

/* What a mirror whose file is open gives. */
static struct segment_copy
mirror_copy(struct drive_set *s, const struct segment *g, unsigned mirror)
{
	return ((struct segment_copy){ mirror_read, drive_set_disk(s),
	    (unsigned)g->handles[mirror], g->bytes });
}

bool
segment_batch_read(struct drive_set *s, const struct segment *g, uint32_t mask, uint64_t offset,
    uint64_t expected_lsn, bool every, struct buf *out, struct batch_head *head, uint32_t *bad)
{
	struct buf other = BUF_INIT;
	struct segment_copy copy;
	struct batch_head h;
	bool found = false, whole;
	unsigned i;

	*bad = 0;
	for (i = 0; i < g->mirror_count; i++) {
		if (g->handles[i] < 0 || !(mask >> i & 1))
			continue;
		if (found && !every)
			break;
		copy = mirror_copy(s, g, i);
		whole = segment_copy_batch(&copy, g->id, offset, expected_lsn,
		    found ? &other : out, &h);
		if (!whole)
			*bad |= 1u << i;
		else if (!found) {
			found = true;
			*head = h;
		}
	}
	buf_release(&other);
	return (found);
}

struct window_view {
	struct disk		*disk;
	const struct segment	*segment;
	struct segment_window	*window;
};

/* More than the stretch is asked of the disk at once. */
static ssize_t
window_read(void *context, unsigned handle, void *out, size_t bytes, uint64_t offset)
{
	struct window_view *v = context;
	struct segment_window *w = v->window;
	uint64_t end = w->at + w->bytes.bytes;
	size_t wanted = bytes > WINDOW_BYTES ? bytes : WINDOW_BYTES;
	ssize_t n;

	if (offset < w->at || offset >= end || (end - offset < bytes && end < v->segment->end)) {
		buf_reset(&w->bytes);
		w->at = offset;
		n = v->disk->ops->pread(v->disk, (int)handle, buf_reserve(&w->bytes, wanted),
		    wanted, offset, NULL);
		if (n < 0)
			return (n);
		w->bytes.bytes = (size_t)n;
		end = offset + (uint64_t)n;
	}
	if (bytes > end - offset)
		bytes = (size_t)(end - offset);
	memcpy(out, w->bytes.data + (offset - w->at), bytes);
	return ((ssize_t)bytes);
}

bool
segment_window_batch(struct drive_set *s, const struct segment *g, struct segment_window *w,
    uint64_t offset, uint64_t expected_lsn, struct buf *out, struct batch_head *head)
{
	struct window_view view = { drive_set_disk(s), g, w };
	struct segment_copy copy = { window_read, &view, (unsigned)g->handles[w->mirror],
	    g->bytes };

	return (segment_copy_batch(&copy, g->id, offset, expected_lsn, out, head));
}

static uint64_t
window_acked(const struct segment *g, const uint8_t *p, size_t bytes, uint64_t offset)
{
	struct batch_head h;
	uint64_t acked = 0;
	size_t at;

	for (at = 0; at + BATCH_HEADER_BYTES <= bytes; at += 512)
		if (batch_head_parse(p + at, g->id, offset + at, &h) && h.acked_lsn > acked)
			acked = h.acked_lsn;
	return (acked);
}

uint64_t
segment_acked_behind(struct drive_set *s, const struct segment *g, uint64_t from, uint64_t to)
{
	struct disk *d = drive_set_disk(s);
	uint8_t *window = malloc(PREWRITE_CHUNK);
	uint64_t acked = 0, seen, at;
	ssize_t n;
	unsigned i;

	assert(window != NULL);
	if (to - from > LOOK_AHEAD_MAX)
		to = from + LOOK_AHEAD_MAX;
	for (i = 0; i < g->mirror_count; i++) {
		if (g->handles[i] < 0)
			continue;
		for (at = from; at < to; at += PREWRITE_CHUNK) {
			n = d->ops->pread(d, g->handles[i], window, PREWRITE_CHUNK, at, NULL);
			if (n <= 0)
				break;
			seen = window_acked(g, window, (size_t)n, at);
			acked = seen > acked ? seen : acked;
		}
	}
	free(window);
	return (acked);
}

int
segment_footer_read(struct drive_set *s, const struct segment *g, unsigned mirror, uint64_t after,
    segment_each_fn *each, void *context, uint64_t *last, struct err *e)
{
	struct segment_span span = { g->id, g->end, g->first_lsn, g->last_lsn };
	struct segment_copy copy = mirror_copy(s, g, mirror);
	struct disk *d = drive_set_disk(s);

	*last = g->first_lsn - 1;
	if (d->ops->size(d, g->handles[mirror], &copy.bytes, NULL) < 0)
		return (FOOTER_NONE);
	return (segment_copy_footer(&copy, &span, after, each, context, last, e));
}
