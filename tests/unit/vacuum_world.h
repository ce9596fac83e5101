/*
 * vacuum_world - maintenance over a store in one process: struct maintain whose questions go to the
 * sequencer of a state_world, through a session of their own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TEST_VACUUM_WORLD_H
#define HF_TEST_VACUUM_WORLD_H

#include "libstore/maintain/maintain.h"
#include "tests/unit/purse.h"
#include "tests/unit/state_world.h"

/* Sequences from here on are those of the maintenance. */
#define MAINTAIN_SEQUENCE	3500

struct maintainer {
	struct world	*w;
	struct session	*session;	/* of the world's present opening */
	struct maintain	 m;
	unsigned	 asked;		/* questions, since world_maintain */
	unsigned	 stop_at;	/* pace says ERR_CANCELLED at this question; 0: never */
	unsigned	 busy, busy_max;	/* answers of BUSY; then the same; 0: any */
	void		(*meanwhile)(void);	/* before each question; NULL: nothing happens */
	Hf__Task	 task;
	uint64_t	 done, total;	/* progress */
	Hf__Layout	*layout;
	struct purse	 purse;
};

/* After each world_open. */
void world_maintain(struct world *w, struct maintainer *m);
void world_maintain_end(struct maintainer *m);
/* vacuum_run, with time going on while the store says BUSY. */
int world_vacuum(struct maintainer *m, uint64_t segment, struct err *e);
int world_convert(struct maintainer *m, uint64_t segment, struct err *e);
/* Ids of the sealed segments (and converted), ascending, from malloc. */
size_t world_segments(struct world *w, uint64_t **out);
void world_seal(struct world *w);		/* the current segment, early */

#endif
