/*
 * test_state_task - the task queue in the sequencer: admission, transitions, order, history;
 * against a model, over restarts and rebuilds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "libstore/state/state_internal.h"
#include "tests/unit/proof.h"
#include "tests/unit/state_world.h"

#define S(NAME)	 HF__TASK__STATE__##NAME
#define P(NAME)	 HF__TASK__PRIORITY__##NAME
#define TEXT(s)	 ((char *)(uintptr_t)(s))
#define DAY	 UINT64_C(86400000)

static struct world w;

static void
begin(void)
{
	world_make_simulated(&w, 1);
	w.real_ms = 100 * DAY;
	world_open(&w);
	world_session(&w, 1);
}

static void
end(void)
{
	world_close(&w);
	world_remove(&w);
}

TestSuite(state_task, .init = begin, .fini = end);

/* --- asking ----------------------------------------------------------------------------------- */

static Hf__Task
vacuum_of(uint64_t volume)
{
	Hf__Task t = HF__TASK__INIT;

	t.type = TEXT("vacuum");
	t.source = TEXT("detector");
	t.volume_id = volume;
	t.priority = P(NORMAL);
	t.bytes = 10;
	return (t);
}

static void
submit_send(uint64_t sequence, Hf__Task *t)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);

	op.task = t;
	world_send(&w, sequence, &q);
}

static const Hf__StoreReply *
submit(uint64_t sequence, Hf__Task *t)
{
	submit_send(sequence, t);
	world_settle(&w);
	cr_assert_eq(w.answers[sequence], 1);
	return (w.replies[sequence]);
}

static void
update_send(uint64_t sequence, const Hf__Task *was, Hf__Task *asked)
{
	WORLD_OP(task_update, TaskUpdate, TASK_UPDATE);

	op.id = was->id;
	op.from_state = (uint32_t)was->state;
	op.from_lease = was->lease;
	op.task = asked;
	world_send(&w, sequence, &q);
}

/* From what `was` says to a state, by worker "w". */
static const Hf__StoreReply *
update(uint64_t sequence, const Hf__Task *was, int state)
{
	Hf__Task asked = *was;

	asked.state = (Hf__Task__State)state;
	asked.worker_id = TEXT("w");
	if (state == S(FAILED))
		asked.error = TEXT("it failed");
	update_send(sequence, was, &asked);
	world_settle(&w);
	cr_assert_eq(w.answers[sequence], 1);
	return (w.replies[sequence]);
}

static const Hf__StoreReply *
get(uint64_t sequence, uint64_t id)
{
	WORLD_OP(task_get, TaskGet, TASK_GET);

	op.id = id;
	return (world_ask(&w, sequence, &q));
}

static const Hf__StoreReply *
list(uint64_t sequence, uint64_t after, uint32_t max, uint32_t states, const char *type)
{
	WORLD_OP(task_list, TaskList, TASK_LIST);

	op.after = after;
	op.max = max;
	op.states = states;
	op.type = TEXT(type);
	return (world_ask(&w, sequence, &q));
}

static const Hf__StoreReply *
due(uint64_t sequence, uint64_t ms, uint32_t max, const char *type)
{
	WORLD_OP(task_list, TaskList, TASK_LIST);

	op.due_ms = ms;
	op.max = max;
	op.type = TEXT(type);
	return (world_ask(&w, sequence, &q));
}

static struct state_stats
stats(void)
{
	struct state_stats s;

	state_stats(w.state, &s);
	return (s);
}

/* A restart as the process's own: the session goes on. */
static void
restart(bool rebuild)
{
	world_close(&w);
	if (rebuild)
		world_index_remove(&w);
	world_open(&w);
	w.answers[0] = 0;
	world_session(&w, 1);
}

/* --- T, Q, K and the counters say the same ---------------------------------------------------- */

static void
tables_agree(void)
{
	struct index_reader r = { .index = w.index };
	struct rows tasks = ROWS_INIT, places = ROWS_INIT, prints = ROWS_INIT;
	uint64_t count[TASK_STATES] = { 0 }, orphan = 0, n;
	struct buf key = BUF_INIT, value = BUF_INIT;
	char name[32];

	rows_collect_prefix(&tasks, &r, SLICE_LITERAL("T"), SIZE_MAX, NULL);
	rows_collect_prefix(&places, &r, SLICE_LITERAL("Q"), SIZE_MAX, NULL);
	rows_collect_prefix(&prints, &r, SLICE_LITERAL("K"), SIZE_MAX, NULL);
	cr_assert_eq(tasks.count, places.count);
	cr_assert_eq(tasks.count, prints.count);
	for (size_t i = 0; i < tasks.count; i++) {
		Hf__Task *t;

		cr_assert_eq(row_unpack(rows_value(&tasks, i), &hf__task__descriptor, (void *)&t,
		    NULL), 0);
		key_task_place(&key, task_list(t), task_list_ms(t), t->id);
		cr_assert_eq(index_get(&r, buf_slice(&key), &value, NULL), 0);
		key_task_print(&key, slice_from_string(t->fingerprint),
		    !task_is_open((int)t->state), t->id);
		cr_assert_eq(index_get(&r, buf_slice(&key), &value, NULL), 0);
		cr_assert_not_null(t->home);
		count[t->state]++;
		orphan += task_orphan_bytes(t);
		hf__task__free_unpacked(t, NULL);
	}
	for (int state = 0; state < TASK_STATES; state++) {
		snprintf(name, sizeof(name), "%s%s", COUNTER_TASKS, task_state_name(state));
		cr_assert_eq(counter_get(&r, name, &n, NULL), 0);
		cr_assert_eq(n, count[state], "%s: %lu counted, %lu there", name, (unsigned long)n,
		    (unsigned long)count[state]);
	}
	cr_assert_eq(stats().orphan_bytes, orphan);
	rows_release(&tasks);
	rows_release(&places);
	rows_release(&prints);
	buf_release(&key);
	buf_release(&value);
}

/* --- one task --------------------------------------------------------------------------------- */

Test(state_task, a_life)
{
	Hf__Task t = vacuum_of(7);
	const Hf__StoreReply *r = submit(1, &t);
	uint64_t id;

	cr_assert_eq(r->code, 0, "%s", r->error);
	cr_assert_eq(r->admission, HF__ADMISSION__QUEUED);
	cr_assert_eq(r->n_tasks, 1);
	id = r->tasks[0]->id;
	cr_assert_eq(id, r->lsn, "its id is the LSN of its first record");
	cr_assert_str_eq(r->tasks[0]->fingerprint, "7-vacuum");
	cr_assert_eq(r->tasks[0]->detected_ms, w.real_ms);
	cr_assert_null(r->tasks[0]->home);
	r = update(2, r->tasks[0], S(ASSIGNED));
	cr_assert_eq(r->code, 0, "%s", r->error);
	cr_assert_eq(r->tasks[0]->lease, 1);
	cr_assert_eq(task_lease_check(w.state, id, 1, NULL), 0);
	cr_assert_eq(task_lease_check(w.state, id, 0, NULL), ERR_STALE);
	cr_assert_eq(task_lease_check(w.state, id + 1, 1, NULL), ERR_STALE);
	r = update(3, r->tasks[0], S(IN_PROGRESS));
	r = update(4, r->tasks[0], S(COMPLETED));
	cr_assert_eq(r->code, 0, "%s", r->error);
	cr_assert_eq(r->tasks[0]->finished_ms, w.real_ms);
	cr_assert_eq(task_lease_check(w.state, id, 1, NULL), ERR_STALE);
	cr_assert_eq(get(5, id)->tasks[0]->state, S(COMPLETED));
	cr_assert_null(w.replies[5]->tasks[0]->home);
	cr_assert_eq(get(6, id + 1)->code, ERR_NOT_FOUND);
	cr_assert_eq(stats().tasks[S(COMPLETED)], 1);
	cr_assert_eq(stats().tasks_open, 0);
	tables_agree();
}

Test(state_task, who_is_late_changes_nothing_and_is_told_how_it_is)
{
	Hf__Task t = vacuum_of(7), first;
	const Hf__StoreReply *r = submit(1, &t);

	first = *r->tasks[0];
	update(2, &first, S(ASSIGNED));
	r = update(3, &first, S(ASSIGNED));
	cr_assert_eq(r->code, ERR_STALE);
	cr_assert_eq(r->n_tasks, 1);
	cr_assert_eq(r->tasks[0]->lease, 1);
	cr_assert_eq(r->tasks[0]->state, S(ASSIGNED));
	r = update(4, w.replies[2]->tasks[0], S(COMPLETED));
	cr_assert_eq(r->code, ERR_INVALID);
	first.id = 99;
	cr_assert_eq(update(5, &first, S(ASSIGNED))->code, ERR_NOT_FOUND);
	first.id = LSN_PROVISIONAL | 1;
	cr_assert_eq(update(6, &first, S(ASSIGNED))->code, ERR_NOT_FOUND);
	tables_agree();
}

Test(state_task, a_repeat_gets_its_first_answer)
{
	Hf__Task t = vacuum_of(7), assigned;
	const Hf__StoreReply *r = submit(1, &t);

	assigned = *r->tasks[0];
	update(2, &assigned, S(ASSIGNED));
	for (int round = 0; round < 3; round++) {
		w.answers[1] = w.answers[2] = 0;
		r = submit(1, &t);
		cr_assert_eq(r->admission, HF__ADMISSION__QUEUED, "not merged with itself");
		r = update(2, r->tasks[0], S(ASSIGNED));
		cr_assert_eq(r->code, 0);
		cr_assert_eq(r->tasks[0]->lease, 1);
		restart(round == 1);
	}
	cr_assert_eq(list(3, 0, 0, 0, "")->n_tasks, 1);
	cr_assert_eq(w.replies[3]->tasks[0]->merged, 0);
}

/* --- merging and bounds ----------------------------------------------------------------------- */

Test(state_task, the_same_work_is_merged)
{
	Hf__Task t = vacuum_of(7), urgent = vacuum_of(7);
	const Hf__StoreReply *r = submit(1, &t);
	uint64_t id = r->tasks[0]->id;

	urgent.priority = P(URGENT);
	r = submit(2, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED);
	cr_assert_eq(r->tasks[0]->id, id);
	cr_assert_eq(r->tasks[0]->merged, 1);
	r = submit(3, &urgent);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED);
	cr_assert_eq(r->tasks[0]->priority, P(URGENT));
	for (uint64_t n = 4; n < 4 + 2 * TASK_MERGED_MAX; n++)
		r = submit(n, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED);
	cr_assert_eq(r->tasks[0]->merged, TASK_MERGED_MAX);
	cr_assert_eq(list(999, 0, 0, 0, "")->n_tasks, 1);
	cr_assert_gt(stats().tasks_merged, TASK_MERGED_MAX);
	tables_agree();
}

Test(state_task, many_at_once_from_several_sessions_are_one)
{
	struct session *sessions[4];
	Hf__Task t = vacuum_of(7);
	unsigned queued = 0, merged = 0;
	uint64_t id = 0;

	for (uint8_t i = 0; i < 4; i++) {
		w.answers[0] = 0;
		sessions[i] = world_session(&w, (uint8_t)(10 + i));
	}
	for (uint64_t n = 1; n <= 40; n++) {
		w.session = sessions[n % 4];
		submit_send(n, &t);
	}
	world_settle(&w);
	for (uint64_t n = 1; n <= 40; n++) {
		cr_assert_eq(world_code(&w, n), 0);
		queued += w.replies[n]->admission == HF__ADMISSION__QUEUED;
		merged += w.replies[n]->admission == HF__ADMISSION__MERGED;
		if (id == 0)
			id = w.replies[n]->tasks[0]->id;
		cr_assert_eq(w.replies[n]->tasks[0]->id, id);
	}
	cr_assert_eq(queued, 1);
	cr_assert_eq(merged, 39);
	w.session = sessions[0];
	cr_assert_eq(list(50, 0, 0, 0, "")->n_tasks, 1);
	cr_assert_eq(w.replies[50]->tasks[0]->merged, 39);
	tables_agree();
}

/* Of a race for one task one wins. */
Test(state_task, one_of_many_claims_wins)
{
	Hf__Task t = vacuum_of(7), was, asked;
	unsigned won = 0;

	was = *submit(1, &t)->tasks[0];
	asked = was;
	asked.state = S(ASSIGNED);
	asked.worker_id = TEXT("w");
	for (uint64_t n = 2; n < 30; n++)
		update_send(n, &was, &asked);
	world_settle(&w);
	for (uint64_t n = 2; n < 30; n++) {
		cr_assert(world_code(&w, n) == 0 || world_code(&w, n) == ERR_STALE);
		won += world_code(&w, n) == 0;
	}
	cr_assert_eq(won, 1);
	tables_agree();
}

Test(state_task, what_was_finished_a_moment_ago_answers)
{
	Hf__Task t = vacuum_of(7), operator = vacuum_of(7);
	const Hf__StoreReply *r = submit(1, &t);
	uint64_t id = r->tasks[0]->id;

	operator.source = TEXT("operator");
	r = update(2, r->tasks[0], S(ASSIGNED));
	r = update(3, r->tasks[0], S(IN_PROGRESS));
	update(4, r->tasks[0], S(COMPLETED));
	r = submit(5, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED);
	cr_assert_eq(r->tasks[0]->id, id);
	cr_assert_eq(r->tasks[0]->state, S(COMPLETED));
	r = submit(6, &operator);
	cr_assert_eq(r->admission, HF__ADMISSION__QUEUED);
	cr_assert_neq(r->tasks[0]->id, id);
	update(7, r->tasks[0], S(CANCELLED));
	w.real_ms += 600001;
	r = submit(8, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED,
	    "what is cancelled is left alone for longer");
	cr_assert_eq(r->tasks[0]->state, S(CANCELLED));
	w.real_ms += 3600000;
	r = submit(9, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__QUEUED, "the window has passed");
	tables_agree();
}

Test(state_task, what_was_finished_answers_for_the_same_state_only)
{
	Hf__NameValue since = HF__NAME_VALUE__INIT, *parameters[1] = { &since };
	Hf__Task t = vacuum_of(7);
	const Hf__StoreReply *r;

	t.type = TEXT("drive_rebuild");
	t.parameters = parameters;
	t.n_parameters = 1;
	since.name = TEXT(TASK_PARAMETER_SINCE);
	since.value = TEXT("7");
	r = submit(1, &t);
	update(2, r->tasks[0], S(CANCELLED));
	cr_assert_eq(submit(3, &t)->admission, HF__ADMISSION__MERGED);
	since.value = TEXT("9");
	cr_assert_eq(submit(4, &t)->admission, HF__ADMISSION__QUEUED, "the drive went away again");
	cr_assert_eq(submit(5, &t)->admission, HF__ADMISSION__MERGED, "with the open one");
	tables_agree();
}

Test(state_task, a_full_queue_says_so)
{
	Hf__Task t;
	uint64_t n = 1;

	world_close(&w);
	w.tasks = (struct task_rules)TASK_RULES_DEFAULT;
	w.tasks.queue_max = 20;
	world_open(&w);
	w.answers[0] = 0;
	world_session(&w, 1);
	for (uint64_t v = 0; v < 30; v++) {	/* in one batch: those in flight count */
		t = vacuum_of(v);
		submit_send(n++, &t);
	}
	world_settle(&w);
	for (uint64_t i = 1; i < n; i++) {
		cr_assert_eq(world_code(&w, i), 0);
		cr_assert_eq(w.replies[i]->admission, i <= 18 ? HF__ADMISSION__QUEUED :
		    HF__ADMISSION__TASKS_FULL, "%lu", (unsigned long)i);
		cr_assert_eq(w.replies[i]->n_tasks, i <= 18);
	}
	t = vacuum_of(1);
	cr_assert_eq(submit(n++, &t)->admission, HF__ADMISSION__MERGED, "it is there");
	for (uint64_t v = 100; v < 103; v++) {
		t = vacuum_of(v);
		t.priority = P(HIGH);
		cr_assert_eq(submit(n++, &t)->admission, v < 102 ? HF__ADMISSION__QUEUED :
		    HF__ADMISSION__TASKS_FULL);
	}
	update(n++, w.replies[1]->tasks[0], S(CANCELLED));
	t.volume_id = 200;
	cr_assert_eq(submit(n, &t)->admission, HF__ADMISSION__QUEUED, "one has ended");
	cr_assert_gt(stats().tasks_full, 0);
	tables_agree();
}

Test(state_task, hostile_requests_are_refused)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	WORLD_OP_AGAIN(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task t = vacuum_of(7);

	cr_assert_eq(world_ask(&w, 1, &q)->code, ERR_INVALID);
	cr_assert_eq(world_ask(&w, 2, &q2)->code, ERR_INVALID);
	t.type = TEXT("Not A Type");
	cr_assert_eq(submit(3, &t)->code, ERR_INVALID);
	t = vacuum_of(7);
	t.id = 5;
	t.lease = 77;
	t.attempts = 9;
	t.merged = 3;
	t.worker_id = TEXT("me");
	t.finished_ms = 1;
	cr_assert_eq(submit(4, &t)->code, 0);
	cr_assert_eq(w.replies[4]->tasks[0]->lease, 0, "not a submitter's to say");
	cr_assert_eq(w.replies[4]->tasks[0]->attempts, 0);
	cr_assert_eq(w.replies[4]->tasks[0]->merged, 0);
	cr_assert_str_empty(w.replies[4]->tasks[0]->worker_id);
	cr_assert_neq(w.replies[4]->tasks[0]->id, 5);
	cr_assert_eq(due(5, UINT64_MAX, UINT32_MAX, "")->n_tasks, 1);
	cr_assert_eq(list(6, UINT64_MAX, UINT32_MAX, UINT32_MAX, "")->n_tasks, 0);
}

/* --- lists ------------------------------------------------------------------------------------ */

Test(state_task, what_is_due_comes_in_the_order_of_work)
{
	static const struct { int priority; uint64_t not_before; } rows[] = {
		{ P(LOW), 0 }, { P(NORMAL), 500 }, { P(URGENT), 900 }, { P(NORMAL), 400 },
		{ P(HIGH), 0 }, { P(URGENT), 100 }, { P(NORMAL), 400 }, { P(URGENT), 5000 },
	};
	static const uint64_t order[] = { 5, 2, 4, 3, 6, 1, 0 };
	const Hf__StoreReply *r;

	for (uint64_t i = 0; i < 8; i++) {
		Hf__Task t = vacuum_of(i);

		t.type = TEXT(i % 2 ? "odd" : "even");
		t.priority = (Hf__Task__Priority)rows[i].priority;
		t.not_before_ms = rows[i].not_before;
		submit(1 + i, &t);
	}
	r = due(20, 1000, 0, "");
	cr_assert_eq(r->n_tasks, 7);
	for (size_t i = 0; i < 7; i++)
		cr_assert_eq(r->tasks[i]->volume_id, order[i], "%zu", i);
	r = due(21, 1000, 2, "");
	cr_assert_eq(r->n_tasks, 2);
	cr_assert(r->truncated);
	cr_assert_eq(r->tasks[1]->volume_id, 2);
	r = due(22, 1000, 0, "odd");
	cr_assert_eq(r->n_tasks, 3);
	cr_assert_eq(r->tasks[0]->volume_id, 5);
	cr_assert_eq(due(23, UINT64_MAX, 0, "")->n_tasks, 8);
	update(24, w.replies[20]->tasks[0], S(ASSIGNED));
	cr_assert_eq(due(25, 1000, 0, "")->tasks[0]->volume_id, 2, "a claimed one is gone");
}

Test(state_task, pages_by_id_and_state)
{
	uint64_t after = 0, seen = 0;
	const Hf__StoreReply *r;

	for (uint64_t i = 0; i < 50; i++) {
		Hf__Task t = vacuum_of(i);

		submit_send(1 + i, &t);
	}
	world_settle(&w);
	for (uint64_t i = 0; i < 50; i += 2)
		update(60 + i, w.replies[1 + i]->tasks[0], S(CANCELLED));
	for (uint64_t n = 200;; n++) {
		r = list(n, after, 7, 1u << S(CANCELLED), "vacuum");
		for (size_t i = 0; i < r->n_tasks; i++, seen++) {
			cr_assert_eq(r->tasks[i]->state, S(CANCELLED));
			cr_assert_gt(r->tasks[i]->id, after);
			after = r->tasks[i]->id;
		}
		after = r->next_id;
		if (!r->truncated)
			break;
	}
	cr_assert_eq(seen, 25);
	cr_assert_eq(list(300, 0, 0, 0, "other")->n_tasks, 0);
	cr_assert_eq(list(301, 0, 0, 0, "")->n_tasks, 50);
}

/* --- history ---------------------------------------------------------------------------------- */

/* A task that is finished at once. */
static uint64_t
finish_one(uint64_t sequence, uint64_t volume)
{
	Hf__Task t = vacuum_of(volume);
	const Hf__StoreReply *r = submit(sequence, &t);

	return (update(sequence + 1, r->tasks[0], S(CANCELLED))->tasks[0]->id);
}

Test(state_task, too_many_finished_ones_go_the_oldest_first)
{
	uint64_t ids[30], n = 1;

	world_close(&w);
	w.tasks = (struct task_rules)TASK_RULES_DEFAULT;
	w.tasks.history_max = 10;
	world_open(&w);
	w.answers[0] = 0;
	world_session(&w, 1);
	for (uint64_t i = 0; i < 30; i++, n += 2) {
		ids[i] = finish_one(n, i);
		w.real_ms++;
	}
	world_settle(&w);
	cr_assert_eq(list(n, 0, 0, 0, "")->n_tasks, 10);
	for (size_t i = 0; i < 10; i++)
		cr_assert_eq(w.replies[n]->tasks[i]->id, ids[20 + i]);
	tables_agree();
}

Test(state_task, finished_ones_go_when_they_are_old)
{
	uint64_t next;

	finish_one(1, 1);
	w.real_ms += DAY;
	finish_one(3, 2);
	world_settle(&w);
	next = state_next_ms(w.state);
	cr_assert_eq(next, w.now_ms + 6 * DAY, "nothing wakes before");
	w.real_ms += 6 * DAY;
	w.now_ms = next;
	state_turn(w.state, w.now_ms);
	world_settle(&w);
	cr_assert_eq(list(5, 0, 0, 0, "")->n_tasks, 1);
	cr_assert_eq(w.replies[5]->tasks[0]->volume_id, 2);
	cr_assert_eq(state_next_ms(w.state), w.now_ms + DAY);
	w.real_ms += DAY;
	w.now_ms += DAY;
	world_settle(&w);
	cr_assert_eq(list(6, 0, 0, 0, "")->n_tasks, 0);
	cr_assert_eq(state_next_ms(w.state), UINT64_MAX, "idle is idle");
	tables_agree();
}

/* --- random histories ------------------------------------------------------------------------- */

#define VOLUMES 12

static uint64_t seed;

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
	Hf__Task t = vacuum_of(v);
	const Hf__StoreReply *r;

	t.type = TEXT("cleanup");
	t.source = TEXT(random_below(4) == 0 ? "operator" : "detector");
	t.priority = (Hf__Task__Priority)random_below(4);
	r = submit(n, &t);
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
	r = update(n, &was, to);
	if (!task_may_become(m->state, to)) {
		cr_assert_eq(r->code, ERR_INVALID);
		return;
	}
	if (r->code == ERR_BUSY)	/* backoff, or another's claim */
		return;
	cr_assert_eq(r->code, 0, "%s", r->error);
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
		w.answers[n] = 0;
		r = get(n, model[v].id);
		if (!task_is_open(model[v].state) && r->code == ERR_NOT_FOUND)
			continue;	/* history */
		cr_assert_eq(r->code, 0);
		cr_assert_eq(r->tasks[0]->state, (Hf__Task__State)model[v].state);
		cr_assert_eq(r->tasks[0]->lease, model[v].lease);
		cr_assert_eq(r->tasks[0]->attempts, model[v].attempts);
	}
	tables_agree();
}

/* The index that is built from the log alone has the same bytes. */
static void
rebuilt_is_equal(void)
{
	cr_assert(world_rebuilt_alike(&w, NULL));
	w.answers[0] = 0;
	world_session(&w, 1);
}

Test(state_task, random_histories_follow_the_model, .timeout = 120)
{
	for (unsigned round = 0; round < 12; round++) {
		uint64_t n = 1;

		if (round > 0) {
			end();
			begin();
		}
		seed = 1000 + round;
		memset(model, 0, sizeof(model));
		for (unsigned i = 0; i < 400; i++, n++) {
			uint64_t v = random_below(VOLUMES);

			w.floor = n > 8 ? n - 8 : 0;
			if (!model[v].used || random_below(6) == 0)
				model_submit(n, v);
			else
				model_update(n, v);
			w.real_ms += random_below(400000);
			if (random_below(100) == 0) {
				w.now_ms += 1000;
				restart(random_below(2) == 0);
			}
		}
		model_check(n + 1);
		rebuilt_is_equal();
		model_check(n + 1);
	}
	proof_say("histories", 12, "tasks: random, with restarts and power cuts");
}
