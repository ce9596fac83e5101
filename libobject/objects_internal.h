/*
 * objects_internal - what the files of libobject share: the struct behind struct objects, and the
 * small parts that it is made of. Each part's rules stand in the file of its name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_OBJECTS_INTERNAL_H
#define HF_OBJECT_OBJECTS_INTERNAL_H

#include <pthread.h>

#include <sys/queue.h>

#include "libbase/buf.h"
#include "libbase/erasure.h"
#include "libipc/channel.h"
#include "libobject/drive_times.h"
#include "libobject/file_cache.h"
#include "libobject/object.h"
#include "libstore/disk/disk.h"
#include "libstore/reader/gentable.h"
#include "libstore/reader/readers.h"

#define CALLS_MAX		65536	/* without an answer; more are ERR_BUSY */
#define CALL_BUCKETS		4096
#define MAPS_COUNT		4096
#define STORE_WAIT_MS		30000	/* for questions that no caller waits for */

/* --- soon.c: later in this turn of the loop --------------------------------------------------- */

typedef void soon_fn(void *context);
struct soon {
	TAILQ_ENTRY(soon)	 entry;
	soon_fn			*fn;
	void			*context;
	bool			 queued;
};
void soon_run(struct objects *o, struct soon *s, soon_fn *fn, void *context);
void soon_cancel(struct objects *o, struct soon *s);

/* --- pin.c: how far back this process depends on the store ------------------------------------ */

struct pin {
	TAILQ_ENTRY(pin) entry;
	uint64_t	 lsn;
	bool		 taken;
};
TAILQ_HEAD(pin_list, pin);
struct pins {
	struct pin_list	 list;		/* oldest first */
	struct pin	*current;	/* of the lookup whose callback runs; NULL: none */
	int		 slot;		/* -1: none */
	uint64_t	 owner;
};
void pin_take(struct objects *o, struct pin *p);	/* as of now */
void pin_like(struct objects *o, struct pin *p, struct pin *like);	/* NULL: as of now */
void pin_drop(struct objects *o, struct pin *p);	/* no-op if it is not taken */
/* Around the callback of a lookup. */
struct pin *pin_enter(struct objects *o, struct pin *p);
void pin_leave(struct objects *o, struct pin *outer);
void pins_claim(struct objects *o);	/* the session is open */
void pins_release(struct objects *o);	/* it is lost */

/* --- call.c ----------------------------------------------------------------------------------- */

struct object_call {
	TAILQ_ENTRY(object_call) order;
	struct object_call	*hash_next;
	struct objects		*objects;
	uint64_t		 sequence;
	uint64_t		 deadline_ms;
	size_t			 heap_index;	/* SIZE_MAX: not in the heap */
	uint64_t		 sent_on;	/* number of the connection; 0: never sent */
	bool			 mutation;
	bool			 filed;		/* in the list and the table */
	/* not a call: the handle of a struct lookup (lookup.c) */
	bool			 lookup;
	struct buf		 request;
	struct pin		 pin;		/* of a question for an address */
	object_fn		*fn;		/* NULL: nobody waits */
	void			*context;
	struct soon		 soon;		/* an end that was decided inside object_call */
	struct err		 why;
};
TAILQ_HEAD(call_list, object_call);

struct calls {
	struct call_list	 list;		/* unanswered, by sequence */
	struct object_call	*buckets[CALL_BUCKETS];
	struct object_call	**heap;
	size_t			 heap_count, heap_capacity;
	struct event		*timer;
	uint64_t		 timer_ms;	/* when it fires; 0: not pending */
	unsigned		 count;
	uint64_t		 next_sequence;
	bool			 stalled;	/* the channel was full */
};
void calls_init(struct objects *o);
void calls_release(struct objects *o);
void calls_cancel_all(struct objects *o);
void calls_send(struct objects *o);		/* what was not sent on this connection, in order */
void calls_lose_session(struct objects *o);	/* the answers to sent mutations are lost */
/* False: a reply that nobody waits for. May take ownership of nothing. */
void calls_on_reply(struct objects *o, uint64_t sequence, Hf__StoreReply *reply);
uint64_t calls_floor(const struct objects *o);
void lookup_cancel(struct object_call *handle);

/* --- session.c -------------------------------------------------------------------------------- */

struct session {
	struct channel	*channel;
	struct event	*reopen;
	uint8_t		 id[16];
	uint64_t	 generation;	/* counts ids */
	uint64_t	 connection;	/* counts connections */
	bool		 open;
	char		 boot_id[40];
	uint64_t	 start_time;
};
int session_init(struct objects *o, struct err *e);
void session_release(struct objects *o);
void session_lost(struct objects *o);	/* the store does not know it: a new one */

/* --- memory.c: bytes of bodies in flight ------------------------------------------------------ */

struct memory_waiter {
	TAILQ_ENTRY(memory_waiter) entry;
	size_t		 bytes;
	bool		 holder;
	soon_fn		*fn;		/* the bytes are the waiter's now */
	void		*context;
	bool		 waiting;
};
struct memory {
	uint64_t	 used, max;
	TAILQ_HEAD(, memory_waiter) waiters;
	struct soon	 wake;
};
bool memory_take(struct objects *o, size_t bytes);	/* false: no room, or others wait */
void memory_wait(struct objects *o, struct memory_waiter *w, size_t bytes, bool holder, soon_fn *fn,
    void *context);
void memory_cancel(struct objects *o, struct memory_waiter *w);
void memory_give(struct objects *o, size_t bytes);

#define BUFFERS_IDLE_MAX	32
#define BUFFERS_IDLE_BYTES	(8u << 20)
/* Who writes into a buffer has the next one that it wrote, too: then the memory is in its
 * processor's cache, and in no other's. */
#define BUFFERS_LOOP		0	/* and all threads but the helpers of body_readahead.c */
#define BUFFERS_HELPER		1	/* the first of them */
#define HELPERS_MAX		3u
#define BUFFERS_OWNERS		(1 + HELPERS_MAX)
struct buffer_stack {
	struct { void *memory; size_t bytes; } idle[BUFFERS_IDLE_MAX];
	unsigned	 count;
};
struct buffers {
	pthread_mutex_t		 lock;
	struct buffer_stack	 stacks[BUFFERS_OWNERS];
	size_t			 idle_bytes;
};
/* By any thread. Aligned memory of at least *bytes, which becomes its size; what was taken is
 * counted apart. */
void *buffer_get(struct objects *o, unsigned owner, size_t *bytes);
void buffer_put(struct objects *o, unsigned owner, void *memory, size_t bytes);
void buffers_init(struct objects *o);
void buffers_release(struct objects *o);

/* --- work.c: jobs for the pool that are never refused ----------------------------------------- */

struct work {
	TAILQ_ENTRY(work)	 entry;
	struct objects		*objects;
	pool_work_fn		*work;
	pool_done_fn		*done;
	void			*context;
};
struct works {
	TAILQ_HEAD(, work)	 waiting;	/* the pool's queue was full */
	unsigned		 submitted;
	struct event		*retry;
};
void works_init(struct objects *o);
void works_release(struct objects *o);
void work_submit(struct objects *o, struct work *w, pool_work_fn *work, pool_done_fn *done,
    void *context);

/* --- hasher.c: digests of bodies -------------------------------------------------------------- */

struct row;
TAILQ_HEAD(row_list, row);
/* The rows of one body, in order. All of it is under the hasher's lock, but `given` and what the
 * caller set. */
struct hash_lane {
	TAILQ_ENTRY(hash_lane)	 entry, told_entry;
	struct digest		*digests;
	unsigned		 digest_count;
	void			(*on_rows)(void *context);	/* take them: hasher_take */
	void			*context;
	struct row_list		 waiting, hashed;
	bool			 queued, busy, told;
	unsigned		 given;		/* rows that were added and not taken */
};
struct hasher {
	pthread_mutex_t		 lock;
	TAILQ_HEAD(, hash_lane)	 lanes;		/* with rows waiting, and not busy */
	TAILQ_HEAD(, hash_lane)	 told;		/* with rows hashed */
	unsigned		 lane_count, busy_count, threads;
	bool			 telling;
};
void hasher_init(struct objects *o);
void hasher_release(struct objects *o);
void hasher_lane_init(struct hash_lane *l, struct digest *digests, unsigned digest_count,
    void (*on_rows)(void *context), void *context);
void hasher_add(struct objects *o, struct hash_lane *l, struct row *r);
/* The next row that was hashed, in order, or NULL. */
struct row *hasher_take(struct objects *o, struct hash_lane *l);
/* The next row that no thread has begun, which will not be hashed; or NULL. */
struct row *hasher_drop(struct objects *o, struct hash_lane *l);

/* --- body_readahead.c: jobs of readers -------------------------------------------------------- */

struct read_job;
TAILQ_HEAD(read_job_list, read_job);
struct readahead {
	pthread_mutex_t		 lock;
	struct read_job_list	 waiting;	/* for helpers, and the loop */
	struct read_job_list	 cold;		/* each has a thread that comes for it */
	struct read_job_list	 told;		/* done, and the loop is to hear of it */
	unsigned		 waiting_count;	/* for helpers; atomic */
	uint32_t		 helpers;	/* threads that stay while there are jobs */
	unsigned		 helpers_max;
	bool			 telling;
};
void readahead_init(struct objects *o);
void readahead_release(struct objects *o);

/* --- map.c: where segments and volumes lie ---------------------------------------------------- */

struct map {
	enum file_kind	 kind;
	uint64_t	 id;		/* 0: none */
	unsigned	 k, m;		/* volumes, converted segments; 0: mirrors */
	uint64_t	 shard_bytes;	/* converted segments */
	unsigned	 count;
	uint8_t		 slots[16];
	/* By shard: not there, or without some extents; rebuilt, so that extents' bits are void. */
	uint32_t	 missing, complete;
	uint32_t	 state;
};
bool map_find(const struct objects *o, enum file_kind kind, uint64_t id, struct map *out);
void map_forget(struct objects *o, enum file_kind kind, uint64_t id);
void maps_forget(struct objects *o);	/* what drives lack has changed */
/* 0, or ERR_CORRUPT for a row that makes no sense. */
int map_note_volume(struct objects *o, const Hf__CatalogVolume *row, struct map *out);
typedef void map_fn(void *context, int code, const struct map *map, const struct err *e);
struct map_question;
struct map_question *map_ask(struct objects *o, const char *request_id, enum file_kind kind,
    uint64_t id, uint64_t deadline_ms, map_fn *fn, void *context);
void map_cancel(struct map_question **q);

/* --- run.c: space in volumes ------------------------------------------------------------------ */

struct run {
	uint64_t	 offset, bytes;
	uint64_t	 generation;	/* of the session that holds it */
	struct map	 map;
};
typedef void run_fn(void *context, int code, const struct err *e);
struct run_waiter {
	TAILQ_ENTRY(run_waiter) entry;
	uint64_t	 deadline_ms;
	uint64_t	 ticket;
	const char	*request_id;
	run_fn		*fn;		/* code 0: try run_take again */
	void		*context;
	bool		 waiting;
};
/* A volume of which something is outstanding, or of which more may be granted. */
struct hold {
	uint64_t	 volume;
	unsigned	 extents;	/* that may still be written or committed */
	bool		 revoked;
};
struct runs {
	struct run	 current, next;
	struct hold	*holds;
	size_t		 hold_count, hold_capacity;
	uint64_t	 latest;	/* volume of the last grant */
	struct object_call *asking;
	uint64_t	 ask_bytes;
	uint64_t	 last_ticket;
	TAILQ_HEAD(, run_waiter) waiters;
};
/*
 * Takes up to `bytes` of shard space: all of it, or fewer whole rows. False: wait for it with
 * run_wait.
 */
bool run_take(struct objects *o, uint64_t bytes, struct run *out);
void run_wait(struct objects *o, struct run_waiter *w, run_fn *fn, void *context);
void run_cancel(struct objects *o, struct run_waiter *w);
/* Gives back the end of a piece, from where nothing was written. */
void run_give(struct objects *o, const struct run *piece, uint64_t used_bytes);
/* Gives a whole run back to the store. */
void run_return(struct objects *o, const struct run *r);
void runs_return_all(struct objects *o);
void runs_drop(struct objects *o);		/* the session is gone, and they with it */

/* --- hold.c: volumes that are held ------------------------------------------------------------ */

struct hold *hold_get(struct objects *o, uint64_t volume);
/* Releases what can be. */
void holds_settle(struct objects *o);
/* A piece that was taken holds its volume until its extent was committed or discarded. */
void run_settled(struct objects *o, const struct run *piece);
/* The store asks to let go of volumes. */
void runs_revoke(struct objects *o, const uint64_t *volumes, size_t count);
void runs_release(struct objects *o);

/* --- damage.c --------------------------------------------------------------------------------- */

/* What a job met on a drive, kept until it is back on the loop. */
struct damage {
	enum file_kind	 kind;
	uint64_t	 id, offset;
	unsigned	 slot;
	int		 code;
	char		 text[160];
};
#define DAMAGES_MAX 16
struct damages {
	unsigned	 count;
	struct damage	 rows[DAMAGES_MAX];	/* one for each drive; more are not kept */
};
void damages_add(struct damages *d, enum file_kind kind, uint64_t id, uint64_t offset,
    unsigned slot, const struct err *why);
/* Sends what *told does not have for that drive yet, and empties d. */
void damages_report(struct objects *o, const char *request_id, struct damages *d, uint32_t *told);

/* --- objects.c -------------------------------------------------------------------------------- */

struct entry_cache;

struct objects {
	unsigned		 refs;		/* the owner, and jobs in the pool */
	bool			 closed;
	struct event_base	*base;
	struct pool		*pool;
	struct disk		*disk;
	char			*channel_path, *name;
	void			(*on_state)(void *context, bool connected);
	void			*on_state_context;
	uint32_t		 hints;		/* that were asked for */
	void			(*on_hint)(void *context, uint32_t hints);
	void			*on_hint_context;
	TAILQ_HEAD(soon_list, soon) soon_list;
	struct event		*soon_event;
	struct session		 session;
	struct calls		 calls;
	struct memory		 memory;
	struct buffers		 buffers;
	struct works		 works;
	struct hasher		 hasher;
	struct readahead	 readahead;
	struct runs		 runs;
	struct map		*maps;
	struct file_cache	*files;
	struct drive_times	 times;
	struct disk		*deadline;	/* over disk, for reads; NULL: none */
	struct gentable		*table;		/* NULL: nothing is cached */
	struct readers		*readers;	/* NULL: nothing is published */
	struct pins		 pins;
	struct entry_cache	*cache;
	Hf__Layout		*layout;
	uint32_t		 offline;	/* slots that are not online */
	uint32_t		 slow;		/* slots: others are read, if they suffice */
	struct erasure		*erasure;	/* of the layout's k+m */
	unsigned		 k, m;
};
void objects_get(struct objects *o);
void objects_put(struct objects *o);
void objects_layout_set(struct objects *o, Hf__Layout **layout);	/* takes it */
/* layout_get; a layout that comes is set before fn (which may be NULL). */
struct object_call *objects_layout_ask(struct objects *o, const char *request_id,
    uint64_t deadline_ms, object_fn *fn, void *context);
void objects_state_changed(struct objects *o);

#endif
