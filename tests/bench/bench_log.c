/*
 * bench_log - durable appends: log.h with 1, 16 and 64 waiting appenders, beside a bare loop
 * that writes the same batches to as many prewritten files, one thread for each, pwritev and
 * fdatasync.
 *
 * usage: bench_log DIR [ROUNDS [BYTES]]	makes four drives and the bare files in DIR, and
 * leaves DIR empty
 *
 * Both sides commit in turns: everyone who waits is in one batch, and appends again when it is
 * durable. The sides take turns of a few batches, so that both see the same drives at the same
 * time. The bare loop's batch has the encoded bytes of the same records, rounded up to a sector as
 * the log does; it neither packs nor sums them.
 *
 * Twice: on blocks that were written before (the log's keeper does that while the log is quiet; the
 * bare loop writes its file before it starts), and on blocks that are only allocated, as when a
 * burst outlasts what was prepared: then each sync waits for the file system's journal, on both
 * sides.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libstore/format/record.h"
#include "libstore/log/segment.h"
#include "tests/bench/bare.h"
#include "tests/bench/log_side.h"

#define META_BYTES	160
#define ROUNDS_MAX	100000
#define SLICES		20
#define FILE_BYTES	(UINT64_C(256) << 20)
#define SEGMENT_BYTES	(UINT64_C(512) << 20)
#define WARM_BYTES	(UINT64_C(9) << 20)	/* more than half of what a first segment has */
#define PREPARE_MS_MAX	60000
#define FLOOR		0.70

static char directory[2048];
static uint64_t took[2][ROUNDS_MAX];	/* ns of each batch, by side */
static unsigned taken[2];

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

/* --- the log ---------------------------------------------------------------------------------- */

static void
log_run(struct log_side *s, unsigned appenders, unsigned rounds)
{
	while (rounds-- > 0) {
		uint64_t begin = clock_mono_ns();

		log_side_batch(s, appenders);
		took[1][taken[1]++] = clock_mono_ns() - begin;
	}
}

/* --- figures ---------------------------------------------------------------------------------- */

static int
order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return ((x > y) - (x < y));
}

static double
figures(const char *name, unsigned side, unsigned appenders)
{
	uint64_t sum = 0, *t = took[side];
	unsigned n = taken[side], i;

	for (i = 0; i < n; i++)
		sum += t[i];
	qsort(t, n, sizeof(*t), order);
	printf("  %-5s %9.0f records/s   batch p50 %6.0f us  p99 %6.0f us\n", name,
	    (double)n * appenders * 1e9 / (double)sum, (double)t[n / 2] / 1e3,
	    (double)t[(uint64_t)n * 99 / 100] / 1e3);
	return ((double)sum / n);
}

/* Until the log has so much prepared; it begins when half of the first piece is used. */
static void
log_prepare(struct log_side *s, uint64_t bytes)
{
	uint64_t deadline = clock_mono_ms() + PREPARE_MS_MAX;
	struct log_stats t;

	for (log_stats(s->log, &t); t.bytes < WARM_BYTES; log_stats(s->log, &t))
		log_run(s, 64, 1);
	while (t.prewritten < bytes && clock_mono_ms() < deadline) {
		usleep(100000);
		log_stats(s->log, &t);
	}
	if (t.prewritten < bytes)
		printf("  (only %llu of %llu bytes are prewritten)\n",
		    (unsigned long long)t.prewritten, (unsigned long long)bytes);
}

static size_t
batch_bytes(const struct log_side *s, unsigned appenders)
{
	return (align_up(BATCH_HEADER_BYTES + appenders * record_encoded_bytes(s->meta, s->data),
	    drive_set_sector_bytes(s->set)));
}

static bool
compare(struct bare *b, struct log_side *s, unsigned appenders, unsigned rounds)
{
	size_t bytes = batch_bytes(s, appenders);
	double bare_ns, log_ns;
	uint64_t begin;
	unsigned i, round;

	taken[0] = taken[1] = 0;
	for (i = 0; i < SLICES; i++) {
		for (round = 0; round < rounds / SLICES; round++) {
			begin = clock_mono_ns();
			bare_write(b, bytes, false);
			took[0][taken[0]++] = clock_mono_ns() - begin;
		}
		log_run(s, appenders, rounds / SLICES);
	}
	printf("%u waiting, batches of %zu bytes on %u mirrors:\n", appenders, bytes,
	    LOG_SIDE_MIRRORS);
	bare_ns = figures("bare", 0, appenders);
	log_ns = figures("log", 1, appenders);
	printf("  ratio %.2f  floor %.2f  %s\n", bare_ns / log_ns, FLOOR,
	    bare_ns / log_ns >= FLOOR ? "ok" : "BELOW");
	return (bare_ns / log_ns >= FLOOR);
}

static bool
compare_all(struct log_side *s, bool prewritten, unsigned rounds)
{
	static const unsigned appenders[] = { 1, 16, 64 };
	uint64_t bytes = 0;
	bool good = true;
	struct bare *b;
	unsigned i;

	for (i = 0; i < 3; i++)
		bytes += (uint64_t)rounds * batch_bytes(s, appenders[i]);
	printf("on blocks that were %s:\n", prewritten ? "prewritten" : "only allocated");
	b = bare_open(directory, LOG_SIDE_MIRRORS, FILE_BYTES, prewritten);
	if (prewritten)
		log_prepare(s, bytes);
	for (i = 0; i < 3; i++)
		good &= compare(b, s, appenders[i], rounds);
	bare_close(&b);
	return (good);
}

int
main(int argc, char **argv)
{
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 600;
	size_t data_bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : 4096;
	static uint8_t meta[META_BYTES], data[65536];
	struct log_side s = { .name = "drive", .segment_bytes = SEGMENT_BYTES,
	    .meta = SLICE(meta, sizeof(meta)), .data = SLICE(data, data_bytes) };
	char command[4096];
	bool good;

	if (argc < 2 || rounds < SLICES || rounds > ROUNDS_MAX || data_bytes > 8192) {
		fprintf(stderr, "usage: bench_log DIR [ROUNDS [BYTES, at most 8192]]\n");
		return (2);
	}
	snprintf(directory, sizeof(directory), "%s/bench-log.XXXXXX", argv[1]);
	if (mkdtemp(directory) == NULL)
		fail(directory);
	memset(data, 'd', sizeof(data));
	log_side_open(&s, disk_posix(), directory);
	good = compare_all(&s, true, rounds);
	good &= compare_all(&s, false, rounds);
	log_side_close(&s);
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return (system(command) == 0 && good ? 0 : 1);
}
