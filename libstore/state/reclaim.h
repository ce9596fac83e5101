/*
 * reclaim - gives the space of freed and abandoned rows back to the drives.
 *
 * R1  A freed extent is punched only after its delete is durable, and no reader depends on a state
 *     before it (readers.h), or reclaim_grace has passed since.
 * R2  A volume that its holder released, or whose holder is gone, is sealed, and what lies between
 *     its live extents is punched. A shard that one of these extents was written without is marked
 *     in the catalog with that.
 * R3  An empty sealed volume is dropped.
 * R4  Every step may be repeated: a crash between a punch and its record costs one more punch.
 *
 * One job at a time on the pool, bounded; no timer while there is nothing to do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_RECLAIM_H
#define HF_STORE_RECLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libbase/err.h"
#include "libstore/volume/volume.h"

#define RECLAIM_RANGES_MAX	256	/* of one job */
/* Ranges that clients gave back; more of them wait for the session's end. */
#define RECLAIM_QUEUE_MAX	4096
#define RECLAIM_MARKS_MAX	64

struct state;

/* Everything freed up to lsn is due at due_ms at the latest; looked at again at look_ms. */
struct reclaim_mark { uint64_t lsn, due_ms, look_ms, begun_ms; };

/* A sealed volume that has gaps to punch. */
struct reclaim_volume { uint64_t volume, due_ms; bool drop; };

struct reclaim_job;

struct reclaim {
	struct volume_range	*queue;			/* to be punched at once */
	size_t			 queue_count;
	struct reclaim_mark	 marks[RECLAIM_MARKS_MAX];	/* oldest first */
	unsigned		 mark_count;
	struct reclaim_volume	*volumes;
	size_t			 volume_count, volume_capacity;
	bool			 busy;
	struct reclaim_job	*recorded;		/* its record is on its way; NULL: none */
	uint64_t		 from_lsn;		/* nothing freed earlier is left */
	uint64_t		 retry_ms;		/* after a failure; 0: none */
};

/* At start: everything freed earlier, sealed volumes, volumes that were never granted from. */
int reclaim_load(struct state *st, struct err *e);
void reclaim_release(struct reclaim *r);
/* Records up to lsn freed something. */
void reclaim_freed(struct state *st, uint64_t lsn);
/* Something about a volume has changed: what is to be done with it now, by its row. */
int reclaim_volume_look(struct state *st, uint64_t volume, struct err *e);
/* Rows that nothing refers to and nothing will. Dropped when the queue is full (see above). */
void reclaim_range(struct state *st, uint64_t volume, uint64_t offset, uint64_t bytes);
/* A volume that nothing was granted from. */
void reclaim_drop(struct state *st, uint64_t volume);
void reclaim_turn(struct state *st);
uint64_t reclaim_next_ms(const struct state *st);

#endif
