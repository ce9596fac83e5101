/*
 * task - what a task may be and become: fields and their bounds, states and transitions, backoff.
 * Pure functions; the queue itself is state_task.c's, its rows apply_task.c's.
 *
 *   submitted                            ┌──────────────────► COMPLETED (reported, or not yet)
 *       │                                │                        ▲
 *       ▼      claimed        begun      │    no progress         │ it ends well after all
 *    PENDING ─────────► ASSIGNED ───► IN_PROGRESS ─────────► STUCK
 *     ▲ ▲ ▲ ▲              │  │ │        │   │ │                │
 *     │ │ │ └─ given back ─┘  │ │        │   │ └─ (renewed)     │ cleaned up
 *     │ │ └──── given back ───┼─┼────────┘   │                  │
 *     │ │ now                 ▼ ▼            ▼                  │
 *     │ └───────────────── FAILED ◄─────────────────────────────┘
 *     │ retry                 │ the last attempt
 *     └───────────────── DEAD_LETTER ──► CANCELLED (written off)
 *
 *   FAILED is claimed again, as PENDING is, when its backoff is over. From everything that is not
 *   finished: CANCELLED. From all of these but STUCK and DEAD_LETTER: DUPLICATE.
 *
 * K1  At most one open (not finished) task has a fingerprint.
 * K2  The lease rises with each claim (to ASSIGNED) and never falls; a transition names the state
 *     and lease that it starts from, so that who has lost a claim changes nothing.
 * K3  An attempt is counted when it fails (to FAILED). The attempt that is one too many makes a
 *     DEAD_LETTER of it, which nobody but a person ends: retry (to PENDING, attempts 0) or
 *     write-off
 *     (to CANCELLED). Given back (to PENDING) is no attempt.
 * K4  What a task is (id, type, fingerprint, source, volume_id, collection, detected_ms) never
 *     changes.
 *
 * Claims of type "cleanup" have a grace period: one that was not renewed for so long may be taken
 * by another (ASSIGNED or IN_PROGRESS to ASSIGNED). Leases of other types are taken back by who
 * watches the workers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_TASK_H
#define HF_STORE_TASK_H

#include "libbase/bytes.h"
#include "libbase/err.h"
#include "schema/log.pb-c.h"

#define TASK_STATES		9	/* of enum Task.State, from 0 */
#define TASK_PRIORITIES		4
#define TASK_MERGED_MAX		100
#define TASK_TYPE_CLEANUP	"cleanup"
#define TASK_TYPE_VACUUM	"vacuum"
#define TASK_TYPE_ERASURE_CODING "erasure_coding"
#define TASK_TYPE_DRIVE_REBUILD	"drive_rebuild"

/* Bytes of fields; a name or value of a parameter; how many of them. */
#define TASK_TYPE_BYTES_MAX		64
#define TASK_FINGERPRINT_BYTES_MAX	255
#define TASK_NAME_BYTES_MAX		255	/* source, server, collection, worker_id */
#define TASK_TEXT_BYTES_MAX		1024	/* reason, error */
#define TASK_PARAMETERS_MAX		32
#define TASK_PARAMETER_BYTES_MAX	4096

/* From the config's section tasks. */
struct task_rules {
	uint64_t	queue_max;		/* open tasks */
	uint64_t	attempts_max;
	uint64_t	merge_window_ms;	/* a finished task answers for a new one */
	uint64_t	cancel_hold_ms;		/* a cancelled one, for so long */
	uint64_t	claim_grace_ms;
	uint64_t	history_max;		/* finished tasks that are kept */
	uint64_t	history_age_ms;
};
#define TASK_RULES_DEFAULT { 10000, 10, 600000, 3600000, 300000, 1000, UINT64_C(7) * 86400000 }

/*
 * A parameter that says since when what a task is about is as it is: an epoch of the catalog, or
 * the last file that a drive lacks. In another state it is other work, for which no finished task
 * answers.
 */
#define TASK_PARAMETER_SINCE	"since"
/*
 * What its detector saw, for its executor: bytes that it will read, of which so many live on; bytes
 * that a drive lacks; and up to which share of garbage it is worth it.
 */
#define TASK_PARAMETER_SOURCE	"source_bytes"
#define TASK_PARAMETER_LIVE	"live_bytes"
#define TASK_PARAMETER_LACKING	"lacking_bytes"
#define TASK_PARAMETER_GARBAGE	"garbage_percent_max"

/* Lists of table Q, each in the order of a time: */
#define TASK_LIST_WAITING(priority) (3 - (priority))	/* 0 urgent to 3 low: not_before_ms */
#define TASK_LIST_CLAIMED	8			/* claimed_ms */
#define TASK_LIST_DEAD_LETTER	9			/* finished_ms */
#define TASK_LIST_FINISHED	10			/* finished_ms */

/* The words of the seeds and of every output: "pending", ... "dead_letter"; "unknown". */
const char *task_state_name(int state);
const char *task_priority_name(int priority);
/* Not finished: it holds its fingerprint and its place in the queue. */
bool task_is_open(int state);
/* Waits to be claimed: PENDING, FAILED. */
bool task_is_waiting(int state);
/* Somebody's: ASSIGNED, IN_PROGRESS, STUCK. */
bool task_is_claimed(int state);
/* Its list, and its time there. */
uint8_t task_list(const Hf__Task *t);
uint64_t task_list_ms(const Hf__Task *t);
/* By the diagram alone, whatever else is asked for. */
bool task_may_become(int from, int to);
/* Bytes that are not given back until the task is finished: of a cleanup; else 0. */
uint64_t task_orphan_bytes(const Hf__Task *t);

/* min(1 min x 2^attempts, 24 h); 24 h from 11 attempts on, and 1 min below 0. */
uint64_t task_backoff_ms(int64_t attempts);

/* A task as it is submitted: ERR_INVALID names the field. */
int task_check_new(const Hf__Task *t, struct err *e);
/* "VOLUME-TYPE", for a task that was submitted without one. */
void task_fingerprint(const Hf__Task *t, char out[TASK_FINGERPRINT_BYTES_MAX + 1]);

/*
 * Makes *next (which borrows from both) of a task and what a client wants it to be: its state, and
 * its priority, reason, server, bytes, estimate_ms, error, parameters, change_type, old_capacity,
 * new_capacity and reported as they are in `asked`; worker_id with a claim, not_before_ms while it
 * waits. All else is counted here. ERR_INVALID: no such transition, or a field is out of bounds;
 * ERR_BUSY: not due yet, or the claim of another is still good.
 */
int task_transition(const struct task_rules *rules, const Hf__Task *was, const Hf__Task *asked,
    uint64_t now_ms, Hf__Task *next, struct err *e);
/* Until when a finished task answers for `asked`, ms since 1970; 0: that is other work. */
uint64_t task_answers_until_ms(const struct task_rules *rules, const Hf__Task *finished,
    const Hf__Task *asked);
/* The value of a parameter; "": it has none. */
const char *task_parameter(const Hf__Task *t, const char *name);
uint64_t task_parameter_number(const Hf__Task *t, const char *name);	/* 0 */
/* The same work was asked for again. False: nothing changes. */
bool task_merge(const Hf__Task *was, const Hf__Task *asked, Hf__Task *next);

#endif
