/*
 * task_world - a state_world whose clients ask for tasks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_TASK_WORLD_H
#define HF_TESTS_TASK_WORLD_H

#include "libstore/state/state_internal.h"
#include "tests/unit/state_world.h"

#define S(NAME)	 HF__TASK__STATE__##NAME
#define P(NAME)	 HF__TASK__PRIORITY__##NAME
#define TEXT(s)	 ((char *)(uintptr_t)(s))

#define TASK_WORLD_DAY	UINT64_C(86400000)

extern struct world task_world;

/* Of a test suite: a store on simulated drives, with one session. */
void task_world_begin(void);
void task_world_end(void);

/* A vacuum of a volume, as the detector asks for it. */
Hf__Task tw_vacuum_of(uint64_t volume);
/* Requests; those that are only sent are not answered yet. */
void tw_submit_send(uint64_t sequence, Hf__Task *t);
const Hf__StoreReply *tw_submit(uint64_t sequence, Hf__Task *t);
void tw_update_send(uint64_t sequence, const Hf__Task *was, Hf__Task *asked);
/* From what `was` says to a state, by worker "w". */
const Hf__StoreReply *tw_update(uint64_t sequence, const Hf__Task *was, int state);
const Hf__StoreReply *tw_get(uint64_t sequence, uint64_t id);
const Hf__StoreReply *tw_list(uint64_t sequence, uint64_t after, uint32_t max, uint32_t states,
    const char *type);
const Hf__StoreReply *tw_due(uint64_t sequence, uint64_t ms, uint32_t max, const char *type);
struct state_stats tw_stats(void);
/* A restart as the process's own: the session goes on. */
void tw_restart(bool rebuild);
/* The tables T, Q and K, and the counters, say the same. */
void tw_tables_agree(void);

#endif
