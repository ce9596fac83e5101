/*
 * view - a stopped store, looked at without changing it: drives locked, catalogs read, the log as
 * recovery would find it, and a copy of the index.
 *
 * W1  Nothing is ever written to a drive: everything goes through a disk that refuses to.
 * W2  The live index is not touched either: RocksDB opens a copy (hard links of its immutable
 *     files) in a directory of our own, which view_close removes.
 * W3  While a view is open no store can start on these drives, and none was running before.
 *
 * Of a store that runs (options.live) nothing is locked: W1 and W2 hold, W3 does not, and what the
 * catalog says is as of view_open or the last view_refresh.
 *
 * What is wrong with a store is check.c's business; a view opens as much as can be opened.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_VIEW_H
#define HF_STORE_VIEW_H

#include "libstore/log/log.h"
#include "libstore/state/state.h"

struct view_options {
	struct disk		*disk;
	const char *const	*paths;		/* in slot order */
	unsigned		 count;
	const char		*index_dir;
	const char		*temp_dir;	/* NULL: beside the index, so that links work */
	uint64_t		 cache_bytes;
	const volatile bool	*cancel;	/* may be NULL */
	bool			 live;		/* the store may run */
	uint64_t		 bytes_per_second;	/* of the drives; 0: no limit */
};

/* What stands in a slot's path. */
struct view_drive {
	bool		 present;	/* locked, and its drive file is whole */
	int		 catalog_code;	/* 0: read; else why not, in catalog_why */
	uint64_t	 epoch;		/* of its catalog */
	bool		 behind, disagrees;	/* lower epoch; same epoch and other rows */
	bool		 torn;		/* bytes behind the last whole change */
	uint64_t	 catalog_end;	/* where the last whole change ends */
	char		 why[480];	/* not present */
	char		 catalog_why[480];
	uint64_t	 created_ms;
};

struct view {
	struct drive_set	*set;		/* read-only; the winning catalog's rows */
	struct view_drive	 drives[DRIVES_MAX];
	struct log		*log;		/* NULL: view_log_open failed or was not called */
	struct index		*index;		/* the live one's copy, replayed to the log's end */
	struct index		*rebuilt;	/* from the log alone */
	struct state_recovery	 recovery;	/* of the copy: rebuilt says that it was unusable */
	bool			 index_missing;	/* there was no index at all */
	uint64_t		 index_applied;	/* LSN that the live index was at */
	const struct view_options *o;
	char			 temp_dir[4096];
	char			 copy_dir[4200], rebuilt_dir[4200];
};

/*
 * Locks every drive that is there and reads the catalogs. ERR_LOCKED names who holds a drive;
 * ERR_VERSION: a newer program wrote it; ERR_INVALID: drives that do not belong together;
 * ERR_NOT_FOUND: no drive at all; ERR_CORRUPT: no catalog can be read. options must outlive it.
 */
int view_open(const struct view_options *options, struct view **out, struct err *e);
void view_close(struct view **v);
/* The log up to its end, as a start would find it. */
int view_log_open(struct view *v, struct err *e);
/* A copy of the live index, brought to the log's end if the log is open. Without a usable one it is
 * built from the log; see recovery, index_missing. */
int view_index_open(struct view *v, log_progress_fn *progress, void *context, struct err *e);
/*
 * For a store that runs. Catalogs as they are now: rows of before are gone. A change that is being
 * written is waited for, for half a second.
 */
int view_refresh(struct view *v, struct err *e);
/* Another index to look at: a checkpoint that nobody writes. */
int view_index_live(struct view *v, const char *directory, struct err *e);
/* As view_index_rebuild, from records up to an LSN; opens the log for that, and closes it. */
int view_index_rebuild_upto(struct view *v, uint64_t lsn, log_progress_fn *progress,
    void *context, struct err *e);
/* An index from the log alone, beside the copy. */
int view_index_rebuild(struct view *v, log_progress_fn *progress, void *context, struct err *e);

#endif
