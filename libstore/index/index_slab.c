/*
 * index_slab - see index_slab.h.
 *
 * B1  A chunk is cut by one thread, also while two slabs have it as their last; then others only
 *     hold it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_slab.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CHUNK_BYTES_MIN		((size_t)4 * 1024)
#define CHUNK_BYTES_MAX		((size_t)64 * 1024)

struct slab_chunk {
	_Atomic unsigned	refs;
	size_t			used, bytes;
	alignas(16) char	memory[];
};

static void
chunk_put(struct slab_chunk *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		free(c);
}

static void
slab_hold(struct slab *s, struct slab_chunk *c)
{
	if (s->count == s->capacity) {
		s->capacity = s->capacity == 0 ? 8 : 2 * s->capacity;
		s->chunks = reallocarray(s->chunks, s->capacity, sizeof(struct slab_chunk *));
		if (s->chunks == NULL)
			abort();
	}
	s->chunks[s->count++] = c;
}

static struct slab_chunk *
chunk_new(size_t bytes)
{
	struct slab_chunk *c = malloc(sizeof(*c) + bytes);

	if (c == NULL)
		abort();
	atomic_init(&c->refs, 1);
	c->used = 0;
	c->bytes = bytes;
	return (c);
}

/* The first is small: most layers are. */
static struct slab_chunk *
slab_grow(struct slab *s, size_t bytes)
{
	size_t most = s->count == 0 ? CHUNK_BYTES_MIN : CHUNK_BYTES_MAX;

	slab_hold(s, chunk_new(bytes > most ? bytes : most));
	return (s->chunks[s->count - 1]);
}

void *
slab_cut(struct slab *s, size_t bytes)
{
	struct slab_chunk *c = s->count > 0 ? s->chunks[s->count - 1] : NULL;
	void *out;

	bytes = (bytes + 15) & ~(size_t)15;
	if (c == NULL || c->bytes - c->used < bytes)
		c = slab_grow(s, bytes);
	out = c->memory + c->used;
	c->used += bytes;
	return (out);
}

void
slab_take(struct slab *to, struct slab *from)
{
	struct slab_chunk *last;

	if (from->count == 0)
		return;
	last = from->chunks[from->count - 1];
	for (size_t i = 0; i < from->count; i++)
		if (to->count == 0 || to->chunks[to->count - 1] != from->chunks[i])
			slab_hold(to, from->chunks[i]);
		else
			chunk_put(from->chunks[i]);	/* it was taken before, in part */
	from->count = 0;
	if (last->bytes - last->used < CHUNK_BYTES_MIN / 4)
		return;
	atomic_fetch_add_explicit(&last->refs, 1, memory_order_relaxed);
	slab_hold(from, last);
}

/* One that nobody else holds is kept, to be cut again. */
void
slab_reset(struct slab *s)
{
	struct slab_chunk *last = s->count > 0 ? s->chunks[s->count - 1] : NULL;

	for (size_t i = 0; i + 1 < s->count; i++)
		chunk_put(s->chunks[i]);
	s->count = 0;
	if (last == NULL)
		return;
	if (atomic_load_explicit(&last->refs, memory_order_acquire) == 1 &&
	    last->bytes <= CHUNK_BYTES_MAX) {
		last->used = 0;
		slab_hold(s, last);
	} else {
		chunk_put(last);
	}
}

void
slab_release(struct slab *s)
{
	for (size_t i = 0; i < s->count; i++)
		chunk_put(s->chunks[i]);
	free(s->chunks);
	*s = (struct slab){ 0 };
}
