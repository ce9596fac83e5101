/*
 * bytes - borrowed views of memory, fixed-width little- and big-endian numbers, hex, base64.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_BYTES_H
#define HF_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* A borrowed view: not owned, not terminated. */
struct slice {
	const void	*data;
	size_t		 bytes;
};

#define SLICE_NONE ((struct slice){ NULL, 0 })
#define SLICE(p, n) ((struct slice){ (p), (n) })
#define SLICE_LITERAL(s) ((struct slice){ (s), sizeof(s) - 1 })

static inline struct slice
slice_from_string(const char *s)
{
	return ((struct slice){ s, strlen(s) });
}

static inline bool
slice_equal(struct slice a, struct slice b)
{
	return (a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0));
}

/* <0, 0, >0 in byte order, shorter first. */
int slice_compare(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);

/* Little-endian, as on disk and in frames. */
static inline void
put_u16(void *p, uint16_t v)
{
	uint8_t *b = p;
	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void
put_u32(void *p, uint32_t v)
{
	put_u16(p, (uint16_t)v);
	put_u16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void
put_u64(void *p, uint64_t v)
{
	put_u32(p, (uint32_t)v);
	put_u32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t
get_u16(const void *p)
{
	const uint8_t *b = p;
	return ((uint16_t)(b[0] | b[1] << 8));
}

static inline uint32_t
get_u32(const void *p)
{
	return ((uint32_t)get_u16(p) | (uint32_t)get_u16((const uint8_t *)p + 2) << 16);
}

static inline uint64_t
get_u64(const void *p)
{
	return ((uint64_t)get_u32(p) | (uint64_t)get_u32((const uint8_t *)p + 4) << 32);
}

/* Big-endian, for keys that must sort as numbers. */
static inline void
put_be16(void *p, uint16_t v)
{
	uint8_t *b = p;
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static inline void
put_be32(void *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16((uint8_t *)p + 2, (uint16_t)v);
}

static inline void
put_be64(void *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32((uint8_t *)p + 4, (uint32_t)v);
}

static inline uint16_t
get_be16(const void *p)
{
	const uint8_t *b = p;
	return ((uint16_t)(b[0] << 8 | b[1]));
}

static inline uint32_t
get_be32(const void *p)
{
	return ((uint32_t)get_be16(p) << 16 | get_be16((const uint8_t *)p + 2));
}

static inline uint64_t
get_be64(const void *p)
{
	return ((uint64_t)get_be32(p) << 32 | get_be32((const uint8_t *)p + 4));
}

/* Lower-case hex of `bytes` bytes into out[2 * bytes + 1], terminated. */
void hex_encode(const void *data, size_t bytes, char *out);
/* Exactly `bytes` bytes from 2 * bytes hex digits of either case; 0, or ERR_INVALID. */
int hex_decode(const char *text, size_t text_bytes, void *out, size_t bytes);
/* Base64 with padding into out[4 * ((bytes + 2) / 3) + 1], terminated. */
void base64_encode(const void *data, size_t bytes, char *out);
/* Strict base64; returns the number of bytes written, or ERR_INVALID (also when over out_max). */
ssize_t base64_decode(const char *text, size_t text_bytes, void *out, size_t out_max);
/* A decimal number without sign or blanks, at most max; 0, or ERR_INVALID. */
int u64_parse(const char *text, size_t text_bytes, uint64_t max, uint64_t *out);
/* True if the bytes are well-formed UTF-8 without NUL. */
bool utf8_valid(struct slice s);
/* Fills from getrandom(2); cannot fail. */
void random_bytes(void *out, size_t bytes);

#endif
