/*
 * test_state_task - the task queue in the sequencer: admission, transitions, order, history.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "tests/unit/task_world.h"

TestSuite(state_task, .init = task_world_begin, .fini = task_world_end);

/* --- one task --------------------------------------------------------------------------------- */

Test(state_task, a_life)
{
	Hf__Task t = tw_vacuum_of(7);
	const Hf__StoreReply *r = tw_submit(1, &t);
	uint64_t id;

	cr_assert_eq(r->code, 0, "%s", r->error);
	cr_assert_eq(r->admission, HF__ADMISSION__QUEUED);
	cr_assert_eq(r->n_tasks, 1);
	id = r->tasks[0]->id;
	cr_assert_eq(id, r->lsn, "its id is the LSN of its first record");
	cr_assert_str_eq(r->tasks[0]->fingerprint, "7-vacuum");
	cr_assert_eq(r->tasks[0]->detected_ms, task_world.real_ms);
	cr_assert_null(r->tasks[0]->home);
	r = tw_update(2, r->tasks[0], S(ASSIGNED));
	cr_assert_eq(r->code, 0, "%s", r->error);
	cr_assert_eq(r->tasks[0]->lease, 1);
	cr_assert_eq(task_lease_check(task_world.state, id, 1, NULL), 0);
	cr_assert_eq(task_lease_check(task_world.state, id, 0, NULL), ERR_STALE);
	cr_assert_eq(task_lease_check(task_world.state, id + 1, 1, NULL), ERR_STALE);
	r = tw_update(3, r->tasks[0], S(IN_PROGRESS));
	r = tw_update(4, r->tasks[0], S(COMPLETED));
	cr_assert_eq(r->code, 0, "%s", r->error);
	cr_assert_eq(r->tasks[0]->finished_ms, task_world.real_ms);
	cr_assert_eq(task_lease_check(task_world.state, id, 1, NULL), ERR_STALE);
	cr_assert_eq(tw_get(5, id)->tasks[0]->state, S(COMPLETED));
	cr_assert_null(task_world.replies[5]->tasks[0]->home);
	cr_assert_eq(tw_get(6, id + 1)->code, ERR_NOT_FOUND);
	cr_assert_eq(tw_stats().tasks[S(COMPLETED)], 1);
	cr_assert_eq(tw_stats().tasks_open, 0);
	tw_tables_agree();
}

Test(state_task, who_is_late_changes_nothing_and_is_told_how_it_is)
{
	Hf__Task t = tw_vacuum_of(7), first;
	const Hf__StoreReply *r = tw_submit(1, &t);

	first = *r->tasks[0];
	tw_update(2, &first, S(ASSIGNED));
	r = tw_update(3, &first, S(ASSIGNED));
	cr_assert_eq(r->code, ERR_STALE);
	cr_assert_eq(r->n_tasks, 1);
	cr_assert_eq(r->tasks[0]->lease, 1);
	cr_assert_eq(r->tasks[0]->state, S(ASSIGNED));
	r = tw_update(4, task_world.replies[2]->tasks[0], S(COMPLETED));
	cr_assert_eq(r->code, ERR_INVALID);
	first.id = 99;
	cr_assert_eq(tw_update(5, &first, S(ASSIGNED))->code, ERR_NOT_FOUND);
	first.id = LSN_PROVISIONAL | 1;
	cr_assert_eq(tw_update(6, &first, S(ASSIGNED))->code, ERR_NOT_FOUND);
	tw_tables_agree();
}

Test(state_task, a_repeat_gets_its_first_answer)
{
	Hf__Task t = tw_vacuum_of(7), assigned;
	const Hf__StoreReply *r = tw_submit(1, &t);

	assigned = *r->tasks[0];
	tw_update(2, &assigned, S(ASSIGNED));
	for (int round = 0; round < 3; round++) {
		task_world.answers[1] = task_world.answers[2] = 0;
		r = tw_submit(1, &t);
		cr_assert_eq(r->admission, HF__ADMISSION__QUEUED, "not merged with itself");
		r = tw_update(2, r->tasks[0], S(ASSIGNED));
		cr_assert_eq(r->code, 0);
		cr_assert_eq(r->tasks[0]->lease, 1);
		tw_restart(round == 1);
	}
	cr_assert_eq(tw_list(3, 0, 0, 0, "")->n_tasks, 1);
	cr_assert_eq(task_world.replies[3]->tasks[0]->merged, 0);
}

/* --- merging and bounds ----------------------------------------------------------------------- */

Test(state_task, the_same_work_is_merged)
{
	Hf__Task t = tw_vacuum_of(7), urgent = tw_vacuum_of(7);
	const Hf__StoreReply *r = tw_submit(1, &t);
	uint64_t id = r->tasks[0]->id;

	urgent.priority = P(URGENT);
	r = tw_submit(2, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED);
	cr_assert_eq(r->tasks[0]->id, id);
	cr_assert_eq(r->tasks[0]->merged, 1);
	r = tw_submit(3, &urgent);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED);
	cr_assert_eq(r->tasks[0]->priority, P(URGENT));
	for (uint64_t n = 4; n < 4 + 2 * TASK_MERGED_MAX; n++)
		r = tw_submit(n, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED);
	cr_assert_eq(r->tasks[0]->merged, TASK_MERGED_MAX);
	cr_assert_eq(tw_list(999, 0, 0, 0, "")->n_tasks, 1);
	cr_assert_gt(tw_stats().tasks_merged, TASK_MERGED_MAX);
	tw_tables_agree();
}

Test(state_task, many_at_once_from_several_sessions_are_one)
{
	struct session *sessions[4];
	Hf__Task t = tw_vacuum_of(7);
	unsigned queued = 0, merged = 0;
	uint64_t id = 0;

	for (uint8_t i = 0; i < 4; i++) {
		task_world.answers[0] = 0;
		sessions[i] = world_session(&task_world, (uint8_t)(10 + i));
	}
	for (uint64_t n = 1; n <= 40; n++) {
		task_world.session = sessions[n % 4];
		tw_submit_send(n, &t);
	}
	world_settle(&task_world);
	for (uint64_t n = 1; n <= 40; n++) {
		cr_assert_eq(world_code(&task_world, n), 0);
		queued += task_world.replies[n]->admission == HF__ADMISSION__QUEUED;
		merged += task_world.replies[n]->admission == HF__ADMISSION__MERGED;
		if (id == 0)
			id = task_world.replies[n]->tasks[0]->id;
		cr_assert_eq(task_world.replies[n]->tasks[0]->id, id);
	}
	cr_assert_eq(queued, 1);
	cr_assert_eq(merged, 39);
	task_world.session = sessions[0];
	cr_assert_eq(tw_list(50, 0, 0, 0, "")->n_tasks, 1);
	cr_assert_eq(task_world.replies[50]->tasks[0]->merged, 39);
	tw_tables_agree();
}

/* Of a race for one task one wins. */
Test(state_task, one_of_many_claims_wins)
{
	Hf__Task t = tw_vacuum_of(7), was, asked;
	unsigned won = 0;

	was = *tw_submit(1, &t)->tasks[0];
	asked = was;
	asked.state = S(ASSIGNED);
	asked.worker_id = TEXT("w");
	for (uint64_t n = 2; n < 30; n++)
		tw_update_send(n, &was, &asked);
	world_settle(&task_world);
	for (uint64_t n = 2; n < 30; n++) {
		cr_assert(world_code(&task_world, n) == 0 ||
		    world_code(&task_world, n) == ERR_STALE);
		won += world_code(&task_world, n) == 0;
	}
	cr_assert_eq(won, 1);
	tw_tables_agree();
}

Test(state_task, what_was_finished_a_moment_ago_answers)
{
	Hf__Task t = tw_vacuum_of(7), operator = tw_vacuum_of(7);
	const Hf__StoreReply *r = tw_submit(1, &t);
	uint64_t id = r->tasks[0]->id;

	operator.source = TEXT("operator");
	r = tw_update(2, r->tasks[0], S(ASSIGNED));
	r = tw_update(3, r->tasks[0], S(IN_PROGRESS));
	tw_update(4, r->tasks[0], S(COMPLETED));
	r = tw_submit(5, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED);
	cr_assert_eq(r->tasks[0]->id, id);
	cr_assert_eq(r->tasks[0]->state, S(COMPLETED));
	r = tw_submit(6, &operator);
	cr_assert_eq(r->admission, HF__ADMISSION__QUEUED);
	cr_assert_neq(r->tasks[0]->id, id);
	tw_update(7, r->tasks[0], S(CANCELLED));
	task_world.real_ms += 600001;
	r = tw_submit(8, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__MERGED,
	    "what is cancelled is left alone for longer");
	cr_assert_eq(r->tasks[0]->state, S(CANCELLED));
	task_world.real_ms += 3600000;
	r = tw_submit(9, &t);
	cr_assert_eq(r->admission, HF__ADMISSION__QUEUED, "the window has passed");
	tw_tables_agree();
}

Test(state_task, what_was_finished_answers_for_the_same_state_only)
{
	Hf__NameValue since = HF__NAME_VALUE__INIT, *parameters[1] = { &since };
	Hf__Task t = tw_vacuum_of(7);
	const Hf__StoreReply *r;

	t.type = TEXT("drive_rebuild");
	t.parameters = parameters;
	t.n_parameters = 1;
	since.name = TEXT(TASK_PARAMETER_SINCE);
	since.value = TEXT("7");
	r = tw_submit(1, &t);
	tw_update(2, r->tasks[0], S(CANCELLED));
	cr_assert_eq(tw_submit(3, &t)->admission, HF__ADMISSION__MERGED);
	since.value = TEXT("9");
	cr_assert_eq(tw_submit(4, &t)->admission, HF__ADMISSION__QUEUED,
	    "the drive went away again");
	cr_assert_eq(tw_submit(5, &t)->admission, HF__ADMISSION__MERGED, "with the open one");
	tw_tables_agree();
}

Test(state_task, a_full_queue_says_so)
{
	Hf__Task t;
	uint64_t n = 1;

	world_close(&task_world);
	task_world.tasks = (struct task_rules)TASK_RULES_DEFAULT;
	task_world.tasks.queue_max = 20;
	world_open(&task_world);
	task_world.answers[0] = 0;
	world_session(&task_world, 1);
	for (uint64_t v = 0; v < 30; v++) {	/* in one batch: those in flight count */
		t = tw_vacuum_of(v);
		tw_submit_send(n++, &t);
	}
	world_settle(&task_world);
	for (uint64_t i = 1; i < n; i++) {
		cr_assert_eq(world_code(&task_world, i), 0);
		cr_assert_eq(task_world.replies[i]->admission, i <= 18 ? HF__ADMISSION__QUEUED :
		    HF__ADMISSION__TASKS_FULL, "%lu", (unsigned long)i);
		cr_assert_eq(task_world.replies[i]->n_tasks, i <= 18);
	}
	t = tw_vacuum_of(1);
	cr_assert_eq(tw_submit(n++, &t)->admission, HF__ADMISSION__MERGED, "it is there");
	for (uint64_t v = 100; v < 103; v++) {
		t = tw_vacuum_of(v);
		t.priority = P(HIGH);
		cr_assert_eq(tw_submit(n++, &t)->admission, v < 102 ? HF__ADMISSION__QUEUED :
		    HF__ADMISSION__TASKS_FULL);
	}
	tw_update(n++, task_world.replies[1]->tasks[0], S(CANCELLED));
	t.volume_id = 200;
	cr_assert_eq(tw_submit(n, &t)->admission, HF__ADMISSION__QUEUED, "one has ended");
	cr_assert_gt(tw_stats().tasks_full, 0);
	tw_tables_agree();
}

Test(state_task, hostile_requests_are_refused)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);
	WORLD_OP_AGAIN(task_update, TaskUpdate, TASK_UPDATE);
	Hf__Task t = tw_vacuum_of(7);

	cr_assert_eq(world_ask(&task_world, 1, &q)->code, ERR_INVALID);
	cr_assert_eq(world_ask(&task_world, 2, &q2)->code, ERR_INVALID);
	t.type = TEXT("Not A Type");
	cr_assert_eq(tw_submit(3, &t)->code, ERR_INVALID);
	t = tw_vacuum_of(7);
	t.id = 5;
	t.lease = 77;
	t.attempts = 9;
	t.merged = 3;
	t.worker_id = TEXT("me");
	t.finished_ms = 1;
	cr_assert_eq(tw_submit(4, &t)->code, 0);
	cr_assert_eq(task_world.replies[4]->tasks[0]->lease, 0, "not a submitter's to say");
	cr_assert_eq(task_world.replies[4]->tasks[0]->attempts, 0);
	cr_assert_eq(task_world.replies[4]->tasks[0]->merged, 0);
	cr_assert_str_empty(task_world.replies[4]->tasks[0]->worker_id);
	cr_assert_neq(task_world.replies[4]->tasks[0]->id, 5);
	cr_assert_eq(tw_due(5, UINT64_MAX, UINT32_MAX, "")->n_tasks, 1);
	cr_assert_eq(tw_list(6, UINT64_MAX, UINT32_MAX, UINT32_MAX, "")->n_tasks, 0);
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
		Hf__Task t = tw_vacuum_of(i);

		t.type = TEXT(i % 2 ? "odd" : "even");
		t.priority = (Hf__Task__Priority)rows[i].priority;
		t.not_before_ms = rows[i].not_before;
		tw_submit(1 + i, &t);
	}
	r = tw_due(20, 1000, 0, "");
	cr_assert_eq(r->n_tasks, 7);
	for (size_t i = 0; i < 7; i++)
		cr_assert_eq(r->tasks[i]->volume_id, order[i], "%zu", i);
	r = tw_due(21, 1000, 2, "");
	cr_assert_eq(r->n_tasks, 2);
	cr_assert(r->truncated);
	cr_assert_eq(r->tasks[1]->volume_id, 2);
	r = tw_due(22, 1000, 0, "odd");
	cr_assert_eq(r->n_tasks, 3);
	cr_assert_eq(r->tasks[0]->volume_id, 5);
	cr_assert_eq(tw_due(23, UINT64_MAX, 0, "")->n_tasks, 8);
	tw_update(24, task_world.replies[20]->tasks[0], S(ASSIGNED));
	cr_assert_eq(tw_due(25, 1000, 0, "")->tasks[0]->volume_id, 2, "a claimed one is gone");
}

Test(state_task, pages_by_id_and_state)
{
	uint64_t after = 0, seen = 0;
	const Hf__StoreReply *r;

	for (uint64_t i = 0; i < 50; i++) {
		Hf__Task t = tw_vacuum_of(i);

		tw_submit_send(1 + i, &t);
	}
	world_settle(&task_world);
	for (uint64_t i = 0; i < 50; i += 2)
		tw_update(60 + i, task_world.replies[1 + i]->tasks[0], S(CANCELLED));
	for (uint64_t n = 200;; n++) {
		r = tw_list(n, after, 7, 1u << S(CANCELLED), "vacuum");
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
	cr_assert_eq(tw_list(300, 0, 0, 0, "other")->n_tasks, 0);
	cr_assert_eq(tw_list(301, 0, 0, 0, "")->n_tasks, 50);
}

/* --- history ---------------------------------------------------------------------------------- */

/* A task that is finished at once. */
static uint64_t
finish_one(uint64_t sequence, uint64_t volume)
{
	Hf__Task t = tw_vacuum_of(volume);
	const Hf__StoreReply *r = tw_submit(sequence, &t);

	return (tw_update(sequence + 1, r->tasks[0], S(CANCELLED))->tasks[0]->id);
}

Test(state_task, too_many_finished_ones_go_the_oldest_first)
{
	uint64_t ids[30], n = 1;

	world_close(&task_world);
	task_world.tasks = (struct task_rules)TASK_RULES_DEFAULT;
	task_world.tasks.history_max = 10;
	world_open(&task_world);
	task_world.answers[0] = 0;
	world_session(&task_world, 1);
	for (uint64_t i = 0; i < 30; i++, n += 2) {
		ids[i] = finish_one(n, i);
		task_world.real_ms++;
	}
	world_settle(&task_world);
	cr_assert_eq(tw_list(n, 0, 0, 0, "")->n_tasks, 10);
	for (size_t i = 0; i < 10; i++)
		cr_assert_eq(task_world.replies[n]->tasks[i]->id, ids[20 + i]);
	tw_tables_agree();
}

Test(state_task, finished_ones_go_when_they_are_old)
{
	uint64_t next;

	finish_one(1, 1);
	task_world.real_ms += TASK_WORLD_DAY;
	finish_one(3, 2);
	world_settle(&task_world);
	next = state_next_ms(task_world.state);
	cr_assert_eq(next, task_world.now_ms + 6 * TASK_WORLD_DAY, "nothing wakes before");
	task_world.real_ms += 6 * TASK_WORLD_DAY;
	task_world.now_ms = next;
	state_turn(task_world.state, task_world.now_ms);
	world_settle(&task_world);
	cr_assert_eq(tw_list(5, 0, 0, 0, "")->n_tasks, 1);
	cr_assert_eq(task_world.replies[5]->tasks[0]->volume_id, 2);
	cr_assert_eq(state_next_ms(task_world.state), task_world.now_ms + TASK_WORLD_DAY);
	task_world.real_ms += TASK_WORLD_DAY;
	task_world.now_ms += TASK_WORLD_DAY;
	world_settle(&task_world);
	cr_assert_eq(tw_list(6, 0, 0, 0, "")->n_tasks, 0);
	cr_assert_eq(state_next_ms(task_world.state), UINT64_MAX, "idle is idle");
	tw_tables_agree();
}
