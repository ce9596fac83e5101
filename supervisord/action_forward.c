/*
 * action_forward - actions that a service does itself: pause, resume, reload, run-now, cancel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "supervisord/action_internal.h"

#define FORWARD_MS_MAX 10000

struct forward {
	struct action	*action;
	struct target	*target;
};

static struct target *
target_of(struct action *a, const struct child *c)
{
	for (unsigned i = 0; i < a->target_count; i++)
		if (a->targets[i].child == c)
			return (&a->targets[i]);
	assert(!"a child that is no target");
	return (NULL);
}

static void
on_answer(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct forward *f = context;
	struct action *a = f->action;
	struct target *t = f->target;

	(void)body;
	free(f);
	t->answered = true;
	if (code == 0 && strcmp(a->row->name, "pause") == 0)
		t->child->paused = true;
	else if (code == 0 && strcmp(a->row->name, "resume") == 0)
		t->child->paused = false;
	else if (code < 0)
		snprintf(t->error, sizeof(t->error), "%.199s", e->text);
	if (--a->calls > 0)
		return;
	if (a->closing) {		/* holdfastd is going: nobody else looks at it any more */
		free(a->targets);
		free(a);
		return;
	}
	supervisor_changed(a->supervisor);
}

void
forward_begin(struct action *a, struct child *c)
{
	struct supervisor *s = a->supervisor;
	Hf__ActionRequest request = HF__ACTION_REQUEST__INIT;
	struct target *t = target_of(a, c);
	struct forward *f;
	char name[64], path[108];

	if (c->pid == 0) {
		/* A service that does not run is told when it comes back. */
		c->paused = strcmp(a->row->name, "pause") == 0 ||
		    (c->paused && strcmp(a->row->name, "resume") != 0);
		snprintf(t->error, sizeof(t->error), "is not running");
		t->answered = true;
		return;
	}
	f = malloc(sizeof(*f));
	assert(f != NULL);
	*f = (struct forward){ a, t };
	request.service = c->name;
	request.action = (char *)a->row->name;
	request.reason = a->said;
	request.argument = a->argument;
	a->calls++;
	snprintf(name, sizeof(name), "%s.control", c->name);
	message_call(s->bus, supervisor_run_path(s, name, path), MESSAGE_SERVICE_ACTION,
	    &request.base, a->asked_by, clock_mono_ms() + FORWARD_MS_MAX, on_answer, f);
}

enum progress
forward_progress(const struct action *a, const struct target *t)
{
	(void)a;
	if (!t->answered)
		return (PROGRESS_WAITING);
	return (t->error[0] == '\0' ? PROGRESS_DONE : PROGRESS_FAILED);
}
