/*
 * segment_copy - see segment_copy.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/log/segment_copy.h"

#include "libbase/checksum.h"

#define FIRST_READ		16384u
#define FOOTER_BLOCK_LIMIT	(FOOTER_BLOCK_BYTES_MAX + RECORD_META_BYTES_MAX + 4096)

_Static_assert((int)SEGMENT_AT_VERSION == (int)SHARD_AT_VERSION, "versions are in one place");
_Static_assert((int)SEGMENT_AT_CRC == (int)SHARD_AT_CRC, "checksums are in one place");

bool
header_version_rotten(const uint8_t *page, uint32_t known, uint32_t seed)
{
	uint8_t ours[SEGMENT_AT_CRC];

	memcpy(ours, page, sizeof(ours));
	put_u32(ours + SEGMENT_AT_VERSION, known);
	return (get_u32(page + SEGMENT_AT_VERSION) != known &&
	    get_u32(page + SEGMENT_AT_CRC) == crc32c(seed, ours, sizeof(ours)));
}

bool
segment_header_parse(const uint8_t *page, const uint8_t deployment[16], uint64_t id,
    uint32_t *sector_bytes)
{
	uint32_t sector = get_u32(page + SEGMENT_AT_SECTOR);

	if (memcmp(page, SEGMENT_MAGIC, 8) != 0 ||
	    get_u32(page + SEGMENT_AT_VERSION) > SEGMENT_VERSION ||
	    get_u64(page + SEGMENT_AT_ID) != id ||
	    memcmp(page + SEGMENT_AT_DEPLOYMENT, deployment, 16) != 0 ||
	    get_u32(page + SEGMENT_AT_CRC) != crc32c(crc32c_seed(id, 0), page, SEGMENT_AT_CRC))
		return (false);
	if (sector >= 512 && sector <= SEGMENT_SECTOR_BYTES && (sector & (sector - 1)) == 0)
		*sector_bytes = sector;
	return (true);
}

bool
segment_header_other(const uint8_t *page, uint64_t id)
{
	uint64_t other = get_u64(page + SEGMENT_AT_ID);

	return (other != id && memcmp(page, SEGMENT_MAGIC, 8) == 0 &&
	    get_u32(page + SEGMENT_AT_CRC) == crc32c(crc32c_seed(other, 0), page, SEGMENT_AT_CRC));
}

/* --- batches ---------------------------------------------------------------------------------- */

static uint32_t
head_crc(const uint8_t *p, uint64_t segment, uint64_t offset)
{
	return (crc32c(crc32c_seed(segment, offset), p, BATCH_AT_CRC));
}

void
batch_head_encode(const struct batch_head *h, uint8_t out[BATCH_HEADER_BYTES])
{
	memset(out, 0, BATCH_HEADER_BYTES);
	put_u32(out, BATCH_MAGIC);
	put_u32(out + BATCH_AT_BYTES, h->bytes);
	put_u64(out + BATCH_AT_SEGMENT, h->segment);
	put_u64(out + BATCH_AT_OFFSET, h->offset);
	put_u32(out + BATCH_AT_COUNT, h->count);
	put_u64(out + BATCH_AT_FIRST_LSN, h->first_lsn);
	put_u64(out + BATCH_AT_ACKED_LSN, h->acked_lsn);
	put_u32(out + BATCH_AT_CRC, head_crc(out, h->segment, h->offset));
}

bool
batch_head_parse(const uint8_t *p, uint64_t segment, uint64_t offset, struct batch_head *out)
{
	if (get_u32(p) != BATCH_MAGIC || get_u32(p + BATCH_AT_CRC) != head_crc(p, segment, offset))
		return (false);
	out->segment = get_u64(p + BATCH_AT_SEGMENT);
	out->offset = get_u64(p + BATCH_AT_OFFSET);
	out->first_lsn = get_u64(p + BATCH_AT_FIRST_LSN);
	out->acked_lsn = get_u64(p + BATCH_AT_ACKED_LSN);
	out->bytes = get_u32(p + BATCH_AT_BYTES);
	out->count = get_u32(p + BATCH_AT_COUNT);
	return (out->segment == segment && out->offset == offset && out->count > 0 &&
		out->bytes >= BATCH_HEADER_BYTES + RECORD_HEADER_BYTES &&
		out->bytes <= BATCH_BYTES_MAX);
}

bool
batch_whole(const uint8_t *p, const struct batch_head *h)
{
	struct record r;
	uint64_t at = BATCH_HEADER_BYTES;
	uint32_t i;

	for (i = 0; i < h->count; i++) {
		if (at >= h->bytes ||
		    record_parse(
			SLICE(p + at, h->bytes - at), h->segment, h->offset + at, &r, NULL) < 0 ||
		    r.lsn != h->first_lsn + i)
			return (false);
		at += align_up(r.place.record_bytes, 8);
	}
	return (at == h->bytes);
}

bool
segment_copy_batch(const struct segment_copy *c, uint64_t segment, uint64_t offset,
    uint64_t expected_lsn, struct buf *out, struct batch_head *head)
{
	ssize_t n;

	buf_reset(out);
	/* Most batches are small: one read gets the header and, mostly, all of it. */
	n = c->read(c->context, c->way, buf_reserve(out, FIRST_READ), FIRST_READ, offset);
	if (n < (ssize_t)BATCH_HEADER_BYTES || !batch_head_parse(out->data, segment, offset, head))
		return (false);
	if (expected_lsn != 0 && head->first_lsn != expected_lsn)
		return (false);
	out->bytes = (size_t)n;
	if (head->bytes > out->bytes) {
		n = c->read(c->context, c->way, buf_reserve(out, head->bytes - out->bytes),
		    head->bytes - out->bytes, offset + out->bytes);
		if (n < 0 || out->bytes + (size_t)n < head->bytes)
			return (false);
	}
	out->bytes = head->bytes;
	return (batch_whole(out->data, head));
}

/* --- footers ---------------------------------------------------------------------------------- */

uint32_t
footer_block_crc(const uint8_t *p, uint64_t bytes, uint64_t segment, uint64_t offset)
{
	uint32_t crc = crc32c(crc32c_seed(segment, offset), p, FOOTER_AT_CRC);

	return (crc32c(crc, p + FOOTER_HEADER_BYTES, bytes - FOOTER_HEADER_BYTES));
}

static bool
read_whole(const struct segment_copy *c, void *out, size_t bytes, uint64_t offset)
{
	return (c->read(c->context, c->way, out, bytes, offset) == (ssize_t)bytes);
}

static bool
trailer_read(const struct segment_copy *c, const struct segment_span *g, uint64_t *from,
    uint64_t *to)
{
	uint8_t page[TRAILER_BYTES];
	uint64_t at;

	if (c->bytes < align_up(g->end, 4096) + sizeof(page))
		return (false);
	at = c->bytes - sizeof(page);
	if (!read_whole(c, page, sizeof(page), at) || get_u32(page) != TRAILER_MAGIC ||
	    get_u64(page + TRAILER_AT_SEGMENT) != g->id ||
	    get_u32(page + TRAILER_AT_CRC) !=
		crc32c(crc32c_seed(g->id, at), page, TRAILER_AT_CRC) ||
	    get_u64(page + TRAILER_AT_LAST_LSN) != g->last_lsn)
		return (false);
	*from = get_u64(page + TRAILER_AT_FOOTER);
	*to = at;
	return (*from == align_up(g->end, 4096) &&
		get_u64(page + TRAILER_AT_FOOTER_BYTES) == at - *from);
}

bool
segment_copy_trailer(const struct segment_copy *c, const struct segment_span *g)
{
	uint64_t from, to;

	return (trailer_read(c, g, &from, &to));
}

static bool
block_read(const struct segment_copy *c, uint64_t segment, uint64_t at, uint64_t to,
    struct buf *out)
{
	uint8_t head[FOOTER_HEADER_BYTES];
	uint64_t bytes;

	buf_reset(out);
	if (to - at < sizeof(head) || !read_whole(c, head, sizeof(head), at))
		return (false);
	bytes = get_u32(head + FOOTER_AT_BYTES);
	if (get_u32(head) != FOOTER_MAGIC || bytes < sizeof(head) || bytes > FOOTER_BLOCK_LIMIT ||
	    bytes > to - at || !read_whole(c, buf_extend(out, bytes), bytes, at))
		return (false);
	return (get_u32(out->data + FOOTER_AT_CRC) ==
		footer_block_crc(out->data, bytes, segment, at));
}

static int
block_deliver(const struct buf *block, const struct segment_span *g, uint64_t after,
    segment_each_fn *each, void *context, uint64_t *last, struct err *e)
{
	uint32_t i, count = get_u32(block->data + FOOTER_AT_COUNT);
	size_t at = FOOTER_HEADER_BYTES;
	struct record r;
	int rc;

	for (i = 0; i < count; i++) {
		if (block->bytes - at < 8 ||
		    record_parse_head(SLICE(block->data + at + 8, block->bytes - at - 8), g->id,
			get_u64(block->data + at), &r, NULL) < 0 ||
		    r.lsn != *last + 1)
			return (FOOTER_NONE);
		rc = r.lsn > after ? each(context, &r, e) : 0;
		if (rc < 0)
			return (rc);
		*last = r.lsn;
		at += 8 + align_up(RECORD_HEADER_BYTES + r.meta.bytes, 8);
		if (at > block->bytes)
			return (FOOTER_NONE);
	}
	return (0);
}

int
segment_copy_footer(const struct segment_copy *c, const struct segment_span *g, uint64_t after,
    segment_each_fn *each, void *context, uint64_t *last, struct err *e)
{
	struct buf block = BUF_INIT;
	uint64_t at = 0, to = 0;
	int rc = 0;

	*last = g->first_lsn - 1;
	if (!trailer_read(c, g, &at, &to))
		return (FOOTER_NONE);
	while (rc == 0 && at < to) {
		if (!block_read(c, g->id, at, to, &block)) {
			rc = FOOTER_NONE;
			break;
		}
		at += align_up(block.bytes, 4096);
		rc = block_deliver(&block, g, after, each, context, last, e);
	}
	if (rc == 0 && *last != g->last_lsn)
		rc = FOOTER_NONE;
	buf_release(&block);
	return (rc);
}
