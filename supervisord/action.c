/*
 * action - what an operator asked to be done with services, until it is done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/action.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "supervisord/action_internal.h"
#include "supervisord/announce.h"
#include "supervisord/report.h"

#define ACTIONS_MAX 64

static void start_begin(struct action *a, struct child *c);
static void stop_begin(struct action *a, struct child *c);
static void restart_begin(struct action *a, struct child *c);
static enum progress up_progress(const struct action *a, const struct target *t);
static enum progress down_progress(const struct action *a, const struct target *t);

static const struct action_row rows[] = {
	/* name	      rolling  backwards  begin		   progress */
	{ "start",    false,   false,	  start_begin,	   up_progress },
	{ "stop",     false,   true,	  stop_begin,	   down_progress },
	{ "restart",  true,    false,	  restart_begin,   up_progress },
	{ "pause",    false,   false,	  forward_begin,   forward_progress },
	{ "resume",   false,   false,	  forward_begin,   forward_progress },
	{ "reload",   false,   false,	  forward_begin,   forward_progress },
	{ "run-now",  false,   false,	  forward_begin,   forward_progress },
	{ "cancel",   false,   false,	  forward_begin,   forward_progress },
};

static void
start_begin(struct action *a, struct child *c)
{
	(void)a;
	c->wanted = true;
	child_forgive(c);
	supervisor_changed(c->supervisor);
}

static void
stop_begin(struct action *a, struct child *c)
{
	c->wanted = false;
	child_stop(c, a->reason, true);
	supervisor_changed(c->supervisor);
}

static void
restart_begin(struct action *a, struct child *c)
{
	c->wanted = true;
	child_forgive(c);
	if (c->pid != 0)
		child_stop(c, a->reason, true);
	supervisor_changed(c->supervisor);
}

/* Up: ready, and for a restart in a generation that is not the one before. */
static enum progress
up_progress(const struct action *a, const struct target *t)
{
	const struct child *c = t->child;
	bool newer = !a->row->rolling || c->generation > t->generation;

	if (newer && child_is_ready(c))
		return (PROGRESS_DONE);
	if (!c->wanted)
		return (PROGRESS_FAILED);	/* somebody asked for the contrary since */
	if (c->generation > t->generation &&
	    (c->state == CHILD_BACKOFF || c->state == CHILD_FAILED))
		return (PROGRESS_FAILED);
	return (PROGRESS_WAITING);
}

static enum progress
down_progress(const struct action *a, const struct target *t)
{
	(void)a;
	if (t->child->stop_step == STOP_GIVEN_UP || t->child->wanted)
		return (PROGRESS_FAILED);
	return (t->child->pid == 0 ? PROGRESS_DONE : PROGRESS_WAITING);
}

static cJSON *
target_report(const struct action *a, const struct target *t)
{
	cJSON *full = report_child(t->child, false), *o = cJSON_CreateObject();
	static const char *const fields[] = { "name", "state", "pid", "generation", "note" };

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(full, fields[i]);

		if (item != NULL)
			cJSON_AddItemToObject(o, fields[i], item);
	}
	cJSON_Delete(full);
	cJSON_AddStringToObject(o, "result", t->progress == PROGRESS_DONE ? "done" :
	    t->progress == PROGRESS_FAILED ? "failed" : t->begun ? "under way" :
	    a->aborted ? "left as it was" : "waiting for its turn");
	if (t->error[0] != '\0')
		cJSON_AddStringToObject(o, "error", t->error);
	return (o);
}

/* Answers the asker, if one still waits. */
static void
action_answer(struct action *a)
{
	Hf__ActionReply reply = HF__ACTION_REPLY__INIT;
	cJSON *o, *instances;
	bool done = true;

	if (a->message == NULL)
		return;
	o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "action", a->row->name);
	instances = cJSON_AddArrayToObject(o, "instances");
	for (unsigned i = 0; i < a->target_count; i++) {
		done &= a->targets[i].progress == PROGRESS_DONE;
		cJSON_AddItemToArray(instances, target_report(a, &a->targets[i]));
	}
	cJSON_AddBoolToObject(o, "done", done);
	reply.json = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	assert(reply.json != NULL);
	message_reply(&a->message, &reply.base);
	free(reply.json);
}

static void
action_free(struct action *a)
{
	struct action **at = &a->supervisor->actions;

	while (*at != NULL && *at != a)
		at = &(*at)->next;
	if (*at != NULL)
		*at = a->next;
	if (a->deadline != NULL)
		event_free(a->deadline);
	free(a->targets);
	free(a);
}

static void
target_begin(struct action *a, struct target *t)
{
	t->begun = true;
	t->generation = t->child->generation;
	a->row->begin(a, t->child);
}

/* Whether it is a target's turn: in a rolling action when all before it are done, in one that goes
 * backwards when all that follow its service are. */
static bool
target_may_begin(const struct action *a, const struct target *t)
{
	for (const struct target *o = a->targets; o < a->targets + a->target_count; o++) {
		if (o->progress != PROGRESS_WAITING || o == t)
			continue;
		if (a->row->rolling && o < t)
			return (false);
		if (a->row->backwards && service_follows(service_rows, service_row_count,
		    o->child->row_index, t->child->row_index))
			return (false);
	}
	return (true);
}

/* Looks at each target and begins what may begin; true if that changed anything. */
static bool
targets_advance(struct action *a)
{
	bool moved = false;

	for (unsigned i = 0; i < a->target_count; i++) {
		struct target *t = &a->targets[i];

		if (!t->begun && !a->aborted && target_may_begin(a, t)) {
			target_begin(a, t);
			moved = true;
		}
		if (t->begun && t->progress == PROGRESS_WAITING) {
			t->progress = a->row->progress(a, t);
			moved |= t->progress != PROGRESS_WAITING;
		}
		if (t->progress == PROGRESS_FAILED && a->row->rolling)
			a->aborted = true;	/* one broken instance is enough */
	}
	return (moved);
}

/* Moves one action on; true when it is over. */
static bool
action_advance(struct action *a)
{
	while (targets_advance(a))
		continue;
	for (unsigned i = 0; i < a->target_count; i++)
		if (a->targets[i].progress == PROGRESS_WAITING && !a->aborted)
			return (false);
	return (true);
}

void
actions_advance(struct supervisor *s)
{
	struct action *next;

	for (struct action *a = s->actions; a != NULL; a = next) {
		next = a->next;
		if (a->calls > 0 || !action_advance(a))
			continue;
		action_answer(a);
		action_free(a);
	}
}

static void
on_deadline(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	action_answer(context);		/* A2 */
}

static const struct action_row *
row_find(const char *name)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, name) == 0)
			return (&rows[i]);
	return (NULL);
}

/* "s3" and "s3.1" and "all". */
static bool
target_matches(const struct child *c, const char *service)
{
	return (strcmp(service, "all") == 0 || strcmp(service, c->row->name) == 0 ||
	    strcmp(service, c->name) == 0);
}

static int
targets_find(struct action *a, const char *service, struct err *e)
{
	struct supervisor *s = a->supervisor;
	const struct child *disabled = NULL;

	a->targets = calloc(s->child_count + 1, sizeof(*a->targets));
	assert(a->targets != NULL);
	for (unsigned i = 0; i < s->child_count; i++) {
		struct child *c = &s->children[i];

		if (!target_matches(c, service))
			continue;
		if (c->state == CHILD_DISABLED)
			disabled = c;
		else
			a->targets[a->target_count++].child = c;
	}
	if (a->target_count > 0 || strcmp(service, "all") == 0)
		return (0);
	if (disabled != NULL)
		return (err_set(e, ERR_DENIED, "%s is disabled (source: %s): enable it there and "
		    "restart holdfastd", service, config_source_name(disabled->enabled_source)));
	return (err_set(e, ERR_NOT_FOUND, "there is no service \"%.64s\"", service));
}

static int
action_check(struct supervisor *s, const Hf__ActionRequest *request, struct err *e)
{
	unsigned count = 0;

	if (s->stopping)
		return (err_set(e, ERR_UNAVAILABLE, "holdfastd is stopping"));
	if (row_find(request->action) == NULL)
		return (err_set(e, ERR_INVALID, "there is no action \"%.64s\"", request->action));
	for (const struct action *a = s->actions; a != NULL; a = a->next)
		count++;
	if (count >= ACTIONS_MAX)
		return (err_set(e, ERR_BUSY, "%u actions are under way already", count));
	return (0);
}

static void
action_start(struct action *a, const Hf__ActionRequest *request)
{
	struct supervisor *s = a->supervisor;
	struct timeval wait = { (time_t)(request->wait_ms / 1000),
		(suseconds_t)(request->wait_ms % 1000 * 1000) };

	a->next = s->actions;
	s->actions = a;
	if (action_advance(a) || request->wait_ms == 0)
		action_answer(a);
	if (a->message != NULL) {
		a->deadline = evtimer_new(s->base, on_deadline, a);
		assert(a->deadline != NULL);
		evtimer_add(a->deadline, &wait);
	}
	supervisor_changed(s);		/* the loop goes on with it, and frees it when it is over */
}

void
action_request(struct supervisor *s, struct message *m)
{
	const Hf__ActionRequest *request = (const Hf__ActionRequest *)m->body;
	const char *asked_by = m->envelope->asked_by;
	struct err e = ERR_INIT;
	struct action *a;
	int rc;

	announce(LOG_INFO, "%.20s %.64s asked by %.100s%s%.200s", request->action, request->service,
	    asked_by[0] != '\0' ? asked_by : "somebody", request->reason[0] != '\0' ? ": " : "",
	    request->reason);
	rc = action_check(s, request, &e);
	if (rc == 0 && strcmp(request->action, "reload") == 0 &&
	    (strcmp(request->service, "holdfastd") == 0 || strcmp(request->service, "all") == 0))
		rc = supervisor_reload(s, asked_by, &e);
	if (rc < 0) {
		message_refuse(&m, &e);
		return;
	}
	a = calloc(1, sizeof(*a));
	assert(a != NULL);
	a->supervisor = s;
	a->row = row_find(request->action);
	a->message = m;
	snprintf(a->reason, sizeof(a->reason), "%.20s asked by %.100s%s%.200s", request->action,
	    asked_by, request->reason[0] != '\0' ? ": " : "", request->reason);
	snprintf(a->asked_by, sizeof(a->asked_by), "%s", asked_by);
	snprintf(a->said, sizeof(a->said), "%s", request->reason);
	snprintf(a->argument, sizeof(a->argument), "%s", request->argument);
	if (strcmp(request->service, "holdfastd") != 0 || strcmp(request->action, "reload") != 0)
		rc = targets_find(a, request->service, &e);
	if (rc < 0) {
		announce(LOG_WARN, "refused: %s", e.text);
		message_refuse(&a->message, &e);
		action_free(a);
		return;
	}
	action_start(a, request);
}

void
actions_close(struct supervisor *s)
{
	struct err e = { ERR_CANCELLED, "holdfastd is stopping" };
	struct action *next;

	for (struct action *a = s->actions; a != NULL; a = next) {
		next = a->next;
		if (a->message != NULL)
			message_refuse(&a->message, &e);
		if (a->deadline != NULL)
			event_free(a->deadline);
		a->deadline = NULL;
		if (a->calls == 0)
			action_free(a);		/* else its last call frees it, with the bus */
		else
			a->closing = true;
	}
}
