/*
 * roster - who works, and how well.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/tasks/roster.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define CONCURRENT_MAX	64
#define SLOT_MAX	31
#define KNOCK_MS_MAX	60000

static bool
text_is_name(const char *text, size_t bytes_max)
{
	size_t bytes = strlen(text);

	return (bytes > 0 && bytes < bytes_max &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	    bytes);
}

static int
register_check(const Hf__WorkerRegister *q, struct err *e)
{
	if (!text_is_name(q->id, WORKER_NAME_BYTES))
		return (err_set(e, ERR_INVALID, "'%.64s' is no name of a worker", q->id));
	if (q->instance.len != WORKER_INSTANCE_BYTES)
		return (err_set(e, ERR_INVALID, "worker %s: an instance has %d bytes, not %zu",
		    q->id, WORKER_INSTANCE_BYTES, q->instance.len));
	if (q->address[0] != '/' || strlen(q->address) >= 108)
		return (err_set(e, ERR_INVALID, "worker %s: '%.120s' is no address", q->id,
		    q->address));
	if (q->max_concurrent == 0 || q->max_concurrent > CONCURRENT_MAX)
		return (err_set(e, ERR_INVALID, "worker %s: %u tasks at a time are not between 1 "
		    "and %d", q->id, q->max_concurrent, CONCURRENT_MAX));
	if (q->n_tasks > WORKER_TASKS_MAX || q->n_capabilities > TASK_KIND_COUNT)
		return (err_set(e, ERR_INVALID, "worker %s names %zu tasks and %zu capabilities",
		    q->id, q->n_tasks, q->n_capabilities));
	return (0);
}

static int
capabilities_take(const Hf__WorkerRegister *q, uint32_t *out, struct err *e)
{
	*out = 0;
	for (size_t i = 0; i < q->n_capabilities; i++) {
		enum task_kind kind = task_kind_of(q->capabilities[i]);

		if (kind == TASK_KIND_COUNT)
			return (err_set(e, ERR_INVALID, "worker %s: there is no type of task "
			    "'%.64s'", q->id, q->capabilities[i]));
		*out |= 1u << kind;
	}
	return (0);
}

struct worker *
roster_find(struct roster *r, const char *id)
{
	for (unsigned i = 0; i < r->count; i++)
		if (strcmp(r->workers[i].id, id) == 0)
			return (&r->workers[i]);
	return (NULL);
}

struct worker *
roster_match(struct roster *r, const char *id, const ProtobufCBinaryData *instance)
{
	struct worker *w = roster_find(r, id);

	if (w == NULL || instance->len != WORKER_INSTANCE_BYTES ||
	    memcmp(instance->data, w->instance, WORKER_INSTANCE_BYTES) != 0)
		return (NULL);
	return (w);
}

/* A place for one more; the one that is inactive for longest makes room. */
static struct worker *
roster_add(struct roster *r)
{
	struct worker *oldest = NULL;

	if (r->count < WORKERS_MAX)
		return (&r->workers[r->count++]);
	for (unsigned i = 0; i < r->count; i++)
		if (r->workers[i].status == WORKER_INACTIVE && (oldest == NULL ||
		    r->workers[i].last_seen_ms < oldest->last_seen_ms))
			oldest = &r->workers[i];
	return (oldest);
}

static void
worker_take(struct worker *w, const Hf__WorkerRegister *q, uint32_t capabilities, uint64_t now_ms)
{
	snprintf(w->id, sizeof(w->id), "%s", q->id);
	memcpy(w->instance, q->instance.data, WORKER_INSTANCE_BYTES);
	snprintf(w->address, sizeof(w->address), "%s", q->address);
	w->capabilities = capabilities;
	w->max_concurrent = q->max_concurrent;
	w->preferred_servers = 0;
	for (size_t i = 0; i < q->n_preferred_servers; i++)
		if (q->preferred_servers[i] <= SLOT_MAX)
			w->preferred_servers |= 1u << q->preferred_servers[i];
	hf__resource_limits__init(&w->limits);
	hf__resource_use__init(&w->use);
	if (q->resource_limits != NULL) {
		w->limits.max_memory_mb = q->resource_limits->max_memory_mb;
		w->limits.max_disk_space_mb = q->resource_limits->max_disk_space_mb;
		w->limits.max_network_mbps = q->resource_limits->max_network_mbps;
		w->limits.max_cpu_percent = q->resource_limits->max_cpu_percent;
	}
	worker_seen(w, q->use, now_ms);
}

int
roster_register(struct roster *r, const Hf__WorkerRegister *q, uint64_t now_ms,
    struct worker **out, bool *replaced, struct err *e)
{
	uint32_t capabilities = 0;
	struct worker *w;
	int rc = register_check(q, e);

	if (rc == 0)
		rc = capabilities_take(q, &capabilities, e);
	if (rc < 0)
		return (rc);
	w = roster_find(r, q->id);
	*replaced = w != NULL && memcmp(w->instance, q->instance.data, WORKER_INSTANCE_BYTES) != 0;
	if (w == NULL) {
		w = roster_add(r);
		if (w == NULL)
			return (err_set(e, ERR_BUSY, "%d workers are registered already",
			    WORKERS_MAX));
		memset(w, 0, sizeof(*w));
	}
	worker_take(w, q, capabilities, now_ms);	/* W1; its history stays */
	*out = w;
	return (0);
}

void
worker_seen(struct worker *w, const Hf__ResourceUse *use, uint64_t now_ms)
{
	if (use != NULL) {
		w->use.memory_bytes = use->memory_bytes;
		w->use.cpu_percent = use->cpu_percent;
		w->use.network_bytes_per_second = use->network_bytes_per_second;
	}
	w->last_seen_ms = now_ms;
	w->status = WORKER_ACTIVE;
	w->note[0] = '\0';
}

void
worker_lost(struct worker *w, const char *why, uint64_t now_ms, const struct task_settings *s)
{
	w->status = WORKER_INACTIVE;
	w->knock = false;
	w->knocks = 0;
	w->again_ms = now_ms + s->heartbeat_ms * s->missed_heartbeats_max;
	snprintf(w->note, sizeof(w->note), "%s", why);
}

void
worker_wait_longer(struct worker *w, uint64_t now_ms, const struct task_settings *s)
{
	uint64_t wait_ms = s->heartbeat_ms * s->missed_heartbeats_max << (w->knocks < 16 ?
	    w->knocks : 16);

	w->knocks++;
	w->again_ms = now_ms + (wait_ms < KNOCK_MS_MAX ? wait_ms : KNOCK_MS_MAX);
}

void
worker_did(struct worker *w, enum task_kind kind, bool well, uint64_t bytes, uint64_t run_ms)
{
	struct worker_performance *p = &w->performance[kind];

	if (!well) {
		p->failed++;
		return;
	}
	p->completed++;
	p->bytes += bytes;
	p->run_ms += run_ms;
}

uint64_t
worker_score(const struct worker *w, enum task_kind kind)
{
	const struct worker_performance *p = &w->performance[kind];
	uint64_t rate;

	if (p->completed + p->failed == 0)
		return (0);
	rate = p->run_ms == 0 ? p->bytes : p->bytes * 1000 / p->run_ms;
	return (1 + rate / (p->completed + p->failed) * p->completed);
}
