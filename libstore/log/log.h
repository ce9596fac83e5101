/*
 * log - the mirrored, append-only history of every change of state. The log is the database.
 *
 * L1  A record is reported committed only when it is durable on every live mirror of its segment.
 * L2  Commits are reported in the order of log_append, exactly once.
 * L3  An LSN is never used twice; the epoch part rises with every log_open and every failed mirror.
 * L4  A segment that was open when a process ended is sealed by log_open and never appended to
 *     again.
 * L5  A failed or overdue mirror: the segment is sealed in the catalog at the last LSN that all
 *     mirrors had; what waited is written again, in order, under new LSNs, in a new segment on
 *     live drives. The caller sees only a later commit.
 *
 * One commit thread per drive: one write that returns when it is durable (pwritev_sync), for all
 * that waits; batching comes from load. The caller is one thread (the store's loop); the threads
 * wake it through an eventfd. Segment, batch and record layout: segment_format.h and
 * holdfast-format(5).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_LOG_H
#define HF_STORE_LOG_H

#include "libstore/drive/catalog.h"
#include "libstore/format/record.h"

struct log;

typedef int log_replay_fn(void *context, const struct record *r, struct err *e);
typedef void log_progress_fn(void *context, uint64_t bytes_done, uint64_t bytes_total);

/*
 * Recovers: for each segment that the catalog has as open, the longest valid history among its
 * mirrors wins, is copied to the others, synced, sealed at its end (a bad record below the highest
 * LSN known as acknowledged is rot: taken from another mirror, or reported). Then opens a new
 * segment unless read-only.
 */
int log_open(struct drive_set *s, struct log **out, struct err *e);
/* threads false: nothing runs beside the caller, who does each step when he submits or collects:
 * for who only reads, and for simulated disks. */
int log_open_with(struct drive_set *s, bool threads, struct log **out, struct err *e);
/* waits for what is being written; what waits longer is dropped */
void log_close(struct log **l);

/* Every record with lsn > after, in order, from the best mirror; stops at the first error of each.
 * Records that come from a segment's footer have no data; their place tells where it is. */
int log_replay(struct log *l, uint64_t after, log_replay_fn *each, log_progress_fn *progress,
    void *context, struct err *e);
/*
 * The rows of the segments that hold records with lsn > after, in order, from malloc, each to be
 * freed; bytes and last_lsn of an open one are what is durable of it. From any thread.
 */
size_t log_segments_after(struct log *l, uint64_t after, Hf__CatalogSegment ***out);
uint64_t log_last_lsn(const struct log *l);	/* of the last committed record; 0: none */

/*
 * What a record may use of the reserve of the drives: each share leaves something to those behind
 * it, so whoever asks for more than there is, by mistake or on purpose, stops before he stops those
 * that give space back. In a segment that may be the last for a share, a part is left in the same
 * way.
 */
enum log_share {
	LOG_SHARE_NONE,		/* what makes data more: nothing */
	LOG_SHARE_SERVICE,	/* config and tasks: a quarter */
	LOG_SHARE_TASK,		/* tasks that vacuum, a few records for each segment: half */
	LOG_SHARE_DELETE,	/* deletes, aborts, sessions: all but two short segments */
	LOG_SHARE_MOVE,		/* vacuum's copies: all but one */
	LOG_SHARE_FREE,		/* what is the last step before space is free: all */
};
/* Whether a share has room for so much; the space is looked up again if it seems to have none. */
bool log_share_has_room(struct log *l, enum log_share share, uint64_t bytes);

/*
 * Queues a record (bytes are copied). *batch is the number of the batch that it will be committed
 * with: rises, never reused; a whole batch is committed together. ERR_FULL: it would take more of
 * the reserve than its share; ERR_READ_ONLY; ERR_BUSY: too much waits.
 */
int log_append(struct log *l, enum log_share share, uint16_t type, struct slice meta,
    struct slice data, void *cookie, uint64_t *batch, struct err *e);
/* Number of the batch that is forming now (or would be formed next). */
uint64_t log_forming_batch(const struct log *l);
/* End of a turn: hands the forming batch to the commit threads if none is in flight. */
void log_submit(struct log *l);

/* The current segment takes no more and is sealed, as soon as there is another; its id. 0: there is
 * no record in it, and nothing happens. */
uint64_t log_seal_early(struct log *l);
/* Drives came or were rebuilt: the keeper looks whether they can be ONLINE. */
void log_drives_changed(struct log *l);
/* A drive became slow: the log goes on in another segment, if there is one to be had without it. */
void log_drives_slow(struct log *l);

/* eventfd, readable when log_collect has something */
int log_wake_fd(const struct log *l);

struct log_commit {
	/* 0; or ERR_NO_QUORUM, ERR_READ_ONLY, ERR_FULL: not known to be durable, and nothing after
	 * it is; then the record has no content, and the log takes nothing more until it is opened
	 * again */
	int		 code;
	uint64_t	 batch;
	bool		 last_of_batch;
	void		*cookie;
	struct record	 record;	/* with its final LSN and place; borrowed until return */
};
typedef void log_commit_fn(void *context, const struct log_commit *c);
/* Delivers what was committed, in order; then submits the next batch. Returns how many. each may
 * append. */
unsigned log_collect(struct log *l, log_commit_fn *each, void *context);

struct log_stats {
	uint64_t	batches, records, bytes, waiting_records, waiting_bytes, degraded, segments;
	uint64_t	prewritten;	/* bytes that can be appended without metadata of files */
};
void log_stats(const struct log *l, struct log_stats *out);

/* What log_open found damaged in a mirror, though it had been acknowledged, and wrote anew from
 * another: the number of places; the first of them are kept. */
#define LOG_ROT_MAX 16
struct log_rot {
	uint64_t	segment, offset, bytes;
	unsigned	slot;
};
uint64_t log_rot(const struct log *l, struct log_rot out[LOG_ROT_MAX]);

#endif
