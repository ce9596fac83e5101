/*
 * tasks_store - what the board asks of the store's queue, and what it is told of tasks, segments
 * and drives.
 *
 * Questions to the store never end before it has answered: it is asked again after a restart, and
 * applies each change once. So there is no state here of what was meant to happen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/apply/task.h"
#include "services/tasks/tasks.h"

#define PAGE		1000u
#define SEALED_MS	1000	/* it is sealed when the next one is made */
#define WAIT_MS		(UINT64_C(10) * 60 * 1000)

static struct object_call *
ask(struct tasks *t, Hf__StoreRequest *q, object_fn *fn, void *context)
{
	return (object_call(t->objects, "", q, clock_mono_ms() + WAIT_MS, fn, context));
}

/* --- changes ---------------------------------------------------------------------------------- */

struct change {
	struct tasks	*tasks;
	Hf__Task	*sent;		/* of a submission */
	uint64_t	 id;
};

static struct change *
change_new(struct tasks *t, const Hf__Task *sent, uint64_t id)
{
	struct change *c = calloc(1, sizeof(*c));

	assert(c != NULL);
	c->tasks = t;
	c->id = id;
	c->sent = sent != NULL ? task_copy(sent) : NULL;
	return (c);
}

static void
change_free(struct change *c)
{
	task_free(&c->sent);
	free(c);
}

static const Hf__Task *
reply_task(const Hf__StoreReply *reply)
{
	return (reply != NULL && reply->n_tasks > 0 ? reply->tasks[0] : NULL);
}

static void
on_submitted(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct change *c = context;
	struct tasks *t = c->tasks;
	unsigned admission = reply != NULL ? (unsigned)reply->admission : 0;

	if (!t->closing) {
		tasks_tell_asker(t, c->sent, code, admission, reply_task(reply), e);
		board_submitted(&t->board, c->sent, code, admission, reply_task(reply),
		    tasks_now(t));
		tasks_turn_soon(t);
	}
	change_free(c);
}

void
tasks_submit(void *context, const Hf__Task *task)
{
	struct tasks *t = context;
	struct change *c = change_new(t, task, 0);
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__TaskSubmit op = HF__TASK_SUBMIT__INIT;

	op.task = c->sent;
	q.op_case = HF__STORE_REQUEST__OP_TASK_SUBMIT;
	q.task_submit = &op;
	(void)ask(t, &q, on_submitted, c);
}

static void
on_updated(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct change *c = context;
	struct tasks *t = c->tasks;

	if (!t->closing) {
		if (code != 0 && code != ERR_STALE && code != ERR_FULL)
			service_set_error(t->service, e);
		board_updated(&t->board, c->id, code, reply_task(reply), e != NULL ? e->text : "",
		    tasks_now(t));
		tasks_turn_soon(t);
	}
	change_free(c);
}

void
tasks_update(void *context, const Hf__Task *from, const Hf__Task *to)
{
	struct tasks *t = context;
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__TaskUpdate op = HF__TASK_UPDATE__INIT;

	op.id = from->id;
	op.from_state = (uint32_t)from->state;
	op.from_lease = from->lease;
	op.task = (Hf__Task *)(uintptr_t)to;
	q.op_case = HF__STORE_REQUEST__OP_TASK_UPDATE;
	q.task_update = &op;
	(void)ask(t, &q, on_updated, change_new(t, NULL, from->id));
}

static void
on_refreshed(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct change *c = context;
	struct tasks *t = c->tasks;

	(void)e;
	if (!t->closing && (code == 0 || code == ERR_NOT_FOUND)) {
		board_task(&t->board, c->id, reply_task(reply), tasks_now(t));
		tasks_turn_soon(t);
	}
	change_free(c);
}

void
tasks_refresh(void *context, uint64_t id)
{
	struct tasks *t = context;
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__TaskGet op = HF__TASK_GET__INIT;

	op.id = id;
	q.op_case = HF__STORE_REQUEST__OP_TASK_GET;
	q.task_get = &op;
	(void)ask(t, &q, on_refreshed, change_new(t, NULL, id));
}

static void
on_sealed(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct tasks *t = context;

	(void)reply;
	if (t->closing || code == ERR_CANCELLED)
		return;
	if (code != 0)
		log_warn("the segment cannot be sealed: %s", e->text);
	else
		board_hint(&t->board, true, tasks_now(t) + SEALED_MS);
	tasks_turn_soon(t);
}

void
tasks_seal(void *context, uint64_t segment)
{
	struct tasks *t = context;
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentSeal op = HF__SEGMENT_SEAL__INIT;

	op.segment = segment;
	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_SEAL;
	q.segment_seal = &op;
	(void)ask(t, &q, on_sealed, t);
}

/* --- the queue -------------------------------------------------------------------------------- */

static void load_page(struct tasks *t, uint64_t after);

static void
load_end(struct tasks *t)
{
	board_load_finish(&t->board, tasks_now(t));
	if (t->load_again) {
		t->load_again = false;
		tasks_load(t);
	}
	tasks_turn_soon(t);
}

static void
on_page(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct tasks *t = context;

	t->loading = NULL;
	if (code != 0) {
		log_warn("the queue cannot be read: %s", e->text);
		service_set_error(t->service, e);
		return;			/* the next connection, or hint, reads it again */
	}
	for (size_t i = 0; i < reply->n_tasks; i++)
		board_load_task(&t->board, reply->tasks[i], tasks_now(t));
	if (reply->truncated && reply->next_id != 0)
		load_page(t, reply->next_id);
	else
		load_end(t);
}

static void
load_page(struct tasks *t, uint64_t after)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__TaskList op = HF__TASK_LIST__INIT;

	op.after = after;
	op.max = PAGE;
	op.states = TASK_STATES_OPEN | TASK_STATE_BIT(COMPLETED);
	q.op_case = HF__STORE_REQUEST__OP_TASK_LIST;
	q.task_list = &op;
	t->loading = ask(t, &q, on_page, t);
}

void
tasks_load(struct tasks *t)
{
	if (t->loading != NULL) {
		t->load_again = true;
		return;
	}
	board_load_begin(&t->board);
	load_page(t, 0);
}

/* --- segments and drives ---------------------------------------------------------------------- */

static void scan_page(struct tasks *t, uint64_t after);

static void
scan_failed(struct tasks *t, int code, const struct err *e)
{
	if (code == ERR_CANCELLED)
		return;
	log_warn("what is to be done cannot be looked for: %s", e->text);
	service_set_error(t->service, e);
	t->board.scan_ms = UINT64_MAX;
	board_hint(&t->board, false, tasks_now(t));
	tasks_ask_again(t, e);
	tasks_turn_soon(t);
}

static void
on_segments(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct tasks *t = context;
	uint64_t last = 0;

	t->scanning = NULL;
	if (code != 0) {
		scan_failed(t, code, e);
		return;
	}
	for (size_t i = 0; i < reply->n_segments; i++) {
		volume_states_row(&t->board.volumes, reply->segments[i]);
		if (reply->segments[i]->row != NULL)
			last = reply->segments[i]->row->id;
	}
	if (reply->truncated && last != 0) {
		scan_page(t, last);
		return;
	}
	volume_states_finish(&t->board.volumes);
	t->scans++;
	board_scanned(&t->board, tasks_now(t));
	tasks_ask_again(t, NULL);
	tasks_turn_soon(t);
}

static void
scan_page(struct tasks *t, uint64_t after)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__SegmentList op = HF__SEGMENT_LIST__INIT;

	op.after = after;
	op.max = PAGE;
	q.op_case = HF__STORE_REQUEST__OP_SEGMENT_LIST;
	q.segment_list = &op;
	t->scanning = ask(t, &q, on_segments, t);
}

static void
on_layout(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct tasks *t = context;

	t->scanning = NULL;
	(void)reply;			/* its layout is kept by the client interface */
	if (code == 0 && objects_layout(t->objects) != NULL)
		volume_states_layout(&t->board.volumes, objects_layout(t->objects));
	if (code != 0) {
		scan_failed(t, code, e);
		return;
	}
	volume_states_begin(&t->board.volumes);
	scan_page(t, 0);
}

void
tasks_scan(struct tasks *t)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__LayoutGet op = HF__LAYOUT_GET__INIT;

	q.op_case = HF__STORE_REQUEST__OP_LAYOUT_GET;
	q.layout_get = &op;
	t->scanning = ask(t, &q, on_layout, t);
}

void
tasks_store_stop(struct tasks *t)
{
	if (t->loading != NULL)
		object_call_cancel(&t->loading);
	if (t->scanning != NULL)
		object_call_cancel(&t->scanning);
	if (t->objects != NULL)
		objects_close(&t->objects);	/* the rest ends now, cancelled */
}
