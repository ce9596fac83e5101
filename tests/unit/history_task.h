/*
 * history_task - tasks of a history: submitted, claimed, moved on by whoever, and what each may be
 * afterwards. As with keys, a transition that got no answer leaves both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_HISTORY_TASK_H
#define HF_TESTS_HISTORY_TASK_H

#include <stdint.h>

#include "schema/store.pb-c.h"

#define HISTORY_TASKS_MAX	48

struct history_task {
	uint64_t	id;
	uint32_t	states;		/* a mask: what it may be */
	uint64_t	lease;		/* of the last claim that was answered */
};
struct history_tasks {
	struct history_task	all[HISTORY_TASKS_MAX];
	unsigned		count, moves, refused;
};

struct model;
/*
 * Submits a task as an operator would and claims it: ASSIGNED, under a new lease, which goes into
 * *out with its id. 0, or an error: somebody else has it, no answer, full.
 */
int history_task_claim(struct model *m, unsigned client, const char *type, uint64_t about,
    Hf__Task *out);
/* A transition under the lease of `t'. */
int history_task_move(struct model *m, unsigned client, const Hf__Task *t, Hf__Task__State state);
/* Any task, to any state: what is not legal must be refused, and changes nothing. */
void history_task_any(struct model *m, unsigned client);
/* Every one is there, in a state that it may have. */
void history_tasks_verify(struct model *m, unsigned client, const char *when);

#endif
