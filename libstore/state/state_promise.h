/*
 * state_promise - room on the drives for tasks that are claimed: what a conversion or the rebuild
 * of a drive will write, and has not allocated yet (drive_promise.c).
 *
 *   claim asked for ─► looked for room, on the pool ─► none: refused (ERR_FULL)
 *                             └─► promised ─► the claim is logged ─► allocated, or the claim ends
 *
 * R1  Promises follow the queue: a task that is ASSIGNED or IN_PROGRESS may have one, no other has.
 *     After a restart they are made anew from it.
 * R2  A conversion is claimed only when the room for all of its shards is there, in its set or in
 *     another, besides what others were promised.
 * R3  The rebuild of a drive waits only where it would have room but for what others were promised:
 *     what it will write is not known before (files have holes), what it wrote stays if it ends
 *     early, and redundancy that is missing goes before space.
 * R4  Vacuum takes room in the log only, and makes some: nothing is promised to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_PROMISE_H
#define HF_STORE_STATE_PROMISE_H

#include <stdbool.h>
#include <stdint.h>

#include "libbase/err.h"
#include "schema/log.pb-c.h"

struct drive_set;
struct state;
struct op;

/* Whether a claim of such a task is looked at for room first. */
bool promise_wanted(const Hf__Task *t);
/* Looks, and then goes on with the claim (admit_task_claim). ADMIT_WORK, or ERR_BUSY. */
int promise_start(struct state *st, struct op *op, const Hf__Task *t, struct err *e);
/* The task made files on a drive: what it was promised there is what still lacks. Any thread. */
void promise_rebuilt(struct drive_set *s, uint64_t task, unsigned slot);
/* R1: a task was moved, or a claim of it came to nothing. */
void promise_follow(struct state *st, uint64_t task);
/* All of the queue; before the first request. */
int promises_load(struct state *st, struct err *e);

#endif
