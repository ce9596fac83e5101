/*
 * test_object_walk - libobject/walk: what the store gives is taken, nonsense is refused, and a walk
 * that is gone is told so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdlib.h>

#include "libobject/walk.h"
#include "tests/unit/object_world.h"

enum nonsense { SENSE, NO_WALK, NO_ID, LONG_ID, LONG_DIRECTORY, LONG_CURSOR };

struct giver {
	enum nonsense	 nonsense;
	int		 keep_code;
	uint64_t	 max_age_ms;
	unsigned	 opened, kept, closed;
};

/* What a thread does, one question after the other. */
struct walker {
	pthread_t	 thread;
	struct ask	*ask;
	struct walk	 walk;
	struct err	 e;
	int		 begin, keep;
	bool		 ended;
};

static struct world w;
static struct giver giver;
static struct walker walker;

static void
walk_give(struct giver *g, Hf__StoreReply *r)
{
	size_t id = g->nonsense == NO_ID ? 0 : g->nonsense == LONG_ID ? WALK_ID_MAX + 1 : 16;

	r->lsn = 77;
	r->cursor.len = g->nonsense == LONG_CURSOR ? FEED_CURSOR_MAX + 1 : 5;
	r->cursor.data = calloc(1, r->cursor.len);
	if (g->nonsense == NO_WALK)
		return;
	r->walk = calloc(1, sizeof(*r->walk));
	hf__walk__init(r->walk);
	r->walk->walk.len = id;
	r->walk->walk.data = calloc(1, id + 1);
	memset(r->walk->walk.data, 'w', id);
	r->walk->directory = calloc(1, 5000);
	memset(r->walk->directory, 'd', g->nonsense == LONG_DIRECTORY ? 4096 : 4095);
	r->walk->lapse_ms = 1000;
	r->walk->age_ms = 3;
}

static void
on_other(void *context, const Hf__StoreRequest *q, Hf__StoreReply *r)
{
	struct giver *g = context;

	switch (q->op_case) {
	case HF__STORE_REQUEST__OP_WALK_OPEN:
		g->opened++;
		g->max_age_ms = q->walk_open->max_age_ms;
		walk_give(g, r);
		return;
	case HF__STORE_REQUEST__OP_WALK_KEEP:
		g->kept++;
		r->code = g->keep_code;
		cr_assert_eq(q->walk_keep->walk.len, 16);
		return;
	case HF__STORE_REQUEST__OP_WALK_CLOSE:
		g->closed++;
		cr_assert_eq(q->walk_close->walk.len, 16);
		return;
	default:
		cr_assert_fail("operation %d", (int)q->op_case);
	}
}

static void *
walker_run(void *context)
{
	struct walker *k = context;

	k->begin = walk_begin(k->ask, 500, &k->walk, &k->e);
	if (k->begin == 0)
		k->keep = walk_keep(k->ask, &k->walk, &k->e);
	walk_end(k->ask, &k->walk);
	walk_end(k->ask, &k->walk);
	__atomic_store_n(&k->ended, true, __ATOMIC_RELEASE);
	return (NULL);
}

static void
walk_all(void)
{
	struct err e = ERR_INIT;

	memset(&walker, 0, sizeof(walker));
	cr_assert_eq(ask_open(w.objects, "test", 20000, &walker.ask, &e), 0, "%s", e.text);
	cr_assert_eq(pthread_create(&walker.thread, NULL, walker_run, &walker), 0);
	while (!__atomic_load_n(&walker.ended, __ATOMIC_ACQUIRE))
		world_turn(&w);
	pthread_join(walker.thread, NULL);
	ask_close(&walker.ask);
}

static void
setup(void)
{
	memset(&w, 0, sizeof(w));
	memset(&giver, 0, sizeof(giver));
	world_open(&w, 2, 1);
	for (unsigned i = 0; i < 1000 && objects_layout(w.objects) == NULL; i++)
		world_turn(&w);
	w.fake.other = on_other;
	w.fake.other_context = &giver;
}

static void
teardown(void)
{
	world_close(&w);
}

TestSuite(object_walk, .init = setup, .fini = teardown);

Test(object_walk, is_begun_kept_and_ended_once)
{
	walk_all();
	cr_assert_eq(walker.begin, 0, "%s", walker.e.text);
	cr_assert_eq(walker.keep, 0, "%s", walker.e.text);
	cr_assert(giver.opened == 1 && giver.kept == 1 && giver.closed == 1);
	cr_assert_eq(giver.max_age_ms, 500);
	cr_assert(walker.walk.lsn == 77 && walker.walk.lapse_ms == 1000 &&
	    walker.walk.age_ms == 3 && walker.walk.feed_cursor_bytes == 5);
	cr_assert_eq(strlen(walker.walk.directory), 4095);
}

Test(object_walk, that_is_gone_is_stale)
{
	giver.keep_code = ERR_STALE;
	walk_all();
	cr_assert_eq(walker.keep, ERR_STALE);
	cr_assert_eq(giver.closed, 1);
}

Test(object_walk, of_nonsense_is_none)
{
	for (enum nonsense n = NO_WALK; n <= LONG_CURSOR; n++) {
		giver.nonsense = n;
		walk_all();
		cr_assert_eq(walker.begin, ERR_PROTOCOL, "%d", (int)n);
		cr_assert_eq(giver.closed, 0, "nothing is open");
	}
}

Test(object_walk, survives_a_restart_of_the_store_while_it_asks)
{
	w.fake.lose_session = true;
	walk_all();
	cr_assert_eq(walker.begin, 0, "%s", walker.e.text);
	cr_assert_eq(giver.opened, 1);
}
