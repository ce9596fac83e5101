/*
 * session - the clients of the store: one for each process that has opened a session, and what is
 * in memory for it: the highest sequence that may have an answer, and the volume that it fills.
 *
 * A session lives as long as its process. It outlives its connections and the store's own restarts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SESSION_H
#define HF_STORE_SESSION_H

#include <stdbool.h>

#include "libstore/index/index.h"
#include "schema/store.pb-c.h"

#define SESSION_ID_BYTES	16
#define SESSIONS_MAX		4096

struct op;

enum session_state { SESSION_OPEN, SESSION_ENDING };

struct held_volume {
	uint64_t	volume;
	bool		revoked;	/* it was asked to release it */
	bool		thin;		/* and is to be: extents of it lack a shard */
};

struct session {
	struct session		*next;
	uint8_t			 id[SESSION_ID_BYTES];
	char			 boot_id[40];
	uint32_t		 pid;
	uint64_t		 start_time;
	char			 name[32];
	enum session_state	 state;
	bool			 durable;	/* its opening is in the log */
	bool			 end_appended;
	/* It asked for addresses; or did so of an earlier store, maybe, and was not heard since. */
	bool			 reads;
	uint64_t		 answered_max;	/* no answer in the index is above it */
	unsigned		 op_count;	/* operations in flight */
	void			*context;	/* the service's */
	uint64_t		 latencies_ms;	/* when it reported some; the service's */
	/* Volumes that runs of it came from, until it releases them or ends. */
	struct held_volume	*held;
	size_t			 held_count, held_capacity;
	/* The volume that its runs come from; 0: none yet. */
	uint64_t		 volume, volume_bytes, volume_granted;
	uint32_t		 volume_k;
	uint64_t		 run_bytes;	/* size of the next run */
	struct op		*run_op;	/* a grant under way */
	struct op		*run_head, **run_tail;
};

struct session_table {
	struct session	*first;
	unsigned	 count;
};

struct session *session_find(struct session_table *t, struct slice id);
/* NULL: SESSIONS_MAX are there, or the fields are not well formed (id, lengths). */
struct session *session_add(struct session_table *t, const Hf__RecordSessionOpen *open);
void session_remove(struct session_table *t, struct session *s);
void session_table_release(struct session_table *t);
void session_hold(struct session *s, uint64_t volume);	/* no-op if it does already */
void session_unhold(struct session *s, uint64_t volume);
struct held_volume *session_held(const struct session *s, uint64_t volume);	/* NULL: not */
/* All sessions of the index, each with its answers' highest sequence. */
int session_table_load(struct session_table *t, const struct index_reader *r, struct err *e);
static inline struct slice
session_id(const struct session *s)
{
	return (SLICE(s->id, SESSION_ID_BYTES));
}

#endif
