/*
 * board - the tasks as the store has them, and asking it for the next state of each.
 *
 * Deadlines, lost workers and outcomes are board_monitor.c's, assignment board_schedule.c's, what
 * workers say board_worker.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/apply/task.h"
#include "services/tasks/board_internal.h"

#define KNOCKS_IDLE 5	/* at one that fell silent, while nothing is to be done */

void
board_init(struct board *b, const struct task_settings *settings, const struct board_ops *ops,
    void *context)
{
	memset(b, 0, sizeof(*b));
	b->settings = *settings;
	b->ops = ops;
	b->context = context;
	b->scan_ms = NEVER;
	b->next_ms = NEVER;
}

void
board_release(struct board *b)
{
	for (unsigned i = 0; i < b->count; i++)
		item_free(b->items[i]);
	free(b->items);
	duplicates_release(&b->duplicates);
	volume_states_release(&b->volumes);
	detection_release(&b->detection);
	memset(b, 0, sizeof(*b));
}

void
board_set_settings(struct board *b, const struct task_settings *settings)
{
	b->settings = *settings;
}

void
board_note(struct board *b, const char *format, ...)
{
	char text[400];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	b->ops->note(b->context, text);
}

void
board_due(struct board *b, uint64_t ms)
{
	if (ms < b->next_ms)
		b->next_ms = ms;
}

/* --- the store -------------------------------------------------------------------------------- */

void
board_set_connected(struct board *b, bool connected)
{
	b->connected = connected;
}

void
board_load_begin(struct board *b)
{
	b->round++;
	b->foreign_loading = 0;
}

void
board_load_task(struct board *b, const Hf__Task *task, uint64_t now_ms)
{
	b->foreign_loading += task->state == HF__TASK__STATE__DEAD_LETTER &&
	    task_kind_of(task->type) == TASK_KIND_COUNT;
	board_task(b, task->id, task, now_ms);
}

/* duplicateChecker: of two with one fingerprint the later one gives way. */
static void
load_duplicates(struct board *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct board_item *it = b->items[i];
		Hf__Task *next;
		uint64_t other;

		if (it->next != NULL || !task_is_open((int)it->task->state) ||
		    !duplicates_active(&b->duplicates, it->task->volume_id, it->kind, &other) ||
		    other == it->task->id || other == 0)
			continue;
		next = item_next(it, HF__TASK__STATE__DUPLICATE);
		task_set_text(&next->error, "the same task is there already");
		b->metrics.duplicates++;
		item_move(b, it, next);
	}
}

void
board_load_finish(struct board *b, uint64_t now_ms)
{
	for (unsigned i = b->count; i-- > 0; )
		if (b->items[i]->round != b->round && b->items[i]->next == NULL)
			item_remove(b, b->items[i]);
	if (!b->loaded)
		b->loaded_ms = now_ms;
	b->loaded = true;
	b->foreign_dead = b->foreign_loading;
	load_duplicates(b);
	board_hint(b, true, now_ms);
}

static void
board_hint_at(struct board *b, uint64_t at_ms)
{
	if (at_ms < b->scan_ms)
		b->scan_ms = at_ms;
	board_due(b, b->scan_ms);
}

void
board_hint(struct board *b, bool soon, uint64_t now_ms)
{
	board_hint_at(b, now_ms + (soon ? 0 : b->settings.scan_interval_ms));
}

bool
board_scan_due(const struct board *b, uint64_t now_ms)
{
	return (b->connected && b->loaded && b->scan_ms <= now_ms);
}

static void
detector_view_of(const struct board *b, uint64_t now_ms, struct detector_view *view)
{
	*view = (struct detector_view){ .volumes = &b->volumes, .duplicates = &b->duplicates,
	    .settings = &b->settings, .now_ms = now_ms, .bytes_per_ms = b->bytes_per_ms };
}

static bool
submit(struct board *b, const struct candidate *c, const char *source)
{
	Hf__Task *task;

	if (!duplicates_begin(&b->duplicates, c->volume_id, c->kind, 0))
		return (false);
	task = candidate_task(c, source);
	b->submitting++;
	b->ops->submit(b->context, task);
	task_free(&task);
	return (true);
}

/* Volume state reconciliation: what was done must be shown by what the store says now. */
static void
reconcile(struct board *b)
{
	struct volume_states *v = &b->volumes;

	v->in_sync = true;
	v->divergence[0] = '\0';
	for (unsigned i = 0; i < b->count; i++)
		item_begin_volume(b, b->items[i]);
	for (unsigned i = 0; i < v->count; i++) {
		struct volume_state *s = &v->rows[i];

		if (s->change.task == 0 || volume_change_shown(v, s->id, s->change.kind))
			continue;
		s->change.misses++;
		v->in_sync = false;
		snprintf(v->divergence, sizeof(v->divergence), "segment %016llx does not show %s "
		    "of task %llu", (unsigned long long)s->id,
		    task_kind_row(s->change.kind)->change, (unsigned long long)s->change.task);
	}
}

static unsigned
room(const struct board *b)
{
	unsigned used = board_count(b, TASK_STATES_OPEN) + b->submitting;

	return (used < b->settings.queue_max ? b->settings.queue_max - used : 0);
}

/* Once: a log without room for another segment keeps this one. */
static void
seal(struct board *b)
{
	struct volume_state *s = volume_states_find(&b->volumes, b->detection.seal);

	if (s == NULL || s->sealing || b->paused)
		return;
	s->sealing = true;
	board_note(b, "segment %016llx is full enough and quiet: it is sealed",
	    (unsigned long long)s->id);
	b->ops->seal(b->context, s->id);
}

void
board_scanned(struct board *b, uint64_t now_ms)
{
	struct detector_view view;

	detection_release(&b->detection);
	volume_states_watch(&b->volumes, now_ms);
	reconcile(b);
	detector_view_of(b, now_ms, &view);
	detect(&view, room(b), &b->detection);
	b->scan_ms = b->detection.next_ms;
	b->room_round++;
	if (!b->volumes.in_sync)
		board_hint(b, false, now_ms);
	for (unsigned i = 0; i < b->detection.count && !b->paused; i++)
		submit(b, &b->detection.candidates[i], "detector");
	seal(b);
}

/* U3 */
static void
note_ended(struct board *b, const Hf__Task *task, uint64_t ended_ms)
{
	const struct duplicate_recent recent = { .volume_id = task->volume_id,
	    .kind = task_kind_of(task->type), .ended_ms = ended_ms,
	    .held_ms = task_answers_until_ms(&b->settings.rules, task, task),
	    .since = strtoull(task_parameter(task, TASK_PARAMETER_SINCE), NULL, 10),
	    .cancelled = task->state == HF__TASK__STATE__CANCELLED };

	duplicates_note_recent(&b->duplicates, &recent);
}

/* A task that is over answers for what was submitted: it is looked again when it does no more. */
static void
answered(struct board *b, const Hf__Task *sent, const Hf__Task *task, uint64_t now_ms)
{
	uint64_t until_ms = task_answers_until_ms(&b->settings.rules, task, sent);

	board_note(b, "%s of %llu was %s a moment ago, as task %llu: it is not done again now",
	    sent->type, (unsigned long long)sent->volume_id, task_state_name((int)task->state),
	    (unsigned long long)task->id);
	note_ended(b, task, task->finished_ms);
	board_hint_at(b, until_ms > now_ms ? until_ms : now_ms + SCAN_SOON_MS);
}

void
board_submitted(struct board *b, const Hf__Task *sent, int code, unsigned admission,
    const Hf__Task *task, uint64_t now_ms)
{
	enum task_kind kind = task_kind_of(sent->type);
	uint64_t active;

	assert(b->submitting > 0 && kind != TASK_KIND_COUNT);
	b->submitting--;
	if (duplicates_active(&b->duplicates, sent->volume_id, kind, &active) && active == 0)
		duplicates_end(&b->duplicates, sent->volume_id, kind);
	if (code == 0 && task != NULL && admission != HF__ADMISSION__TASKS_FULL) {
		board_task(b, task->id, task, now_ms);
		if (!task_is_open((int)task->state))
			answered(b, sent, task, now_ms);
		return;
	}
	board_note(b, "%s of %llu was not taken: %s", sent->type,
	    (unsigned long long)sent->volume_id, code == 0 ? "the queue is full" :
	    err_phrase(code));
	board_hint(b, false, now_ms);
}

/* --- transitions ------------------------------------------------------------------------------ */

static void
metrics_end(struct board *b, const struct board_item *it, uint64_t now_ms)
{
	struct board_metrics *m = &b->metrics;
	uint64_t *rate = &b->bytes_per_ms[it->kind];

	m->ends_ms[m->end_count++ % BOARD_RATE_SLOTS] = now_ms;
	if (it->task->state != HF__TASK__STATE__COMPLETED)
		return;
	m->completed++;
	m->run_ms += it->outcome.run_ms;
	if (it->outcome.run_ms > 0 && it->outcome.bytes / it->outcome.run_ms > 0)
		*rate = *rate == 0 ? it->outcome.bytes / it->outcome.run_ms :
		    (3 * *rate + it->outcome.bytes / it->outcome.run_ms) / 4;
}

/* A transition is durable: task is what the store has now. */
static void
item_moved(struct board *b, struct board_item *it, const Hf__Task *task, uint64_t now_ms)
{
	bool was_open = task_is_open((int)it->task->state);

	if (task_is_claimed((int)it->task->state) && task->state != HF__TASK__STATE__IN_PROGRESS)
		item_tell_worker(b, it);	/* its lease ended, or it is to stop */
	if (it->outcome.set && task->state != HF__TASK__STATE__IN_PROGRESS)
		item_answer(b, it, 0);
	if (task_is_claimed((int)it->task->state) && !task_is_claimed((int)task->state))
		b->room_round++;	/* what it was promised is free */
	item_take(b, it, task, now_ms);
	it->no_room[0] = '\0';
	if (task->state == HF__TASK__STATE__ASSIGNED)
		item_tell_worker(b, it);
	if (was_open && !task_is_open((int)task->state)) {
		metrics_end(b, it, now_ms);
		note_ended(b, it->task, now_ms);
		board_hint(b, true, now_ms + SCAN_SOON_MS);
	}
	if (!task_matters(it->task))
		item_remove(b, it);
}

/* The store promises it room when it is claimed (state_promise.h); what makes room needs none. */
static bool
item_needs_room(const struct board_item *it)
{
	return (it->kind != TASK_KIND_VACUUM);
}

/* It is claimed when there is. Said once. */
static void
item_no_room(struct board *b, struct board_item *it, const char *why, uint64_t now_ms)
{
	if (it->no_room[0] == '\0')
		board_note(b, "task %llu (%s) waits for room: %s", (unsigned long long)it->task->id,
		    it->task->fingerprint, why);
	snprintf(it->no_room, sizeof(it->no_room), "%.200s", why[0] != '\0' ? why :
	    err_phrase(ERR_FULL));
	it->waits = it->no_room;
	it->room_round = b->room_round;
	it->room_ms = now_ms + b->settings.scan_interval_ms;
}

void
board_updated(struct board *b, uint64_t id, int code, const Hf__Task *task, const char *why,
    uint64_t now_ms)
{
	struct board_item *it = board_find(b, id);

	if (it == NULL || it->next == NULL)
		return;
	if (code == ERR_FULL && it->next->state == HF__TASK__STATE__ASSIGNED &&
	    item_needs_room(it)) {
		task_free(&it->next);
		item_no_room(b, it, why, now_ms);
		return;
	}
	task_free(&it->next);
	if (code == 0 && task != NULL && task->id == id) {
		item_moved(b, it, task, now_ms);
		return;
	}
	if (code != 0)
		board_note(b, "task %llu stays %s: %s", (unsigned long long)id,
		    task_state_name((int)it->task->state), err_phrase(code));
	it->retry_ms = now_ms + RETRY_STORE_MS;
	b->ops->refresh(b->context, id);
}

/* --- people ----------------------------------------------------------------------------------- */

int
board_ask(struct board *b, enum task_kind kind, uint64_t volume_id, unsigned priority,
    const char *source, const char *reason, uint64_t now_ms, uint64_t *id, struct err *e)
{
	const struct volume_state *v;
	struct detector_view view;
	struct candidate c;

	detector_view_of(b, now_ms, &view);
	if (duplicates_active(&b->duplicates, volume_id, kind, id))
		return (err_set(e, ERR_EXISTS, "task %llu does that already",
		    (unsigned long long)*id));
	if (!candidate_of(&view, volume_id, kind, &c))
		return (err_set(e, ERR_NOT_FOUND, task_kind_row(kind)->on == TASK_ON_DRIVE ?
		    "there is no drive %llu" : "there is no segment %016llx",
		    (unsigned long long)volume_id));
	v = volume_states_find(&b->volumes, volume_id);
	if (task_kind_row(kind)->on == TASK_ON_SEGMENT && v != NULL &&
	    v->state == HF__CATALOG_SEGMENT__STATE__OPEN)
		return (err_set(e, ERR_BUSY, "segment %016llx is open: what is written goes there; "
		    "seal it first: holdfastctl store seal", (unsigned long long)volume_id));
	c.priority = (Hf__Task__Priority)(priority <= HF__TASK__PRIORITY__URGENT ? priority :
	    HF__TASK__PRIORITY__NORMAL);
	snprintf(c.reason, sizeof(c.reason), "%s", reason);
	submit(b, &c, source);
	return (0);
}

int
board_cancel(struct board *b, uint64_t id, const char *why, struct err *e)
{
	struct board_item *it = board_find(b, id);

	if (it == NULL || !task_is_open((int)it->task->state))
		return (err_set(e, ERR_NOT_FOUND, "no task %llu waits or runs",
		    (unsigned long long)id));
	it->cancel = true;
	snprintf(it->cancel_why, sizeof(it->cancel_why), "%s", why);
	return (0);
}

int
board_retry(struct board *b, uint64_t id, struct err *e)
{
	struct board_item *it = board_find(b, id);
	Hf__Task *next;

	if (it == NULL || (it->task->state != HF__TASK__STATE__FAILED &&
	    it->task->state != HF__TASK__STATE__DEAD_LETTER &&
	    it->task->state != HF__TASK__STATE__PENDING))
		return (err_set(e, ERR_NOT_FOUND, "task %llu neither failed nor waits",
		    (unsigned long long)id));
	if (it->next != NULL)
		return (err_set(e, ERR_BUSY, "task %llu is being changed; try again",
		    (unsigned long long)id));
	next = item_next(it, HF__TASK__STATE__PENDING);
	next->not_before_ms = 0;
	item_move(b, it, next);
	return (0);
}

/* --- time ------------------------------------------------------------------------------------- */

/* Of one that is inactive: whether it is time to see if it is back. */
static bool
looks_back(struct board *b, struct worker *w, uint64_t now_ms)
{
	if (w->knocks >= KNOCKS_IDLE && board_count(b, TASK_STATES_WAITING) == 0)
		return (false);
	if (w->again_ms > now_ms) {
		board_due(b, w->again_ms);
		return (false);
	}
	worker_wait_longer(w, now_ms, &b->settings);
	board_due(b, w->again_ms);
	return (true);
}

/* Of one that is active and silent: slots that lost tasks took when it spoke last may be free. */
static bool
strays_asked(struct board *b, struct worker *w, uint64_t now_ms)
{
	uint64_t silence_ms = b->settings.heartbeat_ms * b->settings.missed_heartbeats_max;

	if (w->strays == 0)
		return (false);
	if (w->again_ms < w->last_seen_ms + silence_ms)
		w->again_ms = w->last_seen_ms + silence_ms;
	if (w->again_ms > now_ms) {
		board_due(b, w->again_ms);
		return (false);
	}
	w->again_ms = now_ms + silence_ms;
	board_due(b, w->again_ms);
	return (true);
}

static void
knock_all(struct board *b, uint64_t now_ms)
{
	for (unsigned i = 0; i < b->roster.count; i++) {
		struct worker *w = &b->roster.workers[i];

		if (w->status == WORKER_ACTIVE ? !strays_asked(b, w, now_ms) && !w->knock :
		    !looks_back(b, w, now_ms))
			continue;
		w->knock = false;
		b->ops->knock(b->context, w);
	}
}

void
board_turn(struct board *b, uint64_t now_ms)
{
	b->next_ms = b->scan_ms;
	if (!b->connected || !b->loaded)
		return;
	for (unsigned i = b->count; i-- > 0; )
		monitor_item(b, b->items[i], now_ms);
	schedule_loads(b);
	if (!b->paused)
		schedule_all(b, now_ms);
	knock_all(b, now_ms);
}

uint64_t
board_next_ms(const struct board *b)
{
	return (b->connected ? b->next_ms : NEVER);
}
