/*
 * rebuild_world - a store of four simulated drives with bodies on them, whose drives go, come and
 * are rebuilt; and a check that reads every byte, also without any two drives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_REBUILD_WORLD_H
#define HF_TESTS_REBUILD_WORLD_H

#include "libstore/check/check.h"
#include "tests/unit/purse.h"
#include "tests/unit/state_world.h"

/* At the n-th step of a rebuild the segment files of the slot go, as if they were dropped. */
struct rebuild_vanish { unsigned slot, step, at; };

/* At the n-th question or pause of a rebuild its worker is killed: before what it asks was heard,
 * or behind that. */
struct rebuild_killed { unsigned step, at; bool heard; };

/* How far the last rebuild said that it was, in bytes, and in how many steps. */
struct rebuild_progress { uint64_t done, total; unsigned steps; };

extern struct world w;
extern uint64_t sequence;
extern unsigned body_count;
extern struct check_summary sum;
extern struct rebuild_vanish vanish;
extern struct rebuild_killed killed;
extern struct rebuild_progress progress;
extern struct purse purse;	/* of each rebuild; refuse_at stays */
extern uint32_t failing;	/* shards whose writes fail, although their drives are there */
extern char lost_text[512];	/* of the last fault */
extern const char *check_paths[4];	/* where the drives are when they are checked */

void begin(uint64_t seed);
/* Stores a body as a protocol server would: shards on drives that are not there are missing. */
void body_put(const char *key, uint64_t bytes);
void bodies_put(unsigned count);
void body_delete(unsigned n);
/* The session ends, so its volumes are sealed. */
void seal(void);
void reopen(uint8_t session);
int rebuild(unsigned slot, struct err *e);
/* The end of a life in which drive 3 was lost; `cut' is named if something is wrong. */
void rebuild_3_and_check(uint64_t cut);
/* All segments that are sealed. */
void convert_sealed(void);
void on_fault(void *context, const struct check_fault *f);	/* context: the least severity */
/* Offline: no fault of this severity or worse. */
void check(enum check_severity least);
/* Closes the store: everything is whole, and stays readable without any two drives. */
void close_and_check_all(void);
void close_and_check(void);	/* the same while all drives are there; the world is removed */

struct power_life {
	void	(*begin)(uint64_t cut);	/* what was before */
	void	(*act)(void);		/* the power fails in the middle of it */
	uint8_t	 session;		/* that is there when the store is open again */
	void	(*go_on)(uint64_t cut);	/* to the end of the world */
};

/* A life for each step of `act' at which the power may fail, and one without. Returns how many. */
unsigned power_fails_at_every_step(const struct power_life *l);

#endif
