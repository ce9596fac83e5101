/*
 * run - executes one task on a thread, with a store to ask, a brake, and progress to look at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/run.h"

#include <assert.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/message_copy.h"
#include "libbase/metrics.h"

#define ASK_MS		120000	/* a restart of the store is waited for */
#define NICE		19
#define REST_NS_MAX	UINT64_C(100000000)	/* is paid for, of one step */
#define SLICE_NS	UINT64_C(100000000)	/* of a rest: then limits may be others */
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

static bool
on_gently(void *context)
{
	struct run *r = context;

	return (others_busy(&r->others, clock_mono_ms()));
}

/* While others use the drives it rests for a part of the time, as long as the config says. */
static uint64_t
rest_ns(struct run *r)
{
	unsigned share = atomic_load(&r->share_percent);
	uint64_t worked_ns = clock_mono_ns() - r->paced_ns;

	if (r->paced_ns == 0 || share >= 100 || !on_gently(r))
		return (0);
	worked_ns = worked_ns < REST_NS_MAX ? worked_ns : REST_NS_MAX;
	return (worked_ns * (100 - share) / share);
}

/* For the CPU and the network that were used. */
static int
usage_rest(struct run *r, struct err *e)
{
	uint64_t ns = 1;
	int rc = 0;

	while (rc == 0 && ns > 0) {
		rc = usage_pass(&r->usage, clock_mono_ns(), &ns, e);
		if (rc == 0 && ns > 0)
			rc = brake_rest(&r->brake, ns < SLICE_NS ? ns : SLICE_NS, e);
	}
	return (rc);
}

static int
on_pace(void *context, uint64_t bytes, struct err *e)
{
	struct run *r = context;
	int rc = brake_rest(&r->brake, rest_ns(r), e);

	if (rc == 0)
		rc = usage_rest(r, e);
	if (rc == 0)
		rc = brake_pass(&r->brake, bytes, e);
	r->paced_ns = clock_mono_ns();
	return (rc);
}

static int
on_memory(void *context, int64_t bytes, struct err *e)
{
	struct run *r = context;

	return (usage_memory(&r->usage, bytes, e));
}

static bool
on_remote(void *context, int handle)
{
	struct run *r = context;

	return (wire_has(&r->wire, handle));
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
	sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, self, IOPRIO_LOWEST);
}

static void
run_work(void *context)
{
	struct run *r = context;

	thread_step_back();
	if (r->code == 0)
		r->code = executor_validate(r->executor, &r->maintain, r->usage.usage, &r->error);
	if (r->code == 0)
		r->code = r->executor->execute(&r->maintain, r->task->volume_id, &r->error);
	malloc_trim(0);		/* what it has freed shall not be measured as if others had it */
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void
run_done(void *context)
{
	struct run *r = context;

	r->ended = true;
	usage_leave(&r->usage);
	if (!r->given_up)
		r->ended_ms = clock_mono_ms();
	metric_add(METRIC_worker_bytes_total, brake_bytes(&r->brake));
	if (r->given_up)
		;	/* was counted */
	else if (r->code == 0)
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
	r->maintain = (struct maintain){ .disk = &r->watch.disk, .side_by_side = true,
	    .layout = r->layout, .task = r->task, .ask = on_ask, .pace = on_pace,
	    .memory = on_memory, .progress = on_progress, .gently = on_gently, .context = r };
	wire_init(&r->wire);
	if (r->wire.device_count > 0)	/* else no step has to look */
		watch_count_remote(&r->watch, on_remote, r, &o->usage->network_bytes);
	others_init(&r->others, r->layout);
	snprintf(id, sizeof(id), "task-%llu", (unsigned long long)r->task->id);
	rc = ask_open(o->objects, id, ASK_MS, &r->ask, &r->error);
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
	r->others.own = -1;
	watch_init(&r->watch, disk_posix());
	brake_init(&r->brake, run_limit(r, o->config));
	usage_join(o->usage, &r->usage);
	atomic_store(&r->share_percent, (unsigned)o->config->worker_share_percent);
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

bool
run_overdue(struct run *r, uint64_t deadline_ms)
{
	char path[256];
	uint64_t ms;

	if (r->ended || r->given_up)
		return (false);
	ms = watch_longest_ms(&r->watch, clock_mono_ms(), path, sizeof(path));
	if (ms <= deadline_ms)
		return (false);
	err_set(&r->lost, ERR_TIMEOUT, "%s: the drive did not answer for %llu s", path,
	    (unsigned long long)ms / 1000);
	r->given_up = true;
	r->ended_ms = clock_mono_ms();
	run_stop(r);
	metric_add(METRIC_worker_failed_total, 1);
	return (true);
}

bool
run_is_over(const struct run *r)
{
	return (r->ended || r->given_up);
}

int
run_code(const struct run *r)
{
	return (r->given_up ? ERR_TIMEOUT : r->code);
}

const char *
run_error(const struct run *r)
{
	return (r->given_up ? r->lost.text : r->error.text);
}

uint64_t
run_memory_bytes(struct run *r)
{
	return (r->ended ? 0 : usage_share_bytes(&r->usage));
}

void
run_set_limit(struct run *r, const struct config *c)
{
	brake_set(&r->brake, run_limit(r, c));
	atomic_store(&r->share_percent, (unsigned)c->worker_share_percent);
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
	watch_release(&r->watch);
	others_release(&r->others);
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
	out->run_ms = (run_is_over(r) ? r->ended_ms : clock_mono_ms()) - r->started_ms;
}
