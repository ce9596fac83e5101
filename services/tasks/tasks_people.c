/*
 * tasks_people - what `holdfastctl tasks' asks: lists, one task, workers, why nothing happens; and
 * submitting, cancelling and retrying.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/clock.h"
#include "libservice/json_add.h"
#include "libstore/apply/task.h"
#include "schema/worker.pb-c.h"
#include "services/tasks/tasks.h"

#define LIST_MAX	150u		/* rows of an answer: it must stay below a message */
#define ANSWER_MS	4000

static void
reply_json(struct message *m, cJSON *document)
{
	Hf__StatusReply reply = HF__STATUS_REPLY__INIT;

	reply.json = cJSON_PrintUnformatted(document);
	assert(reply.json != NULL);
	cJSON_Delete(document);
	message_reply(&m, &reply.base);
	cJSON_free(reply.json);
}

static void
refuse(struct message *m, int code, const char *text)
{
	struct err e = ERR_INIT;

	err_set(&e, code, "%s", text);
	message_refuse(&m, &e);
}

/* --- questions -------------------------------------------------------------------------------- */

/* A question that goes on to the store. */
struct question {
	struct tasks	*tasks;
	struct message	*message;
};

static struct question *
question_new(struct tasks *t, struct message *m)
{
	struct question *q = calloc(1, sizeof(*q));

	assert(q != NULL);
	q->tasks = t;
	q->message = m;
	return (q);
}

static void
on_tasks(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct question *q = context;
	cJSON *document, *rows;

	if (code != 0) {
		message_refuse(&q->message, e);
		free(q);
		return;
	}
	document = cJSON_CreateObject();
	rows = cJSON_AddArrayToObject(document, "tasks");
	for (size_t i = 0; i < reply->n_tasks; i++)
		cJSON_AddItemToArray(rows, tasks_json_task(q->tasks, reply->tasks[i]));
	json_add_id(document, "next", reply->truncated ? reply->next_id : 0);
	cJSON_AddStringToObject(document, "why_idle", board_why_idle(&q->tasks->board));
	reply_json(q->message, document);
	free(q);
}

static void
query_list(struct tasks *t, struct message *m, const Hf__TasksQuery *q)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__TaskList op = HF__TASK_LIST__INIT;

	op.after = q->after;
	op.max = q->max == 0 || q->max > LIST_MAX ? LIST_MAX : q->max;
	op.states = q->states != 0 ? q->states : TASK_STATES_OPEN;
	op.type = q->type;
	request.op_case = HF__STORE_REQUEST__OP_TASK_LIST;
	request.task_list = &op;
	(void)object_call(t->objects, m->envelope->request_id, &request, clock_mono_ms() +
	    ANSWER_MS, on_tasks, question_new(t, m));
}

static void
query_show(struct tasks *t, struct message *m, const Hf__TasksQuery *q)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__TaskGet op = HF__TASK_GET__INIT;

	op.id = q->id;
	request.op_case = HF__STORE_REQUEST__OP_TASK_GET;
	request.task_get = &op;
	(void)object_call(t->objects, m->envelope->request_id, &request, clock_mono_ms() +
	    ANSWER_MS, on_tasks, question_new(t, m));
}

static void
query_workers(struct tasks *t, struct message *m, const Hf__TasksQuery *q)
{
	cJSON *document = cJSON_CreateObject();

	(void)q;
	cJSON_AddItemToObject(document, "workers", tasks_json_workers(t));
	cJSON_AddStringToObject(document, "why_idle", board_why_idle(&t->board));
	reply_json(m, document);
}

static void
query_why(struct tasks *t, struct message *m, const Hf__TasksQuery *q)
{
	cJSON *document = tasks_json_why(t);

	(void)q;
	tasks_json_metrics(t, cJSON_AddObjectToObject(document, "system_metrics"));
	reply_json(m, document);
}

static const struct {
	const char	*what;
	void		(*answer)(struct tasks *t, struct message *m, const Hf__TasksQuery *q);
} queries[] = {
	{ "list", query_list },
	{ "show", query_show },
	{ "workers", query_workers },
	{ "why", query_why },
};

static void
on_query(void *context, struct message *m)
{
	const Hf__TasksQuery *q = (const Hf__TasksQuery *)m->body;
	struct tasks *t = service_context(context);

	for (unsigned i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
		if (strcmp(queries[i].what, q->what) == 0) {
			queries[i].answer(t, m, q);
			return;
		}
	refuse(m, ERR_UNSUPPORTED, "there are the questions list, show, workers and why");
}

/* --- actions ---------------------------------------------------------------------------------- */

void
tasks_reply_action(struct message *m, const char *result, uint64_t id)
{
	Hf__ActionReply reply = HF__ACTION_REPLY__INIT;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "result", result);
	json_add_id(o, "id", id);
	reply.json = cJSON_PrintUnformatted(o);
	assert(reply.json != NULL);
	cJSON_Delete(o);
	message_reply(&m, &reply.base);
	cJSON_free(reply.json);
}

static void
act_cancel(struct tasks *t, struct message *m, const Hf__TasksAct *q)
{
	const char *why = q->reason[0] != '\0' ? q->reason : "cancelled by an operator";
	struct err e = ERR_INIT;

	if (board_cancel(&t->board, q->id, why, &e) < 0)
		tasks_other(t, m, q, why, &e);
	else
		tasks_reply_action(m, "cancelling", q->id);
}

static void
act_retry(struct tasks *t, struct message *m, const Hf__TasksAct *q)
{
	struct err e = ERR_INIT;

	int rc = board_retry(&t->board, q->id, &e);

	if (rc == ERR_NOT_FOUND)
		tasks_other(t, m, q, "", &e);
	else if (rc < 0)
		message_refuse(&m, &e);
	else
		tasks_reply_action(m, "queued", q->id);
}

static const struct {
	const char	*action;
	void		(*act)(struct tasks *t, struct message *m, const Hf__TasksAct *q);
} acts[] = {
	{ "submit", tasks_ask },
	{ "cancel", act_cancel },
	{ "retry", act_retry },
};

static void
act_log(const struct message *m, const Hf__TasksAct *q)
{
	if (q->type[0] != '\0')
		log_write(LOG_INFO, m->envelope->request_id, "%.32s of %.64s on %llu asked by %s",
		    q->action, q->type, (unsigned long long)q->volume_id, m->envelope->asked_by);
	else
		log_write(LOG_INFO, m->envelope->request_id, "%.32s of task %llu asked by %s",
		    q->action, (unsigned long long)q->id, m->envelope->asked_by);
}

static void
on_act(void *context, struct message *m)
{
	const Hf__TasksAct *q = (const Hf__TasksAct *)m->body;
	struct tasks *t = service_context(context);

	act_log(m, q);
	tasks_turn_soon(t);
	for (unsigned i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(acts[i].action, q->action) == 0) {
			if (!t->board.loaded)
				refuse(m, ERR_UNAVAILABLE, board_why_idle(&t->board));
			else
				acts[i].act(t, m, q);
			return;
		}
	refuse(m, ERR_UNSUPPORTED, "there are the actions submit, cancel and retry");
}

const struct message_handler tasks_messages[] = {
	{ MESSAGE_TASKS_QUERY, on_query },
	{ MESSAGE_TASKS_ACT, on_act },
	{ 0, NULL },
};
