/*
 * load - see load.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/load.h"

#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"

#define WAIT_MS		120000
#define DEPTH_MAX	4096

struct slot {
	struct load	*load;
	uint64_t	 number, began_ns;
};

struct load {
	struct event_base *base;
	struct pool	*pool;
	struct objects	*objects;
	struct slot	 slots[DEPTH_MAX];
	load_make_fn	*make;
	void		*context;
	uint64_t	 first, next, end, *took, deadline_ms;
	unsigned	 flying;
	Hf__StoreReply	*reply;
};

static void
on_state(void *context, bool connected)
{
	struct load *l = context;

	if (connected)
		event_base_loopbreak(l->base);
}

struct load *
load_open(const char *channel, int table_fd, uint64_t cache_bytes)
{
	struct load *l = calloc(1, sizeof(*l));
	struct objects_options o = { .channel_path = channel, .table_fd = table_fd,
		.name = "bench.0", .cache_bytes = cache_bytes, .body_memory_max = 64u << 20 };
	struct err e = ERR_INIT;

	if (l == NULL || (l->base = event_base_new()) == NULL)
		abort();
	o.base = l->base;
	if (pool_open(l->base, 1, 64, &l->pool, &e) < 0)
		goto bad;
	o.pool = l->pool;
	if (objects_open(&o, &l->objects, &e) < 0)
		goto bad;
	objects_on_state(l->objects, on_state, l);
	while (!objects_connected(l->objects))
		event_base_loop(l->base, EVLOOP_ONCE);
	return (l);
bad:
	fprintf(stderr, "load: %s\n", e.text);
	exit(1);
}

void
load_close(struct load **lp)
{
	struct load *l = *lp;

	*lp = NULL;
	objects_close(&l->objects);
	pool_close(&l->pool);
	event_base_free(l->base);
	if (l->reply != NULL)
		hf__store_reply__free_unpacked(l->reply, NULL);
	free(l);
}

struct objects *
load_objects(struct load *l)
{
	return (l->objects);
}

struct event_base *
load_base(struct load *l)
{
	return (l->base);
}

static void slot_go(struct slot *s);

static void
on_answer(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct slot *s = context;
	struct load *l = s->load;

	(void)reply;
	if (code != 0) {
		fprintf(stderr, "operation %llu: %s\n", (unsigned long long)s->number, e->text);
		exit(1);
	}
	if (l->took != NULL)
		l->took[s->number - l->first] = clock_mono_ns() - s->began_ns;
	l->flying--;
	if (l->next < l->end)
		slot_go(s);
	else if (l->flying == 0)
		event_base_loopbreak(l->base);
}

static void
slot_go(struct slot *s)
{
	struct load *l = s->load;
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;

	s->number = l->next++;
	s->began_ns = l->took != NULL ? clock_mono_ns() : 0;
	l->make(l->context, s->number, &q);
	l->flying++;
	object_call(l->objects, "", &q, l->deadline_ms, on_answer, s);
}

void
load_run(struct load *l, unsigned depth, uint64_t first, uint64_t count, load_make_fn *make,
    void *context, uint64_t *took)
{
	l->make = make;
	l->context = context;
	l->first = l->next = first;
	l->end = first + count;
	l->took = took;
	l->deadline_ms = clock_mono_ms() + 100 * WAIT_MS;
	for (unsigned i = 0; i < depth && i < DEPTH_MAX && l->next < l->end; i++) {
		l->slots[i].load = l;
		slot_go(&l->slots[i]);
	}
	while (l->flying > 0)
		event_base_loop(l->base, 0);
}

static void
on_one(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct load *l = context;
	struct slice packed;
	uint8_t *bytes;

	if (code != 0) {
		fprintf(stderr, "load: %s\n", e->text);
		exit(1);
	}
	bytes = malloc(hf__store_reply__get_packed_size(reply) + 1);
	if (bytes == NULL)
		abort();
	packed = SLICE(bytes, hf__store_reply__pack(reply, bytes));
	l->reply = hf__store_reply__unpack(NULL, packed.bytes, packed.data);
	free(bytes);
	event_base_loopbreak(l->base);
}

const Hf__StoreReply *
load_one(struct load *l, Hf__StoreRequest *q)
{
	if (l->reply != NULL)
		hf__store_reply__free_unpacked(l->reply, NULL);
	l->reply = NULL;
	object_call(l->objects, "", q, clock_mono_ms() + WAIT_MS, on_one, l);
	while (l->reply == NULL)
		event_base_loop(l->base, 0);
	return (l->reply);
}

void
load_bucket(struct load *l, const char *name)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__BucketPut put = HF__BUCKET_PUT__INIT;

	put.name = (char *)(uintptr_t)name;
	put.region = (char *)(uintptr_t)"us-east-1";
	q.op_case = HF__STORE_REQUEST__OP_BUCKET_PUT;
	q.bucket_put = &put;
	load_one(l, &q);
}
