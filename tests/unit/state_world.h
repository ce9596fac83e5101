/*
 * state_world - a store in one process for tests of the sequencer: four drives in a temporary
 * directory, log, index and state, without sockets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TEST_STATE_WORLD_H
#define HF_TEST_STATE_WORLD_H

#include "libstore/state/state.h"
#include "tests/unit/disk_memory.h"

#define WORLD_REPLIES	16384

struct world {
	char			 directory[64];
	/* a simulated one for the drives; NULL: the real */
	struct disk		*disk;
	struct drive_set	*drives;
	struct log		*log;
	struct index		*index;
	struct gentable		*table;
	struct readers		*readers;	/* after the first open; kept over restarts */
	struct state		*state;
	struct state_recovery	 recovery;
	struct session		*session;
	uint64_t		 now_ms;		/* the state's clock: moved by hand */
	/* of people; moved by hand, 0: the clock's */
	uint64_t		 real_ms;
	struct task_rules	 tasks;			/* queue_max 0: the default */
	uint64_t		 quarantine_ms;
	uint64_t		 floor;
	uint64_t		 grace_ms;		/* 0: a second */
	unsigned		 ended;			/* sessions */
	unsigned		 revocations;
	unsigned		 notes;		/* what the store says of itself */
	bool			 fatal;
	bool			 restores;	/* a lost index comes from its copy */
	const char		*last_path;	/* of the last drive; NULL: as it was */
	Hf__StoreReply		*replies[WORLD_REPLIES];	/* by sequence */
	unsigned		 answers[WORLD_REPLIES];
};

void world_make(struct world *w);		/* the directories, nothing open */
/* With simulated drives: only the index is on a real disk. */
void world_make_simulated(struct world *w, uint64_t seed);
void world_open(struct world *w);
/* The power fails again, at the cut-th step of the recovery or behind it; then it opens. */
void world_open_again(struct world *w, uint64_t cut);
/* on an error all that was opened is closed */
int world_try_open(struct world *w, struct err *e);
extern uint64_t world_recycled;	/* files of dropped segments that were used again */
void world_close(struct world *w);		/* everything as at a clean stop */
void world_remove(struct world *w);
void world_index_remove(struct world *w);
void world_index_damage(struct world *w);	/* every file of it */
/* Opens a session whose id is made of one byte, and waits for it. */
struct session *world_session(struct world *w, uint8_t id);

/* Sends an operation of the current session; the log gets no turn. The request is copied. */
void world_send(struct world *w, uint64_t sequence, const Hf__StoreRequest *q);
void world_settle(struct world *w);		/* turns until nothing is in flight */
/* Sends and settles: the reply, which stays the world's. */
const Hf__StoreReply *world_ask(struct world *w, uint64_t sequence, const Hf__StoreRequest *q);
int world_code(const struct world *w, uint64_t sequence);	/* of the one answer */

/* Requests: each fills *q and *op and returns q. */
#define WORLD_OP(name, Name, CASE) \
	Hf__StoreRequest q = HF__STORE_REQUEST__INIT; \
	Hf__##Name op = HF__##CASE##__INIT; \
	q.op_case = HF__STORE_REQUEST__OP_##CASE; \
	q.name = &op
/* A second one: q2, op2. */
#define WORLD_OP_AGAIN(name, Name, CASE) \
	Hf__StoreRequest q2 = HF__STORE_REQUEST__INIT; \
	Hf__##Name op2 = HF__##CASE##__INIT; \
	q2.op_case = HF__STORE_REQUEST__OP_##CASE; \
	q2.name = &op2
void world_bucket_put(struct world *w, uint64_t sequence, const char *name);
void world_bucket_delete(struct world *w, uint64_t sequence, const char *name);
/* condition: if_none_match, may be NULL. */
void world_put(struct world *w, uint64_t sequence, const char *bucket, const char *key,
    const char *body, const char *if_none_match);
void world_put_extent(struct world *w, uint64_t sequence, const char *bucket, const char *key,
    const Hf__Extent *x);
void world_delete(struct world *w, uint64_t sequence, const char *bucket, const char *key);
const Hf__StoreReply *world_get(struct world *w, uint64_t sequence, const char *bucket,
    const char *key);
/* A dump of the index; free it. tables: only rows of these tables, NULL for all. */
char *world_dump(struct world *w, const char *tables);
/* Closes the store, and opens it with an index that is built from the log alone. Whether these
 * tables are the same, byte by byte. */
bool world_rebuilt_alike(struct world *w, const char *tables);
/* Allocated bytes of a file; of all shard files. */
uint64_t world_file_blocks(const char *path);
uint64_t world_volume_blocks(struct world *w);

#endif
