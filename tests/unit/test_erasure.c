/*
 * test_erasure - every loss that k of n units must survive, for every small k and m, and the bytes
 * of one known stripe (they are part of the disk format).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/checksum.h"
#include "libbase/erasure.h"
#include "libbase/err.h"

struct row {
	uint8_t	*units[ERASURE_UNITS_MAX], *copies[ERASURE_UNITS_MAX];
	unsigned n;
	size_t	 bytes;
};

static void
row_init(struct row *r, const struct erasure *c, unsigned k, unsigned m, size_t bytes)
{
	unsigned i;

	r->n = k + m;
	r->bytes = bytes;
	for (i = 0; i < r->n; i++) {
		r->units[i] = malloc(bytes + 1);
		r->copies[i] = malloc(bytes + 1);
		random_bytes(r->units[i], bytes);
	}
	erasure_encode(c, bytes, r->units);
	for (i = 0; i < r->n; i++)
		memcpy(r->copies[i], r->units[i], bytes);
}

static void
row_release(struct row *r)
{
	unsigned i;

	for (i = 0; i < r->n; i++) {
		free(r->units[i]);
		free(r->copies[i]);
	}
}

static void
lose_and_rebuild(const struct erasure *c, struct row *r, uint32_t lost)
{
	uint32_t all = (1u << r->n) - 1;
	unsigned i;

	for (i = 0; i < r->n; i++)
		if (lost >> i & 1)
			memset(r->units[i], 0xee, r->bytes);
	cr_assert_eq(erasure_rebuild(c, r->bytes, all & ~lost, lost, r->units), 0);
	for (i = 0; i < r->n; i++)
		cr_assert_arr_eq(r->units[i], r->copies[i], r->bytes);
}

static void
try_every_loss(unsigned k, unsigned m, size_t bytes)
{
	struct erasure *c = erasure_new(k, m);
	struct row r;
	uint32_t lost;

	row_init(&r, c, k, m, bytes);
	for (lost = 0; lost < 1u << (k + m); lost++) {
		unsigned count = (unsigned)__builtin_popcount(lost);

		if (count <= m)
			lose_and_rebuild(c, &r, lost);
		else if (count == m + 1)
			cr_assert_eq(erasure_rebuild(c, bytes, ((1u << (k + m)) - 1) & ~lost, lost,
			    r.units), ERR_NO_QUORUM);
	}
	row_release(&r);
	erasure_free(c);
}

Test(erasure, every_loss_of_every_small_shape)
{
	unsigned k, m;

	for (k = 1; k <= 6; k++)
		for (m = 0; m <= 4; m++)
			try_every_loss(k, m, 64 + k + m);
}

Test(erasure, odd_lengths)
{
	size_t bytes;

	for (bytes = 0; bytes < 200; bytes += 1 + bytes / 16)
		try_every_loss(4, 2, bytes);
}

Test(erasure, the_largest_shapes)
{
	try_every_loss(12, 4, 100);
	try_every_loss(8, 8, 33);
	try_every_loss(16, 0, 16);
}

Test(erasure, only_what_is_asked_for_is_written)
{
	struct erasure *c = erasure_new(4, 2);
	struct row r;

	row_init(&r, c, 4, 2, 128);
	memset(r.units[1], 0, 128);	/* absent and not asked for */
	memset(r.units[2], 0, 128);
	cr_assert_eq(erasure_rebuild(c, 128, 0x39, 1u << 2, r.units), 0);
	cr_assert_arr_eq(r.units[2], r.copies[2], 128);
	cr_assert_eq(r.units[1][5], 0);
	row_release(&r);
	erasure_free(c);
}

Test(erasure, known_parity)
{
	struct erasure *c = erasure_new(4, 2);
	uint8_t data[6][32], *units[6];
	unsigned i, j;

	for (i = 0; i < 6; i++)
		for (units[i] = data[i], j = 0; j < 32; j++)
			data[i][j] = (uint8_t)(i * 32 + j);
	erasure_encode(c, 32, units);
	cr_assert_eq(crc32c(0, data[4], 32), 0xdca70644u);
	cr_assert_eq(crc32c(0, data[5], 32), 0x7c9794d5u);
	erasure_free(c);
}

Test(erasure, shape_out_of_range_is_a_bug, .signal = SIGABRT)
{
	erasure_new(12, 5);
}
