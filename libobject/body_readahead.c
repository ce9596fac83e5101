/*
 * body_readahead - who reads the jobs of a reader: threads of the pool, several jobs or one a turn,
 * or the loop itself.
 *
 *     waiting ──claim──► taken ──► done ──► delivered
 *        │ in a group of the pool, or none     (by whoever claimed it)
 *
 * Waking a thread, and being woken by it, costs as much as copying 100 KiB from the page cache. So
 * while bytes are there (not `cold`), the loop reads the job that the caller waits for, or another
 * one while a thread has that, instead of sleeping; and threads get the others by the group. When
 * bytes are not there every job goes to a thread of its own, so that all drives are busy.
 *
 * A1  A job is read by whoever claims it, once. The loop alone makes, groups, delivers and frees.
 * A2  A job is freed when its reader has dropped it and no group holds it. Its memory goes back
 *     before that, if no thread is reading it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/metrics.h"
#include "libobject/body_reader_internal.h"

#define GROUP_MIN	50	/* jobs that are worth waking a thread for */
#define GROUP_MAX	32
#define GROUP_ENDED	0x80000000u
#define COLD_JOBS	8

struct read_group {
	struct work	 work;
	struct body_reader *reader;	/* stays until its last group is back */
	struct read_job	*jobs[GROUP_MAX];
	unsigned	 count;		/* atomic; with GROUP_ENDED no more are taken */
	bool		 claimed;	/* its one job was claimed for it */
};

/* A1 */
static bool
job_claim(struct read_job *j)
{
	enum job_state waiting = JOB_WAITING;

	return (__atomic_compare_exchange_n(&j->state, &waiting, JOB_TAKEN, false, __ATOMIC_ACQ_REL,
	    __ATOMIC_ACQUIRE));
}

static bool
job_done(const struct read_job *j)
{
	return (__atomic_load_n(&j->state, __ATOMIC_ACQUIRE) == JOB_DONE);
}

static void
job_finish(struct read_job *j)
{
	__atomic_store_n(&j->state, JOB_DONE, __ATOMIC_RELEASE);
}

static void
job_memory_put(struct read_job *j)
{
	if (j->memory_bytes > 0)
		memory_give(j->objects, j->memory_bytes);
	buffer_put(j->objects, j->memory, j->buffer_bytes);
	j->memory = NULL;
	j->memory_bytes = 0;
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
	assert(j->groups == 0);		/* A2 */
	job_count_rebuilt(j);
	job_memory_put(j);
	free(j);
}

void
readahead_drop(struct body_reader *r, struct read_job *j)
{
	TAILQ_REMOVE(&r->jobs, j, entry);
	r->job_count--;
	j->reader = NULL;
	if (j->groups == 0)
		readahead_job_free(j);
	else if (job_done(j) || job_claim(j))
		job_memory_put(j);
}

/* --- Groups. --- */

static void
group_run(void *context)
{
	struct read_group *g = context;
	unsigned i, n;

	for (i = 0;; i++) {
		n = i;
		if (__atomic_compare_exchange_n(&g->count, &n, n | GROUP_ENDED, false,
		    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return;
		if (g->claimed || job_claim(g->jobs[i])) {
			read_job_run(g->jobs[i]);
			job_finish(g->jobs[i]);
		}
	}
}

static void
on_group(void *context)
{
	struct read_group *g = context;
	struct body_reader *r = g->reader;
	unsigned i;

	for (i = 0; i < (g->count & ~GROUP_ENDED); i++)
		if (--g->jobs[i]->groups == 0 && g->jobs[i]->reader == NULL)
			readahead_job_free(g->jobs[i]);
	if (r->group == g)
		r->group = NULL;
	free(g);
	r->groups--;
	if (!r->freed)
		reader_advance(r);
	else if (r->groups == 0)
		free(r);
}

static struct read_group *
group_new(struct body_reader *r)
{
	struct read_group *g = calloc(1, sizeof(*g));

	if (g == NULL)
		abort();
	g->reader = r;
	return (g);
}

/* False: it is full, or its thread has ended it. */
static bool
group_add(struct read_group *g, struct read_job *j)
{
	unsigned n = __atomic_load_n(&g->count, __ATOMIC_ACQUIRE);

	if (n >= GROUP_MAX)
		return (false);
	g->jobs[n] = j;
	if (!__atomic_compare_exchange_n(&g->count, &n, n + 1, false, __ATOMIC_ACQ_REL,
	    __ATOMIC_ACQUIRE))
		return (false);
	j->given = true;
	j->groups++;
	return (true);
}

static void
group_submit(struct read_group *g)
{
	g->reader->groups++;
	work_submit(g->reader->objects, &g->work, group_run, on_group, g);
}

static void
job_submit(struct body_reader *r, struct read_job *j, bool claimed)
{
	struct read_group *g = group_new(r);

	g->claimed = claimed;
	(void)group_add(g, j);
	group_submit(g);
}

/* --- For the reader. --- */

static bool
reader_warm(const struct body_reader *r)
{
	return (r->cold == 0 && r->objects->disk == disk_posix());
}

void
readahead_add(struct body_reader *r, struct read_job *j)
{
	j->reader = r;
	TAILQ_INSERT_TAIL(&r->jobs, j, entry);
	r->job_count++;
}

static bool
job_ungiven(const struct read_job *j)
{
	return (!j->given && !job_done(j));
}

/* The first is the loop's. The thread that is at it takes what came since; if there is none, some
 * must come together. */
static void
group_feed(struct body_reader *r)
{
	struct read_job *j, *first = TAILQ_FIRST(&r->jobs);
	unsigned n = 0;

	TAILQ_FOREACH(j, &r->jobs, entry) {
		if (j == first || !job_ungiven(j))
			continue;
		if (r->group != NULL && !group_add(r->group, j))
			r->group = NULL;
		n += !j->given;
	}
	if (n + 1 < read_jobs_max(r->objects->k) / 2)
		return;
	r->group = group_new(r);
	TAILQ_FOREACH(j, &r->jobs, entry)
		if (j != first && job_ungiven(j))
			(void)group_add(r->group, j);
	group_submit(r->group);
}

void
readahead_go(struct body_reader *r)
{
	struct read_job *j;

	if (reader_warm(r)) {
		group_feed(r);
		return;
	}
	TAILQ_FOREACH(j, &r->jobs, entry)
		if (job_ungiven(j))
			job_submit(r, j, false);
}

bool
readahead_take(struct body_reader *r)
{
	struct read_job *j;

	if (!reader_warm(r))
		return (false);
	TAILQ_FOREACH(j, &r->jobs, entry)
		if (job_claim(j))
			break;
	if (j == NULL)
		return (false);
	if (read_job_try(j)) {
		job_finish(j);
		return (true);
	}
	r->cold = COLD_JOBS;
	job_submit(r, j, true);
	readahead_go(r);
	return (false);
}

struct read_job *
readahead_first(struct body_reader *r)
{
	struct read_job *j = TAILQ_FIRST(&r->jobs);

	if (j == NULL || !job_done(j))
		return (NULL);
	if (!j->settled) {
		j->settled = true;
		r->cold -= r->cold > 0;
		job_count_rebuilt(j);
		damages_report(r->objects, r->request_id, &j->damages, &r->told);
	}
	return (j);
}
