/*
 * test_record - a record comes back as it was written, from its place only; any damage is seen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "libstore/apply/apply.h"
#include "libstore/format/record.h"
#include "libstore/format/segment_format.h"

static const uint8_t data_bytes[100] = { 1, 2, 3 };

static struct record
example(uint8_t out[512])
{
	struct record r = { .lsn = LSN(7, 42),
		.type = RECORD_OBJECT_PUT,
		.meta = SLICE_LITERAL("the meta"),
		.data = SLICE(data_bytes, sizeof(data_bytes)) };

	hf__place__init(&r.place);
	r.place.segment = 9;
	r.place.offset = 4160;
	record_encode(&r, out);
	return (r);
}

Test(record, round_trip)
{
	uint8_t bytes[512];
	struct record r = example(bytes), back;

	cr_assert_eq(record_parse(SLICE(bytes, r.place.record_bytes), 9, 4160, &back, NULL), 0);
	cr_assert_eq(back.lsn, r.lsn);
	cr_assert_eq(back.type, RECORD_OBJECT_PUT);
	cr_assert(slice_equal(back.meta, r.meta));
	cr_assert(slice_equal(back.data, r.data));
	cr_assert_eq(back.place.data_crc, r.place.data_crc);
	cr_assert_eq(LSN_EPOCH(r.lsn), 7);
	cr_assert_eq(LSN_SEQUENCE(r.lsn), 42);
}

Test(record, lsns_last)
{
	uint64_t segment_bytes_max = UINT64_C(4) << 30; /* store.segment_bytes */

	cr_assert_lt(segment_bytes_max / RECORD_HEADER_BYTES, UINT64_C(1) << LSN_SEQUENCE_BITS);
	cr_assert_lt(LSN(LSN_EPOCH_MAX, LSN_SEQUENCE(UINT64_MAX)), LSN_PROVISIONAL);
	cr_assert_gt(LSN(LSN_EPOCH_MAX, 1), LSN(LSN_EPOCH_MAX - 1, LSN_SEQUENCE(UINT64_MAX)));
	cr_assert_eq(LSN_EPOCH(LSN(LSN_EPOCH_MAX, 1)), LSN_EPOCH_MAX);
}

Test(record, every_flipped_bit_is_seen)
{
	uint8_t bytes[512];
	struct record r = example(bytes), back;
	size_t i, pad_from = 40 + r.meta.bytes;

	for (i = 0; i < r.place.record_bytes * 8; i++) {
		if (i / 8 >= pad_from && i / 8 < r.place.data_offset)
			continue; /* padding says nothing */
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		cr_assert_eq(record_parse(SLICE(bytes, r.place.record_bytes), 9, 4160, &back, NULL),
		    ERR_CORRUPT, "bit %zu", i);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
}

Test(record, short_input_is_refused)
{
	uint8_t bytes[512];
	struct record r = example(bytes), back;
	size_t n;

	for (n = 0; n < r.place.record_bytes; n++) {
		uint8_t *exact = malloc(n + 1);

		memcpy(exact, bytes, n);
		cr_assert_eq(record_parse(SLICE(exact, n), 9, 4160, &back, NULL), ERR_CORRUPT);
		free(exact);
	}
}

Test(record, body_is_bound_to_its_place)
{
	uint8_t bytes[512];
	struct record r = example(bytes);
	struct slice data, all = SLICE(bytes, r.place.record_bytes);
	Hf__Place p = r.place;

	cr_assert_eq(record_body(all, &p, &data, NULL), 0);
	cr_assert(slice_equal(data, r.data));
	p.lsn++;
	cr_assert_eq(record_body(all, &p, &data, NULL), ERR_STALE);
	p = r.place;
	p.segment++;
	cr_assert_eq(record_body(all, &p, &data, NULL), ERR_CORRUPT);
	p = r.place;
	p.offset += 8;
	cr_assert_eq(record_body(all, &p, &data, NULL), ERR_CORRUPT);
}
