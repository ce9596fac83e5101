/*
 * segment_source - see segment_source.h. Both layouts become `ways` to get bytes: each mirror is
 * one, shards have three (shard_reader.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/log/segment_source.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct segment_file {
	int		handle;		/* -1: not there */
	unsigned	slot;
	struct err	why;		/* code 0; or what is wrong with the file or its header */
	uint64_t	bytes;		/* of the file */
};

struct segment_source {
	struct disk		*disk;
	struct segment_span	 span;
	uint8_t			 deployment[16];
	uint32_t		 sector_bytes;
	bool			 converted;
	struct segment_file	 files[DRIVES_MAX];	/* mirrors or shards */
	unsigned		 file_count;
	unsigned		 ways[DRIVES_MAX];	/* mirrors, best first */
	unsigned		 way_count;
	struct shard_reader	 shards;
	segment_damage_fn	*on_damage;
	void			*context;
};

void
segment_paths_of_set(const struct drive_set *s, struct segment_paths *out)
{
	uint32_t present = drive_present_mask(s);
	struct drive d;
	unsigned i;

	*out = (struct segment_paths){ .disk = drive_set_disk(s) };
	memcpy(out->deployment, drive_set_deployment(s), 16);
	for (i = 0; i < drive_count(s); i++)
		if (present >> i & 1) {
			drive_get(s, i, &d);
			out->path[i] = d.path;
		}
}

void
segment_paths_of_layout(struct disk *disk, const Hf__Layout *layout, struct segment_paths *out)
{
	size_t i;

	*out = (struct segment_paths){ .disk = disk };
	if (layout->deployment.len == 16)
		memcpy(out->deployment, layout->deployment.data, 16);
	for (i = 0; i < layout->n_drives; i++) {
		const Hf__DriveLayout *d = layout->drives[i];

		if (d->slot < DRIVES_MAX && (d->state == HF__CATALOG_DRIVE__STATE__ONLINE ||
		    d->state == HF__CATALOG_DRIVE__STATE__RETURNING))
			out->path[d->slot] = d->path;
	}
}

/* --- opening ---------------------------------------------------------------------------------- */

static void
file_open(struct segment_source *s, const struct segment_paths *p, struct segment_file *f,
    unsigned slot)
{
	char name[SHARD_NAME_BYTES], path[4096];
	int n;

	*f = (struct segment_file){ .handle = -1, .slot = slot };
	if (slot >= DRIVES_MAX || p->path[slot] == NULL) {
		err_set(&f->why, ERR_UNAVAILABLE, "the drive in slot %u is not there", slot);
		return;
	}
	if (s->converted)
		shard_name(s->span.id, name);
	else
		snprintf(name, sizeof(name), "%016" PRIx64 ".seg", s->span.id);
	n = snprintf(path, sizeof(path), "%s/log/%s", p->path[slot], name);
	if (n >= (int)sizeof(path)) {
		err_set(&f->why, ERR_TOO_LARGE, "the path of slot %u is too long", slot);
		return;
	}
	f->handle = s->disk->ops->open(s->disk, path, O_RDONLY, &f->why);
	if (f->handle >= 0 && s->disk->ops->size(s->disk, f->handle, &f->bytes, &f->why) < 0) {
		s->disk->ops->close(s->disk, f->handle);
		f->handle = -1;
	}
}

static bool
page_read(struct segment_source *s, struct segment_file *f, uint8_t page[4096])
{
	ssize_t n = s->disk->ops->pread(s->disk, f->handle, page, 4096, 0, &f->why);

	if (n >= 0 && n < 4096)
		err_set(&f->why, ERR_CORRUPT, "the file in slot %u ends within its header",
		    f->slot);
	return (n == 4096);
}

/* U3: between two reads it became the file of another segment. */
static bool
file_reused(struct segment_source *s, struct segment_file *f)
{
	uint8_t page[SEGMENT_HEADER_BYTES];

	return (f->handle >= 0 && !s->converted && page_read(s, f, page) &&
	    segment_header_other(page, s->span.id));
}

static void
file_gone(struct segment_source *s, struct segment_file *f)
{
	s->disk->ops->close(s->disk, f->handle);
	f->handle = -1;
	err_set(&f->why, ERR_NOT_FOUND, "the file in slot %u is another segment's now", f->slot);
}

static ssize_t
mirror_read(void *context, unsigned way, void *out, size_t bytes, uint64_t offset)
{
	struct segment_source *s = context;

	return (s->disk->ops->pread(s->disk, s->files[s->ways[way]].handle, out, bytes, offset,
	    NULL));
}

/* A mirror whose header is not its own is no way. */
static void
mirrors_open(struct segment_source *s, uint32_t missing)
{
	uint8_t page[SEGMENT_HEADER_BYTES];
	unsigned pass, i;

	for (pass = 0; pass < 2; pass++)	/* those that lack something come last */
		for (i = 0; i < s->file_count; i++) {
			struct segment_file *f = &s->files[i];

			if (f->handle < 0 || (missing >> i & 1) != pass || !page_read(s, f, page))
				continue;
			if (segment_header_parse(page, s->deployment, s->span.id,
			    &s->sector_bytes))
				s->ways[s->way_count++] = i;
			else if (segment_header_other(page, s->span.id))
				file_gone(s, f);
			else
				err_set(&f->why, ERR_CORRUPT, "the header of the mirror in slot %u "
				    "is damaged or of another file", f->slot);
		}
}

/* --- shards ----------------------------------------------------------------------------------- */

static int
shard_file_read(void *context, unsigned shard, void *out, size_t bytes, uint64_t offset,
    struct err *e)
{
	struct segment_source *s = context;
	struct segment_file *f = &s->files[shard];
	ssize_t n;

	if (f->handle < 0)
		return (err_set(e, f->why.code, "%s", f->why.text));
	n = s->disk->ops->pread(s->disk, f->handle, out, bytes, offset, e);
	if (n >= 0 && (size_t)n < bytes)
		return (err_set(e, ERR_CORRUPT, "the file in slot %u ends before %" PRIu64,
		    f->slot, offset + bytes));
	return (n < 0 ? (int)n : 0);
}

static void
shard_damaged(void *context, unsigned shard, uint64_t offset, const struct err *why)
{
	struct segment_source *s = context;

	/* That a drive is not there is known, and a file that is gone is no damage (U3). */
	if (s->on_damage != NULL && s->files[shard].handle >= 0)
		s->on_damage(s->context, s->files[shard].slot, offset, why);
}

/* The content ends where the headers say; what is behind is no part of it. */
static ssize_t
shards_read(void *context, unsigned way, void *out, size_t bytes, uint64_t offset)
{
	struct segment_source *s = context;
	uint64_t end = s->shards.layout.content_bytes;
	int rc;

	if (offset >= end)
		return (0);
	if (bytes > end - offset)
		bytes = end - offset;
	rc = shard_reader_read(&s->shards, way, out, bytes, offset, NULL);
	return (rc < 0 ? rc : (ssize_t)bytes);
}

/* One whole header is enough; a shard with a bad one is read all the same: its bytes prove
 * themselves. */
static int
shards_open(struct segment_source *s, struct err *e)
{
	struct shard_layout *l = &s->shards.layout, full;
	uint8_t page[SHARD_HEADER_BYTES];
	unsigned i;
	int rc;

	for (i = 0; i < s->file_count; i++) {
		struct segment_file *f = &s->files[i];

		if (f->handle < 0 || !page_read(s, f, page))
			continue;
		rc = shard_header_check(l, i, page, &full, &f->why);
		if (rc == ERR_VERSION)
			return (err_set(e, rc, "%s", f->why.text));
		if (rc == 0 && l->content_bytes == 0)
			*l = full;
	}
	if (l->content_bytes == 0)
		return (err_set(e, ERR_CORRUPT, "no shard of segment %016" PRIx64
		    " has a whole header", s->span.id));
	s->sector_bytes = l->sector_bytes;
	s->way_count = SHARD_WAYS;
	return (0);
}

static unsigned
files_open(const struct segment_source *s, bool *gone)
{
	unsigned i, open = 0;

	*gone = true;
	for (i = 0; i < s->file_count; i++) {
		open += s->files[i].handle >= 0;
		*gone &= s->files[i].handle < 0 && (s->files[i].why.code == ERR_NOT_FOUND ||
		    s->files[i].why.code == ERR_UNAVAILABLE);
	}
	return (open);
}

/* What can be said when too little of it is there. */
static int
files_missing(const struct segment_source *s, struct err *e)
{
	unsigned i, need = s->converted ? s->shards.layout.k : 1;
	const struct err *why = NULL;
	bool gone;
	unsigned open = files_open(s, &gone);

	for (i = 0; i < s->file_count; i++)
		if (s->files[i].why.code != 0)
			why = &s->files[i].why;
	return (err_set(e, gone ? ERR_STALE : ERR_NO_QUORUM, "%u of %u %s of segment %016" PRIx64
	    " can be read and %u %s needed (%s)", open, s->file_count,
	    s->converted ? "shards" : "mirrors", s->span.id, need, need == 1 ? "is" : "are",
	    why == NULL ? "headers are damaged" : why->text));
}

static int
files_look(struct segment_source *s, const Hf__CatalogSegment *row, const struct segment_paths *p,
    struct err *e)
{
	bool gone;
	unsigned i;

	for (i = 0; i < s->file_count; i++)
		file_open(s, p, &s->files[i], row->slots[i]);
	if (s->converted) {
		if (files_open(s, &gone) < s->shards.layout.k)
			return (files_missing(s, e));
		return (shards_open(s, e));
	}
	mirrors_open(s, row->missing);
	return (s->way_count == 0 ? files_missing(s, e) : 0);
}

int
segment_source_open(const struct segment_paths *p, const Hf__CatalogSegment *row,
    struct segment_source **out, struct err *e)
{
	struct segment_source *s;
	int rc = 0;

	if (row->n_slots == 0 || row->n_slots > DRIVES_MAX)
		return (err_set(e, ERR_CORRUPT, "the catalog names %zu files of segment %016"
		    PRIx64, row->n_slots, row->id));
	s = calloc(1, sizeof(*s));
	assert(s != NULL);
	s->disk = p->disk;
	s->span = (struct segment_span){ row->id, row->bytes, row->first_lsn, row->last_lsn };
	memcpy(s->deployment, p->deployment, 16);
	s->sector_bytes = SEGMENT_SECTOR_BYTES;
	s->converted = row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED;
	if (s->converted) {
		rc = shard_layout_of(row, p->deployment, &s->shards.layout, e);
		s->shards.read = shard_file_read;
		s->shards.damaged = shard_damaged;
		s->shards.context = s;
	}
	if (rc == 0) {
		s->file_count = (unsigned)row->n_slots;
		rc = files_look(s, row, p, e);
	}
	if (rc < 0)
		segment_source_close(&s);
	*out = s;
	return (rc);
}

void
segment_source_close(struct segment_source **sp)
{
	struct segment_source *s = *sp;
	unsigned i;

	if (s == NULL)
		return;
	*sp = NULL;
	for (i = 0; i < s->file_count; i++)
		if (s->files[i].handle >= 0)
			s->disk->ops->close(s->disk, s->files[i].handle);
	free(s);
}

void
segment_source_on_damage(struct segment_source *s, segment_damage_fn *fn, void *context)
{
	unsigned i;

	s->on_damage = fn;
	s->context = context;
	for (i = 0; fn != NULL && i < s->file_count; i++)	/* headers that were found bad */
		if (s->files[i].handle >= 0 && s->files[i].why.code != 0)
			fn(context, s->files[i].slot, 0, &s->files[i].why);
}

uint32_t
segment_source_sector_bytes(const struct segment_source *s)
{
	return (s->sector_bytes);
}

/* --- ways ------------------------------------------------------------------------------------- */

unsigned
segment_source_ways(const struct segment_source *s)
{
	return (s->way_count);
}

ssize_t
segment_source_read(struct segment_source *s, unsigned way, void *out, size_t bytes,
    uint64_t offset)
{
	assert(way < s->way_count);
	return (s->converted ? shards_read(s, way, out, bytes, offset) :
	    mirror_read(s, way, out, bytes, offset));
}

static struct segment_copy
way_copy(struct segment_source *s, unsigned way)
{
	return ((struct segment_copy){ s->converted ? shards_read : mirror_read, s, way,
	    s->converted ? s->shards.layout.content_bytes : s->files[s->ways[way]].bytes });
}

/* A way was wrong where another is right. Of shards, the checked way tells which one it was. */
static void
way_damaged(struct segment_source *s, unsigned way, uint64_t offset)
{
	struct segment_file *f = &s->files[s->ways[way]];
	struct err why = ERR_INIT;

	if (s->converted || s->on_damage == NULL || file_reused(s, f))
		return;
	err_set(&why, ERR_CORRUPT, "segment %016" PRIx64 " is damaged at offset %" PRIu64
	    " on the mirror in slot %u", s->span.id, offset, f->slot);
	s->on_damage(s->context, f->slot, offset, &why);
}

/* After a way was passed over: has shards say which block it was. */
static void
shards_explain(struct segment_source *s, uint64_t offset, size_t bytes)
{
	uint8_t *block;
	uint32_t first, last, at;
	unsigned shard;

	if (!s->converted || s->on_damage == NULL)
		return;
	shard = (unsigned)(offset / s->shards.layout.shard_bytes);
	if (s->files[shard].handle < 0)
		return;
	block = aligned_alloc(4096, SHARD_BLOCK_BYTES);
	assert(block != NULL);
	first = (uint32_t)(offset % s->shards.layout.shard_bytes / SHARD_BLOCK_BYTES);
	last = (uint32_t)((offset % s->shards.layout.shard_bytes + bytes - 1) / SHARD_BLOCK_BYTES);
	for (at = first; at <= last && at < shard_block_count(s->shards.layout.shard_bytes); at++)
		shard_reader_block(&s->shards, shard, at, block, NULL);
	free(block);
}

uint64_t
segment_source_content_bytes(struct segment_source *s, bool proved, unsigned *which)
{
	uint64_t last;
	unsigned way;

	for (way = 0; way < s->way_count; way++) {
		struct segment_copy c = way_copy(s, way);

		if (which != NULL)
			*which = way;
		if (proved ? segment_copy_footer(&c, &s->span, UINT64_MAX, NULL, NULL, &last,
		    NULL) == 0 : segment_copy_trailer(&c, &s->span))
			return (c.bytes);
	}
	return (align_up(s->span.end, 4096));
}

static bool
any_reused(struct segment_source *s)
{
	bool any = false;

	for (unsigned i = 0; i < s->file_count; i++)
		any |= file_reused(s, &s->files[i]);
	return (any);
}

/* --- records ---------------------------------------------------------------------------------- */

int
segment_source_batch(struct segment_source *s, uint64_t offset, uint64_t lsn, struct buf *out,
    struct batch_head *head, struct err *e)
{
	unsigned way, bad;

	for (way = 0; way < s->way_count; way++) {
		struct segment_copy c = way_copy(s, way);

		if (!segment_copy_batch(&c, s->span.id, offset, lsn, out, head))
			continue;
		for (bad = 0; bad < way; bad++)
			way_damaged(s, bad, offset);
		if (way > 0)
			shards_explain(s, offset, head->bytes);
		return (0);
	}
	return (err_set(e, any_reused(s) ? ERR_STALE : ERR_CORRUPT, "segment %016" PRIx64
	    " is damaged on all its %s at offset %" PRIu64 " (LSN %016" PRIx64 ")", s->span.id,
	    s->converted ? "shards" : "mirrors", offset, lsn));
}

static int
batch_each(const struct buf *batch, const struct batch_head *h, uint64_t after,
    segment_each_fn *each, void *context, struct err *e)
{
	uint64_t at = BATCH_HEADER_BYTES;
	struct record r;
	uint32_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < h->count; i++) {
		rc = record_parse(
		    SLICE(batch->data + at, h->bytes - at), h->segment, h->offset + at, &r, e);
		if (rc == 0 && r.lsn > after)
			rc = each(context, &r, e);
		at += align_up(r.place.record_bytes, 8);
	}
	return (rc);
}

int
segment_source_records(struct segment_source *s, uint64_t after, segment_each_fn *each,
    void *context, struct err *e)
{
	struct buf batch = BUF_INIT;
	struct batch_head h = { 0 };
	uint64_t offset = SEGMENT_HEADER_BYTES, lsn = s->span.first_lsn;
	int rc = 0;

	while (rc == 0 && offset < s->span.end) {
		rc = segment_source_batch(s, offset, lsn, &batch, &h, e);
		if (rc < 0)
			break;
		rc = batch_each(&batch, &h, after, each, context, e);
		offset = align_up(offset + h.bytes, s->sector_bytes);
		lsn += h.count;
	}
	buf_release(&batch);
	return (rc);
}

int
segment_source_heads(struct segment_source *s, uint64_t after, segment_each_fn *each, void *context,
    struct err *e)
{
	uint64_t last = 0;
	unsigned way;
	int rc;

	for (way = 0; way < s->way_count; way++) {
		struct segment_copy c = way_copy(s, way);

		rc = segment_copy_footer(&c, &s->span, after, each, context, &last, e);
		if (rc != FOOTER_NONE)
			return (rc);
		after = last > after ? last : after;
	}
	return (segment_source_records(s, after, each, context, e));
}

int
segment_source_record(struct segment_source *s, const Hf__Place *p, struct buf *memory,
    struct record *out, struct err *e)
{
	struct err why = ERR_INIT;
	unsigned way, bad;
	ssize_t n;

	if (p->segment != s->span.id || p->record_bytes < RECORD_HEADER_BYTES ||
	    p->record_bytes > RECORD_META_BYTES_MAX + RECORD_DATA_BYTES_MAX + 4096)
		return (err_set(e, ERR_INVALID, "no record of segment %016" PRIx64
		    " can be at that place", s->span.id));
	for (way = 0; way < s->way_count; way++) {
		buf_reset(memory);
		n = segment_source_read(s, way, buf_extend(memory, p->record_bytes),
		    p->record_bytes, p->offset);
		if (n != (ssize_t)p->record_bytes || record_parse(buf_slice(memory), s->span.id,
		    p->offset, out, &why) < 0 || out->lsn != p->lsn)
			continue;
		for (bad = 0; bad < way; bad++)
			way_damaged(s, bad, p->offset);
		if (way > 0)
			shards_explain(s, p->offset, p->record_bytes);
		return (0);
	}
	return (err_set(e, any_reused(s) ? ERR_STALE : ERR_CORRUPT,
	    "the record %016" PRIx64 " at %" PRIu64 " of segment %016"
	    PRIx64 " can be read nowhere", p->lsn, p->offset, s->span.id));
}
