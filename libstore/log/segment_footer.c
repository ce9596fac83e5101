/*
 * segment_footer - the heads of all records behind the batches of a sealed segment, so that replay
 * reads them without the inline data between. Where heads are most of a segment a footer would save
 * nothing and is left out. A footer that is missing or damaged costs time only: the batches say the
 * same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/log/segment.h"

struct footer {
	struct drive_set *set;
	const struct segment *segment;
	uint32_t mask, failed;
	struct buf block;
	struct segment_window window;
	uint64_t at, record_count, head_bytes;
	uint32_t block_count;
	struct err *err;
};

static void
mirrors_write(struct footer *f, const void *data, size_t bytes)
{
	struct disk *d = drive_set_disk(f->set);
	struct iovec iov = { (void *)data, bytes };
	unsigned i;

	for (i = 0; i < f->segment->mirror_count; i++)
		if ((f->mask & ~f->failed) >> i & 1 &&
		    d->ops->pwritev(d, f->segment->handles[i], &iov, 1, f->at, f->err) < 0)
			f->failed |= 1u << i;
	f->at += bytes;
}

static void
block_end(struct footer *f)
{
	uint64_t bytes = f->block.bytes, padded = align_up(bytes, 4096);
	uint8_t *p;

	if (f->block_count == 0)
		return;
	memset(buf_extend(&f->block, padded - bytes), 0, padded - bytes);
	p = f->block.data;
	put_u32(p, FOOTER_MAGIC);
	put_u32(p + FOOTER_AT_BYTES, (uint32_t)bytes);
	put_u64(p + FOOTER_AT_SEGMENT, f->segment->id);
	put_u64(p + FOOTER_AT_OFFSET, f->at);
	put_u32(p + FOOTER_AT_COUNT, f->block_count);
	put_u32(p + FOOTER_AT_CRC, footer_block_crc(p, bytes, f->segment->id, f->at));
	mirrors_write(f, p, padded);
	buf_reset(&f->block);
	f->block_count = 0;
}

static void
block_add(struct footer *f, const uint8_t *record, const struct record *r)
{
	size_t head = RECORD_HEADER_BYTES + r->meta.bytes, padded = align_up(head, 8);
	uint8_t *p;

	if (f->block.bytes == 0)
		memset(buf_extend(&f->block, FOOTER_HEADER_BYTES), 0, FOOTER_HEADER_BYTES);
	p = buf_extend(&f->block, 8 + padded);
	put_u64(p, r->place.offset);
	memcpy(p + 8, record, head);
	memset(p + 8 + head, 0, padded - head);
	f->block_count++;
	f->record_count++;
	if (f->block.bytes >= FOOTER_BLOCK_BYTES_MAX)
		block_end(f);
}

/* From the first mirror by the window, and where that has it not, from any. */
static bool
batch_read(struct footer *f, uint64_t offset, uint64_t lsn, struct buf *batch,
    struct batch_head *h)
{
	const struct segment *g = f->segment;
	uint32_t bad;

	return ((f->mask >> f->window.mirror & 1 && g->handles[f->window.mirror] >= 0 &&
	    segment_window_batch(f->set, g, &f->window, offset, lsn, batch, h)) ||
	    segment_batch_read(f->set, g, f->mask, offset, lsn, false, batch, h, &bad));
}

/* Walks all batches; writes blocks, or only counts the bytes of heads. */
static bool
batches_walk(struct footer *f, bool write)
{
	const struct segment *g = f->segment;
	struct buf batch = BUF_INIT;
	struct batch_head h;
	struct record r;
	uint64_t offset = SEGMENT_HEADER_BYTES, lsn = g->first_lsn, at;
	bool whole = true;
	uint32_t i;

	while (whole && offset < g->end) {
		whole = batch_read(f, offset, lsn, &batch, &h);
		for (i = 0, at = BATCH_HEADER_BYTES; whole && i < h.count; i++) {
			if (record_parse_head(SLICE(batch.data + at, h.bytes - at), g->id,
				offset + at, &r, NULL) < 0)
				whole = false;
			else if (write)
				block_add(f, batch.data + at, &r);
			else
				f->head_bytes += FOOTER_HEAD_BYTES(r.meta.bytes);
			at += align_up(r.place.record_bytes, 8);
		}
		if (whole) {
			lsn += h.count;
			offset = align_up(offset + h.bytes, g->sector_bytes);
		}
	}
	buf_release(&batch);
	return (whole);
}

static void
trailer_write(struct footer *f, uint64_t footer_at)
{
	uint8_t page[TRAILER_BYTES] = { 0 };

	put_u32(page, TRAILER_MAGIC);
	put_u64(page + TRAILER_AT_SEGMENT, f->segment->id);
	put_u64(page + TRAILER_AT_FOOTER, footer_at);
	put_u64(page + TRAILER_AT_FOOTER_BYTES, f->at - footer_at);
	put_u64(page + TRAILER_AT_COUNT, f->record_count);
	put_u64(page + TRAILER_AT_LAST_LSN, f->segment->last_lsn);
	put_u32(page + TRAILER_AT_CRC,
	    crc32c(crc32c_seed(f->segment->id, f->at), page, TRAILER_AT_CRC));
	mirrors_write(f, page, sizeof(page));
}

uint32_t
segment_footer_write(struct drive_set *s, const struct segment *g, uint32_t mask, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	struct footer f = { .set = s, .segment = g, .mask = mask, .block = BUF_INIT, .err = e,
		.window = { mask != 0 ? (unsigned)__builtin_ctz(mask) : 0, BUF_INIT, 0 },
		.head_bytes = g->head_bytes };
	uint64_t footer_at = align_up(g->end, 4096);
	unsigned i;

	f.at = footer_at;
	if ((f.head_bytes > 0 || batches_walk(&f, false)) &&
	    f.head_bytes < (g->end - SEGMENT_HEADER_BYTES) / 2 && batches_walk(&f, true)) {
		block_end(&f);
		trailer_write(&f, footer_at);
	} else
		f.at = footer_at;
	for (i = 0; i < g->mirror_count; i++)
		if ((mask & ~f.failed) >> i & 1 &&
		    (d->ops->truncate(d, g->handles[i], f.at, e) < 0 ||
			d->ops->datasync(d, g->handles[i], e) < 0))
			f.failed |= 1u << i;
	buf_release(&f.block);
	buf_release(&f.window.bytes);
	return (f.failed);
}
