/*
 * test_pool - work runs elsewhere, done runs here, the queue is bounded, closing finishes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "libbase/pool.h"

struct task {
	pthread_t	 worker, finisher;
	unsigned	 worked, finished;
	sem_t		*gate;
	sem_t		*started;
};

static unsigned finished_count;

static void
work(void *context)
{
	struct task *t = context;

	t->worker = pthread_self();
	if (t->started != NULL)
		sem_post(t->started);
	if (t->gate != NULL)
		sem_wait(t->gate);
	t->worked++;
}

static void
done(void *context)
{
	struct task *t = context;

	t->finisher = pthread_self();
	t->finished++;
	finished_count++;
}

static void
loop_until(struct event_base *base, unsigned count)
{
	while (finished_count < count)
		event_base_loop(base, EVLOOP_ONCE);
}

static struct pool *told_pool;
static unsigned told_count;

static void
on_told(void *context)
{
	struct task *t = context;

	cr_assert_eq(t->finished, 0, "told before the work is done");
	told_count++;
}

static void
work_that_tells(void *context)
{
	unsigned i;

	for (i = 0; i < 10; i++)
		pool_tell(told_pool, on_told, context);
	work(context);
}

Test(pool, what_work_tells_comes_before_its_end, .timeout = 20)
{
	struct event_base *base = event_base_new();
	struct task tasks[20];
	unsigned i;

	memset(tasks, 0, sizeof(tasks));
	cr_assert_eq(pool_open(base, 3, 20, &told_pool, NULL), 0);
	for (i = 0; i < 20; i++)
		cr_assert_eq(pool_submit(told_pool, work_that_tells, done, &tasks[i]), 0);
	loop_until(base, 20);
	cr_assert_eq(told_count, 200);
	pool_close(&told_pool);
	event_base_free(base);
}

Test(pool, done_comes_back_on_the_loop, .timeout = 20)
{
	struct event_base *base = event_base_new();
	struct task tasks[500];
	struct pool *p = NULL;
	unsigned i;

	memset(tasks, 0, sizeof(tasks));
	cr_assert_eq(pool_open(base, 3, 500, &p, NULL), 0);
	for (i = 0; i < 500; i++)
		cr_assert_eq(pool_submit(p, work, done, &tasks[i]), 0);
	loop_until(base, 500);
	for (i = 0; i < 500; i++) {
		cr_assert_eq(tasks[i].worked, 1);
		cr_assert_eq(tasks[i].finished, 1);
		cr_assert(pthread_equal(tasks[i].finisher, pthread_self()));
		cr_assert(!pthread_equal(tasks[i].worker, pthread_self()));
	}
	cr_assert_eq(pool_queued(p), 0);
	cr_assert_eq(pool_running(p), 0);
	pool_close(&p);
	cr_assert_null(p);
	event_base_free(base);
}

Test(pool, a_full_queue_refuses, .timeout = 20)
{
	struct event_base *base = event_base_new();
	sem_t gate, started;
	struct task tasks[4];
	struct pool *p = NULL;
	unsigned i;

	sem_init(&gate, 0, 0);
	sem_init(&started, 0, 0);
	for (i = 0; i < 4; i++)
		tasks[i] = (struct task){ .gate = &gate, .started = &started };
	cr_assert_eq(pool_open(base, 1, 2, &p, NULL), 0);
	cr_assert_eq(pool_submit(p, work, done, &tasks[0]), 0);
	sem_wait(&started);	/* it runs, and no longer waits in the queue */
	cr_assert_eq(pool_running(p), 1);
	cr_assert_eq(pool_submit(p, work, done, &tasks[1]), 0);
	cr_assert_eq(pool_submit(p, work, done, &tasks[2]), 0);
	cr_assert_eq(pool_queued(p), 2);
	cr_assert_eq(pool_submit(p, work, done, &tasks[3]), ERR_BUSY);
	for (i = 0; i < 3; i++)
		sem_post(&gate);
	loop_until(base, 3);
	cr_assert_eq(tasks[3].worked, 0);
	pool_close(&p);
	event_base_free(base);
}

Test(pool, close_runs_what_is_queued, .timeout = 20)
{
	struct event_base *base = event_base_new();
	struct task tasks[100];
	struct pool *p = NULL;
	unsigned i;

	memset(tasks, 0, sizeof(tasks));
	cr_assert_eq(pool_open(base, 2, 100, &p, NULL), 0);
	for (i = 0; i < 100; i++)
		cr_assert_eq(pool_submit(p, work, done, &tasks[i]), 0);
	pool_close(&p);
	cr_assert_eq(finished_count, 100);
	for (i = 0; i < 100; i++)
		cr_assert_eq(tasks[i].worked + tasks[i].finished, 2);
	pool_close(&p);
	event_base_free(base);
}
