/*
 * prometheus - prints a collection in Prometheus' text format: a family of samples for each row of
 * schema/metrics.def that somebody touched, and the process table of holdfastd.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <string.h>

#include "libbase/metrics.h"
#include "services/admin/admin.h"

static void
print_family(struct buf *out, const char *name, bool counter, const char *help)
{
	buf_printf(out, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name,
	    counter ? "counter" : "gauge");
}

static bool
value_of(const Hf__MetricsReply *r, const char *name, uint64_t *out)
{
	for (size_t i = 0; i < r->n_values; i++)
		if (strcmp(r->values[i]->name, name) == 0) {
			*out = r->values[i]->value;
			return (true);
		}
	return (false);
}

static void
print_metric(const struct collection *c, enum metric m, struct buf *out)
{
	bool first = true;
	uint64_t value;

	for (size_t i = 0; i < c->metrics_count; i++) {
		const Hf__MetricsReply *r = c->metrics[i];

		if (!value_of(r, metric_name(m), &value))
			continue;
		if (first)
			print_family(out, metric_name(m), metric_is_counter(m), metric_help(m));
		first = false;
		buf_printf(out, "holdfast_%s{service=\"%s\",instance=\"%s\"} ", metric_name(m),
		    r->service, r->instance);
		if (metric_scale(m) == 1)
			buf_printf(out, "%" PRIu64 "\n", value);
		else
			buf_printf(out, "%.15g\n", (double)value / metric_scale(m));
	}
}

static void
print_process(const struct collection *c, const char *field, double scale, const char *name,
    bool counter, const char *help, struct buf *out)
{
	const cJSON *row, *service, *instance, *value;

	print_family(out, name, counter, help);
	cJSON_ArrayForEach(row, cJSON_GetObjectItem(c->document, "services")) {
		service = cJSON_GetObjectItem(row, "service");
		instance = cJSON_GetObjectItem(row, "instance");
		value = cJSON_GetObjectItem(row, field);
		if (cJSON_IsString(service) && cJSON_IsNumber(instance) && cJSON_IsNumber(value))
			buf_printf(out, "holdfast_%s{service=\"%s\",instance=\"%d\"} %.15g\n", name,
			    service->valuestring, instance->valueint, value->valuedouble * scale);
	}
}

static void
print_up(const struct collection *c, struct buf *out)
{
	const cJSON *row, *service, *instance, *state;

	print_family(out, "service_up", false,
	    "1 if the service answers and runs, degraded included.");
	cJSON_ArrayForEach(row, cJSON_GetObjectItem(c->document, "services")) {
		service = cJSON_GetObjectItem(row, "service");
		instance = cJSON_GetObjectItem(row, "instance");
		state = cJSON_GetObjectItem(row, "state");
		if (cJSON_IsString(service) && cJSON_IsNumber(instance) && cJSON_IsString(state))
			buf_printf(out, "holdfast_service_up{service=\"%s\",instance=\"%d\","
			    "state=\"%s\"} %d\n",
			    service->valuestring, instance->valueint, state->valuestring,
			    strcmp(state->valuestring, "running") == 0 ||
			    strcmp(state->valuestring, "degraded") == 0);
	}
}

void
prometheus_print(const struct collection *c, struct buf *out)
{
	print_up(c, out);
	print_process(c, "restarts", 1, "service_restarts_total", true,
	    "How often the service was started again.", out);
	print_process(c, "cpu_ms", 0.001, "process_cpu_seconds_total", true,
	    "CPU time of the service's process.", out);
	print_process(c, "rss_bytes", 1, "process_resident_memory_bytes", false,
	    "Resident memory of the service's process.", out);
	print_process(c, "pss_bytes", 1, "process_proportional_memory_bytes", false,
	    "Proportional share of memory of the service's process.", out);
	for (unsigned m = 0; m < METRIC_COUNT; m++)
		print_metric(c, m, out);
}
