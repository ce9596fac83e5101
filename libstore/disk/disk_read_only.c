/*
 * disk_read_only - passes reads and locks on, refuses the rest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/disk/disk_read_only.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "libbase/clock.h"

struct guard {
	struct disk	 disk;
	struct disk	*under;
	uint64_t	 bytes_per_second;
	const volatile bool *cancel;
	uint64_t	 free_ms;		/* what was read is paid for then */
	uint64_t	 unpaid;		/* bytes of less than a millisecond */
};

#define PAUSE_MS	50u
#define AHEAD_MS	20u		/* small reads wait together */

static struct disk *
under(struct disk *d)
{
	return (((struct guard *)d)->under);
}

static int
refuse(struct err *e, const char *what)
{
	return (err_set(e, ERR_READ_ONLY, "cannot %s: the store is only looked at", what));
}

static int
guard_open(struct disk *d, const char *path, int flags, struct err *e)
{
	if (flags & (O_CREAT | O_TRUNC))
		return (refuse(e, "make a file"));
	return (under(d)->ops->open(under(d), path, (flags & ~O_ACCMODE) | O_RDONLY, e));
}

static void
guard_close(struct disk *d, int handle)
{
	under(d)->ops->close(under(d), handle);
}

static void
guard_pay(struct guard *g, uint64_t bytes)
{
	uint64_t now = clock_mono_ms();

	g->unpaid += bytes * 1000;
	if (g->free_ms < now)
		g->free_ms = now;
	g->free_ms += g->unpaid / g->bytes_per_second;
	g->unpaid %= g->bytes_per_second;
	while (g->free_ms > now + AHEAD_MS && (g->cancel == NULL || !*g->cancel)) {
		uint64_t ms = g->free_ms - now < PAUSE_MS ? g->free_ms - now : PAUSE_MS;

		nanosleep(&(struct timespec){ 0, (long)ms * 1000000 }, NULL);
		now = clock_mono_ms();
	}
}

static ssize_t
guard_pread(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	struct guard *g = (struct guard *)d;

	if (g->bytes_per_second > 0)
		guard_pay(g, bytes);
	return (under(d)->ops->pread(under(d), handle, out, bytes, offset, e));
}

static int
guard_pwritev(struct disk *d, int handle, const struct iovec *iov, int iov_count, uint64_t offset,
    struct err *e)
{
	(void)d;
	(void)handle;
	(void)iov;
	(void)iov_count;
	(void)offset;
	return (refuse(e, "write"));
}

static int
guard_datasync(struct disk *d, int handle, struct err *e)
{
	(void)d;
	(void)handle;
	(void)e;
	return (0);
}

static int
guard_size(struct disk *d, int handle, uint64_t *out, struct err *e)
{
	return (under(d)->ops->size(under(d), handle, out, e));
}

static int
guard_truncate(struct disk *d, int handle, uint64_t bytes, struct err *e)
{
	(void)d;
	(void)handle;
	(void)bytes;
	return (refuse(e, "truncate"));
}

static int
guard_range(struct disk *d, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	(void)d;
	(void)handle;
	(void)offset;
	(void)bytes;
	return (refuse(e, "allocate or punch"));
}

static int
guard_lock(struct disk *d, int handle, struct err *e)
{
	return (under(d)->ops->lock(under(d), handle, e));
}

static int
guard_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
	(void)d;
	(void)from;
	(void)to;
	return (refuse(e, "rename"));
}

static int
guard_unlink(struct disk *d, const char *path, struct err *e)
{
	(void)d;
	(void)path;
	return (refuse(e, "remove a file"));
}

static int
guard_symlink(struct disk *d, const char *target, const char *path, struct err *e)
{
	(void)d;
	(void)target;
	(void)path;
	return (refuse(e, "make a link"));
}

static int
guard_readlink(struct disk *d, const char *path, char *out, size_t bytes, struct err *e)
{
	return (under(d)->ops->readlink(under(d), path, out, bytes, e));
}

static int
guard_mkdir(struct disk *d, const char *path, struct err *e)
{
	(void)d;
	(void)path;
	return (refuse(e, "make a directory"));
}

static int
guard_sync_dir(struct disk *d, const char *path, struct err *e)
{
	(void)d;
	(void)path;
	(void)e;
	return (0);
}

static int
guard_list(struct disk *d, const char *path, disk_list_fn *each, void *context, struct err *e)
{
	return (under(d)->ops->list(under(d), path, each, context, e));
}

static int
guard_space(struct disk *d, const char *path, struct disk_space *out, struct err *e)
{
	return (under(d)->ops->space(under(d), path, out, e));
}

static bool
guard_same(struct disk *d, int handle, const char *path)
{
	return (under(d)->ops->same(under(d), handle, path));
}

static const struct disk_ops guard_ops = {
	.open = guard_open,
	.close = guard_close,
	.pread = guard_pread,
	.pwritev = guard_pwritev,
	.pwritev_sync = guard_pwritev,
	.datasync = guard_datasync,
	.size = guard_size,
	.truncate = guard_truncate,
	.allocate = guard_range,
	.punch = guard_range,
	.lock = guard_lock,
	.rename = guard_rename,
	.unlink = guard_unlink,
	.symlink = guard_symlink,
	.readlink = guard_readlink,
	.mkdir = guard_mkdir,
	.sync_dir = guard_sync_dir,
	.list = guard_list,
	.space = guard_space,
	.same = guard_same,
};

struct disk *
disk_read_only_new(struct disk *d)
{
	struct guard *g = calloc(1, sizeof(*g));

	assert(g != NULL);
	g->disk.ops = &guard_ops;
	g->under = d;
	return (&g->disk);
}

void
disk_read_only_limit(struct disk *d, uint64_t bytes_per_second, const volatile bool *cancel)
{
	struct guard *g = (struct guard *)d;

	g->bytes_per_second = bytes_per_second;
	g->cancel = cancel;
}
