/*
 * volume - geometry of extents, and encoding and checking of their rows. Pure computation.
 *
 * V1 to V3 are in volume.h. The store's operations on shard files are in volume_files.c; reading
 * and writing bodies is libobject's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/volume/volume.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/checksum.h"
#include "libstore/volume/volume_format.h"

/* Unit size of a short row with `rest` body bytes. */
static uint32_t
short_unit_bytes(unsigned k, uint64_t rest)
{
	uint64_t bytes = (rest + k - 1) / k + VOLUME_TRAILER_BYTES;

	return ((uint32_t)((bytes + VOLUME_ALIGN_BYTES - 1) & ~(uint64_t)(VOLUME_ALIGN_BYTES - 1)));
}

uint64_t
volume_extent_shard_bytes(unsigned k, uint64_t body_bytes)
{
	uint64_t row = volume_row_body_bytes(k), rest = body_bytes % row;

	assert(k > 0);
	return (body_bytes / row * VOLUME_UNIT_BYTES + (rest > 0 ? short_unit_bytes(k, rest) : 0));
}

uint64_t
volume_row_count(unsigned k, const Hf__Extent *x)
{
	uint64_t row = volume_row_body_bytes(k);

	assert(k > 0);
	return (x->bytes / row + (x->bytes % row > 0));
}

void
volume_row_get(unsigned k, const Hf__Extent *x, uint64_t index, struct volume_row *out)
{
	uint64_t row = volume_row_body_bytes(k), rest;

	assert(index < volume_row_count(k, x));
	rest = x->bytes - index * row;
	out->offset = x->offset + index * VOLUME_UNIT_BYTES;
	out->body_offset = index * row;
	out->body_bytes = (uint32_t)(rest < row ? rest : row);
	out->unit_bytes = rest < row ? short_unit_bytes(k, rest) : VOLUME_UNIT_BYTES;	/* V3 */
}

static uint32_t
trailer_crc(const uint8_t *unit, uint32_t payload)
{
	uint32_t crc = crc32c(0, unit, payload);

	return (crc32c(crc, unit + payload + TRAILER_PAYLOAD,
	    VOLUME_TRAILER_BYTES - TRAILER_PAYLOAD));
}

/* V2 */
static void
trailer_identity(const Hf__Extent *x, const struct volume_row *row, unsigned shard,
    uint8_t *trailer)
{
	put_u16(trailer + TRAILER_PAYLOAD, (uint16_t)(row->unit_bytes - VOLUME_TRAILER_BYTES));
	trailer[TRAILER_SHARD] = (uint8_t)shard;
	trailer[TRAILER_VERSION] = VOLUME_TRAILER_VERSION;
	put_u64(trailer + TRAILER_VOLUME, x->volume);
	put_u64(trailer + TRAILER_OFFSET, row->offset);
	put_u64(trailer + TRAILER_WRITE_ID, x->write_id);
}

void
volume_unit_seal(const Hf__Extent *x, const struct volume_row *row, unsigned shard, uint8_t *unit)
{
	uint32_t payload = row->unit_bytes - VOLUME_TRAILER_BYTES;

	trailer_identity(x, row, shard, unit + payload);
	put_u32(unit + payload + TRAILER_CRC, trailer_crc(unit, payload));
}

void
volume_row_encode(const struct erasure *c, unsigned k, unsigned m, const Hf__Extent *x,
    const struct volume_row *row, uint8_t *const units[])
{
	uint32_t payload = row->unit_bytes - VOLUME_TRAILER_BYTES;
	uint32_t left = row->body_bytes;
	unsigned i;

	assert(row->unit_bytes % VOLUME_ALIGN_BYTES == 0 && row->unit_bytes <= VOLUME_UNIT_BYTES);
	assert(row->body_bytes > 0 && row->body_bytes <= (uint64_t)k * payload);
	for (i = 0; i < k; i++) {
		uint32_t here = left < payload ? left : payload;

		memset(units[i] + here, 0, payload - here);
		left -= here;
	}
	erasure_encode(c, payload, units);
	for (i = 0; i < k + m; i++)
		volume_unit_seal(x, row, i, units[i]);
}

static bool
all_zero(const uint8_t *p, size_t bytes)
{
	return (bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0));
}

int
volume_unit_check(const Hf__Extent *x, const struct volume_row *row, unsigned shard,
    const uint8_t *unit, struct err *e)
{
	uint32_t payload = row->unit_bytes - VOLUME_TRAILER_BYTES;
	const uint8_t *trailer = unit + payload;
	uint8_t expected[VOLUME_TRAILER_BYTES];
	bool same, whole;

	trailer_identity(x, row, shard, expected);
	same = memcmp(trailer + TRAILER_PAYLOAD, expected + TRAILER_PAYLOAD,
	    VOLUME_TRAILER_BYTES - TRAILER_PAYLOAD) == 0;
	whole = get_u32(trailer + TRAILER_CRC) == trailer_crc(unit, payload);
	if (same && whole)
		return (0);
	if (same)
		return (err_set(e, ERR_CORRUPT, "volume %016" PRIx64 " shard %u at %" PRIu64
		    ": wrong checksum", x->volume, shard, row->offset));
	/* A hole is space that was punched: nothing of ours is there any more. */
	if (whole || all_zero(trailer, VOLUME_TRAILER_BYTES))
		return (err_set(e, ERR_STALE, "volume %016" PRIx64 " shard %u at %" PRIu64 ": %s",
		    x->volume, shard, row->offset, whole ? "a unit of another write is there" :
		    "the space is empty"));
	return (err_set(e, ERR_CORRUPT, "volume %016" PRIx64 " shard %u at %" PRIu64
	    ": neither this unit nor a whole other one", x->volume, shard, row->offset));
}
