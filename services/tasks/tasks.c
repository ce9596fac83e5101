/*
 * tasks - opens, reloads, pauses and closes the service, and gives the board its turns.
 *
 * R5  A timer runs only while the board has something to wait for (board_next_ms). With nothing to
 *     do nothing wakes: the store tells when something was written, workers when they are done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/tasks/tasks.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "libstore/apply/task.h"

#define WAIT_MS_MAX	(UINT64_C(3600) * 1000)	/* of one timer; then it is looked again */

uint64_t
tasks_now(const struct tasks *t)
{
	return (t->real_base_ms + (clock_mono_ms() - t->mono_base_ms));
}

/* --- settings --------------------------------------------------------------------------------- */

static uint32_t
kinds_of(const char *list)
{
	uint32_t kinds = 0;

	for (unsigned i = 0; i < TASK_KIND_COUNT; i++) {
		const char *name = task_kind_row((enum task_kind)i)->name;
		size_t bytes = strlen(name);

		for (const char *p = list; *p != '\0'; p += strcspn(p, " "), p += strspn(p, " "))
			if (strncmp(p, name, bytes) == 0 && (p[bytes] == ' ' || p[bytes] == '\0'))
				kinds |= 1u << i;
	}
	return (kinds);
}

static void
settings_of(const struct config *c, struct task_settings *out)
{
	*out = (struct task_settings){
		.kinds = kinds_of(c->tasks_types),
		.ec_full_percent = (unsigned)c->tasks_ec_full_percent,
		.ec_quiet_ms = c->tasks_ec_quiet,
		.vacuum_garbage_percent = (unsigned)c->tasks_vacuum_garbage_percent,
		.vacuum_high_percent = (unsigned)c->tasks_vacuum_high_percent,
		.vacuum_again_ms = c->tasks_vacuum_again,
		.rules = { .merge_window_ms = c->tasks_merge_window,
		    .cancel_hold_ms = c->tasks_cancel_hold },
		.scan_interval_ms = c->tasks_scan_interval,
		.stuck_factor = (unsigned)c->tasks_stuck_factor,
		.stuck_ms_min = c->tasks_stuck_after,
		.start_timeout_ms = c->tasks_start_timeout,
		.run_timeout_ms = c->tasks_run_timeout,
		.heartbeat_ms = c->worker_heartbeat_interval,
		.missed_heartbeats_max = (unsigned)c->tasks_missed_heartbeats,
		.lost_retries = (unsigned)c->tasks_lost_retries,
		.unshown_looks_max = (unsigned)c->tasks_unshown_looks,
		.rate_window_ms = c->tasks_rate_window,
		.concurrent_max = (unsigned)c->tasks_concurrent_max,
		.per_collection_max = (unsigned)c->tasks_per_collection_max,
		.batch_max = (unsigned)c->tasks_batch_max,
		.queue_max = (unsigned)c->tasks_detected_max,
	};
}

/* --- turns ------------------------------------------------------------------------------------ */

/* The board counts, the metric follows. */
static void
counter_follow(enum metric m, uint64_t value)
{
	uint64_t told = metric_get(m);

	if (value > told)
		metric_add(m, value - told);
}

static void
metrics_tell(const struct tasks *t)
{
	const struct board *b = &t->board;

	metric_set(METRIC_tasks_queue_depth, board_count(b, TASK_STATES_WAITING));
	metric_set(METRIC_tasks_dead_letters, board_dead_letters(b));
	metric_set(METRIC_tasks_in_work, board_count(b, TASK_STATES_HELD));
	counter_follow(METRIC_tasks_completed_total, b->metrics.completed);
	counter_follow(METRIC_tasks_failed_total, b->metrics.failed);
	counter_follow(METRIC_tasks_stuck_total, b->metrics.stuck);
	counter_follow(METRIC_tasks_workers_lost_total, b->metrics.lost_workers);
	metric_set(METRIC_tasks_workers, b->roster.count);
	counter_follow(METRIC_tasks_run_ms_total, b->metrics.run_ms);
	metric_set(METRIC_tasks_volume_states_sync, b->volumes.in_sync);
}

static uint64_t
thousandths(double value)
{
	return ((uint64_t)(value * 1000 + 0.5));
}

/* The rest of SystemMetrics: they change as time goes by. */
void
tasks_observe(struct service *s)
{
	const struct tasks *t = service_context(s);
	const struct board *b;

	if (t == NULL)
		return;
	b = &t->board;
	metrics_tell(t);
	metric_set(METRIC_tasks_per_second, thousandths(board_tasks_per_second(b, tasks_now(t))));
	metric_set(METRIC_tasks_worker_utilization, thousandths(board_worker_utilization(b)));
	metric_set(METRIC_tasks_average_task_seconds, board_average_task_ms(b));
	metric_set(METRIC_tasks_failure_rate, thousandths(board_failure_rate(b)));
}

/* Nobody but a person ends a dead letter: so people see that there are some. */
static void
dead_letters_tell(const struct tasks *t)
{
	unsigned n = board_dead_letters(&t->board);
	char text[160];

	if (!t->board.connected)
		return;		/* that is told, and more urgent */
	snprintf(text, sizeof(text), "the attempts of %u task%s are used up: holdfastctl tasks "
	    "list dead_letter", n, n == 1 ? "" : "s");
	service_set_degraded(t->service, n > 0 ? text : NULL);
}

static void
turn_arm(struct tasks *t)
{
	uint64_t now = tasks_now(t), next = board_next_ms(&t->board);
	uint64_t wait = next > now ? next - now : 0;
	struct timeval delay;

	event_del(t->turn);
	if (next == UINT64_MAX)
		return;		/* R5 */
	if (wait > WAIT_MS_MAX)
		wait = WAIT_MS_MAX;
	delay = (struct timeval){ (time_t)(wait / 1000), (suseconds_t)(wait % 1000 * 1000) };
	event_add(t->turn, &delay);
}

static void
on_turn(evutil_socket_t fd, short what, void *context)
{
	struct tasks *t = context;

	(void)fd;
	(void)what;
	if (t->closing)
		return;
	if (board_scan_due(&t->board, tasks_now(t)) && t->scanning == NULL)
		tasks_scan(t);
	board_turn(&t->board, tasks_now(t));
	if (t->scanning != NULL && board_next_ms(&t->board) <= tasks_now(t))
		t->board.next_ms = UINT64_MAX;	/* the scan's answer is the next turn */
	metrics_tell(t);
	dead_letters_tell(t);
	turn_arm(t);
}

void
tasks_turn_soon(struct tasks *t)
{
	if (!t->closing)
		event_active(t->turn, EV_TIMEOUT, 0);
}

/* --- the store comes and goes ----------------------------------------------------------------- */

static void
on_store_state(void *context, bool connected)
{
	struct tasks *t = context;

	board_set_connected(&t->board, connected);
	service_set_waiting(t->service, connected ? NULL :
	    "the store is not reachable: nothing is assigned until it is");
	if (connected)
		tasks_load(t);
	tasks_turn_soon(t);
}

static void
on_store_hint(void *context, uint32_t hints)
{
	struct tasks *t = context;

	if ((hints & HF__STORE_NOTICE__HINT__TASKS) != 0)
		tasks_load(t);
	if ((hints & HF__STORE_NOTICE__HINT__WRITTEN) != 0)
		board_hint(&t->board, false, tasks_now(t));
	if ((hints & HF__STORE_NOTICE__HINT__DRIVES) != 0)
		board_hint(&t->board, true, tasks_now(t));
	tasks_turn_soon(t);
}

static void
on_note(void *context, const char *text)
{
	struct tasks *t = context;

	service_progress(t->service);
	log_info("%s", text);
}

static const struct board_ops board_ops = {
	.submit = tasks_submit, .update = tasks_update, .refresh = tasks_refresh,
	.seal = tasks_seal,
	.knock = tasks_knock, .answer = tasks_answer, .note = on_note,
};

/* --- life ------------------------------------------------------------------------------------- */

static int
store_open(struct tasks *t, struct err *e)
{
	struct objects_options options = { .base = service_base(t->service), .table_fd = -1,
		.name = "tasks", .body_memory_max = 1 << 20,
		.hints = HF__STORE_NOTICE__HINT__TASKS | HF__STORE_NOTICE__HINT__WRITTEN |
		    HF__STORE_NOTICE__HINT__DRIVES };
	char path[108];
	int rc;

	options.channel_path = service_run_path(t->service, "store.channel", path);
	rc = objects_open(&options, &t->objects, e);
	if (rc == 0) {
		objects_on_state(t->objects, on_store_state, t);
		objects_on_hint(t->objects, on_store_hint, t);
	}
	return (rc);
}

int
tasks_open(struct service *s, struct err *e)
{
	struct tasks *t = calloc(1, sizeof(*t));
	struct task_settings settings;
	int rc;

	assert(t != NULL);
	t->service = s;
	t->real_base_ms = clock_real_ms();
	t->mono_base_ms = clock_mono_ms();
	settings_of(service_config(s), &settings);
	board_init(&t->board, &settings, &board_ops, t);
	t->turn = evtimer_new(service_base(s), on_turn, t);
	assert(t->turn != NULL);
	service_set_context(s, t);
	rc = store_open(t, e);
	if (rc == 0)
		rc = tasks_channel_open(t, e);
	if (rc < 0) {
		tasks_close(s);
		return (rc);
	}
	tasks_knock_all(t);
	service_ready(s);
	return (0);
}

void
tasks_reload(struct service *s)
{
	struct tasks *t = service_context(s);
	struct task_settings settings;

	settings_of(service_config(s), &settings);
	board_set_settings(&t->board, &settings);
	board_hint(&t->board, true, tasks_now(t));
	tasks_turn_soon(t);
}

void
tasks_pause(struct service *s, bool paused)
{
	struct tasks *t = service_context(s);

	t->board.paused = paused;
	if (!paused)
		board_hint(&t->board, true, tasks_now(t));
	tasks_turn_soon(t);
}

void
tasks_run_now(struct service *s)
{
	struct tasks *t = service_context(s);

	board_hint(&t->board, true, tasks_now(t));
	tasks_turn_soon(t);
}

/* What it does itself is looking for work; what workers do is theirs, and `tasks cancel' ends
 * one. */
void
tasks_cancel(struct service *s, const char *reason, uint64_t deadline_ms)
{
	struct tasks *t = service_context(s);

	(void)reason;
	(void)deadline_ms;
	if (t->scanning != NULL)
		object_call_cancel(&t->scanning);
	t->scanning = NULL;
}

void
tasks_close(struct service *s)
{
	struct tasks *t = service_context(s);

	if (t == NULL)
		return;
	t->closing = true;
	tasks_channel_close(t);
	tasks_store_stop(t);
	board_release(&t->board);
	event_free(t->turn);
	service_set_context(s, NULL);
	free(t);
}

void
tasks_status(struct service *s, cJSON *status)
{
	const struct tasks *t = service_context(s);

	if (t == NULL)
		return;
	tasks_json_metrics(t, cJSON_AddObjectToObject(status, "system_metrics"));
	cJSON_AddItemToObject(status, "why", tasks_json_why(t));
	cJSON_AddItemToObject(status, "registered_workers", tasks_json_workers(t));
}

void
tasks_reconcile(struct service *s, cJSON *plan)
{
	const struct tasks *t = service_context(s);
	char text[400];

	if (t == NULL)
		return;
	for (unsigned i = 0; i < t->board.count; i++) {
		const struct board_item *it = t->board.items[i];

		if (it->task->state != HF__TASK__STATE__DEAD_LETTER)
			continue;
		snprintf(text, sizeof(text),
		    "retry or cancel task %llu (%s), a dead letter: %.200s",
		    (unsigned long long)it->task->id, it->task->fingerprint, it->task->error);
		cJSON_AddItemToArray(plan, cJSON_CreateString(text));
	}
	if (t->board.foreign_dead > 0) {
		snprintf(text, sizeof(text), "retry or cancel %u dead letters of the store's own "
		    "tasks", t->board.foreign_dead);
		cJSON_AddItemToArray(plan, cJSON_CreateString(text));
	}
	if (t->board.volumes.divergence[0] != '\0')
		cJSON_AddItemToArray(plan, cJSON_CreateString(t->board.volumes.divergence));
}
