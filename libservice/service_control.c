/*
 * service_control - what every service answers on its control socket, and the cancellation event.
 *
 * An action sets a state, so that asking twice does no harm; each is logged with who asked. What
 * the service does not have is refused with a sentence. Starting and stopping are holdfastd's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/service_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"

static void
on_status(void *context, struct message *m)
{
	Hf__StatusReply reply = HF__STATUS_REPLY__INIT;

	reply.json = contract_json(context);
	message_reply(&m, &reply.base);
	cJSON_free(reply.json);
}

static void
on_metrics(void *context, struct message *m)
{
	struct service *s = context;
	Hf__MetricsReply reply = HF__METRICS_REPLY__INIT;
	Hf__MetricsReply__Value values[METRIC_COUNT], *pointers[METRIC_COUNT];
	char instance[16];
	int i;

	if (s->ops->observe != NULL)
		s->ops->observe(s);
	snprintf(instance, sizeof(instance), "%u", s->launch.instance);
	reply.service = (char *)(uintptr_t)s->ops->name;
	reply.instance = instance;
	reply.values = pointers;
	for (i = 0; i < METRIC_COUNT; i++) {
		Hf__MetricsReply__Value *v = &values[reply.n_values];

		if (!metric_touched((enum metric)i))
			continue;
		hf__metrics_reply__value__init(v);
		v->name = (char *)(uintptr_t)metric_name((enum metric)i);
		v->value = metric_get((enum metric)i);
		pointers[reply.n_values++] = v;
	}
	message_reply(&m, &reply.base);
}

static void
on_log_level(void *context, struct message *m)
{
	const Hf__LogLevelRequest *q = (const Hf__LogLevelRequest *)m->body;
	struct err e = ERR_INIT;
	enum log_level level;

	(void)context;
	if (log_level_parse(q->level, &level) < 0) {
		err_set(&e, ERR_INVALID, "'%.32s' is no log level: error, warn, info or debug",
		    q->level);
		message_refuse(&m, &e);
		return;
	}
	log_write(LOG_INFO, m->envelope->request_id, "log level %s asked by %s", q->level,
	    m->envelope->asked_by);
	log_set_level(level);
	message_reply(&m, NULL);
}

/* --- Actions. A row says how; *already is set when there was nothing to do. --- */

struct action {
	const char	*name;
	int		(*act)(struct service *s, const struct message *m, bool *already,
			    struct err *e);
};

static int
act_pause_to(struct service *s, bool paused, bool *already, struct err *e)
{
	if (!s->ops->has_pause)
		return (err_set(e, ERR_UNSUPPORTED,
		    "%s cannot be paused: it has no work of its own to hold back", s->name));
	*already = s->paused == paused;
	if (*already)
		return (0);
	s->paused = paused;
	if (s->ops->pause != NULL)
		s->ops->pause(s, paused);
	return (0);
}

static int
act_pause(struct service *s, const struct message *m, bool *already, struct err *e)
{
	(void)m;
	return (act_pause_to(s, true, already, e));
}

static int
act_resume(struct service *s, const struct message *m, bool *already, struct err *e)
{
	(void)m;
	return (act_pause_to(s, false, already, e));
}

static int
act_reload(struct service *s, const struct message *m, bool *already, struct err *e)
{
	(void)already;
	return (service_reload(s, m->envelope->asked_by, e));
}

static int
act_run_now(struct service *s, const struct message *m, bool *already, struct err *e)
{
	(void)m;
	(void)already;
	if (s->ops->run_now == NULL)
		return (err_set(e, ERR_UNSUPPORTED, "%s has no periodic work to run now", s->name));
	if (s->paused)
		return (err_set(e, ERR_BUSY, "%s is paused; resume it first", s->name));
	s->ops->run_now(s);
	return (0);
}

static int
act_cancel(struct service *s, const struct message *m, bool *already, struct err *e)
{
	const Hf__ActionRequest *q = (const Hf__ActionRequest *)m->body;

	(void)already;
	if (s->ops->cancel == NULL)
		return (err_set(e, ERR_UNSUPPORTED, "%s has no work that can be cancelled",
		    s->name));
	s->cancellations++;
	s->ops->cancel(s, q->reason, clock_mono_ms() + contract_stop_ms(s->ops->name));
	return (0);
}

static int
act_elsewhere(struct service *s, const struct message *m, bool *already, struct err *e)
{
	const Hf__ActionRequest *q = (const Hf__ActionRequest *)m->body;

	(void)already;
	return (err_set(
	    e, ERR_UNSUPPORTED, "%s does not %s itself: ask holdfastd", s->name, q->action));
}

static const struct action actions[] = {
	{ "pause", act_pause },
	{ "resume", act_resume },
	{ "reload", act_reload },
	{ "run-now", act_run_now },
	{ "cancel", act_cancel },
	{ "start", act_elsewhere },
	{ "stop", act_elsewhere },
	{ "restart", act_elsewhere },
};

static bool
is_for_us(const struct service *s, const char *service)
{
	return (service[0] == '\0' || strcmp(service, s->ops->name) == 0 ||
	    strcmp(service, s->name) == 0);
}

static int
action_run(struct service *s, const struct message *m, bool *already, struct err *e)
{
	const Hf__ActionRequest *q = (const Hf__ActionRequest *)m->body;
	size_t i;

	if (!is_for_us(s, q->service) && strcmp(q->service, "all") != 0)
		return (err_set(e, ERR_INVALID, "this is %s, not '%.64s'", s->name, q->service));
	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(actions[i].name, q->action) == 0)
			return (actions[i].act(s, m, already, e));
	return (err_set(e, ERR_UNSUPPORTED,
	    "there is no action '%.64s'; there are pause, resume, reload, run-now and cancel",
	    q->action));
}

static void
action_reply(const struct service *s, struct message *m, bool already)
{
	const Hf__ActionRequest *q = (const Hf__ActionRequest *)m->body;
	Hf__ActionReply reply = HF__ACTION_REPLY__INIT;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "service", s->name);
	cJSON_AddStringToObject(o, "action", q->action);
	cJSON_AddStringToObject(o, "result", already ? "already" : "done");
	cJSON_AddNumberToObject(o, "generation", (double)s->launch.generation);
	reply.json = cJSON_PrintUnformatted(o);
	assert(reply.json != NULL);
	cJSON_Delete(o);
	message_reply(&m, &reply.base);
	cJSON_free(reply.json);
}

static void
on_action(void *context, struct message *m)
{
	const Hf__ActionRequest *q = (const Hf__ActionRequest *)m->body;
	const char *id = m->envelope->request_id, *who = m->envelope->asked_by;
	struct service *s = context;
	struct err e = ERR_INIT;
	bool already = false;
	int rc;

	rc = action_run(s, m, &already, &e);
	log_write(rc < 0 ? LOG_WARN : LOG_INFO, id, "%.64s asked by %s%s%.200s: %s", q->action,
	    who[0] == '\0' ? "somebody" : who, q->reason[0] == '\0' ? "" : ", reason ", q->reason,
	    rc < 0 ? e.text : already ? "it was so already" : "done");
	if (rc < 0)
		message_refuse(&m, &e);
	else
		action_reply(s, m, already);
}

const struct message_handler service_handlers[] = {
	{ MESSAGE_STATUS, on_status },
	{ MESSAGE_METRICS, on_metrics },
	{ MESSAGE_LOG_LEVEL, on_log_level },
	{ MESSAGE_SERVICE_ACTION, on_action },
	{ 0, NULL },
};

/* A hint that TERM will come: the signal is the authority, so only current work ends here. */
void
service_on_event(void *context, const Hf__Event *event, uint64_t missed)
{
	struct service *s = context;
	char line[32];

	(void)missed;	/* counted by libipc, shown in the contract */
	if (strcmp(event->kind, "cancel") != 0 || !is_for_us(s, event->service) ||
	    (event->generation != 0 && event->generation != s->launch.generation))
		return;
	s->cancellations++;
	log_info("cancellation received: reason \"%.200s\", deadline %llu ms, sequence %llu",
	    event->reason, (unsigned long long)event->deadline_ms,
	    (unsigned long long)event->sequence);
	snprintf(line, sizeof(line), "CANCEL=%llu\n", (unsigned long long)event->sequence);
	launch_notify(&s->launch, line);	/* holdfastd need not wait before its TERM */
	if (s->ops->cancel != NULL)
		s->ops->cancel(s, event->reason, clock_mono_ms() + event->deadline_ms);
}
