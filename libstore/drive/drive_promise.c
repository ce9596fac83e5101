/*
 * drive_promise - room on drives that tasks were promised and have not allocated yet.
 *
 *   claimed ─► drive_promise ─► drive_promise_take, file by file ─► drive_promise_end
 *
 * A1  What a task is promised was there, besides all that others were promised: each finds its own,
 *     also who was promised some of the reserve while it was alone, and is not any more.
 * A2  Bytes are promised or allocated, never both, and no promise falls below nothing.
 * A3  A promise steers what is made anew to where more is left (drive_sets_order, log_place.c), and
 *     refuses it nothing: somebody waits for a put, and a task whose room was taken by one finds
 *     that before it has written anything, and comes again. It frees more than it takes.
 *
 * Which task is promised what, and until when, is state_promise.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "libstore/drive/drive_internal.h"

static struct promise *
promise_find(struct drive_set *s, uint64_t owner)
{
	for (unsigned i = 0; owner != 0 && i < s->promise_count; i++)
		if (s->promises[i].owner == owner)
			return (&s->promises[i]);
	return (NULL);
}

static bool
same_filesystem(const struct drive_set *s, unsigned a, unsigned b)
{
	return (s->drives[a].space.filesystem == s->drives[b].space.filesystem);
}

uint64_t
drive_promised_locked(const struct drive_set *s, unsigned slot, uint64_t but)
{
	uint64_t bytes = 0;

	for (unsigned n = 0; n < s->promise_count; n++)
		for (unsigned i = 0; s->promises[n].owner != but && i < s->count; i++)
			bytes += same_filesystem(s, i, slot) ? s->promises[n].bytes[i] : 0;
	return (bytes);
}

static bool
alone(const struct drive_set *s, uint64_t owner)
{
	return (s->promise_count == 0 || (s->promise_count == 1 && s->promises[0].owner == owner));
}

/* Half of the reserve is its to use: nobody else is promised anything, or nobody was then. */
static bool
want_halves(struct drive_set *s, const struct drive_want *w, unsigned slot)
{
	const struct promise *p = promise_find(s, w->owner);

	return ((w->leaves == DRIVE_LEAVES_HALF && alone(s, w->owner)) ||
	    (p != NULL && p->half && p->bytes[slot] > 0));
}

static uint64_t
want_leaves(struct drive_set *s, const struct drive_want *w, unsigned slot)
{
	if (w->leaves == DRIVE_LEAVES_NOTHING)
		return (0);
	if (want_halves(s, w, slot))
		return (drive_reserve_locked(s, slot, false) / 2);
	return (drive_reserve_locked(s, slot, true));
}

static int
want_check(struct drive_set *s, const struct drive_want *w, struct err *e)
{
	for (size_t i = 0; i < w->count; i++) {
		unsigned slot = w->slots[i];
		uint64_t bytes = 0, others = drive_promised_locked(s, slot, w->owner);
		int64_t room = drive_room_but(s, slot, want_leaves(s, w, slot));

		for (size_t j = 0; j < w->count; j++)
			bytes += same_filesystem(s, w->slots[j], slot) ? w->bytes : 0;
		if (room - (int64_t)others >= (int64_t)bytes)
			continue;
		if (room < (int64_t)bytes)
			return (err_set(e, ERR_FULL, "the drive in slot %u has no room for %llu "
			    "bytes%s", slot, (unsigned long long)bytes,
			    w->leaves == DRIVE_LEAVES_NOTHING ? "" : " above its reserve"));
		return (err_set(e, ERR_FULL, "the drive in slot %u has room for %lld bytes, and "
		    "%llu of them are promised to other tasks: none for %llu", slot,
		    (long long)room, (unsigned long long)others, (unsigned long long)bytes));
	}
	return (0);
}

int
drive_want_check(struct drive_set *s, const struct drive_want *w, struct err *e)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = want_check(s, w, e);
	pthread_mutex_unlock(&s->lock);
	return (rc);
}

static int
promise_make(struct drive_set *s, const struct drive_want *w, struct err *e)
{
	struct promise *p = promise_find(s, w->owner);
	bool half = w->count > 0 && want_halves(s, w, w->slots[0]);

	assert(w->owner != 0);
	if (p == NULL && s->promise_count == DRIVE_PROMISES_MAX)
		return (err_set(e, ERR_FULL, "%u tasks are promised room already",
		    DRIVE_PROMISES_MAX));
	if (p == NULL)
		p = &s->promises[s->promise_count++];
	*p = (struct promise){ .owner = w->owner, .half = half };
	for (size_t i = 0; i < w->count; i++)
		p->bytes[w->slots[i]] += w->bytes;
	return (0);
}

int
drive_promise(struct drive_set *s, const struct drive_want *w, bool anyway, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (!anyway)
		rc = want_check(s, w, e);
	if (rc == 0)
		rc = promise_make(s, w, e);
	pthread_mutex_unlock(&s->lock);
	return (rc);
}

void
drive_promise_take(struct drive_set *s, uint64_t owner, unsigned slot, uint64_t bytes)
{
	struct promise *p;

	assert(slot < s->count);
	pthread_mutex_lock(&s->lock);
	s->taken[slot] += bytes;
	p = promise_find(s, owner);
	if (p != NULL)
		p->bytes[slot] -= bytes < p->bytes[slot] ? bytes : p->bytes[slot];	/* A2 */
	pthread_mutex_unlock(&s->lock);
}

void
drive_promise_lower(struct drive_set *s, uint64_t owner, unsigned slot, uint64_t bytes)
{
	struct promise *p;

	assert(slot < s->count);
	pthread_mutex_lock(&s->lock);
	p = promise_find(s, owner);
	if (p != NULL && p->bytes[slot] > bytes)
		p->bytes[slot] = bytes;
	pthread_mutex_unlock(&s->lock);
}

void
drive_promise_end(struct drive_set *s, uint64_t owner)
{
	struct promise *p;

	pthread_mutex_lock(&s->lock);
	p = promise_find(s, owner);
	if (p != NULL)
		*p = s->promises[--s->promise_count];
	pthread_mutex_unlock(&s->lock);
}

bool
drive_promise_has(struct drive_set *s, uint64_t owner)
{
	bool has;

	pthread_mutex_lock(&s->lock);
	has = promise_find(s, owner) != NULL;
	pthread_mutex_unlock(&s->lock);
	return (has);
}

unsigned
drive_promises(struct drive_set *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->promise_count;
	pthread_mutex_unlock(&s->lock);
	return (n);
}

uint64_t
drive_promised(struct drive_set *s, unsigned slot)
{
	uint64_t bytes = 0;

	assert(slot < s->count);
	pthread_mutex_lock(&s->lock);
	for (unsigned n = 0; n < s->promise_count; n++)
		bytes += s->promises[n].bytes[slot];
	pthread_mutex_unlock(&s->lock);
	return (bytes);
}
