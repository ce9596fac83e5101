/*
 * state_task - the task queue inside the sequencer: what other parts of it ask.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_TASK_H
#define HF_STORE_STATE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "libbase/err.h"
#include "schema/log.pb-c.h"

struct state;

/* Of the queue, in memory. */
struct tasks {
	bool		changed;	/* a task's record was committed since the last look */
	bool		pruning;	/* finished ones are being removed */
	uint64_t	prune_ms;	/* when the oldest is too old: clock_mono_ms; UINT64_MAX */
};

/* Now, for people and for records: ms since 1970. */
uint64_t state_real_ms(const struct state *st);
/* What is done under a lease: 0 if the task is ASSIGNED or IN_PROGRESS under just this lease, as
 * admission sees it; ERR_STALE if not. */
int task_lease_check(struct state *st, uint64_t task, uint64_t lease, struct err *e);
/* A task by its id as admission sees it; ERR_NOT_FOUND with words. */
int task_find(struct state *st, uint64_t id, Hf__Task **out, struct err *e);

/* The open task with a fingerprint: 0, ERR_NOT_FOUND, or ADMIT_PARK while its id is provisional. */
int task_find_open(struct state *st, const char *fingerprint, Hf__Task **out, struct err *e);

/* state_task_history.c: removes finished tasks that are too many or too old. */
void tasks_load(struct state *st);
void tasks_turn(struct state *st);
uint64_t tasks_next_ms(const struct state *st);

#endif
