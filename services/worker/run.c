/*
 * run - executes one task on a thread, with a store to ask, a brake, and progress to look at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/message_copy.h"
#include "libbase/metrics.h"

#define ASK_MS		120000	/* a restart of the store is waited for */
#define NICE		10
/* ioprio_set(2): the lowest of best effort, so that it goes on under load, behind all others. */
#define IOPRIO_WHO_PROCESS	1
#define IOPRIO_LOWEST		((2 << 13) | 7)

/* --- what an executor gets (on its thread) ---------------------------------------------------- */

static int
on_ask(void *context, Hf__StoreRequest *request, Hf__StoreReply **out, struct err *e)
{
	struct run *r = context;

	return (ask_store(r->ask, request, out, e));
}

static int
on_pace(void *context, uint64_t bytes, struct err *e)
{
	struct run *r = context;

	return (brake_pass(&r->brake, bytes, e));
}

static void
on_progress(void *context, uint64_t done, uint64_t total)
{
	struct run *r = context;

	atomic_store(&r->total, total);
	atomic_store(&r->done, done);
}

/* Before the clients' work comes neither for the CPU nor for the drives. */
static void
thread_step_back(void)
{
	pid_t self = (pid_t)syscall(SYS_gettid);

	setpriority(PRIO_PROCESS, (id_t)self, NICE);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, self, IOPRIO_LOWEST);
}

static void
run_work(void *context)
{
	struct run *r = context;

	thread_step_back();
	if (r->code == 0)
		r->code = r->executor->execute(&r->maintain, r->task->volume_id, &r->error);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void
run_done(void *context)
{
	struct run *r = context;

	r->ended = true;
	r->ended_ms = clock_mono_ms();
	metric_add(METRIC_worker_bytes_total, brake_bytes(&r->brake));
	if (r->code == 0)
		metric_add(METRIC_worker_completed_total, 1);
	else if (r->code != ERR_CANCELLED)
		metric_add(METRIC_worker_failed_total, 1);
	r->on_ended(r->context, r);
}

static uint64_t
run_limit(const struct run *r, const struct config *c)
{
	return (r->executor != NULL ? r->executor->limit(c) : 0);
}

/* Whether it can be begun here; fills in what it needs. */
static int
run_prepare(struct run *r, const struct run_options *o)
{
	const Hf__Layout *layout = objects_layout(o->objects);
	char id[32];
	int rc;

	if (r->executor == NULL)
		return (err_set(&r->error, ERR_UNSUPPORTED, "this worker cannot do %.64s",
		    r->task->type));
	if (layout == NULL)
		return (err_set(&r->error, ERR_UNAVAILABLE, "the store has not told its drives"));
	r->layout = message_copy(&layout->base);
	r->maintain = (struct maintain){ .disk = disk_posix(), .layout = r->layout,
	    .task = r->task, .ask = on_ask, .pace = on_pace, .progress = on_progress,
	    .context = r };
	snprintf(id, sizeof(id), "task-%llu", (unsigned long long)r->task->id);
	rc = ask_open(o->objects, id, ASK_MS, &r->ask, &r->error);
	if (rc == 0)
		rc = r->executor->validate(&r->maintain, o->config, &r->error);
	if (rc == 0)
		r->estimate_ms = r->executor->estimate_ms(&r->maintain, run_limit(r, o->config));
	return (rc);
}

struct run *
run_start(const struct run_options *o, const Hf__Task *task)
{
	struct run *r = calloc(1, sizeof(*r));
	int rc;

	assert(r != NULL);
	r->task = message_copy(&task->base);
	r->executor = executor_find(task->type);
	r->on_ended = o->on_ended;
	r->context = o->context;
	r->started_ms = clock_mono_ms();
	r->estimate_ms = 1;
	brake_init(&r->brake, run_limit(r, o->config));
	r->code = run_prepare(r, o);
	rc = pool_submit(o->pool, run_work, run_done, r);
	assert(rc == 0);	/* a thread for each slot, and no more runs than slots */
	return (r);
}

void
run_stop(struct run *r)
{
	r->cancelled = true;
	brake_stop(&r->brake);
	if (r->ask != NULL)
		ask_cancel(r->ask);
}

void
run_set_limit(struct run *r, const struct config *c)
{
	brake_set(&r->brake, run_limit(r, c));
}

void
run_free(struct run **rp)
{
	struct run *r = *rp;

	*rp = NULL;
	assert(r->ended);
	if (r->ask != NULL)
		ask_close(&r->ask);
	brake_release(&r->brake);
	if (r->layout != NULL)
		hf__layout__free_unpacked(r->layout, NULL);
	hf__task__free_unpacked(r->task, NULL);
	free(r);
}

void
run_describe(struct run *r, Hf__WorkerTask *out)
{
	hf__worker_task__init(out);
	out->id = r->task->id;
	out->lease = r->task->lease;
	out->done_bytes = atomic_load(&r->done);
	out->total_bytes = atomic_load(&r->total);
	out->estimate_ms = r->estimate_ms;
	out->run_ms = (r->ended ? r->ended_ms : clock_mono_ms()) - r->started_ms;
}
