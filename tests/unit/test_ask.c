/*
 * test_ask - threads that ask the store and wait, against a store that misbehaves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>

#include "libobject/ask.h"
#include "tests/unit/object_world.h"

#define THREADS 6
#define ROUNDS	40

static char bucket_name[] = "b";

struct asker {
	pthread_t	 thread;
	struct ask	*ask;
	unsigned	 number, rounds;
	uint64_t	 deadline_ms;	/* 0: the ask's own */
	int		 code;		/* of the last */
	unsigned	 good;
	bool		 ended;
	struct err	 why;
};

static int
put(struct asker *t, const char *key, Hf__StoreReply **out, struct err *e)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut op = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;

	entry.bytes = 4 + t->number;
	op.bucket = bucket_name;
	op.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)(uintptr_t)key };
	op.entry = &entry;
	op.data = (ProtobufCBinaryData){ entry.bytes, (uint8_t *)(uintptr_t)"data and more" };
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	request.object_put = &op;
	if (t->deadline_ms != 0)
		return (ask_store_until(t->ask, &request, t->deadline_ms, out, e));
	return (ask_store(t->ask, &request, out, e));
}

static int
get(struct asker *t, const char *key, Hf__StoreReply **out, struct err *e)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectGet op = HF__OBJECT_GET__INIT;

	op.bucket = bucket_name;
	op.key = (ProtobufCBinaryData){ strlen(key), (uint8_t *)(uintptr_t)key };
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_GET;
	request.object_get = &op;
	return (ask_store(t->ask, &request, out, e));
}

/* Writes what it alone writes, and reads it back; until something goes wrong. */
static void *
asker_run(void *context)
{
	struct asker *t = context;
	char key[16];

	snprintf(key, sizeof(key), "k%u", t->number);
	for (unsigned i = 0; i < t->rounds && t->code == 0; i++) {
		Hf__StoreReply *reply = NULL;

		t->code = put(t, key, &reply, &t->why);
		if (reply != NULL)
			hf__store_reply__free_unpacked(reply, NULL);
		if (t->code == 0)
			t->code = get(t, key, &reply, &t->why);
		if (t->code != 0)
			break;
		t->good += reply->code == 0 && reply->entry->bytes == 4 + t->number;
		hf__store_reply__free_unpacked(reply, NULL);
	}
	ask_put(t->ask);
	__atomic_store_n(&t->ended, true, __ATOMIC_RELEASE);
	return (NULL);
}

static void
asker_start(struct asker *t, struct ask *a, unsigned number)
{
	t->ask = a;
	t->number = number;
	if (t->rounds == 0)
		t->rounds = ROUNDS;
	ask_get(a);
	cr_assert_eq(pthread_create(&t->thread, NULL, asker_run, t), 0);
}

/* With the session open and the layout known, so that no other call is under way. */
static void
world_open_settled(struct world *w)
{
	world_open(w, 2, 1);
	for (unsigned i = 0; i < 1000 && objects_layout(w->objects) == NULL; i++)
		world_turn(w);
	cr_assert_eq(objects_waiting(w->objects), 0);
}

static struct ask *
ask_new(struct world *w, uint64_t wait_ms)
{
	struct err e = ERR_INIT;
	struct ask *a;

	cr_assert_eq(ask_open(w->objects, "RID", wait_ms, &a, &e), 0, "%s", e.text);
	return (a);
}

static void
asker_join(struct world *w, struct asker *t)
{
	world_until(w, &t->ended);
	pthread_join(t->thread, NULL);
}

Test(ask, each_thread_gets_its_own_answer)
{
	struct world w = { 0 };
	struct asker t[THREADS] = { { 0 } };
	struct ask *a;

	world_open_settled(&w);
	a = ask_new(&w, 10000);
	for (unsigned i = 0; i < THREADS; i++)
		asker_start(&t[i], a, i);
	for (unsigned i = 0; i < THREADS; i++) {
		asker_join(&w, &t[i]);
		cr_assert_eq(t[i].code, 0, "%s", t[i].why.text);
		cr_assert_eq(t[i].good, ROUNDS);
	}
	cr_assert_eq(w.fake.puts, THREADS * ROUNDS);
	ask_close(&a);
	cr_assert_null(a);
	world_close(&w);
}

Test(ask, a_store_that_restarts_is_waited_for)
{
	struct world w = { 0 };
	struct asker t[THREADS] = { { 0 } };
	struct ask *a;

	world_open_settled(&w);
	a = ask_new(&w, 10000);
	w.fake.mute = true;		/* applies, and nobody hears of it */
	for (unsigned i = 0; i < THREADS; i++)
		asker_start(&t[i], a, i);
	world_for(&w, 30);
	fake_store_hang_up(&w.fake);
	world_for(&w, 10);
	w.fake.mute = false;
	fake_store_listen(&w.fake);
	for (unsigned i = 0; i < THREADS; i++) {
		asker_join(&w, &t[i]);
		cr_assert_eq(t[i].code, 0, "%s", t[i].why.text);
		cr_assert_eq(t[i].good, ROUNDS);
	}
	cr_assert_eq(w.fake.puts, THREADS * ROUNDS, "each was applied once");
	ask_close(&a);
	world_close(&w);
}

Test(ask, a_refusal_is_told_with_its_sentence)
{
	struct world w = { 0 };
	struct asker t = { .number = 1 };
	struct ask *a;

	world_open_settled(&w);
	a = ask_new(&w, 10000);
	w.fake.lose_session = true;	/* the put ends without a known fate */
	asker_start(&t, a, 1);
	asker_join(&w, &t);
	cr_assert_eq(t.code, ERR_UNAVAILABLE);
	cr_assert_not_null(strstr(t.why.text, "session"), "%s", t.why.text);
	ask_close(&a);
	world_close(&w);
}

Test(ask, a_deadline_ends_the_wait)
{
	struct world w = { 0 };
	struct asker t = { 0 };
	struct ask *a;

	world_open_settled(&w);
	a = ask_new(&w, 50);
	w.fake.deaf = true;
	asker_start(&t, a, 0);
	asker_join(&w, &t);
	cr_assert_eq(t.code, ERR_UNAVAILABLE);
	world_for(&w, 5);
	cr_assert_eq(objects_waiting(w.objects), 0);
	ask_close(&a);
	world_close(&w);
}

Test(ask, a_loop_that_hangs_does_not_hold_a_thread)
{
	struct world w = { 0 };
	struct asker t = { 0 };
	struct ask *a;

	world_open_settled(&w);
	a = ask_new(&w, 20);
	asker_start(&t, a, 0);
	pthread_join(t.thread, NULL);		/* the loop never turns */
	cr_assert_eq(t.code, ERR_UNAVAILABLE);
	world_for(&w, 20);
	cr_assert_eq(w.fake.puts, 0, "it was not sent late");
	ask_close(&a);
	world_close(&w);
}

Test(ask, cancelled_it_ends_at_once_and_for_good)
{
	struct world w = { 0 };
	struct asker t[2] = { { 0 } }, late = { 0 };
	struct ask *a;
	uint64_t began;

	world_open_settled(&w);
	a = ask_new(&w, 60000);
	w.fake.deaf = true;
	t[1].deadline_ms = UINT64_MAX;
	asker_start(&t[0], a, 0);
	asker_start(&t[1], a, 1);
	world_for(&w, 30);
	cr_assert_eq(objects_waiting(w.objects), 2);
	began = clock_mono_ms();
	ask_cancel(a);
	ask_cancel(a);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(t[i].thread, NULL);
		cr_assert_eq(t[i].code, ERR_CANCELLED);
	}
	cr_assert_lt(clock_mono_ms() - began, 5000);
	asker_start(&late, a, 2);
	pthread_join(late.thread, NULL);
	cr_assert_eq(late.code, ERR_CANCELLED);
	world_for(&w, 5);
	cr_assert_eq(objects_waiting(w.objects), 0, "the calls of those who left were dropped");
	ask_close(&a);
	world_close(&w);
}

Test(ask, one_is_cancelled_and_the_other_goes_on)
{
	struct world w = { 0 };
	struct asker t[2] = { { 0 } };
	struct ask *a[2];

	world_open_settled(&w);
	w.fake.deaf = true;
	for (unsigned i = 0; i < 2; i++) {
		a[i] = ask_new(&w, 20000);
		asker_start(&t[i], a[i], i);
	}
	world_for(&w, 20);
	ask_cancel(a[0]);
	pthread_join(t[0].thread, NULL);
	cr_assert_eq(t[0].code, ERR_CANCELLED);
	w.fake.deaf = false;
	fake_store_hang_up(&w.fake);
	fake_store_listen(&w.fake);
	asker_join(&w, &t[1]);
	cr_assert_eq(t[1].code, 0, "%s", t[1].why.text);
	ask_close(&a[0]);
	ask_close(&a[1]);
	world_close(&w);
}

Test(ask, closed_with_threads_inside)
{
	for (unsigned round = 0; round < 20; round++) {
		struct world w = { 0 };
		struct asker t[THREADS] = { { 0 } };
		struct ask *a;

		world_open_settled(&w);
		a = ask_new(&w, 60000);
		w.fake.deaf = round % 2 == 0;
		for (unsigned i = 0; i < THREADS; i++) {
			t[i].rounds = UINT32_MAX;
			asker_start(&t[i], a, i);
		}
		world_for(&w, round);
		ask_close(&a);
		for (unsigned i = 0; i < THREADS; i++) {
			pthread_join(t[i].thread, NULL);
			cr_assert_eq(t[i].code, ERR_CANCELLED);
		}
		world_close(&w);
	}
}
