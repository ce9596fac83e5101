/*
 * pool_memory - see pool_memory.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/pool_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 256

struct job {
	pool_work_fn	*work;
	pool_done_fn	*done;
	void		*context;
};
struct pool {
	struct job	 jobs[JOBS_MAX], told[JOBS_MAX];
	unsigned	 count, told_count;
};

int
pool_open(struct event_base *base, unsigned threads, unsigned queue_max, struct pool **out,
    struct err *e)
{
	(void)base;
	(void)threads;
	(void)queue_max;
	(void)e;
	*out = calloc(1, sizeof(**out));
	assert(*out != NULL);
	return (0);
}

void
pool_close(struct pool **pp)
{
	struct pool *p = *pp;

	if (p == NULL)
		return;
	while (pool_memory_run(p, 0))
		;
	*pp = NULL;
	free(p);
}

int
pool_submit(struct pool *p, pool_work_fn *work, pool_done_fn *done, void *context)
{
	if (p->count == JOBS_MAX)
		return (ERR_BUSY);
	p->jobs[p->count++] = (struct job){ work, done, context };
	return (0);
}

void
pool_tell(struct pool *p, pool_done_fn *fn, void *context)
{
	assert(p->told_count < JOBS_MAX);
	p->told[p->told_count++] = (struct job){ .done = fn, .context = context };
}

int
pool_memory_run(struct pool *p, unsigned n)
{
	struct job j;
	unsigned i;

	if (p->count == 0)
		return (0);
	n %= p->count;
	j = p->jobs[n];
	p->count--;
	memmove(&p->jobs[n], &p->jobs[n + 1], (p->count - n) * sizeof(j));
	j.work(j.context);
	for (i = 0; i < p->told_count; i++)
		p->told[i].done(p->told[i].context);
	p->told_count = 0;
	j.done(j.context);
	return (1);
}

unsigned
pool_queued(const struct pool *p)
{
	return (p->count);
}

unsigned
pool_running(const struct pool *p)
{
	(void)p;
	return (0);
}
