/*
 * log_internal - struct log, for log*.c.
 *
 *                 append            submit             collect
 *   caller ──> forming batch ──> queue ──> flight ──> landed ──> delivered          (one flight at
 *   a time)
 *                                 ^          │ a mirror failed or is overdue
 *                                 └──────────┘ back to the front; the keeper opens another segment
 *
 * The worker that answers last lands the flight and starts the next one at once, so that drives
 * write while the caller applies what has landed; LANDED_MAX bounds how far they run ahead.
 *
 * W1  Everything here is guarded by lock, which is never held over I/O, except what a flight's
 *     workers read of it (image, segment, offset: constant while it flies). A worker takes the
 *     lock only to report; the caller is woken after it was given back.
 * W2  The keeper does all that is slow and rare: prepare the next segment, seal the last, replace a
 *     failed one, bring returning drives up to date. The caller's thread only swaps pointers.
 * W3  A batch is encoded while it forms; where it goes is stamped when it flies. Its image belongs
 *     to the flight then: a write that hangs keeps it, and a batch that goes back gets a copy.
 * W4  Without threads (tests), commit and keeper run inside the caller's calls; the code is the
 *     same.
 * W5  Who was handed a flight is woken by whoever handed it out, as he gives the lock back
 *     (log_unlock): a call that wakes a processor takes longer than all the rest, and the caller
 *     takes the lock for each record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_LOG_INTERNAL_H
#define HF_STORE_LOG_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>

#include "libstore/log/log.h"
#include "libstore/log/segment.h"

#define WAITING_BYTES_MAX	(64u * 1024 * 1024)
#define BATCH_RECORDS_MAX	16384u
#define MIRROR_WRITE_MS_MAX	10000u
#define LANDED_MAX		2u
#define IMAGES_KEPT		4u
#define IMAGE_KEPT_BYTES_MAX	(1024u * 1024)

enum log_state {
	LOG_RUNNING,
	LOG_REPAIRING,		/* the keeper is replacing the current segment */
	LOG_READ_ONLY,		/* opened so; nothing is appended */
	LOG_FAILED,		/* fail_code is what waiting records get */
};

struct pending {
	uint16_t	 type;
	uint32_t	 meta_bytes, data_bytes;
	void		*cookie;
};

/* Memory of an encoded batch; aligned, and used again. */
struct image {
	uint8_t		*bytes;
	size_t		 capacity;
};

struct batch {
	uint64_t	 number;
	struct image	 image;		/* header (blank), records without LSN and checksum */
	struct pending	*records;
	uint32_t	 count, capacity;
	uint64_t	 encoded_bytes;	/* header and records */
	uint64_t	 head_bytes;	/* of its records, in a footer */
	bool		 closed;	/* it flew once: takes no more */
	struct batch	*link;
};

struct flight {
	int		 refs;		/* the log and each worker at it */
	struct batch	*batch;		/* NULL once it went back to the queue */
	struct segment	*segment;	/* a reference */
	uint64_t	 offset, first_lsn, started_ms;
	struct image	 image;
	size_t		 image_bytes;
	uint32_t	 waiting;	/* mirrors that did not answer yet */
	uint32_t	 failed;	/* by mirror index */
	char		 why[DRIVES_MAX][160];
	struct flight	*link;			/* landed */
};

struct worker {
	struct log	*log;
	pthread_t	 thread;
	sem_t		 wake;		/* posted once for each flight; without one: end */
	struct flight	*flight;	/* to do, or being done; handed over by wake */
	unsigned	 mirror;
	bool		 busy, started;
};

/* A drive that did not do what was to be done to the segment's file in a slot: the one that stands
 * there, or the one that is retired from it, where the file is a link. */
struct failing {
	uint64_t	segment;
	unsigned	slot;
	char		why[160];
};
#define FAILING_MAX	(2 * DRIVES_MAX)	/* of what flies, and of zeros */

struct log {
	struct drive_set	*set;
	bool			 threads, stopping, keeper_started, zeroer_started;
	pthread_mutex_t		 lock;
	pthread_cond_t		 keeper_wake, idle, zero_wake;
	pthread_t		 keeper, zeroer;
	struct worker		 workers[DRIVES_MAX];
	uint32_t		 handed;	/* slots; W5: none while nobody has the lock */
	int			 wake_fd;
	enum log_state		 state;
	int			 fail_code;
	bool			 keeper_busy, keeper_watching, zero_busy, zero_waiting;

	struct segment		*current, *next, *sealing;
	bool			 want_next, prepare_failed, returning;
	bool			 leave_slow;	/* see log_drives_slow */
	bool			 seal_early;	/* the current segment, though it has room */
	struct prewrite		 prewrite;
	struct failing		 failing[FAILING_MAX];
	unsigned		 failing_count;
	struct batch		*head, *tail;	/* queue; the tail is forming */
	uint64_t		 batch_next;
	uint64_t		 batch_bytes_max;
	struct flight		*flight;
	struct flight		*landed, **landed_last;	/* durable, not delivered */
	unsigned		 landed_count;
	struct image		 images[IMAGES_KEPT];	/* spare */
	unsigned		 image_count;
	uint64_t		 acked_lsn;
	/* read-only: segments that stay open, with what they hold */
	struct segment		*recovered;
	struct log_stats	 stats;
	struct log_rot		 rot[LOG_ROT_MAX];	/* constant once it is open */
	uint64_t		 rot_count;
	uint64_t		 space_checked_ms;
	unsigned		 write_ms_max;	/* past it a mirror is overdue */
};

/* log.c */
void log_wake(struct log *l);

/* log_commit.c; lock is held */
void log_flight_start(struct log *l);		/* if something waits and nothing flies; then W5 */
void log_unlock(struct log *l);
void log_flight_put(struct log *l, struct flight *f);
void *log_worker_main(void *worker);
void log_batch_free(struct log *l, struct batch *b);
/* At least so many bytes; what is there stays. */
void log_image_grow(struct log *l, struct image *m, size_t bytes);
void log_image_put(struct log *l, struct image *m);
void log_segment_put(struct log *l, struct segment *g);
/* For LOG_REPAIRING. Lock. */
void log_failing_add(struct log *l, const struct segment *g, unsigned slot, const char *why);

/* log_keeper.c; lock is held, and given up over I/O */
bool log_keeper_step(struct log *l);		/* does one thing; false: there was nothing to do */
void *log_keeper_main(void *log);
void log_flight_overdue(struct log *l, uint64_t now_ms);
/* closes the current segment for good, at log_close */
void log_segment_retire(struct log *l);
int log_segment_first(struct log *l, struct err *e);
/* The prepared segment becomes the current one, which is to be sealed. */
void log_segment_roll(struct log *l);
/* Copies to RETURNING drives what their mirrors lack, then they are ONLINE. No lock. */
void log_returning_bring(struct log *l);
/* Footer, then the row; a segment without records is dropped. No lock. */
int log_segment_seal(struct drive_set *s, struct segment *g, struct err *e);

/* log_place.c */
/* A new segment for a share; lock is held. */
bool log_has_space(struct log *l, enum log_share share);
/* The first share that has space for one; LOG_SHARE_FREE if none has. */
enum log_share log_share_first(struct log *l);
/* m+1 drives of the best set that has room, or all of it that are online if those are fewer; on
 * different file systems where possible. How many. No lock. */
int log_place_choose(struct log *l, enum log_share share, uint64_t bytes,
    uint32_t slots[DRIVES_MAX], struct err *e);
/* Of a segment that is made where a whole one has no room, for those that may use the reserve: it
 * holds any batch. */
uint64_t log_place_short_bytes(const struct log *l);

/* log_prewrite.c; lock is held */
void *log_prewrite_main(void *log);
void log_prewrite_wake(struct log *l);	/* there may be something to do */
/* By mirror index: these did not take zeros. */
void log_zeros_failed(struct log *l, const struct segment *g, uint32_t failed,
    const struct err e[DRIVES_MAX]);

/* log_recover.c; no lock, before anything else runs */
int log_recover(struct log *l, struct err *e);
int log_mirrors_bring(struct drive_set *s, unsigned slot, struct err *e);

#endif
