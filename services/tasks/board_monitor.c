/*
 * board_monitor - TaskMonitor and FailureHandler: what becomes of each task now: begun, done,
 * cancelled, lost with its worker, timed out, stuck, tried again or given up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "libstore/apply/task.h"
#include "services/tasks/board_internal.h"

#define BUSY_MS		10000	/* until what was busy is asked for again */

/* --- the end of an attempt -------------------------------------------------------------------- */

static void
give_up(struct board *b, struct board_item *it, unsigned state, const char *why)
{
	Hf__Task *next = item_next(it, state);

	next->not_before_ms = it->outcome.set && it->outcome.code != ERR_CANCELLED ?
	    it->update_ms + BUSY_MS : 0;
	task_set_text(&next->error, why);
	board_note(b, "task %llu (%s): %s: %s", (unsigned long long)next->id, next->fingerprint,
	    state == HF__TASK__STATE__PENDING ? "goes back" : task_state_name((int)state), why);
	item_move(b, it, next);
}

/* The attempt counts; the store says when the next one is due, or makes it a dead letter. */
static void
fail(struct board *b, struct board_item *it, const char *why)
{
	b->metrics.failed++;
	give_up(b, it, HF__TASK__STATE__FAILED, why);
}

/* Its worker is lost: to others at once, unless it is the task that kills them (lost_retries). */
static void
release(struct board *b, struct board_item *it, const char *why)
{
	if (it->losses++ < b->settings.lost_retries)
		give_up(b, it, HF__TASK__STATE__PENDING, why);
	else if (it->task->state == HF__TASK__STATE__ASSIGNED ||
	    it->task->state == HF__TASK__STATE__IN_PROGRESS)
		fail(b, it, why);
}

static void
finish_well(struct board *b, struct board_item *it)
{
	Hf__Task *next = item_next(it, HF__TASK__STATE__COMPLETED);

	next->reported = next->change_type[0] == '\0';
	task_set_text(&next->error, "");
	item_move(b, it, next);
}

/* Neither the task nor the worker is at fault: it stops, or what it needs is not there yet. */
static bool
code_is_no_attempt(int code)
{
	return (code == ERR_CANCELLED || code == ERR_BUSY || code == ERR_UNAVAILABLE);
}

static void
finish(struct board *b, struct board_item *it)
{
	const struct board_outcome *o = &it->outcome;
	struct worker *w = item_worker(b, it);

	if (w != NULL && !code_is_no_attempt(o->code) && o->code != ERR_NOT_FOUND)
		worker_did(w, it->kind, o->code == 0, o->bytes, o->run_ms);
	if (o->code == 0)
		finish_well(b, it);
	else if (o->code == ERR_NOT_FOUND)	/* there is nothing to do it on any more */
		give_up(b, it, HF__TASK__STATE__CANCELLED, o->error);
	else if (it->task->state == HF__TASK__STATE__IN_PROGRESS && code_is_no_attempt(o->code))
		give_up(b, it, HF__TASK__STATE__PENDING, o->error);
	else
		fail(b, it, o->error);
}

static void
cancel(struct board *b, struct board_item *it)
{
	give_up(b, it, HF__TASK__STATE__CANCELLED, it->cancel_why);
}

static void
begin(struct board *b, struct board_item *it, uint64_t now_ms)
{
	it->progress_ms = now_ms;
	item_move(b, it, item_next(it, HF__TASK__STATE__IN_PROGRESS));
}

/* --- workers that do not speak, tasks that do not move ---------------------------------------- */

static uint64_t
silence_ms(const struct board *b)
{
	return (b->settings.heartbeat_ms * b->settings.missed_heartbeats_max);
}

/* After a start of ours, its worker has as long to come back as it has to send a heartbeat. */
static bool
worker_is_gone(struct board *b, struct board_item *it, uint64_t now_ms, char why[160])
{
	struct worker *w = item_worker(b, it);
	uint64_t deadline_ms = it->assigned_ms + silence_ms(b);

	snprintf(why, 160, "worker %.64s is not there any more", it->task->worker_id);
	if (it->orphan)
		return (true);
	if (w != NULL && w->status == WORKER_ACTIVE) {
		if (w->last_seen_ms + silence_ms(b) > deadline_ms)
			deadline_ms = w->last_seen_ms + silence_ms(b);
		snprintf(why, 160, "worker %.64s missed %u heartbeats", w->id,
		    b->settings.missed_heartbeats_max);
	} else if (w != NULL) {
		return (true);
	}
	if (now_ms < deadline_ms) {
		board_due(b, deadline_ms);
		return (false);
	}
	if (w != NULL) {
		worker_lost(w, why, now_ms, &b->settings);
		b->metrics.lost_workers++;
		board_note(b, "worker %s is inactive: %s", w->id, why);
	}
	return (true);
}

static uint64_t
stuck_after_ms(const struct board *b, const struct board_item *it)
{
	uint64_t ms = b->settings.stuck_factor * it->task->estimate_ms;

	return (ms > b->settings.stuck_ms_min ? ms : b->settings.stuck_ms_min);
}

static void
stick(struct board *b, struct board_item *it, uint64_t now_ms)
{
	Hf__Task *next = item_next(it, HF__TASK__STATE__STUCK);
	char why[160];

	snprintf(why, sizeof(why), "no progress for %llu s, estimated %llu s, on %.64s",
	    (unsigned long long)(now_ms - it->progress_ms) / 1000,
	    (unsigned long long)next->estimate_ms / 1000, next->worker_id);
	task_set_text(&next->error, why);
	b->metrics.stuck++;
	board_note(b, "task %llu (%s) is stuck: %s", (unsigned long long)next->id,
	    next->fingerprint, why);
	item_move(b, it, next);
}

/* True if it was due. */
static bool
deadline(struct board *b, uint64_t at_ms, uint64_t now_ms)
{
	if (now_ms >= at_ms)
		return (true);
	board_due(b, at_ms);
	return (false);
}

static void
monitor_assigned(struct board *b, struct board_item *it, uint64_t now_ms)
{
	char why[160];

	if (it->cancel)
		cancel(b, it);
	else if (it->begun)
		begin(b, it, now_ms);
	else if (item_is_late(b, it))
		give_up(b, it, HF__TASK__STATE__PENDING, "another task has the same segment or "
		    "drive by now");
	else if (worker_is_gone(b, it, now_ms, why))
		release(b, it, why);
	else if (deadline(b, it->assigned_ms + b->settings.start_timeout_ms, now_ms))
		release(b, it, "its worker did not begin it in time");
}

static void
monitor_in_progress(struct board *b, struct board_item *it, uint64_t now_ms)
{
	char why[160];

	if (it->outcome.set)
		finish(b, it);
	else if (it->cancel)
		cancel(b, it);
	else if (worker_is_gone(b, it, now_ms, why))
		release(b, it, why);
	else if (deadline(b, it->progress_ms + stuck_after_ms(b, it) + 1, now_ms))
		stick(b, it, now_ms);
	else if (deadline(b, it->task->started_ms + b->settings.run_timeout_ms, now_ms))
		fail(b, it, "it ran for longer than tasks.run_timeout");
}

static void
monitor_waiting(struct board *b, struct board_item *it, uint64_t now_ms)
{
	(void)now_ms;
	if (it->cancel)
		cancel(b, it);
}

/* Its worker was told to stop. When it has let go of it, or is silent, the attempt has failed. */
static void
monitor_stuck(struct board *b, struct board_item *it, uint64_t now_ms)
{
	struct worker *w = item_worker(b, it);
	char why[280];

	if (it->outcome.set) {
		finish(b, it);
	} else if (it->cancel) {
		cancel(b, it);
	} else if (it->released || w == NULL || w->status != WORKER_ACTIVE ||
	    deadline(b, it->update_ms + silence_ms(b), now_ms)) {
		snprintf(why, sizeof(why), "stuck: %.240s", it->task->error);
		fail(b, it, why);
	}
}

/* Until the store's figures show it, or have not shown it too often. */
static void
monitor_completed(struct board *b, struct board_item *it, uint64_t now_ms)
{
	const struct volume_state *v = volume_states_find(&b->volumes, it->task->volume_id);
	Hf__Task *next;

	(void)now_ms;
	if (!b->volumes.listed)
		return;
	if (!volume_change_shown(&b->volumes, it->task->volume_id, it->kind)) {
		if (v == NULL || v->change.task != it->task->id || v->change.misses <
		    b->settings.unshown_looks_max)
			return;
		board_note(b, "task %llu said that it was done, and %s", (unsigned long long)
		    it->task->id, b->volumes.divergence);
	}
	next = item_next(it, HF__TASK__STATE__COMPLETED);
	next->reported = true;
	item_move(b, it, next);
}

static const struct {
	unsigned	state;
	void		(*monitor)(struct board *b, struct board_item *it, uint64_t now_ms);
} rows[] = {
	{ HF__TASK__STATE__PENDING, monitor_waiting },
	{ HF__TASK__STATE__FAILED, monitor_waiting },
	{ HF__TASK__STATE__DEAD_LETTER, monitor_waiting },
	{ HF__TASK__STATE__ASSIGNED, monitor_assigned },
	{ HF__TASK__STATE__IN_PROGRESS, monitor_in_progress },
	{ HF__TASK__STATE__STUCK, monitor_stuck },
	{ HF__TASK__STATE__COMPLETED, monitor_completed },
};

void
monitor_item(struct board *b, struct board_item *it, uint64_t now_ms)
{
	if (it->next != NULL)
		return;			/* D1 */
	if (it->retry_ms > now_ms) {
		board_due(b, it->retry_ms);
		return;
	}
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].state == (unsigned)it->task->state) {
			rows[i].monitor(b, it, now_ms);
			return;
		}
}
