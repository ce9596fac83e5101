/*
 * rebuild_crew - a few threads that do jobs side by side, until all of a round are done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "libstore/maintain/rebuild_internal.h"

struct crew {
	pthread_mutex_t		 lock;
	pthread_cond_t		 begin, end;
	pthread_t		 threads[DRIVES_MAX + 2];
	unsigned		 thread_count;
	const struct crew_job	*jobs;
	unsigned		 count, next, done;
	bool			 stopping;
};

/* With lock, given up over the job. */
static void
job_do(struct crew *c)
{
	const struct crew_job *j = &c->jobs[c->next++];

	pthread_mutex_unlock(&c->lock);
	j->work(j->context);
	pthread_mutex_lock(&c->lock);
	if (++c->done == c->count)
		pthread_cond_signal(&c->end);
}

static void *
crew_main(void *context)
{
	struct crew *c = context;

	pthread_mutex_lock(&c->lock);
	while (!c->stopping)
		if (c->next < c->count)
			job_do(c);
		else
			pthread_cond_wait(&c->begin, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return (NULL);
}

struct crew *
crew_new(unsigned threads)
{
	struct crew *c = calloc(1, sizeof(*c));
	sigset_t all, old;

	assert(c != NULL && threads <= sizeof(c->threads) / sizeof(*c->threads));
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->begin, NULL);
	pthread_cond_init(&c->end, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	/* Fewer threads, or none, only take longer. */
	while (c->thread_count < threads &&
	    pthread_create(&c->threads[c->thread_count], NULL, crew_main, c) == 0)
		c->thread_count++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return (c);
}

void
crew_free(struct crew **crew)
{
	struct crew *c = *crew;
	unsigned i;

	if (c == NULL)
		return;
	*crew = NULL;
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_broadcast(&c->begin);
	pthread_mutex_unlock(&c->lock);
	for (i = 0; i < c->thread_count; i++)
		pthread_join(c->threads[i], NULL);
	pthread_cond_destroy(&c->begin);
	pthread_cond_destroy(&c->end);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void
crew_run(struct crew *c, const struct crew_job *jobs, unsigned count)
{
	if (count == 0)
		return;
	pthread_mutex_lock(&c->lock);
	c->jobs = jobs;
	c->count = count;
	c->next = c->done = 0;
	pthread_cond_broadcast(&c->begin);
	while (c->next < c->count)
		job_do(c);
	while (c->done < c->count)
		pthread_cond_wait(&c->end, &c->lock);
	c->count = c->next = 0;
	pthread_mutex_unlock(&c->lock);
}
