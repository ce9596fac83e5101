/*
 * reclaim_internal - what reclaim.c, reclaim_plan.c and reclaim_job.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_RECLAIM_INTERNAL_H
#define HF_STORE_RECLAIM_INTERNAL_H

#include "libstore/state/state_internal.h"

enum reclaim_kind { RECLAIM_RANGES, RECLAIM_FREED, RECLAIM_GAPS, RECLAIM_DROP };

struct reclaim_job {
	struct state		*st;
	struct drive_set	*drives;
	enum reclaim_kind	 kind;
	struct volume_range		*ranges;
	size_t			 count, capacity;
	uint32_t		*missed;	/* of each range the slots where it is left */
	uint32_t		 left;		/* RECLAIM_DROP: slots where a file is left */
	/* RECLAIM_GAPS, RECLAIM_DROP: by the volume's row */
	uint64_t		 granted;
	Hf__FreedRow		*rows;		/* RECLAIM_FREED: what is freed */
	size_t			 row_count;
	uint64_t		 volume;	/* RECLAIM_GAPS, RECLAIM_DROP */
	uint32_t		 thin;		/* RECLAIM_GAPS: shards that live extents lack */
	uint64_t		 bytes;		/* punched on each shard */
	int			 rc;
	struct err		 e;
};

/* reclaim.c */
void reclaim_volume_forget(struct reclaim *r, uint64_t volume, bool drop);

/* reclaim_plan.c: each makes a job and starts it, or tells the error. */
void reclaim_queue_start(struct state *st);
/* Punches what a mark covers, a bounded piece at a time; with nothing left the mark goes. */
void reclaim_freed_start(struct state *st);
void reclaim_gaps_start(struct state *st, uint64_t volume);
void reclaim_drop_start(struct state *st, uint64_t volume);
/* Adds what lies between the live extents of a volume. 1; 0: freed ones wait for their grace; or an
 * error. */
int reclaim_gaps(struct state *st, const Hf__CatalogVolume *row, struct reclaim_job *j,
    struct err *e);
/* End of what was ever granted of a volume, in a shard file; 0 if the index does not know it. */
uint64_t reclaim_granted(struct state *st, uint64_t volume);

/* reclaim_job.c */
struct reclaim_job *reclaim_job_new(struct state *st, enum reclaim_kind kind);
void reclaim_job_free(struct reclaim_job *j);
void reclaim_job_range(struct reclaim_job *j, uint64_t volume, uint64_t from, uint64_t to);
/* Takes the job. */
void reclaim_job_start(struct state *st, struct reclaim_job *j);
/* Nothing is tried again before RETRY_MS have passed. */
void reclaim_failed(struct state *st, const struct err *e);

#endif
