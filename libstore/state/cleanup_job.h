/*
 * cleanup_job - what a cleanup task does on its drive. For state_cleanup.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CLEANUP_JOB_H
#define HF_STORE_CLEANUP_JOB_H

#include "libstore/state/reclaim_internal.h"
#include "libstore/state/state_cleanup.h"

struct cleanup_job {
	struct state		*st;
	struct drive_set	*drives;
	enum cleanup_what	 what;
	uint64_t		 id;		/* of the volume or segment */
	unsigned		 slot;
	uint64_t		 task, lease;
	bool			 nothing;	/* the bytes are gone, or counted elsewhere */
	struct reclaim_job	*gaps;		/* CLEANUP_PUNCH: its ranges */
	int			 rc;
	struct err		 e;
};

struct cleanup_job *cleanup_job_new(struct state *st);
void cleanup_job_free(struct cleanup_job *j);
/* 1: it can be done now, and the job knows all it needs; 0: not yet (the drive is away, somebody
 * still writes the volume, the catalog still names the file). */
int cleanup_job_plan(struct cleanup_job *j, struct err *e);
void cleanup_job_work(void *job);		/* on a pool thread */

#endif
