/*
 * memory - one bound for the bytes of all bodies in flight in this process.
 *
 * M1  used <= max, except for one piece: it is let through when nothing is used, so that a bound
 *     below one row slows everybody down and stops nobody; or for M3.
 * M2  Waiters are served in order, holders first; nobody takes memory past them.
 * M3  A body with one buffer goes on with it. Who must have more and holds some already (an inline
 *     body that outgrows its buffer) is a holder: it may pass the bound, one at a time, so that
 *     holders never wait for each other.
 * M4  Buffers that came back are handed out again before new ones are made: fresh pages cost more
 *     than reading into them. At most BUFFERS_IDLE_BYTES lie idle, and they are not counted in
 *     used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/objects_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/volume/volume.h"

static bool
memory_fits(const struct memory *m, size_t bytes, bool holder)
{
	/* M1 */
	return (m->used == 0 || m->used + bytes <= m->max || (holder && m->used <= m->max));
}

bool
memory_take(struct objects *o, size_t bytes)
{
	struct memory *m = &o->memory;

	if (!TAILQ_EMPTY(&m->waiters) || !memory_fits(m, bytes, false))	/* M2 */
		return (false);
	m->used += bytes;
	return (true);
}

static void
memory_serve(void *context)
{
	struct objects *o = context;
	struct memory *m = &o->memory;
	struct memory_waiter *w;

	while ((w = TAILQ_FIRST(&m->waiters)) != NULL && memory_fits(m, w->bytes, w->holder)) {
		TAILQ_REMOVE(&m->waiters, w, entry);
		w->waiting = false;
		m->used += w->bytes;
		w->fn(w->context);
	}
}

static void
memory_serve_soon(struct objects *o)
{
	if (!TAILQ_EMPTY(&o->memory.waiters))
		soon_run(o, &o->memory.wake, memory_serve, o);
}

void
memory_wait(struct objects *o, struct memory_waiter *w, size_t bytes, bool holder, soon_fn *fn,
    void *context)
{
	assert(!w->waiting);
	*w = (struct memory_waiter){ .bytes = bytes, .holder = holder, .fn = fn, .context = context,
	    .waiting = true };
	if (holder)
		TAILQ_INSERT_HEAD(&o->memory.waiters, w, entry);
	else
		TAILQ_INSERT_TAIL(&o->memory.waiters, w, entry);
	memory_serve_soon(o);
}

void
memory_cancel(struct objects *o, struct memory_waiter *w)
{
	if (!w->waiting)
		return;
	TAILQ_REMOVE(&o->memory.waiters, w, entry);
	w->waiting = false;
	memory_serve_soon(o);
}

void
memory_give(struct objects *o, size_t bytes)
{
	assert(o->memory.used >= bytes);
	o->memory.used -= bytes;
	memory_serve_soon(o);
}

/* --- Buffers (M4), with the lock. --- */

static void *
buffer_remove(struct buffers *b, struct buffer_stack *s, unsigned i)
{
	void *memory = s->idle[i].memory;

	b->idle_bytes -= s->idle[i].bytes;
	memmove(&s->idle[i], &s->idle[i + 1], (--s->count - i) * sizeof(s->idle[0]));
	return (memory);
}

/* The one that came back last; NULL: none fits. */
static void *
buffer_find(struct buffers *b, struct buffer_stack *s, size_t want, size_t *bytes)
{
	unsigned i;

	for (i = s->count; i-- > 0; )
		if (s->idle[i].bytes >= want && s->idle[i].bytes <= 2 * want) {
			*bytes = s->idle[i].bytes;
			return (buffer_remove(b, s, i));
		}
	return (NULL);
}

/* Of a size that is not asked for any more, or of another owner. */
static void
buffer_drop(struct buffers *b, struct buffer_stack *s)
{
	unsigned i;

	for (i = 0; s->count == 0; i++)
		s = &b->stacks[i];
	free(buffer_remove(b, s, 0));
}

void *
buffer_get(struct objects *o, unsigned owner, size_t *bytes)
{
	struct buffers *b = &o->buffers;
	size_t want = (*bytes + VOLUME_ALIGN_BYTES - 1) / VOLUME_ALIGN_BYTES * VOLUME_ALIGN_BYTES;
	void *memory;
	unsigned i;

	pthread_mutex_lock(&b->lock);
	memory = buffer_find(b, &b->stacks[owner], want, bytes);
	for (i = 0; memory == NULL && i < BUFFERS_OWNERS; i++)
		memory = buffer_find(b, &b->stacks[i], want, bytes);
	pthread_mutex_unlock(&b->lock);
	if (memory != NULL)
		return (memory);
	memory = aligned_alloc(VOLUME_ALIGN_BYTES, want);
	if (memory == NULL)
		abort();
	*bytes = want;
	return (memory);
}

void
buffer_put(struct objects *o, unsigned owner, void *memory, size_t bytes)
{
	struct buffers *b = &o->buffers;
	struct buffer_stack *s = &b->stacks[owner];

	if (memory == NULL)
		return;
	if (bytes > BUFFERS_IDLE_BYTES) {
		free(memory);
		return;
	}
	pthread_mutex_lock(&b->lock);
	while (s->count == BUFFERS_IDLE_MAX || b->idle_bytes + bytes > BUFFERS_IDLE_BYTES)
		buffer_drop(b, s);
	s->idle[s->count].memory = memory;
	s->idle[s->count++].bytes = bytes;
	b->idle_bytes += bytes;
	pthread_mutex_unlock(&b->lock);
}

void
buffers_init(struct objects *o)
{
	pthread_mutex_init(&o->buffers.lock, NULL);
}

void
buffers_release(struct objects *o)
{
	struct buffers *b = &o->buffers;

	while (b->idle_bytes > 0)
		buffer_drop(b, &b->stacks[0]);
	pthread_mutex_destroy(&b->lock);
}
