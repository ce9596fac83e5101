/*
 * disk_deadline - a disk whose every step has a deadline: it is done on a thread of its own, and a
 * caller whose step is overdue goes on without it, with ERR_TIMEOUT. So a drive that hangs (and
 * does not fail) costs a caller the deadline once, and then nothing: while a step of a drive is
 * overdue, further ones on it are refused at once.
 *
 * Q1  A step that was given up touches nothing of its caller's: it works on copies, which belong to
 *     its thread from then on, or on memory that stays until it came back (disk_kept.h). If it ever
 *     comes back, what it opened is closed again.
 * Q2  Drives are told apart by their roots: the directories in which a file named `drive` was
 *     opened.
 * Q3  A handle is closed after the last step that hangs on it came back: until then its number must
 *     not become another file's.
 * Q4  A file that a link leads to is on the drive to which it leads: one that is retired and hangs
 *     costs the files that are still on it, and not the drive that takes over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DISK_DEADLINE_H
#define HF_STORE_DISK_DEADLINE_H

#include "libstore/disk/disk.h"
#include "libstore/disk/disk_kept.h"

#define DISK_WRITE_IOV_MAX 4

/* under must outlive it, and its handles are those of `under`: see struct disk, direct. */
struct disk *disk_deadline_new(struct disk *under, unsigned deadline_ms);
/* Before the first step: what changes something, opens for it and syncs have this deadline, which
 * is longer; and are refused only while one of them is overdue. */
void disk_deadline_writes(struct disk *d, unsigned write_ms);
/* Opens several files, each by its deadline, side by side. A handle, or an error and why. */
struct disk_open {
	const char	*path;
	int		 flags, handle;
	struct err	 why;
};
void disk_deadline_open_all(struct disk *d, struct disk_open *opens, unsigned count);
/*
 * pwritev_begin, each by the deadline of writes and without copies, one after another on one
 * thread; but what takes long waits by itself, while the others go on. So several drives that hang
 * cost one deadline. Each has its result in rc and why. *kept: NULL, or some hang, and what their
 * iov point to must neither change nor be freed but by disk_kept_add.
 */
struct disk_write {
	int		 handle;
	struct iovec	 iov[DISK_WRITE_IOV_MAX];
	unsigned	 iov_count;
	uint64_t	 offset;
	int		 rc;
	struct err	 why;
	uint64_t	 took_ns;
};
/* One of them at once, without a deadline. */
void disk_write_do(struct disk *under, struct disk_write *w);
void disk_deadline_write_all(struct disk *d, struct disk_write *writes, unsigned count,
    struct disk_kept **kept);
/* What hangs in the kernel stays behind, with its memory, until the process ends. */
void disk_deadline_free(struct disk **d);
/* Steps that are overdue now. */
unsigned disk_deadline_hung(struct disk *d);
/* What is below this path is of one drive, though nobody opens its `drive` here. */
void disk_deadline_root(struct disk *d, const char *path);
/* Whether steps on the drive of a path are refused, because one is overdue. */
bool disk_deadline_refuses(struct disk *d, const char *path);

#endif
