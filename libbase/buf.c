/*
 * buf - a growable byte buffer. Capacity doubles, so that appending costs constant time a byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPACITY_MIN 64

void
buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void *
buf_reserve(struct buf *b, size_t more)
{
	size_t capacity = b->capacity < CAPACITY_MIN ? CAPACITY_MIN : b->capacity;

	assert(b->bytes <= b->capacity);
	assert(more <= SIZE_MAX / 4 - b->bytes);
	if (b->data != NULL && b->capacity - b->bytes >= more)
		return (b->data + b->bytes);
	while (capacity - b->bytes < more)
		capacity *= 2;
	b->data = realloc(b->data, capacity);
	if (b->data == NULL)
		abort();
	b->capacity = capacity;
	return (b->data + b->bytes);
}

void *
buf_extend(struct buf *b, size_t more)
{
	void *start = buf_reserve(b, more);

	b->bytes += more;
	return (start);
}

void
buf_append(struct buf *b, const void *data, size_t bytes)
{
	if (bytes > 0)
		memcpy(buf_extend(b, bytes), data, bytes);
}

void
buf_append_slice(struct buf *b, struct slice s)
{
	buf_append(b, s.data, s.bytes);
}

void
buf_append_string(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void
buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	assert(n >= 0);
	buf_reserve(b, (size_t)n + 1);
	va_start(ap, format);
	vsnprintf((char *)b->data + b->bytes, (size_t)n + 1, format, ap);
	va_end(ap);
	b->bytes += (size_t)n;
}

void
buf_consume(struct buf *b, size_t bytes)
{
	assert(bytes <= b->bytes);
	if (bytes == 0)
		return;
	b->bytes -= bytes;
	memmove(b->data, b->data + bytes, b->bytes);
}

char *
buf_string(struct buf *b)
{
	*(char *)buf_reserve(b, 1) = '\0';
	return ((char *)b->data);
}
