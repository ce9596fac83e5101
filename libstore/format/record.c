/*
 * record - encodes and checks one record of the log; pure functions over bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/format/record.h"

#include <assert.h>
#include <inttypes.h>

#include "libbase/checksum.h"
#include "libstore/format/segment_format.h"

uint64_t
record_encoded_bytes(struct slice meta, struct slice data)
{
	return (align_up(record_total_bytes(meta.bytes, data.bytes), 8));
}

static uint32_t
record_crc(const uint8_t *head, size_t meta_bytes, uint64_t segment, uint64_t offset)
{
	uint32_t crc = crc32c_seed(segment, offset);

	crc = crc32c(crc, head, RECORD_AT_CRC);
	return (crc32c(crc, head + RECORD_HEADER_BYTES, meta_bytes));
}

void
record_lay(uint16_t type, struct slice meta, struct slice data, uint8_t *out)
{
	uint64_t data_at = record_data_offset(meta.bytes);
	uint64_t total = record_total_bytes(meta.bytes, data.bytes);

	assert(meta.bytes <= RECORD_META_BYTES_MAX && data.bytes <= RECORD_DATA_BYTES_MAX);
	memset(out, 0, RECORD_HEADER_BYTES);
	put_u32(out, RECORD_MAGIC);
	put_u16(out + RECORD_AT_TYPE, type);
	put_u32(out + RECORD_AT_META_BYTES, (uint32_t)meta.bytes);
	put_u32(out + RECORD_AT_DATA_BYTES, (uint32_t)data.bytes);
	if (data.bytes > 0)
		put_u32(out + RECORD_AT_DATA_CRC, crc32c(0, data.data, data.bytes));
	if (meta.bytes > 0)
		memcpy(out + RECORD_HEADER_BYTES, meta.data, meta.bytes);
	memset(out + RECORD_HEADER_BYTES + meta.bytes, 0,
	    data_at - RECORD_HEADER_BYTES - meta.bytes);
	if (data.bytes > 0)
		memcpy(out + data_at, data.data, data.bytes);
	memset(out + total, 0, align_up(total, 8) - total);
}

void
record_stamp(uint8_t *record, uint64_t lsn, uint64_t segment, uint64_t offset)
{
	put_u64(record + RECORD_AT_LSN, lsn);
	put_u32(record + RECORD_AT_CRC,
	    record_crc(record, get_u32(record + RECORD_AT_META_BYTES), segment, offset));
}

void
record_encode(struct record *r, uint8_t *out)
{
	record_lay(r->type, r->meta, r->data, out);
	record_stamp(out, r->lsn, r->place.segment, r->place.offset);
	r->place.record_bytes = (uint32_t)record_total_bytes(r->meta.bytes, r->data.bytes);
	r->place.data_offset = (uint32_t)record_data_offset(r->meta.bytes);
	r->place.data_bytes = (uint32_t)r->data.bytes;
	r->place.data_crc = get_u32(out + RECORD_AT_DATA_CRC);
	r->place.lsn = r->lsn;
}

static int
record_damaged(struct err *e, uint64_t segment, uint64_t offset, const char *why)
{
	return (err_set(e, ERR_CORRUPT,
	    "record at offset %" PRIu64 " of segment %016" PRIx64 ": %s", offset, segment, why));
}

int
record_parse_head(
    struct slice bytes, uint64_t segment, uint64_t offset, struct record *out, struct err *e)
{
	const uint8_t *p = bytes.data;
	uint64_t meta_bytes, data_bytes;

	if (bytes.bytes < RECORD_HEADER_BYTES)
		return (record_damaged(e, segment, offset, "it ends within its header"));
	if (get_u32(p) != RECORD_MAGIC)
		return (record_damaged(e, segment, offset, "no record starts there"));
	meta_bytes = get_u32(p + RECORD_AT_META_BYTES);
	data_bytes = get_u32(p + RECORD_AT_DATA_BYTES);
	if (meta_bytes > RECORD_META_BYTES_MAX || data_bytes > RECORD_DATA_BYTES_MAX)
		return (record_damaged(e, segment, offset, "its lengths are over the limit"));
	if (RECORD_HEADER_BYTES + meta_bytes > bytes.bytes)
		return (record_damaged(e, segment, offset, "it ends within its body"));
	if (get_u32(p + RECORD_AT_CRC) != record_crc(p, meta_bytes, segment, offset))
		return (
		    record_damaged(e, segment, offset, "the checksum of header and body is wrong"));

	memset(out, 0, sizeof(*out));
	hf__place__init(&out->place);
	out->lsn = get_u64(p + RECORD_AT_LSN);
	out->type = get_u16(p + RECORD_AT_TYPE);
	out->meta = SLICE(p + RECORD_HEADER_BYTES, meta_bytes);
	out->place.segment = segment;
	out->place.offset = offset;
	out->place.record_bytes = (uint32_t)record_total_bytes(meta_bytes, data_bytes);
	out->place.data_offset = (uint32_t)record_data_offset(meta_bytes);
	out->place.data_bytes = (uint32_t)data_bytes;
	out->place.data_crc = get_u32(p + RECORD_AT_DATA_CRC);
	out->place.lsn = out->lsn;
	return (0);
}

int
record_parse(
    struct slice bytes, uint64_t segment, uint64_t offset, struct record *out, struct err *e)
{
	int rc;

	rc = record_parse_head(bytes, segment, offset, out, e);
	if (rc < 0)
		return (rc);
	if (out->place.record_bytes > bytes.bytes)
		return (record_damaged(e, segment, offset, "it ends within its data"));
	out->data =
	    SLICE((const uint8_t *)bytes.data + out->place.data_offset, out->place.data_bytes);
	if (out->data.bytes > 0 &&
	    crc32c(0, out->data.data, out->data.bytes) != out->place.data_crc)
		return (record_damaged(e, segment, offset, "the checksum of its data is wrong"));
	return (0);
}

int
record_body(struct slice bytes, const Hf__Place *place, struct slice *data, struct err *e)
{
	struct record r;
	int rc;

	rc = record_parse_head(bytes, place->segment, place->offset, &r, e);
	if (rc < 0)
		return (rc);
	if (r.lsn != place->lsn)
		return (err_set(e, ERR_STALE,
		    "record at offset %" PRIu64 " of segment %016" PRIx64
		    " is another one (LSN %016" PRIx64 ", not %016" PRIx64 ")",
		    place->offset, place->segment, r.lsn, place->lsn));
	rc = record_parse(bytes, place->segment, place->offset, &r, e);
	if (rc == 0)
		*data = r.data;
	return (rc);
}
