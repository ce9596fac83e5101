/*
 * test_objects - calls, sessions, deadlines and lookups of libobject against a store that
 * misbehaves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/metrics.h"
#include "tests/unit/object_world.h"

static char bucket_name[] = "b";

struct answer {
	bool	 came;
	int	 code, count;
	char	 text[200];
	uint64_t bytes;
};

static void
on_answer(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct answer *a = context;

	a->came = true;
	a->count++;
	a->code = code;
	a->bytes = reply != NULL && reply->entry != NULL ? reply->entry->bytes : 0;
	snprintf(a->text, sizeof(a->text), "%.199s", e != NULL ? e->text : "");
}

static struct object_call *
put(struct world *w, const char *key, struct answer *a, uint64_t wait_ms)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut op = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	entry.bytes = 4;
	op.bucket = bucket_name;
	op.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)(uintptr_t)key };
	op.entry = &entry;
	op.data = (ProtobufCBinaryData){ 4, (uint8_t *)(uintptr_t)"data" };
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	request.object_put = &op;
	return (object_call(w->objects, "RID", &request, clock_mono_ms() + wait_ms, on_answer, a));
}

static struct object_call *
get(struct world *w, const char *key, struct answer *a, uint64_t wait_ms)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectGet op = HF__OBJECT_GET__INIT;

	op.bucket = bucket_name;
	op.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)(uintptr_t)key };
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_GET;
	request.object_get = &op;
	return (object_call(w->objects, "RID", &request, clock_mono_ms() + wait_ms, on_answer, a));
}

Test(objects, asks_before_the_connection_is_there)
{
	struct world w = { 0 };
	struct answer a = { 0 }, b = { 0 };

	world_open(&w, 2, 1);
	cr_assert_not(objects_connected(w.objects));
	put(&w, "one", &a, 5000);
	get(&w, "one", &b, 5000);
	cr_assert_not(a.came);
	world_until(&w, &b.came);
	cr_assert_eq(a.code, 0);
	cr_assert_eq(b.code, 0);
	cr_assert_eq(b.bytes, 4);
	cr_assert(objects_connected(w.objects));
	world_for(&w, 20);
	cr_assert_not_null(objects_layout(w.objects));
	cr_assert_eq(objects_layout(w.objects)->k, 2);
	cr_assert_eq(objects_waiting(w.objects), 0);
	world_close(&w);
}

Test(objects, a_repeat_is_applied_once)
{
	struct world w = { 0 };
	struct answer a[20] = { { 0 } };
	bool all = false;
	int i, round;

	world_open(&w, 2, 1);
	for (round = 0; round < 10; round++) {
		w.fake.mute = true;	/* applied, the answer is lost */
		for (i = 0; i < 20; i++) {
			char key[16];

			a[i].came = false;
			snprintf(key, sizeof(key), "k%d", i);
			put(&w, key, &a[i], 20000);
		}
		world_for(&w, 30);
		fake_store_hang_up(&w.fake);
		world_for(&w, 10);
		w.fake.mute = false;
		fake_store_listen(&w.fake);
		world_until(&w, &a[19].came);
		for (i = 0, all = true; i < 20; i++)
			all &= a[i].came && a[i].code == 0;
		cr_assert(all);
	}
	cr_assert_eq(w.fake.puts, 200);
	cr_assert_gt(w.fake.repeats, 0);
	cr_assert_eq(w.fake.sessions, 1);
	cr_assert_gt(w.fake.opens, 9);
	world_close(&w);
}

Test(objects, a_deadline_ends_a_call_and_its_late_answer_is_dropped)
{
	struct world w = { 0 };
	struct answer a = { 0 }, b = { 0 }, never = { 0 };
	uint64_t begin;

	world_open(&w, 2, 1);
	put(&w, "x", &b, 5000);
	world_until(&w, &b.came);
	w.fake.mute = true;
	begin = clock_mono_ms();
	put(&w, "y", &never, UINT64_MAX / 2);
	put(&w, "y", &a, 80);
	world_until(&w, &a.came);
	cr_assert_eq(a.code, ERR_UNAVAILABLE);
	cr_assert_geq(clock_mono_ms() - begin, 80);
	cr_assert_lt(clock_mono_ms() - begin, 2000);
	cr_assert_eq(objects_waiting(w.objects), 1);
	w.fake.mute = false;
	fake_store_hang_up(&w.fake);
	fake_store_listen(&w.fake);
	world_until(&w, &never.came);
	cr_assert_eq(never.code, 0);
	world_for(&w, 50);
	cr_assert_eq(a.count, 1);
	/* the one past its deadline was applied, once, or not: here it was */
	cr_assert_eq(w.fake.puts, 3);
	world_close(&w);
}

Test(objects, many_deadlines_in_any_order)
{
	struct world w = { 0 };
	static struct answer a[500];
	int i;
	unsigned ended = 0;

	world_open(&w, 1, 0);
	w.fake.deaf = true;
	for (i = 0; i < 500; i++)
		get(&w, "k", &a[i], 20 + (uint64_t)(i * 7919 % 200));
	for (i = 0; i < 500; i += 3)
		a[i].bytes = 0;
	world_for(&w, 120);
	for (i = 0; i < 500; i++)
		ended += a[i].came;
	cr_assert(ended > 50 && ended < 450, "%u ended", ended);
	world_until(&w, &a[0].came);
	world_for(&w, 200);
	for (i = 0; i < 500; i++)
		cr_assert(a[i].count == 1 && a[i].code == ERR_UNAVAILABLE, "call %d", i);
	cr_assert_leq(objects_waiting(w.objects), 1);	/* its own question for the layout */
	world_close(&w);
}

Test(objects, a_lost_session_fails_sent_changes_and_asks_reads_again)
{
	struct world w = { 0 };
	struct answer first = { 0 }, change = { 0 }, read = { 0 }, later = { 0 };

	world_open(&w, 2, 1);
	put(&w, "x", &first, 5000);
	world_until(&w, &first.came);
	w.fake.deaf = true;
	put(&w, "y", &change, 20000);
	world_for(&w, 20);
	fake_store_hang_up(&w.fake);
	get(&w, "x", &read, 20000);
	put(&w, "z", &later, 20000);	/* never sent in the old session */
	w.fake.deaf = false;
	w.fake.lose_session = true;
	fake_store_listen(&w.fake);
	world_until(&w, &change.came);
	cr_assert_eq(change.code, ERR_UNAVAILABLE);
	world_until(&w, &read.came);
	cr_assert_eq(read.code, 0);
	world_until(&w, &later.came);
	cr_assert_eq(w.fake.sessions, 2);
	world_close(&w);
}

Test(objects, cancelled_calls_are_silent)
{
	struct world w = { 0 };
	struct answer a = { 0 }, b = { 0 };
	struct object_call *c;

	world_open(&w, 2, 1);
	c = put(&w, "x", &a, 5000);
	object_call_cancel(&c);
	cr_assert_null(c);
	put(&w, "y", &b, 5000);
	world_until(&w, &b.came);
	cr_assert_eq(a.count, 0);
	c = put(&w, "z", &a, 5000);
	object_call_cancel(&c);
	world_for(&w, 20);
	cr_assert_eq(a.count, 0);
	world_close(&w);
}

Test(objects, close_cancels_what_waits)
{
	struct world w = { 0 };
	struct answer a = { 0 };

	world_open(&w, 2, 1);
	w.fake.deaf = true;
	put(&w, "x", &a, 5000);
	world_for(&w, 20);
	world_close(&w);
	cr_assert_eq(a.count, 1);
	cr_assert_eq(a.code, ERR_CANCELLED);
}

Test(objects, a_request_too_large_for_the_channel)
{
	struct world w = { 0 };
	struct answer a = { 0 };
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut op = HF__OBJECT_PUT__INIT;

	world_open(&w, 2, 1);
	op.bucket = bucket_name;
	op.data.len = 5u << 20;
	op.data.data = calloc(1, op.data.len);
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	request.object_put = &op;
	object_call(w.objects, NULL, &request, clock_mono_ms() + 1000, on_answer, &a);
	free(op.data.data);
	cr_assert_not(a.came, "not from inside object_call");
	world_until(&w, &a.came);
	cr_assert_eq(a.code, ERR_TOO_LARGE);
	world_close(&w);
}

/* --- Lookups. --------------------------------------------------------------------------------- */

struct found {
	bool	 came;
	int	 code;
	uint64_t bytes;
	bool	 bucket;
};

static void
on_found(void *context, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	struct found *f = context;

	(void)e;
	f->came = true;
	f->code = code;
	f->bucket = bucket != NULL;
	f->bytes = entry != NULL ? entry->bytes : 0;
}

static struct found
lookup(struct world *w, const char *key, bool *at_once)
{
	struct found f = { 0 };
	struct object_call *c = object_lookup(w->objects, "RID", "b", slice_from_string(key),
	    clock_mono_ms() + 5000, on_found, &f);

	*at_once = f.came;
	cr_assert_eq(f.came, c == NULL);
	world_until(w, &f.came);
	return (f);
}

static void
change(struct world *w, const char *key, uint64_t bytes)
{
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	entry.bytes = bytes;
	fake_store_change(&w->fake, key, bytes > 0 ? &entry : NULL);
}

Test(objects, lookups_are_cached_until_the_name_changes)
{
	struct world w = { 0 };
	struct found f;
	bool at_once;
	unsigned gets, i;

	world_open(&w, 2, 1);
	f = lookup(&w, "a", &at_once);
	cr_assert(!at_once && f.code == ERR_NOT_FOUND && f.bucket);
	f = lookup(&w, "a", &at_once);		/* also that it is not there */
	cr_assert(at_once && f.code == ERR_NOT_FOUND && f.bucket);
	for (i = 1; i < 50; i++) {
		change(&w, "a", i);
		f = lookup(&w, "a", &at_once);
		cr_assert(!at_once && f.code == 0 && f.bytes == i);
		gets = w.fake.gets;
		f = lookup(&w, "a", &at_once);
		cr_assert(at_once && f.code == 0 && f.bytes == i && w.fake.gets == gets);
	}
	f = lookup(&w, "", &at_once);		/* the bucket alone */
	cr_assert(at_once && f.code == 0 && f.bucket);
	change(&w, "a", 0);
	f = lookup(&w, "a", &at_once);
	cr_assert(!at_once && f.code == ERR_NOT_FOUND);
	gentable_raise_epoch(w.fake.table);
	f = lookup(&w, "a", &at_once);
	cr_assert_not(at_once);
	world_close(&w);
}

Test(objects, nothing_is_cached_in_the_middle_of_a_change)
{
	struct world w = { 0 };
	struct found f;
	bool at_once;
	uint32_t slot;

	world_open(&w, 2, 1);
	change(&w, "a", 5);
	slot = gentable_object_slot(w.fake.table, SLICE_LITERAL("b"), SLICE_LITERAL("a"));
	gentable_begin(w.fake.table, slot);
	f = lookup(&w, "a", &at_once);
	f = lookup(&w, "a", &at_once);
	cr_assert(!at_once && f.bytes == 5);
	gentable_end(w.fake.table, slot);
	f = lookup(&w, "a", &at_once);
	cr_assert_not(at_once);
	f = lookup(&w, "a", &at_once);
	cr_assert(at_once && f.bytes == 5);
	world_close(&w);
}

Test(objects, a_bucket_that_goes_takes_its_objects_along)
{
	struct world w = { 0 };
	struct found f;
	bool at_once;
	uint32_t slot;

	world_open(&w, 2, 1);
	change(&w, "a", 5);
	f = lookup(&w, "a", &at_once);
	f = lookup(&w, "a", &at_once);
	cr_assert(at_once && f.code == 0);
	slot = gentable_bucket_slot(w.fake.table, SLICE_LITERAL("b"));
	gentable_begin(w.fake.table, slot);
	w.fake.has_bucket = false;
	gentable_end(w.fake.table, slot);
	f = lookup(&w, "a", &at_once);
	cr_assert(!at_once && f.code == ERR_BUCKET_NOT_FOUND && !f.bucket);
	f = lookup(&w, "other", &at_once);
	cr_assert(at_once && f.code == ERR_BUCKET_NOT_FOUND);
	world_close(&w);
}

Test(objects, lookups_can_be_cancelled_and_fail_with_the_deadline)
{
	struct world w = { 0 };
	struct found f = { 0 }, g = { 0 };
	struct object_call *c;

	world_open(&w, 2, 1);
	w.fake.deaf = true;
	c = object_lookup(w.objects, "RID", "b", SLICE_LITERAL("a"), clock_mono_ms() + 60, on_found,
	    &f);
	object_call_cancel(&c);
	object_lookup(w.objects, "RID", "b", SLICE_LITERAL("a"), clock_mono_ms() + 60, on_found,
	    &g);
	world_until(&w, &g.came);
	cr_assert_eq(g.code, ERR_UNAVAILABLE);
	cr_assert_not(f.came);
	world_close(&w);
}

Test(objects, state_and_layout_are_told)
{
	struct world w = { 0 };
	struct answer a = { 0 };

	world_open(&w, 2, 2);
	get(&w, "x", &a, 5000);
	world_until(&w, &a.came);
	world_for(&w, 20);
	w.fake.offline = 1u << 2;
	fake_store_notice(&w.fake);
	world_for(&w, 30);
	cr_assert_eq(objects_layout(w.objects)->drives[2]->state,
	    (uint32_t)HF__CATALOG_DRIVE__STATE__OFFLINE);
	world_close(&w);
}
