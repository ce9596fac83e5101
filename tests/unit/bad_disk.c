/*
 * bad_disk - a disk that fails, or hangs, on demand (bad_disk.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/bad_disk.h"

#include <stdio.h>
#include <string.h>

struct bad bad = { .lock = PTHREAD_MUTEX_INITIALIZER, .unhang = PTHREAD_COND_INITIALIZER };

static bool
bad_handle(const char **below, int handle)
{
	const char *path;
	bool is;

	pthread_mutex_lock(&bad.lock);
	path = *below;
	is = path != NULL && handle < 4096 && strncmp(bad.paths[handle], path, strlen(path)) == 0;
	pthread_mutex_unlock(&bad.lock);
	return (is);
}

void
bad_reads_fail(const char *below)
{
	pthread_mutex_lock(&bad.lock);
	bad.read_path = below;
	pthread_mutex_unlock(&bad.lock);
}

static int
bad_open(struct disk *d, const char *path, int flags, struct err *e)
{
	int handle = disk_posix()->ops->open(disk_posix(), path, flags, e);

	(void)d;
	pthread_mutex_lock(&bad.lock);
	if (handle >= 0 && handle < 4096)
		snprintf(bad.paths[handle], sizeof(bad.paths[0]), "%s", path);
	pthread_mutex_unlock(&bad.lock);
	return (handle);
}

static void
bad_close(struct disk *d, int handle)
{
	(void)d;
	disk_posix()->ops->close(disk_posix(), handle);
}

static void
bad_hang(const char **below, int handle)
{
	if (!bad_handle(below, handle))
		return;
	pthread_mutex_lock(&bad.lock);
	bad.hanging++;
	bad.hung_reads++;
	while (*below != NULL)
		pthread_cond_wait(&bad.unhang, &bad.lock);
	bad.hanging--;
	pthread_cond_broadcast(&bad.unhang);
	pthread_mutex_unlock(&bad.lock);
}

void
bad_reads_hang(const char *below, const char *too)
{
	pthread_mutex_lock(&bad.lock);
	bad.hang_path = below;
	bad.hang_path_too = too;
	pthread_cond_broadcast(&bad.unhang);
	while (below == NULL && bad.hanging > 0)
		pthread_cond_wait(&bad.unhang, &bad.lock);
	pthread_mutex_unlock(&bad.lock);
}

void
bad_writes_hang(const char *writes, const char *syncs)
{
	pthread_mutex_lock(&bad.lock);
	bad.hang_writes = writes;
	bad.hang_writes_too = NULL;
	bad.hang_syncs = syncs;
	pthread_cond_broadcast(&bad.unhang);
	while (writes == NULL && syncs == NULL && bad.hanging > 0)
		pthread_cond_wait(&bad.unhang, &bad.lock);
	pthread_mutex_unlock(&bad.lock);
}

static ssize_t
bad_pread(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	(void)d;
	if (bad_handle(&bad.read_path, handle))
		return (err_set(e, ERR_IO, "read: this disk is bad"));
	bad_hang(&bad.hang_path, handle);
	bad_hang(&bad.hang_path_too, handle);
	return (disk_posix()->ops->pread(disk_posix(), handle, out, bytes, offset, e));
}

static int
bad_pwritev(struct disk *d, int handle, const struct iovec *iov, int n, uint64_t offset,
    struct err *e)
{
	(void)d;
	__atomic_add_fetch(&bad.writes, 1, __ATOMIC_RELAXED);
	if (bad_handle(&bad.write_path, handle))
		return (err_set(e, bad.code, "write: this disk is bad"));
	bad_hang(&bad.hang_writes, handle);
	bad_hang(&bad.hang_writes_too, handle);
	return (disk_posix()->ops->pwritev(disk_posix(), handle, iov, n, offset, e));
}

static int
bad_datasync(struct disk *d, int handle, struct err *e)
{
	(void)d;
	__atomic_add_fetch(&bad.syncs, 1, __ATOMIC_RELAXED);
	if (bad_handle(&bad.sync_path, handle)) {
		if (bad.sync_once)
			bad.sync_path = NULL;
		return (err_set(e, ERR_IO, "sync: this disk is bad"));
	}
	bad_hang(&bad.hang_syncs, handle);
	return (disk_posix()->ops->datasync(disk_posix(), handle, e));
}

static int
bad_readlink(struct disk *d, const char *path, char *out, size_t bytes, struct err *e)
{
	(void)d;
	return (disk_posix()->ops->readlink(disk_posix(), path, out, bytes, e));
}

static const struct disk_ops bad_ops = {
	.open = bad_open, .close = bad_close, .pread = bad_pread, .pwritev = bad_pwritev,
	.datasync = bad_datasync, .readlink = bad_readlink,
};
struct disk bad_disk = { .ops = &bad_ops };
