/*
 * segment_format - bytes of a log segment: header page, batches, records, footer. Written down in
 * holdfast-format(5); numbers are little-endian, checksums crc32c.
 *
 *   header page | batch | batch | ... | zeros        while open
 *   header page | batch | ... | footer blocks | trailer page      once sealed
 *   header page | a k-th of that, or parity | table pages         a shard, once converted
 *
 * F1  A batch starts on a sector; a record on 8 bytes.
 * F2  Every checksum but that of inline data is seeded with (segment id, offset), so that bytes of
 *     another segment, or from another place, never pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SEGMENT_FORMAT_H
#define HF_STORE_SEGMENT_FORMAT_H

#include <stdint.h>

#define SEGMENT_MAGIC		"HFSEGMNT"
#define SEGMENT_VERSION		1u
#define SEGMENT_HEADER_BYTES	4096u	/* the page; batches start behind it */
#define SEGMENT_SECTOR_BYTES	4096u

/* Offsets in the header page. */
enum {
	SEGMENT_AT_VERSION = 8, SEGMENT_AT_SECTOR = 12, SEGMENT_AT_DEPLOYMENT = 16,
	    SEGMENT_AT_ID = 32,
	SEGMENT_AT_BYTES = 40, SEGMENT_AT_CRC = 60,
};

/* Batch header. */
#define BATCH_MAGIC		0x31424648u	/* "HFB1" */
#define BATCH_HEADER_BYTES	64u
enum {
	BATCH_AT_BYTES = 4, BATCH_AT_SEGMENT = 8, BATCH_AT_OFFSET = 16, BATCH_AT_COUNT = 24,
	BATCH_AT_FIRST_LSN = 32, BATCH_AT_ACKED_LSN = 40, BATCH_AT_CRC = 60,
};

/* Record header. */
#define RECORD_MAGIC		0x31524648u	/* "HFR1" */
#define RECORD_HEADER_BYTES	40u
enum {
	RECORD_AT_TYPE = 4, RECORD_AT_LSN = 8, RECORD_AT_META_BYTES = 16, RECORD_AT_DATA_BYTES = 20,
	RECORD_AT_DATA_CRC = 24, RECORD_AT_CRC = 36,
};

/* Footer block header: then entries of { u64 record offset, record header and meta, padding to 8
 * }. */
#define FOOTER_MAGIC		0x31464648u	/* "HFF1" */
#define FOOTER_HEADER_BYTES	32u
/* What the head of a record takes of a footer, about. */
#define FOOTER_HEAD_BYTES(meta_bytes) (8 + RECORD_HEADER_BYTES + (uint64_t)(meta_bytes))
enum {
	FOOTER_AT_BYTES = 4, FOOTER_AT_SEGMENT = 8, FOOTER_AT_OFFSET = 16, FOOTER_AT_COUNT = 24,
	    FOOTER_AT_CRC = 28,
};

/* Trailer page: the last page of a sealed file with a footer. */
#define TRAILER_MAGIC		0x31544648u	/* "HFT1" */
#define TRAILER_BYTES		4096u
enum {
	TRAILER_AT_SEGMENT = 8, TRAILER_AT_FOOTER = 16, TRAILER_AT_FOOTER_BYTES = 24,
	    TRAILER_AT_COUNT = 32,
	TRAILER_AT_LAST_LSN = 40, TRAILER_AT_CRC = 60,
};

/* Shards of a converted segment: header page, bytes, pages of a table of checksums of blocks. */
#define SHARD_MAGIC		"HFSHARD\n"
#define SHARD_VERSION		1u
#define SHARD_HEADER_BYTES	4096u
#define SHARD_ALIGN_BYTES	4096u
#define SHARD_BLOCK_BYTES	65536u
enum {
	SHARD_AT_VERSION = 8, SHARD_AT_SHARD = 12, SHARD_AT_K = 13, SHARD_AT_M = 14,
	SHARD_AT_DEPLOYMENT = 16, SHARD_AT_SEGMENT = 32, SHARD_AT_SHARD_BYTES = 40,
	SHARD_AT_CONTENT_BYTES = 48, SHARD_AT_SECTOR = 56, SHARD_AT_CRC = 60,
};
#define TABLE_MAGIC		0x31454648u	/* "HFE1" */
#define TABLE_PAGE_BYTES	4096u
#define TABLE_HEADER_BYTES	32u
#define TABLE_PAGE_SUMS		((TABLE_PAGE_BYTES - TABLE_HEADER_BYTES) / 4)
enum {
	TABLE_AT_COUNT = 4, TABLE_AT_SEGMENT = 8, TABLE_AT_SHARD = 16, TABLE_AT_FIRST = 20,
	TABLE_AT_CRC = 28,
};

static inline uint64_t
align_up(uint64_t n, uint64_t to)
{
	return ((n + to - 1) / to * to);
}

/* Sizes of a record: where its data starts, and all of it without the padding to 8 behind it. */
static inline uint64_t
record_data_offset(uint64_t meta_bytes)
{
	return (align_up(RECORD_HEADER_BYTES + meta_bytes, 8));
}

static inline uint64_t
record_total_bytes(uint64_t meta_bytes, uint64_t data_bytes)
{
	return (record_data_offset(meta_bytes) + data_bytes);
}

#endif
