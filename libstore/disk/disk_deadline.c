/*
 * disk_deadline - see disk_deadline.h. Threads are made when no idle one is there, and rest when
 * they are done; how many there are is bounded by the callers that wait at once, and by what hangs.
 *
 *   caller: step ──► thread does it ──► caller takes the result
 *                └─ overdue: the step is the thread's ──► cleaned up when it comes back
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/disk/disk_deadline_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "libbase/clock.h"

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

bool
deadline_step_writes(const struct step *s)
{
	static step_fn *const reads[] = { step_run_close, step_run_pread, step_run_size,
		step_run_lock, step_run_readlink, step_run_list, step_run_space, step_run_same };

	if (s->run == step_run_open)
		return ((s->flags & O_ACCMODE) != O_RDONLY);
	for (unsigned i = 0; i < sizeof(reads) / sizeof(*reads); i++)
		if (s->run == reads[i])
			return (false);
	return (true);
}

/* --- threads ---------------------------------------------------------------------------------- */

static struct step *
given_up_on(const struct deadline *d, int handle)
{
	struct step *s = d->given_up;

	while (s != NULL && s->handle != handle)
		s = s->next;
	return (s);
}

/* Q1, Q3; with lock. The handle that is to be closed now, or -1. */
static int
given_up_comes_back(struct deadline *d, const struct step *s)
{
	struct step **at = &d->given_up, *other;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	d->hung[s->root]--;
	d->hung_writes[s->root] -= deadline_step_writes(s);
	d->hung_all--;
	if (s->run == step_run_open)
		return (s->rc >= 0 ? (int)s->rc : -1);
	other = s->close_after ? given_up_on(d, s->handle) : NULL;
	if (other != NULL)
		other->close_after = true;
	return (s->close_after && other == NULL ? s->handle : -1);
}

/* With lock. */
static void
step_comes_back(struct deadline *d, struct step *s)
{
	int handle = s->abandoned ? given_up_comes_back(d, s) : -1;

	if (handle >= 0)
		d->under->ops->close(d->under, handle);
	if (s->abandoned || s->alone)
		step_free(s);
	else {
		s->done = true;
		pthread_cond_broadcast(&d->done);
	}
}

void
disk_write_do(struct disk *under, struct disk_write *w)
{
	uint64_t from = clock_mono_ns();

	w->rc = disk_pwritev_begin(under, w->handle, w->iov, (int)w->iov_count, w->offset, &w->why);
	w->took_ns = clock_mono_ns() - from;
}

/* One after another, until the caller went on without one: it sees to the others. Comes back with
 * the lock: who looks finds a write under way, or the step done. */
static void
writes_run(struct deadline *d, struct step *s)
{
	for (;;) {
		struct disk_write *w = &s->writes[s->write_at];

		disk_write_do(d->under, w);
		pthread_mutex_lock(&d->lock);
		if (s->abandoned)
			return;
		s->write_ms = clock_mono_ms();
		if (++s->write_at == s->write_count)
			return;
		pthread_mutex_unlock(&d->lock);
	}
}

static void *
thread_main(void *context)
{
	struct deadline *d = context;
	struct step *s;

	pthread_mutex_lock(&d->lock);
	while (!d->stopping || d->first != NULL) {
		if (d->first == NULL) {
			d->idle++;
			pthread_cond_wait(&d->work, &d->lock);
			d->idle--;
			continue;
		}
		s = d->first;
		d->first = s->next;
		if (d->first == NULL)
			d->last = &d->first;
		pthread_mutex_unlock(&d->lock);
		if (s->writes != NULL) {
			writes_run(d, s);
		} else {
			s->run(d->under, s);
			pthread_mutex_lock(&d->lock);
		}
		step_comes_back(d, s);
	}
	d->threads--;
	pthread_cond_broadcast(&d->done);
	pthread_mutex_unlock(&d->lock);
	return (NULL);
}

bool
deadline_queue(struct deadline *d, struct step *s)
{
	struct step *q;
	unsigned waiting = 1;
	sigset_t all, old;
	pthread_t thread;

	for (q = d->first; q != NULL; q = q->next)
		waiting++;
	if (waiting > d->idle) {
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		if (pthread_create(&thread, NULL, thread_main, d) == 0) {
			pthread_detach(thread);
			d->threads++;
		}
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (d->threads == 0)
		return (false);
	s->next = NULL;
	*d->last = s;
	d->last = &s->next;
	pthread_cond_signal(&d->work);
	return (true);
}

unsigned
deadline_step_ms(const struct deadline *d, const struct step *s)
{
	return (deadline_step_writes(s) ? d->write_ms : d->deadline_ms);
}

bool
deadline_refused(const struct deadline *d, unsigned root, bool writes)
{
	return ((writes && d->write_ms > d->deadline_ms ? d->hung_writes : d->hung)[root] > 0);
}

struct timespec
deadline_at(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return (t);
}

void
deadline_give_up(struct deadline *d, struct step *s)
{
	struct step **at = &d->first;

	while (*at != NULL && *at != s)
		at = &(*at)->next;
	if (*at == s) {
		*at = s->next;
		if (*at == NULL)
			d->last = at;
		step_free(s);
		return;
	}
	s->abandoned = true;
	s->next = d->given_up;
	d->given_up = s;
	d->hung[s->root]++;
	d->hung_writes[s->root] += deadline_step_writes(s);
	d->hung_all++;
}

/* True: s is done and the caller's again. False: it is gone, and e says why. */
static bool
step_wait(struct deadline *d, struct step *s, unsigned root, struct err *e)
{
	struct timespec until = deadline_at(deadline_step_ms(d, s));
	bool done;

	s->root = root;
	pthread_mutex_lock(&d->lock);
	if (deadline_refused(d, root, deadline_step_writes(s)) || !deadline_queue(d, s)) {
		pthread_mutex_unlock(&d->lock);
		err_set(e, ERR_TIMEOUT, "%s%s the drive does not answer: an earlier step still "
		    "hangs", s->path != NULL ? s->path : "", s->path != NULL ? ":" : "");
		step_free(s);
		return (false);
	}
	while (!s->done &&
	    pthread_cond_timedwait(&d->done, &d->lock, &until) != ETIMEDOUT)
		;
	done = s->done;
	if (!done) {
		err_set(e, ERR_TIMEOUT, "%s%s the drive did not answer for %u ms",
		    s->path != NULL ? s->path : "", s->path != NULL ? ":" : "",
		    deadline_step_ms(d, s));
		deadline_give_up(d, s);
	}
	pthread_mutex_unlock(&d->lock);
	return (done);
}

/* Of a step that is done. */
static ssize_t
step_end(struct step *s, struct err *e)
{
	ssize_t rc = s->rc;

	if (rc < 0 && e != NULL)
		*e = s->e;
	step_free(s);
	return (rc);
}

/* The result of a step without anything else coming out. */
static int
step_result(struct deadline *d, struct step *s, unsigned root, struct err *e)
{
	return (step_wait(d, s, root, e) ? (int)step_end(s, e) : ERR_TIMEOUT);
}

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

/* --- the interface ---------------------------------------------------------------------------- */

static int
deadline_open(struct disk *disk, const char *path, int flags, struct err *e)
{
	struct deadline *d = deadline_self(disk);
	struct step *s = step_new(step_run_open, path, -1);
	unsigned root = deadline_root_of(d, path);
	int rc;

	s->flags = flags;
	rc = step_result(d, s, root, e);
	deadline_opened(d, rc, root);
	return (rc);
}

/* With lock. False: the drive answers, as far as is known. */
static bool
close_later(struct deadline *d, int handle)
{
	unsigned root = deadline_root_of_handle(d, handle);
	struct step *s = given_up_on(d, handle);

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
