/*
 * pool - threads for blocking work; results come back through the loop.
 *
 * P1  done runs on the loop's thread only, once for each accepted work, in order of completion;
 *     what the work told meanwhile runs before it.
 * P2  The queue never holds more than queue_max; a full one refuses.
 *
 * Threads and loop meet in one mutex; the eventfd only wakes the loop, and is written only when the
 * list of finished work was empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/pool.h"

#include <sys/eventfd.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
	struct job	*next;
	pool_work_fn	*work;
	pool_done_fn	*done;
	void		*context;
};

struct job_list {
	struct job	*first, **last;
};

struct pool {
	pthread_mutex_t	 lock;
	pthread_cond_t	 wake;
	struct job_list	 waiting, finished;
	unsigned	 queued, queue_max, running;
	bool		 closing;
	unsigned	 thread_count;
	pthread_t	*threads;
	int		 wake_fd;
	struct event	*wake_event;
};

static void
list_push(struct job_list *l, struct job *j)
{
	j->next = NULL;
	*l->last = j;
	l->last = &j->next;
}

static struct job *
list_pop(struct job_list *l)
{
	struct job *j = l->first;

	if (j == NULL)
		return (NULL);
	l->first = j->next;
	if (l->first == NULL)
		l->last = &l->first;
	return (j);
}

/* Called with the lock held. */
static void
pool_finish(struct pool *p, struct job *j)
{
	bool was_empty = p->finished.first == NULL;

	list_push(&p->finished, j);
	if (was_empty) {
		ssize_t n = write(p->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));

		assert(n == sizeof(uint64_t) || errno == EAGAIN);
	}
}

static void *
pool_thread(void *context)
{
	struct pool *p = context;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while ((j = list_pop(&p->waiting)) == NULL && !p->closing)
			pthread_cond_wait(&p->wake, &p->lock);
		if (j == NULL)
			break;
		p->queued--;
		p->running++;
		pthread_mutex_unlock(&p->lock);
		j->work(j->context);
		pthread_mutex_lock(&p->lock);
		p->running--;
		pool_finish(p, j);
	}
	pthread_mutex_unlock(&p->lock);
	return (NULL);
}

static void
pool_deliver(struct pool *p)
{
	struct job *j, *next;

	pthread_mutex_lock(&p->lock);
	j = p->finished.first;
	p->finished = (struct job_list){ NULL, &p->finished.first };
	pthread_mutex_unlock(&p->lock);
	for (; j != NULL; j = next) {
		next = j->next;
		j->done(j->context);
		free(j);
	}
}

static void
pool_on_wake(evutil_socket_t fd, short what, void *context)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)what;
	assert(n == sizeof(count) || errno == EAGAIN);
	pool_deliver(context);
}

static int
pool_start_threads(struct pool *p, unsigned threads, struct err *e)
{
	sigset_t all, before;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (p->thread_count < threads && rc == 0) {
		rc = pthread_create(&p->threads[p->thread_count], NULL, pool_thread, p);
		if (rc == 0)
			p->thread_count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return (err_errno(e, rc, "cannot start thread %u of %u", p->thread_count + 1,
		    threads));
	return (0);
}

/* It is held for less than putting a thread to sleep takes. */
static void
lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(lock, &a);
	pthread_mutexattr_destroy(&a);
}

int
pool_open(struct event_base *base, unsigned threads, unsigned queue_max, struct pool **out,
    struct err *e)
{
	struct pool *p;
	int rc;

	assert(threads > 0 && queue_max > 0);
	p = calloc(1, sizeof(*p));
	if (p == NULL || (p->threads = calloc(threads, sizeof(p->threads[0]))) == NULL)
		abort();
	p->queue_max = queue_max;
	p->waiting.last = &p->waiting.first;
	p->finished.last = &p->finished.first;
	lock_init(&p->lock);
	pthread_cond_init(&p->wake, NULL);
	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake_fd < 0) {
		rc = err_errno(e, errno, "cannot make an eventfd");
		goto fail;
	}
	p->wake_event = event_new(base, p->wake_fd, EV_READ | EV_PERSIST, pool_on_wake, p);
	if (p->wake_event == NULL || event_add(p->wake_event, NULL) < 0) {
		rc = err_set(e, ERR_INTERNAL, "cannot watch the eventfd of a pool");
		goto fail;
	}
	rc = pool_start_threads(p, threads, e);
	if (rc < 0)
		goto fail;
	*out = p;
	return (0);
fail:
	pool_close(&p);
	return (rc);
}

void
pool_close(struct pool **pp)
{
	struct pool *p = *pp;
	unsigned i;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	pool_deliver(p);
	if (p->wake_event != NULL)
		event_free(p->wake_event);
	if (p->wake_fd >= 0)
		close(p->wake_fd);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
	*pp = NULL;
}

int
pool_submit(struct pool *p, pool_work_fn *work, pool_done_fn *done, void *context)
{
	struct job *j;

	pthread_mutex_lock(&p->lock);
	if (p->closing || p->queued >= p->queue_max) {	/* P2 */
		pthread_mutex_unlock(&p->lock);
		return (ERR_BUSY);
	}
	j = malloc(sizeof(*j));
	if (j == NULL)
		abort();
	*j = (struct job){ .work = work, .done = done, .context = context };
	list_push(&p->waiting, j);
	p->queued++;
	pthread_mutex_unlock(&p->lock);
	pthread_cond_signal(&p->wake);	/* who wakes would only wait for the lock */
	return (0);
}

void
pool_tell(struct pool *p, pool_done_fn *fn, void *context)
{
	struct job *j = malloc(sizeof(*j));

	if (j == NULL)
		abort();
	*j = (struct job){ .done = fn, .context = context };
	pthread_mutex_lock(&p->lock);
	pool_finish(p, j);
	pthread_mutex_unlock(&p->lock);
}

unsigned
pool_queued(const struct pool *p)
{
	return (__atomic_load_n(&p->queued, __ATOMIC_RELAXED));
}

unsigned
pool_running(const struct pool *p)
{
	return (__atomic_load_n(&p->running, __ATOMIC_RELAXED));
}
