/*
 * read_job - one piece of a body that is read by one thread: a record, or units of a few rows of an
 * extent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_READ_JOB_H
#define HF_OBJECT_READ_JOB_H

#include "libobject/body_source.h"
#include "libstore/volume/volume.h"

#define JOB_UNITS_MAX		16
/* Whole rows of about so many. Units of a shard lie next to each other on its drive: one read of
 * two costs less than two reads, and all of a job still fits the processor's cache. */
#define JOB_UNITS_WANTED	8u

/* In the order of the body. */
struct read_unit {
	unsigned	 row, shard;	/* row: index in rows[] */
	uint32_t	 at, bytes;	/* in the payload; what is given to the caller */
};
/* What a job reads of a shard: units of some rows, next to each other, as on the drive. */
struct read_shard {
	unsigned	 first, count;	/* rows */
	uint8_t		*memory;
	bool		 tried;		/* none of it need be read again */
	uint32_t	 good;		/* rows */
};

enum job_state { JOB_NEW, JOB_WAITING, JOB_TAKEN, JOB_DONE };

struct body_reader;
struct read_job {
	TAILQ_ENTRY(read_job)	 entry;
	struct objects		*objects;
	struct map		 map;
	uint32_t		 offline;
	bool			 inlined, desperate;
	bool			 trying, blocked;	/* on the loop; and it would have to wait */
	/* body_readahead.c's: */
	TAILQ_ENTRY(read_job)	 queue_entry;
	struct body_reader	*reader;	/* NULL: it has no use for it any more */
	enum job_state		 state;		/* atomic; who sees JOB_DONE sees what was read */
	bool			 cold;		/* with the lock: which queue it is in */
	bool			 tell;		/* somebody waits for it, or frees it */
	bool			 settled;	/* looked at when it was done */

	Hf__Place		 place;
	Hf__Extent		 extent;
	uint64_t		 skip, bytes;	/* of the span; all of it is delivered */
	size_t			 memory_bytes;	/* counted in objects->memory */
	/* NULL until somebody reads it; the spare, for what is only rebuilt from, while he does */
	uint8_t			*memory, *spare;
	size_t			 buffer_bytes, spare_bytes;
	unsigned		 owner;		/* of the buffers */
	struct volume_row	 rows[JOB_UNITS_MAX];
	struct read_unit	 units[JOB_UNITS_MAX];
	struct read_shard	 shards[ERASURE_UNITS_MAX];
	unsigned		 row_count, unit_count;
	uint32_t		 wanted;	/* shards */
	bool			 degraded;	/* one of them will not be read */
	unsigned		 next;		/* unit to deliver */
	struct slice		 data;		/* inline: what is wanted */
	unsigned		 rebuilt;
	struct damages		 damages;
	struct err		 why;
};

/* Takes what fits one job from the span. Map and offline must be set. */
void read_job_plan(struct read_job *j, struct span *span);
size_t read_job_bytes(const struct read_job *j);
/* By the thread that has it, into one of its buffers. */
void read_job_run(struct read_job *j, unsigned owner);
/* On the loop: true if the bytes were in the page cache and are right. Else nothing was found
 * out. */
bool read_job_try(struct read_job *j);
void read_job_buffer_put(struct read_job *j);
/* The next piece to deliver; false: all were. */
bool read_job_next(struct read_job *j, struct slice *out);

#endif
