/*
 * buf - a growable byte buffer. Growth failure ends the process (allocation is an internal matter;
 * what comes from outside is bounded before it reaches a buf).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_BUF_H
#define HF_BASE_BUF_H

#include "libbase/bytes.h"

struct buf {
	uint8_t	*data;
	size_t	 bytes;		/* in use */
	size_t	 capacity;
};

#define BUF_INIT { NULL, 0, 0 }

/* Keeps the memory. */
static inline void
buf_reset(struct buf *b)
{
	b->bytes = 0;
}

void buf_release(struct buf *b);			/* frees; b is BUF_INIT again */
void *buf_reserve(struct buf *b, size_t more);		/* room for `more`; returns the end */
/* reserves, counts; returns the start of it */
void *buf_extend(struct buf *b, size_t more);
void buf_append(struct buf *b, const void *data, size_t bytes);
void buf_append_slice(struct buf *b, struct slice s);
void buf_append_string(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t bytes);		/* drops from the front */
char *buf_string(struct buf *b);			/* terminated (NUL not counted); borrowed */

static inline struct slice
buf_slice(const struct buf *b)
{
	return ((struct slice){ b->data, b->bytes });
}

#endif
