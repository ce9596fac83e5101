/*
 * control - what holdfastd answers on RUN_DIR/holdfastd.control.
 *
 * Who may ask is decided by the mode of RUN_DIR; `asked_by` is what the asker says of itself, for
 * the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/control.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "libbase/metrics.h"
#include "supervisord/action.h"
#include "supervisord/announce.h"
#include "supervisord/probe.h"
#include "supervisord/report.h"
#include "supervisord/shutdown.h"
#include "supervisord/supervisor.h"

static void
on_status(void *context, struct message *m)
{
	Hf__StatusReply reply = HF__STATUS_REPLY__INIT;
	cJSON *o = report_supervisor(context);

	reply.json = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	assert(reply.json != NULL);
	message_reply(&m, &reply.base);
	free(reply.json);
}

static void
on_services(void *context, struct message *m)
{
	probe_request(context, m);
}

static void
on_action(void *context, struct message *m)
{
	action_request(context, m);
}

static void
on_shutdown(void *context, struct message *m)
{
	const Hf__ShutdownRequest *request = (const Hf__ShutdownRequest *)m->body;
	Hf__Empty reply = HF__EMPTY__INIT;

	shutdown_request(context, request->reason[0] != '\0' ? request->reason : "asked for",
	    m->envelope->asked_by, false);
	message_reply(&m, &reply.base);
}

static void
on_metrics(void *context, struct message *m)
{
	Hf__MetricsReply reply = HF__METRICS_REPLY__INIT;
	Hf__MetricsReply__Value values[METRIC_COUNT], *list[METRIC_COUNT];

	(void)context;
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		if (!metric_touched(i))
			continue;
		values[reply.n_values] = (Hf__MetricsReply__Value)HF__METRICS_REPLY__VALUE__INIT;
		values[reply.n_values].name = (char *)metric_name(i);
		values[reply.n_values].value = metric_get(i);
		list[reply.n_values] = &values[reply.n_values];
		reply.n_values++;
	}
	reply.service = (char *)"holdfastd";
	reply.instance = (char *)"0";
	reply.values = list;
	message_reply(&m, &reply.base);
}

static void
on_log_level(void *context, struct message *m)
{
	const Hf__LogLevelRequest *request = (const Hf__LogLevelRequest *)m->body;
	Hf__Empty reply = HF__EMPTY__INIT;
	struct err e = ERR_INIT;
	enum log_level level;

	(void)context;
	if (log_level_parse(request->level, &level) < 0) {
		err_set(&e, ERR_INVALID, "log level: expected error, warn, info or debug, found "
		    "\"%.32s\"", request->level);
		message_refuse(&m, &e);
		return;
	}
	announce(LOG_INFO, "log level %s asked by %.100s", request->level, m->envelope->asked_by);
	log_set_level(level);
	message_reply(&m, &reply.base);
}

static const struct message_handler handlers[] = {
	{ MESSAGE_STATUS, on_status },
	{ MESSAGE_SERVICES, on_services },
	{ MESSAGE_SUPERVISOR_ACTION, on_action },
	{ MESSAGE_SHUTDOWN, on_shutdown },
	{ MESSAGE_METRICS, on_metrics },
	{ MESSAGE_LOG_LEVEL, on_log_level },
	{ 0, NULL },
};

int
control_open(struct supervisor *s, struct err *e)
{
	const struct message_handler *const tables[] = { handlers };
	char path[108];

	return (message_serve(s->bus, supervisor_run_path(s, "holdfastd.control", path), tables, 1,
	    s, &s->server, e));
}

void
control_close(struct supervisor *s)
{
	if (s->server != NULL)
		message_server_close(&s->server);
}
