/*
 * service_probe - a real service with nothing to do; test_service.c starts it and talks to it.
 *
 * PROBE in the environment: "full" has everything, "bare" only what every service must have,
 * "stuck" never finishes draining, "refuse" fails to open, "late" is never ready.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/pool.h"
#include "libservice/service.h"

static struct event *drain_timer;
static unsigned pauses, pool_done;

static void
on_work(void *context)
{
	(void)context;
}

static void
on_work_done(void *context)
{
	(void)context;
	pool_done++;
}

static int
probe_open(struct service *s, struct err *e)
{
	const char *how = getenv("PROBE");
	const int *fds;

	if (strcmp(how, "refuse") == 0)
		return (err_set(e, ERR_NOT_FOUND, "the probe has no drive"));
	if (service_pool(s) != NULL)
		pool_submit(service_pool(s), on_work, on_work_done, NULL);
	log_info("probe has %u sockets, table %d", service_sockets(s, &fds), service_table_fd(s));
	service_set_context(s, &pauses);
	if (strcmp(how, "late") != 0)
		service_ready(s);
	return (0);
}

static void
probe_pause(struct service *s, bool paused)
{
	*(unsigned *)service_context(s) += paused;
}

static void
probe_reload(struct service *s)
{
	log_info("probe region is %s", service_config(s)->s3_region);
}

/* Tries what the skeleton has taken away. */
static void
probe_run_now(struct service *s)
{
	char *const argv[] = { (char *)"true", NULL };

	execv("/bin/true", argv);
	log_info("probe execve: %s", strerror(errno));
	log_info("probe umask: %03o", (unsigned)umask(077));
	service_progress(s);
	service_set_degraded(s, "probe has no drive");
	service_set_error(s, &(struct err){ ERR_IO, "probe error" });
}

static void
probe_cancel(struct service *s, const char *reason, uint64_t deadline_ms)
{
	(void)s;
	log_info("probe cancels: %s%s", reason, deadline_ms == 0 ? " without deadline" : "");
}

static void
on_drain_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	log_info("probe drained");
	service_drained(arg);
}

static void
probe_drain(struct service *s)
{
	struct timeval delay = { 0, 50000 };

	if (strcmp(getenv("PROBE"), "stuck") == 0)
		return;
	drain_timer = event_new(service_base(s), -1, 0, on_drain_timer, s);
	event_add(drain_timer, &delay);
}

static void
probe_close(struct service *s)
{
	(void)s;
	if (drain_timer != NULL)
		event_free(drain_timer);
	log_info("probe closed, %u of 1 done", pool_done);
}

static void
probe_status(struct service *s, cJSON *status)
{
	(void)s;
	cJSON_AddNumberToObject(status, "pauses", pauses);
}

static void
probe_reconcile(struct service *s, cJSON *plan)
{
	(void)s;
	cJSON_AddItemToArray(plan, cJSON_CreateString("probe plan"));
}

static const char *const effects[] = { "writes nothing", NULL };

int
main(int argc, char **argv)
{
	static const struct service_ops full = {
		.name = "probe", .side_effects = effects, .has_pause = true, .pool_threads = 2,
		.open = probe_open, .reload = probe_reload, .pause = probe_pause,
		.run_now = probe_run_now, .cancel = probe_cancel, .drain = probe_drain,
		.close = probe_close, .status = probe_status, .reconcile = probe_reconcile,
	};
	static const struct service_ops bare = {
		.name = "probe", .open = probe_open,
	};
	const char *how = getenv("PROBE");

	if (how == NULL)
		return (1);
	return (service_run(argc, argv, strcmp(how, "bare") == 0 ? &bare : &full));
}
