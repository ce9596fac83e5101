/*
 * state_walk - walks: checkpoints of the index that other processes read by themselves.
 *
 *   walk_open ──► waits ──► a checkpoint is made (pool) or shared ──► held ── close, lapse ──► idle
 *                                                                      idle, or too old ──► removed
 *
 * W1  What a walk sees is what was applied at one LSN, at or after everything that was answered
 *     before it was asked for, less the age that the asker allows.
 * W2  A checkpoint is removed only when no walk holds it, or when its life is over; then who keeps
 *     or begins to read learns that it is stale.
 * W3  Making and removing is the pool's. The loop only counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_WALK_H
#define HF_STORE_STATE_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct checkpoint;
struct walk_hold;
struct walk_wait;
struct session;
struct state;

struct walks {
	struct checkpoint	*checkpoints;
	struct walk_hold	*holds;
	struct walk_wait	*waits, **waits_last;
	unsigned		 checkpoint_count, hold_count, wait_count;
	bool			 making;
	uint64_t		 next_id;
	char			 directory[4096];	/* "": no walks here */
};

/* Removes what an earlier process left. */
void walks_load(struct state *st);
void walks_turn(struct state *st);
uint64_t walks_next_ms(const struct state *st);
void walks_session_gone(struct state *st, const struct session *s);
void walks_release(struct state *st);

#endif
