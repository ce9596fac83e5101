/*
 * test_state_upload - multipart uploads through the sequencer, and the sums over parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/apply/upload_sum.h"
#include "libstore/state/state_parts.h"
#include "tests/unit/upload_world.h"

TestSuite(upload, .init = upload_world_begin, .fini = upload_world_end, .timeout = 60);

static void
part_put(uint64_t sequence, uint32_t number, const char *body)
{
	WORLD_OP(part_put, PartPut, PART_PUT);
	Hf__Part part = HF__PART__INIT;
	Hf__Checksum sum = HF__CHECKSUM__INIT, *sums = &sum;
	uint8_t md5[DIGEST_BYTES_MAX], crc[DIGEST_BYTES_MAX];
	char hex[33];

	digest_once(DIGEST_MD5, body, strlen(body), md5);
	digest_once(DIGEST_CRC32C, body, strlen(body), crc);
	hex_encode(md5, 16, hex);
	op.bucket = uw_text("b");
	op.key = uw_key();
	op.upload_id = uw_id();
	op.part = &part;
	op.data = (ProtobufCBinaryData){ strlen(body), (uint8_t *)(uintptr_t)body };
	part.number = number;
	part.bytes = strlen(body);
	part.etag = hex;
	part.n_checksums = 1;
	part.checksums = &sums;
	sum.kind = DIGEST_CRC32C;
	sum.value = (ProtobufCBinaryData){ 4, crc };
	cr_assert_eq(world_ask(&uw.w, sequence, &q)->code, 0, "%s", uw.w.replies[sequence]->error);
}

static const Hf__StoreReply *
complete(uint64_t sequence, unsigned count, const uint32_t numbers[], uint64_t bytes_min,
    const char *etag)
{
	WORLD_OP(upload_complete, UploadComplete, UPLOAD_COMPLETE);
	Hf__UploadComplete__Chosen chosen[64], *list[64];

	for (unsigned i = 0; i < count; i++) {
		hf__upload_complete__chosen__init(&chosen[i]);
		chosen[i].number = numbers[i];
		if (etag != NULL)
			chosen[i].etag = uw_text(etag);
		list[i] = &chosen[i];
	}
	op.bucket = uw_text("b");
	op.key = uw_key();
	op.upload_id = uw_id();
	op.n_parts = count;
	op.parts = list;
	op.part_bytes_min = bytes_min;
	return (world_ask(&uw.w, sequence, &q));
}

Test(upload, complete_checks_and_makes_the_object)
{
	const uint32_t all[] = { 1, 2, 5 }, wrong[] = { 2, 1 }, missing[] = { 1, 3 }, two[] = { 1,
	    5 };
	const Hf__StoreReply *r;
	uint8_t md5[DIGEST_BYTES_MAX], both[32], expected[DIGEST_BYTES_MAX], crc[DIGEST_BYTES_MAX];
	char hex[33], etag[40];
	char *dump;

	part_put(3, 1, "first part");
	part_put(4, 2, "other");
	part_put(5, 5, "the last part");
	part_put(6, 2, "second");			/* replaces */
	cr_assert_eq(complete(7, 2, wrong, 0, NULL)->code, ERR_PART_ORDER);
	cr_assert_eq(complete(8, 2, missing, 0, NULL)->code, ERR_PART_INVALID);
	cr_assert_eq(complete(9, 3, all, 7, NULL)->code, ERR_PART_TOO_SMALL);
	cr_assert_eq(complete(10, 1, all, 0, "abc")->code, ERR_PART_INVALID);
	cr_assert_eq(complete(11, 0, all, 0, NULL)->code, ERR_INVALID);
	cr_assert_eq(world_get(&uw.w, 12, "b", "k")->code, ERR_NOT_FOUND);
	world_bucket_delete(&uw.w, 13, "b");
	world_settle(&uw.w);
	cr_assert_eq(world_code(&uw.w, 13), ERR_BUCKET_NOT_EMPTY, "an open upload holds a bucket");

	r = complete(14, 2, two, 5, NULL);
	cr_assert_eq(r->code, 0, "%s", r->error);
	digest_once(DIGEST_MD5, "first part", 10, md5);
	memcpy(both, md5, 16);
	digest_once(DIGEST_MD5, "the last part", 13, md5);
	memcpy(both + 16, md5, 16);
	digest_once(DIGEST_MD5, both, 32, expected);
	hex_encode(expected, 16, hex);
	snprintf(etag, sizeof(etag), "%s-2", hex);
	cr_assert_str_eq(r->entry->etag, etag);
	cr_assert_eq(r->entry->bytes, 23);
	cr_assert_eq(r->entry->part_count, 2);
	cr_assert_eq(r->entry->n_parts, 2);
	cr_assert_str_eq(r->entry->content_type, "text/plain");
	cr_assert_eq(r->entry->n_checksums, 1);
	digest_once(DIGEST_CRC32C, "first partthe last part", 23, crc);
	cr_assert_arr_eq(r->entry->checksums[0]->value.data, crc, 4);
	cr_assert_not(r->entry->checksums[0]->composite);
	r = complete(15, 2, two, 5, NULL);	/* asked again, as a new request */
	cr_assert_eq(r->code, 0);
	cr_assert_str_eq(r->entry->etag, etag);
	dump = world_dump(&uw.w, "U");
	cr_assert_str_eq(dump, "");
	free(dump);
	world_delete(&uw.w, 16, "b", "k");
	world_settle(&uw.w);
	dump = world_dump(&uw.w, "PUO");
	cr_assert_str_eq(dump, "", "parts go with their object");
	free(dump);
	cr_assert_eq(complete(17, 2, two, 5, NULL)->code, ERR_UPLOAD_NOT_FOUND);
}

/* With few holes and with many. */
Test(upload, parts_that_are_not_chosen_go)
{
	for (unsigned many = 0; many < 2; many++) {
		WORLD_OP(part_list, PartList, PART_LIST);
		uint32_t numbers[64];
		uint64_t sequence = 3;
		const Hf__StoreReply *r;
		unsigned count = 0;

		if (many) {
			upload_world_end();
			upload_world_begin();
		}
		for (uint32_t i = 1; i <= 60; i++) {
			part_put(sequence++, i, "a part");
			if (many ? i % 2 == 1 : i > 5 && i != 20 && i < 50)
				numbers[count++] = i;
		}
		r = complete(sequence++, count, numbers, 0, NULL);
		cr_assert_eq(r->code, 0, "%s", r->error);
		op.upload_id = uw_id();
		op.max = 1000;
		op.completed = true;
		r = world_ask(&uw.w, sequence++, &q);
		cr_assert_eq(r->n_parts, count);
		for (unsigned i = 0; i < count; i++)
			cr_assert_eq(r->parts[i]->number, numbers[i]);
		cr_assert(world_rebuilt_alike(&uw.w, NULL));
	}
}

Test(upload, abort_takes_the_parts)
{
	WORLD_OP(upload_abort, UploadAbort, UPLOAD_ABORT);
	struct state_stats stats;
	char *dump;

	part_put(3, 1, "first part");
	op.bucket = uw_text("b");
	op.key = uw_key();
	op.upload_id = uw_id();
	cr_assert_eq(world_ask(&uw.w, 4, &q)->code, 0);
	cr_assert_eq(world_ask(&uw.w, 5, &q)->code, ERR_UPLOAD_NOT_FOUND);
	dump = world_dump(&uw.w, "PU");
	cr_assert_str_eq(dump, "");
	free(dump);
	state_stats(uw.w.state, &stats);
	cr_assert_eq(stats.uploads, 0);
	world_bucket_delete(&uw.w, 6, "b");
	world_settle(&uw.w);
	cr_assert_eq(world_code(&uw.w, 6), 0);
}

/* Many parts are freed by records of the store's own, PARTS_PIECE with each. */
static void
many_parts_abort(unsigned count)
{
	WORLD_OP(upload_abort, UploadAbort, UPLOAD_ABORT);

	for (unsigned n = 1; n <= count; n++)
		part_put(2 + n, n, n % 2 == 0 ? "even" : "odd");
	op.bucket = uw_text("b");
	op.key = uw_key();
	op.upload_id = uw_id();
	world_send(&uw.w, 3 + count, &q);
}

static uint64_t
applied(void)
{
	struct state_stats stats;

	state_stats(uw.w.state, &stats);
	return (stats.applied_lsn);
}

Test(upload, many_parts_are_freed_a_piece_at_a_time)
{
	const unsigned count = 2 * PARTS_PIECE + 10;
	uint64_t before;
	char *dump, *again;

	many_parts_abort(count);
	before = applied();
	world_settle(&uw.w);
	cr_assert_eq(applied() - before, 1 + 3, "%llu records",
	    (unsigned long long)(applied() - before));
	dump = world_dump(&uw.w, "PUZ");
	cr_assert_str_eq(dump, "");
	free(dump);
	dump = world_dump(&uw.w, NULL);
	world_close(&uw.w);
	world_index_remove(&uw.w);
	world_open(&uw.w);
	world_settle(&uw.w);
	again = world_dump(&uw.w, NULL);
	cr_assert_str_eq(dump, again, "a rebuild gives the same");
	free(dump);
	free(again);
}

Test(upload, parts_that_a_stop_left_are_freed_by_the_next_start)
{
	const unsigned count = PARTS_PIECE + 1;
	char *dump;

	many_parts_abort(count);
	state_drain(uw.w.state);
	world_settle(&uw.w);
	world_close(&uw.w);
	world_open(&uw.w);
	dump = world_dump(&uw.w, "Z");
	cr_assert_str_neq(dump, "", "they wait");
	free(dump);
	world_settle(&uw.w);
	dump = world_dump(&uw.w, "PUZ");
	cr_assert_str_eq(dump, "");
	free(dump);
}

Test(upload_sum, crcs_combine)
{
	static const enum digest_kind kinds[] = { DIGEST_CRC32, DIGEST_CRC32C, DIGEST_CRC64NVME };
	uint8_t bytes[5000], out[3][DIGEST_BYTES_MAX];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 7);
	for (size_t k = 0; k < 3; k++)
		for (size_t cut = 0; cut <= sizeof(bytes); cut += 1250) {
			uint64_t v[3];

			digest_once(kinds[k], bytes, cut, out[0]);
			digest_once(kinds[k], bytes + cut, sizeof(bytes) - cut, out[1]);
			digest_once(kinds[k], bytes, sizeof(bytes), out[2]);
			for (size_t i = 0; i < 3; i++)
				v[i] = digest_bytes(kinds[k]) == 4 ? get_be32(out[i])
				    : get_be64(out[i]);
			cr_assert_eq(crc_combine(kinds[k], v[0], v[1], sizeof(bytes) - cut), v[2]);
		}
}

Test(upload_sum, kinds_that_cannot_be_had_are_refused)
{
	struct upload_sum u;
	struct err e;

	cr_assert_eq(upload_sum_init(&u, DIGEST_SHA256, true, &e), ERR_INVALID);
	cr_assert_eq(upload_sum_init(&u, DIGEST_CRC64NVME, false, &e), ERR_INVALID);
	cr_assert_eq(upload_sum_init(&u, DIGEST_MD5, false, &e), ERR_INVALID);
	cr_assert_eq(upload_sum_init(&u, 99, true, &e), ERR_INVALID);
	cr_assert_eq(upload_sum_init(&u, DIGEST_SHA256, false, &e), 0);
	upload_sum_release(&u);
}
