/*
 * tasks_other - cancelling and retrying tasks that the board does not have: the store's own, such
 * as cleanup, which it works off by itself. Asked of the store in two steps: how the task is, and
 * what it shall become from there; a task that changed meanwhile is refused, and one asks again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libstore/apply/task.h"
#include "services/tasks/tasks.h"

#define ANSWER_MS	4000

struct other {
	struct tasks	*tasks;
	struct message	*message;
	uint64_t	 id;
	bool		 retry;
	char		 why[160];
	struct err	 unknown;	/* what the board says of it */
};

static void
other_refuse(struct other *o, const struct err *e)
{
	message_refuse(&o->message, e);
	free(o);
}

static void
on_changed(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct other *o = context;

	(void)reply;
	if (code != 0) {
		other_refuse(o, e);
		return;
	}
	tasks_load(o->tasks);	/* it may have been a dead letter */
	tasks_reply_action(o->message, o->retry ? "queued" : "cancelled", o->id);
	free(o);
}

static bool
may_retry(const Hf__Task *t)
{
	return (t->state == HF__TASK__STATE__FAILED || t->state == HF__TASK__STATE__DEAD_LETTER ||
	    t->state == HF__TASK__STATE__PENDING);
}

static void
other_change(struct other *o, const Hf__Task *was)
{
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT;
	Hf__TaskUpdate op = HF__TASK_UPDATE__INIT;
	Hf__Task *next = task_copy(was);

	next->state = o->retry ? HF__TASK__STATE__PENDING : HF__TASK__STATE__CANCELLED;
	next->not_before_ms = 0;
	if (!o->retry)
		task_set_text(&next->error, o->why);
	op.id = was->id;
	op.from_state = (uint32_t)was->state;
	op.from_lease = was->lease;
	op.task = next;
	q.op_case = HF__STORE_REQUEST__OP_TASK_UPDATE;
	q.task_update = &op;
	(void)object_call(o->tasks->objects, o->message->envelope->request_id, &q,
	    clock_mono_ms() + ANSWER_MS, on_changed, o);
	task_free(&next);
}

static void
on_got(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct other *o = context;
	const Hf__Task *t = code == 0 && reply->n_tasks == 1 ? reply->tasks[0] : NULL;

	if (code != 0 && code != ERR_NOT_FOUND)
		other_refuse(o, e);
	else if (t == NULL || task_kind_of(t->type) != TASK_KIND_COUNT ||
	    !task_is_open((int)t->state) || (o->retry && !may_retry(t)))
		other_refuse(o, &o->unknown);
	else
		other_change(o, t);
}

void
tasks_other(struct tasks *t, struct message *m, const Hf__TasksAct *q, const char *why,
    const struct err *unknown)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__TaskGet op = HF__TASK_GET__INIT;
	struct other *o = calloc(1, sizeof(*o));

	assert(o != NULL);
	*o = (struct other){ .tasks = t, .message = m, .id = q->id,
	    .retry = strcmp(q->action, "retry") == 0, .unknown = *unknown };
	snprintf(o->why, sizeof(o->why), "%s", why);
	op.id = q->id;
	request.op_case = HF__STORE_REQUEST__OP_TASK_GET;
	request.task_get = &op;
	(void)object_call(t->objects, m->envelope->request_id, &request, clock_mono_ms() +
	    ANSWER_MS, on_got, o);
}
