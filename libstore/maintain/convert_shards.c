/*
 * convert_shards - the k+m files that a conversion makes: blocks and their checksums, headers and
 * tables, written and read back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "libstore/maintain/convert_internal.h"

static int
shard_open(struct convert *c, unsigned shard, int flags, struct err *e)
{
	char name[SHARD_NAME_BYTES], path[4096];
	unsigned slot = c->target->slots[shard];

	if (slot >= DRIVES_MAX || c->paths.path[slot] == NULL)
		return (err_set(e, ERR_UNAVAILABLE, "the drive in slot %u is not there", slot));
	shard_name_new(c->segment, c->by, name);
	snprintf(path, sizeof(path), "%.3900s/log/%s", c->paths.path[slot], name);
	return (c->m->disk->ops->open(c->m->disk, path, flags, e));
}

void
convert_shards_close(struct convert *c)
{
	unsigned i;

	for (i = 0; i < c->shards; i++) {
		if (c->handles[i] >= 0)
			c->m->disk->ops->close(c->m->disk, c->handles[i]);
		c->handles[i] = -1;
	}
}

int
convert_shards_open(struct convert *c, bool past_cache, struct err *e)
{
	unsigned i;
	int rc = 0;

	convert_shards_close(c);
	for (i = 0; rc >= 0 && i < c->shards; i++) {
		rc = shard_open(c, i, O_RDWR | (past_cache ? O_DIRECT : 0), e);
		if (rc < 0 && past_cache && rc != ERR_NOT_FOUND)
			rc = shard_open(c, i, O_RDWR, e);
		c->handles[i] = rc < 0 ? -1 : rc;
	}
	if (rc == ERR_NOT_FOUND)
		return (err_set(e, ERR_STALE, "the files of this conversion of segment %016" PRIx64
		    " are gone: another has begun it", c->segment));
	return (rc < 0 ? rc : 0);
}

static int
shard_write(struct convert *c, unsigned shard, const void *data, size_t bytes, uint64_t offset,
    struct err *e)
{
	struct iovec iov = { (void *)(uintptr_t)data, bytes };

	return (c->m->disk->ops->pwritev(c->m->disk, c->handles[shard], &iov, 1, offset, e));
}

static int
shard_read(struct convert *c, unsigned shard, void *out, size_t bytes, uint64_t offset,
    struct err *e)
{
	ssize_t n = c->m->disk->ops->pread(c->m->disk, c->handles[shard], out, bytes, offset, e);

	if (n < 0)
		return ((int)n);
	return ((size_t)n == bytes ? 0 : err_set(e, ERR_CORRUPT, "shard %u of segment %016" PRIx64
	    " is shorter than what was written", shard, c->segment));
}

int
convert_shards_sync(struct convert *c, unsigned from, unsigned to, struct err *e)
{
	unsigned i;
	int rc = 0;

	for (i = from; rc == 0 && i < to; i++)
		rc = c->m->disk->ops->datasync(c->m->disk, c->handles[i], e);
	return (rc);
}

static uint64_t
block_offset(uint32_t block)
{
	return (SHARD_HEADER_BYTES + (uint64_t)block * SHARD_BLOCK_BYTES);
}

int
convert_block_write(struct convert *c, unsigned shard, uint32_t block, const uint8_t *data,
    struct err *e)
{
	int rc;

	c->sums[shard][block] = shard_block_crc(&c->layout, shard, block, data);
	rc = shard_write(c, shard, data, shard_block_bytes(c->layout.shard_bytes, block),
	    block_offset(block), e);
	if (rc == 0 && (block + 1) % (MAINTAIN_SYNC_BYTES / SHARD_BLOCK_BYTES) == 0)
		rc = convert_shards_sync(c, shard, shard + 1, e);
	return (rc);
}

int
convert_block_read_back(struct convert *c, unsigned shard, uint32_t block, uint8_t *out,
    struct err *e)
{
	int rc;

	rc = shard_read(c, shard, out, shard_block_bytes(c->layout.shard_bytes, block),
	    block_offset(block), e);
	if (rc == 0 && shard_block_crc(&c->layout, shard, block, out) != c->sums[shard][block])
		rc = err_set(e, ERR_CORRUPT, "block %u of shard %u of segment %016" PRIx64
		    " was read back with other bytes than were written", block, shard, c->segment);
	return (rc);
}

static int
page_write(struct convert *c, unsigned shard, const uint8_t page[4096], uint64_t offset,
    struct err *e)
{
	memcpy(c->units[0], page, 4096);	/* aligned, for O_DIRECT */
	return (shard_write(c, shard, c->units[0], 4096, offset, e));
}

static int
page_read_back(struct convert *c, unsigned shard, const uint8_t page[4096], uint64_t offset,
    struct err *e)
{
	int rc = shard_read(c, shard, c->units[0], 4096, offset, e);

	if (rc == 0 && memcmp(page, c->units[0], 4096) != 0)
		rc = err_set(e, ERR_CORRUPT, "a page of shard %u of segment %016" PRIx64
		    " was read back with other bytes than were written", shard, c->segment);
	return (rc);
}

typedef int page_fn(struct convert *c, unsigned shard, const uint8_t page[4096], uint64_t offset,
    struct err *e);

static int
pages_each(struct convert *c, page_fn *each, struct err *e)
{
	uint32_t pages = shard_table_pages(c->layout.shard_bytes), page;
	uint8_t bytes[4096];
	unsigned i;
	int rc = 0;

	for (i = 0; rc == 0 && i < c->shards; i++) {
		shard_header_encode(&c->layout, i, bytes);
		rc = each(c, i, bytes, 0, e);
		for (page = 0; rc == 0 && page < pages; page++) {
			shard_table_encode(&c->layout, i, page, c->sums[i], bytes);
			rc = each(c, i, bytes, shard_table_offset(c->layout.shard_bytes, page), e);
		}
	}
	return (rc);
}

int
convert_pages_write(struct convert *c, struct err *e)
{
	return (pages_each(c, page_write, e));
}

int
convert_pages_read_back(struct convert *c, struct err *e)
{
	return (pages_each(c, page_read_back, e));
}
