/*
 * collect - asks holdfastd what runs, and each running service for its metrics, all at once.
 *
 * A service that does not answer in time is left out: what is not known is not shown as zero.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "services/admin/admin.h"

#define INSTANCES_MAX 1024

/* Lives until the last answer came, also when nobody waits for the result any more. */
struct collect {
	struct admin		*admin;
	bool			 with_metrics;
	collect_fn		*fn;		/* NULL: cancelled */
	void			*context;
	cJSON			*document;
	struct collection	 result;
	unsigned		 outstanding;
	uint64_t		 deadline_ms;
};

static void
collect_free(struct collect *c)
{
	for (size_t i = 0; i < c->result.metrics_count; i++)
		hf__metrics_reply__free_unpacked(c->result.metrics[i], NULL);
	free(c->result.metrics);
	cJSON_Delete(c->document);
	free(c);
}

static void
collect_done(struct collect *c)
{
	if (c->fn != NULL)
		c->fn(c->context, &c->result);
	collect_free(c);
}

static void
on_metrics(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct collect *c = context;
	uint8_t *packed;
	size_t bytes;

	(void)e;
	if (code == 0 && c->result.metrics_count < INSTANCES_MAX) {
		bytes = protobuf_c_message_get_packed_size(body);
		packed = malloc(bytes + 1);
		if (packed == NULL)
			abort();
		protobuf_c_message_pack(body, packed);
		c->result.metrics[c->result.metrics_count] = hf__metrics_reply__unpack(NULL, bytes,
		    packed);
		if (c->result.metrics[c->result.metrics_count] != NULL)
			c->result.metrics_count++;
		free(packed);
	}
	if (--c->outstanding == 0)
		collect_done(c);
}

static void
ask_metrics(struct collect *c, const char *address)
{
	Hf__Empty empty = HF__EMPTY__INIT;

	c->outstanding++;
	message_call(service_bus(c->admin->service), address, MESSAGE_METRICS, &empty.base, "admin",
	    c->deadline_ms, on_metrics, c);
}

static void
ask_all_metrics(struct collect *c)
{
	const cJSON *row, *name, *pid;
	char address[108], file[64];
	unsigned count = 0;

	c->result.metrics = calloc(INSTANCES_MAX, sizeof(*c->result.metrics));
	if (c->result.metrics == NULL)
		abort();
	ask_metrics(c, c->admin->holdfastd);
	cJSON_ArrayForEach(row, cJSON_GetObjectItem(c->document, "services")) {
		name = cJSON_GetObjectItem(row, "name");
		pid = cJSON_GetObjectItem(row, "pid");
		if (!cJSON_IsString(name) || !cJSON_IsNumber(pid) || ++count >= INSTANCES_MAX)
			continue;
		snprintf(file, sizeof(file), "%.40s.control", name->valuestring);
		ask_metrics(c, service_run_path(c->admin->service, file, address));
	}
}

static void
on_services(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct collect *c = context;

	c->outstanding--;
	c->result.code = code;
	c->result.error = code == 0 ? "" : e->text;
	if (code == 0) {
		c->document = cJSON_Parse(((const Hf__StatusReply *)body)->json);
		c->result.document = c->document;
		if (c->document == NULL) {
			c->result.code = ERR_PROTOCOL;
			c->result.error = "holdfastd's answer is not JSON";
		}
	}
	if (c->result.code == 0 && c->with_metrics && c->fn != NULL)
		ask_all_metrics(c);
	if (c->outstanding == 0)
		collect_done(c);
}

struct collect *
collect_start(struct admin *a, bool with_metrics, collect_fn *fn, void *context)
{
	struct collect *c = calloc(1, sizeof(*c));
	Hf__Empty empty = HF__EMPTY__INIT;

	if (c == NULL)
		abort();
	c->admin = a;
	c->with_metrics = with_metrics;
	c->fn = fn;
	c->context = context;
	c->deadline_ms = clock_mono_ms() + ADMIN_COLLECT_MS;
	c->outstanding = 1;
	message_call(service_bus(a->service), a->holdfastd, MESSAGE_SERVICES, &empty.base, "admin",
	    c->deadline_ms, on_services, c);
	return (c);
}

void
collect_cancel(struct collect **c)
{
	assert((*c)->fn != NULL);
	(*c)->fn = NULL;
	*c = NULL;
}
