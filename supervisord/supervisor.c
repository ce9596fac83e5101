/*
 * supervisor - all instances of all services, and what they share.
 *
 * Setting up and taking down is supervisor_open.c's business; how one process lives child.c's; the
 * order of the end shutdown.c's; what others ask for control.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/supervisor.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "supervisord/action.h"
#include "supervisord/announce.h"
#include "supervisord/init_notify.h"
#include "supervisord/quickstart.h"
#include "supervisord/shutdown.h"
#include "supervisord/state_file.h"
#include "supervisord/supervisor_internal.h"

#define FORWARD_WAIT_MS 5000

const char *
supervisor_run_path(const struct supervisor *s, const char *name, char out[108])
{
	int n = snprintf(out, 108, "%s/%s", s->config.supervisor_run_dir, name);

	assert(n > 0 && n < 108);	/* run_dir has at most 80 characters, names are short */
	return (out);
}

/* The service's edges to others: what keeps it from starting now? */
void
supervisor_blocker(const struct supervisor *s, const struct child *c, char *out, size_t out_bytes)
{
	bool ready[SERVICE_ROWS_MAX] = { false };

	out[0] = '\0';
	for (unsigned i = 0; i < s->child_count; i++)
		ready[s->children[i].row_index] |= child_is_ready(&s->children[i]);
	for (unsigned i = 0; i < s->child_count && out[0] == '\0'; i++) {
		const struct child *other = &s->children[i];

		if (service_listed(c->row->after, other->row->name) && other->wanted &&
		    other->starts == 0)
			snprintf(out, out_bytes, "waits for %s to be started", other->name);
		else if (service_listed(c->row->needs, other->row->name) &&
		    !ready[other->row_index])
			snprintf(out, out_bytes, "waits for %s to be ready (it is %s)", other->name,
			    child_state_name(other->state));
	}
}

static void
start_what_may(struct supervisor *s)
{
	char blocker[128];

	for (unsigned i = 0; i < s->child_count; i++) {
		struct child *c = &s->children[i];

		if (c->state != CHILD_STOPPED || !c->wanted || c->pid != 0)
			continue;
		supervisor_blocker(s, c, blocker, sizeof(blocker));
		if (blocker[0] == '\0')
			child_start(c);
	}
}

/* Says once that everything is up; init is told as well when something has failed, because a
 * service that does not come up must not keep the others from being used (R2). */
static void
readiness_tell(struct supervisor *s)
{
	unsigned wanted = 0, ready = 0, failed = 0;

	for (unsigned i = 0; i < s->child_count; i++) {
		const struct child *c = &s->children[i];

		wanted += c->wanted;
		ready += c->wanted && child_is_ready(c);
		failed += c->wanted && !child_is_ready(c) && c->failures > 0;
	}
	metric_set(METRIC_supervisor_services_ready, ready);
	init_notify("STATUS=%u of %u service processes are ready", ready, wanted);
	if (ready + failed == wanted)
		init_notify("READY=1");
	if (ready == wanted && !s->announced_ready) {
		s->announced_ready = true;
		announce(LOG_INFO, "all %u service processes are ready after %llu ms", ready,
		    (unsigned long long)(clock_mono_ms() - s->started_ms));
		if (s->quickstart)
			quickstart_summary(s);
	}
}

void
supervisor_on_settle(evutil_socket_t fd, short what, void *context)
{
	struct supervisor *s = context;

	(void)fd;
	(void)what;
	if (s->stopping)
		shutdown_advance(s);
	else
		start_what_may(s);
	if (!s->stopping)
		readiness_tell(s);
	actions_advance(s);
	state_file_write(s);
}

void
supervisor_changed(struct supervisor *s)
{
	event_active(s->settle_event, EV_TIMEOUT, 0);
}

void
supervisor_event(struct supervisor *s, const char *kind, const struct child *c, const char *reason,
    uint64_t deadline_ms, const char *detail)
{
	Hf__Event event = HF__EVENT__INIT;

	event.kind = (char *)kind;
	event.service = (char *)(c != NULL ? c->name : "");
	event.generation = c != NULL ? c->generation : 0;
	event.reason = (char *)reason;
	event.deadline_ms = deadline_ms;
	event.detail = (char *)detail;
	event_publish(s->publisher, &event);
}

static void
on_forwarded(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct child *c = context;

	(void)body;
	if (code < 0 && code != ERR_CANCELLED)
		announce(LOG_WARN, "%s did not take an action: %s", c->name, e->text);
}

void
supervisor_forward(struct supervisor *s, struct child *c, const char *action, const char *reason)
{
	Hf__ActionRequest request = HF__ACTION_REQUEST__INIT;
	char name[64], path[108];

	request.service = c->name;
	request.action = (char *)action;
	request.reason = (char *)reason;
	snprintf(name, sizeof(name), "%s.control", c->name);
	message_call(s->bus, supervisor_run_path(s, name, path), MESSAGE_SERVICE_ACTION,
	    &request.base, "holdfastd", clock_mono_ms() + FORWARD_WAIT_MS, on_forwarded, c);
}

/* Whether a new value takes a restart of ours. Services tell themselves what they wait for. */
static bool
restarts_us(const struct config_row *row)
{
	return (row->apply == CONFIG_RESTART && (strcmp(row->section, "supervisor") == 0 ||
	    strcmp(row->name, "listen") == 0 || strcmp(row->name, "port") == 0 ||
	    strcmp(row->name, "processes") == 0));
}

/* Names the keys whose new value takes a restart of ours, one a line; takes over all others. */
static char *
config_take_over(struct config *running, struct config *loaded)
{
	struct buf pending = BUF_INIT, before = BUF_INIT, after = BUF_INIT;
	char *text;

	for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
		const struct config_row *row = config_row(k);

		buf_reset(&before);
		buf_reset(&after);
		config_format(running, k, &before);
		config_format(loaded, k, &after);
		if (restarts_us(row) &&
		    !slice_equal(buf_slice(&before), buf_slice(&after)))
			buf_printf(&pending, "%s.%s\n", row->section, row->name);
	}
#define KEY(section, name, type, ...)								\
	if (!restarts_us(config_row(CONFIG_KEY_##section##_##name))) {				\
		CONFIG_FIELD_##type value = running->section##_##name;				\
												\
		running->section##_##name = loaded->section##_##name;				\
		loaded->section##_##name = value;						\
		running->source[CONFIG_KEY_##section##_##name] =				\
		    loaded->source[CONFIG_KEY_##section##_##name];				\
	}
#include "schema/config.def"
#undef KEY
	text = pending.bytes > 0 ? strdup(buf_string(&pending)) : NULL;
	buf_release(&pending);
	buf_release(&before);
	buf_release(&after);
	return (text);
}

static void
config_apply_live(struct supervisor *s)
{
	enum log_level level;

	if (log_level_parse(s->config.supervisor_log_level, &level) == 0)
		log_set_level(level);
	announce_limits(s->config.supervisor_log_bytes_max,
	    (unsigned)s->config.supervisor_log_files_max);
	for (unsigned i = 0; i < s->child_count; i++) {
		s->children[i].log.file.bytes_max = s->config.supervisor_log_bytes_max;
		s->children[i].log.file.files_max = (unsigned)s->config.supervisor_log_files_max;
	}
}

int
supervisor_reload(struct supervisor *s, const char *asked_by, struct err *e)
{
	struct config loaded;
	int rc;

	init_notify_reloading();
	rc = config_load(&loaded, s->config_path, e);
	if (rc < 0) {
		announce(LOG_ERROR, "reload asked by %s refused, the old config stays: %s",
		    asked_by, e->text);
		snprintf(s->last_error, sizeof(s->last_error), "%s", e->text);
	} else {
		free(s->pending);
		s->pending = config_take_over(&s->config, &loaded);
		config_release(&loaded);
		s->last_error[0] = '\0';
		config_apply_live(s);
		announce(LOG_INFO, "config reloaded, asked by %s%s", asked_by,
		    s->pending != NULL ? "; some changes wait for a restart of holdfastd" : "");
		supervisor_event(s, "config", NULL, asked_by, 0, "");
		for (unsigned i = 0; i < s->child_count; i++)
			if (child_is_ready(&s->children[i]))
				supervisor_forward(s, &s->children[i], "reload", asked_by);
	}
	supervisor_changed(s);		/* tells init READY=1 again */
	return (rc);
}

int
supervisor_program(const struct supervisor *s, const char *service, char *out, struct err *e)
{
	const char *directory = s->config.supervisor_libexec_dir;

	if (directory[0] != '\0') {
		snprintf(out, 4096, "%.4000s/holdfast-%s", directory, service);
		return (0);
	}
	snprintf(out, 4096, "%.4000s/../libexec/holdfast/holdfast-%s", s->program_dir, service);
	if (access(out, X_OK) == 0)
		return (0);
	/* In a build tree, programs lie where they are made. */
	snprintf(out, 4096, "%.3900s/../services/%s/holdfast-%s", s->program_dir, service, service);
	if (access(out, X_OK) == 0)
		return (0);
	snprintf(out, 4096, "%s/holdfast-%s", HOLDFAST_LIBEXECDIR, service);
	if (access(out, X_OK) == 0)
		return (0);
	return (err_set(e, ERR_NOT_FOUND, "program holdfast-%s is neither in "
	    "%.200s/../libexec/holdfast nor in %s (supervisor.libexec_dir names another place)",
	    service, s->program_dir, HOLDFAST_LIBEXECDIR));
}
