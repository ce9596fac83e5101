/*
 * body_writer_internal - a body on its way to the drives: rows in memory, extents, the jobs between
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_BODY_WRITER_INTERNAL_H
#define HF_OBJECT_BODY_WRITER_INTERNAL_H

#include "libobject/objects_internal.h"
#include "libstore/disk/disk_deadline.h"
#include "libstore/volume/volume.h"

#define ROWS_MAX	12	/* one is filled while the others are hashed and written */
#define JOB_ROWS_MAX	4	/* of one job */
#define WRITE_JOBS_MAX	2

/* A piece of a run that holds part of this body. */
struct extent_out {
	Hf__Extent	 x;		/* bytes: of the rows that were given to a job */
	struct run	 run;
	uint64_t	 capacity;	/* body bytes that fit */
	uint64_t	 begun;		/* body bytes that rows were laid out for */
	bool		 settled;	/* the unused end was given back */
	/* of shards; set by the first job that opened one, held until the sync */
	struct file	*files[16];
};

enum row_state { ROW_FREE, ROW_FILLING, ROW_FULL };

struct row {
	TAILQ_ENTRY(row)	 hash_entry, write_entry;
	enum row_state		 state;
	unsigned		 steps;		/* ROW_FULL: of hashing and writing, not done */
	unsigned		 jobs;		/* that touch it now */
	uint8_t			*memory;	/* k+m units, `stride` apart */
	struct disk_kept	*kept;		/* NULL, or a write of it hangs: no more bytes */
	size_t			 memory_bytes, buffer_bytes;
	uint32_t		 stride;
	struct extent_out	*extent;
	struct volume_row	 place;		/* body_bytes: how much fits */
	uint32_t		 filled;
};

/* body_row.c: pure. */
void row_begin(struct row *r, unsigned k, struct extent_out *x);
uint8_t *row_space(const struct row *r, size_t *bytes);
/* fewer bytes came: lays out as the extent's last row */
void row_end(struct row *r, unsigned k);
void row_units(const struct row *r, unsigned count, uint8_t *units[]);

/* Rows of one extent, next to each other. */
struct write_job {
	struct work		 work;
	struct body_writer	*writer;
	struct extent_out	*extent;
	struct row		*rows[JOB_ROWS_MAX];
	unsigned		 count;		/* 0: not running */
	uint32_t		 offline;
	uint32_t		 missing;	/* shards: before, and after */
	unsigned		 k, m;
	struct damages		 damages;
	struct err		 why;		/* of a shard that failed */
	struct disk_kept	*kept;		/* NULL, or writes hang */
};
struct inline_job {	/* digests of an inline body */
	struct work		 work;
	struct body_writer	*writer;
	bool			 running;
};
struct sync_job {
	struct work		 work;
	struct body_writer	*writer;
	struct file		*file;
	unsigned		 slot;
	struct err		 why;
};
struct sync_ahead {
	struct work		 work;
	struct body_writer	*writer;
	struct file		*files[16];
	unsigned		 count;
	uint64_t		 bytes;		/* of body, written since the last */
	bool			 running;
};
/* body_write_job.c: on a pool thread. */
void write_job_run(void *context);
void sync_job_run(void *context);
void inline_job_run(void *context);

enum writer_mode { WRITER_WAITING, WRITER_INLINE, WRITER_SPILLING, WRITER_VOLUME };
enum writer_end { END_NONE, END_ASKED, END_HASHING, END_SYNCING, END_DONE };

struct body_writer {
	struct objects		*objects;
	char			 request_id[40];
	uint64_t		 expected, wait_ms;
	enum writer_mode	 mode;
	enum writer_end		 end;
	uint64_t		 bytes;		/* of body so far */
	struct err		 error;
	uint8_t			*scratch;	/* after an error, what still comes goes here */

	enum digest_kind	 kinds[BODY_DIGESTS_MAX];
	struct digest		 digests[BODY_DIGESTS_MAX];	/* a thread's, while one hashes */
	uint8_t			 results[BODY_DIGESTS_MAX][DIGEST_BYTES_MAX];
	unsigned		 kind_count;

	uint8_t			*data;		/* inline */
	size_t			 data_capacity, data_at;	/* data_at: spilled so far */

	unsigned		 k, m;
	struct row		 rows[ROWS_MAX];
	unsigned		 row_count;
	struct row		*filling;
	struct row_list		 to_write;	/* ROW_FULL, in order */
	struct hash_lane	 lane;
	struct extent_out	**extents;
	Hf__Extent		**extent_rows;	/* for the request */
	size_t			 extent_count;
	/* of the next extent, when the length is not known */
	uint64_t		 chunk_rows;
	struct inline_job	 inline_job;
	struct write_job	 writes[WRITE_JOBS_MAX];
	unsigned		 writes_running;
	struct sync_ahead	 sync_ahead;
	struct sync_job		*syncs;
	unsigned		 sync_count, syncs_running;
	uint32_t		 told;		/* drives whose damage was reported */

	struct object_call	*layout_call;
	struct run_waiter	 run_waiter;
	struct memory_waiter	 memory_waiter;
	size_t			 granted;	/* memory that came by waiting, not used yet */
	struct soon		 soon;
	body_room_fn		*room;
	void			*room_context;
	body_done_fn		*done;
	void			*done_context;
	bool			 committed, freed;
};

/* body_writer.c: */
uint64_t writer_deadline(const struct body_writer *w);
/* The first error stays. */
void writer_fail(struct body_writer *w, int code, const struct err *e);
/* Does all that can be done now; the only place from where the caller's callbacks come. */
void writer_advance(void *context);

/* body_memory.c: false or NULL: writer_advance comes when there is memory, or the job is done. */
/* A little more than fits inline: so a body of just that length is known to have ended there. */
bool writer_data_grow(struct body_writer *w);
void writer_data_free(struct body_writer *w);
/* A free row with memory for units of `stride`, or NULL. */
struct row *row_find(struct body_writer *w, uint32_t stride);
/* all: also the one that the caller may be receiving into. */
void rows_drop(struct body_writer *w, bool all);
void *writer_scratch(struct body_writer *w, size_t *bytes);

/* body_extent.c */
/* B1: an extent with room, or NULL: writer_advance comes when there is one, or an error. */
struct extent_out *extent_with_room(struct body_writer *w);
/* B4: the end that no row was written to goes back to the run. */
void extent_settle(struct body_writer *w, struct extent_out *x);
/* B4: a body that was not committed. */
void extents_discard(struct body_writer *w);

/* body_pipeline.c */
void pipeline_init(struct body_writer *w);
/* Rows that no job has begun are not hashed and not written any more. */
void pipeline_drop(struct body_writer *w);
/* Some thread touches the body's rows or data. */
bool pipeline_busy(const struct body_writer *w);
/* The row that is being filled is full, or the last. */
void pipeline_add(struct body_writer *w, struct row *r);
/* Starts what can be started. */
void pipeline_pump(struct body_writer *w);
/* Everything that was added is written, as far as it will be. */
bool pipeline_written(const struct body_writer *w);
/* No job runs, and none will. */
bool pipeline_idle(const struct body_writer *w);

/* body_sync_ahead.c: `bytes` of the extent were written. */
void sync_ahead_note(struct body_writer *w, const struct extent_out *x, uint64_t bytes);

/* body_finish.c: what goes to the pool ends in writer_advance. */
void body_finish_inline(struct body_writer *w);
void body_finish_sync(struct body_writer *w);
/* Calls the caller, who may free w. */
void body_finish_done(struct body_writer *w);

/* Shards that must take a body: k, and what store.min_write_redundancy wants besides. */
static inline unsigned
writer_shards_min(const struct body_writer *w)
{
	uint32_t quorum = w->objects->layout->write_quorum;

	return (quorum < w->k ? w->k : quorum > w->k + w->m ? w->k + w->m : quorum);
}

/* The longest body that is held for its record. */
static inline size_t
writer_inline_max(const struct body_writer *w)
{
	uint64_t max = w->objects->layout->inline_bytes_max;

	return (max > 1024 * 1024 ? 1024 * 1024 : (size_t)max);
}

#endif
