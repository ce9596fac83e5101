/*
 * state_convert - which segments are being converted, by whose lease, and mirrors that wait to be
 * removed. The loop's side of conversion.h.
 *
 * E1  A segment has one conversion at most; at most CONVERSIONS_MAX are under way.
 * E2  A conversion belongs to a lease, which must be the one of its task (task 0: nobody's) when it
 *     begins and when it is committed. Another takes it over, with files of its own, if that lease
 *     is over; else it is refused (ERR_STALE) whatever it asks.
 * E3  Nothing of it is in the log: a store that starts anew has removed the files, and whoever
 *     wrote them is told to begin again (ERR_STALE).
 * E4  It ends with the session that began it, and with its lease: a worker that hangs, or was told
 *     to stop, need not say so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_CONVERT_H
#define HF_STORE_STATE_CONVERT_H

#include "libstore/log/segment_shard.h"
#include "libstore/state/session.h"

#define CONVERSIONS_MAX	16u
#define RETIRED_MAX	64u

struct conversion {
	struct conversion	*next;
	uint64_t		 segment;
	struct shard_writer	 by;
	struct session		*session;	/* NULL: gone */
	Hf__CatalogSegment	*target;	/* NULL while it is prepared */
	bool			 busy;		/* a job is at it */
};

/* The mirrors of a converted segment. */
struct retired {
	Hf__CatalogSegment	*mirrors;
	uint64_t		 due_ms;		/* at the latest */
	uint64_t		 look_ms, lsn;		/* whether readers are past this LSN */
};

struct conversions {
	struct conversion	*first;
	unsigned		 count;
	struct retired		 retired[RETIRED_MAX];	/* oldest first */
	unsigned		 retired_count;
	bool			 removing;
	bool			 look;			/* a task changed: E4 */
};

struct state;
void conversions_release(struct conversions *c);
void conversions_session_gone(struct state *st, const struct session *s);
void conversions_turn(struct state *st);
uint64_t conversions_next_ms(const struct state *st);
/* True while a segment is being converted: it is not to be dropped. */
bool conversion_active(const struct state *st, uint64_t segment);
/* True while mirrors of a converted segment are still there for readers. */
bool conversions_retired(const struct state *st, uint64_t segment);

#endif
