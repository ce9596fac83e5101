/*
 * disk_content - what a file of the simulated disk holds: bytes up to the last one that is not
 * known to be zero, and a length. Space that was only allocated or filled with zeros costs nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_DISK_CONTENT_H
#define HF_TESTS_DISK_CONTENT_H

#include <stdbool.h>
#include <string.h>

#include "libbase/buf.h"

struct content {
	struct buf	 data;
	uint64_t	 bytes;
};

static inline bool
content_zeros(const void *data, uint64_t bytes)
{
	const uint8_t *p = data;

	return (bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0));
}

static inline void
content_resize(struct content *c, uint64_t bytes)
{
	if (bytes < c->data.bytes)
		c->data.bytes = bytes;
	c->bytes = bytes;
}

/* data NULL: zeros */
static inline void
content_write(struct content *c, uint64_t offset, const void *data, uint64_t bytes)
{
	if (offset + bytes > c->bytes)
		c->bytes = offset + bytes;
	if (data == NULL && offset >= c->data.bytes)
		return;
	if (offset + bytes > c->data.bytes) {
		size_t more = offset + bytes - c->data.bytes;

		memset(buf_extend(&c->data, more), 0, more);
	}
	if (data != NULL)
		memcpy(c->data.data + offset, data, bytes);
	else
		memset(c->data.data + offset, 0, bytes);
}

/* Returns how many bytes there were. */
static inline size_t
content_read(const struct content *c, uint64_t offset, void *out, size_t bytes)
{
	size_t n, there = 0;

	if (offset >= c->bytes)
		return (0);
	n = c->bytes - offset < bytes ? c->bytes - offset : bytes;
	if (offset < c->data.bytes) {
		there = c->data.bytes - offset < n ? c->data.bytes - offset : n;
		memcpy(out, c->data.data + offset, there);
	}
	memset((uint8_t *)out + there, 0, n - there);
	return (n);
}

static inline void
content_copy(struct content *to, const struct content *from)
{
	buf_reset(&to->data);
	buf_append(&to->data, from->data.data, from->data.bytes);
	to->bytes = from->bytes;
}

static inline void
content_flip(struct content *c, uint64_t offset)
{
	uint8_t byte = offset < c->data.bytes ? c->data.data[offset] ^ 0x10 : 0x10;

	content_write(c, offset, &byte, 1);
}

#endif
