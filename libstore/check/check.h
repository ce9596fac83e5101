/*
 * check - reads everything that a store has and names every fault; of one that is stopped, or of
 * one that runs.
 *
 *   drives and catalogs ─► mirrors of the log ─► index against the log ─► objects, parts, extents
 *
 * C1  Nothing is written to the drives (view.h).
 * C2  Memory is bounded: rows are walked, damaged stretches are remembered up to a limit.
 * C3  What is there more than once is compared, what can be computed is computed again.
 * C4  Of a store that runs (check_live.c) only a fault that is there although nothing changed
 *     meanwhile is told: what was dropped, moved or deleted since is no fault.
 *
 * Repairing is not done here: a start brings mirrors and catalogs up to date by itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CHECK_H
#define HF_STORE_CHECK_H

#include "libstore/check/view.h"

enum check_severity {
	CHECK_HARMLESS,		/* nothing depends on it; the next start puts it right or away */
	CHECK_DEGRADED,		/* fewer copies than there should be, all bytes are there */
	CHECK_LOST,		/* bytes that were acknowledged cannot be read any more */
	CHECK_SEVERITIES,
};

struct check_fault {
	enum check_severity	 severity;
	const char		*kind;		/* "segment", "unit", ...: what is at fault */
	int			 slot;		/* -1: of no single drive */
	const char		*path;		/* the file; NULL: none */
	bool			 has_offset;
	uint64_t		 offset;
	const char		*owner;		/* "bucket/key", NULL: not known or of none */
	const char		*text;		/* what was expected, what was found */
};

typedef void check_fault_fn(void *context, const struct check_fault *f);
typedef void check_progress_fn(void *context, const char *step, uint64_t done, uint64_t total);

/* What a check of a store that runs asks of it. */
struct check_live {
	/* A new checkpoint of the index, and its LSN; the one of before is let go. */
	int	(*walk)(void *context, char directory[4096], uint64_t *lsn, struct err *e);
	/* Now and then: it is still needed. ERR_STALE: it is gone. */
	int	(*keep)(void *context, struct err *e);
	uint64_t keep_ms;		/* how often; 0: every 10 seconds */
	void	*context;
};

struct check_options {
	struct view_options	 view;		/* live: the store may run, and `live' is there */
	const struct check_live	*live;
	check_fault_fn		*on_fault;
	check_progress_fn	*on_progress;	/* bytes; may be NULL */
	void			*context;
};

struct check_summary {
	uint64_t	faults[CHECK_SEVERITIES];
	uint64_t	drives, catalogs, segments, mirrors, segment_shards;
	uint64_t	batches, records, log_bytes;
	uint64_t	index_rows, replayed;
	uint64_t	buckets, objects, uploads, parts, places, extents, units, unit_bytes;
	uint64_t	tasks;
	uint64_t	volumes, shard_files, quarantined;
	uint64_t	index_copies, index_copy_bytes;
	uint64_t	looked_again;	/* because it changed while it was read */
	bool		complete;	/* false: a step could not be done; a fault says which */
};

/* 0 when it could be carried through, whatever was found; else as view_open, or ERR_CANCELLED. */
int check_run(const struct check_options *o, struct check_summary *out, struct err *e);
const char *check_severity_name(enum check_severity severity);

#endif
