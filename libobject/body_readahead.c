/*
 * body_readahead - who reads the jobs of readers: threads of the pool, or the loop itself.
 *
 *     new ──► waiting ──► taken ──► done ──► delivered
 *      └───────────────────▲ (by the loop)
 *
 * Waking a thread, and being woken by it, costs as much as copying 100 KiB from the page cache. So
 * while bytes are there (not `cold`), the loop reads the job that the caller waits for, or another
 * one while a thread has that, instead of sleeping; and helpers read the others, one for each
 * processor that the loop leaves, which stay while any reader has jobs. More of them would only
 * take turns with the loop. When bytes are not there, every job has a thread, so that all drives
 * are busy. What waits for helpers may wait as long as its reader rests: no thread of another's
 * takes it, or that other's job would be left without one.
 *
 * A1  A job is read by whoever takes it, once: a thread from its queue, with the lock; the loop
 *     also one that was not queued. The loop alone makes, delivers and frees.
 * A2  A job that was dropped while a thread has it is freed when that thread told so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <sched.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "libobject/body_reader_internal.h"

#define HELP_JOBS_MIN	2	/* that are worth waking a helper for */
#define LINGER_NS	30000	/* less than to sleep and be woken */
#define COLD_JOBS	8
#define WARM_UNITS	32u	/* under way, or read and not delivered */
#define COLD_UNITS	48u

struct readahead_thread {
	struct work	 work;
	struct objects	*objects;
	unsigned	 owner;		/* of its buffers; a helper stays while there are jobs */
};

static enum job_state
job_state(const struct read_job *j)
{
	return (__atomic_load_n(&j->state, __ATOMIC_ACQUIRE));
}

static void
job_set(struct read_job *j, enum job_state state)
{
	__atomic_store_n(&j->state, state, __ATOMIC_RELEASE);
}

static void
job_count_rebuilt(struct read_job *j)
{
	if (j->rebuilt > 0)
		metric_add(METRIC_s3_reconstructed_units_total, j->rebuilt);
	j->rebuilt = 0;
}

void
readahead_job_free(struct read_job *j)
{
	job_count_rebuilt(j);
	if (j->memory_bytes > 0)
		memory_give(j->objects, j->memory_bytes);
	read_job_buffer_put(j);
	free(j);
}

/* --- The queue, with the lock. --- */

/* cold: a thread of its own comes for it. */
static void
queue_add(struct readahead *h, struct read_job *j, bool cold)
{
	j->cold = cold;
	TAILQ_INSERT_TAIL(cold ? &h->cold : &h->waiting, j, queue_entry);
	if (!cold)
		__atomic_fetch_add(&h->waiting_count, 1, __ATOMIC_RELAXED);
	job_set(j, JOB_WAITING);
}

static void
queue_remove(struct readahead *h, struct read_job *j)
{
	TAILQ_REMOVE(j->cold ? &h->cold : &h->waiting, j, queue_entry);
	if (!j->cold)
		__atomic_fetch_sub(&h->waiting_count, 1, __ATOMIC_RELAXED);
	job_set(j, JOB_TAKEN);
}

static struct read_job *
queue_take(struct readahead *h, bool cold)
{
	struct read_job *j = TAILQ_FIRST(cold ? &h->cold : &h->waiting);

	if (j != NULL)
		queue_remove(h, j);
	return (j);
}

/* --- Threads. --- */

/* On the loop. */
static void
on_told(void *context)
{
	struct objects *o = context;
	struct readahead *h = &o->readahead;
	struct read_job *j;

	pthread_mutex_lock(&h->lock);
	h->telling = false;
	while ((j = TAILQ_FIRST(&h->told)) != NULL) {
		TAILQ_REMOVE(&h->told, j, queue_entry);
		j->tell = false;
		pthread_mutex_unlock(&h->lock);
		if (j->reader != NULL)
			reader_advance(j->reader);
		else
			readahead_job_free(j);	/* A2 */
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
}

/* With the lock, which is dropped meanwhile. */
static void
job_read(struct objects *o, struct read_job *j, unsigned owner)
{
	struct readahead *h = &o->readahead;

	pthread_mutex_unlock(&h->lock);
	read_job_run(j, owner);
	pthread_mutex_lock(&h->lock);
	job_set(j, JOB_DONE);
	if (!j->tell)
		return;
	TAILQ_INSERT_TAIL(&h->told, j, queue_entry);
	if (!h->telling)
		pool_tell(o->pool, on_told, o);
	h->telling = true;
}

/* The loop has delivered what was read, and plans the next. With the lock, which is dropped
 * meanwhile. */
static struct read_job *
queue_linger(struct readahead *h)
{
	uint64_t until = clock_mono_ns() + LINGER_NS;

	pthread_mutex_unlock(&h->lock);
	while (__atomic_load_n(&h->waiting_count, __ATOMIC_RELAXED) == 0 && clock_mono_ns() < until)
		__builtin_ia32_pause();
	pthread_mutex_lock(&h->lock);
	return (queue_take(h, false));
}

static void
thread_run(void *context)
{
	struct readahead_thread *t = context;
	struct readahead *h = &t->objects->readahead;
	bool helper = t->owner != BUFFERS_LOOP;
	struct read_job *j;

	pthread_mutex_lock(&h->lock);
	while ((j = queue_take(h, !helper)) != NULL || (helper && (j = queue_linger(h)) != NULL)) {
		job_read(t->objects, j, t->owner);
		if (!helper)
			break;
	}
	h->helpers &= ~(1u << t->owner);
	pthread_mutex_unlock(&h->lock);
}

static void
on_thread(void *context)
{
	free(context);
}

static void
thread_start(struct objects *o, unsigned owner)
{
	struct readahead_thread *t = calloc(1, sizeof(*t));

	if (t == NULL)
		abort();
	t->objects = o;
	t->owner = owner;
	work_submit(o, &t->work, thread_run, on_thread, t);
}

/* --- For the reader. --- */

static bool
reader_warm(const struct body_reader *r)
{
	return (r->cold == 0 && r->objects->disk == disk_posix());
}

unsigned
readahead_jobs_max(const struct body_reader *r)
{
	unsigned k = r->objects->k, units = k > JOB_UNITS_WANTED ? k : JOB_UNITS_WANTED;

	return ((reader_warm(r) ? WARM_UNITS : COLD_UNITS) / units);
}

void
readahead_add(struct body_reader *r, struct read_job *j)
{
	j->reader = r;
	TAILQ_INSERT_TAIL(&r->jobs, j, entry);
	r->job_count++;
}

/* All go to the queue but the first, which is the loop's. */
static void
go_warm(struct body_reader *r)
{
	struct readahead *h = &r->objects->readahead;
	struct read_job *j, *first = TAILQ_FIRST(&r->jobs);
	unsigned owner = BUFFERS_HELPER;
	bool start;

	pthread_mutex_lock(&h->lock);
	TAILQ_FOREACH(j, &r->jobs, entry)
		if (j != first && j->state == JOB_NEW)
			queue_add(h, j, false);
	while (h->helpers >> owner & 1)
		owner++;
	start = owner - BUFFERS_HELPER < h->helpers_max && h->waiting_count >= HELP_JOBS_MIN;
	h->helpers |= (uint32_t)start << owner;
	pthread_mutex_unlock(&h->lock);
	if (start)
		thread_start(r->objects, owner);
}

/* A thread for each that no thread was woken for. */
static void
go_cold(struct body_reader *r)
{
	struct readahead *h = &r->objects->readahead;
	unsigned threads = 0;
	struct read_job *j;

	pthread_mutex_lock(&h->lock);
	TAILQ_FOREACH(j, &r->jobs, entry) {
		bool helpers = j->state == JOB_WAITING && !j->cold;

		if (helpers)
			queue_remove(h, j);
		if (!helpers && j->state != JOB_NEW)
			continue;
		queue_add(h, j, true);
		threads++;
	}
	pthread_mutex_unlock(&h->lock);
	while (threads-- > 0)
		thread_start(r->objects, BUFFERS_LOOP);
}

void
readahead_go(struct body_reader *r)
{
	struct read_job *last = TAILQ_LAST(&r->jobs, read_job_list);

	if (last == NULL || job_state(last) != JOB_NEW)
		return;
	if (!reader_warm(r))
		go_cold(r);
	else if (last != TAILQ_FIRST(&r->jobs))
		go_warm(r);
}

/* A job that no thread has is the loop's. */
static bool
job_claim(struct read_job *j)
{
	struct readahead *h = &j->objects->readahead;
	bool mine = job_state(j) == JOB_NEW;

	if (mine)
		job_set(j, JOB_TAKEN);
	if (job_state(j) != JOB_WAITING)
		return (mine);
	pthread_mutex_lock(&h->lock);
	mine = j->state == JOB_WAITING;
	if (mine)
		queue_remove(h, j);
	pthread_mutex_unlock(&h->lock);
	return (mine);
}

/* True: the first job is done meanwhile. */
static bool
first_wait(struct body_reader *r)
{
	struct readahead *h = &r->objects->readahead;
	struct read_job *first = TAILQ_FIRST(&r->jobs);
	bool done;

	if (first == NULL)
		return (false);
	pthread_mutex_lock(&h->lock);
	done = first->state == JOB_DONE;
	if (!done)
		first->tell = true;
	pthread_mutex_unlock(&h->lock);
	return (done);
}

bool
readahead_take(struct body_reader *r)
{
	struct read_job *j;

	if (!reader_warm(r))
		return (first_wait(r));
	TAILQ_FOREACH(j, &r->jobs, entry)
		if (job_claim(j))
			break;
	if (j == NULL)
		return (first_wait(r));
	if (read_job_try(j)) {
		job_set(j, JOB_DONE);
		return (true);
	}
	r->cold = COLD_JOBS;
	job_set(j, JOB_NEW);
	go_cold(r);
	return (first_wait(r));
}

struct read_job *
readahead_first(struct body_reader *r)
{
	struct read_job *j = TAILQ_FIRST(&r->jobs);

	if (j == NULL || job_state(j) != JOB_DONE)
		return (NULL);
	if (!j->settled) {
		j->settled = true;
		r->cold -= r->cold > 0;
		job_count_rebuilt(j);
		damages_report(r->objects, r->request_id, &j->damages, &r->told);
		drive_times_due(r->objects);
	}
	return (j);
}

void
readahead_drop(struct body_reader *r, struct read_job *j)
{
	struct readahead *h = &r->objects->readahead;
	bool taken;

	TAILQ_REMOVE(&r->jobs, j, entry);
	r->job_count--;
	j->reader = NULL;
	pthread_mutex_lock(&h->lock);
	taken = j->state == JOB_TAKEN;
	if (j->state == JOB_WAITING)
		queue_remove(h, j);
	else if (j->state == JOB_DONE && j->tell)
		TAILQ_REMOVE(&h->told, j, queue_entry);
	j->tell = taken;	/* A2 */
	pthread_mutex_unlock(&h->lock);
	if (!taken)
		readahead_job_free(j);
}

/* --- For all readers. --- */

void
readahead_init(struct objects *o)
{
	struct readahead *h = &o->readahead;
	cpu_set_t cpus;

	pthread_mutex_init(&h->lock, NULL);
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->cold);
	TAILQ_INIT(&h->told);
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 0)
		h->helpers_max = (unsigned)CPU_COUNT(&cpus) - 1;
	if (h->helpers_max > HELPERS_MAX)
		h->helpers_max = HELPERS_MAX;
}

void
readahead_release(struct objects *o)
{
	struct readahead *h = &o->readahead;

	assert(h->helpers == 0 && TAILQ_EMPTY(&h->waiting) && TAILQ_EMPTY(&h->cold) &&
	    TAILQ_EMPTY(&h->told));
	pthread_mutex_destroy(&h->lock);
}
