/*
 * test_state_upload - multipart uploads through the sequencer, and the sums over parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libbase/checksum.h"
#include "libbase/clock.h"
#include "libstore/apply/upload_sum.h"
#include "libstore/state/state_parts.h"
#include "tests/unit/state_world.h"

static struct world w;
static uint8_t upload_id[16];

static char *
text(const char *s)
{
	return ((char *)(uintptr_t)s);
}

static ProtobufCBinaryData
key_k(void)
{
	return ((ProtobufCBinaryData){ 1, (uint8_t *)(uintptr_t)"k" });
}

static void
setup(void)
{
	WORLD_OP(upload_create, UploadCreate, UPLOAD_CREATE);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	const Hf__StoreReply *r;

	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	op.bucket = text("b");
	op.key = key_k();
	op.entry = &entry;
	entry.content_type = text("text/plain");
	op.checksum_kind = DIGEST_CRC32C;
	op.checksum_full_object = true;
	r = world_ask(&w, 2, &q);
	cr_assert_eq(r->code, 0);
	cr_assert_eq(r->upload->id.len, 16);
	memcpy(upload_id, r->upload->id.data, 16);
}

static void
teardown(void)
{
	world_close(&w);
	world_remove(&w);
}

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
	op.bucket = text("b");
	op.key = key_k();
	op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
	op.part = &part;
	op.data = (ProtobufCBinaryData){ strlen(body), (uint8_t *)(uintptr_t)body };
	part.number = number;
	part.bytes = strlen(body);
	part.etag = hex;
	part.n_checksums = 1;
	part.checksums = &sums;
	sum.kind = DIGEST_CRC32C;
	sum.value = (ProtobufCBinaryData){ 4, crc };
	cr_assert_eq(world_ask(&w, sequence, &q)->code, 0, "%s", w.replies[sequence]->error);
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
			chosen[i].etag = text(etag);
		list[i] = &chosen[i];
	}
	op.bucket = text("b");
	op.key = key_k();
	op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
	op.n_parts = count;
	op.parts = list;
	op.part_bytes_min = bytes_min;
	return (world_ask(&w, sequence, &q));
}

TestSuite(upload, .init = setup, .fini = teardown, .timeout = 60);

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
	cr_assert_eq(world_get(&w, 12, "b", "k")->code, ERR_NOT_FOUND);
	world_bucket_delete(&w, 13, "b");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 13), ERR_BUCKET_NOT_EMPTY, "an open upload holds a bucket");

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
	dump = world_dump(&w, "U");
	cr_assert_str_eq(dump, "");
	free(dump);
	world_delete(&w, 16, "b", "k");
	world_settle(&w);
	dump = world_dump(&w, "PUO");
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
			teardown();
			setup();
		}
		for (uint32_t i = 1; i <= 60; i++) {
			part_put(sequence++, i, "a part");
			if (many ? i % 2 == 1 : i > 5 && i != 20 && i < 50)
				numbers[count++] = i;
		}
		r = complete(sequence++, count, numbers, 0, NULL);
		cr_assert_eq(r->code, 0, "%s", r->error);
		op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
		op.max = 1000;
		op.completed = true;
		r = world_ask(&w, sequence++, &q);
		cr_assert_eq(r->n_parts, count);
		for (unsigned i = 0; i < count; i++)
			cr_assert_eq(r->parts[i]->number, numbers[i]);
		cr_assert(world_rebuilt_alike(&w, NULL));
	}
}

Test(upload, abort_takes_the_parts)
{
	WORLD_OP(upload_abort, UploadAbort, UPLOAD_ABORT);
	struct state_stats stats;
	char *dump;

	part_put(3, 1, "first part");
	op.bucket = text("b");
	op.key = key_k();
	op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
	cr_assert_eq(world_ask(&w, 4, &q)->code, 0);
	cr_assert_eq(world_ask(&w, 5, &q)->code, ERR_UPLOAD_NOT_FOUND);
	dump = world_dump(&w, "PU");
	cr_assert_str_eq(dump, "");
	free(dump);
	state_stats(w.state, &stats);
	cr_assert_eq(stats.uploads, 0);
	world_bucket_delete(&w, 6, "b");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 6), 0);
}

/* Many parts are freed by records of the store's own, PARTS_PIECE with each. */
static void
many_parts_abort(unsigned count)
{
	WORLD_OP(upload_abort, UploadAbort, UPLOAD_ABORT);

	for (unsigned n = 1; n <= count; n++)
		part_put(2 + n, n, n % 2 == 0 ? "even" : "odd");
	op.bucket = text("b");
	op.key = key_k();
	op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
	world_send(&w, 3 + count, &q);
}

static uint64_t
applied(void)
{
	struct state_stats stats;

	state_stats(w.state, &stats);
	return (stats.applied_lsn);
}

Test(upload, many_parts_are_freed_a_piece_at_a_time)
{
	const unsigned count = 2 * PARTS_PIECE + 10;
	uint64_t before;
	char *dump, *again;

	many_parts_abort(count);
	before = applied();
	world_settle(&w);
	cr_assert_eq(applied() - before, 1 + 3, "%llu records",
	    (unsigned long long)(applied() - before));
	dump = world_dump(&w, "PUZ");
	cr_assert_str_eq(dump, "");
	free(dump);
	dump = world_dump(&w, NULL);
	world_close(&w);
	world_index_remove(&w);
	world_open(&w);
	world_settle(&w);
	again = world_dump(&w, NULL);
	cr_assert_str_eq(dump, again, "a rebuild gives the same");
	free(dump);
	free(again);
}

Test(upload, parts_that_a_stop_left_are_freed_by_the_next_start)
{
	const unsigned count = PARTS_PIECE + 1;
	char *dump;

	many_parts_abort(count);
	state_drain(w.state);
	world_settle(&w);
	world_close(&w);
	world_open(&w);
	dump = world_dump(&w, "Z");
	cr_assert_str_neq(dump, "", "they wait");
	free(dump);
	world_settle(&w);
	dump = world_dump(&w, "PUZ");
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

/* --- Ten thousand parts. ---------------------------------------------------------------------- */

#define PARTS	10000

/* Extents of one row each, from as many runs as it takes. */
static void
parts_put_many(uint64_t *sequence)
{
	Hf__Run run = HF__RUN__INIT;
	uint64_t at = 0, end = 0;
	char etag[33];

	memset(etag, 'a', 32);
	etag[32] = '\0';
	for (uint32_t i = 1; i <= PARTS; i++) {
		WORLD_OP(part_put, PartPut, PART_PUT);
		Hf__Part part = HF__PART__INIT;
		Hf__Extent x = HF__EXTENT__INIT, *list = &x;
		Hf__Checksum sum = HF__CHECKSUM__INIT, *sums = &sum;
		uint8_t crc[4] = { 1, 2, 3, 4 };

		if (end - at < 4096) {
			WORLD_OP(run_reserve, RunReserve, RUN_RESERVE);

			op.bytes = 4 << 20;
			cr_assert_eq(world_ask(&w, *sequence, &q)->code, 0);
			run.volume = w.replies[*sequence]->run->volume;
			at = w.replies[*sequence]->run->offset;
			end = at + w.replies[(*sequence)++]->run->bytes;
		}
		x.volume = run.volume;
		x.offset = at;
		x.bytes = 1000;
		x.write_id = i;
		at += 4096;
		op.bucket = text("b");
		op.key = key_k();
		op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
		op.part = &part;
		part.number = i;
		part.bytes = 1000;
		part.etag = etag;
		part.n_extents = 1;
		part.extents = &list;
		part.n_checksums = 1;
		part.checksums = &sums;
		sum.kind = DIGEST_CRC32C;
		sum.value = (ProtobufCBinaryData){ 4, crc };
		world_send(&w, (*sequence)++, &q);
		if (i % 500 == 0)
			world_settle(&w);
	}
	world_settle(&w);
	cr_assert_eq(world_code(&w, *sequence - 1), 0, "%s", w.replies[*sequence - 1]->error);
}

/* Asks for the completion with all parts; not answered yet. */
static void
complete_send(uint64_t sequence, const char *if_none_match)
{
	static Hf__UploadComplete__Chosen chosen[PARTS], *list[PARTS];
	WORLD_OP(upload_complete, UploadComplete, UPLOAD_COMPLETE);
	Hf__Condition condition = HF__CONDITION__INIT;

	for (uint32_t i = 0; i < PARTS; i++) {
		hf__upload_complete__chosen__init(&chosen[i]);
		chosen[i].number = i + 1;
		list[i] = &chosen[i];
	}
	op.bucket = text("b");
	op.key = key_k();
	op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
	op.n_parts = PARTS;
	op.parts = list;
	if (if_none_match != NULL) {
		condition.if_none_match = text(if_none_match);
		op.condition = &condition;
	}
	world_send(&w, sequence, &q);
}

static void
complete_all(uint64_t sequence)
{
	complete_send(sequence, NULL);
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence), 0, "%s", w.replies[sequence]->error);
}

static uint64_t
list_all(uint64_t *sequence)
{
	uint64_t most = 0, begin;
	uint32_t after = 0;

	while (after < PARTS) {
		WORLD_OP(part_list, PartList, PART_LIST);
		const Hf__StoreReply *r;

		op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
		op.after = after;
		op.max = 1000;
		op.completed = true;
		begin = clock_mono_ns();
		r = world_ask(&w, (*sequence)++, &q);
		most = clock_mono_ns() - begin > most ? clock_mono_ns() - begin : most;
		cr_assert_eq(r->code, 0);
		cr_assert_eq(r->n_parts, 1000);
		after = r->parts[r->n_parts - 1]->number;
	}
	return (most);
}

Test(upload, ten_thousand_parts_are_completed_listed_and_deleted_in_time, .timeout = 120)
{
	uint64_t sequence = 3, begin, complete_ns, page_ns, delete_ns;

	parts_put_many(&sequence);
	begin = clock_mono_ns();
	complete_all(sequence++);
	complete_ns = clock_mono_ns() - begin;
	page_ns = list_all(&sequence);
	begin = clock_mono_ns();
	world_delete(&w, sequence, "b", "k");
	world_settle(&w);
	delete_ns = clock_mono_ns() - begin;
	cr_assert_eq(world_code(&w, sequence), 0);
	cr_log_info("complete %.1f ms, page of 1000 %.1f ms, delete %.1f ms",
	    (double)complete_ns / 1e6, (double)page_ns / 1e6, (double)delete_ns / 1e6);
	cr_assert_lt(complete_ns, 2000000000u);
	cr_assert_lt(page_ns, 200000000u);
	cr_assert_lt(delete_ns, 4000000000u);
	cr_assert(world_rebuilt_alike(&w, NULL));
}

/* --- In pieces. ------------------------------------------------------------------------------- */

static uint64_t
walked(void)
{
	struct state_stats stats;

	state_stats(w.state, &stats);
	return (stats.parts_walked);
}

/* A turn of the loop, with a get in it. Returns how many parts were looked at. */
static uint64_t
turn_with_get(uint64_t *sequence)
{
	struct pollfd p = { .fd = log_wake_fd(w.log), .events = POLLIN };
	WORLD_OP(object_get, ObjectGet, OBJECT_GET);
	uint64_t before = walked(), get = (*sequence)++;

	op.bucket = text("b");
	op.key = (ProtobufCBinaryData){ 5, (uint8_t *)(uintptr_t)"small" };
	world_send(&w, get, &q);
	/* With nothing to do it waits for the log. */
	if (poll(&p, 1, state_next_ms(w.state) <= w.now_ms ? 0 : 100) == 1)
		state_collect(w.state, w.now_ms);
	else
		state_turn(w.state, w.now_ms);
	cr_assert_eq(w.answers[get], 1, "it waited");
	cr_assert_eq(world_code(&w, get), 0);
	return (walked() - before);
}

static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
}

/* Turns until it is answered; the most parts that one of them looked at. */
static uint64_t
turns_until(uint64_t asked, uint64_t *sequence, unsigned *turns)
{
	uint64_t most = 0, longest = 0, n, begin, took;

	for (*turns = 0; w.answers[asked] == 0; ++*turns) {
		cr_assert_lt(*turns, 100000);
		begin = cpu_ns();
		n = turn_with_get(sequence);
		took = cpu_ns() - begin;
		most = n > most ? n : most;
		longest = took > longest ? took : longest;
	}
	cr_log_info("%u turns, at most %.1f ms of CPU in one", *turns, (double)longest / 1e6);
	return (most);
}

/* Ten thousand parts are looked at PARTS_PIECE a turn, and small gets are answered in between. */
Test(upload, a_completion_of_ten_thousand_parts_goes_in_pieces, .timeout = 120)
{
	uint64_t sequence = 4, before, asked, most, begin;
	unsigned turns;

	world_put(&w, 3, "b", "small", "a few bytes", NULL);
	world_settle(&w);
	parts_put_many(&sequence);
	before = walked();
	asked = sequence++;
	begin = cpu_ns();
	complete_send(asked, NULL);
	cr_log_info("asking takes %.1f ms of CPU", (double)(cpu_ns() - begin) / 1e6);
	cr_assert_leq(walked() - before, PARTS_PIECE, "the first piece");
	most = turns_until(asked, &sequence, &turns);
	cr_assert_leq(most, PARTS_PIECE);
	cr_assert_geq(turns, PARTS / PARTS_PIECE);
	cr_assert_eq(walked() - before, PARTS, "each part once");
	cr_assert_eq(world_code(&w, asked), 0, "%s", w.replies[asked]->error);
	cr_assert_eq(w.replies[asked]->entry->part_count, PARTS);
	cr_log_info("%u parts in %u turns, at most %u in one", PARTS, turns, (unsigned)most);
	cr_assert(world_rebuilt_alike(&w, NULL));
}

static void
part_send(uint64_t sequence, uint32_t number, const char *etag)
{
	WORLD_OP(part_put, PartPut, PART_PUT);
	Hf__Part part = HF__PART__INIT;
	Hf__Checksum sum = HF__CHECKSUM__INIT, *sums = &sum;
	uint8_t crc[4] = { 1, 2, 3, 4 };

	op.bucket = text("b");
	op.key = key_k();
	op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
	op.part = &part;
	op.data = (ProtobufCBinaryData){ 7, (uint8_t *)(uintptr_t)"another" };
	part.number = number;
	part.bytes = 7;
	part.etag = text(etag);
	part.n_checksums = 1;
	part.checksums = &sums;
	sum.kind = DIGEST_CRC32C;
	sum.value = (ProtobufCBinaryData){ 4, crc };
	world_send(&w, sequence, &q);
}

/* M1: a part that is put while the others are walked is in the object, if it was put before. */
Test(upload, a_part_that_is_put_between_two_pieces_counts, .timeout = 120)
{
	uint64_t sequence = 4, asked, put;
	unsigned turns;

	world_put(&w, 3, "b", "small", "a few bytes", NULL);
	world_settle(&w);
	parts_put_many(&sequence);
	asked = sequence++;
	complete_send(asked, NULL);
	(void)turn_with_get(&sequence);
	put = sequence++;
	part_send(put, 3, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");	/* walked already */
	(void)turns_until(asked, &sequence, &turns);
	cr_assert_eq(world_code(&w, put), 0, "%s", w.replies[put]->error);
	cr_assert_eq(world_code(&w, asked), 0, "%s", w.replies[asked]->error);
	cr_assert_eq(w.replies[asked]->entry->bytes, (PARTS - 1) * UINT64_C(1000) + 7);
	cr_assert(world_rebuilt_alike(&w, NULL));
}

/* M2 */
Test(upload, a_completion_ends_though_parts_are_put_all_the_time, .timeout = 120)
{
	uint64_t sequence = 4, asked, begin, longest = 0;
	unsigned turns = 0;

	world_put(&w, 3, "b", "small", "a few bytes", NULL);
	world_settle(&w);
	parts_put_many(&sequence);
	asked = sequence++;
	complete_send(asked, NULL);
	for (; w.answers[asked] == 0; turns++) {
		cr_assert_lt(turns, 100000);
		if (turns < 1000)
			part_send(sequence++, 3, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
		begin = cpu_ns();
		(void)turn_with_get(&sequence);
		longest = cpu_ns() - begin > longest ? cpu_ns() - begin : longest;
	}
	cr_log_info("all parts at once take %.1f ms of CPU", (double)longest / 1e6);
	cr_assert_eq(world_code(&w, asked), 0, "%s", w.replies[asked]->error);
	world_settle(&w);
	cr_assert(world_rebuilt_alike(&w, NULL));
}

/* The condition is decided when the record is appended, not when it was asked. */
Test(upload, what_happens_between_two_pieces_decides, .timeout = 120)
{
	uint64_t sequence = 4, asked, again;
	unsigned turns;

	world_put(&w, 3, "b", "small", "a few bytes", NULL);
	world_settle(&w);
	parts_put_many(&sequence);
	asked = sequence++;
	complete_send(asked, "*");
	(void)turn_with_get(&sequence);
	world_put(&w, sequence++, "b", "k", "somebody was quicker", NULL);
	(void)turns_until(asked, &sequence, &turns);
	cr_assert_eq(world_code(&w, asked), ERR_PRECONDITION, "%s", w.replies[asked]->error);
	asked = sequence++;		/* two at once: one of them, and the other is told so */
	again = sequence++;
	complete_send(asked, NULL);
	complete_send(again, NULL);
	(void)turns_until(again, &sequence, &turns);
	(void)turns_until(asked, &sequence, &turns);
	cr_assert_eq(world_code(&w, asked), 0, "%s", w.replies[asked]->error);
	cr_assert_eq(world_code(&w, again), 0, "%s", w.replies[again]->error);
	cr_assert_eq(w.replies[asked]->entry->origin_lsn, w.replies[again]->entry->origin_lsn);
	cr_assert(world_rebuilt_alike(&w, NULL));
}

Test(upload, an_abort_between_two_pieces_ends_it, .timeout = 120)
{
	WORLD_OP(upload_abort, UploadAbort, UPLOAD_ABORT);
	uint64_t sequence = 4, asked, abort;
	unsigned turns;

	world_put(&w, 3, "b", "small", "a few bytes", NULL);
	world_settle(&w);
	parts_put_many(&sequence);
	asked = sequence++;
	complete_send(asked, NULL);
	(void)turn_with_get(&sequence);
	abort = sequence++;
	op.bucket = text("b");
	op.key = key_k();
	op.upload_id = (ProtobufCBinaryData){ 16, upload_id };
	world_send(&w, abort, &q);
	(void)turns_until(asked, &sequence, &turns);
	cr_assert_eq(world_code(&w, abort), 0);
	cr_assert_eq(world_code(&w, asked), ERR_UPLOAD_NOT_FOUND);
	world_settle(&w);
	cr_assert(world_rebuilt_alike(&w, NULL));
}

/* A stop ends it at once, and a client that died is not waited for. */
Test(upload, a_completion_ends_when_its_store_stops, .timeout = 120)
{
	uint64_t sequence = 4, asked;

	world_put(&w, 3, "b", "small", "a few bytes", NULL);
	world_settle(&w);
	parts_put_many(&sequence);
	asked = sequence++;
	complete_send(asked, NULL);
	cr_assert_eq(w.answers[asked], 0);
	state_drain(w.state);
	world_settle(&w);
	cr_assert_eq(world_code(&w, asked), 0, "%s", w.replies[asked]->error);
}

static void
completion_begun(uint64_t sequence)
{
	complete_send(sequence, NULL);
	state_turn(w.state, w.now_ms);
	cr_assert_eq(w.answers[sequence], 0, "it is in the middle");
}

/* The index has no room any more: who waits is told, and a stop, before that or later, ends. */
Test(upload, a_completion_is_refused_when_nothing_may_change_any_more, .timeout = 120)
{
	struct err why = ERR_INIT;
	uint64_t sequence = 3;

	err_set(&why, ERR_FULL, "the index is full");
	parts_put_many(&sequence);
	completion_begun(sequence);
	state_freeze(w.state, &why);
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence), ERR_FULL);
	cr_assert_str_eq(w.replies[sequence]->error, "the index is full");
	cr_assert_eq(state_next_ms(w.state), UINT64_MAX);
	for (unsigned turn = 0; turn < 2; turn++) {
		world_close(&w);
		world_open(&w);
		world_session(&w, (uint8_t)(2 + turn));
		completion_begun(++sequence);
		if (turn == 0)
			state_drain(w.state);
		state_freeze(w.state, &why);
		state_drain(w.state);
		world_settle(&w);
		cr_assert_eq(world_code(&w, sequence), ERR_FULL);
	}
	world_close(&w);
	world_open(&w);
	world_session(&w, 4);
	complete_all(++sequence);
}
