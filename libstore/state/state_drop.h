/*
 * state_drop - the way of a segment that nothing needs any more out of the store.
 *
 *   asked ─► MOVE ─► FREED ─► SCAN ─► NAME ─► FORGET ─► GRACE ─► CATALOG ─► gone
 *              │ rows of volumes, sessions and answers that depend on it get another home
 *                       │ until what was freed is given back: BUSY, asked again
 *                                │ dead records elsewhere, killed by records of it
 *                                         │ named in dead maps
 *                                                 │ its own rows of death and use go
 *                                                           │ readers that know the old places
 *                                                                    │ index flushed, row, files
 *
 * Z1  Up to FORGET everything may be begun anew, and is by the next who asks. From its last record
 *     on the segment goes: a start finds that in its row of use, and goes on with CATALOG.
 * Z2  One segment at a time.
 * Z3  The catalog drops it only when the index on the disk is past its last record (state_recover).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_DROP_H
#define HF_STORE_STATE_DROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libbase/err.h"

struct op;
struct state;

enum drop_phase {
	DROP_IDLE, DROP_MOVE, DROP_FREED, DROP_SCAN, DROP_NAME, DROP_FORGET, DROP_GRACE,
	DROP_CATALOG,
};

struct drop {
	enum drop_phase	 phase;
	bool		 busy;			/* a record or a job is under way */
	bool		 resumed;		/* found at start */
	struct op	*op;			/* who asked waits */
	uint64_t	 segment, first_lsn, last_lsn;
	uint64_t	 dead_lsn;		/* all its records were dead then */
	uint64_t	 next_lsn;		/* FORGET: of the next stretch */
	uint64_t	 due_ms;		/* GRACE, or again after a failure */
	uint64_t	 look_ms, grace_lsn;	/* GRACE: whether readers are past this LSN */
	uint64_t	*named;			/* NAME: dead records */
	size_t		 named_count, named_capacity, named_sent;
};

/* At start: a segment whose drop was under way. */
int drop_load(struct state *st, struct err *e);
void drop_release(struct state *st);
void drop_turn(struct state *st);
uint64_t drop_next_ms(const struct state *st);

#endif
