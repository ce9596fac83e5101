/*
 * supervisor_open - sets the supervisor up and takes it down, in reverse.
 *
 * Order matters: the lock before anything is touched, predecessors' processes gone before anything
 * is started, sockets before READY, the bus before the first child.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "supervisord/action.h"
#include "supervisord/announce.h"
#include "supervisord/control.h"
#include "supervisord/init_notify.h"
#include "supervisord/orphans.h"
#include "supervisord/probe.h"
#include "supervisord/run_dir.h"
#include "supervisord/shutdown.h"
#include "supervisord/spawn.h"
#include "supervisord/state_file.h"
#include "supervisord/supervisor_internal.h"

#define PREDECESSOR_WAIT_MS 5000

static void
on_stop_signal(evutil_socket_t number, short what, void *context)
{
	(void)what;
	shutdown_request(context, number == SIGINT ? "SIGINT" : "SIGTERM", "a signal", true);
}

static void
on_reload_signal(evutil_socket_t number, short what, void *context)
{
	struct err e = ERR_INIT;

	(void)number;
	(void)what;
	supervisor_reload(context, "SIGHUP", &e);
}

static void
signals_open(struct supervisor *s)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	s->signals[0] = evsignal_new(s->base, SIGTERM, on_stop_signal, s);
	s->signals[1] = evsignal_new(s->base, SIGINT, on_stop_signal, s);
	s->signals[2] = evsignal_new(s->base, SIGHUP, on_reload_signal, s);
	for (unsigned i = 0; i < 3; i++) {
		assert(s->signals[i] != NULL);
		event_add(s->signals[i], NULL);
	}
}

static int
directories_make(struct supervisor *s, struct err *e)
{
	char path[4096];
	int rc;

	rc = run_dir_prepare(s->config.supervisor_run_dir, e);
	if (rc < 0)
		return (rc);
	rc = run_dir_lock(s->config.supervisor_run_dir, &s->lock_fd, e);
	if (rc < 0)
		return (rc);
	rc = directory_make(s->config.supervisor_log_dir, 0750, e);
	if (rc < 0)
		return (err_prefix(e, "supervisor.log_dir"));
	rc = directory_make(s->config.supervisor_state_dir, 0750, e);
	if (rc < 0)
		return (err_prefix(e, "supervisor.state_dir"));
	snprintf(path, sizeof(path), "%.4000s/holdfastd.log", s->config.supervisor_log_dir);
	announce_open(path, s->quickstart, s->config.supervisor_log_bytes_max,
	    (unsigned)s->config.supervisor_log_files_max);
	return (0);
}

/* The pipe that ends when we end: children hold the other side of it. */
static int
parent_pipe_open(struct supervisor *s, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return (err_errno(e, errno, "cannot make the parent pipe"));
	s->parent_read_fd = spawn_raise_fd(fds[0]);
	s->parent_write_fd = fds[1];
	return (0);
}

static int
children_open(struct supervisor *s, struct err *e)
{
	unsigned order[SERVICE_ROWS_MAX], total = 0;
	int rc;

	rc = service_order(service_rows, service_row_count, order, e);
	if (rc < 0)
		return (rc);
	for (unsigned i = 0; i < service_row_count; i++)
		total += service_instances(&service_rows[i], &s->config);
	s->children = calloc(total, sizeof(*s->children));
	assert(s->children != NULL || total == 0);
	for (unsigned i = 0; i < service_row_count; i++) {
		unsigned count = service_instances(&service_rows[order[i]], &s->config);

		for (unsigned n = 0; n < count; n++) {
			rc = child_init(&s->children[s->child_count++], s, order[i], n, e);
			if (rc < 0)
				return (rc);
		}
	}
	return (0);
}

static int
bus_start(struct supervisor *s, struct err *e)
{
	char path[108];
	int rc;

	rc = bus_open(s->base, &s->bus, e);
	if (rc < 0)
		return (rc);
	rc = event_publisher_open(s->bus, supervisor_run_path(s, "events", path), &s->publisher, e);
	return (rc < 0 ? rc : control_open(s, e));
}

static void
limits_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);	/* services inherit it; less is no error */
	}
}

static int
open_all(struct supervisor *s, struct err *e)
{
	int rc;

	if ((rc = directories_make(s, e)) < 0 ||
	    (rc = state_file_predecessors(s, PREDECESSOR_WAIT_MS, e)) < 0 ||
	    (rc = credentials_ensure(&s->config, &s->credentials, e)) < 0 ||
	    (rc = scrape_token_ensure(&s->config, e)) < 0 ||
	    (rc = sockets_open(&s->sockets, &s->config, e)) < 0 ||
	    (rc = shared_table_open(&s->table, e)) < 0 ||
	    (rc = parent_pipe_open(s, e)) < 0 ||
	    (rc = children_open(s, e)) < 0)
		return (rc);
	state_file_generations(s);
	return (bus_start(s, e));
}

int
supervisor_open(struct supervisor *s, struct err *e)
{
	int rc;

	s->lock_fd = s->parent_read_fd = s->parent_write_fd = -1;
	s->table = (struct shared_table){ -1, -1, -1 };
	s->stop_within_ms = UINT64_MAX;
	s->started_real_ms = clock_real_ms();
	s->started_ms = clock_mono_ms();
	limits_raise();
	s->base = event_base_new();
	assert(s->base != NULL);
	s->settle_event = event_new(s->base, -1, 0, supervisor_on_settle, s);
	assert(s->settle_event != NULL);
	signals_open(s);
	orphans_open(s);
	rc = open_all(s, e);
	if (rc < 0)
		supervisor_close(s);
	return (rc);
}

int
supervisor_run(struct supervisor *s)
{
	for (unsigned i = 0; i < s->sockets.count; i++)
		announce(LOG_INFO, "listening on %s for %s", s->sockets.groups[i].address,
		    s->sockets.groups[i].name);
	supervisor_changed(s);
	event_base_dispatch(s->base);
	return (s->forced_stops > 0 ? 1 : 0);
}

static void
fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
supervisor_close(struct supervisor *s)
{
	actions_close(s);
	probe_close(s);
	control_close(s);
	if (s->publisher != NULL)
		event_publisher_close(&s->publisher);
	if (s->bus != NULL)
		bus_close(&s->bus);
	for (unsigned i = 0; i < s->child_count; i++)
		child_release(&s->children[i]);
	free(s->children);
	free(s->pending);
	s->children = NULL;
	s->child_count = 0;
	sockets_close(&s->sockets);
	shared_table_close(&s->table);
	fd_close(&s->parent_read_fd);
	fd_close(&s->parent_write_fd);
	orphans_close(s);
	for (unsigned i = 0; i < 3; i++)
		event_free(s->signals[i]);
	event_free(s->settle_event);
	event_base_free(s->base);
	fd_close(&s->lock_fd);
	announce_close();
}
