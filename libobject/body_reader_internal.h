/*
 * body_reader_internal - a body on its way to the caller: shared by body_reader.c and body_parts.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_BODY_READER_INTERNAL_H
#define HF_OBJECT_BODY_READER_INTERNAL_H

#include "libobject/read_job.h"

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
	TAILQ_HEAD(, read_job)	 jobs;
	unsigned		 job_count;
	struct map_question	*map_question;
	struct memory_waiter	 memory_waiter;
	struct object_call	*call;		/* parts, or the object again */
	struct soon		 soon;
	uint32_t		 told;

	bool			 parts_begun, parts_probed;
	uint32_t		 part_ordinal, part_after;	/* the next part to list */
	uint64_t		 part_begin;

	bool			 refreshed;	/* the store was asked again */
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

/* body_parts.c: asks for the parts at r->planned; they are among the spans when reader_advance
 * comes. */
void body_parts_next(struct body_reader *r);

#endif
