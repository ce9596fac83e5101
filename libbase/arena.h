/*
 * arena - memory of one request, freed in one go, with a bound.
 *
 * Under ASan each piece is a malloc of its own, so that the sanitizer sees its edges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_ARENA_H
#define HF_BASE_ARENA_H

#include "libbase/bytes.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_PIECE_PER_CHUNK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_PIECE_PER_CHUNK 1
#endif
#endif
#ifndef ARENA_PIECE_PER_CHUNK
#define ARENA_PIECE_PER_CHUNK 0
#endif

struct arena_chunk;
struct arena {
	struct arena_chunk	*chunks;
	size_t			 bytes;		/* handed out */
	size_t			 bytes_max;
};

/* bytes_max bounds what the arena hands out; past it arena_alloc returns NULL. */
void arena_init(struct arena *a, size_t bytes_max);
void arena_reset(struct arena *a);		/* frees pieces, keeps one chunk */
void arena_release(struct arena *a);
/* zeroed, 16-aligned; NULL at the bound */
void *arena_alloc(struct arena *a, size_t bytes);
/* terminated copy; NULL at the bound */
char *arena_string(struct arena *a, struct slice s);
struct slice arena_slice(struct arena *a, struct slice s);	/* copy; data NULL at the bound */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
