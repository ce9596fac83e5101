/*
 * isal - the only file that includes ISA-L: CRCs of checksum.h and Reed-Solomon of erasure.h.
 *
 * I1  The encoding matrix is systematic: unit i < k is the data itself.
 * I2  Every k rows of it are independent (Cauchy), so any k units give all others.
 * I3  The matrix is a function of k and m alone. It is part of the disk format.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <isa-l.h>

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/checksum.h"
#include "libbase/erasure.h"
#include "libbase/err.h"

#define PARITY_MAX  8
#define TABLE_BYTES 32	/* of one coefficient, see ec_init_tables */

struct erasure {
	unsigned	k, m;
	uint8_t		matrix[ERASURE_UNITS_MAX * ERASURE_UNITS_MAX];
	uint8_t		tables[TABLE_BYTES * ERASURE_UNITS_MAX * PARITY_MAX];
};

uint32_t
crc32c(uint32_t crc, const void *data, size_t bytes)
{
	/* only read; the prototype lacks const */
	unsigned char *p = (unsigned char *)(uintptr_t)data;

	crc = ~crc;
	while (bytes > 0) {
		int n = bytes > INT_MAX ? INT_MAX : (int)bytes;

		crc = crc32_iscsi(p, n, crc);
		p += n;
		bytes -= (size_t)n;
	}
	return (~crc);
}

uint32_t
crc32_reflected(uint32_t crc, const void *data, size_t bytes)
{
	return (bytes == 0 ? crc : crc32_gzip_refl(crc, data, bytes));
}

uint32_t
crc32c_seed(uint64_t a, uint64_t b)
{
	uint8_t place[16];

	put_u64(place, a);
	put_u64(place + 8, b);
	return (crc32c(0, place, sizeof(place)));
}

struct erasure *
erasure_new(unsigned k, unsigned m)
{
	struct erasure *c;

	assert(k >= 1 && m <= PARITY_MAX && k + m <= ERASURE_UNITS_MAX);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		abort();
	c->k = k;
	c->m = m;
	gf_gen_cauchy1_matrix(c->matrix, (int)(k + m), (int)k);
	if (m > 0)
		ec_init_tables((int)k, (int)m, c->matrix + k * k, c->tables);
	return (c);
}

void
erasure_free(struct erasure *c)
{
	free(c);
}

void
erasure_encode(const struct erasure *c, size_t bytes, uint8_t *const units[])
{
	uint8_t *pointers[ERASURE_UNITS_MAX];

	assert(bytes <= INT_MAX);
	if (c->m == 0 || bytes == 0)
		return;
	memcpy(pointers, units, (c->k + c->m) * sizeof(units[0]));
	ec_encode_data((int)bytes, (int)c->k, (int)c->m, (uint8_t *)(uintptr_t)c->tables, pointers,
	    pointers + c->k);
}

/* The first k units of `present` as row numbers; false with fewer. */
static int
erasure_sources(const struct erasure *c, uint32_t present, unsigned rows[])
{
	unsigned i, n = 0;

	for (i = 0; i < c->k + c->m && n < c->k; i++)
		if (present >> i & 1)
			rows[n++] = i;
	return (n == c->k);
}

/* The row that gives unit `lost` from the sources whose inverted matrix is `inverse`. */
static void
erasure_row(const struct erasure *c, const uint8_t *inverse, unsigned lost, uint8_t *row)
{
	unsigned i, j;

	if (lost < c->k) {	/* I1 */
		memcpy(row, inverse + lost * c->k, c->k);
		return;
	}
	memset(row, 0, c->k);
	for (i = 0; i < c->k; i++)
		for (j = 0; j < c->k; j++)
			row[i] ^= gf_mul(c->matrix[lost * c->k + j], inverse[j * c->k + i]);
}

int
erasure_rebuild(const struct erasure *c, size_t bytes, uint32_t present, uint32_t lost,
    uint8_t *const units[])
{
	uint8_t chosen[ERASURE_UNITS_MAX * ERASURE_UNITS_MAX];
	uint8_t inverse[ERASURE_UNITS_MAX * ERASURE_UNITS_MAX];
	uint8_t rows[PARITY_MAX * ERASURE_UNITS_MAX];
	uint8_t tables[TABLE_BYTES * ERASURE_UNITS_MAX * PARITY_MAX];
	uint8_t *sources[ERASURE_UNITS_MAX], *targets[PARITY_MAX];
	unsigned source_rows[ERASURE_UNITS_MAX], i, n = 0;
	int singular;

	assert(bytes <= INT_MAX);
	assert(lost >> (c->k + c->m) == 0);
	if (!erasure_sources(c, present & ~lost, source_rows))
		return (ERR_NO_QUORUM);
	if (lost == 0 || bytes == 0)
		return (0);
	for (i = 0; i < c->k; i++) {
		memcpy(chosen + i * c->k, c->matrix + source_rows[i] * c->k, c->k);
		sources[i] = units[source_rows[i]];
	}
	singular = gf_invert_matrix(chosen, inverse, (int)c->k);
	assert(!singular);	/* I2 */
	for (i = 0; i < c->k + c->m; i++) {
		if (!(lost >> i & 1))
			continue;
		assert(n < c->m);	/* k present, so at most m lost */
		erasure_row(c, inverse, i, rows + n * c->k);
		targets[n++] = units[i];
	}
	ec_init_tables((int)c->k, (int)n, rows, tables);
	ec_encode_data((int)bytes, (int)c->k, (int)n, tables, sources, targets);
	return (0);
}
