/*
 * board_worker - what workers say, and what they are told.
 *
 * Whatever a worker says, it also names the tasks that it holds. From that and from the tasks as
 * the store has them follows what it is told: which of them it has lost, and whether there are more
 * for it. So a lost message is made good by the next one, and a repeat changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/apply/task.h"
#include "services/tasks/board_internal.h"

/* The item, if this worker holds it with this lease. */
static struct board_item *
item_of(struct board *b, const struct worker *w, const Hf__WorkerTask *t)
{
	struct board_item *it = board_find(b, t->id);

	if (it == NULL || it->task->lease != t->lease ||
	    strcmp(it->task->worker_id, w->id) != 0 || !task_is_claimed((int)it->task->state))
		return (NULL);		/* D2 */
	return (it);
}

static bool
names(Hf__WorkerTask *const *tasks, size_t count, const struct board_item *it)
{
	for (size_t i = 0; i < count; i++)
		if (tasks[i]->id == it->task->id && tasks[i]->lease == it->task->lease)
			return (true);
	return (false);
}

/* What it holds goes on; progress counts from when bytes were done. */
static void
take_progress(struct board_item *it, const Hf__WorkerTask *t, uint64_t now_ms)
{
	it->confirmed = true;
	it->update_ms = now_ms;
	if (t->estimate_ms > 0) {
		it->begun = true;
		it->task->estimate_ms = t->estimate_ms;
	}
	it->total_bytes = t->total_bytes;
	if (t->done_bytes > it->done_bytes) {
		it->done_bytes = t->done_bytes;
		it->progress_ms = now_ms;
	}
}

static void
take_tasks(struct board *b, struct worker *w, Hf__WorkerTask *const *tasks, size_t count,
    uint64_t now_ms)
{
	w->strays = 0;
	for (size_t i = 0; i < count; i++) {
		struct board_item *it = item_of(b, w, tasks[i]);

		if (it == NULL)
			w->strays++;
		else if (it->task->state != HF__TASK__STATE__STUCK)
			take_progress(it, tasks[i], now_ms);
	}
	for (unsigned i = 0; i < b->count; i++) {
		struct board_item *it = b->items[i];

		if (it->task->state == HF__TASK__STATE__STUCK &&
		    strcmp(it->task->worker_id, w->id) == 0 && !names(tasks, count, it))
			it->released = true;
	}
}

/* --- orders ----------------------------------------------------------------------------------- */

/* Whether the worker is to go on with what it holds. */
static bool
goes_on(const struct board_item *it)
{
	if (it == NULL || it->cancel || it->task->state == HF__TASK__STATE__STUCK)
		return (false);
	return (it->next == NULL || it->next->state == HF__TASK__STATE__IN_PROGRESS);
}

static void
order_cancels(struct board *b, const struct worker *w, Hf__WorkerTask *const *tasks, size_t count,
    Hf__WorkerOrders *out)
{
	out->cancel = calloc(count + 1, sizeof(*out->cancel));
	assert(out->cancel != NULL);
	for (size_t i = 0; i < count; i++) {
		const struct board_item *it = item_of(b, w, tasks[i]);
		Hf__WorkerTask *lost;

		if (goes_on(it) || (it != NULL && it->outcome.set))
			continue;
		lost = malloc(sizeof(*lost));
		assert(lost != NULL);
		hf__worker_task__init(lost);
		lost->id = tasks[i]->id;
		lost->lease = tasks[i]->lease;
		out->cancel[out->n_cancel++] = lost;
	}
}

/* Assigned to it, durably, and not in its hands. */
static bool
waits_for(const struct board_item *it, const struct worker *w, Hf__WorkerTask *const *tasks,
    size_t count)
{
	return (it->task->state == HF__TASK__STATE__ASSIGNED && it->next == NULL && !it->cancel &&
	    !it->outcome.set && strcmp(it->task->worker_id, w->id) == 0 &&
	    !names(tasks, count, it));
}

static void
orders_fill(struct board *b, const struct worker *w, Hf__WorkerTask *const *tasks, size_t count,
    unsigned slots, Hf__WorkerOrders *out)
{
	out->heartbeat_ms = b->settings.heartbeat_ms;
	order_cancels(b, w, tasks, count, out);
	if (slots > 0)
		out->tasks = calloc(slots, sizeof(*out->tasks));
	assert(slots == 0 || out->tasks != NULL);
	for (unsigned i = 0; i < b->count; i++) {
		if (!waits_for(b->items[i], w, tasks, count) || item_is_late(b, b->items[i]))
			continue;
		if (out->n_tasks < slots) {
			out->tasks[out->n_tasks++] = task_copy(b->items[i]->task);
			b->items[i]->handed = true;
		} else {
			out->claim = true;
		}
	}
}

void
board_orders_release(struct board *b, Hf__WorkerOrders *orders)
{
	(void)b;
	for (size_t i = 0; i < orders->n_cancel; i++)
		free(orders->cancel[i]);
	free(orders->cancel);
	for (size_t i = 0; i < orders->n_tasks; i++)
		task_free(&orders->tasks[i]);
	free(orders->tasks);
	hf__worker_orders__init(orders);
}

/* --- what workers say ------------------------------------------------------------------------- */

/* Another process under its name: what the old one held is lost. */
static void
worker_replaced(struct board *b, const struct worker *w, const Hf__WorkerRegister *q)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct board_item *it = b->items[i];

		if (!task_is_claimed((int)it->task->state) ||
		    strcmp(it->task->worker_id, w->id) != 0 || names(q->tasks, q->n_tasks, it))
			continue;
		it->released = true;
		if (it->task->state == HF__TASK__STATE__IN_PROGRESS || it->confirmed)
			it->orphan = true;
	}
}

int
board_register(struct board *b, const Hf__WorkerRegister *q, uint64_t now_ms,
    Hf__WorkerOrders *out, struct err *e)
{
	struct worker *w;
	bool replaced;
	int rc = roster_register(&b->roster, q, now_ms, &w, &replaced, e);

	hf__worker_orders__init(out);
	if (rc < 0)
		return (rc);
	board_note(b, "worker %s registers: %u at a time, %zu tasks in its hands", w->id,
	    w->max_concurrent, q->n_tasks);
	worker_replaced(b, w, q);
	take_tasks(b, w, q->tasks, q->n_tasks, now_ms);
	orders_fill(b, w, q->tasks, q->n_tasks, 0, out);
	return (0);
}

static int
speaker(struct board *b, const char *id, const ProtobufCBinaryData *instance, size_t tasks,
    const Hf__ResourceUse *use, uint64_t now_ms, struct worker **out, struct err *e)
{
	*out = NULL;
	if (tasks > WORKER_TASKS_MAX)
		return (err_set(e, ERR_INVALID, "worker '%.64s' names %zu tasks, more than %d", id,
		    tasks, WORKER_TASKS_MAX));
	*out = roster_match(&b->roster, id, instance);
	if (*out != NULL)
		worker_seen(*out, use, now_ms);
	return (0);
}

int
board_heartbeat(struct board *b, const Hf__WorkerHeartbeat *q, uint64_t now_ms,
    Hf__WorkerOrders *out, struct err *e)
{
	struct worker *w;
	int rc = speaker(b, q->id, &q->instance, q->n_tasks, q->use, now_ms, &w, e);

	hf__worker_orders__init(out);
	if (rc < 0)
		return (rc);
	out->unknown = w == NULL;
	if (w != NULL) {
		take_tasks(b, w, q->tasks, q->n_tasks, now_ms);
		orders_fill(b, w, q->tasks, q->n_tasks, 0, out);
	}
	return (0);
}

int
board_claim(struct board *b, const Hf__WorkerClaim *q, uint64_t now_ms, Hf__WorkerOrders *out,
    struct err *e)
{
	struct worker *w;
	int rc = speaker(b, q->id, &q->instance, q->n_tasks, q->use, now_ms, &w, e);

	hf__worker_orders__init(out);
	if (rc < 0)
		return (rc);
	if (q->slots > WORKER_TASKS_MAX)
		return (err_set(e, ERR_INVALID, "worker %.64s claims %u tasks, more than %d", q->id,
		    q->slots, WORKER_TASKS_MAX));
	out->unknown = w == NULL;
	if (w != NULL) {
		take_tasks(b, w, q->tasks, q->n_tasks, now_ms);
		orders_fill(b, w, q->tasks, q->n_tasks, q->slots, out);
	}
	return (0);
}

static unsigned
waiters(const struct board *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->count; i++)
		n += b->items[i]->waiter != NULL;
	return (n);
}

int
board_done(struct board *b, const Hf__WorkerDone *q, void *waiter, uint64_t now_ms, struct err *e)
{
	struct board_item *it;
	struct worker *w;

	if (q->task == NULL || q->code > 0)
		return (err_set(e, ERR_INVALID, "worker '%.64s' names no task, or a code above 0",
		    q->id));
	w = roster_match(&b->roster, q->id, &q->instance);
	if (w == NULL)
		return (err_set(e, ERR_NOT_FOUND, "worker '%.64s' is not registered", q->id));
	worker_seen(w, NULL, now_ms);
	it = item_of(b, w, q->task);
	if (it == NULL)
		return (err_set(e, ERR_STALE, "task %llu is not %s's with lease %llu",
		    (unsigned long long)q->task->id, w->id, (unsigned long long)q->task->lease));
	item_answer(b, it, ERR_BUSY);	/* a repeat takes the place of the first */
	if (waiters(b) < BOARD_WAITERS_MAX)
		it->waiter = waiter;
	else
		b->ops->answer(b->context, waiter, ERR_BUSY);	/* it asks again */
	it->begun = it->confirmed = true;
	it->update_ms = now_ms;
	it->outcome = (struct board_outcome){ .set = true, .code = q->code,
	    .bytes = q->task->done_bytes, .run_ms = q->task->run_ms };
	snprintf(it->outcome.error, sizeof(it->outcome.error), "%s", q->error[0] != '\0' ?
	    q->error : err_phrase(q->code));
	return (0);
}

void
board_knock_failed(struct board *b, const char *id, const uint8_t *instance, const char *why,
    uint64_t now_ms)
{
	ProtobufCBinaryData bytes = { WORKER_INSTANCE_BYTES, (uint8_t *)(uintptr_t)instance };
	struct worker *w = roster_match(&b->roster, id, &bytes);

	if (w == NULL || w->status != WORKER_ACTIVE)
		return;
	worker_lost(w, why, now_ms, &b->settings);
	b->metrics.lost_workers++;
	board_note(b, "worker %s is inactive: %s", w->id, why);
}
