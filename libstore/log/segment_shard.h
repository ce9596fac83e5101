/*
 * segment_shard - one of the k+m shards of a converted segment: where a byte of the segment lies,
 * the header of a shard file, and the table that tells which block of it is wrong. Pure functions;
 * holdfast-format(5), "Shards".
 *
 * H1  Shard i < k is the i-th k-th of the segment: byte a of it is byte a % shard_bytes of shard
 *     a / shard_bytes, and nothing between was moved.
 * H2  Every checksum is seeded with the segment and the place among all shards, so that bytes of
 *     another shard never pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SEGMENT_SHARD_H
#define HF_STORE_SEGMENT_SHARD_H

#include "libbase/bytes.h"
#include "libbase/err.h"
#include "libstore/format/segment_format.h"
#include "schema/log.pb-c.h"

struct shard_layout {
	uint8_t		deployment[16];
	uint64_t	segment, shard_bytes, content_bytes;
	unsigned	k, m;
	uint32_t	sector_bytes;
};

/* Who converts a segment: leases of two tasks say nothing of each other. */
struct shard_writer {
	uint64_t	task, lease;
};

/* Name of a shard file in DRIVE/log, and of one that is being written. */
#define SHARD_NAME_BYTES 80
void shard_name(uint64_t segment, char out[SHARD_NAME_BYTES]);
void shard_name_new(uint64_t segment, struct shard_writer by, char out[SHARD_NAME_BYTES]);

/* True if a set of k+m gains by converting. */
bool shard_layout_gains(unsigned k, unsigned m);
/* From a row that is CONVERTED or about to be; ERR_CORRUPT: it makes no sense. content_bytes and
 * sector_bytes are not in it: 0. */
int shard_layout_of(const Hf__CatalogSegment *row, const uint8_t deployment[16],
    struct shard_layout *out, struct err *e);
/* Bytes of a shard for a content of so many. */
uint64_t shard_bytes_for(uint64_t content_bytes, unsigned k);

uint64_t shard_file_bytes(uint64_t shard_bytes);
uint32_t shard_block_count(uint64_t shard_bytes);
/* Bytes of a block: the last may be shorter. */
uint32_t shard_block_bytes(uint64_t shard_bytes, uint32_t block);
uint32_t shard_block_crc(const struct shard_layout *l, unsigned shard, uint32_t block,
    const uint8_t *data);

void shard_header_encode(const struct shard_layout *l, unsigned shard,
    uint8_t page[SHARD_HEADER_BYTES]);
/*
 * Checks a header page for this segment, shard and layout; *full is the layout with what only the
 * header says, and may be the same. ERR_VERSION: of a newer program; ERR_CORRUPT: damage, or of
 * something else.
 */
int shard_header_check(const struct shard_layout *l, unsigned shard, const uint8_t *page,
    struct shard_layout *full, struct err *e);

uint32_t shard_table_pages(uint64_t shard_bytes);
uint64_t shard_table_offset(uint64_t shard_bytes, uint32_t page);	/* in the file */
/* A page of the table; sums[] has one for each block of the shard. */
void shard_table_encode(const struct shard_layout *l, unsigned shard, uint32_t page,
    const uint32_t *sums, uint8_t out[TABLE_PAGE_BYTES]);
/* True if it is this page of this shard. */
bool shard_table_check(const struct shard_layout *l, unsigned shard, uint32_t page,
    const uint8_t *bytes);
/* The checksum of a block, from the page that has it, which was checked. */
uint32_t shard_table_sum(const uint8_t *page, uint32_t block);

#endif
