/*
 * segment_shard - see segment_shard.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/log/segment_shard.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "libbase/checksum.h"
#include "libbase/erasure.h"
#include "libstore/log/segment_copy.h"

#define SHARD_BYTES_MAX (UINT64_C(1) << 40)

void
shard_name(uint64_t segment, char out[SHARD_NAME_BYTES])
{
	snprintf(out, SHARD_NAME_BYTES, "%016" PRIx64 ".ecs", segment);
}

void
shard_name_new(uint64_t segment, struct shard_writer by, char out[SHARD_NAME_BYTES])
{
	snprintf(out, SHARD_NAME_BYTES, "%016" PRIx64 ".%" PRIu64 ".%" PRIu64 ".new", segment,
	    by.task, by.lease);
}

bool
shard_layout_gains(unsigned k, unsigned m)
{
	return (m > 0 && k > 1);
}

int
shard_layout_of(const Hf__CatalogSegment *row, const uint8_t deployment[16],
    struct shard_layout *out, struct err *e)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	memcpy(out->deployment, deployment, 16);
	out->segment = row->id;
	out->shard_bytes = row->shard_bytes;
	out->k = row->k;
	out->m = row->m;
	if (row->k < 1 || row->k > ERASURE_UNITS_MAX || row->m > 8 ||
	    row->k + row->m > ERASURE_UNITS_MAX || row->n_slots != row->k + row->m ||
	    row->shard_bytes == 0 || row->shard_bytes % SHARD_ALIGN_BYTES != 0 ||
	    row->shard_bytes > SHARD_BYTES_MAX || row->bytes > row->k * row->shard_bytes)
		goto senseless;
	for (i = 0; i < row->n_slots; i++)
		if (row->slots[i] >= ERASURE_UNITS_MAX)
			goto senseless;
	return (0);
senseless:
	return (err_set(e, ERR_CORRUPT, "the catalog's row of converted segment %016" PRIx64
	    " makes no sense", row->id));
}

uint64_t
shard_bytes_for(uint64_t content_bytes, unsigned k)
{
	return (align_up((content_bytes + k - 1) / k, SHARD_ALIGN_BYTES));
}

uint32_t
shard_block_count(uint64_t shard_bytes)
{
	return ((uint32_t)((shard_bytes + SHARD_BLOCK_BYTES - 1) / SHARD_BLOCK_BYTES));
}

uint32_t
shard_block_bytes(uint64_t shard_bytes, uint32_t block)
{
	uint64_t rest = shard_bytes - (uint64_t)block * SHARD_BLOCK_BYTES;

	assert(block < shard_block_count(shard_bytes));
	return ((uint32_t)(rest < SHARD_BLOCK_BYTES ? rest : SHARD_BLOCK_BYTES));
}

uint32_t
shard_block_crc(const struct shard_layout *l, unsigned shard, uint32_t block, const uint8_t *data)
{
	uint64_t at = shard * l->shard_bytes + (uint64_t)block * SHARD_BLOCK_BYTES;	/* H2 */

	return (crc32c(crc32c_seed(l->segment, at), data,
	    shard_block_bytes(l->shard_bytes, block)));
}

/* --- header ----------------------------------------------------------------------------------- */

static uint32_t
header_crc(const struct shard_layout *l, unsigned shard, const uint8_t *page)
{
	return (crc32c(crc32c_seed(l->segment, shard * l->shard_bytes), page, SHARD_AT_CRC));
}

void
shard_header_encode(const struct shard_layout *l, unsigned shard, uint8_t page[SHARD_HEADER_BYTES])
{
	memset(page, 0, SHARD_HEADER_BYTES);
	memcpy(page, SHARD_MAGIC, 8);
	put_u32(page + SHARD_AT_VERSION, SHARD_VERSION);
	page[SHARD_AT_SHARD] = (uint8_t)shard;
	page[SHARD_AT_K] = (uint8_t)l->k;
	page[SHARD_AT_M] = (uint8_t)l->m;
	memcpy(page + SHARD_AT_DEPLOYMENT, l->deployment, 16);
	put_u64(page + SHARD_AT_SEGMENT, l->segment);
	put_u64(page + SHARD_AT_SHARD_BYTES, l->shard_bytes);
	put_u64(page + SHARD_AT_CONTENT_BYTES, l->content_bytes);
	put_u32(page + SHARD_AT_SECTOR, l->sector_bytes);
	put_u32(page + SHARD_AT_CRC, header_crc(l, shard, page));
}

int
shard_header_check(const struct shard_layout *l, unsigned shard, const uint8_t *page,
    struct shard_layout *full, struct err *e)
{
	uint64_t content = get_u64(page + SHARD_AT_CONTENT_BYTES);
	uint32_t sector = get_u32(page + SHARD_AT_SECTOR);

	if (memcmp(page, SHARD_MAGIC, 8) == 0 && get_u32(page + SHARD_AT_VERSION) > SHARD_VERSION &&
	    !header_version_rotten(page, SHARD_VERSION, crc32c_seed(l->segment,
	    shard * l->shard_bytes)))
		return (err_set(e, ERR_VERSION, "shard %u of segment %016" PRIx64
		    " is of version %u; this program knows %u", shard, l->segment,
		    get_u32(page + SHARD_AT_VERSION), SHARD_VERSION));
	if (memcmp(page, SHARD_MAGIC, 8) != 0 ||
	    get_u32(page + SHARD_AT_CRC) != header_crc(l, shard, page) ||
	    page[SHARD_AT_SHARD] != shard || page[SHARD_AT_K] != l->k || page[SHARD_AT_M] != l->m ||
	    memcmp(page + SHARD_AT_DEPLOYMENT, l->deployment, 16) != 0 ||
	    get_u64(page + SHARD_AT_SEGMENT) != l->segment ||
	    get_u64(page + SHARD_AT_SHARD_BYTES) != l->shard_bytes ||
	    content > l->k * l->shard_bytes || sector < 512 || sector > SEGMENT_SECTOR_BYTES ||
	    (sector & (sector - 1)) != 0)
		return (err_set(e, ERR_CORRUPT, "the header of shard %u of segment %016" PRIx64
		    " is damaged or of another file", shard, l->segment));
	if (full != l)
		*full = *l;
	full->content_bytes = content;
	full->sector_bytes = sector;
	return (0);
}

/* --- table ------------------------------------------------------------------------------------ */

uint32_t
shard_table_pages(uint64_t shard_bytes)
{
	return ((shard_block_count(shard_bytes) + TABLE_PAGE_SUMS - 1) / TABLE_PAGE_SUMS);
}

uint64_t
shard_table_offset(uint64_t shard_bytes, uint32_t page)
{
	return (SHARD_HEADER_BYTES + shard_bytes + (uint64_t)page * TABLE_PAGE_BYTES);
}

uint64_t
shard_file_bytes(uint64_t shard_bytes)
{
	return (shard_table_offset(shard_bytes, shard_table_pages(shard_bytes)));
}

static uint32_t
page_sums(const struct shard_layout *l, uint32_t page)
{
	uint32_t rest = shard_block_count(l->shard_bytes) - page * TABLE_PAGE_SUMS;

	return (rest < TABLE_PAGE_SUMS ? rest : TABLE_PAGE_SUMS);
}

static uint32_t
page_crc(const struct shard_layout *l, uint32_t page, const uint8_t *bytes)
{
	uint64_t at = shard_table_offset(l->shard_bytes, page);
	uint32_t crc = crc32c(crc32c_seed(l->segment, at), bytes, TABLE_AT_CRC);

	return (crc32c(crc, bytes + TABLE_HEADER_BYTES, 4 * page_sums(l, page)));
}

void
shard_table_encode(const struct shard_layout *l, unsigned shard, uint32_t page,
    const uint32_t *sums, uint8_t out[TABLE_PAGE_BYTES])
{
	uint32_t first = page * TABLE_PAGE_SUMS, count = page_sums(l, page), i;

	assert(page < shard_table_pages(l->shard_bytes));
	memset(out, 0, TABLE_PAGE_BYTES);
	put_u32(out, TABLE_MAGIC);
	put_u32(out + TABLE_AT_COUNT, count);
	put_u64(out + TABLE_AT_SEGMENT, l->segment);
	put_u32(out + TABLE_AT_SHARD, shard);
	put_u32(out + TABLE_AT_FIRST, first);
	for (i = 0; i < count; i++)
		put_u32(out + TABLE_HEADER_BYTES + 4 * i, sums[first + i]);
	put_u32(out + TABLE_AT_CRC, page_crc(l, page, out));
}

bool
shard_table_check(const struct shard_layout *l, unsigned shard, uint32_t page, const uint8_t *bytes)
{
	return (page < shard_table_pages(l->shard_bytes) && get_u32(bytes) == TABLE_MAGIC &&
	    get_u32(bytes + TABLE_AT_COUNT) == page_sums(l, page) &&
	    get_u64(bytes + TABLE_AT_SEGMENT) == l->segment &&
	    get_u32(bytes + TABLE_AT_SHARD) == shard &&
	    get_u32(bytes + TABLE_AT_FIRST) == page * TABLE_PAGE_SUMS &&
	    get_u32(bytes + TABLE_AT_CRC) == page_crc(l, page, bytes));
}

uint32_t
shard_table_sum(const uint8_t *page, uint32_t block)
{
	return (get_u32(page + TABLE_HEADER_BYTES + 4 * (block % TABLE_PAGE_SUMS)));
}
