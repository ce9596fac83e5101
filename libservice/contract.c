/*
 * contract - the answer to a status request: the same parts for every service, as JSON.
 *
 * K1  Reading it changes nothing: it looks at memory, and nothing else. No log, no file, no
 *     message.
 *
 * desired { state, source }
 * current { state, generation, pid, since, instance }
 * status { paused, workers, last_reload, last_error, progress_age_ms, ... and the service's own }
 * shutdown { cancellation_source, explicit_stop_handle, deadline_ms }
 * side_effects [ ... ]
 * reconcile { plan [ ... ] }
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/service_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "libservice/json_add.h"

static const struct {
	const char	*service;
	uint64_t	 stop_ms;
} stops[] = {
#define SERVICE(name, after, needs, instances, stop_ms, ...) { #name, stop_ms },
#include "schema/services.def"
#undef SERVICE
};

uint64_t
contract_stop_ms(const char *service)
{
	size_t i;

	for (i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		if (strcmp(stops[i].service, service) == 0)
			return (stops[i].stop_ms);
	return (SERVICE_STOP_MS);
}

const char *
contract_state_name(const struct service *s)
{
	static const char *const names[] = {
		[SERVICE_STARTING] = "starting", [SERVICE_RUNNING] = "running",
		[SERVICE_DEGRADED] = "degraded", [SERVICE_STOPPING] = "stopping",
	};

	return (names[s->state]);
}

static void
contract_desired(const struct service *s, cJSON *o)
{
	enum config_source source = CONFIG_DEFAULT;
	bool enabled = true;

	if (config_service_index(s->ops->name) >= 0)
		enabled = config_enabled(&s->config, s->ops->name, &source);
	cJSON_AddStringToObject(o, "state", enabled ? "enabled" : "disabled");
	cJSON_AddStringToObject(o, "source", config_source_name(source));
}

static void
contract_current(const struct service *s, cJSON *o)
{
	cJSON_AddStringToObject(o, "state", contract_state_name(s));
	json_add_number(o, "generation", s->launch.generation);
	json_add_number(o, "pid", (uint64_t)getpid());
	json_add_time(o, "since", s->since_ms);
	json_add_number(o, "instance", s->launch.instance);
}

static void
contract_workers(const struct service *s, cJSON *o)
{
	json_add_number(o, "total", s->pool == NULL ? 0 : s->ops->pool_threads);
	json_add_number(o, "busy", s->pool == NULL ? 0 : pool_running(s->pool));
	json_add_number(o, "queued", s->pool == NULL ? 0 : pool_queued(s->pool));
}

static void
contract_status(struct service *s, cJSON *o)
{
	cJSON *error;

	cJSON_AddBoolToObject(o, "paused", s->paused);
	if (s->degraded[0] != '\0')
		cJSON_AddStringToObject(o, "degraded_reason", s->degraded);
	contract_workers(s, cJSON_AddObjectToObject(o, "workers"));
	json_add_number(o, "reloads", s->reloads);
	json_add_time(o, "last_reload", s->last_reload_ms);
	if (s->last_error_ms == 0) {
		cJSON_AddNullToObject(o, "last_error");
	} else {
		error = cJSON_AddObjectToObject(o, "last_error");
		cJSON_AddStringToObject(error, "code", err_name(s->last_error.code));
		cJSON_AddStringToObject(error, "text", s->last_error.text);
		json_add_time(error, "at", s->last_error_ms);
	}
	if (s->progress_ms == 0)
		cJSON_AddNullToObject(o, "progress_age_ms");
	else
		json_add_number(o, "progress_age_ms", clock_mono_ms() - s->progress_ms);
	json_add_number(o, "cancellations", s->cancellations);
	json_add_number(o, "messages_refused", metric_get(METRIC_ipc_refused_total));
	json_add_number(o, "events_missed", metric_get(METRIC_ipc_events_missed_total));
	cJSON_AddStringToObject(o, "log_level", log_level_name(log_level()));
	if (s->ops->status != NULL)
		s->ops->status(s, o);
}

static void
contract_shutdown(const struct service *s, cJSON *o)
{
	cJSON_AddStringToObject(o, "cancellation_source", "event bus, then SIGTERM");
	cJSON_AddBoolToObject(o, "explicit_stop_handle", s->ops->drain != NULL);
	json_add_number(o, "deadline_ms", contract_stop_ms(s->ops->name));
}

static void
contract_plan(struct service *s, cJSON *plan)
{
	char text[512];
	int key;

	if (s->paused)
		cJSON_AddItemToArray(plan, cJSON_CreateString("resume: it is paused"));
	if (s->degraded[0] != '\0') {
		snprintf(text, sizeof(text), "recover: %s", s->degraded);
		cJSON_AddItemToArray(plan, cJSON_CreateString(text));
	}
	for (key = 0; key < CONFIG_KEY_COUNT; key++)
		if (s->restart_needed[key]) {
			const struct config_row *row = config_row((enum config_key)key);

			/* Sockets and directories are holdfastd's: a new service gets the old
			 * ones. */
			snprintf(text, sizeof(text),
			    "restart%s: %s.%s was changed in the configuration",
			    strcmp(row->section, "supervisor") == 0 ||
			    strcmp(row->name, "listen") == 0 || strcmp(row->name, "port") == 0 ||
			    strcmp(row->name, "processes") == 0 ?
			    " holdfastd" : "", row->section, row->name);
			cJSON_AddItemToArray(plan, cJSON_CreateString(text));
		}
	if (s->ops->reconcile != NULL)
		s->ops->reconcile(s, plan);
}

char *
contract_json(struct service *s)
{
	cJSON *o = cJSON_CreateObject(), *effects;
	const char *const *effect;
	char *text;

	cJSON_AddStringToObject(o, "service", s->ops->name);
	contract_desired(s, cJSON_AddObjectToObject(o, "desired"));
	contract_current(s, cJSON_AddObjectToObject(o, "current"));
	contract_status(s, cJSON_AddObjectToObject(o, "status"));
	contract_shutdown(s, cJSON_AddObjectToObject(o, "shutdown"));
	effects = cJSON_AddArrayToObject(o, "side_effects");
	for (effect = s->ops->side_effects; effect != NULL && *effect != NULL; effect++)
		cJSON_AddItemToArray(effects, cJSON_CreateString(*effect));
	contract_plan(s, cJSON_AddArrayToObject(cJSON_AddObjectToObject(o, "reconcile"), "plan"));
	text = cJSON_PrintUnformatted(o);
	assert(text != NULL);
	cJSON_Delete(o);
	return (text);
}
