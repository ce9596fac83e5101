/*
 * disk_deadline_crew - the threads of a disk_deadline and the steps that they do. Threads are made
 * when no idle one is there, and rest when they are done; how many there are is bounded by the
 * callers that wait at once, and by what hangs.
 *
 *   caller: step ──► thread does it ──► caller takes the result
 *                └─ overdue: the step is the thread's ──► cleaned up when it comes back
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "libbase/clock.h"
#include "libstore/disk/disk_deadline_internal.h"

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

struct step *
deadline_given_up(const struct deadline *d, int handle)
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
	other = s->close_after ? deadline_given_up(d, s->handle) : NULL;
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

/* Q4. False: what it leads to is on a drive that hangs. */
static bool
link_follow(struct deadline *d, struct step *s)
{
	char target[4096];
	bool refused;

	if (d->under->ops->readlink(d->under, s->path, target, sizeof(target), NULL) != 0)
		return (true);
	pthread_mutex_lock(&d->lock);
	if (!s->abandoned)	/* else it is counted where it was */
		s->root = deadline_root_of_link(d, target);
	refused = deadline_refused(d, s->root, deadline_step_writes(s));
	pthread_mutex_unlock(&d->lock);
	if (refused)
		s->rc = err_set(&s->e, ERR_TIMEOUT, "%s: the drive does not answer: an earlier "
		    "step still hangs", target);
	return (!refused);
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
			if (s->run != step_run_open || link_follow(d, s))
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

bool
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

ssize_t
step_end(struct step *s, struct err *e)
{
	ssize_t rc = s->rc;

	if (rc < 0 && e != NULL)
		*e = s->e;
	step_free(s);
	return (rc);
}

int
step_result(struct deadline *d, struct step *s, unsigned root, struct err *e)
{
	return (step_wait(d, s, root, e) ? (int)step_end(s, e) : ERR_TIMEOUT);
}
