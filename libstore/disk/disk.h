/*
 * disk - the one interface through which everything of ours on a drive is read and written, so that
 * a simulated disk can lose, tear, reorder and refuse each step. disk_posix() is the real one.
 * RocksDB's files are outside of it: the index can be rebuilt.
 *
 * Every function returns 0 (or a count) or ERR_* with a sentence that names the path. Handles are
 * small integers of the disk (file descriptors for the real one). Functions may be called from any
 * thread. Short reads happen at the end of a file only; a short write is an error. A failed
 * datasync is final: the caller must not try again on that file (bytes may be gone from the page
 * cache).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DISK_H
#define HF_STORE_DISK_H

#include <sys/types.h>
#include <sys/uio.h>

#include "libbase/bytes.h"
#include "libbase/err.h"

struct disk;
typedef void disk_list_fn(void *context, const char *name);

/* A page-aligned stretch of zeros, there for ever: whoever writes of it needs no copy. */
#define DISK_ZEROS_BYTES	(4u * 1024 * 1024)
void *disk_zeros(void);

struct disk_space {
	uint64_t	total_bytes, free_bytes;
	uint64_t	filesystem;		/* equal for drives that share one (st_dev) */
	uint32_t	sector_bytes;		/* physical block to align batches to: 512..4096 */
	bool		read_only;		/* mounted so, or since an error */
};

struct disk_ops {
	/* flags as open(2): O_RDONLY or O_RDWR, O_CREAT, O_EXCL, O_DIRECT. Returns a handle >=
	 * 0. */
	int	(*open)(struct disk *d, const char *path, int flags, struct err *e);
	void	(*close)(struct disk *d, int handle);
	ssize_t	(*pread)(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset,
	    struct err *e);
	int	(*pwritev)(struct disk *d, int handle, const struct iovec *iov, int iov_count,
		    uint64_t offset, struct err *e);
	/* pwritev, and the drive begins with it now, if that can be had: a hint, which the sync
	 * tells the errors of. NULL: pwritev does. */
	int	(*pwritev_begin)(struct disk *d, int handle, const struct iovec *iov, int iov_count,
		    uint64_t offset, struct err *e);
	/* pwritev that returns when these bytes are durable; says nothing of other writes. A
	 * failure is as final as that of datasync. */
	int	(*pwritev_sync)(struct disk *d, int handle, const struct iovec *iov, int iov_count,
		    uint64_t offset, struct err *e);
	int	(*datasync)(struct disk *d, int handle, struct err *e);
	int	(*size)(struct disk *d, int handle, uint64_t *out, struct err *e);
	int	(*truncate)(struct disk *d, int handle, uint64_t bytes, struct err *e);
	/* Room that later writes find; the file is at least as long then. punch: a hole, which
	 * reads as zeros; the length stays. */
	int	(*allocate)(struct disk *d, int handle, uint64_t offset, uint64_t bytes,
	    struct err *e);
	int	(*punch)(struct disk *d, int handle, uint64_t offset, uint64_t bytes,
	    struct err *e);
	/* Exclusive whole-file lock held until close; ERR_LOCKED. */
	int	(*lock)(struct disk *d, int handle, struct err *e);
	/* In place of what is at `to'; durable, as all changes of names, after sync_dir. */
	int	(*rename)(struct disk *d, const char *from, const char *to, struct err *e);
	int	(*unlink)(struct disk *d, const char *path, struct err *e);	/* ERR_NOT_FOUND */
	/* A symbolic link at path; ERR_EXISTS. Whoever opens path gets the file at target. */
	int	(*symlink)(struct disk *d, const char *target, const char *path, struct err *e);
	/* ERR_NOT_FOUND: nothing is there; ERR_INVALID: no link; ERR_TOO_LARGE. */
	int	(*readlink)(struct disk *d, const char *path, char *out, size_t bytes,
	    struct err *e);
	/* existing is fine */
	int	(*mkdir)(struct disk *d, const char *path, struct err *e);
	int	(*sync_dir)(struct disk *d, const char *path, struct err *e);
	/* Every name but . and .., in no order; borrowed until each returns. */
	int	(*list)(struct disk *d, const char *path, disk_list_fn *each, void *context,
	    struct err *e);
	int	(*space)(struct disk *d, const char *path, struct disk_space *out, struct err *e);
	/* True if path still is what handle is (device and inode): false after a lazy unmount. */
	bool	(*same)(struct disk *d, int handle, const char *path);
};

struct disk {
	const struct disk_ops	*ops;
	/* The same handles without deadlines, for who has its own; NULL: this one. */
	struct disk		*direct;
};

struct disk *disk_posix(void);		/* static, never freed */
/* pwritev_begin, or pwritev. */
int disk_pwritev_begin(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e);

#endif
