/*
 * disk_deadline - see disk_deadline.h. Threads are made when no idle one is there, and rest when
 * they are done; how many there are is bounded by the callers that wait at once, and by what hangs.
 *
 *   caller: step ──► thread does it ──► caller takes the result
 *                └─ overdue: the step is the thread's ──► cleaned up when it comes back
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/disk/disk_deadline.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "libbase/clock.h"
#include "libstore/disk/disk_step.h"

#define ROOTS_MAX	64u
#define HANDLES_MAX	65536u
#define WRITES_MAX	16u
#define NOT_TRIED	1		/* of a write's rc */

struct deadline {
	struct disk	 disk;
	struct disk	*under;
	unsigned	 deadline_ms, write_ms;
	pthread_mutex_t	 lock;
	pthread_cond_t	 work, done;
	struct step	*first, **last;
	struct step	*given_up;		/* abandoned, not back yet */
	unsigned	 idle, threads, hung_all;
	unsigned	 hung[ROOTS_MAX + 1];	/* by root; the last: of none */
	unsigned	 hung_writes[ROOTS_MAX + 1];	/* of them */
	char		*roots[ROOTS_MAX];
	unsigned	 root_count;
	uint8_t		 handle_root[HANDLES_MAX];
	bool		 stopping;
};

static struct deadline *
self(struct disk *d)
{
	return ((struct deadline *)d);
}

static unsigned
root_of_handle(const struct deadline *d, int handle)
{
	return ((unsigned)handle < HANDLES_MAX ?
	    __atomic_load_n(&d->handle_root[handle], __ATOMIC_RELAXED) : ROOTS_MAX);
}

/* It changes something, or opens to do so. */
static bool
step_writes(const struct step *s)
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
	d->hung_writes[s->root] -= step_writes(s);
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

/* One after another, until the caller went on without one: it sees to the others. */
static void
writes_run(struct deadline *d, struct step *s)
{
	bool go_on = true;

	while (go_on) {
		struct disk_write *w = &s->writes[s->write_at];

		disk_write_do(d->under, w);
		pthread_mutex_lock(&d->lock);
		if (!s->abandoned) {
			s->write_at++;
			s->write_ms = clock_mono_ms();
		}
		go_on = !s->abandoned && s->write_at < s->write_count;
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
		if (s->writes != NULL)
			writes_run(d, s);
		else
			s->run(d->under, s);
		pthread_mutex_lock(&d->lock);
		step_comes_back(d, s);
	}
	d->threads--;
	pthread_cond_broadcast(&d->done);
	pthread_mutex_unlock(&d->lock);
	return (NULL);
}

/* With lock. False: no thread can be had at all. */
static bool
step_queue(struct deadline *d, struct step *s)
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

static unsigned
step_ms(const struct deadline *d, const struct step *s)
{
	return (step_writes(s) ? d->write_ms : d->deadline_ms);
}

/* With lock. What may take longer than what hangs did is tried all the same. */
static bool
refused(const struct deadline *d, unsigned root, bool writes)
{
	return ((writes && d->write_ms > d->deadline_ms ? d->hung_writes : d->hung)[root] > 0);
}

static struct timespec
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

/* A step that is still queued is taken back; one that runs is its thread's from now on. */
static void
step_give_up(struct deadline *d, struct step *s)
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
	d->hung_writes[s->root] += step_writes(s);
	d->hung_all++;
}

/* True: s is done and the caller's again. False: it is gone, and e says why. */
static bool
step_wait(struct deadline *d, struct step *s, unsigned root, struct err *e)
{
	struct timespec until = deadline_at(step_ms(d, s));
	bool done;

	s->root = root;
	pthread_mutex_lock(&d->lock);
	if (refused(d, root, step_writes(s)) || !step_queue(d, s)) {
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
		    s->path != NULL ? s->path : "", s->path != NULL ? ":" : "", step_ms(d, s));
		step_give_up(d, s);
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

/* --- several writes --------------------------------------------------------------------------- */

/* With lock. Waits for all of them, or until one is overdue: then the step is its thread's. */
static bool
writes_wait(struct deadline *d, struct step *s)
{
	while (!s->done) {
		uint64_t now = clock_mono_ms(), end = s->write_ms + d->write_ms;
		struct timespec until;

		if (now >= end)
			return (false);
		until = deadline_at((unsigned)(end - now));
		pthread_cond_timedwait(&d->done, &d->lock, &until);
	}
	return (true);
}

/* With lock. The first of them that is overdue, or count. */
static unsigned
writes_try(struct deadline *d, struct disk_write *writes, const unsigned *roots, unsigned count,
    struct disk_kept **kept)
{
	struct step *s = step_new(step_run_pwrite_begin, NULL, -1);
	unsigned done;

	s->writes = calloc(count, sizeof(*s->writes));
	assert(s->writes != NULL);
	memcpy(s->writes, writes, count * sizeof(*s->writes));
	s->write_count = count;
	s->write_ms = clock_mono_ms();
	if (!step_queue(d, s)) {
		step_free(s);
		return (0);
	}
	if (!writes_wait(d, s)) {
		if (*kept == NULL)
			*kept = disk_kept_new();
		s->root = roots[s->write_at];
		s->handle = writes[s->write_at].handle;
		s->kept = disk_kept_get(*kept);
	}
	done = s->write_at;
	memcpy(writes, s->writes, done * sizeof(*s->writes));
	if (s->done)
		step_free(s);
	else
		step_give_up(d, s);
	return (done);
}

static void
write_overdue(const struct deadline *d, struct disk_write *w, bool known)
{
	w->rc = known ? err_set(&w->why, ERR_TIMEOUT,
	    "the drive does not answer: an earlier step still hangs") :
	    err_set(&w->why, ERR_TIMEOUT, "the drive did not answer for %u ms", d->write_ms);
}

/* With lock. Those that were not tried yet; drives that are known to hang are not. */
static unsigned
writes_left(const struct deadline *d, struct disk_write *writes, unsigned count, unsigned *left,
    unsigned *roots)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned root = root_of_handle(d, writes[i].handle);

		if (writes[i].rc != NOT_TRIED)
			continue;
		if (refused(d, root, true)) {
			write_overdue(d, &writes[i], true);
			continue;
		}
		left[n] = i;
		roots[n++] = root;
	}
	return (n);
}

void
disk_deadline_write_all(struct disk *disk, struct disk_write *writes, unsigned count,
    struct disk_kept **kept)
{
	struct deadline *d = self(disk);
	struct disk_write some[WRITES_MAX];
	unsigned left[WRITES_MAX], roots[WRITES_MAX], n, done;

	assert(count <= WRITES_MAX);
	*kept = NULL;
	for (unsigned i = 0; i < count; i++)
		writes[i].rc = NOT_TRIED;
	pthread_mutex_lock(&d->lock);
	while ((n = writes_left(d, writes, count, left, roots)) > 0) {
		for (unsigned i = 0; i < n; i++)
			some[i] = writes[left[i]];
		done = writes_try(d, some, roots, n, kept);
		if (done < n)
			write_overdue(d, &some[done], false);
		for (unsigned i = 0; i < n && i <= done; i++)
			writes[left[i]] = some[i];
	}
	pthread_mutex_unlock(&d->lock);
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

/* Q2 */
static unsigned
root_of(struct deadline *d, const char *path)
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
	struct deadline *d = self(disk);
	struct step *s = step_new(step_run_open, path, -1);
	unsigned root = root_of(d, path);
	int rc;

	s->flags = flags;
	rc = step_result(d, s, root, e);
	if (rc >= 0 && (unsigned)rc < HANDLES_MAX)
		__atomic_store_n(&d->handle_root[rc], (uint8_t)root, __ATOMIC_RELAXED);
	return (rc);
}

/* With lock. False: the drive answers, as far as is known. */
static bool
close_later(struct deadline *d, int handle)
{
	unsigned root = root_of_handle(d, handle);
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
	if (step_queue(d, s))
		return (true);
	step_free(s);
	return (false);
}

/* Nobody waits for it. */
static void
deadline_close(struct disk *disk, int handle)
{
	struct deadline *d = self(disk);
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
	struct deadline *d = self(disk);
	struct step *s = step_new(step_run_pread, NULL, handle);

	step_memory(s, bytes);
	s->offset = offset;
	if (!step_wait(d, s, root_of_handle(d, handle), e))
		return (ERR_TIMEOUT);
	if (s->rc > 0)
		memcpy(out, s->data, (size_t)s->rc);
	return (step_end(s, e));
}

static int
write_step(struct disk *disk, step_fn *run, int handle, const struct iovec *iov, int count,
    uint64_t offset, struct err *e)
{
	struct deadline *d = self(disk);
	struct step *s = step_new(run, NULL, handle);

	step_take(s, iov, count);
	s->offset = offset;
	return (step_result(d, s, root_of_handle(d, handle), e));
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
	struct deadline *d = self(disk);
	struct step *s = step_new(run, NULL, handle);

	s->offset = offset;
	s->length = length;
	return (step_result(d, s, root_of_handle(d, handle), e));
}

static int
deadline_datasync(struct disk *disk, int handle, struct err *e)
{
	return (handle_step(disk, step_run_datasync, handle, 0, 0, e));
}

static int
deadline_size(struct disk *disk, int handle, uint64_t *out, struct err *e)
{
	struct deadline *d = self(disk);
	struct step *s = step_new(step_run_size, NULL, handle);

	if (!step_wait(d, s, root_of_handle(d, handle), e))
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
	return (step_result(self(disk), s, root_of(self(disk), path), e));
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
	if (!step_wait(self(disk), s, root_of(self(disk), path), e))
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

	if (!step_wait(self(disk), s, root_of(self(disk), path), e))
		return (ERR_TIMEOUT);
	for (at = 0; at < s->names.bytes; at += strlen((char *)s->names.data + at) + 1)
		each(context, (char *)s->names.data + at);
	return ((int)step_end(s, e));
}

static int
deadline_space(struct disk *disk, const char *path, struct disk_space *out, struct err *e)
{
	struct step *s = step_new(step_run_space, path, -1);

	if (!step_wait(self(disk), s, root_of(self(disk), path), e))
		return (ERR_TIMEOUT);
	*out = s->space;
	return ((int)step_end(s, e));
}

static bool
deadline_same(struct disk *disk, int handle, const char *path)
{
	struct step *s = step_new(step_run_same, path, handle);

	return (step_result(self(disk), s, root_of_handle(self(disk), handle), NULL) > 0);
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
	struct deadline *d = self(disk);

	assert(write_ms >= d->deadline_ms && d->threads == 0);
	d->write_ms = write_ms;
}

void
disk_deadline_free(struct disk **disk)
{
	struct deadline *d = *disk == NULL ? NULL : self(*disk);

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
	struct deadline *d = self(disk);
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
	struct deadline *d = self(disk);
	bool refuses;

	pthread_mutex_lock(&d->lock);
	refuses = d->hung[root_known(d, path)] > 0;
	pthread_mutex_unlock(&d->lock);
	return (refuses);
}

unsigned
disk_deadline_hung(struct disk *disk)
{
	struct deadline *d = self(disk);
	unsigned n;

	pthread_mutex_lock(&d->lock);
	n = d->hung_all;
	pthread_mutex_unlock(&d->lock);
	return (n);
}
