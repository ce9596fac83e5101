/*
 * test_task_model - the task queue in the sequencer against a model, over restarts and rebuilds of
 * the index.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include "tests/unit/proof.h"
#include "tests/unit/task_world.h"

TestSuite(task_model, .init = task_world_begin, .fini = task_world_end, .timeout = 120);

#define VOLUMES 12

static uint64_t seed;
static unsigned moves;

static uint64_t
random_below(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return ((seed >> 33) % n);
}

/* What the queue must say of the newest task of each volume. */
static struct model { uint64_t id, lease, attempts; int state; bool used; } model[VOLUMES];

static void
model_submit(uint64_t n, uint64_t v)
{
	struct model *m = &model[v];
	Hf__Task t = tw_vacuum_of(v);
	const Hf__StoreReply *r;

	t.type = TEXT("cleanup");
	t.source = TEXT(random_below(4) == 0 ? "operator" : "detector");
	t.priority = (Hf__Task__Priority)random_below(4);
	r = tw_submit(n, &t);
	cr_assert_eq(r->code, 0, "%s", r->error);
	if (r->admission == HF__ADMISSION__QUEUED) {
		cr_assert(!m->used || !task_is_open(m->state));
		*m = (struct model){ .id = r->tasks[0]->id, .used = true };
	} else {
		cr_assert(m->used);
		cr_assert_eq(r->tasks[0]->id, m->id);
	}
}

static void
model_update(uint64_t n, uint64_t v)
{
	struct model *m = &model[v];
	int to = (int)random_below(TASK_STATES);
	Hf__Task was = HF__TASK__INIT;
	const Hf__StoreReply *r;

	was.id = m->id;
	was.state = (Hf__Task__State)m->state;
	was.lease = m->lease;
	was.bytes = 10 + random_below(10);
	r = tw_update(n, &was, to);
	if (!task_may_become(m->state, to)) {
		cr_assert_eq(r->code, ERR_INVALID);
		return;
	}
	if (r->code == ERR_BUSY)	/* backoff, or another's claim */
		return;
	cr_assert_eq(r->code, 0, "%s", r->error);
	moves++;
	m->lease += to == S(ASSIGNED);
	m->attempts = to == S(FAILED) ? m->attempts + 1 :
	    m->state == S(DEAD_LETTER) && to == S(PENDING) ? 0 : m->attempts;
	m->state = to == S(FAILED) && m->attempts >= 10 ? S(DEAD_LETTER) : to;
	cr_assert_eq(r->tasks[0]->state, (Hf__Task__State)m->state);
	cr_assert_eq(r->tasks[0]->lease, m->lease);
	cr_assert_eq(r->tasks[0]->attempts, m->attempts);
}

static void
model_check(uint64_t n)
{
	for (uint64_t v = 0; v < VOLUMES; v++) {
		const Hf__StoreReply *r;

		if (!model[v].used)
			continue;
		task_world.answers[n] = 0;
		r = tw_get(n, model[v].id);
		if (!task_is_open(model[v].state) && r->code == ERR_NOT_FOUND)
			continue;	/* history */
		cr_assert_eq(r->code, 0);
		cr_assert_eq(r->tasks[0]->state, (Hf__Task__State)model[v].state);
		cr_assert_eq(r->tasks[0]->lease, model[v].lease);
		cr_assert_eq(r->tasks[0]->attempts, model[v].attempts);
	}
	tw_tables_agree();
}

/* The index that is built from the log alone has the same bytes. */
static void
rebuilt_is_equal(void)
{
	cr_assert(world_rebuilt_alike(&task_world, NULL));
	task_world.answers[0] = 0;
	world_session(&task_world, 1);
}

Test(task_model, random_histories_follow_it)
{
	for (unsigned round = 0; round < 12; round++) {
		uint64_t n = 1;

		if (round > 0) {
			task_world_end();
			task_world_begin();
		}
		seed = 1000 + round;
		memset(model, 0, sizeof(model));
		for (unsigned i = 0; i < 400; i++, n++) {
			uint64_t v = random_below(VOLUMES);

			task_world.floor = n > 8 ? n - 8 : 0;
			if (!model[v].used || random_below(6) == 0)
				model_submit(n, v);
			else
				model_update(n, v);
			task_world.real_ms += random_below(400000);
			if (random_below(100) == 0) {
				task_world.now_ms += 1000;
				tw_restart(random_below(2) == 0);
			}
		}
		model_check(n + 1);
		rebuilt_is_equal();
		model_check(n + 1);
	}
	cr_assert_gt(moves, 12 * 40, "hardly any transition was legal");
	proof_say("histories", 12, "tasks: random, %u transitions, with restarts and rebuilds",
	    moves);
}
