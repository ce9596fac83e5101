/*
 * task_world - see task_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/task_world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"

struct world task_world;

void
task_world_begin(void)
{
	world_make_simulated(&task_world, 1);
	task_world.real_ms = 100 * TASK_WORLD_DAY;
	world_open(&task_world);
	world_session(&task_world, 1);
}

void
task_world_end(void)
{
	world_close(&task_world);
	world_remove(&task_world);
}

Hf__Task
tw_vacuum_of(uint64_t volume)
{
	Hf__Task t = HF__TASK__INIT;

	t.type = TEXT("vacuum");
	t.source = TEXT("detector");
	t.volume_id = volume;
	t.priority = P(NORMAL);
	t.bytes = 10;
	return (t);
}

void
tw_submit_send(uint64_t sequence, Hf__Task *t)
{
	WORLD_OP(task_submit, TaskSubmit, TASK_SUBMIT);

	op.task = t;
	world_send(&task_world, sequence, &q);
}

const Hf__StoreReply *
tw_submit(uint64_t sequence, Hf__Task *t)
{
	tw_submit_send(sequence, t);
	world_settle(&task_world);
	cr_assert_eq(task_world.answers[sequence], 1);
	return (task_world.replies[sequence]);
}

void
tw_update_send(uint64_t sequence, const Hf__Task *was, Hf__Task *asked)
{
	WORLD_OP(task_update, TaskUpdate, TASK_UPDATE);

	op.id = was->id;
	op.from_state = (uint32_t)was->state;
	op.from_lease = was->lease;
	op.task = asked;
	world_send(&task_world, sequence, &q);
}

const Hf__StoreReply *
tw_update(uint64_t sequence, const Hf__Task *was, int state)
{
	Hf__Task asked = *was;

	asked.state = (Hf__Task__State)state;
	asked.worker_id = TEXT("w");
	if (state == S(FAILED))
		asked.error = TEXT("it failed");
	tw_update_send(sequence, was, &asked);
	world_settle(&task_world);
	cr_assert_eq(task_world.answers[sequence], 1);
	return (task_world.replies[sequence]);
}

const Hf__StoreReply *
tw_get(uint64_t sequence, uint64_t id)
{
	WORLD_OP(task_get, TaskGet, TASK_GET);

	op.id = id;
	return (world_ask(&task_world, sequence, &q));
}

const Hf__StoreReply *
tw_list(uint64_t sequence, uint64_t after, uint32_t max, uint32_t states, const char *type)
{
	WORLD_OP(task_list, TaskList, TASK_LIST);

	op.after = after;
	op.max = max;
	op.states = states;
	op.type = TEXT(type);
	return (world_ask(&task_world, sequence, &q));
}

const Hf__StoreReply *
tw_due(uint64_t sequence, uint64_t ms, uint32_t max, const char *type)
{
	WORLD_OP(task_list, TaskList, TASK_LIST);

	op.due_ms = ms;
	op.max = max;
	op.type = TEXT(type);
	return (world_ask(&task_world, sequence, &q));
}

struct state_stats
tw_stats(void)
{
	struct state_stats s;

	state_stats(task_world.state, &s);
	return (s);
}

void
tw_restart(bool rebuild)
{
	world_close(&task_world);
	if (rebuild)
		world_index_remove(&task_world);
	world_open(&task_world);
	task_world.answers[0] = 0;
	world_session(&task_world, 1);
}

void
tw_tables_agree(void)
{
	struct index_reader r = { .index = task_world.index };
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
	cr_assert_eq(tw_stats().orphan_bytes, orphan);
	rows_release(&tasks);
	rows_release(&places);
	rows_release(&prints);
	buf_release(&key);
	buf_release(&value);
}
