/*
 * bench_volume - what a row costs: encoding (parity and trailers), checking, rebuilding; beside
 * memcpy of the same bytes in the same run, because only ratios travel between machines. Usage:
 * bench_volume [k m [MiB]]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/clock.h"
#include "libstore/volume/volume.h"

struct bench {
	unsigned	 k, m;
	struct erasure	*code;
	Hf__Extent	 extent;
	struct volume_row row;
	uint8_t		*units[ERASURE_UNITS_MAX], *copy;
};

typedef void step_fn(struct bench *b);

static void
step_copy(struct bench *b)
{
	unsigned i;

	for (i = 0; i < b->k; i++)
		memcpy(b->copy + (size_t)i * VOLUME_UNIT_BYTES, b->units[i], VOLUME_UNIT_BYTES);
}

static void
step_encode(struct bench *b)
{
	volume_row_encode(b->code, b->k, b->m, &b->extent, &b->row, b->units);
}

static void
step_check(struct bench *b)
{
	unsigned i;

	for (i = 0; i < b->k; i++)
		if (volume_unit_check(&b->extent, &b->row, i, b->units[i], NULL) < 0)
			abort();
}

static void
step_rebuild(struct bench *b)
{
	uint32_t all = (1u << (b->k + b->m)) - 1, lost = (1u << b->m) - 1;

	if (erasure_rebuild(b->code, VOLUME_PAYLOAD_BYTES, all & ~lost, lost, b->units) < 0)
		abort();
}

static double
measure(struct bench *b, step_fn *step, uint64_t bytes)
{
	uint64_t rounds = bytes / b->row.body_bytes + 1, i, begin;

	step(b);
	begin = clock_mono_ns();
	for (i = 0; i < rounds; i++)
		step(b);
	return ((double)(rounds * b->row.body_bytes) / (double)(clock_mono_ns() - begin));
}

int
main(int argc, char **argv)
{
	struct bench b = { .k = 4, .m = 2 };
	uint64_t bytes = UINT64_C(512) << 20;
	double copy;
	unsigned i;

	if (argc >= 3) {
		b.k = (unsigned)strtoul(argv[1], NULL, 10);
		b.m = (unsigned)strtoul(argv[2], NULL, 10);
	}
	if (argc >= 4)
		bytes = strtoull(argv[3], NULL, 10) << 20;
	if (b.k < 1 || b.m > 8 || b.m > b.k || b.k + b.m > ERASURE_UNITS_MAX) {
		fprintf(stderr, "usage: bench_volume [k m [MiB]], m <= 8, m <= k, k + m <= 16\n");
		return (2);
	}
	b.code = erasure_new(b.k, b.m);
	hf__extent__init(&b.extent);
	b.extent.volume = 1;
	b.extent.write_id = 2;
	b.extent.bytes = volume_row_body_bytes(b.k);
	volume_row_get(b.k, &b.extent, 0, &b.row);
	b.copy = malloc((size_t)b.k * VOLUME_UNIT_BYTES);
	for (i = 0; i < b.k + b.m; i++) {
		b.units[i] = aligned_alloc(4096, VOLUME_UNIT_BYTES);
		random_bytes(b.units[i], VOLUME_UNIT_BYTES);
	}
	copy = measure(&b, step_copy, bytes);
	printf("%u+%u, GB of body per second and core: memcpy %.2f\n", b.k, b.m, copy);
	printf("  encode  %6.2f  (%.2f of memcpy)\n", measure(&b, step_encode, bytes),
	    measure(&b, step_encode, bytes) / copy);
	printf("  check   %6.2f\n", measure(&b, step_check, bytes));
	if (b.m > 0)
		printf("  rebuild %6.2f  (%u units lost)\n", measure(&b, step_rebuild, bytes), b.m);
	return (0);
}
