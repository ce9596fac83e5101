/*
 * rebuild_segment - makes a mirror of a sealed segment from the others, batch by batch, with the
 * footer as it is; or a shard of a converted one from k others, block by block.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/buf.h"
#include "libstore/log/segment_source.h"
#include "libstore/maintain/rebuild_internal.h"

#define WINDOW_BYTES	(BATCH_BYTES_MAX + (2u << 20))
#define READ_BYTES	(1u << 20)

/* A stretch of a file in memory, read past the page cache. */
struct window {
	int		 handle;
	uint8_t		*memory;
	uint64_t	 begin, end;
};

struct mirror {
	struct rebuild		*r;
	const Hf__CatalogSegment *row;
	struct segment_source	*source;	/* all but the one that is made */
	uint32_t		 sector_bytes;
	int			 target;
	struct rebuild_place	 place;
};

/* --- windows ---------------------------------------------------------------------------------- */

static void
window_close(struct rebuild *r, struct window *w)
{
	r->m->disk->ops->close(r->m->disk, w->handle);
	rebuild_memory_free(r, w->memory, WINDOW_BYTES);
}

/* The bytes [offset, offset + bytes) in memory, or NULL: the file ends before, or cannot be
 * read. */
static const uint8_t *
window_get(struct rebuild *r, struct window *w, uint64_t offset, uint64_t bytes)
{
	uint64_t want = align_up(offset + bytes, 4096), keep;
	ssize_t n;

	assert(bytes <= BATCH_BYTES_MAX);
	if (offset < w->begin || offset > w->end) {
		w->begin = w->end = offset & ~UINT64_C(4095);
	} else if (want > w->begin + WINDOW_BYTES) {
		keep = offset & ~UINT64_C(4095);
		keep = keep < w->end ? keep : w->end;
		memmove(w->memory, w->memory + (keep - w->begin), w->end - keep);
		w->begin = keep;
	}
	while (w->end < offset + bytes) {
		uint64_t more = want - w->end < READ_BYTES ? READ_BYTES : want - w->end;

		if (w->end % 4096 != 0)
			return (NULL);		/* the end of the file */
		if (more > w->begin + WINDOW_BYTES - w->end)
			more = w->begin + WINDOW_BYTES - w->end;
		n = r->m->disk->ops->pread(r->m->disk, w->handle, w->memory + (w->end - w->begin),
		    more, w->end, NULL);
		if (n <= 0)
			return (NULL);
		w->end += (uint64_t)n;
	}
	return (w->memory + (offset - w->begin));
}

/* The first page; zeros if it cannot be read. */
static const uint8_t *
window_page(struct rebuild *r, struct window *w)
{
	static const uint8_t zeros[SEGMENT_HEADER_BYTES];
	const uint8_t *p = window_get(r, w, 0, SEGMENT_HEADER_BYTES);

	return (p != NULL ? p : zeros);
}

/* The batch at an offset if it is whole and of these LSNs, else NULL. */
static const uint8_t *
window_batch(struct rebuild *r, struct window *w, uint64_t id, uint64_t offset, uint64_t lsn,
    struct batch_head *h)
{
	const uint8_t *p;

	p = window_get(r, w, offset, BATCH_HEADER_BYTES);
	if (p == NULL || !batch_head_parse(p, id, offset, h) || h->first_lsn != lsn)
		return (NULL);
	p = window_get(r, w, offset, h->bytes);
	return (p != NULL && batch_whole(p, h) ? p : NULL);
}

static int
window_open(struct rebuild *r, struct window *w, const char *path, struct err *e)
{
	int rc;

	*w = (struct window){ .handle = rebuild_open(r, path, O_RDONLY, e) };
	if (w->handle < 0)
		return (w->handle);
	rc = rebuild_memory(r, WINDOW_BYTES, &w->memory, e);
	if (rc < 0)
		window_close(r, w);
	return (rc);
}

/* --- a mirror --------------------------------------------------------------------------------- */

static int
header_copy(struct mirror *s, struct err *e)
{
	struct disk *d = s->r->m->disk;
	uint8_t page[SEGMENT_HEADER_BYTES];
	struct iovec iov = { page, sizeof(page) };
	unsigned way;

	for (way = 0; way < segment_source_ways(s->source); way++)
		if (segment_source_read(s->source, way, page, sizeof(page), 0) ==
		    (ssize_t)sizeof(page) &&
		    segment_header_parse(page, s->r->m->layout->deployment.data, s->row->id,
		    &s->sector_bytes))
			return (d->ops->pwritev(d, s->target, &iov, 1, 0, e));
	return (err_set(e, ERR_CORRUPT, "no other mirror of segment %016" PRIx64
	    " has a whole header", s->row->id));
}

static int
batch_write(struct mirror *s, const struct buf *batch, uint64_t offset, struct err *e)
{
	static const uint8_t zeros[4096];
	struct disk *d = s->r->m->disk;
	uint64_t padded = align_up(batch->bytes, s->sector_bytes);
	struct iovec iov[2] = { { batch->data, batch->bytes },
		{ (void *)(uintptr_t)zeros, padded - batch->bytes } };

	return (d->ops->pwritev(d, s->target, iov, padded > batch->bytes ? 2 : 1, offset, e));
}

static int
batches_copy(struct mirror *s, struct err *e)
{
	uint64_t offset = SEGMENT_HEADER_BYTES, lsn = s->row->first_lsn, synced = 0;
	struct buf batch = BUF_INIT;
	struct batch_head h;
	int rc = 0;

	while (rc == 0 && offset < s->row->bytes) {
		rc = segment_source_batch(s->source, offset, lsn, &batch, &h, e);
		if (rc == ERR_STALE)	/* dropped meanwhile, its file is another's */
			rc = ERR_NO_QUORUM;
		if (rc == 0)
			rc = rebuild_make(s->r, h.bytes, offset, e);
		if (rc == 0)
			rc = batch_write(s, &batch, offset, e);
		if (rc == 0) {
			offset = align_up(offset + h.bytes, s->sector_bytes);
			lsn += h.count;
		}
		if (rc == 0 && offset - synced >= MAINTAIN_SYNC_BYTES) {
			synced = offset;
			rc = s->r->m->disk->ops->datasync(s->r->m->disk, s->target, e);
		}
	}
	buf_release(&batch);
	return (rc);
}

static int
piece_copy(struct mirror *s, unsigned way, uint64_t at, uint8_t *memory, uint64_t bytes,
    struct err *e)
{
	struct disk *d = s->r->m->disk;
	struct iovec iov = { memory, bytes };

	if (segment_source_read(s->source, way, memory, bytes, at) == (ssize_t)bytes)
		return (d->ops->pwritev(d, s->target, &iov, 1, at, e));
	return (err_set(e, ERR_CORRUPT, "the footer of segment %016" PRIx64 " cannot be read",
	    s->row->id));
}

/* The footer proves itself where it is read, and is not needed; without one the file ends behind
 * its batches. */
static int
footer_copy(struct mirror *s, struct err *e)
{
	struct disk *d = s->r->m->disk;
	uint64_t at = align_up(s->row->bytes, 4096), size, bytes, begin = at;
	uint8_t *memory;
	unsigned way;
	int rc = rebuild_memory(s->r, READ_BYTES, &memory, e);

	if (rc < 0)
		return (rc);
	size = segment_source_content_bytes(s->source, true, &way);
	for (; rc == 0 && at < size; at += bytes) {
		bytes = size - at < READ_BYTES ? size - at : READ_BYTES;
		rc = rebuild_pace(s->r, bytes, e);
		if (rc == 0)
			rc = piece_copy(s, way, at, memory, bytes, e);
	}
	rebuild_memory_free(s->r, memory, READ_BYTES);
	if (rc == 0 || rc == ERR_CORRUPT)
		rc = d->ops->truncate(d, s->target, rc == 0 && size > begin ? size : begin, e);
	return (rc);
}

/* B2: from the drive, not from memory. */
static int
read_back(struct mirror *s, struct err *e)
{
	uint64_t offset = SEGMENT_HEADER_BYTES, lsn = s->row->first_lsn;
	struct batch_head h;
	struct window w;
	uint32_t sector;
	int rc;

	rc = window_open(s->r, &w, s->place.path, e);
	if (rc < 0)
		return (rc);
	if (!segment_header_parse(window_page(s->r, &w), s->r->m->layout->deployment.data,
	    s->row->id, &sector))
		rc = err_set(e, ERR_IO, "%s reads back with another header", s->place.path);
	while (rc == 0 && offset < s->row->bytes) {
		if (window_batch(s->r, &w, s->row->id, offset, lsn, &h) == NULL)
			rc = err_set(e, ERR_IO, "%s reads back different at offset %" PRIu64,
			    s->place.path, offset);
		else
			rc = rebuild_read_back(s->r, h.bytes, offset, e);
		offset = align_up(offset + h.bytes, s->sector_bytes);
		lsn += h.count;
	}
	window_close(s->r, &w);
	return (rc);
}

static int
mirror_make(struct mirror *s, struct err *e)
{
	struct disk *d = s->r->m->disk;
	int rc;

	s->target = d->ops->open(d, s->place.path, O_RDWR | O_CREAT, e);
	if (s->target < 0)
		return (s->target);
	rc = header_copy(s, e);
	if (rc == 0)
		rc = batches_copy(s, e);
	if (rc == 0)
		rc = footer_copy(s, e);
	if (rc == 0)
		rc = d->ops->datasync(d, s->target, e);
	d->ops->close(d, s->target);
	if (rc == 0)
		rc = read_back(s, e);
	return (rc == 0 ? rebuild_place_take(s->r, &s->place, e) : rc);
}

/* What the link leads to is one of the sources: the drive that is retired. */
static int
mirror_copy(struct mirror *s, struct err *e)
{
	struct rebuild *r = s->r;
	struct segment_paths paths;
	int rc;

	segment_paths_of_layout(r->m->disk, r->m->layout, &paths);
	if (!s->place.link)
		paths.path[r->slot] = NULL;
	rc = segment_source_open(&paths, s->row, &s->source, e);
	if (rc < 0)
		return (rc == ERR_STALE ? ERR_NO_QUORUM : rc);
	rc = mirror_make(s, e);
	segment_source_close(&s->source);
	return (rc);
}

int
rebuild_segment(struct rebuild *r, const Hf__CatalogSegment *row, struct err *e)
{
	struct mirror s = { .r = r, .row = row };
	char name[32];
	int rc;

	if (row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)
		return (rebuild_shard(r, row, e));
	snprintf(name, sizeof(name), "%016" PRIx64 ".seg", row->id);
	rc = rebuild_place_find(r, "log", name, &s.place, e);
	if (rc < 0 || rebuild_place_done(r, &s.place, row->slots, row->n_slots, row->linked,
	    row->missing))
		return (rc);
	return (mirror_copy(&s, e));
}
