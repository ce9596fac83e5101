/*
 * disk_posix - struct disk over the kernel's files. Stateless: a handle is a file descriptor.
 *
 * A descriptor does not know its path, so sentences of descriptor calls name the path that the
 * kernel has for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/disk/disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char *
handle_path(int handle, char out[PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
	n = readlink(link, out, PATH_MAX - 1);
	if (n < 0)
		return ("?");
	out[n] = '\0';
	return (out);
}

static int
handle_error(struct err *e, int error, int handle, const char *what)
{
	char path[PATH_MAX];

	return (err_errno(e, error, "%s %s", what, handle_path(handle, path)));
}

static int
posix_open(struct disk *d, const char *path, int flags, struct err *e)
{
	int fd;

	(void)d;
	fd = open(path, flags | O_CLOEXEC, 0640);
	if (fd < 0)
		return (err_errno(e, errno, "open %s", path));
	return (fd);
}

static void
posix_close(struct disk *d, int handle)
{
	(void)d;
	assert(handle >= 0);
	close(handle);
}

static ssize_t
posix_pread(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	size_t done = 0;
	ssize_t n;

	(void)d;
	while (done < bytes) {
		n = pread(handle, (uint8_t *)out + done, bytes - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (handle_error(e, errno, handle, "read"));
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return ((ssize_t)done);
}

/* Drops the first n bytes of v; returns how many of count are left. */
static int
iov_consume(struct iovec *v, int count, size_t n)
{
	int i = 0;

	while (i < count && n >= v[i].iov_len)
		n -= v[i++].iov_len;
	if (i < count) {
		v[i].iov_base = (uint8_t *)v[i].iov_base + n;
		v[i].iov_len -= n;
	}
	memmove(v, v + i, (size_t)(count - i) * sizeof(*v));
	return (count - i);
}

static int
handle_pwritev(int handle, const struct iovec *iov, int iov_count, uint64_t offset, int flags,
    struct err *e)
{
	struct iovec v[64];
	ssize_t n;
	int taken, left;

	while (iov_count > 0) {
		taken = iov_count < 64 ? iov_count : 64;
		memcpy(v, iov, (size_t)taken * sizeof(*v));
		iov += taken;
		iov_count -= taken;
		left = iov_consume(v, taken, 0);
		while (left > 0) {
			n = pwritev2(handle, v, left, (off_t)offset, flags);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return (handle_error(e, errno, handle, "write"));
			if (n == 0)
				return (handle_error(e, EIO, handle, "write (nothing was taken)"));
			offset += (uint64_t)n;
			left = iov_consume(v, left, (size_t)n);
		}
	}
	return (0);
}

static int
posix_pwritev(struct disk *d, int handle, const struct iovec *iov, int iov_count, uint64_t offset,
    struct err *e)
{
	(void)d;
	return (handle_pwritev(handle, iov, iov_count, offset, 0, e));
}

static int
posix_pwritev_begin(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e)
{
	int rc = d->ops->pwritev(d, handle, iov, iov_count, offset, e);
	off_t bytes = 0;

	for (int i = 0; i < iov_count; i++)
		bytes += (off_t)iov[i].iov_len;
	if (rc == 0)
		(void)sync_file_range(handle, (off_t)offset, bytes, SYNC_FILE_RANGE_WRITE);
	return (rc);
}

/* One call instead of two: the kernel writes these pages back and flushes the drive. */
static int
posix_pwritev_sync(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e)
{
	int rc;

	rc = handle_pwritev(handle, iov, iov_count, offset, RWF_DSYNC, e);
	if (rc == ERR_UNSUPPORTED) {
		rc = handle_pwritev(handle, iov, iov_count, offset, 0, e);
		if (rc == 0)
			rc = d->ops->datasync(d, handle, e);
	}
	return (rc);
}

static int
posix_datasync(struct disk *d, int handle, struct err *e)
{
	(void)d;
	if (fdatasync(handle) < 0)
		return (handle_error(e, errno, handle, "fdatasync"));
	return (0);
}

static int
posix_size(struct disk *d, int handle, uint64_t *out, struct err *e)
{
	struct stat st;

	(void)d;
	if (fstat(handle, &st) < 0)
		return (handle_error(e, errno, handle, "stat"));
	*out = (uint64_t)st.st_size;
	return (0);
}

static int
posix_truncate(struct disk *d, int handle, uint64_t bytes, struct err *e)
{
	(void)d;
	if (ftruncate(handle, (off_t)bytes) < 0)
		return (handle_error(e, errno, handle, "truncate"));
	return (0);
}

static int
handle_fallocate(
    int handle, int mode, uint64_t offset, uint64_t bytes, const char *what, struct err *e)
{
	int rc;

	do
		rc = fallocate(handle, mode, (off_t)offset, (off_t)bytes);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return (handle_error(e, errno, handle, what));
	return (0);
}

static int
posix_allocate(struct disk *d, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	(void)d;
	return (handle_fallocate(handle, 0, offset, bytes, "allocate", e));
}

static int
posix_punch(struct disk *d, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	(void)d;
	return (handle_fallocate(
	    handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes, "punch", e));
}

static int
posix_lock(struct disk *d, int handle, struct err *e)
{
	char path[PATH_MAX];

	(void)d;
	if (flock(handle, LOCK_EX | LOCK_NB) == 0)
		return (0);
	if (errno == EWOULDBLOCK)
		return (err_set(
		    e, ERR_LOCKED, "%s is locked by another process", handle_path(handle, path)));
	return (handle_error(e, errno, handle, "lock"));
}

static int
posix_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
	(void)d;
	if (rename(from, to) < 0)
		return (err_errno(e, errno, "rename %s to %s", from, to));
	return (0);
}

static int
posix_unlink(struct disk *d, const char *path, struct err *e)
{
	(void)d;
	if (unlink(path) < 0)
		return (err_errno(e, errno, "unlink %s", path));
	return (0);
}

static int
posix_symlink(struct disk *d, const char *target, const char *path, struct err *e)
{
	(void)d;
	if (symlink(target, path) < 0)
		return (err_errno(e, errno, "link %s to %s", path, target));
	return (0);
}

static int
posix_readlink(struct disk *d, const char *path, char *out, size_t bytes, struct err *e)
{
	ssize_t n = readlink(path, out, bytes);

	(void)d;
	if (n < 0 && errno == EINVAL)
		return (err_set(e, ERR_INVALID, "%s is no link", path));
	if (n < 0)
		return (err_errno(e, errno, "read the link %s", path));
	if ((size_t)n == bytes)
		return (err_set(e, ERR_TOO_LARGE, "%s links to a path that is too long", path));
	out[n] = '\0';
	return (0);
}

static int
posix_mkdir(struct disk *d, const char *path, struct err *e)
{
	(void)d;
	if (mkdir(path, 0750) < 0 && errno != EEXIST)
		return (err_errno(e, errno, "mkdir %s", path));
	return (0);
}

static int
posix_sync_dir(struct disk *d, const char *path, struct err *e)
{
	int fd, rc = 0;

	(void)d;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return (err_errno(e, errno, "open directory %s", path));
	if (fsync(fd) < 0)
		rc = err_errno(e, errno, "fsync of directory %s", path);
	close(fd);
	return (rc);
}

static int
posix_list(struct disk *d, const char *path, disk_list_fn *each, void *context, struct err *e)
{
	struct dirent *entry;
	DIR *dir;
	int rc = 0;

	(void)d;
	dir = opendir(path);
	if (dir == NULL)
		return (err_errno(e, errno, "open directory %s", path));
	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			each(context, entry->d_name);
	if (errno != 0)
		rc = err_errno(e, errno, "read directory %s", path);
	closedir(dir);
	return (rc);
}

static bool
sector_read(const char *path, uint32_t *out)
{
	char text[32];
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (false);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return (false);
	text[n] = '\0';
	*out = (uint32_t)strtoul(text, NULL, 10);
	return (*out > 0);
}

/* Physical block of the device below; a file system without one (tmpfs, overlay) counts as 4096. */
static uint32_t
sector_bytes(dev_t device)
{
	char path[96];
	uint32_t n;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/physical_block_size",
	    major(device), minor(device));
	if (!sector_read(path, &n)) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../queue/physical_block_size",
		    major(device), minor(device));
		if (!sector_read(path, &n))
			return (4096);
	}
	return (n < 512 ? 512 : n > 4096 ? 4096 : n);
}

/* A line of mountinfo is of this device, and its file system went read-only after an error. */
static bool
mount_stopped(const char *line, dev_t device)
{
	const char *options = strstr(line, " - ");
	unsigned a, b;

	if (options == NULL || sscanf(line, "%*u %*u %u:%u", &a, &b) != 2 || a != major(device) ||
	    b != minor(device))
		return (false);
	options = strrchr(options, ' ');
	return (strstr(options, ",emergency_ro") != NULL);
}

/* ext4 that stops after an error says so in its options only: statvfs has it as writable. */
static bool
filesystem_stopped(dev_t device)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool stopped = false;
	char *line = NULL;
	size_t bytes = 0;

	while (f != NULL && !stopped && getline(&line, &bytes, f) > 0)
		stopped = mount_stopped(line, device);
	free(line);
	if (f != NULL)
		fclose(f);
	return (stopped);
}

static int
posix_space(struct disk *d, const char *path, struct disk_space *out, struct err *e)
{
	struct statvfs v;
	struct stat st;

	(void)d;
	if (statvfs(path, &v) < 0 || stat(path, &st) < 0)
		return (err_errno(e, errno, "statvfs %s", path));
	out->total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	out->free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	out->filesystem = (uint64_t)st.st_dev;
	out->sector_bytes = sector_bytes(st.st_dev);
	out->read_only = (v.f_flag & ST_RDONLY) != 0 || filesystem_stopped(st.st_dev);
	return (0);
}

static bool
posix_same(struct disk *d, int handle, const char *path)
{
	struct stat a, b;

	(void)d;
	return (fstat(handle, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
		a.st_ino == b.st_ino);
}

static const struct disk_ops posix_ops = {
	.open = posix_open,
	.close = posix_close,
	.pread = posix_pread,
	.pwritev = posix_pwritev,
	.pwritev_begin = posix_pwritev_begin,
	.pwritev_sync = posix_pwritev_sync,
	.datasync = posix_datasync,
	.size = posix_size,
	.truncate = posix_truncate,
	.allocate = posix_allocate,
	.punch = posix_punch,
	.lock = posix_lock,
	.rename = posix_rename,
	.unlink = posix_unlink,
	.symlink = posix_symlink,
	.readlink = posix_readlink,
	.mkdir = posix_mkdir,
	.sync_dir = posix_sync_dir,
	.list = posix_list,
	.space = posix_space,
	.same = posix_same,
};

struct disk *
disk_posix(void)
{
	static struct disk posix = { .ops = &posix_ops };

	return (&posix);
}
