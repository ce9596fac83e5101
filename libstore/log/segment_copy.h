/*
 * segment_copy - batches and footers, read from one copy of a segment: a mirror, or what shards
 * give. Whoever has several copies goes on with the next where one is damaged.
 *
 * Y1  What is delivered passed its checksum; nothing is said about what did not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SEGMENT_COPY_H
#define HF_STORE_SEGMENT_COPY_H

#include "libbase/buf.h"
#include "libstore/format/record.h"
#include "libstore/format/segment_format.h"

/* A header, of a mirror or a shard, in which only the version is wrong by its checksum, which
 * starts from `seed': it is damaged, not newer. */
bool header_version_rotten(const uint8_t *page, uint32_t known, uint32_t seed);
/* True if a page is the header of this segment; *sector_bytes is what its batches start on. */
bool segment_header_parse(const uint8_t *page, const uint8_t deployment[16], uint64_t id,
    uint32_t *sector_bytes);

/* True if a page is the header of another segment: the file was used again, and nothing is
 * damaged. */
bool segment_header_other(const uint8_t *page, uint64_t id);

/* A batch, padding not counted, is at most this. */
#define BATCH_BYTES_MAX		(8u * 1024 * 1024)

struct batch_head {
	uint64_t	segment, offset, first_lsn, acked_lsn;
	uint32_t	bytes, count;
};

void batch_head_encode(const struct batch_head *h, uint8_t out[BATCH_HEADER_BYTES]);
/* True if p (64 bytes) is the header of a batch at this place. */
bool batch_head_parse(const uint8_t *p, uint64_t segment, uint64_t offset, struct batch_head *out);
/* True if all records of a batch (h->bytes at p) are whole and their LSNs follow each other. */
bool batch_whole(const uint8_t *p, const struct batch_head *h);

struct segment_copy {
	/* Up to `bytes` from an offset; fewer only at the end. Negative: it cannot be read. */
	ssize_t		(*read)(void *context, unsigned way, void *out, size_t bytes,
	    uint64_t offset);
	void		*context;
	unsigned	 way;		/* for read */
	uint64_t	 bytes;		/* what read can give: with footer and trailer */
};

/* What the catalog says of a sealed segment. */
struct segment_span { uint64_t id, end, first_lsn, last_lsn; };

/* The batch at an offset, LSNs from expected_lsn on (0: any). False: it is not whole there. */
bool segment_copy_batch(const struct segment_copy *c, uint64_t segment, uint64_t offset,
    uint64_t expected_lsn, struct buf *out, struct batch_head *head);

#define FOOTER_NONE 1
typedef int segment_each_fn(void *context, const struct record *r, struct err *e);
/* Every record head with lsn > after from a footer. 0; FOOTER_NONE: no usable one, and *last is the
 * LSN up to which records were delivered; or what each returned. */
int segment_copy_footer(const struct segment_copy *c, const struct segment_span *g, uint64_t after,
    segment_each_fn *each, void *context, uint64_t *last, struct err *e);
/* True if the copy ends with a trailer that belongs to it: then c->bytes are its content. */
bool segment_copy_trailer(const struct segment_copy *c, const struct segment_span *g);
/* Checksum of a footer block. */
uint32_t footer_block_crc(const uint8_t *p, uint64_t bytes, uint64_t segment, uint64_t offset);
#define FOOTER_BLOCK_BYTES_MAX	(1024u * 1024)	/* a block is closed past this */

#endif
