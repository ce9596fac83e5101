/*
 * test_state - buckets, objects, conditions, exactly once, and replay.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "libstore/drive/drive.h"
#include "tests/unit/state_world.h"

static struct world w;

static void
setup(void)
{
	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
}

static void
teardown(void)
{
	world_close(&w);
	world_remove(&w);
}

TestSuite(state, .init = setup, .fini = teardown, .timeout = 60);

Test(state, put_get_delete_and_counters)
{
	struct state_stats stats;
	const Hf__StoreReply *r;

	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 1), 0);
	cr_assert_str_eq(w.replies[1]->bucket->name, "b");
	cr_assert_neq(w.replies[1]->bucket->id, 0);
	world_put(&w, 2, "b", "k", "hello", NULL);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 2), 0);
	r = world_get(&w, 3, "b", "k");
	cr_assert_eq(r->code, 0);
	cr_assert_eq(r->entry->bytes, 5);
	cr_assert_eq(r->entry->origin_lsn, w.replies[2]->lsn);
	cr_assert_not_null(r->entry->place);
	cr_assert_eq(r->entry->place->lsn, r->entry->origin_lsn);
	cr_assert_eq(r->entry->place->data_bytes, 5);
	cr_assert_gt(r->entry->modified_ms, 0);
	state_stats(w.state, &stats);
	cr_assert_eq(stats.objects, 1);
	cr_assert_eq(stats.buckets, 1);
	world_delete(&w, 4, "b", "k");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 4), 0);
	cr_assert_eq(w.replies[4]->n_codes, 1);
	cr_assert_eq(world_get(&w, 5, "b", "k")->code, ERR_NOT_FOUND);
	world_delete(&w, 6, "b", "k");		/* idempotent */
	world_settle(&w);
	cr_assert_eq(world_code(&w, 6), 0);
	state_stats(w.state, &stats);
	cr_assert_eq(stats.objects, 0);
}

Test(state, a_bucket_and_its_first_objects_in_one_turn)
{
	world_bucket_put(&w, 1, "b");
	world_put(&w, 2, "b", "k", "x", NULL);	/* parked: the bucket has no id yet */
	world_put(&w, 3, "c", "k", "x", NULL);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 1), 0);
	cr_assert_eq(world_code(&w, 2), 0);
	cr_assert_eq(world_code(&w, 3), ERR_BUCKET_NOT_FOUND);
	cr_assert_eq(world_get(&w, 4, "b", "k")->code, 0);
}

Test(state, conditions_see_what_is_pending)
{
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	world_put(&w, 2, "b", "k", "one", "*");
	world_put(&w, 3, "b", "k", "two", "*");
	cr_assert_eq(w.answers[2], 0);
	cr_assert_eq(w.answers[3], 0, "a refusal waits for what it depended on");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 2), 0);
	cr_assert_eq(world_code(&w, 3), ERR_PRECONDITION);
	cr_assert_eq(world_get(&w, 4, "b", "k")->entry->bytes, 3);
	world_delete(&w, 5, "b", "k");
	world_put(&w, 6, "b", "k", "three", "*");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 6), 0, "the pending delete is seen too");
}

static int
delete_if_match(uint64_t s, const char *key, const char *etag)
{
	WORLD_OP(object_delete, ObjectDelete, OBJECT_DELETE);
	Hf__Condition condition = HF__CONDITION__INIT;
	ProtobufCBinaryData name = { strlen(key), (uint8_t *)(uintptr_t)key };

	condition.if_match = (char *)(uintptr_t)etag;
	op.bucket = (char *)(uintptr_t)"b";
	op.keys = &name;
	op.n_keys = 1;
	op.condition = &condition;
	return (world_ask(&w, s, &q)->code);
}

/* As a put: what is gone is told from what is another. */
/* It says that something is there: then it must be there for good. */
Test(state, a_refusal_waits_for_what_it_depends_on)
{
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	world_put(&w, 2, "b", "k", "one", NULL);
	world_put(&w, 3, "b", "k", "two", "*");
	for (unsigned i = 0; i < 3; i++)
		state_turn(w.state, w.now_ms);
	cr_assert_eq(w.answers[2], 0);
	cr_assert_eq(w.answers[3], 0, "nothing was collected from the log yet");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 2), 0);
	cr_assert_eq(world_code(&w, 3), ERR_PRECONDITION);
}

Test(state, a_conditional_delete_of_nothing_finds_nothing)
{
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	world_put(&w, 2, "b", "k", "one", NULL);
	world_settle(&w);
	cr_assert_eq(delete_if_match(3, "none", "*"), ERR_NOT_FOUND);
	cr_assert_eq(delete_if_match(4, "none", "\"x\""), ERR_NOT_FOUND);
	cr_assert_eq(delete_if_match(5, "k", "\"x\""), ERR_PRECONDITION);
	cr_assert_eq(delete_if_match(6, "k", "*"), 0);
	cr_assert_eq(delete_if_match(7, "k", "*"), ERR_NOT_FOUND);
}

Test(state, a_bucket_is_empty_or_not_with_what_is_pending)
{
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	world_put(&w, 2, "b", "k", "x", NULL);
	world_bucket_delete(&w, 3, "b");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 3), ERR_BUCKET_NOT_EMPTY);
	world_delete(&w, 4, "b", "k");
	world_bucket_delete(&w, 5, "b");
	world_put(&w, 6, "b", "k", "y", NULL);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 5), 0);
	cr_assert_eq(world_code(&w, 6), ERR_BUCKET_NOT_FOUND);
	world_bucket_put(&w, 7, "b");
	world_bucket_put(&w, 8, "b");
	world_settle(&w);
	cr_assert_eq(world_code(&w, 7), 0);
	cr_assert_eq(world_code(&w, 8), ERR_BUCKET_EXISTS);
	cr_assert_eq(w.replies[8]->bucket->id, w.replies[7]->bucket->id);
	cr_assert_neq(w.replies[7]->bucket->id, w.replies[1]->bucket->id);
}

Test(state, a_repeat_is_answered_and_not_applied)
{
	struct state_stats stats;

	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	world_put(&w, 2, "b", "k", "x", "*");
	world_put(&w, 2, "b", "k", "x", "*");		/* attaches to the pending one */
	world_settle(&w);
	cr_assert_eq(world_code(&w, 2), 0);
	world_put(&w, 2, "b", "k", "x", "*");		/* after the answer */
	cr_assert_eq(w.answers[2], 2);
	cr_assert_eq(w.replies[2]->code, 0);
	state_stats(w.state, &stats);
	cr_assert_eq(stats.objects, 1);
	cr_assert_eq(stats.repeats, 2);
}

Test(state, bad_input_is_refused)
{
	char big[1100];
	WORLD_OP(object_put, ObjectPut, OBJECT_PUT);
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	Hf__StoreRequest none = HF__STORE_REQUEST__INIT;

	memset(big, 'k', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	world_put(&w, 2, "b", big, "x", NULL);
	world_put(&w, 3, "b", "", "x", NULL);
	op.bucket = (char *)(uintptr_t)"b";
	op.key = (ProtobufCBinaryData){ 3, (uint8_t *)(uintptr_t)"a\0b" };
	op.entry = &entry;
	world_send(&w, 4, &q);				/* NUL */
	op.key.len = 1;
	entry.bytes = 7;
	world_send(&w, 5, &q);				/* 7 bytes said, none came */
	op.entry = NULL;
	world_send(&w, 6, &q);
	world_send(&w, 7, &none);
	world_bucket_put(&w, 8, "");
	world_settle(&w);
	for (uint64_t i = 2; i <= 6; i++)
		cr_assert_eq(world_code(&w, i), ERR_INVALID);
	cr_assert_eq(world_code(&w, 7), ERR_UNSUPPORTED);
	cr_assert_eq(world_code(&w, 8), ERR_INVALID);
}

Test(state, answers_below_the_floor_are_forgotten)
{
	char *dump;
	unsigned lines = 0;

	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	for (uint64_t i = 2; i < 400; i++) {
		w.floor = i;
		world_put(&w, i, "b", "k", "x", NULL);
		if (i % 50 == 0)
			world_settle(&w);
	}
	world_settle(&w);
	dump = world_dump(&w, "R");
	for (char *p = dump; *p != '\0'; p++)
		lines += *p == '\n';
	free(dump);
	cr_assert_leq(lines, 2, "%u rows of answers are left", lines);
}

Test(state, a_session_that_ends_leaves_no_answers)
{
	char *dump;

	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	state_session_end(w.state, w.session);
	world_settle(&w);
	world_settle(&w);
	cr_assert_eq(w.ended, 1);
	dump = world_dump(&w, "RS");
	cr_assert_str_eq(dump, "");
	free(dump);
}

Test(state, more_than_the_queue_holds_is_answered_busy)
{
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	for (uint64_t i = 2; i < 1002; i++)
		world_put(&w, i, "b", "k", "x", NULL);
	world_put(&w, 1002, "b", "k", "x", NULL);
	cr_assert_eq(world_code(&w, 1002), ERR_BUSY, "the answer to a full queue does not wait");
	cr_assert_eq(world_code(&w, 1), 0);
	world_settle(&w);
	for (uint64_t i = 2; i < 1002; i++)
		cr_assert_eq(world_code(&w, i), 0);
}

Test(state, readers_see_a_change_in_the_generation_table)
{
	uint32_t slot = gentable_object_slot(w.table, SLICE_LITERAL("b"), SLICE_LITERAL("k"));
	uint32_t bucket = gentable_bucket_slot(w.table, SLICE_LITERAL("b"));
	struct gentable_mark before, bucket_before;

	cr_assert(gentable_note(w.table, bucket, &bucket_before));
	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	cr_assert_not(gentable_current(w.table, bucket, &bucket_before));
	cr_assert(gentable_note(w.table, slot, &before));
	world_put(&w, 2, "b", "k", "x", NULL);
	world_settle(&w);
	cr_assert_not(gentable_current(w.table, slot, &before));
	cr_assert(gentable_note(w.table, slot, &before), "even again: it may be cached");
	world_delete(&w, 3, "b", "k");
	world_settle(&w);
	cr_assert_not(gentable_current(w.table, slot, &before));
}

Test(state, config_is_kept_and_listed)
{
	Hf__StoreRequest list = HF__STORE_REQUEST__INIT;
	Hf__ConfigList nothing = HF__CONFIG_LIST__INIT;
	WORLD_OP(config_put, ConfigPut, CONFIG_PUT);

	op.section = (char *)(uintptr_t)"s3";
	op.name = (char *)(uintptr_t)"region";
	op.value = (char *)(uintptr_t)"eu";
	cr_assert_eq(world_ask(&w, 1, &q)->code, 0);
	list.op_case = HF__STORE_REQUEST__OP_CONFIG_LIST;
	list.config_list = &nothing;
	cr_assert_eq(world_ask(&w, 2, &list)->n_values, 1);
	cr_assert_str_eq(w.replies[2]->values[0]->name, "s3.region");
	cr_assert_str_eq(w.replies[2]->values[0]->value, "eu");
	op.unset = true;
	cr_assert_eq(world_ask(&w, 3, &q)->code, 0);
	cr_assert_eq(world_ask(&w, 4, &list)->n_values, 0);
}

/* They are written whenever there is no place for more of them, in the middle of a record too. */
Test(state, counts_are_written_beside_the_row_at_hand)
{
	struct index_layer *layer = index_layer_new();
	struct err e = ERR_INIT;
	struct apply a;
	uint64_t objects = 0;

	apply_init(&a, w.index, layer);
	buf_append_slice(&a.key, SLICE_LITERAL("a row's"));
	a.objects = 3;
	a.uses[a.use_count++] = (struct use_change){ .segment = 7, .records = 1, .bytes = 8 };
	cr_assert_eq(apply_flush(&a, &e), 0, "%s", e.text);
	cr_assert(slice_equal(buf_slice(&a.key), SLICE_LITERAL("a row's")));
	cr_assert_eq(counter_get(&a.reader, COUNTER_OBJECTS, &objects, &e), 0);
	cr_assert_eq(objects, 3);
	apply_release(&a);
	index_layer_free(layer);
}

/* More sessions side by side than rows that are kept: each comes back from the index, whole. */
Test(state, answers_of_many_sessions_go_into_their_rows)
{
	struct index_layer *layer = index_layer_new();
	const unsigned sessions = 3 * APPLY_ANSWERS;
	struct err e = ERR_INIT;
	struct apply a;

	apply_init(&a, w.index, layer);
	for (unsigned i = 0; i < 40 * sessions; i++) {
		Hf__SessionAnswer answer = HF__SESSION_ANSWER__INIT;
		uint8_t id[16] = { 1, (uint8_t)(i % sessions) };
		uint8_t said[2] = { id[1], (uint8_t)(i / sessions) };

		answer.sequence = 1 + i / sessions;
		answer.reply = (ProtobufCBinaryData){ sizeof(said), said };
		cr_assert_eq(apply_answer_put(&a, SLICE(id, sizeof(id)), &answer, &e), 0);
		if (i % 500 == 0)
			cr_assert_eq(apply_flush(&a, &e), 0, "%s", e.text);
	}
	cr_assert_eq(apply_flush(&a, &e), 0, "%s", e.text);
	for (unsigned i = 0; i < 2 * sessions; i++) {
		uint64_t first = i % 2 * ANSWERS_ROW, at = first == 0 ? 1 : first;
		uint8_t id[16] = { 1, (uint8_t)(i / 2) };
		Hf__SessionAnswers *row;

		key_answers(&a.key, SLICE(id, sizeof(id)), first);
		cr_assert_eq(row_get(&a.reader, buf_slice(&a.key), &hf__session_answers__descriptor,
		    (ProtobufCMessage **)(void *)&row, &e), 0, "%s", e.text);
		cr_assert_eq(row->n_answers, first == 0 ? ANSWERS_ROW - 1 : 41 - ANSWERS_ROW);
		for (size_t n = 0; n < row->n_answers; n++) {
			cr_assert_eq(row->answers[n]->sequence, at + n);
			cr_assert_eq(row->answers[n]->reply.data[0], i / 2);
			cr_assert_eq(row->answers[n]->reply.data[1], at + n - 1);
		}
		hf__session_answers__free_unpacked(row, NULL);
	}
	apply_release(&a);
	index_layer_free(layer);
}

/* As older programs moved them: single ones, in any order, of a session whose floor is 32. */
Test(state, single_answers_that_were_moved_go_into_their_row)
{
	static const uint64_t sequences[] = { 70, 66, 31, 66, 95, 64 };
	static const uint64_t expected[] = { 64, 66, 70, 95 };
	Hf__RecordSessionOpen session = HF__RECORD_SESSION_OPEN__INIT;
	struct index_layer *layer = index_layer_new();
	struct err e = ERR_INIT;
	struct record r = { .lsn = 100, .type = RECORD_RELOCATED };
	Hf__SessionAnswers *row;
	uint8_t id[16] = { 9 };
	struct apply a;

	apply_init(&a, w.index, layer);
	a.rebuild = true;
	session.session = (ProtobufCBinaryData){ sizeof(id), id };
	session.floor = 32;
	key_session(&a.key, SLICE(id, sizeof(id)));
	message_pack_into(&a.value, &session.base);
	index_put(layer, buf_slice(&a.key), buf_slice(&a.value));
	for (unsigned i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
		Hf__RecordRelocated m = HF__RECORD_RELOCATED__INIT;
		Hf__IndexRow moved = HF__INDEX_ROW__INIT, *rows[] = { &moved };
		uint8_t key[25] = { 'A' }, value[8] = { 0x1a, 2, 'x', (uint8_t)i };

		memcpy(key + 1, id, sizeof(id));
		put_be64(key + 17, sequences[i]);
		moved.key = (ProtobufCBinaryData){ sizeof(key), key };
		moved.value = (ProtobufCBinaryData){ 4, value };
		m.n_rows = 1;
		m.rows = rows;
		r.lsn++;
		cr_assert_eq(apply_message(&a, &r, &m.base, &e), 0, "%s", e.text);
	}
	cr_assert_eq(apply_flush(&a, &e), 0, "%s", e.text);
	key_answers(&a.key, SLICE(id, sizeof(id)), 31);
	cr_assert_eq(index_get(&a.reader, buf_slice(&a.key), &a.value, &e), ERR_NOT_FOUND);
	key_answers(&a.key, SLICE(id, sizeof(id)), 70);
	cr_assert_eq(row_get(&a.reader, buf_slice(&a.key), &hf__session_answers__descriptor,
	    (ProtobufCMessage **)(void *)&row, &e), 0, "%s", e.text);
	cr_assert_eq(row->n_answers, 4);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(row->answers[i]->sequence, expected[i]);
	cr_assert_eq(row->answers[1]->lsn, 104, "that of the last one");
	cr_assert_eq(row->answers[1]->reply.data[1], 3);
	hf__session_answers__free_unpacked(row, NULL);
	apply_release(&a);
	index_layer_free(layer);
}
