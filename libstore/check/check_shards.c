/*
 * check_shards - every shard of a converted segment: header, table and each block; then each stripe
 * of blocks against its parity, and the batches, records and footer that they hold.
 *
 * S1  A block counts if the table of its shard has its checksum. With k blocks of a stripe the
 *     others are computed and compared; with fewer their bytes are lost.
 * S2  Blocks of data that are wrong are remembered, so that objects on them can be named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"

struct shards {
	struct check			*check;
	const Hf__CatalogSegment	*row;
	struct shard_layout		 layout;
	struct erasure			*erasure;
	unsigned			 count;
	int				 handles[DRIVES_MAX];
	uint8_t				*tables[DRIVES_MAX];	/* all pages; NULL: not there */
	uint8_t				*memory, *units[DRIVES_MAX], *computed;
	uint64_t			 content_bytes;
};

static struct fault_at
shard_at(struct shards *s, unsigned shard, enum check_severity severity, uint64_t offset,
    char path[4096])
{
	segment_row_path(s->check->set, s->row, shard, path);
	return ((struct fault_at){ severity, "segment", (int)s->row->slots[shard], path, offset,
	    NULL });
}

static struct fault_at
segment_at(enum check_severity severity, uint64_t offset)
{
	return ((struct fault_at){ severity, "segment", -1, NULL, offset, NULL });
}

/* --- one shard file --------------------------------------------------------------------------- */

static void
header_look(struct shards *s, unsigned i)
{
	struct disk *d = s->check->set->disk;
	uint8_t page[SHARD_HEADER_BYTES] = { 0 };
	struct err why = ERR_INIT;
	struct shard_layout full;
	uint64_t bytes = 0;
	char path[4096];
	struct fault_at at = shard_at(s, i, CHECK_DEGRADED, 0, path);

	d->ops->size(d, s->handles[i], &bytes, NULL);
	if (bytes != shard_file_bytes(s->layout.shard_bytes)) {
		at.offset = NO_OFFSET;
		check_fault(s->check, at, "shard %u has %" PRIu64 " bytes; it should have %" PRIu64,
		    i, bytes, shard_file_bytes(s->layout.shard_bytes));
	}
	if (d->ops->pread(d, s->handles[i], page, sizeof(page), 0, &why) < 0 ||
	    shard_header_check(&s->layout, i, page, &full, &why) < 0) {
		at.offset = 0;
		check_fault(s->check, at, "%s", why.text);
	} else if (s->content_bytes == 0)
		s->content_bytes = full.content_bytes;
	else if (full.content_bytes != s->content_bytes)
		check_fault(s->check, at, "shard %u is of a content of %" PRIu64 " bytes, others "
		    "of %" PRIu64, i, full.content_bytes, s->content_bytes);
}

static void
table_look(struct shards *s, unsigned i)
{
	uint32_t pages = shard_table_pages(s->layout.shard_bytes), page;
	struct disk *d = s->check->set->disk;
	char path[4096];

	s->tables[i] = calloc(pages, TABLE_PAGE_BYTES);
	assert(s->tables[i] != NULL);
	for (page = 0; page < pages; page++) {
		uint8_t *bytes = s->tables[i] + (size_t)page * TABLE_PAGE_BYTES;
		uint64_t offset = shard_table_offset(s->layout.shard_bytes, page);

		if (d->ops->pread(d, s->handles[i], bytes, TABLE_PAGE_BYTES, offset, NULL) ==
		    (ssize_t)TABLE_PAGE_BYTES && shard_table_check(&s->layout, i, page, bytes))
			continue;
		memset(bytes, 0, TABLE_PAGE_BYTES);	/* not a page: none of its blocks counts */
		check_fault(s->check, shard_at(s, i, CHECK_DEGRADED, offset, path),
		    "page %u of the table of checksums is damaged", page);
	}
}

static void
shard_open(struct shards *s, unsigned i)
{
	struct check *c = s->check;
	struct disk *d = c->set->disk;
	struct err why = ERR_INIT;
	char path[4096];
	struct fault_at at;

	s->handles[i] = -1;
	if (s->row->slots[i] >= c->set->count ||
	    !(drive_present_mask(c->set) >> s->row->slots[i] & 1))
		return;
	at = shard_at(s, i, CHECK_DEGRADED, NO_OFFSET, path);
	if (s->row->missing >> i & 1)
		check_fault(c, at, "shard %u is not rebuilt yet", i);
	s->handles[i] = d->ops->open(d, path, O_RDONLY, &why);
	if (s->handles[i] < 0) {
		check_fault(c, at, "shard %u cannot be opened: %s", i, why.text);
		check_damaged_add(c, s->row->id, DAMAGED_SHARD + i, i * s->layout.shard_bytes,
		    s->layout.shard_bytes);
		return;
	}
	c->sum.segment_shards++;
	header_look(s, i);
	table_look(s, i);
}

/* --- one stripe ------------------------------------------------------------------------------- */

/* S1 */
static bool
block_look(struct shards *s, unsigned i, uint32_t block)
{
	uint64_t in_shard = (uint64_t)block * SHARD_BLOCK_BYTES;
	uint32_t bytes = shard_block_bytes(s->layout.shard_bytes, block);
	struct disk *d = s->check->set->disk;
	const uint8_t *page;
	char path[4096];

	if (s->handles[i] < 0)
		return (false);
	page = s->tables[i] + (size_t)(block / TABLE_PAGE_SUMS) * TABLE_PAGE_BYTES;
	if (d->ops->pread(d, s->handles[i], s->units[i], bytes, SHARD_HEADER_BYTES + in_shard,
	    NULL) == (ssize_t)bytes && get_u32(page) == TABLE_MAGIC &&
	    shard_table_sum(page, block) == shard_block_crc(&s->layout, i, block, s->units[i]))
		return (true);
	if (get_u32(page) == TABLE_MAGIC)	/* else the page was told */
		check_fault(s->check, shard_at(s, i, CHECK_DEGRADED, SHARD_HEADER_BYTES + in_shard,
		    path), "wrong bytes in block %u of shard %u", block, i);
	if (i < s->layout.k)			/* S2 */
		check_damaged_add(s->check, s->row->id, DAMAGED_SHARD + i,
		    i * s->layout.shard_bytes + in_shard, bytes);
	return (false);
}

/* The shards that are there must be those of one content. */
static void
parity_look(struct shards *s, uint32_t block, uint32_t good)
{
	uint32_t bytes = shard_block_bytes(s->layout.shard_bytes, block), from = 0;
	uint8_t *units[DRIVES_MAX];
	char path[4096];
	unsigned i, n;

	for (i = 0, n = 0; n < s->layout.k; i++)
		if (good >> i & 1) {
			from |= 1u << i;
			n++;
		}
	for (i = 0; i < s->count; i++) {
		if (!((good & ~from) >> i & 1))
			continue;
		memcpy(units, s->units, sizeof(units));
		units[i] = s->computed;
		n = (unsigned)erasure_rebuild(s->erasure, bytes, from, 1u << i, units);
		assert(n == 0);
		if (memcmp(s->computed, s->units[i], bytes) != 0)
			check_fault(s->check, shard_at(s, i, CHECK_DEGRADED, SHARD_HEADER_BYTES +
			    (uint64_t)block * SHARD_BLOCK_BYTES, path), "block %u of shard %u is "
			    "not what the other shards say", block, i);
	}
}

static void
stripe_look(struct shards *s, uint32_t block)
{
	uint64_t in_shard = (uint64_t)block * SHARD_BLOCK_BYTES;
	uint32_t bytes = shard_block_bytes(s->layout.shard_bytes, block), good = 0;
	unsigned i;

	for (i = 0; i < s->count; i++)
		good |= (uint32_t)block_look(s, i, block) << i;
	check_progress(s->check, (uint64_t)bytes * s->count);
	if ((unsigned)__builtin_popcount(good) >= s->layout.k) {
		parity_look(s, block, good);
		return;
	}
	for (i = 0; i < s->layout.k; i++)
		if (!(good >> i & 1))
			check_fault(s->check, segment_at(CHECK_LOST, i * s->layout.shard_bytes +
			    in_shard), "segment %016" PRIx64 ": %u bytes there are in shard %u, "
			    "and only %d of %u blocks of the stripe are whole", s->row->id, bytes,
			    i, __builtin_popcount(good), s->count);
}

/* --- what they hold --------------------------------------------------------------------------- */

static int
batches_look(struct shards *s, struct segment_source *source, struct err *e)
{
	uint64_t offset = SEGMENT_HEADER_BYTES, lsn = s->row->first_lsn;
	struct check *c = s->check;
	struct buf batch = BUF_INIT;
	struct batch_head h = { 0 };
	struct err why = ERR_INIT;
	int rc = 0;

	while ((rc = check_cancelled(c, e)) == 0 && offset < s->row->bytes) {
		if (segment_source_batch(source, offset, lsn, &batch, &h, &why) < 0) {
			check_fault(c, segment_at(CHECK_LOST, offset), "%s: records %016" PRIx64
			    " to %016" PRIx64 " cannot be replayed", why.text, lsn,
			    s->row->last_lsn);
			break;
		}
		c->sum.batches++;
		c->sum.records += h.count;
		c->sum.log_bytes += h.bytes;
		offset = align_up(offset + h.bytes, segment_source_sector_bytes(source));
		lsn += h.count;
	}
	if (rc == 0 && offset >= s->row->bytes && lsn != s->row->last_lsn + 1)
		check_fault(c, segment_at(CHECK_LOST, offset), "segment %016" PRIx64
		    " ends with LSN %016" PRIx64 "; the catalog has %016" PRIx64, s->row->id,
		    lsn - 1, s->row->last_lsn);
	if (rc == 0 && s->content_bytes > align_up(s->row->bytes, 4096) &&
	    segment_source_content_bytes(source, true, NULL) != s->content_bytes)
		check_fault(c, segment_at(CHECK_HARMLESS, align_up(s->row->bytes, 4096)),
		    "segment %016" PRIx64 ": the footer is damaged; the batches say the same",
		    s->row->id);
	buf_release(&batch);
	return (rc);
}

static int
content_look(struct shards *s, struct err *e)
{
	struct segment_source *source;
	struct segment_paths paths;
	struct err why = ERR_INIT;
	int rc;

	segment_paths_of_set(s->check->set, &paths);
	if (segment_source_open(&paths, s->row, &source, &why) < 0) {
		check_fault(s->check, segment_at(CHECK_LOST, NO_OFFSET), "%s", why.text);
		return (0);
	}
	rc = batches_look(s, source, e);
	segment_source_close(&source);
	return (rc);
}

/* --- all of it -------------------------------------------------------------------------------- */

static void
shards_init(struct shards *s)
{
	unsigned i;

	s->count = s->layout.k + s->layout.m;
	s->erasure = erasure_new(s->layout.k, s->layout.m);
	s->memory = aligned_alloc(4096, (size_t)(s->count + 1) * SHARD_BLOCK_BYTES);
	assert(s->memory != NULL);
	for (i = 0; i < s->count; i++)
		s->units[i] = s->memory + (size_t)i * SHARD_BLOCK_BYTES;
	s->computed = s->memory + (size_t)s->count * SHARD_BLOCK_BYTES;
	for (i = 0; i < s->count; i++)
		shard_open(s, i);
}

static void
shards_release(struct shards *s)
{
	struct disk *d = s->check->set->disk;
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (s->handles[i] >= 0)
			d->ops->close(d, s->handles[i]);
		free(s->tables[i]);
	}
	free(s->memory);
	erasure_free(s->erasure);
}

int
check_shards(struct check *c, const Hf__CatalogSegment *row, struct err *e)
{
	struct shards s = { .check = c, .row = row };
	struct err why = ERR_INIT;
	uint32_t block;
	int rc;

	if (shard_layout_of(row, drive_set_deployment(c->set), &s.layout, &why) < 0) {
		check_fault(c, segment_at(CHECK_LOST, NO_OFFSET), "%s", why.text);
		return (0);
	}
	shards_init(&s);
	rc = check_cancelled(c, e);
	for (block = 0; rc == 0 && block < shard_block_count(s.layout.shard_bytes); block++) {
		stripe_look(&s, block);
		rc = check_cancelled(c, e);
	}
	if (rc == 0)
		rc = content_look(&s, e);
	shards_release(&s);
	return (rc);
}
