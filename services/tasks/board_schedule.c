/*
 * board_schedule - TaskScheduler: which task goes next, and to whom.
 *
 * Next is the highest priority; among equals the collection that has least in work (partitioning,
 * so that a large one does not keep out the others), then tasks of one type side by side (batches),
 * then the order in which they were submitted, which is the detectors' order.
 *
 * A worker is chosen by, in this order: 1. it can do it; 2. CurrentLoad < MaxConcurrent and its
 * ResourceLimits allow it; 3. the best performance history for the type; 4. the lowest load; 5. it
 * is closest to the drives. Histories within a quarter of each other count as equal, and one
 * without a history as the best, so that it gets one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/apply/task.h"
#include "services/tasks/board_internal.h"

#define MIB (UINT64_C(1) << 20)

/* --- what is in work -------------------------------------------------------------------------- */

/* Held by a worker, or about to be. */
static const Hf__Task *
item_held(const struct board_item *it)
{
	if (it->next != NULL && it->next->state == HF__TASK__STATE__ASSIGNED)
		return (it->next);
	return (task_is_claimed((int)it->task->state) ? it->task : NULL);
}

static void
held_add(struct board *b, const Hf__Task *held)
{
	const struct task_kind_row *row = task_kind_row(task_kind_of(held->type));
	struct worker *w = roster_find(&b->roster, held->worker_id);

	b->reserved_bytes += held->bytes;
	if (b->held_count < BOARD_HELD_MAX)
		b->held[b->held_count++] = held;
	if (w == NULL)
		return;
	w->current_load++;
	w->memory_mb += row->memory_mb;
	w->cpu_percent += row->cpu_percent;
}

void
schedule_loads(struct board *b)
{
	b->reserved_bytes = 0;
	b->held_count = 0;
	for (unsigned i = 0; i < b->roster.count; i++) {
		struct worker *w = &b->roster.workers[i];

		w->current_load = w->strays;
		w->handed = 0;
		w->memory_mb = w->cpu_percent = 0;
	}
	for (unsigned i = 0; i < b->count; i++) {
		const Hf__Task *held = item_held(b->items[i]);

		if (held != NULL)
			held_add(b, held);
	}
}

static unsigned
in_work(const struct board *b, const char *collection)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->held_count; i++)
		n += strcmp(b->held[i]->collection, collection) == 0;
	return (n);
}

/* Two tasks on one segment or drive never run side by side, whatever their types. */
static bool
volume_is_busy(const struct board *b, const struct board_item *it)
{
	enum task_on on = task_kind_row(it->kind)->on;

	for (unsigned i = 0; i < b->held_count; i++)
		if (b->held[i]->volume_id == it->task->volume_id &&
		    task_kind_row(task_kind_of(b->held[i]->type))->on == on)
			return (true);
	return (false);
}

static bool
volume_is_held(const struct board *b, const struct board_item *it)
{
	const struct volume_state *v = volume_states_find(&b->volumes, it->task->volume_id);

	return (task_kind_row(it->kind)->on == TASK_ON_SEGMENT && v != NULL && v->held);
}

/* --- choosing a worker ------------------------------------------------------------------------ */

/* Steps of a quarter. */
static unsigned
performance_grade(uint64_t score)
{
	unsigned grade = 0;

	if (score == 0)
		return (UINT32_MAX);		/* no history */
	for (; score > 4; score -= score / 5)
		grade++;
	return (grade);
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return (a > b ? a : b);
}

static bool
fits(uint64_t taken, uint64_t more, uint64_t limit)
{
	return (limit == 0 || taken + more <= limit);
}

/*
 * ResourceLimits. What its tasks take is what it said last, as measured, or what they are thought
 * to take, if that is more: some may only begin. CPU and network slow a worker down: who has no
 * task may have any.
 */
static const char *
resources_lack(const struct worker *w, const struct task_kind_row *row)
{
	uint64_t memory_mb = w->memory_mb, cpu_percent = w->cpu_percent;

	if (w->current_load > 0) {
		memory_mb = larger(memory_mb, w->use.memory_bytes / MIB);
		cpu_percent = larger(cpu_percent, w->use.cpu_percent);
	}
	if (!fits(memory_mb, row->memory_mb, w->limits.max_memory_mb))
		return ("it needs more than max_memory_mb of the workers allows");
	if (w->current_load == 0)
		return (NULL);
	if (!fits(cpu_percent, row->cpu_percent, w->limits.max_cpu_percent))
		return ("it needs more than max_cpu_percent of the workers allows");
	if (!fits(w->use.network_bytes_per_second / (1000000 / 8), 1, w->limits.max_network_mbps))
		return ("the tasks of the workers take all that max_network_mbps allows");
	return (NULL);
}

static const char *
worker_refuses(const struct board *b, const struct worker *w, const struct board_item *it)
{
	const struct task_kind_row *row = task_kind_row(it->kind);
	const char *lack;

	if (w->status != WORKER_ACTIVE)
		return ("no worker is active");
	if ((w->capabilities & 1u << it->kind) == 0)
		return ("no active worker can do this type");
	if (w->current_load >= w->max_concurrent)
		return ("all workers that can do it are busy");
	lack = resources_lack(w, row);
	if (lack != NULL)
		return (lack);
	if (!fits(0, it->task->bytes / MIB + (it->task->bytes % MIB != 0),
	    w->limits.max_disk_space_mb))
		return ("it needs more than max_disk_space_mb of the workers allows");
	if (w->handed >= b->settings.batch_max)
		return ("the workers that can do it were given tasks.batch_max tasks just now");
	return (NULL);
}

static uint32_t
task_slots(const Hf__Task *t)
{
	uint32_t slots = 0;

	for (const char *p = t->server; *p != '\0'; ) {
		char *end;
		unsigned long slot = strtoul(p, &end, 10);

		if (end == p)
			break;
		slots |= slot < 32 ? 1u << slot : 0;
		p = end + (*end == ' ');
	}
	return (slots);
}

/* Criteria 3 to 5. */
static bool
worker_is_better(const struct worker *a, const struct worker *b, const struct board_item *it)
{
	unsigned grade_a = performance_grade(worker_score(a, it->kind));
	unsigned grade_b = performance_grade(worker_score(b, it->kind));
	uint32_t slots = task_slots(it->task);

	if (grade_a != grade_b)
		return (grade_a > grade_b);
	if (a->current_load != b->current_load)
		return (a->current_load < b->current_load);
	return (__builtin_popcount(slots & a->preferred_servers) >
	    __builtin_popcount(slots & b->preferred_servers));
}

/* NULL: nobody, and *why says what came closest to somebody. */
static struct worker *
worker_choose(struct board *b, const struct board_item *it, const char **why)
{
	struct worker *best = NULL;
	unsigned depth = 0;

	*why = "no worker is registered";
	for (unsigned i = 0; i < b->roster.count; i++) {
		struct worker *w = &b->roster.workers[i];
		const char *refusal = worker_refuses(b, w, it);
		unsigned reached = w->status != WORKER_ACTIVE ? 1 :
		    (w->capabilities & 1u << it->kind) == 0 ? 2 : 3;

		if (refusal == NULL) {
			if (best == NULL || worker_is_better(w, best, it))
				best = w;
		} else if (reached > depth) {
			depth = reached;
			*why = refusal;
		}
	}
	return (best);
}

/* --- room that the store promises ------------------------------------------------------------- */

/* A conversion that has no room, or had none and asks again: its answer is one for others too. */
static bool
item_lacks(const struct board *b, const struct board_item *it, uint64_t now_ms)
{
	if (it->kind != TASK_KIND_ERASURE_CODING || it->no_room[0] == '\0')
		return (false);
	if (it->next != NULL)
		return (it->next->state == HF__TASK__STATE__ASSIGNED);
	return (it->room_round == b->room_round && it->room_ms > now_ms);
}

static void
lacking_note(struct board *b, const struct board_item *it, uint64_t now_ms)
{
	if (b->lacking_count < BOARD_LACKING_MAX && item_lacks(b, it, now_ms))
		b->lacking[b->lacking_count++] = it;
}

/* What is no smaller, on the same drives, finds none either: each of many that wait would ask. */
static bool
others_lack(struct board *b, const struct board_item *it)
{
	for (unsigned i = 0; i < b->lacking_count && it->kind == TASK_KIND_ERASURE_CODING; i++) {
		const struct board_item *other = b->lacking[i];

		if (other->task->bytes > it->task->bytes ||
		    strcmp(other->task->collection, it->task->collection) != 0)
			continue;
		if (other->next == NULL)
			board_due(b, other->room_ms);
		return (true);
	}
	return (false);
}

/* --- the order -------------------------------------------------------------------------------- */

struct waiting {
	struct board_item	*item;
	unsigned		 collection_load;
};

static int
waiting_compare(const void *left, const void *right)
{
	const struct waiting *a = left, *b = right;
	const Hf__Task *x = a->item->task, *y = b->item->task;
	int collections = strcmp(x->collection, y->collection);

	if (x->priority != y->priority)
		return (x->priority > y->priority ? -1 : 1);
	if (a->collection_load != b->collection_load)
		return (a->collection_load < b->collection_load ? -1 : 1);
	if (collections != 0)
		return (collections);
	if (a->item->kind != b->item->kind)
		return (a->item->kind < b->item->kind ? -1 : 1);
	return (x->id < y->id ? -1 : x->id > y->id);
}

/* Those that could run now; of the others it is noted why not. */
static unsigned
waiting_collect(struct board *b, struct waiting *out, uint64_t now_ms)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->count; i++) {
		struct board_item *it = b->items[i];

		lacking_note(b, it, now_ms);
		if (it->next != NULL || it->cancel || !task_is_waiting((int)it->task->state))
			continue;
		if (it->task->not_before_ms > now_ms || it->retry_ms > now_ms) {
			it->waits = it->task->state == HF__TASK__STATE__FAILED ?
			    "it failed, and waits for its next try" : "it is not due yet";
			board_due(b, it->task->not_before_ms > it->retry_ms ?
			    it->task->not_before_ms : it->retry_ms);
		} else if (it->no_room[0] != '\0' && it->room_round == b->room_round &&
		    it->room_ms > now_ms) {
			it->waits = it->no_room;
			board_due(b, it->room_ms);
		} else {
			out[n++] = (struct waiting){ it, in_work(b, it->task->collection) };
		}
	}
	return (n);
}

/* --- assigning -------------------------------------------------------------------------------- */

/* Room on the drives, reserved before it starts. Vacuum may use the reserve: it makes room. */
static bool
space_lacks(const struct board *b, const struct board_item *it)
{
	if (b->volumes.layout == NULL || it->kind == TASK_KIND_VACUUM || it->task->bytes == 0)
		return (false);
	return (b->volumes.layout->full ||
	    it->task->bytes > volume_states_free(&b->volumes, b->reserved_bytes));
}

static const char *
board_refuses(struct board *b, const struct board_item *it)
{
	if (b->held_count >= b->settings.concurrent_max)
		return ("tasks.concurrent_max tasks are in work");
	if (in_work(b, it->task->collection) >= b->settings.per_collection_max)
		return ("tasks.per_collection_max tasks of its collection are in work");
	if (volume_is_held(b, it))
		return ("the segment is held by an operator");
	if (volume_is_busy(b, it))
		return ("another task works on the same segment or drive");
	if (space_lacks(b, it))
		return ("the drives have no room for what it would write");
	if (b->volumes.layout != NULL && b->volumes.layout->read_only)
		return ("the store is read-only");
	if (it->kind == TASK_KIND_ERASURE_CODING && b->volumes.layout != NULL &&
	    !volume_states_whole(&b->volumes,
	    volume_states_find(&b->volumes, it->task->volume_id)))
		return ("a drive of its set is not online, and conversion needs all");
	if (others_lack(b, it))
		return ("another conversion of its set waits for room, and is no larger");
	return (NULL);
}

static void
assign(struct board *b, struct board_item *it, struct worker *w)
{
	const struct volume_state *v = volume_states_find(&b->volumes, it->task->volume_id);
	Hf__Task *next = item_next(it, HF__TASK__STATE__ASSIGNED);

	task_set_text(&next->worker_id, w->id);
	task_set_text(&next->change_type, task_kind_row(it->kind)->change);
	if (v != NULL && task_kind_row(it->kind)->on == TASK_ON_SEGMENT) {
		next->old_capacity = v->base_capacity;
		next->new_capacity = volume_capacity_after(&b->volumes, v, it->kind);
	}
	it->waits = NULL;
	w->handed++;
	item_move(b, it, next);
}

static void
schedule_one(struct board *b, struct board_item *it, uint64_t now_ms)
{
	struct worker *w;

	it->waits = board_refuses(b, it);
	if (it->waits != NULL)
		return;
	w = worker_choose(b, it, &it->waits);
	if (w == NULL)
		return;
	assign(b, it, w);
	held_add(b, it->next);
	lacking_note(b, it, now_ms);
}

void
schedule_all(struct board *b, uint64_t now_ms)
{
	struct waiting *waiting = calloc(b->count + 1, sizeof(*waiting));
	unsigned count;

	assert(waiting != NULL);
	b->lacking_count = 0;
	count = waiting_collect(b, waiting, now_ms);
	if (count > 1)
		qsort(waiting, count, sizeof(*waiting), waiting_compare);
	for (unsigned i = 0; i < count; i++)
		schedule_one(b, waiting[i].item, now_ms);
	free(waiting);
}
