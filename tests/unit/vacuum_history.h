/*
 * vacuum_history - a store over a simulated disk with a life behind it: random steps of clients
 * (puts, overwrites, deletes, uploads, config, tasks, sessions, volumes), vacuum, and what must
 * hold after any of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_VACUUM_HISTORY_H
#define HF_TESTS_VACUUM_HISTORY_H

#include <inttypes.h>

#include "tests/unit/vacuum_world.h"

#define VH_KEYS	24

struct vacuum_history {
	struct world		w;
	struct maintainer	m;
	uint64_t		seed, sequence;
	/* Of each key: "" none, "*" something that is not inline. */
	char			bodies[VH_KEYS][512];
};
extern struct vacuum_history vh;

/* A new store, made of vh.seed, with the bucket "b"; and its end, after which it is checked. */
void vh_begin(void);
void vh_end(void);
/* Some segments, with all that can be in them; then no more steps. */
void vh_begin_lived(unsigned steps);
/* After world_open: a session of the same name again, and maintenance. */
void vh_reopened(void);

uint64_t vh_below(uint64_t n);
const char *vh_key(unsigned i);
ProtobufCBinaryData vh_bin(const void *data, size_t bytes);
/* What was sent last is answered with this code; clients wait for that. */
void vh_answered(int code);

/* Steps of clients. */
void vh_put(void);
void vh_put_extent(void);
void vh_delete(void);
void vh_delete_many(void);
void vh_upload(void);
void vh_config(void);
void vh_bucket(void);
void vh_task(void);
void vh_session_next(void);
void vh_time_goes_on(void);
/* Some of them, for which nobody waits; vh_meanwhile_check: they were done all the same. */
void vh_meanwhile(void);
void vh_meanwhile_check(void);
/* Until what was sealed before is gone. */
void vh_vacuum_all(void);

/* Each body is where its row says. */
void vh_check(void);
/* What is counted as needed in each segment are the homes of rows there. */
void vh_check_uses(void);
/* The index that is built from what is left of the log is, byte by byte, the one that grew. */
void vh_check_rebuilt(void);
void vh_check_dumps(const char *live, const char *rebuilt);
/* Neither the catalog nor a drive knows it. */
bool vh_segment_gone(uint64_t id);

#endif
