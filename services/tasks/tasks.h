/*
 * tasks - what the files of holdfast-tasks share: the board, and those who connect it to the store,
 * to workers, to people and to time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SERVICES_TASKS_TASKS_H
#define HF_SERVICES_TASKS_TASKS_H

#include "libobject/object.h"
#include "libservice/service.h"
#include "schema/worker.pb-c.h"
#include "services/tasks/board.h"

#define TASKS_WORKERS_ADDRESS	"tasks.workers"		/* in the run directory */

/* A person who waits to hear what became of a submission. */
struct tasks_asker {
	struct tasks_asker	*next;
	struct message		*message;
	uint64_t		 volume_id;
	enum task_kind		 kind;
	uint64_t		 look;		/* after so many looks it is tried again; or 0 */
};

struct tasks {
	struct service		*service;
	struct objects		*objects;
	struct board		 board;
	struct message_server	*workers;
	struct event		*turn;		/* at board_next_ms, or soon */
	uint64_t		 real_base_ms, mono_base_ms;
	/* Reading from the store, one page after the other; NULL: not under way. */
	struct object_call	*loading, *scanning;
	bool			 load_again;
	uint64_t		 scans;
	struct tasks_asker	*askers;
	bool			 closing;
};

/* main.c's table. */
int tasks_open(struct service *s, struct err *e);
void tasks_reload(struct service *s);
void tasks_pause(struct service *s, bool paused);
void tasks_run_now(struct service *s);
void tasks_cancel(struct service *s, const char *reason, uint64_t deadline_ms);
void tasks_close(struct service *s);
void tasks_status(struct service *s, cJSON *status);
void tasks_observe(struct service *s);
void tasks_reconcile(struct service *s, cJSON *plan);
extern const struct message_handler tasks_messages[];

/* tasks.c. Never goes back, whatever is done to the machine's clock. */
uint64_t tasks_now(const struct tasks *t);
/* Something was put on the board, or a time has come: decides, at the end of this turn. */
void tasks_turn_soon(struct tasks *t);

/* tasks_store.c: the board's words to the store, and what the store tells. */
void tasks_submit(void *context, const Hf__Task *task);
void tasks_update(void *context, const Hf__Task *from, const Hf__Task *to);
void tasks_refresh(void *context, uint64_t id);
void tasks_seal(void *context, uint64_t segment);
void tasks_load(struct tasks *t);
void tasks_scan(struct tasks *t);
/* So that nothing is called back any more. */
void tasks_store_stop(struct tasks *t);

/* tasks_channel.c: the workers' channel. */
int tasks_channel_open(struct tasks *t, struct err *e);
void tasks_channel_close(struct tasks *t);
void tasks_knock(void *context, const struct worker *w);
void tasks_answer(void *context, void *waiter, int code);
/* All workers that this machine may have: who waits silently registers again. */
void tasks_knock_all(struct tasks *t);

/* tasks_ask.c: a person's submission; answers m, at once or later. */
void tasks_ask(struct tasks *t, struct message *m, const Hf__TasksAct *q);
/* It was looked anew for segments and drives; or that failed. */
void tasks_ask_again(struct tasks *t, const struct err *failed);
void tasks_tell_asker(struct tasks *t, const Hf__Task *sent, int code, unsigned admission,
    const Hf__Task *task, const struct err *e);

/* tasks_people.c */
void tasks_reply_action(struct message *m, const char *result, uint64_t id);

/* tasks_other.c: q is about a task that the board does not have (unknown says so); answers m. */
void tasks_other(struct tasks *t, struct message *m, const Hf__TasksAct *q, const char *why,
    const struct err *unknown);

/* tasks_json.c */
cJSON *tasks_json_task(const struct tasks *t, const Hf__Task *task);
cJSON *tasks_json_workers(const struct tasks *t);
cJSON *tasks_json_why(const struct tasks *t);
void tasks_json_metrics(const struct tasks *t, cJSON *out);

#endif
