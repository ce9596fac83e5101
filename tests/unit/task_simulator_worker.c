/*
 * task_simulator_worker - workers: what they say and execute, and what befalls them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libstore/apply/task.h"
#include "tests/unit/task_simulator_internal.h"

/* --- failures --------------------------------------------------------------------------------- */

static void
worker_die(struct sim *s, struct sim_worker *w, uint64_t duration_ms)
{
	w->alive = w->registered = false;
	w->back_ms = s->now_ms + duration_ms;
	for (unsigned i = 0; s->board_up && i < s->board.count; i++)
		for (unsigned j = 0; j < SLOTS; j++)
			if (s->board.items[i]->waiter == &w->slots[j])
				s->board.items[i]->waiter = NULL;
	memset(w->slots, 0, sizeof(w->slots));
	s->result->kills++;
}

/* Another service, an operator, and a repeat of each. */
static void
submit_others(struct sim *s, const struct execution *x)
{
	Hf__Task task = HF__TASK__INIT;
	unsigned admission;
	struct err e = ERR_INIT;
	uint64_t id = 0;

	task.type = (char *)(uintptr_t)task_kind_row(x->kind)->name;
	task.volume_id = x->volume_id;
	task.source = (char *)(uintptr_t)"scanner";
	task.change_type = (char *)(uintptr_t)task_kind_row(x->kind)->change;
	if (s->now_ms >= s->store_back_ms) {
		Hf__Task *t = store_submit(s, &task, &admission);

		store_submit(s, &task, &admission);
		if (s->board_up)
			board_task(&s->board, t->id, t, s->now_ms);
	}
	if (s->board_up && board_ask(&s->board, x->kind, x->volume_id, 2, "operator", "twice",
	    s->now_ms, &id, &e) == ERR_EXISTS)
		s->result->duplicates_refused++;
}

static void
submit_rival(struct sim *s, const struct execution *x)
{
	enum task_kind kind = x->kind == TASK_KIND_VACUUM ? TASK_KIND_ERASURE_CODING :
	    TASK_KIND_VACUUM;
	struct err e = ERR_INIT;
	uint64_t id;

	if (s->board_up)
		board_ask(&s->board, kind, x->volume_id, 3, "operator", "rival", s->now_ms, &id,
		    &e);
}

static void
failure_happen(struct sim *s, struct sim_worker *w, struct execution *x,
    const struct failure_pattern *p)
{
	struct err e = ERR_INIT;

	switch (p->type) {
	case FAILURE_WORKER_KILLED:
		worker_die(s, w, p->duration_ms);
		break;
	case FAILURE_WORKER_TIMEOUT:
		w->unheard_until_ms = s->now_ms + p->duration_ms;
		break;
	case FAILURE_TASK_STUCK:
		x->stuck_until_ms = s->now_ms + p->duration_ms;
		x->deaf = true;
		s->result->stucks++;
		break;
	case FAILURE_TASK_ERROR:
		x->finished = true;
		x->code = ERR_IO;
		break;
	case FAILURE_RESOURCES:
		x->finished = true;
		x->code = ERR_FULL;
		s->full_until_ms = s->now_ms + p->duration_ms;
		break;
	case FAILURE_DUPLICATE:
		submit_others(s, x);
		break;
	case FAILURE_RIVAL:
		submit_rival(s, x);
		break;
	case FAILURE_STORE_RESTART:
		s->store_back_ms = s->now_ms + p->duration_ms;
		s->result->restarts_of_store++;
		break;
	case FAILURE_TASKS_RESTART:
		if (s->board_up)
			board_stop(s, p->duration_ms);
		break;
	case FAILURE_MESSAGE_LOST:
		w->lose += 1 + (unsigned)(chance(s) % 3);
		break;
	case FAILURE_CANCELLED:
		if (s->board_up)
			board_cancel(&s->board, x->id, "enough", &e);
		break;
	case FAILURE_TYPES:
		break;
	}
}

static void
failures_turn(struct sim *s, struct sim_worker *w, struct execution *x)
{
	const struct simulation_scenario *c = s->scenario;

	for (unsigned i = 0; i < c->pattern_count && x->used && !s->calm; i++) {
		const struct failure_pattern *p = &c->failure_patterns[i];

		if ((x->fired & 1u << i) != 0 || x->done < x->total / 100 * p->timing.percent ||
		    (p->timing.times != 0 && s->fired[i] >= p->timing.times))
			continue;
		x->fired |= 1u << i;
		if (!happens(s, p->probability))
			continue;
		s->fired[i]++;
		failure_happen(s, w, x, p);
	}
}

/* --- workers ---------------------------------------------------------------------------------- */

struct named {
	Hf__WorkerTask	 tasks[SLOTS], *pointers[SLOTS];
	size_t		 count;
};

static void
worker_names(const struct sim *s, struct sim_worker *w, struct named *out)
{
	out->count = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct execution *x = &w->slots[i];
		Hf__WorkerTask *t = &out->tasks[out->count];

		if (!x->used)
			continue;
		hf__worker_task__init(t);
		t->id = x->id;
		t->lease = x->lease;
		t->done_bytes = x->done;
		t->total_bytes = x->total;
		t->estimate_ms = x->begun ? 1000 + x->total / s->scenario->rate_bytes_per_ms : 0;
		t->run_ms = x->begun ? s->now_ms - x->begun_ms : 0;
		out->pointers[out->count++] = t;
	}
}

unsigned
worker_free_slots(const struct sim_worker *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		n += !w->slots[i].used;
	return (n);
}

static void
worker_take(struct sim_worker *w, const Hf__Task *t)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct execution *x = &w->slots[i];

		if (x->used)
			continue;
		*x = (struct execution){ .used = true, .id = t->id, .lease = t->lease,
		    .volume_id = t->volume_id, .kind = task_kind_of(t->type) };
		return;
	}
}

static void
worker_obey(struct sim *s, struct sim_worker *w, const Hf__WorkerOrders *orders)
{
	if (orders->unknown) {
		w->registered = false;
		return;
	}
	for (size_t i = 0; i < orders->n_cancel; i++)
		for (unsigned j = 0; j < SLOTS; j++)
			if (w->slots[j].used && w->slots[j].id == orders->cancel[i]->id &&
			    w->slots[j].lease == orders->cancel[i]->lease)
				w->slots[j].cancelled = true;
	for (size_t i = 0; i < orders->n_tasks; i++)
		worker_take(w, orders->tasks[i]);
	if (orders->claim)
		w->knocked = true;
	if (orders->n_tasks > 0)
		w->heartbeat_ms = s->now_ms;	/* says that it begins */
}

static bool
worker_is_heard(struct sim *s, struct sim_worker *w)
{
	if (!s->board_up || s->now_ms < w->unheard_until_ms)
		return (false);
	if (w->lose > 0 && (chance(s) & 1) != 0) {
		w->lose--;
		return (false);
	}
	return (true);
}

/* The answer may be lost where the word was heard. */
static bool
answer_is_heard(struct sim_worker *w)
{
	if (w->lose == 0)
		return (true);
	w->lose--;
	return (false);
}

static void
worker_register(struct sim *s, struct sim_worker *w)
{
	static const char *const names[] = { "erasure_coding", "vacuum", "drive_rebuild" };
	Hf__WorkerRegister q = HF__WORKER_REGISTER__INIT;
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct named named;
	struct err e = ERR_INIT;

	if (!worker_is_heard(s, w))
		return;
	worker_names(s, w, &named);
	q.id = w->id;
	q.instance = (ProtobufCBinaryData){ 16, w->instance };
	q.address = (char *)(uintptr_t)"/run/worker";
	q.capabilities = (char **)(uintptr_t)names;
	q.n_capabilities = 3;
	q.max_concurrent = SLOTS;
	q.tasks = named.pointers;
	q.n_tasks = named.count;
	if (board_register(&s->board, &q, s->now_ms, &orders, &e) < 0)
		broken(s, "register: %s", e.text);
	if (answer_is_heard(w)) {
		w->registered = true;
		w->knocked = true;
		worker_obey(s, w, &orders);
	}
	board_orders_release(&s->board, &orders);
}

static void
worker_heartbeat(struct sim *s, struct sim_worker *w)
{
	Hf__WorkerHeartbeat q = HF__WORKER_HEARTBEAT__INIT;
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct named named;
	struct err e = ERR_INIT;

	w->heartbeat_ms = s->now_ms + s->board.settings.heartbeat_ms;
	if (!worker_is_heard(s, w))
		return;
	worker_names(s, w, &named);
	q.id = w->id;
	q.instance = (ProtobufCBinaryData){ 16, w->instance };
	q.tasks = named.pointers;
	q.n_tasks = named.count;
	if (board_heartbeat(&s->board, &q, s->now_ms, &orders, &e) < 0)
		broken(s, "heartbeat: %s", e.text);
	if (answer_is_heard(w))
		worker_obey(s, w, &orders);
	board_orders_release(&s->board, &orders);
}

static void
worker_claim(struct sim *s, struct sim_worker *w)
{
	Hf__WorkerClaim q = HF__WORKER_CLAIM__INIT;
	Hf__WorkerOrders orders = HF__WORKER_ORDERS__INIT;
	struct named named;
	struct err e = ERR_INIT;

	w->knocked = false;
	if (!worker_is_heard(s, w)) {
		w->knocked = true;	/* it tries again */
		return;
	}
	worker_names(s, w, &named);
	q.id = w->id;
	q.instance = (ProtobufCBinaryData){ 16, w->instance };
	q.slots = worker_free_slots(w);
	q.tasks = named.pointers;
	q.n_tasks = named.count;
	if (board_claim(&s->board, &q, s->now_ms, &orders, &e) < 0)
		broken(s, "claim: %s", e.text);
	if (answer_is_heard(w))
		worker_obey(s, w, &orders);
	else
		w->knocked = true;
	board_orders_release(&s->board, &orders);
}

static void
worker_done(struct sim *s, struct sim_worker *w, struct execution *x)
{
	Hf__WorkerDone q = HF__WORKER_DONE__INIT;
	Hf__WorkerTask t = HF__WORKER_TASK__INIT;
	struct err e = ERR_INIT;
	int rc;

	if (!worker_is_heard(s, w))
		return;
	t.id = x->id;
	t.lease = x->lease;
	t.done_bytes = x->done;
	t.total_bytes = x->total;
	t.run_ms = s->now_ms - x->begun_ms;
	q.id = w->id;
	q.instance = (ProtobufCBinaryData){ 16, w->instance };
	q.task = &t;
	q.code = x->code;
	rc = board_done(&s->board, &q, x, s->now_ms, &e);
	if (rc == ERR_STALE) {
		s->result->stale_refused++;
		memset(x, 0, sizeof(*x));
	} else if (rc == ERR_NOT_FOUND) {
		w->registered = false;
	} else if (rc < 0) {
		broken(s, "done: %s", e.text);
	}
}

/* An executor asks the store before it changes anything: without a good lease it ends. */
static void
execute(struct sim *s, struct sim_worker *w, struct execution *x)
{
	const struct sim_volume *v = volume_find(s, x->volume_id);

	if (!x->begun) {
		x->begun = true;
		x->begun_ms = s->now_ms;
		x->total = v != NULL ? v->bytes : 1;
	}
	failures_turn(s, w, x);
	if (!x->used || x->finished || s->now_ms < x->stuck_until_ms ||
	    s->now_ms < s->store_back_ms)
		return;
	if (v == NULL || v->state == HF__CATALOG_SEGMENT__STATE__DROPPED) {
		x->code = ERR_NOT_FOUND;
		x->finished = true;
		return;
	}
	if (x->cancelled || !lease_is_good(s, x->id, x->lease)) {
		x->code = x->cancelled ? ERR_CANCELLED : ERR_STALE;
		x->finished = true;
		return;
	}
	x->done += s->scenario->rate_bytes_per_ms * UINT64_C(1000) / 2 +
	    chance(s) % (s->scenario->rate_bytes_per_ms * UINT64_C(1000));
	if (x->done < x->total)
		return;
	x->done = x->total;
	volume_commit(s, x);
	x->finished = true;
}

static void
worker_start(struct sim *s, struct sim_worker *w)
{
	w->alive = true;
	w->registered = w->knocked = false;
	w->lose = 0;
	w->generation++;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t bits = chance(s);

		memcpy(w->instance + 8 * i, &bits, 8);
	}
}

void
worker_turn(struct sim *s, struct sim_worker *w)
{
	if (!w->alive) {
		if (s->now_ms >= w->back_ms)
			worker_start(s, w);
		return;
	}
	if (!w->registered)
		worker_register(s, w);
	for (unsigned i = 0; i < SLOTS && w->alive; i++)
		if (w->slots[i].used && !w->slots[i].finished)
			execute(s, w, &w->slots[i]);
	for (unsigned i = 0; i < SLOTS && w->registered && w->alive; i++)
		if (w->slots[i].used && w->slots[i].finished)
			worker_done(s, w, &w->slots[i]);
	if (!w->alive || !w->registered)
		return;
	if (w->knocked)
		worker_claim(s, w);
	if (w->registered && worker_free_slots(w) < SLOTS && s->now_ms >= w->heartbeat_ms)
		worker_heartbeat(s, w);
}
