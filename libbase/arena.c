/*
 * arena - memory of one request, freed in one go, with a bound.
 *
 * A chunk holds many pieces; the first chunk is kept over a reset. Under ASan every piece is a
 * chunk of its own, so that the sanitizer sees its edges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_BYTES 8128	/* with header and malloc's own, under two pages */
#define ALIGNMENT   16

struct arena_chunk {
	struct arena_chunk	*next;
	size_t			 used, capacity;
	_Alignas(ALIGNMENT) uint8_t data[];
};

void
arena_init(struct arena *a, size_t bytes_max)
{
	*a = (struct arena){ .bytes_max = bytes_max };
}

void
arena_reset(struct arena *a)
{
	struct arena_chunk *kept = NULL, *c, *next;

	for (c = a->chunks; c != NULL; c = next) {
		next = c->next;
		if (kept == NULL && c->capacity == CHUNK_BYTES)
			kept = c;
		else
			free(c);
	}
	if (kept != NULL) {
		kept->next = NULL;
		kept->used = 0;
	}
	a->chunks = kept;
	a->bytes = 0;
}

void
arena_release(struct arena *a)
{
	struct arena_chunk *c, *next;

	for (c = a->chunks; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	a->chunks = NULL;
	a->bytes = 0;
}

/* A chunk with room for bytes at its head; a large piece gets one of its own size. */
static struct arena_chunk *
chunk_new(struct arena *a, size_t bytes)
{
	size_t capacity = ARENA_PIECE_PER_CHUNK || bytes > CHUNK_BYTES / 4 ? bytes : CHUNK_BYTES;
	struct arena_chunk *c = malloc(sizeof(*c) + capacity);

	if (c == NULL)
		abort();
	c->used = 0;
	c->capacity = capacity;
	/* A chunk with space left stays in front. */
	if (a->chunks != NULL && capacity != CHUNK_BYTES) {
		c->next = a->chunks->next;
		a->chunks->next = c;
	} else {
		c->next = a->chunks;
		a->chunks = c;
	}
	return (c);
}

void *
arena_alloc(struct arena *a, size_t bytes)
{
	struct arena_chunk *c = a->chunks;
	size_t padding;
	void *p;

	if (bytes > a->bytes_max - a->bytes)
		return (NULL);
	padding = c == NULL ? 0 : -c->used & (ALIGNMENT - 1);
	if (c == NULL || c->capacity - c->used < padding ||
	    c->capacity - c->used - padding < bytes) {
		c = chunk_new(a, bytes);
		padding = 0;
	}
	p = c->data + c->used + padding;
	c->used += padding + bytes;
	assert(c->used <= c->capacity);
	a->bytes += bytes;
	memset(p, 0, bytes);
	return (p);
}

char *
arena_string(struct arena *a, struct slice s)
{
	char *p = arena_alloc(a, s.bytes + 1);

	if (p != NULL && s.bytes > 0)
		memcpy(p, s.data, s.bytes);
	return (p);
}

struct slice
arena_slice(struct arena *a, struct slice s)
{
	return ((struct slice){ arena_string(a, s), s.bytes });
}

char *
arena_printf(struct arena *a, const char *format, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	assert(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	if (p == NULL)
		return (NULL);
	va_start(ap, format);
	vsnprintf(p, (size_t)n + 1, format, ap);
	va_end(ap);
	return (p);
}
