/*
 * state_internal - what the state*.c and reclaim.c share: operations, batches, the sequencer
 * itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_STATE_INTERNAL_H
#define HF_STORE_STATE_INTERNAL_H

#include "libbase/arena.h"
#include "libstore/apply/apply.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "libstore/state/reclaim.h"
#include "libstore/state/state.h"
#include "libstore/state/state_cleanup.h"
#include "libstore/state/state_convert.h"
#include "libstore/state/state_drop.h"
#include "libstore/state/state_parts.h"
#include "libstore/state/state_promise.h"
#include "libstore/state/state_task.h"
#include "libstore/state/state_walk.h"

#define OP_BUCKETS	16384	/* hash of operations in flight */
#define PENDING_MAX	6	/* batches with a layer; INDEX_LAYERS_MAX is above it */

/* What admission says. Negative: refused, with the error. */
enum {
	ADMIT_APPENDED = 0,	/* a record is on its way */
	ADMIT_ANSWER = 1,	/* op->reply holds the answer; nothing was changed */
	ADMIT_PARK = 2,		/* it needs something provisional: again after the next batch */
	ADMIT_WORK = 3,		/* off-loop work goes on with it */
};

struct op;
typedef void op_done_fn(struct state *st, struct op *op);

/* A change in flight: asked for by a session, or by the store itself (session NULL, done set). */
struct op {
	struct op		*hash_next, *next;	/* next: of the list that it is in */
	struct session		*session;
	uint64_t		 sequence;
	uint64_t		 floor;
	Hf__StoreRequest	*request;		/* NULL once its record is appended */
	char			 request_id[40];
	uint32_t		*slots;			/* of the generation table */
	unsigned		 slot_count, slot_capacity;
	struct buf		 reply;			/* packed StoreReply */
	bool			 appended, has_run;
	/* state_put.c: request, and the record until it is committed, are in memory; so is the body
	 * if it was kept, else it is borrowed. */
	bool			 in_arena, body_kept;
	ProtobufCMessage	*record;		/* NULL: to be unpacked */
	struct arena		 memory;		/* of slots, too */
	ProtobufCAllocator	 allocator;		/* of it; frees nothing */
	/* a volume to look at when durable; 0: none */
	uint64_t		 released;
	bool			 fresh;			/* its put found no object */
	op_done_fn		*done;			/* when durable; NULL: answer the session */
	void			*context;
};

struct op_list { struct op *first, **last; };

struct feed_wait;
struct state_feed { struct feed_wait *first; unsigned count; };	/* state_feed.c */

/* object_get that are answered together: state_get.c. */
#define STATE_GETS_MAX	64
struct state_gets {
	struct session		*session[STATE_GETS_MAX];
	uint64_t		 sequence[STATE_GETS_MAX];
	struct buf		 keys;			/* one behind the other */
	size_t			 ends[STATE_GETS_MAX];
	unsigned		 count;
};

/*
 * Ids of buckets by name, while no record about a bucket is pending: then what is committed and
 * what admission sees are the same.
 */
#define BUCKETS_SEEN	64
struct bucket_seen { uint64_t id; char name[64]; };	/* id 0: nothing */
struct buckets_seen {
	struct bucket_seen	 of[BUCKETS_SEEN];
	unsigned		 pending;		/* records, not in the index yet */
	unsigned		 committed;		/* of them, in the batch that is applied */
};

/* Records of tasks that vacuum, while drives are full, by segment (state_share.c). */
#define TASK_SHARES_MAX	256
struct task_shares {
	uint64_t	segments[TASK_SHARES_MAX];
	uint8_t		records[TASK_SHARES_MAX];
	unsigned	count;
};

/* A batch of the log that is not committed yet. */
struct batch {
	struct batch		*next;
	uint64_t		 number;
	struct index_layer	*layer;
	struct op_list		 ops;			/* records and refusals, in order */
};

/* state_thin.c: when volumes with thin extents are asked back, 0 for never; and were last. */
struct thin { uint64_t due_ms, asked_ms; };
struct completion;		/* upload_complete.c */

struct state {
	struct state_options	 o;
	struct session_table	 sessions;
	struct op		*hash[OP_BUCKETS];
	struct op		*ops_kept;		/* memory, to be used again */
	unsigned		 ops_kept_count;
	unsigned		 op_count, park_count;
	struct op_list		 parked;
	struct op_list		 ready;			/* answered at the next turn */
	struct batch		*pending, **pending_last;	/* oldest first */
	unsigned		 pending_count;
	uint64_t		 provisional;		/* counts fake LSNs */
	struct apply		 admit, commit;
	struct index_layer	*commit_layer;
	uint64_t		 commit_lsn;
	bool			 committed;		/* a batch, since the last turn */
	bool			 draining, failed, frozen;
	struct err		 failure, frozen_why;
	uint64_t		 now_ms;
	uint64_t		 unflushed_bytes;	/* of log, since the index was */
	uint64_t		 unflushed_records;
	bool			 commit_freed;
	unsigned		 jobs;			/* on the pool */
	struct reclaim		 reclaim;
	struct thin		 thin;
	struct tasks		 tasks;
	struct cleanup		 cleanup;
	struct conversions	 conversions;
	struct drop		 drop;
	struct parts_end	 parts;
	struct completion	*completions;		/* of uploads, not decided yet */
	struct state_stats	 stats;
	struct buf		 pack, key;
	struct state_gets	 gets;
	struct buckets_seen	 buckets;
	struct state_feed	 feed;
	struct task_shares	 task_shares;
	struct walks		 walks;
};

static inline void
op_list_init(struct op_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}
static inline void
op_list_add(struct op_list *l, struct op *op)
{
	op->next = NULL;
	*l->last = op;
	l->last = &op->next;
}

/* --- state.c */
/* The index under all pending layers; made anew each time. */
struct index_reader state_reader(struct state *st);
struct index_reader state_committed(struct state *st);
void state_fatal(struct state *st, const struct err *e);
/* Runs work on the pool (or at once); done runs on the loop. ERR_BUSY: not taken. */
int state_job(struct state *st, pool_work_fn *work, pool_done_fn *done, void *context);
void state_job_ended(struct state *st);		/* first thing in each done */
/* --- state_batch.c */
log_commit_fn state_on_commit;
/* Appends op's record, applies it provisionally. op->reply comes from the commit. */
int state_append(struct state *st, struct op *op, enum log_share share, uint16_t type,
    const ProtobufCMessage *m, struct slice data, struct err *e);
/* The store's own record: done is called when it is durable, then the op is freed. */
int state_append_done(struct state *st, enum log_share share, uint16_t type,
    const ProtobufCMessage *m, struct slice data, op_done_fn *done, void *context, struct err *e);
/* The same of what gives space back, without data. */
int state_append_own(struct state *st, uint16_t type, const ProtobufCMessage *m, op_done_fn *done,
    void *context, struct err *e);
/* --- state_vacuum.c: relocated rows, with the inline body of one; done may be NULL */
int state_append_rows(struct state *st, Hf__RecordRelocated *r, struct slice data,
    op_done_fn *done, void *context, struct err *e);
/* --- state_request.c */
/* Tells whoever asked, and frees op. */
void op_finish(struct state *st, struct op *op);
/* Goes on with an op after ADMIT_WORK: rc as from admission. */
void state_resume(struct state *st, struct op *op, int rc, const struct err *e);
/* Answers when what is pending is durable, and not before this returns. */
void state_answer_later(struct state *st, struct op *op);
/* Whether a mutation is to be admitted: else it was answered, or will come again. */
bool state_takes(struct state *st, struct session *s, uint64_t sequence);
void state_admit(struct state *st, struct op *op);
/* --- state_session.c: appends the ends of sessions whose operations have all been answered */
void state_sessions_turn(struct state *st);
/* Before the first record that a session asked for: one that was opened when nothing could be
 * written is in the log now, or the error tells why it still cannot be. Else a repeat would not be
 * known. */
int session_log(struct state *st, struct session *s, struct err *e);
void op_origin(const struct op *op, Hf__Origin *out);
void op_reply_pack(struct op *op, const Hf__StoreReply *reply);
void op_slot(struct state *st, struct op *op, const char *bucket, struct slice key);
void op_bucket_slot(struct state *st, struct op *op, const char *bucket);

/* --- admission, by noun: state_bucket.c state_object.c state_upload.c state_run.c
 * state_task.c */
typedef int admit_fn(struct state *st, struct op *op, struct err *e);
admit_fn admit_bucket_put, admit_bucket_delete, admit_object_put, admit_object_delete,
    admit_config_put;
admit_fn admit_upload_create, admit_part_put, admit_upload_complete, admit_upload_abort;
admit_fn admit_task_submit, admit_task_update;
/* The same as admit_task_update of a claim that was looked at for room. */
admit_fn admit_task_claim;
admit_fn admit_convert_begin, admit_convert_commit, admit_convert_abort;
admit_fn admit_feed_read;
admit_fn admit_walk_open, admit_walk_keep, admit_walk_close;	/* state_walk.c */
admit_fn admit_run_reserve, admit_run_return, admit_extent_discard, admit_volume_release;
admit_fn admit_rebuild_done, admit_rebuild_end;		/* state_rebuild.c */
admit_fn admit_segment_relocate, admit_segment_drop, admit_segment_seal;

/* The bucket as admission sees it: 0 and *out (owned by the caller), ADMIT_PARK while its id is
 * provisional, ERR_BUCKET_NOT_FOUND. */
int admit_bucket(struct state *st, const char *name, Hf__Bucket **out, struct err *e);
/* The same, but only its id. */
int admit_bucket_id(struct state *st, const char *name, uint64_t *id, struct err *e);
/* Of a committed bucket; ERR_BUCKET_NOT_FOUND. */
int state_bucket_id(struct state *st, const char *name, uint64_t *id, struct err *e);
/* A record of this type is appended, or committed. */
void buckets_on_append(struct state *st, uint16_t type);
void buckets_on_commit(struct state *st, uint16_t type);
void buckets_on_applied(struct state *st);
int admit_key(struct slice key, struct err *e);
/* old may be NULL: nothing is there. */
int condition_check(const Hf__Condition *c, const Hf__ObjectEntry *old,
    struct err *e);
/* The same of the current version as admission sees it; *there: there is one. */
int admit_condition(struct state *st, uint64_t bucket_id, struct slice key,
    const Hf__Condition *condition, bool *there, struct err *e);
bool etag_equal(const char *a, const char *b);
/* Some drive did not get its shard of them. */
bool extents_thin(Hf__Extent **extents, size_t n);
/* Extents were written by this session, lie in its grants, and overlap nothing. */
int extents_check(struct state *st, const struct session *s, Hf__Extent **extents, size_t n,
    uint64_t bytes, struct err *e);
/* A volume that the session holds. */
int extent_volume_check(struct state *st, const struct session *s, uint64_t volume, struct err *e);
int extent_check(struct state *st, const struct session *s, const Hf__Extent *x,
    uint64_t *shard_bytes, struct err *e);
/* A stretch of a session's volume that holds no live extent. */
int extent_range_check(struct state *st, const struct session *s, uint64_t volume, uint64_t offset,
    uint64_t bytes, struct err *e);
/* 1: something live overlaps. */
int extent_overlaps(const struct index_reader *r, uint64_t volume, uint64_t offset, uint64_t bytes,
    struct err *e);
/* At start: a session goes on with the volume that it had. */
void run_session_load(struct state *st, struct session *s, const Hf__VolumeUse *use,
    uint64_t volume);
/* --- state_thin.c */
/* Extents that a session names: what they lack can be, and where nobody knows of it their volume is
 * asked back soon. */
int thin_check(struct state *st, struct session *s, Hf__Extent *const *extents, size_t n,
    struct err *e);
/* At start: a session still holds a volume with such extents. */
void thin_session_load(struct state *st, struct session *s, uint64_t volume);
void thin_turn(struct state *st);
uint64_t thin_next_ms(const struct state *st);
/* Replaces a string field of an unpacked message. */
void string_replace(char **field, const char *text);
/* The body of a part: as that of an object. */
int part_body_check(struct state *st, const struct op *op, const Hf__PartPut *q, struct err *e);

/* --- upload_complete.c */
void completions_turn(struct state *st);
uint64_t completions_next_ms(const struct state *st);
void completions_release(struct state *st);

/* --- state_feed.c */
void feed_turn(struct state *st);
uint64_t feed_next_ms(const struct state *st);
void feed_release(struct state *st);

/* --- state_share.c: of the record that puts this task */
enum log_share task_share(struct state *st, const Hf__Task *t);

/* --- state_put.c */
void put_keep_body(struct op *op);	/* a put's, beyond the call that brought it */

/* --- state_get.c */
/* Takes a get to be answered with others; false: read it alone. */
bool state_get_queue(struct state *st, struct session *s, uint64_t sequence,
    const Hf__ObjectGet *g);
void state_gets_answer(struct state *st);

/* --- reads: state_read.c */
typedef int read_fn(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e);
read_fn read_bucket_get, read_bucket_list, read_object_get, read_object_list, read_upload_get;
read_fn read_upload_list, read_part_list, read_layout_get, read_segment_locate, read_volume_locate;
read_fn read_damage_report, read_drive_latencies, read_config_list, read_task_get, read_task_list;
read_fn read_rebuild_plan, read_rebuild_extents;	/* state_rebuild.c */
read_fn read_segment_list, read_segment_dead;

#endif
