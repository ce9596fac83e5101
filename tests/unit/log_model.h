/*
 * log_model - the log over a simulated disk, and what must come back of it.
 *
 * L1  Every record that was reported committed is replayed, in order, exactly once.
 * L2  Besides them only whole batches, in order, that were in flight at the end of a life.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_LOG_MODEL_H
#define HF_TESTS_LOG_MODEL_H

#include "libstore/log/log_internal.h"
#include "tests/unit/disk_memory.h"

#define LOG_MODEL_RECORDS	4096

struct log_model {
	uint64_t seed, cut;
	struct disk *disk;
	struct drive_set *set;
	struct log *log;
	/* What must come back, in order; from `sure` on: appended and not reported. */
	uint64_t number[LOG_MODEL_RECORDS], lsn[LOG_MODEL_RECORDS], batch[LOG_MODEL_RECORDS];
	unsigned count, sure;
	uint64_t next_number, last_lsn;
	bool dead;     /* this life is over: something was refused */
	unsigned seen; /* by replay */
	bool failed, rotten;
	uint64_t horizon, horizon_tried;	/* of segments that were dropped: */
	uint64_t gone[64];
	unsigned gone_count;
};

/* Of all models: segments dropped, and files of such used again. */
extern uint64_t log_model_dropped, log_model_recycled;

/* Four drives of 2+2; the log without threads. */
int log_model_open(struct log_model *m, struct err *e);
/* The same for a test that is about something else: asserts that it opens, on a new disk if there
 * is none. */
void log_model_start(struct log_model *m, bool threads, uint64_t segment_bytes);
void log_model_close(struct log_model *m);
/* Says what is wrong, once; false. */
bool log_model_wrong(struct log_model *m, const char *what, uint64_t a, uint64_t b);
/* A record of random length, which log_submit() has still to send. */
void log_model_append(struct log_model *m);
/* The oldest segment, if it is sealed: as when it was vacuumed. */
void log_model_drop(struct log_model *m);
/* For log_collect(), with the model as its context. */
void log_model_on_commit(void *context, const struct log_commit *c);
/* Until all that was appended is reported, or something is refused. */
void log_model_wait(struct log_model *m, unsigned seconds);
/* The test appended a record itself, with this number as its cookie, and nothing else is under way:
 * its commit is expected next. */
void log_model_add(struct log_model *m, uint64_t number, uint64_t batch);
/* All that is sure, then perhaps the first batch behind it, whole. */
void log_model_check(struct log_model *m);

#endif
