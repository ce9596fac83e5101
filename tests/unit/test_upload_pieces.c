/*
 * test_upload_pieces - uploads of ten thousand parts: how long the sequencer takes for them, and
 * what may happen while one is completed a piece at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "libbase/digest.h"
#include "libstore/state/state_parts.h"
#include "tests/unit/upload_world.h"

TestSuite(upload_pieces, .init = upload_world_begin, .fini = upload_world_end,
    .timeout = 120);

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
			cr_assert_eq(world_ask(&uw.w, *sequence, &q)->code, 0);
			run.volume = uw.w.replies[*sequence]->run->volume;
			at = uw.w.replies[*sequence]->run->offset;
			end = at + uw.w.replies[(*sequence)++]->run->bytes;
		}
		x.volume = run.volume;
		x.offset = at;
		x.bytes = 1000;
		x.write_id = i;
		at += 4096;
		op.bucket = uw_text("b");
		op.key = uw_key();
		op.upload_id = uw_id();
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
		world_send(&uw.w, (*sequence)++, &q);
		if (i % 500 == 0)
			world_settle(&uw.w);
	}
	world_settle(&uw.w);
	cr_assert_eq(world_code(&uw.w, *sequence - 1), 0, "%s", uw.w.replies[*sequence - 1]->error);
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
	op.bucket = uw_text("b");
	op.key = uw_key();
	op.upload_id = uw_id();
	op.n_parts = PARTS;
	op.parts = list;
	if (if_none_match != NULL) {
		condition.if_none_match = uw_text(if_none_match);
		op.condition = &condition;
	}
	world_send(&uw.w, sequence, &q);
}

static void
complete_all(uint64_t sequence)
{
	complete_send(sequence, NULL);
	world_settle(&uw.w);
	cr_assert_eq(world_code(&uw.w, sequence), 0, "%s", uw.w.replies[sequence]->error);
}

/* Of this thread, which is the sequencer's: what it does, however busy the machine is. */
static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
}

static uint64_t
list_all(uint64_t *sequence)
{
	uint64_t most = 0, begin;
	uint32_t after = 0;

	while (after < PARTS) {
		WORLD_OP(part_list, PartList, PART_LIST);
		const Hf__StoreReply *r;

		op.upload_id = uw_id();
		op.after = after;
		op.max = 1000;
		op.completed = true;
		begin = cpu_ns();
		r = world_ask(&uw.w, (*sequence)++, &q);
		most = cpu_ns() - begin > most ? cpu_ns() - begin : most;
		cr_assert_eq(r->code, 0);
		cr_assert_eq(r->n_parts, 1000);
		after = r->parts[r->n_parts - 1]->number;
	}
	return (most);
}

Test(upload_pieces, ten_thousand_parts_are_completed_listed_and_deleted_in_time)
{
	uint64_t sequence = 3, begin, complete_ns, page_ns, delete_ns;

	parts_put_many(&sequence);
	begin = cpu_ns();
	complete_all(sequence++);
	complete_ns = cpu_ns() - begin;
	page_ns = list_all(&sequence);
	begin = cpu_ns();
	world_delete(&uw.w, sequence, "b", "k");
	world_settle(&uw.w);
	delete_ns = cpu_ns() - begin;
	cr_assert_eq(world_code(&uw.w, sequence), 0);
	cr_log_info("CPU: complete %.1f ms, page of 1000 %.1f ms, delete %.1f ms",
	    (double)complete_ns / 1e6, (double)page_ns / 1e6, (double)delete_ns / 1e6);
	cr_assert_lt(complete_ns, 500000000u);
	cr_assert_lt(page_ns, 100000000u);
	cr_assert_lt(delete_ns, 1000000000u);
	cr_assert(world_rebuilt_alike(&uw.w, NULL));
}

/* --- in pieces ------------------------------------------------------------------------------- */

static uint64_t
walked(void)
{
	struct state_stats stats;

	state_stats(uw.w.state, &stats);
	return (stats.parts_walked);
}

/* A turn of the loop, with a get in it. Returns how many parts were looked at. */
static uint64_t
turn_with_get(uint64_t *sequence)
{
	struct pollfd p = { .fd = log_wake_fd(uw.w.log), .events = POLLIN };
	WORLD_OP(object_get, ObjectGet, OBJECT_GET);
	uint64_t before = walked(), get = (*sequence)++;

	op.bucket = uw_text("b");
	op.key = (ProtobufCBinaryData){ 5, (uint8_t *)(uintptr_t)"small" };
	world_send(&uw.w, get, &q);
	/* With nothing to do it waits for the log. */
	if (poll(&p, 1, state_next_ms(uw.w.state) <= uw.w.now_ms ? 0 : 100) == 1)
		state_collect(uw.w.state, uw.w.now_ms);
	else
		state_turn(uw.w.state, uw.w.now_ms);
	cr_assert_eq(uw.w.answers[get], 1, "it waited");
	cr_assert_eq(world_code(&uw.w, get), 0);
	return (walked() - before);
}

/* Turns until it is answered; the most parts that one of them looked at. */
static uint64_t
turns_until(uint64_t asked, uint64_t *sequence, unsigned *turns)
{
	uint64_t most = 0, longest = 0, n, begin, took;

	for (*turns = 0; uw.w.answers[asked] == 0; ++*turns) {
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
Test(upload_pieces, a_completion_of_ten_thousand_parts_goes_in_pieces)
{
	uint64_t sequence = 4, before, asked, most, begin;
	unsigned turns;

	world_put(&uw.w, 3, "b", "small", "a few bytes", NULL);
	world_settle(&uw.w);
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
	cr_assert_eq(world_code(&uw.w, asked), 0, "%s", uw.w.replies[asked]->error);
	cr_assert_eq(uw.w.replies[asked]->entry->part_count, PARTS);
	cr_log_info("%u parts in %u turns, at most %u in one", PARTS, turns, (unsigned)most);
	cr_assert(world_rebuilt_alike(&uw.w, NULL));
}

static void
part_send(uint64_t sequence, uint32_t number, const char *etag)
{
	WORLD_OP(part_put, PartPut, PART_PUT);
	Hf__Part part = HF__PART__INIT;
	Hf__Checksum sum = HF__CHECKSUM__INIT, *sums = &sum;
	uint8_t crc[4] = { 1, 2, 3, 4 };

	op.bucket = uw_text("b");
	op.key = uw_key();
	op.upload_id = uw_id();
	op.part = &part;
	op.data = (ProtobufCBinaryData){ 7, (uint8_t *)(uintptr_t)"another" };
	part.number = number;
	part.bytes = 7;
	part.etag = uw_text(etag);
	part.n_checksums = 1;
	part.checksums = &sums;
	sum.kind = DIGEST_CRC32C;
	sum.value = (ProtobufCBinaryData){ 4, crc };
	world_send(&uw.w, sequence, &q);
}

/* Beside a small object there is an upload of ten thousand parts: its completion was asked for. */
static uint64_t
completion_asked(uint64_t *sequence, const char *if_none_match)
{
	uint64_t asked;

	world_put(&uw.w, 3, "b", "small", "a few bytes", NULL);
	world_settle(&uw.w);
	parts_put_many(sequence);
	asked = (*sequence)++;
	complete_send(asked, if_none_match);
	return (asked);
}

/* M1: a part that is put while the others are walked is in the object, if it was put before. */
Test(upload_pieces, a_part_that_is_put_between_two_pieces_counts)
{
	uint64_t sequence = 4, asked, put;
	unsigned turns;

	asked = completion_asked(&sequence, NULL);
	(void)turn_with_get(&sequence);
	put = sequence++;
	part_send(put, 3, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");	/* walked already */
	(void)turns_until(asked, &sequence, &turns);
	cr_assert_eq(world_code(&uw.w, put), 0, "%s", uw.w.replies[put]->error);
	cr_assert_eq(world_code(&uw.w, asked), 0, "%s", uw.w.replies[asked]->error);
	cr_assert_eq(uw.w.replies[asked]->entry->bytes, (PARTS - 1) * UINT64_C(1000) + 7);
	cr_assert(world_rebuilt_alike(&uw.w, NULL));
}

/* M2 */
Test(upload_pieces, a_completion_ends_though_parts_are_put_all_the_time)
{
	uint64_t sequence = 4, asked, begin, longest = 0;
	unsigned turns = 0;

	asked = completion_asked(&sequence, NULL);
	for (; uw.w.answers[asked] == 0; turns++) {
		cr_assert_lt(turns, 100000);
		if (turns < 1000)
			part_send(sequence++, 3, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
		begin = cpu_ns();
		(void)turn_with_get(&sequence);
		longest = cpu_ns() - begin > longest ? cpu_ns() - begin : longest;
	}
	cr_log_info("all parts at once take %.1f ms of CPU", (double)longest / 1e6);
	cr_assert_lt(turns, 1000, "it waited until no part was put any more");
	cr_assert_eq(world_code(&uw.w, asked), 0, "%s", uw.w.replies[asked]->error);
	world_settle(&uw.w);
	cr_assert(world_rebuilt_alike(&uw.w, NULL));
}

/* The condition is decided when the record is appended, not when it was asked. */
Test(upload_pieces, what_happens_between_two_pieces_decides)
{
	uint64_t sequence = 4, asked, again;
	unsigned turns;

	asked = completion_asked(&sequence, "*");
	(void)turn_with_get(&sequence);
	world_put(&uw.w, sequence++, "b", "k", "somebody was quicker", NULL);
	(void)turns_until(asked, &sequence, &turns);
	cr_assert_eq(world_code(&uw.w, asked), ERR_PRECONDITION, "%s", uw.w.replies[asked]->error);
	asked = sequence++;		/* two at once: one of them, and the other is told so */
	again = sequence++;
	complete_send(asked, NULL);
	complete_send(again, NULL);
	(void)turns_until(again, &sequence, &turns);
	(void)turns_until(asked, &sequence, &turns);
	cr_assert_eq(world_code(&uw.w, asked), 0, "%s", uw.w.replies[asked]->error);
	cr_assert_eq(world_code(&uw.w, again), 0, "%s", uw.w.replies[again]->error);
	cr_assert_eq(uw.w.replies[asked]->entry->origin_lsn,
	    uw.w.replies[again]->entry->origin_lsn);
	cr_assert(world_rebuilt_alike(&uw.w, NULL));
}

Test(upload_pieces, an_abort_between_two_pieces_ends_it)
{
	WORLD_OP(upload_abort, UploadAbort, UPLOAD_ABORT);
	uint64_t sequence = 4, asked, abort;
	unsigned turns;

	asked = completion_asked(&sequence, NULL);
	(void)turn_with_get(&sequence);
	abort = sequence++;
	op.bucket = uw_text("b");
	op.key = uw_key();
	op.upload_id = uw_id();
	world_send(&uw.w, abort, &q);
	(void)turns_until(asked, &sequence, &turns);
	cr_assert_eq(world_code(&uw.w, abort), 0);
	cr_assert_eq(world_code(&uw.w, asked), ERR_UPLOAD_NOT_FOUND);
	world_settle(&uw.w);
	cr_assert(world_rebuilt_alike(&uw.w, NULL));
}

/* A stop ends it at once. */
Test(upload_pieces, a_completion_ends_when_its_store_stops)
{
	uint64_t sequence = 4, asked;

	asked = completion_asked(&sequence, NULL);
	cr_assert_eq(uw.w.answers[asked], 0);
	state_drain(uw.w.state);
	world_settle(&uw.w);
	cr_assert_eq(world_code(&uw.w, asked), 0, "%s", uw.w.replies[asked]->error);
}

static void
completion_begun(uint64_t sequence)
{
	complete_send(sequence, NULL);
	state_turn(uw.w.state, uw.w.now_ms);
	cr_assert_eq(uw.w.answers[sequence], 0, "it is in the middle");
}

/* Nobody is there to be told; the upload is as it was. */
Test(upload_pieces, a_completion_ends_with_its_session)
{
	uint64_t sequence = 3, before;

	parts_put_many(&sequence);
	completion_begun(sequence);
	before = walked();
	state_session_end(uw.w.state, uw.w.session);
	world_settle(&uw.w);
	cr_assert_eq(uw.w.ended, 1);
	cr_assert_eq(walked(), before, "it went on");
	world_session(&uw.w, 2);
	complete_all(++sequence);
	cr_assert(walked() > before + PARTS - 1);
	cr_assert(world_rebuilt_alike(&uw.w, NULL));
}

/* The index has no room any more: who waits is told, and a stop, before that or later, ends. */
Test(upload_pieces, a_completion_is_refused_when_nothing_may_change_any_more)
{
	struct err why = ERR_INIT;
	uint64_t sequence = 3;

	err_set(&why, ERR_FULL, "the index is full");
	parts_put_many(&sequence);
	completion_begun(sequence);
	state_freeze(uw.w.state, &why);
	world_settle(&uw.w);
	cr_assert_eq(world_code(&uw.w, sequence), ERR_FULL);
	cr_assert_str_eq(uw.w.replies[sequence]->error, "the index is full");
	cr_assert_eq(state_next_ms(uw.w.state), UINT64_MAX);
	for (unsigned turn = 0; turn < 2; turn++) {
		world_close(&uw.w);
		world_open(&uw.w);
		world_session(&uw.w, (uint8_t)(2 + turn));
		completion_begun(++sequence);
		if (turn == 0)
			state_drain(uw.w.state);
		state_freeze(uw.w.state, &why);
		state_drain(uw.w.state);
		world_settle(&uw.w);
		cr_assert_eq(world_code(&uw.w, sequence), ERR_FULL);
	}
	world_close(&uw.w);
	world_open(&uw.w);
	world_session(&uw.w, 4);
	complete_all(++sequence);
}
