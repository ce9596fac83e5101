/*
 * service - the life of a service process, from its arguments to its exit status.
 *
 * V2  Nothing of the service runs after close.
 * V3  The first TERM drains, the second closes at once; holdfastd's KILL is the third.
 *
 * V1 is service_state.c's.
 *
 *   service_run: launch, config, log, parent │ loop, signals, bus, events, pool │ open │ rights
 *                │ control │ ready │ loop │ pool, close, control, events, bus
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/service_internal.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/clock.h"

#define POOL_QUEUE_MAX	1024

void
service_drained(struct service *s)
{
	event_base_loopexit(s->base, NULL);
}

void
service_fail(struct service *s, const struct err *e)
{
	(void)s;
	log_error("%s", e->text);
	_exit(e->code == ERR_CONFIG ? 2 : 1);
}

/* --- Signals and the parent. --- */

static void
on_term(evutil_socket_t signal_number, short what, void *arg)
{
	struct service *s = arg;
	const char *name = signal_number == SIGTERM ? "TERM" : "INT";

	(void)what;
	if (++s->terms > 1) {		/* V3 */
		log_warn("%s again: closing now", name);
		event_base_loopbreak(s->base);
		return;
	}
	log_info("%s received: stopping", name);
	service_set_state(s, SERVICE_STOPPING);
	launch_notify(&s->launch, "STOPPING=1\n");
	if (s->ops->drain != NULL)
		s->ops->drain(s);
	else
		service_drained(s);
}

static void
on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct err e = ERR_INIT;

	(void)fd;
	(void)what;
	service_reload(arg, "SIGHUP", &e);
}

static void
on_parent(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)what;
	(void)arg;
	if (read(fd, &byte, 1) != 0)
		return;
	log_error("holdfastd is gone: exiting");
	_exit(1);
}

static struct event *
service_watch(struct service *s, int number, short what, event_callback_fn on)
{
	struct event *v = event_new(s->base, number, what | EV_PERSIST, on, s);

	assert(v != NULL);
	event_add(v, NULL);
	return (v);
}

/* A terminal's Ctrl-C reaches the whole group: under holdfastd only holdfastd reacts to it. */
static void
service_watch_all(struct service *s)
{
	s->term = service_watch(s, SIGTERM, EV_SIGNAL, on_term);
	s->hangup = service_watch(s, SIGHUP, EV_SIGNAL, on_hangup);
	if (s->launch.parent_fd >= 0)
		s->parent = service_watch(s, s->launch.parent_fd, EV_READ, on_parent);
	else
		s->interrupt = service_watch(s, SIGINT, EV_SIGNAL, on_term);
}

static void
process_prepare(void)
{
	sigset_t none;

	umask(077);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
}

/* --- Up and down. --- */

static int
service_connect(struct service *s, struct err *e)
{
	char path[108];
	int rc;

	s->base = event_base_new();
	if (s->base == NULL)
		return (err_set(e, ERR_INTERNAL, "cannot make an event loop"));
	service_watch_all(s);
	rc = bus_open(s->base, &s->bus, e);
	if (rc == 0)
		rc = event_subscribe(s->bus, service_run_path(s, "events", path), service_on_event,
		    s, &s->events, e);
	if (rc == 0 && s->ops->pool_threads > 0)
		rc = pool_open(s->base, s->ops->pool_threads, POOL_QUEUE_MAX, &s->pool, e);
	return (rc);
}

static int
service_serve(struct service *s, struct err *e)
{
	const struct message_handler *const tables[] = { service_handlers, s->ops->messages };
	char name[80], path[108];

	snprintf(name, sizeof(name), "%s.control", s->name);
	return (
	    message_serve(s->bus, service_run_path(s, name, path), tables, 2, s, &s->control, e));
}

static int
service_up(struct service *s, bool *opened, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	rc = service_connect(s, e);
	if (rc == 0)
		rc = s->ops->open(s, e);
	if (rc < 0)
		return (rc);
	*opened = true;
	if (rights_drop(&why) < 0)
		log_warn("going on with more rights than needed: %s", why.text);
	rc = service_serve(s, e);
	if (rc == 0 && s->ready_wanted)
		service_ready(s);
	return (rc);
}

static void
service_down(struct service *s, bool opened)
{
	struct event *watches[] = { s->term, s->hangup, s->parent, s->interrupt };
	size_t i;

	pool_close(&s->pool);
	if (opened && s->ops->close != NULL)
		s->ops->close(s);
	message_server_close(&s->control);	/* V2 */
	event_subscriber_close(&s->events);
	bus_close(&s->bus);
	for (i = 0; i < sizeof(watches) / sizeof(watches[0]); i++)
		if (watches[i] != NULL)
			event_free(watches[i]);
	if (s->base != NULL)
		event_base_free(s->base);
}

/* With launch and config there. */
static int
service_live(struct service *s)
{
	struct err e = ERR_INIT;
	bool opened = false;
	int rc;

	snprintf(s->name, sizeof(s->name), "%s.%u", s->ops->name, s->launch.instance);
	log_init(s->name, service_log_level(&s->config));
	s->state = SERVICE_STARTING;
	s->since_ms = clock_real_ms();
	rc = launch_bind_to_parent(&s->launch, &e);
	if (rc == 0)
		rc = service_up(s, &opened, &e);
	if (rc == 0)
		event_base_dispatch(s->base);
	else
		log_error("%s", e.text);
	service_down(s, opened);
	if (rc == 0)
		log_info("stopped");
	return (rc == 0 ? 0 : 1);
}

int
service_run(int argc, char **argv, const struct service_ops *ops)
{
	struct service *s = calloc(1, sizeof(*s));
	struct err e = ERR_INIT;
	int rc, status;

	assert(s != NULL && ops->name != NULL && ops->open != NULL);
	s->ops = ops;
	process_prepare();
	rc = launch_read(&s->launch, ops->name, argc, argv, &e);
	if (rc == 0)
		rc = config_load(&s->config, s->launch.config_path, &e);
	if (rc == 0) {
		status = service_live(s);
		config_release(&s->config);
	} else {
		if (rc != ERR_CANCELLED)
			fprintf(stderr, "holdfast-%s: %s\n", ops->name, e.text);
		status = rc == ERR_CANCELLED ? 0 : 2;
	}
	free(s);
	return (status);
}

/* --- What a service asks. --- */

struct event_base *
service_base(struct service *s)
{
	return (s->base);
}

const struct config *
service_config(struct service *s)
{
	return (&s->config);
}

struct bus *
service_bus(struct service *s)
{
	return (s->bus);
}

struct pool *
service_pool(struct service *s)
{
	return (s->pool);
}

unsigned
service_instance(const struct service *s)
{
	return (s->launch.instance);
}

uint64_t
service_generation(const struct service *s)
{
	return (s->launch.generation);
}

unsigned
service_sockets(const struct service *s, const int **fds)
{
	*fds = s->launch.sockets;
	return (s->launch.socket_count);
}

int
service_table_fd(const struct service *s)
{
	return (s->launch.table_fd);
}

int
service_readers_fd(const struct service *s)
{
	return (s->launch.readers_fd);
}

const char *
service_run_path(const struct service *s, const char *name, char out[108])
{
	int n = snprintf(out, 108, "%s/%s", s->config.supervisor_run_dir, name);

	assert(n > 0 && n < 108);	/* run_dir is at most 80 bytes (config.def) */
	return (out);
}

void *
service_context(const struct service *s)
{
	return (s->context);
}

void
service_set_context(struct service *s, void *context)
{
	s->context = context;
}
