/*
 * tool_live - a running store to be checked: a session with it on a thread of its own, on which the
 * loop runs, while the check waits for answers on the first thread.
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
#include "libobject/walk.h"

#define ASK_MS	60000	/* a restart of the store, or a checkpoint of a large index */

struct tool_live {
	struct event_base	*base;
	struct pool		*pool;
	struct objects		*objects;
	struct ask		*ask;
	int			 stop_fd;	/* written to end the loop */
	struct event		*stop;
	pthread_t		 thread;
	bool			 running;
	struct walk		 walk;
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
	if (rc == 0)
		rc = ask_open(l->objects, "store-check", ASK_MS, &l->ask, e);
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
	l->base = event_base_new();
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(l->base != NULL && l->stop_fd >= 0);
	l->stop = event_new(l->base, l->stop_fd, EV_READ, on_stop, l);
	assert(l->stop != NULL);
	event_add(l->stop, NULL);
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

	return (walk_keep(l->ask, &l->walk, e));
}
