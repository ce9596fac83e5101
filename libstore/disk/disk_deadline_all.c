/*
 * disk_deadline_all - several steps of one caller at once, on drives of which some may hang: their
 * deadlines run side by side, so that any number of them cost the caller one.
 *
 *   writes: one thread does them one after another ──► all done
 *                └─ one takes long: it waits alone, another thread goes on with those behind it
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/disk/disk_deadline_internal.h"

#define STEPS_MAX	16u	/* of a call */
#define ALONE_MS	100u	/* a write that takes longer keeps no others waiting */

/* --- writes ----------------------------------------------------------------------------------- */

/* Writes that one thread does, and which of the caller's they are. */
struct chain {
	struct step	*step;
	unsigned	 at[STEPS_MAX];
};
struct chains {
	struct deadline		*deadline;
	struct disk_write	*writes;
	struct disk_kept	**kept;
	struct chain		 chains[STEPS_MAX];
	unsigned		 count;
};

static void
write_overdue(const struct deadline *d, struct disk_write *w, bool known)
{
	w->rc = known ? err_set(&w->why, ERR_TIMEOUT,
	    "the drive does not answer: an earlier step still hangs") :
	    err_set(&w->why, ERR_TIMEOUT, "the drive did not answer for %u ms", d->write_ms);
}

/* Those on drives that are not known to hang. */
static unsigned
writes_keep(struct chains *all, const unsigned *from, unsigned count, unsigned *out)
{
	struct deadline *d = all->deadline;
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		struct disk_write *w = &all->writes[from[i]];

		if (deadline_refused(d, deadline_root_of_handle(d, w->handle), true))
			write_overdue(d, w, true);
		else
			out[n++] = from[i];
	}
	return (n);
}

static void
chain_start(struct chains *all, const unsigned *from, unsigned count)
{
	struct chain *c = &all->chains[all->count];
	struct step *s;
	unsigned n;

	assert(all->count < STEPS_MAX);
	n = writes_keep(all, from, count, c->at);
	if (n == 0)
		return;
	c->step = s = step_new(step_run_pwrite_begin, NULL, -1);
	s->writes = calloc(n, sizeof(*s->writes));
	assert(s->writes != NULL);
	for (unsigned i = 0; i < n; i++)
		s->writes[i] = all->writes[c->at[i]];
	s->write_count = n;
	s->write_ms = clock_mono_ms();
	if (deadline_queue(all->deadline, s)) {
		all->count++;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		write_overdue(all->deadline, &all->writes[c->at[i]], false);
	step_free(s);
}

/* What the chain has done is the caller's; another takes its place. */
static void
chain_end(struct chains *all, unsigned at)
{
	struct chain *c = &all->chains[at];

	for (unsigned i = 0; i < c->step->write_at; i++)
		all->writes[c->at[i]] = c->step->writes[i];
	if (c->step->done)
		step_free(c->step);
	else
		deadline_give_up(all->deadline, c->step);
	*c = all->chains[--all->count];
}

/* The write under way waits alone; what is behind it goes on. */
static void
chain_split(struct chains *all, unsigned at)
{
	struct chain *c = &all->chains[at];
	unsigned first = c->step->write_at + 1, count = c->step->write_count - first;

	c->step->write_count = first;
	chain_start(all, &c->at[first], count);
}

static void
chain_overdue(struct chains *all, unsigned at)
{
	struct step *s = all->chains[at].step;
	struct disk_write *w = &all->writes[all->chains[at].at[s->write_at]];

	if (s->write_at + 1 < s->write_count)
		chain_split(all, at);
	if (*all->kept == NULL)
		*all->kept = disk_kept_new();
	s->root = deadline_root_of_handle(all->deadline, w->handle);
	s->handle = w->handle;
	s->kept = disk_kept_get(*all->kept);
	write_overdue(all->deadline, w, false);
	chain_end(all, at);
}

static unsigned
alone_ms(const struct deadline *d)
{
	return (ALONE_MS < d->write_ms / 4 ? ALONE_MS : d->write_ms / 4);
}

/* Does with a chain what is due. Returns when to look again, in ms; 0: it has ended. */
static uint64_t
chain_look(struct chains *all, unsigned at, uint64_t now)
{
	const struct deadline *d = all->deadline;
	struct step *s = all->chains[at].step;

	if (s->done) {
		chain_end(all, at);
		return (0);
	}
	assert(s->write_at < s->write_count);
	if (now >= s->write_ms + d->write_ms) {
		chain_overdue(all, at);
		return (0);
	}
	if (s->write_at + 1 == s->write_count)
		return (s->write_ms + d->write_ms);
	if (now >= s->write_ms + alone_ms(d)) {
		chain_split(all, at);
		return (now + alone_ms(d));
	}
	return (s->write_ms + alone_ms(d));
}

/* With the lock, which is dropped while it waits. */
static void
chains_wait(struct chains *all)
{
	struct deadline *d = all->deadline;

	while (all->count > 0) {
		uint64_t now = clock_mono_ms(), next = UINT64_MAX, due;
		bool ended = false;
		struct timespec until;

		for (unsigned i = all->count; i-- > 0; ) {
			due = chain_look(all, i, now);
			ended |= due == 0;
			next = due != 0 && due < next ? due : next;
		}
		if (ended)
			continue;
		until = deadline_at((unsigned)(next - now));
		pthread_cond_timedwait(&d->done, &d->lock, &until);
	}
}

void
disk_deadline_write_all(struct disk *disk, struct disk_write *writes, unsigned count,
    struct disk_kept **kept)
{
	struct deadline *d = deadline_self(disk);
	struct chains all = { .deadline = d, .writes = writes, .kept = kept };
	unsigned from[STEPS_MAX];

	assert(count <= STEPS_MAX);
	*kept = NULL;
	for (unsigned i = 0; i < count; i++)
		from[i] = i;
	pthread_mutex_lock(&d->lock);
	chain_start(&all, from, count);
	chains_wait(&all);
	pthread_mutex_unlock(&d->lock);
}

/* --- opens ------------------------------------------------------------------------------------ */

static void
open_overdue(const struct deadline *d, struct disk_open *o, const struct step *s, bool known)
{
	if (known)
		o->handle = err_set(&o->why, ERR_TIMEOUT, "%s: the drive does not answer: an "
		    "earlier step still hangs", o->path);
	else
		o->handle = err_set(&o->why, ERR_TIMEOUT, "%s: the drive did not answer for %u ms",
		    o->path, deadline_step_ms(d, s));
}

/* With the lock. NULL: it was not tried. */
static struct step *
open_queue(struct deadline *d, struct disk_open *o, unsigned root)
{
	struct step *s = step_new(step_run_open, o->path, -1);

	s->flags = o->flags;
	s->root = root;
	if (!deadline_refused(d, root, deadline_step_writes(s)) && deadline_queue(d, s))
		return (s);
	open_overdue(d, o, s, true);
	step_free(s);
	return (NULL);
}

/* With the lock. True: it is done. */
static bool
open_wait(struct deadline *d, struct step *s, uint64_t from_ms)
{
	uint64_t end = from_ms + deadline_step_ms(d, s), now;
	struct timespec until;

	while (!s->done && (now = clock_mono_ms()) < end) {
		until = deadline_at((unsigned)(end - now));
		pthread_cond_timedwait(&d->done, &d->lock, &until);
	}
	return (s->done);
}

void
disk_deadline_open_all(struct disk *disk, struct disk_open *opens, unsigned count)
{
	struct deadline *d = deadline_self(disk);
	struct step *steps[STEPS_MAX];
	unsigned roots[STEPS_MAX];
	uint64_t from = clock_mono_ms();

	assert(count <= STEPS_MAX);
	for (unsigned i = 0; i < count; i++)
		roots[i] = deadline_root_of(d, opens[i].path);
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < count; i++)
		steps[i] = open_queue(d, &opens[i], roots[i]);
	for (unsigned i = 0; i < count; i++) {
		if (steps[i] == NULL)
			continue;
		if (!open_wait(d, steps[i], from)) {
			open_overdue(d, &opens[i], steps[i], false);
			deadline_give_up(d, steps[i]);
			continue;
		}
		opens[i].handle = (int)steps[i]->rc;
		opens[i].why = steps[i]->e;
		deadline_opened(d, opens[i].handle, steps[i]->root);
		step_free(steps[i]);
	}
	pthread_mutex_unlock(&d->lock);
}
