/*
 * md5 - see md5.h. RFC 1321, with the sum in G (its two halves have no bit in common) instead of
 * the RFC's or: so one of them is computed before the step that it waits for is done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/md5.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "libbase/bytes.h"

#define F(b, c, d)	((((c) ^ (d)) & (b)) ^ (d))
#define G(b, c, d)	(((b) & (d)) + ((c) & ~(d)))
#define H(b, c, d)	((b) ^ ((c) ^ (d)))
#define I(b, c, d)	((c) ^ ((b) | ~(d)))

/* Function, the four words in turn, word of the block, rotation, constant. */
#define STEPS(X)							\
	X(F, a, b, c, d, 0, 7, 0xd76aa478) \
	X(F, d, a, b, c, 1, 12, 0xe8c7b756) \
	X(F, c, d, a, b, 2, 17, 0x242070db) \
	X(F, b, c, d, a, 3, 22, 0xc1bdceee) \
	X(F, a, b, c, d, 4, 7, 0xf57c0faf) \
	X(F, d, a, b, c, 5, 12, 0x4787c62a) \
	X(F, c, d, a, b, 6, 17, 0xa8304613) \
	X(F, b, c, d, a, 7, 22, 0xfd469501) \
	X(F, a, b, c, d, 8, 7, 0x698098d8) \
	X(F, d, a, b, c, 9, 12, 0x8b44f7af) \
	X(F, c, d, a, b, 10, 17, 0xffff5bb1) \
	X(F, b, c, d, a, 11, 22, 0x895cd7be) \
	X(F, a, b, c, d, 12, 7, 0x6b901122) \
	X(F, d, a, b, c, 13, 12, 0xfd987193) \
	X(F, c, d, a, b, 14, 17, 0xa679438e) \
	X(F, b, c, d, a, 15, 22, 0x49b40821) \
	X(G, a, b, c, d, 1, 5, 0xf61e2562) \
	X(G, d, a, b, c, 6, 9, 0xc040b340) \
	X(G, c, d, a, b, 11, 14, 0x265e5a51) \
	X(G, b, c, d, a, 0, 20, 0xe9b6c7aa) \
	X(G, a, b, c, d, 5, 5, 0xd62f105d) \
	X(G, d, a, b, c, 10, 9, 0x02441453) \
	X(G, c, d, a, b, 15, 14, 0xd8a1e681) \
	X(G, b, c, d, a, 4, 20, 0xe7d3fbc8) \
	X(G, a, b, c, d, 9, 5, 0x21e1cde6) \
	X(G, d, a, b, c, 14, 9, 0xc33707d6) \
	X(G, c, d, a, b, 3, 14, 0xf4d50d87) \
	X(G, b, c, d, a, 8, 20, 0x455a14ed) \
	X(G, a, b, c, d, 13, 5, 0xa9e3e905) \
	X(G, d, a, b, c, 2, 9, 0xfcefa3f8) \
	X(G, c, d, a, b, 7, 14, 0x676f02d9) \
	X(G, b, c, d, a, 12, 20, 0x8d2a4c8a) \
	X(H, a, b, c, d, 5, 4, 0xfffa3942) \
	X(H, d, a, b, c, 8, 11, 0x8771f681) \
	X(H, c, d, a, b, 11, 16, 0x6d9d6122) \
	X(H, b, c, d, a, 14, 23, 0xfde5380c) \
	X(H, a, b, c, d, 1, 4, 0xa4beea44) \
	X(H, d, a, b, c, 4, 11, 0x4bdecfa9) \
	X(H, c, d, a, b, 7, 16, 0xf6bb4b60) \
	X(H, b, c, d, a, 10, 23, 0xbebfbc70) \
	X(H, a, b, c, d, 13, 4, 0x289b7ec6) \
	X(H, d, a, b, c, 0, 11, 0xeaa127fa) \
	X(H, c, d, a, b, 3, 16, 0xd4ef3085) \
	X(H, b, c, d, a, 6, 23, 0x04881d05) \
	X(H, a, b, c, d, 9, 4, 0xd9d4d039) \
	X(H, d, a, b, c, 12, 11, 0xe6db99e5) \
	X(H, c, d, a, b, 15, 16, 0x1fa27cf8) \
	X(H, b, c, d, a, 2, 23, 0xc4ac5665) \
	X(I, a, b, c, d, 0, 6, 0xf4292244) \
	X(I, d, a, b, c, 7, 10, 0x432aff97) \
	X(I, c, d, a, b, 14, 15, 0xab9423a7) \
	X(I, b, c, d, a, 5, 21, 0xfc93a039) \
	X(I, a, b, c, d, 12, 6, 0x655b59c3) \
	X(I, d, a, b, c, 3, 10, 0x8f0ccc92) \
	X(I, c, d, a, b, 10, 15, 0xffeff47d) \
	X(I, b, c, d, a, 1, 21, 0x85845dd1) \
	X(I, a, b, c, d, 8, 6, 0x6fa87e4f) \
	X(I, d, a, b, c, 15, 10, 0xfe2ce6e0) \
	X(I, c, d, a, b, 6, 15, 0xa3014314) \
	X(I, b, c, d, a, 13, 21, 0x4e0811a1) \
	X(I, a, b, c, d, 4, 6, 0xf7537e82) \
	X(I, d, a, b, c, 11, 10, 0xbd3af235) \
	X(I, c, d, a, b, 2, 15, 0x2ad7d2bb) \
	X(I, b, c, d, a, 9, 21, 0xeb86d391)

static inline uint32_t
rotate(uint32_t x, unsigned by)
{
	return (x << by | x >> (32 - by));
}

static void
blocks_one(uint32_t state[4], const uint8_t *p, size_t count)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];

#define STEP(f, a, b, c, d, word, by, constant)				\
	a += get_u32(p + 4 * (word)) + UINT32_C(constant);		\
	a += f(b, c, d);						\
	a = rotate(a, by) + b;
	for (; count > 0; count--, p += MD5_BLOCK_BYTES) {
		STEPS(STEP)
		a = state[0] += a;
		b = state[1] += b;
		c = state[2] += c;
		d = state[3] += d;
	}
#undef STEP
}

/* The same steps of x and y, each beside the other. */
static void
blocks_two(uint32_t x[4], const uint8_t *p, uint32_t y[4], const uint8_t *q, size_t count)
{
	uint32_t a = x[0], b = x[1], c = x[2], d = x[3];
	uint32_t ya = y[0], yb = y[1], yc = y[2], yd = y[3];

#define STEP(f, a, b, c, d, word, by, constant)				\
	a += get_u32(p + 4 * (word)) + UINT32_C(constant);		\
	y##a += get_u32(q + 4 * (word)) + UINT32_C(constant);		\
	a += f(b, c, d);						\
	y##a += f(y##b, y##c, y##d);					\
	a = rotate(a, by) + b;						\
	y##a = rotate(y##a, by) + y##b;
	for (; count > 0; count--, p += MD5_BLOCK_BYTES, q += MD5_BLOCK_BYTES) {
		STEPS(STEP)
		a = x[0] += a;
		b = x[1] += b;
		c = x[2] += c;
		d = x[3] += d;
		ya = y[0] += ya;
		yb = y[1] += yb;
		yc = y[2] += yc;
		yd = y[3] += yd;
	}
#undef STEP
}

void
md5_init(struct md5 *m)
{
	*m = (struct md5){ .state = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 } };
}

/* Makes the block that was begun whole, as far as data goes; how much of data it took. */
static size_t
rest_fill(struct md5 *m, const uint8_t *data, size_t bytes)
{
	size_t have = m->bytes % MD5_BLOCK_BYTES, take = MD5_BLOCK_BYTES - have;

	if (have == 0)
		return (0);
	if (take > bytes)
		take = bytes;
	memcpy(m->rest + have, data, take);
	m->bytes += take;
	if (m->bytes % MD5_BLOCK_BYTES == 0)
		blocks_one(m->state, m->rest, 1);
	return (take);
}

void
md5_update(struct md5 *m, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	size_t n;

	if (bytes == 0)
		return;
	n = rest_fill(m, p, bytes);
	p += n;
	bytes -= n;
	n = bytes / MD5_BLOCK_BYTES;
	blocks_one(m->state, p, n);
	m->bytes += bytes;
	memcpy(m->rest, p + n * MD5_BLOCK_BYTES, bytes % MD5_BLOCK_BYTES);
}

void
md5_update_two(struct md5 *a, const void *a_data, struct md5 *b, const void *b_data, size_t bytes)
{
	const uint8_t *p = a_data, *q = b_data;
	size_t p_taken, q_taken, n;

	assert(a != b);
	if (bytes == 0)
		return;
	p_taken = rest_fill(a, p, bytes);
	q_taken = rest_fill(b, q, bytes);
	n = (bytes - (p_taken > q_taken ? p_taken : q_taken)) / MD5_BLOCK_BYTES;
	if (a->bytes % MD5_BLOCK_BYTES != 0 || b->bytes % MD5_BLOCK_BYTES != 0)
		n = 0;	/* not enough to make the begun block whole */
	blocks_two(a->state, p + p_taken, b->state, q + q_taken, n);
	n *= MD5_BLOCK_BYTES;
	a->bytes += n;
	b->bytes += n;
	md5_update(a, p + p_taken + n, bytes - p_taken - n);
	md5_update(b, q + q_taken + n, bytes - q_taken - n);
}

void
md5_final(struct md5 *m, uint8_t out[MD5_BYTES])
{
	static const uint8_t padding[MD5_BLOCK_BYTES] = { 0x80 };
	size_t have = m->bytes % MD5_BLOCK_BYTES;
	uint8_t bits[8];
	unsigned i;

	put_u64(bits, m->bytes * 8);
	md5_update(m, padding, (have < 56 ? 56 : 120) - have);
	md5_update(m, bits, sizeof(bits));
	for (i = 0; i < 4; i++)
		put_u32(out + 4 * i, m->state[i]);
}
