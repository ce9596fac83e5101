/*
 * worker_talk - what a worker says to `tasks`, and what it does when it is told.
 *
 * One word at a time: register until registered, then claim, which is a heartbeat, too. A word
 * without an answer is said again only while there are tasks in hand; without any the worker is
 * silent until
 * `tasks` knocks, which it does at its own start, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "schema/worker.pb-c.h"
#include "services/worker/worker.h"

#define ANSWER_MS	5000
#define SLOTS_MAX	32	/* of all sets */
#define DONE_MS		60000	/* it is answered when the store has it */
#define DONE_LAST_MS	5000	/* as long as that when the worker is about to stop */
#define RETRY_MS	200
#define RETRIES_IDLE	5	/* with nothing in hand; then it waits for a knock */

/* The tasks in hand, as messages name them, and what they take together. */
struct held {
	Hf__WorkerTask	 tasks[WORKER_RUNS_MAX], *pointers[WORKER_RUNS_MAX];
	size_t		 count;
	Hf__ResourceUse	 use;
};

static void
use_fill(struct worker *w, Hf__ResourceUse *out)
{
	struct usage_report now;

	usage_report(&w->usage, clock_mono_ns(), &now);
	hf__resource_use__init(out);
	out->memory_bytes = now.memory_bytes;
	out->cpu_percent = now.cpu_percent;
	out->network_bytes_per_second = now.network_bytes_per_second;
}

static void
held_fill(struct worker *w, struct held *h)
{
	use_fill(w, &h->use);
	h->count = 0;
	for (struct run *r = w->runs; r != NULL; r = r->next) {
		assert(h->count < WORKER_RUNS_MAX);
		run_describe(r, &h->tasks[h->count]);
		h->pointers[h->count] = &h->tasks[h->count];
		h->count++;
	}
}

static ProtobufCBinaryData
instance_of(struct worker *w)
{
	return ((ProtobufCBinaryData){ sizeof(w->instance), w->instance });
}

/* --- orders ----------------------------------------------------------------------------------- */

static struct run *
run_find(struct worker *w, uint64_t id, uint64_t lease)
{
	struct run *r = w->runs;

	while (r != NULL && (r->task->id != id || r->task->lease != lease))
		r = r->next;
	return (r);
}

static void
run_begin(struct worker *w, const Hf__Task *task)
{
	const struct run_options o = { w->objects, w->pool, &w->usage,
	    service_config(w->service), worker_on_ended, w };
	struct run *r;

	if (worker_slots(w) == 0 || run_find(w, task->id, task->lease) != NULL)
		return;
	log_info("task %llu (%s) begins, lease %llu, attempt %u: %s", (unsigned long long)task->id,
	    task->fingerprint, (unsigned long long)task->lease, task->attempts + 1, task->reason);
	r = run_start(&o, task);
	r->next = w->runs;
	w->runs = r;
	w->run_count++;
	metric_set(METRIC_worker_tasks, w->run_count);
}

static void
cancels_obey(struct worker *w, const Hf__WorkerOrders *orders)
{
	for (size_t i = 0; i < orders->n_cancel; i++) {
		struct run *r = run_find(w, orders->cancel[i]->id, orders->cancel[i]->lease);

		if (r == NULL)
			continue;
		if (r->ended && !r->saying) {
			worker_run_gone(w, r);	/* X2: nobody wants to know any more */
		} else if (!run_is_over(r) && !r->cancelled) {
			log_info("task %llu is stopped: tasks says so",
			    (unsigned long long)r->task->id);
			run_stop(r);
		}
	}
}

static void
obey(struct worker *w, const Hf__WorkerOrders *orders)
{
	if (orders->heartbeat_ms >= 100 && orders->heartbeat_ms <= 60000)
		w->heartbeat_ms = orders->heartbeat_ms;
	if (orders->unknown) {
		w->registered = false;
		w->ask_again = true;
		return;
	}
	cancels_obey(w, orders);
	for (size_t i = 0; i < orders->n_tasks; i++) {
		run_begin(w, orders->tasks[i]);
		w->ask_again = true;		/* says that it was begun, and how long it takes */
	}
	if (orders->claim && worker_slots(w) > 0)
		w->ask_again = true;
}

/* --- words ------------------------------------------------------------------------------------ */

static void
heartbeat_arm(struct worker *w)
{
	uint64_t ms = w->failures == 0 ? w->heartbeat_ms : RETRY_MS * w->failures;
	struct timeval delay;

	if (ms > w->heartbeat_ms)
		ms = w->heartbeat_ms;
	if (w->run_count == 0 && (w->failures == 0 || w->failures > RETRIES_IDLE))
		return;		/* silent: a knock wakes it */
	delay = (struct timeval){ (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };
	event_add(w->heartbeat, &delay);
}

static void
word_ended(struct worker *w, int code)
{
	bool again = w->ask_again && code == 0;	/* else it is said again in a while */

	w->asking = w->ask_again = w->outdated = false;
	w->failures = code == 0 ? 0 : w->failures + 1;
	if (again)
		worker_speak(w);
	else
		heartbeat_arm(w);
}

static void
on_registered(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct worker *w = context;

	if (code == ERR_CANCELLED)
		return;
	if (code == 0) {
		log_info("registered with tasks");
		w->registered = !w->outdated;
		w->ask_again = true;		/* claims */
		obey(w, (const Hf__WorkerOrders *)body);
	} else if (w->failures == RETRIES_IDLE) {	/* at a start it may come up after us */
		log_info("tasks does not take a registration: %s", e->text);
	}
	word_ended(w, code);
}

static size_t
words_of(char *list, char *words[], size_t max)
{
	size_t n = 0;

	for (char *p = list; n < max; ) {
		p += strspn(p, " ");
		if (*p == '\0')
			break;
		words[n++] = p;
		p += strcspn(p, " ");
		if (*p != '\0')
			*p++ = '\0';
	}
	return (n);
}

/* What the config allows of what there are executors for. */
static size_t
capabilities_of(const struct worker *w, char *list, char *out[], size_t max)
{
	char *words[16];
	size_t count = words_of(list, words, sizeof(words) / sizeof(words[0])), n = 0;

	for (size_t i = 0; i < count && n < max && !w->paused && !w->draining; i++)
		if (executor_find(words[i]) != NULL)
			out[n++] = words[i];
	return (n);
}

static void
slots_of(const char *list, Hf__WorkerRegister *q, uint32_t out[SLOTS_MAX])
{
	q->preferred_servers = out;
	for (const char *p = list; *p != '\0' && q->n_preferred_servers < SLOTS_MAX; ) {
		char *end;
		unsigned long slot = strtoul(p, &end, 10);

		if (end == p)
			break;
		if (slot < SLOTS_MAX)
			out[q->n_preferred_servers++] = (uint32_t)slot;
		p = end + strspn(end, " ");
	}
}

static void
say_register(struct worker *w)
{
	const struct config *c = service_config(w->service);
	Hf__WorkerRegister q = HF__WORKER_REGISTER__INIT;
	Hf__ResourceLimits limits = HF__RESOURCE_LIMITS__INIT;
	char list[256], *capabilities[16];
	uint32_t preferred[SLOTS_MAX];
	struct held held;

	snprintf(list, sizeof(list), "%s", c->worker_capabilities);
	held_fill(w, &held);
	q.id = w->id;
	q.instance = instance_of(w);
	q.address = w->address;
	q.capabilities = capabilities;
	q.n_capabilities = capabilities_of(w, list, capabilities, 16);
	q.max_concurrent = (uint32_t)c->worker_max_concurrent;
	limits.max_memory_mb = c->worker_max_memory_mb;
	limits.max_disk_space_mb = c->worker_max_disk_space_mb;
	limits.max_network_mbps = c->worker_max_network_mbps;
	limits.max_cpu_percent = c->worker_max_cpu_percent;
	q.resource_limits = &limits;
	slots_of(c->worker_preferred_servers, &q, preferred);
	q.use = &held.use;
	q.tasks = held.pointers;
	q.n_tasks = held.count;
	message_call(service_bus(w->service), w->tasks_address, MESSAGE_WORKER_REGISTER, &q.base,
	    w->id, clock_mono_ms() + ANSWER_MS, on_registered, w);
}

static void
on_orders(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct worker *w = context;

	if (code == ERR_CANCELLED)
		return;
	if (code == 0)
		obey(w, (const Hf__WorkerOrders *)body);
	else
		log_debug("tasks does not answer: %s", e->text);
	word_ended(w, code);
}

static void
say_claim(struct worker *w)
{
	Hf__WorkerClaim q = HF__WORKER_CLAIM__INIT;
	struct held held;

	held_fill(w, &held);
	q.id = w->id;
	q.instance = instance_of(w);
	q.slots = worker_slots(w);
	q.use = &held.use;
	q.tasks = held.pointers;
	q.n_tasks = held.count;
	message_call(service_bus(w->service), w->tasks_address, MESSAGE_WORKER_CLAIM, &q.base,
	    w->id, clock_mono_ms() + ANSWER_MS, on_orders, w);
}

static void
say_heartbeat(struct worker *w)
{
	Hf__WorkerHeartbeat q = HF__WORKER_HEARTBEAT__INIT;
	struct held held;

	held_fill(w, &held);
	q.id = w->id;
	q.instance = instance_of(w);
	q.use = &held.use;
	q.tasks = held.pointers;
	q.n_tasks = held.count;
	message_call(service_bus(w->service), w->tasks_address, MESSAGE_WORKER_HEARTBEAT, &q.base,
	    w->id, clock_mono_ms() + ANSWER_MS, on_orders, w);
}

static void
done_again(struct worker *w)
{
	for (struct run *r = w->runs; r != NULL; r = r->next)
		if (run_is_over(r) && !r->saying && !r->told)
			worker_say_done(w, r);
}

void
worker_speak(struct worker *w)
{
	if (w->closing)
		return;
	if (w->asking) {
		w->ask_again = true;
		return;
	}
	event_del(w->heartbeat);
	w->asking = true;
	if (!w->registered) {
		say_register(w);
		return;
	}
	if (worker_slots(w) > 0)
		say_claim(w);
	else
		say_heartbeat(w);
	done_again(w);
}

void
worker_on_heartbeat(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	worker_look(context);
	worker_speak(context);
}

/* --- how it ended ----------------------------------------------------------------------------- */

struct saying {
	struct worker	*worker;
	uint64_t	 id, lease;
};

/* X2: what was not heard is said again, with the next heartbeat. */
static void
said(struct worker *w, struct run *r, int code)
{
	bool gone = code == 0 || code == ERR_STALE || code == ERR_INVALID || w->draining;

	r->told = gone;
	if (gone && r->ended)
		worker_run_gone(w, r);
	if (code == ERR_NOT_FOUND)
		w->registered = false;
	if (gone || code == ERR_NOT_FOUND) {
		worker_speak(w);
	} else if (!w->asking && !event_pending(w->heartbeat, EV_TIMEOUT, NULL)) {
		w->failures++;
		heartbeat_arm(w);
	}
}

static void
on_said(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct saying *s = context;
	struct worker *w = s->worker;
	struct run *r;

	(void)body;
	(void)e;
	if (code != ERR_CANCELLED && !w->closing && (r = run_find(w, s->id, s->lease)) != NULL) {
		r->saying = false;
		said(w, r, code);
	}
	free(s);
}

void
worker_say_done(struct worker *w, struct run *r)
{
	struct saying *s = calloc(1, sizeof(*s));
	Hf__WorkerDone q = HF__WORKER_DONE__INIT;
	Hf__WorkerTask t;
	char error[sizeof(r->error.text)];

	assert(s != NULL);
	*s = (struct saying){ w, r->task->id, r->task->lease };
	r->saying = true;
	run_describe(r, &t);
	snprintf(error, sizeof(error), "%s", run_code(r) == 0 ? "" : run_error(r));
	q.id = w->id;
	q.instance = instance_of(w);
	q.task = &t;
	q.code = run_code(r);
	q.error = error;
	message_call(service_bus(w->service), w->tasks_address, MESSAGE_WORKER_DONE, &q.base,
	    w->id, clock_mono_ms() + (w->draining ? DONE_LAST_MS : DONE_MS), on_said, s);
}

/* --- knocks ----------------------------------------------------------------------------------- */

/* Anybody may knock: it only makes the worker ask. Unless it is meant for one that is gone. */
static void
on_knock(void *context, struct message *m)
{
	const Hf__WorkerKnock *q = (const Hf__WorkerKnock *)m->body;
	struct worker *w = service_context(context);
	struct err e = ERR_INIT;

	if (q->id[0] != '\0' && (q->instance.len != sizeof(w->instance) ||
	    memcmp(q->instance.data, w->instance, sizeof(w->instance)) != 0)) {
		err_set(&e, ERR_STALE, "this is another process than the one that is knocked at");
		message_refuse(&m, &e);
		return;
	}
	message_reply(&m, NULL);
	w->failures = 0;
	worker_speak(w);
}

const struct message_handler worker_messages[] = {
	{ MESSAGE_WORKER_KNOCK, on_knock },
	{ 0, NULL },
};
