/*
 * report - what is shown of a child and of holdfastd itself, as JSON. Reading changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/report.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libservice/json_add.h"
#include "supervisord/procfs.h"
#include "supervisord/supervisor.h"

const char *
report_state(const struct child *c)
{
	if (c->pid != 0 && c->unanswered_ms != 0 && c->state != CHILD_STOPPING)
		return ("unknown");
	if (c->state == CHILD_RUNNING && c->degraded)
		return ("degraded");
	return (child_state_name(c->state));
}

static void
add_note(cJSON *o, const struct child *c)
{
	char note[600] = "";
	uint64_t now = clock_mono_ms();

	if (c->pid != 0 && c->unanswered_ms != 0)
		snprintf(note, sizeof(note), "has not answered for %llu ms",
		    (unsigned long long)(now - c->unanswered_ms));
	else if (c->state == CHILD_STOPPED && c->wanted)
		supervisor_blocker(c->supervisor, c, note, sizeof(note));
	else if (c->state == CHILD_STOPPED && !c->wanted)
		snprintf(note, sizeof(note), "%s", c->supervisor->stopping ?
		    "holdfastd is stopping" : "stopped by an operator");
	else if (c->state == CHILD_DISABLED)
		snprintf(note, sizeof(note), "disabled (source: %s)",
		    config_source_name(c->enabled_source));
	else if (c->state == CHILD_BACKOFF || c->state == CHILD_FAILED)
		snprintf(note, sizeof(note), "next start in %.1f s: %s (holdfastctl logs %s)",
		    (double)(c->next_start_ms > now ? c->next_start_ms - now : 0) / 1000, c->note,
		    c->name);
	else if (c->paused)
		snprintf(note, sizeof(note), "paused");
	else
		snprintf(note, sizeof(note), "%s", c->status_text);
	cJSON_AddStringToObject(o, "note", note);
}

static void
add_last_exit(cJSON *o, const struct child_exit *x)
{
	char how[200];
	cJSON *exit;

	if (!x->valid) {
		cJSON_AddNullToObject(o, "last_exit");
		return;
	}
	exit = cJSON_AddObjectToObject(o, "last_exit");
	child_exit_format(x, how, sizeof(how));
	cJSON_AddStringToObject(exit, "text", how);
	if (x->signal != 0)
		cJSON_AddNumberToObject(exit, "signal", x->signal);
	else
		cJSON_AddNumberToObject(exit, "code", x->code);
	cJSON_AddBoolToObject(exit, "core", x->core);
	cJSON_AddBoolToObject(exit, "asked", x->asked);
	cJSON_AddBoolToObject(exit, "killed_at_deadline", x->forced);
	json_add_number(exit, "ran_ms", x->ran_ms);
	json_add_time(exit, "at", x->at_real_ms);
}

static void
add_usage(cJSON *o, const struct child *c)
{
	uint64_t ran = clock_mono_ms() - c->started_ms;
	struct process_stat stat;

	if (c->pid == 0 || !process_stat(c->pid, &stat))
		return;
	json_add_number(o, "cpu_ms", stat.cpu_ms);
	cJSON_AddNumberToObject(o, "cpu_percent",
	    ran > 0 ? (double)(stat.cpu_ms * 1000 / ran) / 10 : 0);
	json_add_number(o, "rss_bytes", stat.rss_bytes);
	json_add_number(o, "pss_bytes", process_pss(c->pid));
	if (stat.state == 'T' || stat.state == 't')
		cJSON_AddBoolToObject(o, "stopped_by_signal", true);
}

static void
add_process(cJSON *o, const struct child *c)
{
	uint64_t now = clock_mono_ms(), real = clock_real_ms();

	json_add_number(o, "generation", c->generation);
	json_add_number(o, "starts", c->starts);
	json_add_number(o, "restarts", c->starts > 0 ? c->starts - 1 : 0);
	json_add_number(o, "failures", c->failures);
	if (c->pid == 0)
		return;
	json_add_number(o, "pid", (uint64_t)c->pid);
	json_add_number(o, "pid_start_ticks", c->pid_start_ticks);
	json_add_time(o, "started", real - (now - c->started_ms));
	json_add_number(o, "uptime_ms", now - c->started_ms);
	if (c->ready_ms != 0) {
		json_add_time(o, "ready_since", real - (now - c->ready_ms));
		json_add_number(o, "ready_ms", now - c->ready_ms);
	}
	if (c->unanswered_ms != 0)
		json_add_number(o, "unanswered_ms", now - c->unanswered_ms);
	if (c->stop_step == STOP_TERMED && c->kill_at_ms > now)
		json_add_number(o, "kill_in_ms", c->kill_at_ms - now);
}

static void
add_desired(cJSON *o, const struct child *c)
{
	cJSON *desired = cJSON_AddObjectToObject(o, "desired");
	bool by_config = c->state == CHILD_DISABLED || c->wanted;

	cJSON_AddStringToObject(desired, "state", c->state == CHILD_DISABLED ? "disabled" :
	    c->wanted ? "enabled" : "stopped");
	cJSON_AddStringToObject(desired, "source", by_config ?
	    config_source_name(c->enabled_source) : "operator");
}

/* The contract of a service that cannot speak for itself: its process is gone or is silent. */
static cJSON *
contract_instead(const struct child *c)
{
	cJSON *o = cJSON_CreateObject(), *part;

	add_desired(o, c);
	part = cJSON_AddObjectToObject(o, "current");
	cJSON_AddStringToObject(part, "state", report_state(c));
	json_add_number(part, "generation", c->generation);
	if (c->pid != 0)
		json_add_number(part, "pid", (uint64_t)c->pid);
	json_add_time(part, "since", c->since_real_ms);
	part = cJSON_AddObjectToObject(o, "status");
	cJSON_AddStringToObject(part, "last_error", c->note);
	part = cJSON_AddObjectToObject(o, "shutdown");
	json_add_number(part, "deadline_ms", c->row->stop_ms);
	cJSON_AddArrayToObject(o, "side_effects");
	cJSON_AddArrayToObject(cJSON_AddObjectToObject(o, "reconcile"), "plan");
	return (o);
}

cJSON *
report_child(const struct child *c, bool observed)
{
	uint64_t now = clock_mono_ms();
	cJSON *o = cJSON_CreateObject();

	assert(o != NULL);
	cJSON_AddStringToObject(o, "name", c->name);
	cJSON_AddStringToObject(o, "service", c->row->name);
	cJSON_AddNumberToObject(o, "instance", c->instance);
	cJSON_AddStringToObject(o, "state", report_state(c));
	json_add_time(o, "since", c->since_real_ms);
	add_desired(o, c);
	add_process(o, c);
	if (c->state == CHILD_BACKOFF || c->state == CHILD_FAILED)
		json_add_number(o, "next_start_in_ms",
		    c->next_start_ms > now ? c->next_start_ms - now : 0);
	add_last_exit(o, &c->last_exit);
	cJSON_AddBoolToObject(o, "paused", c->paused);
	add_note(o, c);
	cJSON_AddStringToObject(o, "log", c->log.file.path);
	json_add_number(o, "log_lines_lost", c->log.file.lost_lines_total);
	if (!observed)
		return (o);
	add_usage(o, c);
	cJSON_AddItemToObject(o, "contract", c->contract != NULL ? cJSON_Parse(c->contract) :
	    contract_instead(c));
	return (o);
}

static void
add_status(cJSON *o, const struct supervisor *s)
{
	cJSON *status = cJSON_AddObjectToObject(o, "status"), *sockets;
	unsigned wanted = 0, ready = 0;

	for (unsigned i = 0; i < s->child_count; i++) {
		wanted += s->children[i].wanted;
		ready += child_is_ready(&s->children[i]);
	}
	json_add_number(status, "processes", s->child_count);
	json_add_number(status, "processes_wanted", wanted);
	json_add_number(status, "processes_ready", ready);
	json_add_number(status, "orphans_killed", s->orphans.killed_total);
	json_add_number(status, "stops_forced", s->forced_stops);
	cJSON_AddStringToObject(status, "last_error", s->last_error);
	sockets = cJSON_AddObjectToObject(status, "sockets");
	for (unsigned i = 0; i < s->sockets.count; i++)
		cJSON_AddStringToObject(sockets, s->sockets.groups[i].name,
		    s->sockets.groups[i].address);
}

static void
add_plan(cJSON *o, const struct supervisor *s)
{
	cJSON *plan = cJSON_AddArrayToObject(cJSON_AddObjectToObject(o, "reconcile"), "plan");
	char line[700], blocker[128];

	for (unsigned i = 0; i < s->child_count; i++) {
		const struct child *c = &s->children[i];

		if (!c->wanted || child_is_ready(c))
			continue;
		supervisor_blocker(s, c, blocker, sizeof(blocker));
		snprintf(line, sizeof(line), "%s is %s: %s", c->name, child_state_name(c->state),
		    blocker[0] != '\0' ? blocker : c->state == CHILD_STARTING ?
		    "waits for it to say that it is ready" : "start it");
		cJSON_AddItemToArray(plan, cJSON_CreateString(line));
	}
	for (const char *key = s->pending; key != NULL && *key != '\0'; ) {
		size_t bytes = strcspn(key, "\n");

		snprintf(line, sizeof(line),
		    "restart holdfastd: %.*s was changed in the configuration", (int)bytes, key);
		cJSON_AddItemToArray(plan, cJSON_CreateString(line));
		key += bytes + (key[bytes] == '\n');
	}
}

cJSON *
report_supervisor(const struct supervisor *s)
{
	static const char *const effects[] = { "starts and ends processes",
		"holds listening sockets", "writes logs and its state file" };
	cJSON *o = cJSON_CreateObject(), *part;
	struct process_stat stat = { 0 };

	assert(o != NULL);
	cJSON_AddStringToObject(o, "service", "holdfastd");
	cJSON_AddStringToObject(o, "version", PACKAGE_VERSION);
	part = cJSON_AddObjectToObject(o, "desired");
	cJSON_AddStringToObject(part, "state", "enabled");
	cJSON_AddStringToObject(part, "source", "default");
	part = cJSON_AddObjectToObject(o, "current");
	cJSON_AddStringToObject(part, "state", s->stopping ? "stopping" :
	    s->announced_ready ? "running" : "starting");
	json_add_number(part, "pid", (uint64_t)getpid());
	json_add_number(part, "generation", 1);
	json_add_time(part, "since", s->started_real_ms);
	json_add_number(part, "uptime_ms", clock_mono_ms() - s->started_ms);
	if (process_stat(getpid(), &stat)) {
		json_add_number(part, "pid_start_ticks", stat.start_ticks);
		json_add_number(part, "cpu_ms", stat.cpu_ms);
		json_add_number(part, "rss_bytes", stat.rss_bytes);
	}
	add_status(o, s);
	part = cJSON_AddObjectToObject(o, "shutdown");
	cJSON_AddStringToObject(part, "cancellation_source", s->stopping ? s->stop_reason : "");
	cJSON_AddBoolToObject(part, "explicit_stop_handle", true);
	part = cJSON_AddArrayToObject(o, "side_effects");
	for (unsigned i = 0; i < sizeof(effects) / sizeof(effects[0]); i++)
		cJSON_AddItemToArray(part, cJSON_CreateString(effects[i]));
	add_plan(o, s);
	cJSON_AddStringToObject(o, "config_path", s->config_path);
	cJSON_AddStringToObject(o, "run_dir", s->config.supervisor_run_dir);
	cJSON_AddStringToObject(o, "log_dir", s->config.supervisor_log_dir);
	json_add_config(cJSON_AddArrayToObject(o, "config"), &s->config);
	return (o);
}
