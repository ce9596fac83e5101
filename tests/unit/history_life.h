/*
 * history_life - the lives of a whole store and its clients: what they do, what goes wrong on the
 * way, and what must hold in the end.
 *
 * At most m drives of a set are bad in a history, its victims, so nothing that was acknowledged may
 * be lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_HISTORY_LIFE_H
#define HF_TESTS_HISTORY_LIFE_H

#include "tests/unit/history_work.h"

/* Of width drives each; from: drives that a store begins with, to which the others are added. */
struct history_set {
	const char	*erasure;
	unsigned	 drives, m, write_min, width, from;
};
#define HISTORY_SETS	9u
extern const struct history_set history_sets[HISTORY_SETS];

/* What may go wrong in a history besides power cuts and kills: a drive that fails, one that fails
 * once, one that is not there, bits that flip, writes that are lost or misdirected, no space, a
 * write that hangs, reads that fail. */
enum { EIO_ALL, EIO_ONCE, MISSING, ROT, LIES, FULL, STALL, BAD_READS, BADS };
#define BAD(kind) (1u << (kind))

struct history {
	struct model	 m;
	const struct history_set *set;
	unsigned	 bad;
	uint32_t	 victims;
	uint64_t	 cut;		/* exhaustive: the step of the first life */
	bool		 maintained;	/* workers and uploads are in it */
	bool		 working;	/* a worker is in the middle of something */
	struct history_work work;
};

/* What all histories of this process came to. */
struct history_sum {
	uint64_t	histories, maintained, operations, acknowledged, reads, uploads, cuts,
			kills, stops, resumed_late, old_indexes, behind_horizon, lost_indexes,
			returned, no_room, died, whole, thin,
			without_victims, rebuilt_equal, task_moves, tasks, joins;
	uint64_t	bads[BADS + 1], victims[3];	/* histories with them */
	uint64_t	runs[WORK_KINDS], done[WORK_KINDS], ends[WORK_ENDS];
	struct disk_tally disk;
};
extern struct history_sum history_sum;

/* A random number, of the history's seed. */
uint64_t history_chance(struct history *h, uint64_t below);
/* Of set n; what is bad in it, and its victims, is for the caller to choose. */
void history_begin(struct history *h, uint64_t seed, unsigned set);
/* Whether there is a store that goes on. */
bool history_alive(struct history *h);
/*
 * Starts the store; a power cut on the way is the end of this life, another error is wrong. Drives
 * without a single byte left, the reserve used up, cannot take the epoch that a start needs: then
 * people make room.
 */
bool history_start(struct history *h);
/* So many steps, with faults in between, as long as there is power. */
void history_live(struct history *h, unsigned steps);
/* No drive fails from now on. */
void history_heal(struct history *h);
/* Two ways for a life to end. */
void history_power_end(struct history *h);
void history_clean_end(struct history *h);

/* Everything is read back, and whatever was begun is brought to its end; frees it. False: something
 * is wrong, which was said. */
bool history_end(struct history *h);
/* What the last one came to, in short: the same each time. */
const char *history_came_to(void);

/* Adds one to history_sum. */
void history_sum_add(const struct history *h);
void history_sum_say(const char *what, uint64_t began_ms);
/* Returns how many kinds, of those that are not rare, were never met. */
unsigned history_sum_say_faults(void);
void history_sum_say_maintenance(void);

#endif
