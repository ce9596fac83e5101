/*
 * convert_world - a state_world on a simulated disk with objects in several sealed segments, and a
 * worker that converts them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TEST_CONVERT_WORLD_H
#define HF_TEST_CONVERT_WORLD_H

#include "libstore/log/segment_source.h"
#include "libstore/maintain/convert.h"
#include "tests/unit/purse.h"
#include "tests/unit/state_world.h"

#define SEALED		HF__CATALOG_SEGMENT__STATE__SEALED
#define CONVERTED	HF__CATALOG_SEGMENT__STATE__CONVERTED

extern struct world w;
extern uint64_t sequence;	/* of the last request */
extern uint64_t step;		/* of a history, for messages */
extern bool store_gone;		/* the worker's requests are not answered */

/* Maintenance that runs on the world; `meanwhile` is called at step `at` of what it asks and paces.
 */
struct worker {
	Hf__Task	 task;
	Hf__Layout	*layout;
	struct maintain	 m;
	uint64_t	 paces;
	void		(*meanwhile)(struct worker *k);
	uint64_t	 at, steps;
	uint64_t	 cancel_at;	/* pace */
	/* In a row; then it is cancelled: what it waits for may be waiting for it. */
	unsigned	 busy;
	struct purse	 purse;
};
void worker_init(struct worker *k, uint64_t lease);
void worker_release(struct worker *k);

void world_fill(uint64_t seed);		/* simulated, open, with objects */
void world_fill_here(void);		/* a world that was made: opens it and puts objects */
void world_end(void);
void world_reopen(void);		/* stopped and started, with the same session */
/* Every object is there, read as readers of either layout read it. */
void all_check(void);
/* Each segment has the files of its row and no others, and nothing was quarantined. */
void layouts_check(void);
int convert(uint64_t segment, uint64_t lease, struct err *e);
unsigned convert_all(uint64_t lease);	/* all that is sealed */
/* The largest segment in a state; 0: none. */
uint64_t segment_in(Hf__CatalogSegment__State state);
unsigned files_of(uint64_t segment, const char *ending);

/* An operator asks for it; it is moved to a state, by worker "w": the store's answer; its
 * conversion begins. */
Hf__Task task_new(const char *type, uint64_t about);
int task_become(Hf__Task *t, Hf__Task__State state);
int begin_for(const Hf__Task *t);

#endif
