/*
 * tool_live - a running store to be checked: a session with it on a thread of its own, on which the
 * loop runs, while the check waits for answers on the first thread.
 *
 * L1  A checkpoint does not outlive its store. When the connection was lost for GONE_MS, or the
 *     store does not know the checkpoint any more, the check is cancelled, whatever it reads, and
 *     no question waits any longer; tool_live_why says what happened.
 * L2  Nor does one when the check is cancelled from outside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ctl/tool.h"
#include "libbase/clock.h"
#include "libobject/walk.h"

#define ASK_MS	60000	/* a start of the store, or a checkpoint of a large index */
#define GONE_MS	1000
#define LOOK_MS	200

struct tool_live {
	struct event_base	*base;
	struct pool		*pool;
	struct objects		*objects;
	struct ask		*ask;
	int			 stop_fd;	/* written to end the loop */
	struct event		*stop;
	struct event		*look;		/* every LOOK_MS: L1, L2 */
	pthread_t		 thread;
	bool			 running;
	struct walk		 walk;
	volatile bool		*cancelled;	/* of the check */
	/* when the connection was lost; 0: it is there, or was not yet */
	uint64_t		 lost_ms;
	pthread_mutex_t		 lock;
	struct err		 why;		/* L1; under lock */
};

static void *
loop_main(void *context)
{
	struct tool_live *l = context;

	event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
	/* On the loop's thread, as they ask for. */
	ask_close(&l->ask);
	objects_close(&l->objects);
	return (NULL);
}

static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct tool_live *l = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(l->base);
}

/* L1; on either thread */
static void
live_gone(struct tool_live *l, int code, const char *text)
{
	pthread_mutex_lock(&l->lock);
	if (l->why.code == 0 && !*l->cancelled)
		err_set(&l->why, code, "%s; check again", text);
	pthread_mutex_unlock(&l->lock);
	*l->cancelled = true;
}

static void
on_state(void *context, bool connected)
{
	struct tool_live *l = context;

	l->lost_ms = connected ? 0 : clock_mono_ms();
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct tool_live *l = arg;

	(void)fd;
	(void)what;
	if (l->lost_ms != 0 && clock_mono_ms() - l->lost_ms >= GONE_MS)
		live_gone(l, ERR_UNAVAILABLE, "the store went away while it was checked, and with "
		    "it the checkpoint of its index that was read");
	if (*l->cancelled)
		ask_cancel(l->ask);
}

static int
live_start(struct tool_live *l, const char *channel, struct err *e)
{
	struct objects_options o = { .base = l->base, .channel_path = channel, .table_fd = -1,
	    .readers_fd = -1, .name = "check" };
	int rc;

	rc = pool_open(l->base, 1, 16, &l->pool, e);
	o.pool = l->pool;
	if (rc == 0)
		rc = objects_open(&o, &l->objects, e);
	if (rc == 0) {
		objects_on_state(l->objects, on_state, l);
		rc = ask_open(l->objects, "store-check", ASK_MS, &l->ask, e);
	}
	if (rc == 0 && pthread_create(&l->thread, NULL, loop_main, l) != 0)
		rc = err_set(e, ERR_INTERNAL, "cannot start a thread");
	l->running = rc == 0;
	return (rc);
}

int
tool_live_open(struct tool *t, struct tool_live **out, struct err *e)
{
	struct tool_live *l = calloc(1, sizeof(*l));
	char channel[4200];
	int rc;

	assert(l != NULL);
	*out = l;
	l->cancelled = &t->cancelled;
	pthread_mutex_init(&l->lock, NULL);
	l->base = event_base_new();
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(l->base != NULL && l->stop_fd >= 0);
	l->stop = event_new(l->base, l->stop_fd, EV_READ, on_stop, l);
	assert(l->stop != NULL);
	event_add(l->stop, NULL);
	l->look = event_new(l->base, -1, EV_PERSIST, on_look, l);
	assert(l->look != NULL);
	event_add(l->look, &(struct timeval){ 0, LOOK_MS * 1000 });
	snprintf(channel, sizeof(channel), "%s/store.channel", t->config.supervisor_run_dir);
	rc = live_start(l, channel, e);
	if (rc < 0)
		tool_live_close(out);
	return (rc);
}

void
tool_live_close(struct tool_live **lp)
{
	struct tool_live *l = *lp;
	ssize_t n;

	if (l == NULL)
		return;
	*lp = NULL;
	if (l->running) {
		walk_end(l->ask, &l->walk);
		n = write(l->stop_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
		assert(n == sizeof(uint64_t));
		pthread_join(l->thread, NULL);
	} else {
		ask_close(&l->ask);
		objects_close(&l->objects);
	}
	if (l->pool != NULL)
		pool_close(&l->pool);
	event_free(l->stop);
	event_free(l->look);
	pthread_mutex_destroy(&l->lock);
	close(l->stop_fd);
	event_base_free(l->base);
	free(l);
}

int
tool_live_walk(void *context, char directory[4096], uint64_t *lsn, struct err *e)
{
	struct tool_live *l = context;
	struct walk before = l->walk;
	int rc;

	rc = walk_begin(l->ask, 0, &l->walk, e);
	walk_end(l->ask, &before);
	if (rc < 0)
		return (rc);
	memcpy(directory, l->walk.directory, sizeof(l->walk.directory));
	*lsn = l->walk.lsn;
	return (0);
}

int
tool_live_keep(void *context, struct err *e)
{
	struct tool_live *l = context;
	struct err why = ERR_INIT;
	int rc = walk_keep(l->ask, &l->walk, &why);

	if (rc < 0) {
		live_gone(l, rc, why.text);
		err_set(e, rc, "%s", why.text);
	}
	return (rc);
}

int
tool_live_why(struct tool_live *l, struct err *e)
{
	int code;

	pthread_mutex_lock(&l->lock);
	code = l->why.code;
	if (code != 0)
		*e = l->why;
	pthread_mutex_unlock(&l->lock);
	return (code);
}
