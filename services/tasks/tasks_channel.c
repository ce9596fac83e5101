/*
 * tasks_channel - the workers' channel: nng req/rep on RUN_DIR/tasks.workers.
 *
 * Envelope, size and form of what comes are message.c's to refuse, what makes no sense is the
 * board's. An address is believed only if it is a socket of our own run directory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libipc/socket_path.h"
#include "schema/worker.pb-c.h"
#include "services/tasks/tasks.h"

#define KNOCK_MS 2000

/* --- what workers say ------------------------------------------------------------------------- */

static void
orders_send(struct tasks *t, struct message *m, int rc, Hf__WorkerOrders *orders,
    const struct err *e)
{
	if (rc < 0) {
		log_warn("%s was refused: %s", m->row->name, e->text);
		message_refuse(&m, e);
	} else {
		message_reply(&m, &orders->base);
	}
	board_orders_release(&t->board, orders);
	tasks_turn_soon(t);
}

static struct tasks *
tasks_of(void *context)
{
	return (context);
}

static int
address_check(const struct tasks *t, const char *address, struct err *e)
{
	const char *run_dir = service_config(t->service)->supervisor_run_dir;
	size_t bytes = strlen(run_dir);

	if (strncmp(address, run_dir, bytes) != 0 || address[bytes] != '/' ||
	    strchr(address + bytes + 1, '/') != NULL)
		return (err_set(e, ERR_DENIED, "'%.108s' is no socket of %s", address, run_dir));
	return (0);
}

static void
on_register(void *context, struct message *m)
{
	const Hf__WorkerRegister *q = (const Hf__WorkerRegister *)m->body;
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct tasks *t = tasks_of(context);
	struct err e = ERR_INIT;
	int rc = address_check(t, q->address, &e);

	if (rc == 0)
		rc = board_register(&t->board, q, tasks_now(t), &orders, &e);
	orders_send(t, m, rc, &orders, &e);
}

static void
on_heartbeat(void *context, struct message *m)
{
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct tasks *t = tasks_of(context);
	struct err e = ERR_INIT;
	int rc = board_heartbeat(&t->board, (const Hf__WorkerHeartbeat *)m->body, tasks_now(t),
	    &orders, &e);

	orders_send(t, m, rc, &orders, &e);
}

static void
on_claim(void *context, struct message *m)
{
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct tasks *t = tasks_of(context);
	struct err e = ERR_INIT;
	int rc = board_claim(&t->board, (const Hf__WorkerClaim *)m->body, tasks_now(t), &orders,
	    &e);

	orders_send(t, m, rc, &orders, &e);
}

/* Answered when the store has it: until then the worker keeps the result. */
static void
on_done(void *context, struct message *m)
{
	struct tasks *t = tasks_of(context);
	struct err e = ERR_INIT;

	if (board_done(&t->board, (const Hf__WorkerDone *)m->body, m, tasks_now(t), &e) < 0)
		message_refuse(&m, &e);
	tasks_turn_soon(t);
}

void
tasks_answer(void *context, void *waiter, int code)
{
	struct tasks *t = context;
	struct message *m = waiter;
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct err e = ERR_INIT;

	orders.heartbeat_ms = t->board.settings.heartbeat_ms;
	if (code == 0) {
		message_reply(&m, &orders.base);
		return;
	}
	err_set(&e, code, "%s", code == ERR_STALE ? "the lease is over" : err_phrase(code));
	message_refuse(&m, &e);
}

static const struct message_handler worker_messages[] = {
	{ MESSAGE_WORKER_REGISTER, on_register },
	{ MESSAGE_WORKER_HEARTBEAT, on_heartbeat },
	{ MESSAGE_WORKER_CLAIM, on_claim },
	{ MESSAGE_WORKER_DONE, on_done },
	{ 0, NULL },
};

/* --- knocking --------------------------------------------------------------------------------- */

struct knock {
	struct tasks	*tasks;
	char		 id[WORKER_NAME_BYTES];
	uint8_t		 instance[WORKER_INSTANCE_BYTES];
};

static void
on_knocked(void *context, int code, const ProtobufCMessage *body, const struct err *e)
{
	struct knock *k = context;
	char why[96];

	(void)body;
	if (code != 0 && code != ERR_CANCELLED && !k->tasks->closing && k->id[0] != '\0') {
		snprintf(why, sizeof(why), "it was knocked at: %.70s", e->text);
		board_knock_failed(&k->tasks->board, k->id, k->instance, why,
		    tasks_now(k->tasks));
		tasks_turn_soon(k->tasks);
	}
	free(k);
}

static void
knock(struct tasks *t, const char *address, const struct worker *w)
{
	struct knock *k = calloc(1, sizeof(*k));
	Hf__WorkerKnock q = HF__WORKER_KNOCK__INIT;

	assert(k != NULL);
	k->tasks = t;
	if (w != NULL) {
		snprintf(k->id, sizeof(k->id), "%s", w->id);
		memcpy(k->instance, w->instance, sizeof(k->instance));
	}
	q.id = k->id;
	q.instance = (ProtobufCBinaryData){ sizeof(k->instance), k->instance };
	message_call(service_bus(t->service), address, MESSAGE_WORKER_KNOCK, &q.base, "tasks",
	    clock_mono_ms() + KNOCK_MS, on_knocked, k);
}

void
tasks_knock(void *context, const struct worker *w)
{
	knock(context, w->address, w);
}

void
tasks_knock_all(struct tasks *t)
{
	uint64_t processes = service_config(t->service)->worker_processes;
	char name[32], path[108];

	for (uint64_t i = 0; i < processes; i++) {
		snprintf(name, sizeof(name), "worker.%u.control", (unsigned)i);
		knock(t, service_run_path(t->service, name, path), NULL);
	}
}

/* --- life ------------------------------------------------------------------------------------- */

int
tasks_channel_open(struct tasks *t, struct err *e)
{
	const struct message_handler *const tables[] = { worker_messages };
	char path[108];

	return (message_serve(service_bus(t->service), service_run_path(t->service,
	    TASKS_WORKERS_ADDRESS, path), tables, 1, t, &t->workers, e));
}

/* Who waits for an answer gets none: it asks the next one. */
void
tasks_channel_close(struct tasks *t)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_UNAVAILABLE, "tasks is stopping");
	for (unsigned i = 0; i < t->board.count; i++) {
		struct message *m = t->board.items[i]->waiter;

		t->board.items[i]->waiter = NULL;
		if (m != NULL)
			message_refuse(&m, &e);
	}
	for (struct tasks_asker *a; (a = t->askers) != NULL; ) {
		t->askers = a->next;
		message_refuse(&a->message, &e);
		free(a);
	}
	message_server_close(&t->workers);
}
