/*
 * work - jobs for the pool that are never refused: what finds the pool's queue full waits here.
 * Bodies bound how many there are (a writer has one job and its syncs, a reader a few).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/objects_internal.h"

#include <assert.h>

#define RETRY_MS 2	/* only while others fill the pool with none of our jobs in it */

static void
work_run(void *context)
{
	struct work *w = context;

	w->work(w->context);
}

static void works_drain(struct objects *o);

static void
work_done(void *context)
{
	struct work *w = context;
	struct objects *o = w->objects;

	o->works.submitted--;
	w->done(w->context);	/* may free w */
	works_drain(o);
	objects_put(o);
}

static void
works_drain(struct objects *o)
{
	struct works *ws = &o->works;
	struct timeval delay = { 0, 1000 * RETRY_MS };
	struct work *w;

	while ((w = TAILQ_FIRST(&ws->waiting)) != NULL) {
		if (pool_submit(o->pool, work_run, work_done, w) < 0)
			break;
		TAILQ_REMOVE(&ws->waiting, w, entry);
		ws->submitted++;
	}
	if (w != NULL && ws->submitted == 0)
		event_add(ws->retry, &delay);
}

void
work_submit(struct objects *o, struct work *w, pool_work_fn *work, pool_done_fn *done,
    void *context)
{
	w->objects = o;
	w->work = work;
	w->done = done;
	w->context = context;
	objects_get(o);
	TAILQ_INSERT_TAIL(&o->works.waiting, w, entry);
	works_drain(o);
}

static void
works_on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	works_drain(arg);
}

void
works_init(struct objects *o)
{
	TAILQ_INIT(&o->works.waiting);
	o->works.retry = evtimer_new(o->base, works_on_retry, o);
	assert(o->works.retry != NULL);
}

void
works_release(struct objects *o)
{
	assert(TAILQ_EMPTY(&o->works.waiting) && o->works.submitted == 0);
	event_free(o->works.retry);
}
