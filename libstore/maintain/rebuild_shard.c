/*
 * rebuild_shard - makes a shard of a converted segment from k others, block by block, with a header
 * and a table of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "libstore/log/shard_reader.h"
#include "libstore/maintain/rebuild_internal.h"

struct shard {
	struct rebuild		*r;
	const Hf__CatalogSegment *row;
	struct shard_layout	 layout;
	struct shard_reader	 reader;
	unsigned		 index;			/* the one to make */
	int			 handles[DRIVES_MAX];	/* by shard */
	int			 former;		/* what a link leads to, or -1 */
	bool			 former_first;		/* until a read of it fails */
	uint32_t		*sums;
	uint8_t			*memory;
	struct rebuild_place	 place;
};

static int
others_read(void *context, unsigned shard, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	struct shard *s = context;
	struct disk *d = s->r->m->disk;
	int handle = shard == s->index ? s->former : s->handles[shard];
	ssize_t n;

	if (handle < 0)
		return (err_set(e, ERR_NOT_FOUND, "shard %u is not there", shard));
	n = d->ops->pread(d, handle, out, bytes, offset, e);
	if (n < 0)
		return ((int)n);
	return ((size_t)n == bytes ? 0 : err_set(e, ERR_CORRUPT, "shard %u of segment %016" PRIx64
	    " ends early", shard, s->row->id));
}

/* The header of one that is whole tells the length of the content. */
static int
content_find(struct shard *s, struct err *e)
{
	int rc = err_set(e, ERR_NO_QUORUM, "no other shard of segment %016" PRIx64 " is there",
	    s->row->id);

	for (unsigned i = 0; rc < 0 && i < s->layout.k + s->layout.m; i++) {
		rc = others_read(s, i, s->memory, SHARD_HEADER_BYTES, 0, e);
		if (rc == 0)
			rc = shard_header_check(&s->layout, i, s->memory, &s->layout,
			    e);
	}
	s->reader = (struct shard_reader){ .layout = s->layout, .read = others_read,
		.context = s };
	return (rc < 0 ? ERR_NO_QUORUM : 0);
}

static int
target_write(struct shard *s, const void *data, size_t bytes, uint64_t offset, struct err *e)
{
	struct disk *d = s->r->m->disk;
	struct iovec iov = { (void *)(uintptr_t)data, bytes };

	return (d->ops->pwritev(d, s->handles[s->index], &iov, 1, offset, e));
}

/* From the drive that is retired, as far as it has it whole; else from the others. */
static int
block_get(struct shard *s, uint32_t block, struct err *e)
{
	int rc = ERR_NOT_FOUND;

	if (s->former_first) {
		rc = shard_reader_block(&s->reader, s->index, block, s->memory, NULL);
		s->former_first = rc != ERR_IO && rc != ERR_TIMEOUT;
	}
	if (rc < 0)
		rc = shard_reader_rebuild(&s->reader, s->index, block, s->memory, e);
	if (rc < 0 && s->former >= 0 && shard_reader_block(&s->reader, s->index, block, s->memory,
	    NULL) == 0)
		rc = 0;
	return (rc);
}

static int
blocks_make(struct shard *s, struct err *e)
{
	uint64_t shard_bytes = s->layout.shard_bytes, at = SHARD_HEADER_BYTES;
	uint32_t block, bytes;
	int rc = 0;

	for (block = 0; rc == 0 && block < shard_block_count(shard_bytes); block++, at += bytes) {
		bytes = shard_block_bytes(shard_bytes, block);
		rc = rebuild_make(s->r, (uint64_t)bytes * (s->layout.k + 1), at, e);
		if (rc == 0)
			rc = block_get(s, block, e);
		if (rc == 0)
			rc = target_write(s, s->memory, bytes, at, e);
		if (rc == 0 && (block + 1) % (MAINTAIN_SYNC_BYTES / SHARD_BLOCK_BYTES) == 0)
			rc = s->r->m->disk->ops->datasync(s->r->m->disk, s->handles[s->index], e);
		s->sums[block] = shard_block_crc(&s->layout, s->index, block, s->memory);
	}
	return (rc);
}

static int
frame_write(struct shard *s, struct err *e)
{
	uint64_t shard_bytes = s->layout.shard_bytes;
	uint32_t page;
	int rc;

	shard_header_encode(&s->layout, s->index, s->memory);
	rc = target_write(s, s->memory, SHARD_HEADER_BYTES, 0, e);
	for (page = 0; rc == 0 && page < shard_table_pages(shard_bytes); page++) {
		shard_table_encode(&s->layout, s->index, page, s->sums, s->memory);
		rc = target_write(s, s->memory, TABLE_PAGE_BYTES,
		    shard_table_offset(shard_bytes, page), e);
	}
	if (rc == 0)
		rc = s->r->m->disk->ops->truncate(s->r->m->disk, s->handles[s->index],
		    shard_file_bytes(shard_bytes), e);
	if (rc == 0)
		rc = s->r->m->disk->ops->datasync(s->r->m->disk, s->handles[s->index], e);
	return (rc);
}

/* B2 */
static int
read_back(struct shard *s, struct err *e)
{
	struct disk *d = s->r->m->disk;
	uint64_t shard_bytes = s->layout.shard_bytes, at = SHARD_HEADER_BYTES;
	uint32_t block, bytes;
	int handle = rebuild_open(s->r, s->place.path, O_RDONLY, e), rc = 0;

	if (handle < 0)
		return (handle);
	for (block = 0; rc == 0 && block < shard_block_count(shard_bytes); block++, at += bytes) {
		bytes = shard_block_bytes(shard_bytes, block);
		rc = rebuild_read_back(s->r, bytes, at, e);
		if (rc == 0 && (d->ops->pread(d, handle, s->memory, bytes, at,
		    e) != (ssize_t)bytes || shard_block_crc(&s->layout, s->index, block,
		    s->memory) != s->sums[block]))
			rc = err_set(e, ERR_IO, "%s reads back different at offset %" PRIu64,
			    s->place.path, at);
	}
	d->ops->close(d, handle);
	return (rc);
}

static int
files_open(struct shard *s, struct err *e)
{
	struct disk *d = s->r->m->disk;
	char name[SHARD_NAME_BYTES], path[4096];
	unsigned i;

	shard_name(s->row->id, name);
	for (i = 0; i < s->row->n_slots; i++)
		if (s->row->slots[i] == s->r->slot)
			s->index = i;
		else if (rebuild_path(s->r, s->row->slots[i], "log", name, path))
			s->handles[i] = d->ops->open(d, path, O_RDONLY, NULL);
	if (s->place.link)
		s->former = d->ops->open(d, s->place.final, O_RDONLY, NULL);
	s->former_first = s->former >= 0 && !(s->row->missing >> s->index & 1);
	s->handles[s->index] = d->ops->open(d, s->place.path, O_RDWR | O_CREAT, e);
	return (s->handles[s->index] < 0 ? s->handles[s->index] : 0);
}

static int
shard_make(struct shard *s, struct err *e)
{
	size_t sums_bytes = (shard_block_count(s->layout.shard_bytes) + 1) * sizeof(*s->sums);
	int rc = files_open(s, e);

	if (rc == 0)
		rc = rebuild_memory(s->r, SHARD_BLOCK_BYTES + sums_bytes, &s->memory, e);
	if (rc < 0)
		return (rc);
	s->sums = (uint32_t *)(void *)(s->memory + SHARD_BLOCK_BYTES);
	memset(s->sums, 0, sums_bytes);
	rc = content_find(s, e);
	if (rc == 0)
		rc = blocks_make(s, e);
	if (rc == 0)
		rc = frame_write(s, e);
	if (rc == 0)
		rc = read_back(s, e);
	if (rc == 0)
		rc = rebuild_place_take(s->r, &s->place, e);
	rebuild_memory_free(s->r, s->memory, SHARD_BLOCK_BYTES + sums_bytes);
	return (rc);
}

static void
shard_release(struct shard *s)
{
	struct disk *d = s->r->m->disk;

	for (unsigned i = 0; i < DRIVES_MAX; i++)
		if (s->handles[i] >= 0)
			d->ops->close(d, s->handles[i]);
	if (s->former >= 0)
		d->ops->close(d, s->former);
}

int
rebuild_shard(struct rebuild *r, const Hf__CatalogSegment *row, struct err *e)
{
	struct shard s = { .r = r, .row = row, .former = -1 };
	char name[SHARD_NAME_BYTES];
	int rc;

	rc = shard_layout_of(row, r->m->layout->deployment.data, &s.layout, e);
	shard_name(row->id, name);
	if (rc == 0)
		rc = rebuild_place_find(r, "log", name, &s.place, e);
	if (rc < 0 || rebuild_place_done(r, &s.place, row->slots, row->n_slots, row->linked,
	    row->missing))
		return (rc);
	for (unsigned i = 0; i < DRIVES_MAX; i++)
		s.handles[i] = -1;
	rc = shard_make(&s, e);
	shard_release(&s);
	return (rc);
}
