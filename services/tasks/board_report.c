/*
 * board_report - SystemMetrics, and why nothing happens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/apply/task.h"
#include "services/tasks/board_internal.h"

unsigned
board_count(const struct board *b, uint32_t states)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->count; i++)
		n += (states >> b->items[i]->task->state & 1) != 0;
	return (n);
}

unsigned
board_dead_letters(const struct board *b)
{
	return (board_count(b, TASK_STATE_BIT(DEAD_LETTER)) + b->foreign_dead);
}

static unsigned
workers_active(const struct board *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->roster.count; i++)
		n += b->roster.workers[i].status == WORKER_ACTIVE;
	return (n);
}

const char *
board_why_idle(const struct board *b)
{
	if (!b->connected)
		return ("the store is not reachable");
	if (!b->loaded)
		return ("the queue is being read");
	if (board_count(b, TASK_STATES_HELD) > 0)
		return ("");
	if (b->paused)
		return ("paused by an operator");
	if (board_count(b, TASK_STATES_WAITING) == 0)
		return (b->volumes.listed ? "nothing is to be done" : "not looked yet");
	if (workers_active(b) == 0)
		return (b->roster.count == 0 ? "no worker is registered" : "no worker is active");
	for (unsigned i = 0; i < b->count; i++)
		if (task_is_waiting((int)b->items[i]->task->state) && b->items[i]->waits != NULL)
			return (b->items[i]->waits);
	return ("");
}

double
board_tasks_per_second(const struct board *b, uint64_t now_ms)
{
	unsigned kept = b->metrics.end_count < BOARD_RATE_SLOTS ? b->metrics.end_count :
	    BOARD_RATE_SLOTS, n = 0;
	uint64_t oldest = now_ms;

	for (unsigned i = 0; i < kept; i++) {
		uint64_t at = b->metrics.ends_ms[i];

		if (at + b->settings.rate_window_ms < now_ms)
			continue;
		n++;
		if (at < oldest)
			oldest = at;
	}
	if (n == BOARD_RATE_SLOTS && now_ms > oldest)	/* the window was not wide enough */
		return (n * 1000.0 / (double)(now_ms - oldest));
	return (n * 1000.0 / (double)b->settings.rate_window_ms);
}

double
board_worker_utilization(const struct board *b)
{
	unsigned load = 0, slots = 0;

	for (unsigned i = 0; i < b->roster.count; i++) {
		const struct worker *w = &b->roster.workers[i];

		if (w->status != WORKER_ACTIVE)
			continue;
		load += w->current_load;
		slots += w->max_concurrent;
	}
	return (slots == 0 ? 0 : (double)load / slots);
}

uint64_t
board_average_task_ms(const struct board *b)
{
	return (b->metrics.completed == 0 ? 0 : b->metrics.run_ms / b->metrics.completed);
}

double
board_failure_rate(const struct board *b)
{
	uint64_t all = b->metrics.completed + b->metrics.failed;

	return (all == 0 ? 0 : (double)b->metrics.failed / (double)all);
}

/* By what is done of it; before that by its estimate. 0: it does not run. */
uint64_t
board_estimated_end_ms(const struct board_item *it)
{
	uint64_t ran = it->update_ms - it->task->started_ms;

	if (it->task->state != HF__TASK__STATE__IN_PROGRESS)
		return (0);
	if (it->done_bytes == 0 || it->total_bytes < it->done_bytes ||
	    it->update_ms < it->task->started_ms)
		return (it->task->started_ms + it->task->estimate_ms);
	return (it->task->started_ms +
	    (uint64_t)((double)ran * (double)it->total_bytes / (double)it->done_bytes));
}
