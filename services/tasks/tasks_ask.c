/*
 * tasks_ask - people who submit a task, and wait to hear what became of that.
 *
 *   asks ──► submitted ─────────────────────────► the store's word: queued, merged, full
 *     └─ not known, or open ──► looks anew ──► submitted, or refused
 *
 * The list of segments is as old as the last look; what is said of a segment that it does not show
 * is said after another one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "services/tasks/tasks.h"

static void
asker_end(struct tasks_asker **link, int code, const char *result, uint64_t id,
    const struct err *e)
{
	struct tasks_asker *a = *link;
	struct err why = ERR_INIT;

	*link = a->next;
	if (code == 0) {
		tasks_reply_action(a->message, result, id);
	} else {
		err_set(&why, code, "%s", e->text);
		message_refuse(&a->message, &why);
	}
	free(a);
}

void
tasks_tell_asker(struct tasks *t, const Hf__Task *sent, int code, unsigned admission,
    const Hf__Task *task, const struct err *e)
{
	enum task_kind kind = task_kind_of(sent->type);
	struct err full = ERR_INIT;

	err_set(&full, ERR_BUSY, "the queue is full (tasks.queue_max)");
	for (struct tasks_asker **link = &t->askers, *a; (a = *link) != NULL; ) {
		if (a->kind != kind || a->volume_id != sent->volume_id)
			link = &a->next;
		else if (code != 0)
			asker_end(link, code, "", 0, e);
		else if (task == NULL || admission == HF__ADMISSION__TASKS_FULL)
			asker_end(link, ERR_BUSY, "", 0, &full);
		else
			asker_end(link, 0, admission == HF__ADMISSION__MERGED ? "merged" : "queued",
			    task->id, NULL);
	}
}

/* False: it is answered, and gone. Else it waits: for the store's word, or for a look. */
static bool
asker_try(struct tasks *t, struct tasks_asker **link)
{
	struct tasks_asker *a = *link;
	const Hf__TasksAct *q = (const Hf__TasksAct *)a->message->body;
	struct err e = ERR_INIT;
	uint64_t id = 0;
	int rc = board_ask(&t->board, a->kind, a->volume_id, q->priority, "operator",
	    q->reason[0] != '\0' ? q->reason : "asked for by an operator", tasks_now(t), &id, &e);

	if (rc == 0 || (rc == ERR_EXISTS && id == 0)) {	/* it is on its way */
		a->look = 0;
	} else if (rc == ERR_EXISTS) {
		asker_end(link, 0, "merged", id, NULL);
		return (false);
	} else if (a->look != 0) {
		asker_end(link, rc, "", 0, &e);
		return (false);
	} else {
		a->look = t->scans + 1 + (t->scanning != NULL);
		board_hint(&t->board, true, tasks_now(t));
	}
	return (true);
}

void
tasks_ask(struct tasks *t, struct message *m, const Hf__TasksAct *q)
{
	enum task_kind kind = task_kind_of(q->type);
	struct tasks_asker *a;
	struct err e = ERR_INIT;

	if (kind == TASK_KIND_COUNT) {
		err_set(&e, ERR_INVALID, "there are the types erasure_coding, vacuum and "
		    "drive_rebuild");
		message_refuse(&m, &e);
		return;
	}
	a = calloc(1, sizeof(*a));
	assert(a != NULL);
	*a = (struct tasks_asker){ .next = t->askers, .message = m, .volume_id = q->volume_id,
	    .kind = kind };
	t->askers = a;
	(void)asker_try(t, &t->askers);
}

void
tasks_ask_again(struct tasks *t, const struct err *failed)
{
	for (struct tasks_asker **link = &t->askers, *a; (a = *link) != NULL; ) {
		bool stays = true;

		if (a->look != 0 && failed != NULL) {
			asker_end(link, failed->code, "", 0, failed);
			stays = false;
		} else if (a->look != 0 && a->look <= t->scans) {
			stays = asker_try(t, link);
		} else if (a->look != 0) {
			board_hint(&t->board, true, tasks_now(t));
		}
		if (stays)
			link = &a->next;
	}
}
