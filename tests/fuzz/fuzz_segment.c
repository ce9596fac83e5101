/*
 * fuzz_segment - any bytes as header, batch and footer of a log segment: what is delivered is
 * within the file, in order and whole, and nothing is read past the end.
 *
 * An input is tried as it is, and with its checksums made right wherever its lengths lead to, so
 * that what is behind them is reached.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/log/segment_copy.h"

#define INPUT_BYTES_MAX	65536
#define SEGMENT		UINT64_C(7)
#define FIRST_LSN	LSN(3, 5)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct input { const uint8_t *data; size_t bytes; };

static ssize_t
input_read(void *context, unsigned way, void *out, size_t bytes, uint64_t offset)
{
	const struct input *in = context;

	(void)way;
	if (offset >= in->bytes)
		return (0);
	if (bytes > in->bytes - offset)
		bytes = in->bytes - offset;
	memcpy(out, in->data + offset, bytes);
	return ((ssize_t)bytes);
}

/* --- headers ---------------------------------------------------------------------------------- */

static void
header_try(const uint8_t *data, size_t bytes)
{
	uint8_t page[SEGMENT_HEADER_BYTES] = { 0 }, deployment[16];
	uint32_t sector = SEGMENT_SECTOR_BYTES;
	uint64_t id;

	memcpy(page, data, bytes < sizeof(page) ? bytes : sizeof(page));
	id = get_u64(page + SEGMENT_AT_ID);
	memcpy(deployment, page + SEGMENT_AT_DEPLOYMENT, 16);
	for (unsigned round = 0; round < 2; round++) {
		assert(!segment_header_other(page, id));
		(void)header_version_rotten(page, SEGMENT_VERSION, crc32c_seed(id, 0));
		if (segment_header_parse(page, deployment, id, &sector)) {
			assert(sector >= 512 && SEGMENT_SECTOR_BYTES % sector == 0);
			assert(segment_header_other(page, id + 1));
		}
		put_u32(page + SEGMENT_AT_CRC, crc32c(crc32c_seed(id, 0), page, SEGMENT_AT_CRC));
	}
}

/* --- batches ---------------------------------------------------------------------------------- */

/* A record's checksums made right; the bytes that it takes, or what is left. */
static size_t
record_mend(uint8_t *p, size_t bytes, uint64_t lsn, uint64_t offset)
{
	uint64_t meta, data, at;

	if (bytes < RECORD_HEADER_BYTES)
		return (bytes);
	put_u32(p, RECORD_MAGIC);
	meta = get_u32(p + RECORD_AT_META_BYTES) % (bytes - RECORD_HEADER_BYTES + 1);
	put_u32(p + RECORD_AT_META_BYTES, (uint32_t)meta);
	at = record_data_offset(meta);
	data = at > bytes ? 0 : get_u32(p + RECORD_AT_DATA_BYTES) % (bytes - at + 1);
	put_u32(p + RECORD_AT_DATA_BYTES, (uint32_t)data);
	put_u32(p + RECORD_AT_DATA_CRC, data == 0 ? 0 : crc32c(0, p + at, data));
	record_stamp(p, lsn, SEGMENT, offset);
	at = align_up(record_total_bytes(meta, data), 8);
	return (at < bytes ? at : bytes);
}

/* The batch at SEGMENT_HEADER_BYTES, and its records. */
static void
batch_mend(uint8_t *p, size_t bytes)
{
	struct batch_head h = { .segment = SEGMENT, .offset = SEGMENT_HEADER_BYTES,
	    .first_lsn = FIRST_LSN };
	uint32_t wanted;
	size_t at = BATCH_HEADER_BYTES;

	if (bytes < BATCH_HEADER_BYTES)
		return;
	wanted = get_u32(p + BATCH_AT_COUNT) % 8 + 1;
	for (; h.count < wanted && at < bytes; h.count++)
		at += record_mend(p + at, bytes - at, FIRST_LSN + h.count,
		    SEGMENT_HEADER_BYTES + at);
	h.bytes = (uint32_t)at;
	batch_head_encode(&h, p);
}

static void
batch_records_check(const uint8_t *p, const struct batch_head *h)
{
	uint64_t at = BATCH_HEADER_BYTES;
	struct slice data;
	struct record r;

	for (uint32_t i = 0; i < h->count; i++) {
		struct slice bytes = SLICE(p + at, h->bytes - at);

		assert(record_parse(bytes, h->segment, h->offset + at, &r, NULL) == 0);
		assert(r.lsn == h->first_lsn + i && r.place.record_bytes <= bytes.bytes);
		assert(record_body(bytes, &r.place, &data, NULL) == 0);
		assert(data.bytes == r.place.data_bytes);
		at += align_up(r.place.record_bytes, 8);
	}
	assert(at == h->bytes);
}

static void
batch_try(const uint8_t *file, size_t bytes)
{
	struct input in = { file, bytes };
	struct segment_copy c = { input_read, &in, 0, bytes };
	struct buf out = BUF_INIT;
	struct batch_head h;

	if (segment_copy_batch(&c, SEGMENT, SEGMENT_HEADER_BYTES, 0, &out, &h)) {
		assert(h.bytes <= bytes - SEGMENT_HEADER_BYTES && out.bytes == h.bytes);
		batch_records_check(out.data, &h);
	}
	buf_release(&out);
}

/* --- footers ---------------------------------------------------------------------------------- */

static void
trailer_make(uint8_t *page, uint64_t at, uint64_t last_lsn)
{
	memset(page, 0, TRAILER_BYTES);
	put_u32(page, TRAILER_MAGIC);
	put_u64(page + TRAILER_AT_SEGMENT, SEGMENT);
	put_u64(page + TRAILER_AT_FOOTER, SEGMENT_HEADER_BYTES);
	put_u64(page + TRAILER_AT_FOOTER_BYTES, at - SEGMENT_HEADER_BYTES);
	put_u64(page + TRAILER_AT_LAST_LSN, last_lsn);
	put_u32(page + TRAILER_AT_CRC, crc32c(crc32c_seed(SEGMENT, at), page, TRAILER_AT_CRC));
}

/* The entries of a block, as far as it goes. */
static void
block_mend(uint8_t *p, size_t bytes, uint64_t offset, uint64_t *lsn)
{
	uint32_t count = get_u32(p + FOOTER_AT_COUNT) % 16;
	size_t at = FOOTER_HEADER_BYTES, n;

	put_u32(p + FOOTER_AT_COUNT, count);
	for (; count > 0 && bytes - at >= 8 + RECORD_HEADER_BYTES; count--) {
		n = record_mend(p + at + 8, bytes - at - 8, ++*lsn, get_u64(p + at));
		(void)n;	/* an entry has no data */
		at += 8 + align_up(RECORD_HEADER_BYTES + get_u32(p + at + 8 +
		    RECORD_AT_META_BYTES), 8);
		if (at > bytes)
			break;
	}
	put_u32(p, FOOTER_MAGIC);
	put_u32(p + FOOTER_AT_BYTES, (uint32_t)bytes);
	put_u32(p + FOOTER_AT_CRC, footer_block_crc(p, bytes, SEGMENT, offset));
}

/* Blocks of whole pages from SEGMENT_HEADER_BYTES on, as long as their lengths say. */
static uint64_t
footer_mend(uint8_t *file, size_t end)
{
	uint64_t lsn = FIRST_LSN - 1;
	size_t at = SEGMENT_HEADER_BYTES, n;

	while (at < end) {
		n = get_u32(file + at + FOOTER_AT_BYTES) % (end - at + 1);
		n = n < FOOTER_HEADER_BYTES ? FOOTER_HEADER_BYTES : n;
		block_mend(file + at, n, at, &lsn);
		at += align_up(n, 4096);
	}
	return (lsn);
}

static int
on_head(void *context, const struct record *r, struct err *e)
{
	uint64_t *last = context;

	(void)e;
	assert(r->lsn > *last && r->meta.bytes <= RECORD_META_BYTES_MAX);
	*last = r->lsn;
	return (0);
}

static void
footer_try(const uint8_t *file, size_t bytes, uint64_t last_lsn)
{
	struct segment_span span = { SEGMENT, SEGMENT_HEADER_BYTES, FIRST_LSN, last_lsn };
	struct input in = { file, bytes };
	struct segment_copy c = { input_read, &in, 0, bytes };
	uint64_t seen = 0, last;
	int rc = segment_copy_footer(&c, &span, 0, on_head, &seen, &last, NULL);

	assert(rc == 0 || rc == FOOTER_NONE);
	assert(rc != 0 || (last == last_lsn && segment_copy_trailer(&c, &span)));
	assert(seen == 0 || seen == last);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	size_t end = align_up(SEGMENT_HEADER_BYTES + bytes, 4096);
	uint64_t lsn;
	uint8_t *file;

	if (bytes > INPUT_BYTES_MAX)
		return (0);
	header_try(data, bytes);
	file = calloc(1, end + TRAILER_BYTES);
	assert(file != NULL);
	if (bytes > 0)
		memcpy(file + SEGMENT_HEADER_BYTES, data, bytes);
	batch_try(file, SEGMENT_HEADER_BYTES + bytes);
	batch_mend(file + SEGMENT_HEADER_BYTES, bytes);
	batch_try(file, SEGMENT_HEADER_BYTES + bytes);
	for (unsigned round = 0; round < 2; round++) {
		if (bytes > 0)
			memcpy(file + SEGMENT_HEADER_BYTES, data, bytes);
		lsn = round == 0 ? FIRST_LSN : footer_mend(file, end);
		trailer_make(file + end, end, lsn);
		footer_try(file, end + TRAILER_BYTES, lsn);
	}
	free(file);
	return (0);
}
