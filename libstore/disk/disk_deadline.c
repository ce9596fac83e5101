/*
 * disk_deadline - see disk_deadline.h: the disk, whose steps the crew does
 * (disk_deadline_crew.c), and which drive each of them is on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/disk/disk_deadline_internal.h"

#include <assert.h>
#include <stdlib.h>

/* --- which drive ------------------------------------------------------------------------------ */

static unsigned
root_known(const struct deadline *d, const char *path)
{
	unsigned found = ROOTS_MAX;
	size_t longest = 0;

	for (unsigned i = 0; i < d->root_count; i++) {
		size_t n = strlen(d->roots[i]);

		if (n > longest && strncmp(path, d->roots[i], n) == 0 &&
		    (path[n] == '/' || path[n] == '\0')) {
			found = i;
			longest = n;
		}
	}
	return (found);
}

/* With lock. */
static unsigned
root_add(struct deadline *d, const char *path, size_t bytes)
{
	if (d->root_count == ROOTS_MAX)
		return (ROOTS_MAX);
	d->roots[d->root_count] = strndup(path, bytes);
	assert(d->roots[d->root_count] != NULL);
	return (d->root_count++);
}

unsigned
deadline_root_of(struct deadline *d, const char *path)
{
	const char *slash = strrchr(path, '/');
	unsigned root;

	pthread_mutex_lock(&d->lock);
	root = root_known(d, path);
	if (slash != NULL && slash > path && d->root_count < ROOTS_MAX &&
	    strcmp(slash, "/drive") == 0 && (root == ROOTS_MAX ||
	    strlen(d->roots[root]) != (size_t)(slash - path)))
		root = root_add(d, path, (size_t)(slash - path));
	pthread_mutex_unlock(&d->lock);
	return (root);
}

unsigned
deadline_root_of_link(struct deadline *d, const char *target)
{
	unsigned root = root_known(d, target), slashes = 0;
	const char *end = target + strlen(target);

	while (end > target && slashes < 2)
		slashes += *--end == '/';
	return (root == ROOTS_MAX && end > target ? root_add(d, target, (size_t)(end - target)) :
	    root);
}

unsigned
deadline_root_of_handle(const struct deadline *d, int handle)
{
	return ((unsigned)handle < HANDLES_MAX ?
	    __atomic_load_n(&d->handle_root[handle], __ATOMIC_RELAXED) : ROOTS_MAX);
}

void
deadline_opened(struct deadline *d, int handle, unsigned root)
{
	if (handle >= 0 && (unsigned)handle < HANDLES_MAX)
		__atomic_store_n(&d->handle_root[handle], (uint8_t)root, __ATOMIC_RELAXED);
}

/* --- the interface ---------------------------------------------------------------------------- */

static int
deadline_open(struct disk *disk, const char *path, int flags, struct err *e)
{
	struct deadline *d = deadline_self(disk);
	struct step *s = step_new(step_run_open, path, -1);

	s->flags = flags;
	if (!step_wait(d, s, deadline_root_of(d, path), e))
		return (ERR_TIMEOUT);
	deadline_opened(d, (int)s->rc, s->root);
	return ((int)step_end(s, e));
}

/* With lock. False: the drive answers, as far as is known. */
static bool
close_later(struct deadline *d, int handle)
{
	unsigned root = deadline_root_of_handle(d, handle);
	struct step *s = deadline_given_up(d, handle);

	if (s != NULL) {
		s->close_after = true;	/* Q3 */
		return (true);
	}
	if (d->hung[root] == 0)
		return (false);
	s = step_new(step_run_close, NULL, handle);
	s->alone = true;
	s->root = root;
	if (deadline_queue(d, s))
		return (true);
	step_free(s);
	return (false);
}

/* Nobody waits for it. */
static void
deadline_close(struct disk *disk, int handle)
{
	struct deadline *d = deadline_self(disk);
	bool later;

	pthread_mutex_lock(&d->lock);
	later = close_later(d, handle);
	pthread_mutex_unlock(&d->lock);
	if (!later)	/* at once, so that its lock is free */
		d->under->ops->close(d->under, handle);
}

static ssize_t
deadline_pread(struct disk *disk, int handle, void *out, size_t bytes, uint64_t offset,
    struct err *e)
{
	struct deadline *d = deadline_self(disk);
	struct step *s = step_new(step_run_pread, NULL, handle);

	step_memory(s, bytes);
	s->offset = offset;
	if (!step_wait(d, s, deadline_root_of_handle(d, handle), e))
		return (ERR_TIMEOUT);
	if (s->rc > 0)
		memcpy(out, s->data, (size_t)s->rc);
	return (step_end(s, e));
}

static int
write_step(struct disk *disk, step_fn *run, int handle, const struct iovec *iov, int count,
    uint64_t offset, struct err *e)
{
	struct deadline *d = deadline_self(disk);
	struct step *s = step_new(run, NULL, handle);

	step_take(s, iov, count);
	s->offset = offset;
	return (step_result(d, s, deadline_root_of_handle(d, handle), e));
}

static int
deadline_pwritev(struct disk *disk, int handle, const struct iovec *iov, int count,
    uint64_t offset, struct err *e)
{
	return (write_step(disk, step_run_pwrite, handle, iov, count, offset, e));
}

static int
deadline_pwritev_begin(struct disk *disk, int handle, const struct iovec *iov, int count,
    uint64_t offset, struct err *e)
{
	return (write_step(disk, step_run_pwrite_begin, handle, iov, count, offset, e));
}

static int
deadline_pwritev_sync(struct disk *disk, int handle, const struct iovec *iov, int count,
    uint64_t offset, struct err *e)
{
	return (write_step(disk, step_run_pwrite_sync, handle, iov, count, offset, e));
}

/* A step on a handle, with an offset and a length. */
static int
handle_step(struct disk *disk, step_fn *run, int handle, uint64_t offset, uint64_t length,
    struct err *e)
{
	struct deadline *d = deadline_self(disk);
	struct step *s = step_new(run, NULL, handle);

	s->offset = offset;
	s->length = length;
	return (step_result(d, s, deadline_root_of_handle(d, handle), e));
}

static int
deadline_datasync(struct disk *disk, int handle, struct err *e)
{
	return (handle_step(disk, step_run_datasync, handle, 0, 0, e));
}

static int
deadline_size(struct disk *disk, int handle, uint64_t *out, struct err *e)
{
	struct deadline *d = deadline_self(disk);
	struct step *s = step_new(step_run_size, NULL, handle);

	if (!step_wait(d, s, deadline_root_of_handle(d, handle), e))
		return (ERR_TIMEOUT);
	*out = s->length;
	return ((int)step_end(s, e));
}

static int
deadline_truncate(struct disk *disk, int handle, uint64_t bytes, struct err *e)
{
	return (handle_step(disk, step_run_truncate, handle, 0, bytes, e));
}

static int
deadline_allocate(struct disk *disk, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	return (handle_step(disk, step_run_allocate, handle, offset, bytes, e));
}

static int
deadline_punch(struct disk *disk, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	return (handle_step(disk, step_run_punch, handle, offset, bytes, e));
}

static int
deadline_lock(struct disk *disk, int handle, struct err *e)
{
	return (handle_step(disk, step_run_lock, handle, 0, 0, e));
}

static int
path_step(struct disk *disk, step_fn *run, const char *path, const char *to, struct err *e)
{
	struct step *s = step_new(run, path, -1);

	if (to != NULL) {
		s->to = strdup(to);
		assert(s->to != NULL);
	}
	return (step_result(deadline_self(disk), s, deadline_root_of(deadline_self(disk), path),
	    e));
}

static int
deadline_rename(struct disk *disk, const char *from, const char *to, struct err *e)
{
	return (path_step(disk, step_run_rename, from, to, e));
}

static int
deadline_unlink(struct disk *disk, const char *path, struct err *e)
{
	return (path_step(disk, step_run_unlink, path, NULL, e));
}

static int
deadline_symlink(struct disk *disk, const char *target, const char *path, struct err *e)
{
	return (path_step(disk, step_run_symlink, path, target, e));
}

static int
deadline_readlink(struct disk *disk, const char *path, char *out, size_t bytes, struct err *e)
{
	struct step *s = step_new(step_run_readlink, path, -1);

	step_memory(s, bytes);
	if (!step_wait(deadline_self(disk), s, deadline_root_of(deadline_self(disk), path), e))
		return (ERR_TIMEOUT);
	if (s->rc == 0)
		memcpy(out, s->data, strlen((char *)s->data) + 1);
	return ((int)step_end(s, e));
}

static int
deadline_mkdir(struct disk *disk, const char *path, struct err *e)
{
	return (path_step(disk, step_run_mkdir, path, NULL, e));
}

static int
deadline_sync_dir(struct disk *disk, const char *path, struct err *e)
{
	return (path_step(disk, step_run_sync_dir, path, NULL, e));
}

static int
deadline_list(struct disk *disk, const char *path, disk_list_fn *each, void *context,
    struct err *e)
{
	struct step *s = step_new(step_run_list, path, -1);
	size_t at;

	if (!step_wait(deadline_self(disk), s, deadline_root_of(deadline_self(disk), path), e))
		return (ERR_TIMEOUT);
	for (at = 0; at < s->names.bytes; at += strlen((char *)s->names.data + at) + 1)
		each(context, (char *)s->names.data + at);
	return ((int)step_end(s, e));
}

static int
deadline_space(struct disk *disk, const char *path, struct disk_space *out, struct err *e)
{
	struct step *s = step_new(step_run_space, path, -1);

	if (!step_wait(deadline_self(disk), s, deadline_root_of(deadline_self(disk), path), e))
		return (ERR_TIMEOUT);
	*out = s->space;
	return ((int)step_end(s, e));
}

static bool
deadline_same(struct disk *disk, int handle, const char *path)
{
	struct step *s = step_new(step_run_same, path, handle);

	return (step_result(deadline_self(disk), s,
	    deadline_root_of_handle(deadline_self(disk), handle), NULL) > 0);
}

static const struct disk_ops deadline_ops = {
	.open = deadline_open,
	.close = deadline_close,
	.pread = deadline_pread,
	.pwritev = deadline_pwritev,
	.pwritev_begin = deadline_pwritev_begin,
	.pwritev_sync = deadline_pwritev_sync,
	.datasync = deadline_datasync,
	.size = deadline_size,
	.truncate = deadline_truncate,
	.allocate = deadline_allocate,
	.punch = deadline_punch,
	.lock = deadline_lock,
	.rename = deadline_rename,
	.unlink = deadline_unlink,
	.symlink = deadline_symlink,
	.readlink = deadline_readlink,
	.mkdir = deadline_mkdir,
	.sync_dir = deadline_sync_dir,
	.list = deadline_list,
	.space = deadline_space,
	.same = deadline_same,
};

struct disk *
disk_deadline_new(struct disk *under, unsigned deadline_ms)
{
	struct deadline *d = calloc(1, sizeof(*d));
	pthread_condattr_t monotonic;

	assert(d != NULL && deadline_ms > 0);
	d->disk.ops = &deadline_ops;
	d->disk.direct = under;
	d->under = under;
	d->deadline_ms = d->write_ms = deadline_ms;
	d->last = &d->first;
	memset(d->handle_root, ROOTS_MAX, sizeof(d->handle_root));
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&d->work, &monotonic);
	pthread_cond_init(&d->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return (&d->disk);
}

void
disk_deadline_writes(struct disk *disk, unsigned write_ms)
{
	struct deadline *d = deadline_self(disk);

	assert(write_ms >= d->deadline_ms && d->threads == 0);
	d->write_ms = write_ms;
}

void
disk_deadline_free(struct disk **disk)
{
	struct deadline *d = *disk == NULL ? NULL : deadline_self(*disk);

	if (d == NULL)
		return;
	*disk = NULL;
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_cond_broadcast(&d->work);
	while (d->threads > d->hung_all)
		pthread_cond_wait(&d->done, &d->lock);
	if (d->threads > 0) {	/* Q1: they come back to it, or never */
		pthread_mutex_unlock(&d->lock);
		return;
	}
	pthread_mutex_unlock(&d->lock);
	for (unsigned i = 0; i < d->root_count; i++)
		free(d->roots[i]);
	pthread_cond_destroy(&d->work);
	pthread_cond_destroy(&d->done);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void
disk_deadline_root(struct disk *disk, const char *path)
{
	struct deadline *d = deadline_self(disk);
	unsigned root;

	pthread_mutex_lock(&d->lock);
	root = root_known(d, path);
	if (root == ROOTS_MAX || strcmp(d->roots[root], path) != 0)
		(void)root_add(d, path, strlen(path));
	pthread_mutex_unlock(&d->lock);
}

bool
disk_deadline_refuses(struct disk *disk, const char *path)
{
	struct deadline *d = deadline_self(disk);
	bool refuses;

	pthread_mutex_lock(&d->lock);
	refuses = d->hung[root_known(d, path)] > 0;
	pthread_mutex_unlock(&d->lock);
	return (refuses);
}

unsigned
disk_deadline_hung(struct disk *disk)
{
	struct deadline *d = deadline_self(disk);
	unsigned n;

	pthread_mutex_lock(&d->lock);
	n = d->hung_all;
	pthread_mutex_unlock(&d->lock);
	return (n);
}
