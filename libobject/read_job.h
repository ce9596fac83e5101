/*
 * read_job - one piece of a body read on a pool thread: a record, or units of a few rows of an
 * extent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_READ_JOB_H
#define HF_OBJECT_READ_JOB_H

#include "libobject/body_source.h"
#include "libstore/volume/volume.h"

#define JOB_UNITS_MAX		16
#define JOB_UNITS_WANTED	4u	/* whole rows of about so many */

struct read_unit {
	unsigned	 row, shard;	/* row: index in rows[] */
	uint8_t		*memory;
	struct slice	 wanted;	/* of the payload; what is given to the caller */
	bool		 good;
};

/* Who claims a job that waits reads it; what it left there is seen by who sees it done. */
enum job_state { JOB_WAITING, JOB_TAKEN, JOB_DONE };

struct body_reader;
struct read_job {
	TAILQ_ENTRY(read_job)	 entry;
	struct body_reader	*reader;	/* NULL: it has no use for it any more */
	struct objects		*objects;
	struct map		 map;
	uint32_t		 offline;
	bool			 inlined, desperate;
	bool			 trying, blocked;	/* on the loop; and it would have to wait */
	enum job_state		 state;		/* atomic */
	unsigned		 groups;	/* of body_readahead.c that hold it */
	bool			 given, settled;	/* to a group; looked at when it was done */
	Hf__Place		 place;
	Hf__Extent		 extent;
	uint64_t		 skip, bytes;	/* of the span; all of it is delivered */
	uint8_t			*memory, *spare;	/* spare: for parity, if it is needed */
	size_t			 memory_bytes;	/* counted in objects->memory */
	size_t			 buffer_bytes;
	struct volume_row	 rows[JOB_UNITS_MAX];
	struct read_unit	 units[JOB_UNITS_MAX];
	unsigned		 row_count, unit_count;
	unsigned		 next;		/* unit to deliver */
	struct slice		 data;		/* inline: what is wanted */
	unsigned		 rebuilt;
	struct damages		 damages;
	struct err		 why;
};

/* Takes what fits one job from the span. Map and offline must be set. */
void read_job_plan(struct read_job *j, struct span *span);
size_t read_job_bytes(const struct read_job *j);
/* Lays out j->memory, when it is there. */
void read_job_place(struct read_job *j);
void read_job_run(struct read_job *j);
/* On the loop: true if the bytes were in the page cache and are right. Else nothing was found
 * out. */
bool read_job_try(struct read_job *j);
/* The next piece to deliver; false: all were. */
bool read_job_next(struct read_job *j, struct slice *out);

#endif
