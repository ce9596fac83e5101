/*
 * probe - asks all services for their contract at once, because somebody asked for status.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/probe.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "supervisord/report.h"
#include "supervisord/supervisor.h"

#define WAITERS_MAX		64
#define CONTRACT_BYTES_MAX	(64 * 1024)
#define REPLY_BYTES_MAX		(BUS_MESSAGE_BYTES_MAX - 4096)

struct probe {
	struct supervisor	*supervisor;
	struct message		*waiters[WAITERS_MAX];
	unsigned		 waiter_count;
	unsigned		 outstanding;
	uint64_t		 asked_ms;
};

struct probe_call {
	struct probe	*probe;
	struct child	*child;
	uint64_t	 generation;
};

static void probe_start(struct probe *p);

static struct probe *
probe_new(struct supervisor *s)
{
	struct probe *p = calloc(1, sizeof(*p));

	assert(p != NULL);
	p->supervisor = s;
	return (p);
}

/* Everything; without contracts where they would make it too large to send. */
static char *
services_print(const struct supervisor *s)
{
	char *text = NULL;

	for (int observed = 1; observed >= 0; observed--) {
		cJSON *o = cJSON_CreateObject(), *array;

		cJSON_AddBoolToObject(o, "observed", true);
		cJSON_AddItemToObject(o, "holdfastd", report_supervisor(s));
		array = cJSON_AddArrayToObject(o, "services");
		for (unsigned i = 0; i < s->child_count; i++)
			cJSON_AddItemToArray(array, report_child(&s->children[i], observed));
		text = cJSON_PrintUnformatted(o);
		cJSON_Delete(o);
		assert(text != NULL);
		if (observed == 0 || strlen(text) <= REPLY_BYTES_MAX)
			break;
		free(text);
	}
	return (text);
}

static void
probe_finish(struct probe *p)
{
	struct supervisor *s = p->supervisor;
	Hf__StatusReply reply = HF__STATUS_REPLY__INIT;

	reply.json = services_print(s);
	for (unsigned i = 0; i < p->waiter_count; i++)
		message_reply(&p->waiters[i], &reply.base);
	free(reply.json);
	free(p);
	s->probe = s->probe_next;
	s->probe_next = NULL;
	if (s->probe != NULL)
		probe_start(s->probe);
}

/* Keeps the contract and what it says about the state. */
static void
contract_take(struct child *c, const char *json)
{
	cJSON *o = strlen(json) <= CONTRACT_BYTES_MAX ? cJSON_Parse(json) : NULL;
	const cJSON *current = cJSON_GetObjectItemCaseSensitive(o, "current");
	const cJSON *state = cJSON_IsObject(current) ?
	    cJSON_GetObjectItemCaseSensitive(current, "state") : current;
	const char *text = cJSON_GetStringValue(state);

	free(c->contract);
	c->contract = o != NULL ? strdup(json) : NULL;
	c->degraded = text != NULL && strcmp(text, "degraded") == 0;
	c->unanswered_ms = 0;
	cJSON_Delete(o);
}

static void
on_status(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct probe_call *call = context;
	struct probe *p = call->probe;
	struct child *c = call->child;

	(void)e;
	if (c->pid != 0 && c->generation == call->generation) {
		if (code == 0) {
			contract_take(c, ((const Hf__StatusReply *)body)->json);
		} else if (code != ERR_CANCELLED && c->unanswered_ms == 0 &&
		    (code == ERR_TIMEOUT || child_is_ready(c))) {
			/* One that is still starting may not listen yet: that is no silence. */
			c->unanswered_ms = p->asked_ms;
		}
	}
	free(call);
	if (--p->outstanding == 0)
		probe_finish(p);
}

static void
probe_ask(struct probe *p, struct child *c)
{
	struct supervisor *s = p->supervisor;
	Hf__Empty request = HF__EMPTY__INIT;
	struct probe_call *call = malloc(sizeof(*call));
	char name[64], path[108];

	assert(call != NULL);
	*call = (struct probe_call){ p, c, c->generation };
	p->outstanding++;
	snprintf(name, sizeof(name), "%s.control", c->name);
	message_call(s->bus, supervisor_run_path(s, name, path), MESSAGE_STATUS, &request.base,
	    "holdfastd", p->asked_ms + s->config.supervisor_probe_interval, on_status, call);
}

static void
probe_start(struct probe *p)
{
	struct supervisor *s = p->supervisor;

	p->asked_ms = clock_mono_ms();
	for (unsigned i = 0; i < s->child_count; i++)
		if (s->children[i].pid != 0)
			probe_ask(p, &s->children[i]);
	if (p->outstanding == 0)
		probe_finish(p);
}

void
probe_request(struct supervisor *s, struct message *m)
{
	struct probe **p = s->probe == NULL ? &s->probe : &s->probe_next;
	bool start = s->probe == NULL;
	struct err e = ERR_INIT;

	if (*p == NULL)
		*p = probe_new(s);
	if ((*p)->waiter_count == WAITERS_MAX) {
		err_set(&e, ERR_BUSY, "%d status requests wait already", WAITERS_MAX);
		message_refuse(&m, &e);
		return;
	}
	(*p)->waiters[(*p)->waiter_count++] = m;
	if (start)
		probe_start(*p);
}

static void
waiters_refuse(struct probe *p)
{
	struct err e = { ERR_CANCELLED, "holdfastd is stopping" };

	for (unsigned i = 0; p != NULL && i < p->waiter_count; i++)
		message_refuse(&p->waiters[i], &e);
	if (p != NULL)
		p->waiter_count = 0;
}

/* The round under way ends with the bus: its last call frees it. */
void
probe_close(struct supervisor *s)
{
	waiters_refuse(s->probe);
	waiters_refuse(s->probe_next);
	free(s->probe_next);
	s->probe_next = NULL;
}
