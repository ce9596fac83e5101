/*
 * tasks_json - tasks, workers, metrics and reasons as people and programs see them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "libservice/json_add.h"
#include "libstore/apply/task.h"
#include "services/tasks/board_waits.h"
#include "services/tasks/tasks.h"

/* What only the board knows: it runs here. */
static void
add_live(const struct tasks *t, cJSON *o, const struct board_item *it)
{
	uint64_t end_ms = board_estimated_end_ms(it), now_ms = tasks_now(t);

	if (task_is_waiting((int)it->task->state) && it->waits != NULL)
		cJSON_AddStringToObject(o, "waits", it->waits);
	if (it->task->state != HF__TASK__STATE__IN_PROGRESS)
		return;
	cJSON_AddNumberToObject(o, "progress", it->total_bytes == 0 ? 0 :
	    (double)it->done_bytes / (double)it->total_bytes);
	json_add_number(o, "done_bytes", it->done_bytes);
	json_add_number(o, "total_bytes", it->total_bytes);
	json_add_time(o, "last_update", it->update_ms);
	json_add_time(o, "estimated_end", end_ms);
	json_add_number(o, "eta_ms", end_ms > now_ms ? end_ms - now_ms : 0);
	cJSON_AddBoolToObject(o, "volume_reserved", task_is_claimed((int)it->task->state));
	cJSON_AddBoolToObject(o, "cancelling", it->cancel);
}

/* What its detector tells its executor. */
static void
add_parameters(cJSON *o, const Hf__Task *task)
{
	cJSON *list;

	if (task->n_parameters == 0)
		return;
	list = cJSON_AddObjectToObject(o, "parameters");
	for (size_t i = 0; i < task->n_parameters; i++)
		cJSON_AddStringToObject(list, task->parameters[i]->name,
		    task->parameters[i]->value);
}

/* As people name it: a segment like its files, a drive by its slot. */
static void
add_about(cJSON *o, const Hf__Task *task)
{
	enum task_kind kind = task_kind_of(task->type);

	if (kind != TASK_KIND_COUNT && task_kind_row(kind)->on == TASK_ON_SEGMENT)
		json_add_hex(o, "volume_id", task->volume_id);
	else
		json_add_id(o, "volume_id", task->volume_id);
}

cJSON *
tasks_json_task(const struct tasks *t, const Hf__Task *task)
{
	const struct board_item *it = board_find(&t->board, task->id);
	cJSON *o = cJSON_CreateObject();

	json_add_id(o, "id", task->id);
	cJSON_AddStringToObject(o, "type", task->type);
	cJSON_AddStringToObject(o, "state", task_state_name((int)task->state));
	cJSON_AddStringToObject(o, "priority", task_priority_name((int)task->priority));
	add_about(o, task);
	cJSON_AddStringToObject(o, "fingerprint", task->fingerprint);
	cJSON_AddStringToObject(o, "source", task->source);
	cJSON_AddStringToObject(o, "reason", task->reason);
	cJSON_AddStringToObject(o, "collection", task->collection);
	cJSON_AddStringToObject(o, "server", task->server);
	cJSON_AddStringToObject(o, "worker_id", task->worker_id);
	cJSON_AddStringToObject(o, "error", task->error);
	json_add_number(o, "lease", task->lease);
	json_add_number(o, "attempts", task->attempts);
	json_add_number(o, "merged", task->merged);
	json_add_number(o, "bytes", task->bytes);
	json_add_number(o, "estimate_ms", task->estimate_ms);
	json_add_time(o, "detected", task->detected_ms);
	json_add_time(o, "not_before", task->not_before_ms);
	json_add_time(o, "started", task->started_ms);
	json_add_time(o, "finished", task->finished_ms);
	if (task->change_type[0] != '\0') {
		cJSON_AddStringToObject(o, "change_type", task->change_type);
		json_add_number(o, "old_capacity", task->old_capacity);
		json_add_number(o, "new_capacity", task->new_capacity);
		cJSON_AddBoolToObject(o, "reported", task->reported);
	}
	add_parameters(o, task);
	if (it != NULL)
		add_live(t, o, it);
	return (o);
}

static void
add_performance(cJSON *o, const struct worker *w)
{
	cJSON *performance = cJSON_AddObjectToObject(o, "performance");

	for (unsigned i = 0; i < TASK_KIND_COUNT; i++) {
		const struct worker_performance *p = &w->performance[i];
		cJSON *row;

		if ((w->capabilities & 1u << i) == 0 && p->completed + p->failed == 0)
			continue;
		row = cJSON_AddObjectToObject(performance, task_kind_row((enum task_kind)i)->name);
		json_add_number(row, "completed", p->completed);
		json_add_number(row, "failed", p->failed);
		json_add_number(row, "bytes", p->bytes);
		json_add_number(row, "run_ms", p->run_ms);
	}
}

/* What its tasks take, as it measured that, and what they may. */
static void
add_resources(cJSON *o, const struct worker *w)
{
	cJSON *limits = cJSON_AddObjectToObject(o, "resource_limits");
	cJSON *use = cJSON_AddObjectToObject(o, "resource_use");

	json_add_number(limits, "max_memory_mb", w->limits.max_memory_mb);
	json_add_number(limits, "max_disk_space_mb", w->limits.max_disk_space_mb);
	json_add_number(limits, "max_network_mbps", w->limits.max_network_mbps);
	json_add_number(limits, "max_cpu_percent", w->limits.max_cpu_percent);
	json_add_number(use, "memory_bytes", w->use.memory_bytes);
	json_add_number(use, "cpu_percent", w->use.cpu_percent);
	json_add_number(use, "network_bytes_per_second", w->use.network_bytes_per_second);
}

static cJSON *
worker_json(const struct worker *w)
{
	cJSON *o = cJSON_CreateObject(), *list;

	cJSON_AddStringToObject(o, "id", w->id);
	cJSON_AddStringToObject(o, "address", w->address);
	cJSON_AddStringToObject(o, "status", w->status == WORKER_ACTIVE ? "active" : "inactive");
	cJSON_AddStringToObject(o, "note", w->note[0] == '\0' && w->capabilities == 0 ?
	    "takes nothing: it is paused, or stops" : w->note);
	list = cJSON_AddArrayToObject(o, "capabilities");
	for (unsigned i = 0; i < TASK_KIND_COUNT; i++)
		if ((w->capabilities & 1u << i) != 0)
			cJSON_AddItemToArray(list, cJSON_CreateString(
			    task_kind_row((enum task_kind)i)->name));
	json_add_number(o, "max_concurrent", w->max_concurrent);
	json_add_number(o, "current_load", w->current_load);
	json_add_time(o, "last_seen", w->last_seen_ms);
	add_resources(o, w);
	list = cJSON_AddArrayToObject(o, "preferred_servers");
	for (unsigned i = 0; i < 32; i++)
		if ((w->preferred_servers & 1u << i) != 0)
			cJSON_AddItemToArray(list, cJSON_CreateNumber(i));
	add_performance(o, w);
	return (o);
}

cJSON *
tasks_json_workers(const struct tasks *t)
{
	cJSON *list = cJSON_CreateArray();

	for (unsigned i = 0; i < t->board.roster.count; i++)
		cJSON_AddItemToArray(list, worker_json(&t->board.roster.workers[i]));
	return (list);
}

/* What tasks wait for, and how many of them. */
static void
add_waits(const struct tasks *t, cJSON *o)
{
	cJSON *waits = cJSON_AddObjectToObject(o, "waits");
	struct board_wait rows[BOARD_WAITS_MAX];
	unsigned others, count = board_waits(&t->board, rows, &others);

	for (unsigned i = 0; i < count; i++)
		json_add_number(waits, rows[i].why, rows[i].tasks);
	json_add_number(o, "waits_not_shown", others);
}

cJSON *
tasks_json_why(const struct tasks *t)
{
	const struct detection *d = &t->board.detection;
	cJSON *o = cJSON_CreateObject(), *detectors;

	cJSON_AddStringToObject(o, "idle", board_why_idle(&t->board));
	json_add_time(o, "last_look", d->at_ms);
	json_add_time(o, "next_look", t->board.scan_ms == UINT64_MAX ? 0 : t->board.scan_ms);
	json_add_number(o, "looks", t->scans);
	detectors = cJSON_AddObjectToObject(o, "passed_over");
	for (unsigned kind = 0; kind < TASK_KIND_COUNT; kind++) {
		cJSON *row = cJSON_AddObjectToObject(detectors,
		    task_kind_row((enum task_kind)kind)->name);

		for (unsigned why = DETECTOR_CANDIDATE; why < DETECTOR_WHY_COUNT; why++)
			if (d->why[kind][why] > 0)
				json_add_number(row, detector_why_text((enum detector_why)why),
				    d->why[kind][why]);
	}
	add_waits(t, o);
	cJSON_AddStringToObject(o, "divergence", t->board.volumes.divergence);
	return (o);
}

static void
add_capacity(const struct volume_states *v, uint64_t reserved, cJSON *out)
{
	uint64_t base = 0, adjusted = 0;

	for (unsigned i = 0; i < v->count; i++) {
		base += v->rows[i].base_capacity;
		adjusted += volume_adjusted_capacity(v, &v->rows[i]);
	}
	json_add_number(out, "segments", v->count);
	json_add_number(out, "base_bytes", base);
	json_add_number(out, "adjusted_bytes", adjusted);
	json_add_number(out, "reserved_bytes", reserved);
	json_add_number(out, "free_bytes_after_reserved", volume_states_free(v, reserved));
}

void
tasks_json_metrics(const struct tasks *t, cJSON *out)
{
	const struct board *b = &t->board;

	cJSON_AddNumberToObject(out, "tasks_per_second", board_tasks_per_second(b, tasks_now(t)));
	cJSON_AddNumberToObject(out, "worker_utilization", board_worker_utilization(b));
	json_add_number(out, "average_task_time_ms", board_average_task_ms(b));
	cJSON_AddNumberToObject(out, "failure_rate", board_failure_rate(b));
	json_add_number(out, "queue_depth", board_count(b, TASK_STATES_WAITING));
	cJSON_AddBoolToObject(out, "volume_states_sync", b->volumes.in_sync);
	json_add_number(out, "in_work", board_count(b, TASK_STATES_HELD));
	json_add_number(out, "dead_letters", board_dead_letters(b));
	json_add_number(out, "completed", b->metrics.completed);
	json_add_number(out, "failed", b->metrics.failed);
	json_add_number(out, "stuck", b->metrics.stuck);
	json_add_number(out, "workers_lost", b->metrics.lost_workers);
	add_capacity(&b->volumes, b->reserved_bytes, cJSON_AddObjectToObject(out, "capacity"));
}
