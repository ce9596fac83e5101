/*
 * state_parts - frees the parts of uploads that ended: aborted, or with the object that they were.
 *
 *   object deleted or replaced, upload aborted ── row Z ──► PARTS_FREED, a piece ──► … ──► gone
 *
 * An object may have ten thousand parts, and a request may delete a thousand objects. What ends
 * them makes one row each; the store's own records free some hundred parts each, one record at a
 * time, so that no request waits long behind one.
 *
 * E1  Nothing refers to the parts of an upload with a row Z, and no more are put.
 * E2  A record frees PARTS_PIECE parts at most. The next one is appended when it is applied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_PARTS_H
#define HF_STORE_STATE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

struct state;

#define PARTS_PIECE	256u

struct parts_end {
	bool		look;		/* there may be rows Z */
	bool		busy;		/* a record is under way */
	uint64_t	due_ms;		/* not before: clock_mono_ms */
};

void parts_load(struct state *st);
void parts_turn(struct state *st);
uint64_t parts_next_ms(const struct state *st);

#endif
