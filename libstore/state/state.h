/*
 * state - the sequencer: one thread that decides every condition, gives every change its place in
 * the log, applies what was committed, and answers.
 *
 *   request ── read ──────────────────────────────► answer (from what is committed)
 *           └─ admission ── refused ─► wait for the newest pending batch ─► answer
 *                 │    └─ parked until a batch commits, then admitted again
 *                 └─ record appended, applied to its batch's layer ─► committed, applied ─► answer
 *
 * T1  An answer, a refusal too, leaves only when what it depended on is durable.
 * T2  A (session, sequence) is applied at most once, over any number of restarts of the store; a
 *     repeat of an applied one gets the first answer.
 * T3  Admission sees the index and the layers of all batches that are pending, in order.
 * T4  Nothing provisional (LSN, place, bucket id) gets into a record: what needs it is parked.
 * T5  After a failed commit or index write nothing is answered any more; on_fatal says so, once.
 *
 * No sockets, processes or timers: that is services/store. Blocking work goes to the pool, if one
 * is given, and is done at once if not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_H
#define HF_STORE_STATE_H

#include "libbase/pool.h"
#include "libstore/apply/task.h"
#include "libstore/index/index.h"
#include "libstore/index/index_copy.h"
#include "libstore/log/log.h"
#include "libstore/reader/gentable.h"
#include "libstore/reader/readers.h"
#include "libstore/state/session.h"

struct state;

struct state_options {
	struct drive_set	*drives;
	struct log		*log;
	struct index		*index;
	struct gentable		*table;			/* NULL: none */
	struct readers		*readers;		/* NULL: nobody publishes what he reads */
	struct pool		*pool;			/* NULL: blocking work is done at once */
	uint64_t		 inline_bytes_max;
	uint64_t		 reclaim_grace_ms;
	uint64_t		 index_flush_bytes;
	unsigned		 operations_max;
	struct task_rules	 tasks;
	/* dropped files are kept there for so long */
	uint64_t		 quarantine_ms;
	const char		*walk_dir;		/* of checkpoints, copied; NULL: no walks */
	uint64_t		 walk_lapse_ms, walk_life_ms;
	/* ms since 1970, for what is kept with a time; NULL: the clock's */
	uint64_t		(*real_ms)(void *context);
	/* reply is a packed StoreReply. */
	void	(*on_reply)(void *context, struct session *s, uint64_t sequence,
	    struct slice reply);
	/* The session's end is durable; s is freed after return. */
	void	(*on_session_end)(void *context, struct session *s);
	/* The session shall release volumes (its held ones that are revoked). May be NULL. */
	void	(*on_revoke)(void *context, struct session *s);
	/* A client saw an error on a drive. */
	void	(*on_damage)(void *context, struct session *s, const Hf__DamageReport *report);
	/* A client measured drives: 0, or why that is not taken. May be NULL. */
	int	(*on_latencies)(void *context, struct session *s, const Hf__DriveLatencies *report,
	    struct err *e);
	/* Off-loop work has ended: call state_turn soon. May be NULL without a pool. */
	void	(*on_wake)(void *context);
	void	(*on_fatal)(void *context, const struct err *e);
	/* A line for the log about a request; may be NULL. */
	void	(*on_note)(void *context, const char *request_id, const char *text);
	void	*context;
};

/* Loads sessions and unfinished reclaim work. drives, log, index stay the caller's. */
int state_open(const struct state_options *options, struct state **out, struct err *e);
/* What is not answered never will be. Nothing may be in work on the pool (state_idle). */
void state_close(struct state **st);

/*
 * Opens the index in a directory and brings it up to the log's end: replays what is missing; an
 * index that is damaged, newer, or not of this log is destroyed and rebuilt. cancel is looked at
 * now and then.
 */
struct state_recovery {
	uint64_t	 records;		/* replayed */
	bool		 rebuilt;
	char		 why[480];		/* it was rebuilt, or restored */
	bool		 restored;		/* from the copy on a drive */
	struct index_copy_about copy;		/* that copy */
	char		 copy_why[480];		/* no copy could be used; "": none was needed */
};
int state_recover(struct drive_set *drives, struct log *log, const char *index_dir,
    uint64_t cache_bytes, log_progress_fn *progress, void *context, const volatile bool *cancel,
    struct state_recovery *out_how, struct index **out, struct err *e);
/* The same, but for an index that is missing or thrown away a copy on a drive is taken, if there is
 * one (index_copy.h). */
int state_recover_or_restore(struct drive_set *drives, struct log *log, const char *index_dir,
    uint64_t cache_bytes, log_progress_fn *progress, void *context, const volatile bool *cancel,
    struct state_recovery *out_how, struct index **out, struct err *e);

/* An index of records up to an LSN only, for comparing. */
int state_recover_upto(struct drive_set *drives, struct log *log, const char *index_dir,
    uint64_t cache_bytes, uint64_t lsn, log_progress_fn *progress, void *context,
    const volatile bool *cancel, struct state_recovery *out_how, struct index **out,
    struct err *e);

/* A request of an open session; takes *request. It is answered by on_reply, maybe before return. */
void state_request(struct state *st, struct session *s, uint64_t sequence,
    Hf__StoreRequest **request);
/* The same of a request as it came, if that is an object_put of the usual kind; false: it is not.
 * Borrowed until return. */
bool state_put(struct state *st, struct session *s, uint64_t sequence, struct slice request);
/*
 * The session's first request of each connection. Returns the session, known already or new; the
 * answer comes later, when that is durable. Or NULL with e. The caller has checked that the process
 * exists.
 */
struct session *state_session_open(struct state *st, uint64_t sequence, const Hf__SessionOpen *open,
    struct err *e);
/* Its process is known dead. Idempotent. */
void state_session_end(struct state *st, struct session *s);
struct session *state_sessions(struct state *st);	/* first of the list */
/* Nothing more is granted of a volume; whoever holds it is asked to let go of it, again with each
 * call. True: somebody does. It is sealed when that has happened, or the session ended. */
bool state_volume_revoke(struct state *st, uint64_t volume);
/* No reader depends on a state before lsn any more (readers.h); false also if one may without
 * saying so. Who waits for it waits for store.reclaim_grace at most. */
bool state_readers_past(struct state *st, uint64_t lsn);

/* End of a turn of the loop: parked work, reclaim, and hands the forming batch to the log. */
void state_turn(struct state *st, uint64_t now_ms);
/* The log's wake descriptor was readable. */
void state_collect(struct state *st, uint64_t now_ms);
/* When state_turn has something to do without an event: clock_mono_ms, UINT64_MAX for never. */
uint64_t state_next_ms(const struct state *st);
/* From here on, for good, what would change anything is refused for this reason; what was admitted
 * is committed, and reads go on. The index has no room, but for what is in flight. */
void state_freeze(struct state *st, const struct err *why);
/* Takes no new requests (ERR_UNAVAILABLE is not answered: they are dropped and will come again). */
void state_drain(struct state *st);
bool state_idle(const struct state *st);		/* nothing in flight, no work on the pool */

/* True while a segment is being dropped, from the moment on that it is sure to go. */
bool state_drops(const struct state *st, uint64_t segment);
/* Drives and what they are used for, as clients get it; hf__layout__free_unpacked. */
void state_layout(struct state *st, Hf__Layout **out);
/* No set of drives has room above its reserve: what makes data more is refused. */
bool state_full(const struct state *st);

struct state_stats {
	uint64_t	objects, buckets, uploads;
	uint64_t	operations, parked, pending_batches, sessions;
	uint64_t	answered, repeats, refused;
	uint64_t	reclaim_waiting, reclaimed_bytes, reclaim_failures;
	uint64_t	applied_lsn, last_flush_ms;
	uint64_t	tasks[TASK_STATES];		/* by state */
	uint64_t	tasks_open, tasks_waiting, orphan_bytes;
	/* since the start: asked for again, refused, claims taken over */
	uint64_t	tasks_merged, tasks_full, tasks_reclaimed;
	uint64_t	segments_dropped;	/* since the start */
	uint64_t	bodies_degraded;	/* since the start: puts that lack shards */
	uint64_t	parts_walked;		/* since the start: to complete and end uploads */
};
void state_stats(struct state *st, struct state_stats *out);

/* Every row as "hex-key value-length hex-value\n"; equal for equal indexes. For comparing. */
int state_dump(struct index *x, void (*line)(void *context, const char *text), void *context,
    struct err *e);

#endif
