/*
 * ask - questions of threads, carried to the loop and back. See ask.h.
 *
 *   POSTED ── the loop ──► ASKED ── its answer ──► DONE ──► the thread takes it along
 *      └─ the thread leaves: gone   └─ the thread leaves: LEFT ──► the loop drops the call
 *
 * Everything is under one lock. object_call is made under it, too: it never calls back at once, and
 * a thread that leaves early cannot take its request away meanwhile (K3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/ask.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/message_copy.h"
#include "libobject/objects_internal.h"

#define LOOP_SLACK_MS 200	/* the loop says that time is over; if it hangs, the thread does */

enum question_state { POSTED, ASKED, LEFT, DONE };

struct question {
	TAILQ_ENTRY(question)	 entry;		/* not when DONE */
	struct ask		*ask;
	enum question_state	 state;
	Hf__StoreRequest	*request;	/* the thread's */
	uint64_t		 deadline_ms;
	struct object_call	*call;
	Hf__StoreReply		*reply;
	struct err		 why;
};
TAILQ_HEAD(question_list, question);

struct ask {
	struct objects		*objects;
	char			 request_id[40];
	uint64_t		 wait_ms;
	int			 wake_fd;
	struct event		*wake;
	pthread_mutex_t		 lock;
	pthread_cond_t		 changed;
	struct question_list	 posted, asked;	/* asked: also LEFT */
	unsigned		 refs, inside;
	bool			 cancelled;
};

/* --- on the loop ------------------------------------------------------------------------------ */

static void
question_free(struct question *q)
{
	if (q->reply != NULL)
		hf__store_reply__free_unpacked(q->reply, NULL);
	free(q);
}

static void
question_answered(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct question *q = context;
	struct ask *a = q->ask;

	pthread_mutex_lock(&a->lock);
	TAILQ_REMOVE(&a->asked, q, entry);
	if (q->state == LEFT) {
		question_free(q);
	} else {
		q->state = DONE;
		if (code == 0)
			q->reply = message_copy(&reply->base);
		else
			err_set(&q->why, code, "%s", e->text);
		pthread_cond_broadcast(&a->changed);
	}
	pthread_mutex_unlock(&a->lock);
}

static void
posted_ask(struct ask *a)
{
	struct question *q;

	while ((q = TAILQ_FIRST(&a->posted)) != NULL) {
		TAILQ_REMOVE(&a->posted, q, entry);
		TAILQ_INSERT_TAIL(&a->asked, q, entry);
		q->state = ASKED;
		q->call = object_call(a->objects, a->request_id, q->request, q->deadline_ms,
		    question_answered, q);
		q->request = NULL;
	}
}

static void
left_drop(struct ask *a)
{
	struct question *q, *next;

	for (q = TAILQ_FIRST(&a->asked); q != NULL; q = next) {
		next = TAILQ_NEXT(q, entry);
		if (q->state != LEFT)
			continue;
		TAILQ_REMOVE(&a->asked, q, entry);
		object_call_cancel(&q->call);
		question_free(q);
	}
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct ask *a = arg;
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)what;
	assert(n == sizeof(count) || errno == EAGAIN);
	pthread_mutex_lock(&a->lock);
	left_drop(a);
	posted_ask(a);
	pthread_mutex_unlock(&a->lock);
}

/* --- opening and closing ---------------------------------------------------------------------- */

int
ask_open(struct objects *o, const char *request_id, uint64_t wait_ms, struct ask **out,
    struct err *e)
{
	struct ask *a = calloc(1, sizeof(*a));
	pthread_condattr_t attr;

	assert(a != NULL);
	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake_fd < 0) {
		free(a);
		return (err_errno(e, errno, "cannot make an eventfd for questions of threads"));
	}
	a->objects = o;
	objects_get(o);
	a->wait_ms = wait_ms;
	a->refs = 1;
	snprintf(a->request_id, sizeof(a->request_id), "%s", request_id);
	TAILQ_INIT(&a->posted);
	TAILQ_INIT(&a->asked);
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->changed, &attr);
	pthread_condattr_destroy(&attr);
	a->wake = event_new(o->base, a->wake_fd, EV_READ | EV_PERSIST, on_wake, a);
	assert(a->wake != NULL);
	event_add(a->wake, NULL);
	*out = a;
	return (0);
}

static void
loop_wake(const struct ask *a)
{
	ssize_t n = write(a->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));

	assert(n == sizeof(uint64_t) || errno == EAGAIN);
}

void
ask_cancel(struct ask *a)
{
	pthread_mutex_lock(&a->lock);
	a->cancelled = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

void
ask_close(struct ask **ap)
{
	struct ask *a = *ap;

	if (a == NULL)
		return;
	*ap = NULL;
	ask_cancel(a);
	pthread_mutex_lock(&a->lock);
	while (a->inside > 0)
		pthread_cond_wait(&a->changed, &a->lock);
	left_drop(a);
	assert(TAILQ_EMPTY(&a->posted) && TAILQ_EMPTY(&a->asked));
	pthread_mutex_unlock(&a->lock);
	event_free(a->wake);
	objects_put(a->objects);
	a->objects = NULL;
	ask_put(a);
}

void
ask_get(struct ask *a)
{
	pthread_mutex_lock(&a->lock);
	a->refs++;
	pthread_mutex_unlock(&a->lock);
}

void
ask_put(struct ask *a)
{
	bool last;

	pthread_mutex_lock(&a->lock);
	assert(a->refs > 0);
	last = --a->refs == 0;
	pthread_mutex_unlock(&a->lock);
	if (!last)
		return;
	close(a->wake_fd);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* --- on a thread ------------------------------------------------------------------------------ */

/* With the lock held. False: the time is over. */
static bool
changed_wait(struct ask *a, uint64_t deadline_ms)
{
	uint64_t end = deadline_ms + LOOP_SLACK_MS;
	struct timespec at = { (time_t)(end / 1000), (long)(end % 1000) * 1000000 };

	if (deadline_ms > INT64_MAX / 2)
		pthread_cond_wait(&a->changed, &a->lock);
	else
		return (pthread_cond_timedwait(&a->changed, &a->lock, &at) != ETIMEDOUT);
	return (true);
}

/* The thread goes without an answer. */
static int
question_leave(struct question *q, struct err *e)
{
	struct ask *a = q->ask;

	if (q->state == POSTED) {
		TAILQ_REMOVE(&a->posted, q, entry);
		question_free(q);
	} else {
		q->state = LEFT;
		loop_wake(a);
	}
	if (a->cancelled)
		return (err_set(e, ERR_CANCELLED, "the question to the store was cancelled"));
	return (err_set(e, ERR_UNAVAILABLE, "the store gave no answer in time"));
}

static int
question_take(struct question *q, Hf__StoreReply **out, struct err *e)
{
	int code = q->why.code;

	if (code != 0)
		err_set(e, code, "%s", q->why.text);
	*out = q->reply;
	q->reply = NULL;
	question_free(q);
	return (code);
}

int
ask_store_until(struct ask *a, Hf__StoreRequest *request, uint64_t deadline_ms,
    Hf__StoreReply **out, struct err *e)
{
	struct question *q;
	int rc;

	*out = NULL;
	pthread_mutex_lock(&a->lock);
	if (a->cancelled) {
		pthread_mutex_unlock(&a->lock);
		return (err_set(e, ERR_CANCELLED, "the question to the store was cancelled"));
	}
	q = calloc(1, sizeof(*q));
	assert(q != NULL);
	q->ask = a;
	q->request = request;
	q->deadline_ms = deadline_ms;
	TAILQ_INSERT_TAIL(&a->posted, q, entry);
	a->inside++;
	loop_wake(a);
	while (q->state != DONE && !a->cancelled)
		if (!changed_wait(a, deadline_ms))
			break;
	rc = q->state == DONE ? question_take(q, out, e) : question_leave(q, e);
	if (--a->inside == 0)
		pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	return (rc);
}

int
ask_store(void *ask, Hf__StoreRequest *request, Hf__StoreReply **out, struct err *e)
{
	struct ask *a = ask;

	return (ask_store_until(a, request, clock_mono_ms() + a->wait_ms, out, e));
}
