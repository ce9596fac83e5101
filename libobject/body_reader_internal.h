/*
 * body_reader_internal - a body on its way to the caller: shared by body_reader.c,
 * body_readahead.c and body_parts.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_BODY_READER_INTERNAL_H
#define HF_OBJECT_BODY_READER_INTERNAL_H

#include "libobject/read_job.h"

/* Of a record, or of an extent. file 0: of neither. */
struct body_address { bool inlined; uint64_t file, offset, identity; };

struct body_reader {
	struct objects		*objects;
	char			 request_id[40];
	char			*bucket;
	uint8_t			*key;
	size_t			 key_bytes;
	uint64_t		 wait_ms;
	struct pin		 pin;		/* as the entry was looked up, until the end */
	struct body_source	 source;
	uint64_t		 planned, delivered, end;	/* offsets in the body */
	struct span_queue	 spans;

	struct read_job		*waiting_job;	/* has its map, not its memory */
	size_t			 granted;
	struct read_job_list	 jobs;
	unsigned		 job_count;
	struct map_question	*map_question;
	struct memory_waiter	 memory_waiter;
	struct object_call	*call;		/* parts, or the object again */
	uint32_t		 told;
	unsigned		 cold;		/* jobs until the page cache is tried again */
	unsigned		 turn_jobs;	/* delivered in this turn of the loop */
	struct event		*next_turn;	/* NULL until needed */

	bool			 parts_begun, parts_probed;
	uint32_t		 part_ordinal, part_after;	/* the next part to list */
	uint64_t		 part_begin;

	unsigned		 refreshes;	/* the store was asked again, since bytes came */
	struct body_address	 wrong;		/* what error is about */
	struct body_address	 asked;		/* what wrong was when the store was last asked */
	bool			 gone;		/* and has another version, or none */
	struct err		 error;
	body_data_fn		*fn;
	void			*context;
};

/* body_reader.c */
uint64_t reader_deadline(const struct body_reader *r);
void reader_fail(struct body_reader *r, int code, const struct err *e);
/* Every callback from outside ends here. May free r. */
void reader_advance(void *context);

/* body_readahead.c */
/* How many jobs may be there: 3 MiB, 2 MiB of what the page cache has. Short jobs and few of them
 * beat long ones and many: what was read is still in the processor's cache when it is checked and
 * sent. */
unsigned readahead_jobs_max(const struct body_reader *r);
/* A job whose memory is counted; its turn comes with readahead_go. */
void readahead_add(struct body_reader *r, struct read_job *j);
/* Gives what is new to the pool, but for what the loop does better itself. */
void readahead_go(struct body_reader *r);
/* The caller waits: reads one job on the loop, if it is in the page cache. False: none, and
 * reader_advance comes when the first is done. */
bool readahead_take(struct body_reader *r);
/* The first job, if it is done; its damage is reported. */
struct read_job *readahead_first(struct body_reader *r);
/* Frees a job, at once or when no thread has it any more. */
void readahead_drop(struct body_reader *r, struct read_job *j);
void readahead_job_free(struct read_job *j);

/* body_parts.c: asks for the parts at r->planned; they are among the spans when reader_advance
 * comes. */
void body_parts_next(struct body_reader *r);

#endif
