/*
 * worker - opens, pauses, drains and closes the service; the tasks that it holds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "libservice/json_add.h"

/* --- tasks in its hands ----------------------------------------------------------------------- */

unsigned
worker_slots(const struct worker *w)
{
	unsigned max = (unsigned)service_config(w->service)->worker_max_concurrent;

	if (w->paused || w->draining || w->run_count >= max)
		return (0);
	return (max - w->run_count);
}

/* What hung came back: its slot is free. */
static void
on_came_back(struct worker *w, struct run *r)
{
	log_info("task %llu (%s), which was given up, has let go of its drive",
	    (unsigned long long)r->task->id, r->task->fingerprint);
	if (w->closing || !r->told)
		return;
	worker_run_gone(w, r);
	worker_speak(w);
}

void
worker_on_ended(void *context, struct run *r)
{
	struct worker *w = context;

	service_progress(w->service);
	if (r->given_up) {
		on_came_back(w, r);
		return;
	}
	if (r->code == 0) {
		w->completed++;
		log_info("task %llu (%s) is done: %llu bytes in %llu ms",
		    (unsigned long long)r->task->id, r->task->fingerprint,
		    (unsigned long long)brake_bytes(&r->brake),
		    (unsigned long long)(r->ended_ms - r->started_ms));
	} else {
		w->failed += r->code != ERR_CANCELLED;
		log_write(r->code == ERR_CANCELLED || r->code == ERR_STALE ? LOG_INFO : LOG_WARN,
		    NULL, "task %llu (%s) ended: %s", (unsigned long long)r->task->id,
		    r->task->fingerprint, r->error.text);
		if (r->code != ERR_CANCELLED && r->code != ERR_STALE)
			service_set_error(w->service, &r->error);
	}
	if (!w->closing)
		worker_say_done(w, r);
}

static void
run_given_up(struct worker *w, struct run *r)
{
	w->failed++;
	log_warn("task %llu (%s) is given up: %s", (unsigned long long)r->task->id,
	    r->task->fingerprint, r->lost.text);
	service_set_error(w->service, &r->lost);
	worker_say_done(w, r);
}

void
worker_look(struct worker *w)
{
	uint64_t deadline_ms = service_config(w->service)->worker_step_deadline;

	for (struct run *r = w->runs; r != NULL; r = r->next)
		if (run_overdue(r, deadline_ms))
			run_given_up(w, r);
}

static void
drained_check(struct worker *w)
{
	if (w->draining && w->run_count == 0)
		service_drained(w->service);
}

void
worker_run_gone(struct worker *w, struct run *r)
{
	for (struct run **link = &w->runs; *link != NULL; link = &(*link)->next)
		if (*link == r) {
			*link = r->next;
			w->run_count--;
			break;
		}
	run_free(&r);
	metric_set(METRIC_worker_tasks, w->run_count);
	drained_check(w);
}

/* --- the store -------------------------------------------------------------------------------- */

static void
on_store_state(void *context, bool connected)
{
	struct worker *w = context;

	service_set_waiting(w->service, connected ? NULL :
	    "the store is not reachable: tasks wait for it");
}

static int
store_open(struct worker *w, struct err *e)
{
	struct objects_options options = { .base = service_base(w->service), .table_fd = -1,
		.name = w->id, .body_memory_max = 1 << 20 };
	char path[108];
	int rc;

	options.channel_path = service_run_path(w->service, "store.channel", path);
	rc = objects_open(&options, &w->objects, e);
	if (rc == 0)
		objects_on_state(w->objects, on_store_state, w);
	return (rc);
}

/* --- life ------------------------------------------------------------------------------------- */

int
worker_open(struct service *s, struct err *e)
{
	struct worker *w = calloc(1, sizeof(*w));
	const struct config *c = service_config(s);
	char name[64];
	int rc;

	assert(w != NULL);
	w->service = s;
	service_set_context(s, w);
	snprintf(w->id, sizeof(w->id), "worker.%u", service_instance(s));
	snprintf(name, sizeof(name), "%s.control", w->id);
	service_run_path(s, name, w->address);
	service_run_path(s, "tasks.workers", w->tasks_address);
	random_bytes(w->instance, sizeof(w->instance));
	usage_init(&w->usage, &usage_meter_process);
	usage_set_limits(&w->usage, c);
	w->heartbeat_ms = c->worker_heartbeat_interval;
	w->heartbeat = evtimer_new(service_base(s), worker_on_heartbeat, w);
	assert(w->heartbeat != NULL);
	rc = pool_open(service_base(s), (unsigned)c->worker_max_concurrent, WORKER_RUNS_MAX,
	    &w->pool, e);
	if (rc == 0)
		rc = store_open(w, e);
	if (rc < 0) {
		worker_close(s);
		return (rc);
	}
	worker_speak(w);
	service_ready(s);
	return (0);
}

static void
worker_register_again(struct worker *w)
{
	w->registered = false;
	w->outdated = w->asking;
	worker_speak(w);
}

void
worker_reload(struct service *s)
{
	struct worker *w = service_context(s);

	for (struct run *r = w->runs; r != NULL; r = r->next)
		run_set_limit(r, service_config(s));
	usage_set_limits(&w->usage, service_config(s));
	worker_register_again(w);		/* tells its limits */
}

/* What it holds is finished; it says that it can do nothing else. */
void
worker_pause(struct service *s, bool paused)
{
	struct worker *w = service_context(s);

	w->paused = paused;
	worker_register_again(w);
}

static void
stop_all(struct worker *w, const char *why)
{
	for (struct run *r = w->runs; r != NULL; r = r->next)
		if (!run_is_over(r) && !r->cancelled) {
			log_info("task %llu is stopped: %s", (unsigned long long)r->task->id, why);
			run_stop(r);
		}
}

void
worker_cancel(struct service *s, const char *reason, uint64_t deadline_ms)
{
	(void)deadline_ms;
	stop_all(service_context(s), reason);
}

void
worker_drain(struct service *s)
{
	struct worker *w = service_context(s);

	w->draining = true;
	stop_all(w, "the worker stops");
	drained_check(w);
}

void
worker_close(struct service *s)
{
	struct worker *w = service_context(s);

	if (w == NULL)
		return;
	w->closing = true;
	stop_all(w, "the worker closes");
	if (w->pool != NULL)
		pool_close(&w->pool);
	while (w->runs != NULL) {
		struct run *r = w->runs;

		w->runs = r->next;
		run_free(&r);
	}
	if (w->objects != NULL)
		objects_close(&w->objects);
	usage_release(&w->usage);
	event_free(w->heartbeat);
	service_set_context(s, NULL);
	free(w);
}

void
worker_observe(struct service *s)
{
	struct worker *w = service_context(s);
	struct usage_report now;
	uint64_t network;

	if (w == NULL)
		return;
	usage_report(&w->usage, clock_mono_ns(), &now);
	network = atomic_load(&w->usage.network_bytes);
	metric_set(METRIC_worker_memory_bytes, now.memory_bytes);
	metric_add(METRIC_worker_network_bytes_total, network - w->network_counted);
	w->network_counted = network;
}

static void
add_limit(cJSON *o, const char *name, uint64_t used, uint64_t max)
{
	cJSON *row = cJSON_AddObjectToObject(o, name);

	cJSON_AddNumberToObject(row, "used", (double)used);
	cJSON_AddNumberToObject(row, "max", (double)max);
}

/* max 0: no limit. */
static void
resources_status(struct worker *w, cJSON *status)
{
	cJSON *o = cJSON_AddObjectToObject(status, "resources");
	struct usage_limits limits = usage_limits_of(&w->usage);
	struct usage_report now;

	usage_report(&w->usage, clock_mono_ns(), &now);
	add_limit(o, "memory_bytes", now.memory_bytes, limits.memory_bytes);
	add_limit(o, "cpu_percent", now.cpu_percent, limits.cpu_percent);
	add_limit(o, "network_bytes_per_second", now.network_bytes_per_second,
	    limits.network_bytes_per_second);
}

void
worker_status(struct service *s, cJSON *status)
{
	struct worker *w = service_context(s);
	cJSON *list;

	if (w == NULL)
		return;
	cJSON_AddBoolToObject(status, "registered", w->registered);
	cJSON_AddNumberToObject(status, "tasks_completed", (double)w->completed);
	cJSON_AddNumberToObject(status, "tasks_failed", (double)w->failed);
	resources_status(w, status);
	list = cJSON_AddArrayToObject(status, "tasks");
	for (struct run *r = w->runs; r != NULL; r = r->next) {
		cJSON *o = cJSON_CreateObject();
		Hf__WorkerTask t;

		run_describe(r, &t);
		json_add_id(o, "id", t.id);
		cJSON_AddStringToObject(o, "fingerprint", r->task->fingerprint);
		cJSON_AddNumberToObject(o, "done_bytes", (double)t.done_bytes);
		cJSON_AddNumberToObject(o, "total_bytes", (double)t.total_bytes);
		cJSON_AddNumberToObject(o, "run_ms", (double)t.run_ms);
		cJSON_AddNumberToObject(o, "estimate_ms", (double)t.estimate_ms);
		cJSON_AddNumberToObject(o, "memory_bytes", (double)run_memory_bytes(r));
		cJSON_AddNumberToObject(o, "io_bytes", (double)brake_bytes(&r->brake));
		cJSON_AddItemToArray(list, o);
	}
}
