/*
 * disk_step - one step on a disk, with copies of all that it needs and what comes out of it: so it
 * can be done by a thread whose caller has gone on without it (Q1 of disk_deadline.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DISK_STEP_H
#define HF_STORE_DISK_STEP_H

#include "libbase/buf.h"
#include "libstore/disk/disk.h"

struct step;
typedef void step_fn(struct disk *under, struct step *s);

struct disk_kept;
struct disk_write;

struct step {
	step_fn		*run;
	struct step	*next;
	unsigned	 root;
	bool		 done, abandoned, alone;	/* alone: nobody waits */
	bool		 close_after;	/* its handle, when it comes back */
	/* Copies of what it needs, and what comes out. */
	char		*path, *to;
	int		 handle, flags;
	uint8_t		*data;
	bool		 lent;		/* data is not the step's */
	size_t		 bytes;
	uint64_t	 offset, length;
	struct disk_space space;
	struct buf	 names;			/* each with its zero */
	/* Of several writes: its own rows, whose memory is kept; which is done now, since when. */
	struct disk_write *writes;
	unsigned	 write_at, write_count;
	uint64_t	 write_ms;
	struct disk_kept *kept;
	ssize_t		 rc;
	struct err	 e;
};

/* path may be NULL; to is set by the caller, and freed. */
struct step *step_new(step_fn *run, const char *path, int handle);
void step_memory(struct step *s, size_t bytes);		/* data, aligned */
/* data of what is written: a copy, or the zeros that are there for ever. */
void step_take(struct step *s, const struct iovec *iov, int count);
void step_free(struct step *s);

/* What a step does, by the operation of struct disk_ops. */
step_fn step_run_open, step_run_close, step_run_pread, step_run_pwrite, step_run_pwrite_begin,
    step_run_pwrite_sync, step_run_datasync, step_run_size, step_run_truncate, step_run_allocate,
    step_run_punch, step_run_lock, step_run_rename, step_run_unlink, step_run_symlink,
    step_run_readlink, step_run_mkdir, step_run_sync_dir, step_run_list, step_run_space,
    step_run_same;

#endif
