/*
 * board_item - the tasks as the store has them: by id, with what they claim (a fingerprint, a
 * segment).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/apply/task.h"
#include "services/tasks/board_internal.h"

void
item_free(struct board_item *it)
{
	task_free(&it->task);
	task_free(&it->next);
	free(it);
}

static unsigned
item_position(const struct board *b, uint64_t id)
{
	unsigned low = 0, high = b->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (b->items[middle]->task->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return (low);
}

struct board_item *
board_find(const struct board *b, uint64_t id)
{
	unsigned i = item_position(b, id);

	return (i < b->count && b->items[i]->task->id == id ? b->items[i] : NULL);
}

/* What takes part here: what is not over, and what the store's figures do not show yet. */
bool
task_matters(const Hf__Task *t)
{
	return (task_is_open((int)t->state) ||
	    (t->state == HF__TASK__STATE__COMPLETED && !t->reported && t->change_type[0] != '\0'));
}

static void
item_insert(struct board *b, struct board_item *it)
{
	unsigned i = item_position(b, it->task->id);

	if (b->count == b->capacity) {
		b->capacity = b->capacity == 0 ? 64 : 2 * b->capacity;
		b->items = realloc(b->items, b->capacity * sizeof(*b->items));
		assert(b->items != NULL);
	}
	memmove(&b->items[i + 1], &b->items[i], (b->count - i) * sizeof(*b->items));
	b->items[i] = it;
	b->count++;
}

/* What the task works on knows of it. */
void
item_begin_volume(struct board *b, const struct board_item *it)
{
	struct volume_state *v = NULL;

	if (task_kind_row(it->kind)->on == TASK_ON_SEGMENT)
		v = volume_states_find(&b->volumes, it->task->volume_id);
	if (v == NULL)
		return;
	if (task_is_open((int)it->task->state)) {
		if (v->task == 0 && it->task->state != HF__TASK__STATE__DEAD_LETTER) {
			v->task = it->task->id;
			v->task_kind = it->kind;
		}
	} else if (v->change.task == 0) {
		v->change = (struct volume_change){ .task = it->task->id, .kind = it->kind,
		    .old_capacity = it->task->old_capacity,
		    .new_capacity = it->task->new_capacity,
		    .completed_ms = it->task->finished_ms };
	}
}

static void
item_begin(struct board *b, const struct board_item *it)
{
	if (task_is_open((int)it->task->state))
		duplicates_begin(&b->duplicates, it->task->volume_id, it->kind, it->task->id);
	item_begin_volume(b, it);
}

static void
item_end(struct board *b, const struct board_item *it)
{
	struct volume_state *v = volume_states_find(&b->volumes, it->task->volume_id);
	uint64_t active;

	if (duplicates_active(&b->duplicates, it->task->volume_id, it->kind, &active) &&
	    active == it->task->id)
		duplicates_end(&b->duplicates, it->task->volume_id, it->kind);
	if (v != NULL && v->task == it->task->id)
		v->task = 0;
	if (v != NULL && v->change.task == it->task->id)
		v->change.task = 0;
}

void
item_remove(struct board *b, struct board_item *it)
{
	unsigned i = item_position(b, it->task->id);

	assert(i < b->count && b->items[i] == it);
	item_answer(b, it, 0);
	item_end(b, it);
	b->count--;
	memmove(&b->items[i], &b->items[i + 1], (b->count - i) * sizeof(*b->items));
	item_free(it);
}

/* The item has another task now: a transition, or what the store says of it. */
void
item_take(struct board *b, struct board_item *it, const Hf__Task *task, uint64_t now_ms)
{
	bool anew = it->task->lease != task->lease || (task_is_claimed((int)it->task->state) &&
	    !task_is_claimed((int)task->state));
	Hf__Task *copy = task_copy(task);

	item_end(b, it);
	task_free(&it->task);
	it->task = copy;
	it->round = b->round;
	if (anew) {
		it->handed = it->begun = it->confirmed = it->released = it->orphan = false;
		it->outcome.set = false;
		it->done_bytes = it->total_bytes = 0;
		it->assigned_ms = it->update_ms = it->progress_ms = now_ms;
		item_answer(b, it, ERR_STALE);
	}
	item_begin(b, it);
}

static struct board_item *
item_new(struct board *b, const Hf__Task *task, uint64_t now_ms)
{
	enum task_kind kind = task_kind_of(task->type);
	struct board_item *it;

	if (kind == TASK_KIND_COUNT || b->count == BOARD_ITEMS_MAX)
		return (NULL);		/* another service's work; or the next load finds it */
	it = calloc(1, sizeof(*it));
	assert(it != NULL);
	it->task = task_copy(task);
	it->kind = kind;
	it->loaded_ms = it->assigned_ms = it->update_ms = it->progress_ms = now_ms;
	it->begun = task->state == HF__TASK__STATE__IN_PROGRESS;
	it->handed = task_is_claimed((int)task->state);
	it->waits = "not looked at yet";
	item_insert(b, it);
	item_begin(b, it);
	return (it);
}

void
board_task(struct board *b, uint64_t id, const Hf__Task *task, uint64_t now_ms)
{
	struct board_item *it = board_find(b, id);

	if (task != NULL && task->id != id)
		return;
	if (it == NULL) {
		if (task != NULL && task_matters(task) && (it = item_new(b, task, now_ms)) != NULL)
			it->round = b->round;
		return;
	}
	it->round = b->round;
	if (it->next != NULL)
		return;			/* D1: the answer to that will tell */
	if (task == NULL || !task_matters(task))
		item_remove(b, it);
	else
		item_take(b, it, task, now_ms);
}

Hf__Task *
item_next(const struct board_item *it, unsigned state)
{
	Hf__Task *next = task_copy(it->task);

	next->state = (Hf__Task__State)state;
	return (next);
}

void
item_move(struct board *b, struct board_item *it, Hf__Task *next)
{
	assert(it->next == NULL);	/* D1 */
	it->next = next;
	b->ops->update(b->context, it->task, next);
}

void
item_answer(struct board *b, struct board_item *it, int code)
{
	void *waiter = it->waiter;

	it->waiter = NULL;
	if (waiter != NULL)
		b->ops->answer(b->context, waiter, code);
}

struct worker *
item_worker(struct board *b, const struct board_item *it)
{
	return (roster_find(&b->roster, it->task->worker_id));
}

void
item_tell_worker(struct board *b, const struct board_item *it)
{
	struct worker *w = item_worker(b, it);

	if (w != NULL && w->status == WORKER_ACTIVE)
		w->knock = true;
}

bool
item_is_late(const struct board *b, const struct board_item *it)
{
	if (it->handed || it->begun)
		return (false);
	for (unsigned i = 0; i < b->count; i++) {
		const struct board_item *other = b->items[i];

		if (other != it && other->task->volume_id == it->task->volume_id &&
		    task_kind_row(other->kind)->on == task_kind_row(it->kind)->on &&
		    task_is_claimed((int)other->task->state) &&
		    (other->handed || other->begun || other->task->id < it->task->id))
			return (true);
	}
	return (false);
}
