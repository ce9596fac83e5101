/*
 * watch - see watch.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/watch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/clock.h"

/* On its caller's stack. */
struct watch_step {
	struct watch_step	*next;
	const char		*path;		/* NULL: that of the handle */
	int			 handle;
	uint64_t		 since_ms;
};

void
watch_release(struct watch *w)
{
	assert(w->steps == NULL);
	free(w->remotes);
	pthread_mutex_destroy(&w->lock);
}

static struct disk *
step_begin(struct disk *d, struct watch_step *s, const char *path, int handle)
{
	struct watch *w = (struct watch *)d;

	*s = (struct watch_step){ .path = path, .handle = handle, .since_ms = clock_mono_ms() };
	pthread_mutex_lock(&w->lock);
	s->next = w->steps;
	w->steps = s;
	pthread_mutex_unlock(&w->lock);
	return (w->under);
}

static void
step_end(struct disk *d, const struct watch_step *s)
{
	struct watch *w = (struct watch *)d;
	struct watch_step **at = &w->steps;

	pthread_mutex_lock(&w->lock);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	pthread_mutex_unlock(&w->lock);
}

static void
path_of_handle(int handle, char *path, size_t bytes)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
	n = readlink(link, path, bytes - 1);
	path[n > 0 ? n : 0] = '\0';
	if (n <= 0)
		snprintf(path, bytes, "handle %d", handle);
}

uint64_t
watch_longest_ms(struct watch *w, uint64_t now_ms, char *path, size_t bytes)
{
	const struct watch_step *oldest = NULL;
	uint64_t ms = 0;

	path[0] = '\0';
	pthread_mutex_lock(&w->lock);
	for (const struct watch_step *s = w->steps; s != NULL; s = s->next)
		if (oldest == NULL || s->since_ms < oldest->since_ms)
			oldest = s;
	if (oldest != NULL && oldest->path != NULL)
		snprintf(path, bytes, "%s", oldest->path);
	else if (oldest != NULL)
		path_of_handle(oldest->handle, path, bytes);
	if (oldest != NULL && now_ms > oldest->since_ms)
		ms = now_ms - oldest->since_ms;
	pthread_mutex_unlock(&w->lock);
	return (ms);
}

/* --- what goes over a network ----------------------------------------------------------------- */

void
watch_count_remote(struct watch *w, bool (*remote)(void *context, int handle), void *context,
    _Atomic uint64_t *bytes)
{
	w->remote = remote;
	w->context = context;
	w->remote_bytes = bytes;
}

static void
remotes_grow(struct watch *w, size_t max)
{
	w->remotes = realloc(w->remotes, max * sizeof(*w->remotes));
	assert(w->remotes != NULL);
	memset(w->remotes + w->remote_max, 0, (max - w->remote_max) * sizeof(*w->remotes));
	w->remote_max = max;
}

static void
handle_opened(struct watch *w, int handle)
{
	bool remote = handle >= 0 && w->remote != NULL && w->remote(w->context, handle);

	if (!remote)
		return;
	pthread_mutex_lock(&w->lock);
	if ((size_t)handle >= w->remote_max)
		remotes_grow(w, (size_t)handle + 16);
	w->remotes[handle] = true;
	pthread_mutex_unlock(&w->lock);
}

static void
handle_closed(struct watch *w, int handle)
{
	pthread_mutex_lock(&w->lock);
	if ((size_t)handle < w->remote_max)
		w->remotes[handle] = false;
	pthread_mutex_unlock(&w->lock);
}

static void
handle_moved(struct disk *d, int handle, ssize_t bytes)
{
	struct watch *w = (struct watch *)d;
	bool remote;

	if (bytes <= 0 || w->remote == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	remote = (size_t)handle < w->remote_max && w->remotes[handle];
	pthread_mutex_unlock(&w->lock);
	if (remote)
		atomic_fetch_add(w->remote_bytes, (uint64_t)bytes);
}

static ssize_t
iov_bytes(const struct iovec *iov, int iov_count)
{
	ssize_t bytes = 0;

	for (int i = 0; i < iov_count; i++)
		bytes += (ssize_t)iov[i].iov_len;
	return (bytes);
}

/* --- the interface ---------------------------------------------------------------------------- */

static int
watch_open(struct disk *d, const char *path, int flags, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	int rc = u->ops->open(u, path, flags, e);

	handle_opened((struct watch *)d, rc);
	step_end(d, &s);
	return (rc);
}

static void
watch_close(struct disk *d, int handle)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);

	handle_closed((struct watch *)d, handle);	/* before its number is another's */
	u->ops->close(u, handle);
	step_end(d, &s);
}

static ssize_t
watch_pread(struct disk *d, int handle, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	ssize_t rc = u->ops->pread(u, handle, out, bytes, offset, e);

	handle_moved(d, handle, rc);
	step_end(d, &s);
	return (rc);
}

static int
watch_pwritev(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = u->ops->pwritev(u, handle, iov, iov_count, offset, e);

	handle_moved(d, handle, iov_bytes(iov, iov_count));
	step_end(d, &s);
	return (rc);
}

static int
watch_pwritev_begin(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = disk_pwritev_begin(u, handle, iov, iov_count, offset, e);

	handle_moved(d, handle, iov_bytes(iov, iov_count));
	step_end(d, &s);
	return (rc);
}

static int
watch_pwritev_sync(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = u->ops->pwritev_sync(u, handle, iov, iov_count, offset, e);

	handle_moved(d, handle, iov_bytes(iov, iov_count));
	step_end(d, &s);
	return (rc);
}

static int
watch_datasync(struct disk *d, int handle, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = u->ops->datasync(u, handle, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_size(struct disk *d, int handle, uint64_t *out, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = u->ops->size(u, handle, out, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_truncate(struct disk *d, int handle, uint64_t bytes, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = u->ops->truncate(u, handle, bytes, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_allocate(struct disk *d, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = u->ops->allocate(u, handle, offset, bytes, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_punch(struct disk *d, int handle, uint64_t offset, uint64_t bytes, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = u->ops->punch(u, handle, offset, bytes, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_lock(struct disk *d, int handle, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, NULL, handle);
	int rc = u->ops->lock(u, handle, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, from, -1);
	int rc = u->ops->rename(u, from, to, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_unlink(struct disk *d, const char *path, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	int rc = u->ops->unlink(u, path, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_symlink(struct disk *d, const char *target, const char *path, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	int rc = u->ops->symlink(u, target, path, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_readlink(struct disk *d, const char *path, char *out, size_t bytes, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	int rc = u->ops->readlink(u, path, out, bytes, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_mkdir(struct disk *d, const char *path, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	int rc = u->ops->mkdir(u, path, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_sync_dir(struct disk *d, const char *path, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	int rc = u->ops->sync_dir(u, path, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_list(struct disk *d, const char *path, disk_list_fn *each, void *context, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	int rc = u->ops->list(u, path, each, context, e);

	step_end(d, &s);
	return (rc);
}

static int
watch_space(struct disk *d, const char *path, struct disk_space *out, struct err *e)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	int rc = u->ops->space(u, path, out, e);

	step_end(d, &s);
	return (rc);
}

static bool
watch_same(struct disk *d, int handle, const char *path)
{
	struct watch_step s;
	struct disk *u = step_begin(d, &s, path, -1);
	bool rc = u->ops->same(u, handle, path);

	step_end(d, &s);
	return (rc);
}

static const struct disk_ops ops = {
	.open = watch_open, .close = watch_close, .pread = watch_pread, .pwritev = watch_pwritev,
	.pwritev_begin = watch_pwritev_begin,
	.pwritev_sync = watch_pwritev_sync, .datasync = watch_datasync, .size = watch_size,
	.truncate = watch_truncate, .allocate = watch_allocate, .punch = watch_punch,
	.lock = watch_lock, .rename = watch_rename, .unlink = watch_unlink,
	    .symlink = watch_symlink, .readlink = watch_readlink,
	.mkdir = watch_mkdir,
	.sync_dir = watch_sync_dir, .list = watch_list, .space = watch_space, .same = watch_same,
};

void
watch_init(struct watch *w, struct disk *under)
{
	*w = (struct watch){ .disk = { .ops = &ops }, .under = under };
	pthread_mutex_init(&w->lock, NULL);
}
