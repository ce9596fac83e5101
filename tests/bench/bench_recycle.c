/*
 * bench_recycle - bursts of the log, with files of dropped segments used again and without: how
 * fast, and how many bytes the drives write for each byte of the log on a mirror.
 *
 * usage: bench_recycle DIR [TURNS [BURST_MIB]]	makes two sets of four drives in DIR,
 * and leaves DIR empty
 *
 * The two take turns: a burst of appends, all waiting in one batch, then all sealed segments are
 * dropped as after a vacuum, then a rest until no more zeros are written ahead. What the drives
 * write is what goes through the disk interface until the end of the rest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libstore/log/segment.h"
#include "tests/bench/log_side.h"

#define SEGMENT_BYTES	(UINT64_C(128) << 20)
#define TURNS_MAX	64
#define REST_STEP_MS	500
#define REST_MS_MAX	20000

static char directory[2048];

struct side {
	struct log_side		 l;
	double			 rate[TURNS_MAX];
	uint64_t		 log_bytes, drive_bytes;
};

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
fail_err(const struct err *e)
{
	fprintf(stderr, "bench_recycle: %s\n", e->text);
	exit(1);
}

/* --- a disk that counts ----------------------------------------------------------------------- */

static _Atomic uint64_t written;

static void
count(const struct iovec *iov, int iov_count)
{
	for (int i = 0; i < iov_count; i++)
		written += iov[i].iov_len;
}

static int
counting_pwritev(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e)
{
	count(iov, iov_count);
	return (disk_posix()->ops->pwritev(d, handle, iov, iov_count, offset, e));
}

static int
counting_pwritev_sync(struct disk *d, int handle, const struct iovec *iov, int iov_count,
    uint64_t offset, struct err *e)
{
	count(iov, iov_count);
	return (disk_posix()->ops->pwritev_sync(d, handle, iov, iov_count, offset, e));
}

static struct disk *
disk_counting(void)
{
	static struct disk_ops ops;
	static struct disk disk = { .ops = &ops };

	ops = *disk_posix()->ops;
	ops.pwritev = counting_pwritev;
	ops.pwritev_sync = counting_pwritev_sync;
	return (&disk);
}

/* --- the log ---------------------------------------------------------------------------------- */

static uint64_t
burst(struct side *s, unsigned appenders, uint64_t bytes)
{
	uint64_t records = 0, done;

	for (done = 0; done < bytes; done += appenders * s->l.data.bytes) {
		log_side_batch(&s->l, appenders);
		records += appenders;
	}
	return (records);
}

/* As state_drop_catalog.c does it. */
static void
sealed_drop(struct side *s)
{
	uint64_t *ids;
	size_t n = catalog_segment_ids(s->l.set, &ids);

	for (size_t i = 0; i < n; i++) {
		Hf__CatalogSegment *row = catalog_segment(s->l.set, ids[i]);
		Hf__CatalogSegment gone = HF__CATALOG_SEGMENT__INIT, *rows = &gone;
		Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
		struct err e = ERR_INIT;

		gone.id = ids[i];
		gone.state = HF__CATALOG_SEGMENT__STATE__DROPPED;
		change.segments = &rows;
		change.n_segments = 1;
		change.horizon_lsn = row->last_lsn;
		if (row->state == HF__CATALOG_SEGMENT__STATE__SEALED) {
			if (catalog_commit(s->l.set, &change, &e) < 0)
				fail_err(&e);
			segment_unlink_row(s->l.set, row);
		}
		hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
}

static void
rest(const struct side *s, struct log_stats *t)
{
	uint64_t deadline = clock_mono_ms() + REST_MS_MAX, before;

	log_stats(s->l.log, t);
	do {
		before = t->prewritten;
		usleep(REST_STEP_MS * 1000);
		log_stats(s->l.log, t);
	} while (t->prewritten != before && clock_mono_ms() < deadline);
}

static void
turn(struct side *s, unsigned appenders, uint64_t bytes, unsigned n)
{
	uint64_t before = written, begin = clock_mono_ns(), records, from, to;
	struct log_stats t;

	log_stats(s->l.log, &t);
	from = t.bytes;
	records = burst(s, appenders, bytes);
	s->rate[n] = (double)records * 1e9 / (double)(clock_mono_ns() - begin);
	log_stats(s->l.log, &t);
	to = t.bytes;
	sealed_drop(s);
	rest(s, &t);
	s->log_bytes += to - from;
	s->drive_bytes += written - before;
	printf("    %-8s %8.0f records/s, then %4" PRIu64 " MiB prepared\n", s->l.name, s->rate[n],
	    t.prewritten >> 20);
}

static int
order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return ((x > y) - (x < y));
}

static void
compare(struct side s[2], unsigned appenders, unsigned turns, uint64_t bytes)
{
	double ratio[TURNS_MAX];

	printf("%u waiting, bursts of %" PRIu64 " MiB:\n", appenders, bytes >> 20);
	s[0].log_bytes = s[1].log_bytes = s[0].drive_bytes = s[1].drive_bytes = 0;
	for (unsigned n = 0; n < turns; n++) {
		turn(&s[n % 2], appenders, bytes, n);
		turn(&s[1 - n % 2], appenders, bytes, n);
		ratio[n] = s[1].rate[n] / s[0].rate[n];
	}
	qsort(ratio, turns, sizeof(*ratio), order);
	printf("  with recycling %.2f to %.2f times as fast, median %.2f\n", ratio[0],
	    ratio[turns - 1], ratio[turns / 2]);
	for (unsigned i = 0; i < 2; i++)
		printf("  %-8s the drives write %.2f bytes for a byte of the log on a mirror\n",
		    s[i].l.name,
		    (double)s[i].drive_bytes / LOG_SIDE_MIRRORS / (double)s[i].log_bytes);
}

int
main(int argc, char **argv)
{
	unsigned turns = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3;
	uint64_t bytes = (argc > 3 ? strtoull(argv[3], NULL, 10) : 512) << 20;
	static uint8_t meta[160], data[4096];
	static const char *const names[] = { "without", "with" };
	struct side s[2] = { 0 };
	char command[4096];

	if (argc < 2 || turns < 1 || turns > TURNS_MAX || bytes == 0) {
		fprintf(stderr, "usage: bench_recycle DIR [TURNS [BURST_MIB]]\n");
		return (2);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(directory, sizeof(directory), "%s/bench-recycle.XXXXXX", argv[1]);
	if (mkdtemp(directory) == NULL)
		fail(directory);
	for (unsigned i = 0; i < 2; i++) {
		s[i].l = (struct log_side){ .name = names[i], .segment_bytes = SEGMENT_BYTES,
		    .spares = i == 0 ? 0 : RECYCLED_MAX, .meta = SLICE(meta, sizeof(meta)),
		    .data = SLICE(data, sizeof(data)) };
		log_side_open(&s[i].l, disk_counting(), directory);
	}
	for (unsigned i = 0; i < 2; i++)	/* the first files come from nowhere */
		turn(&s[i], 64, bytes, 0);
	compare(s, 64, turns, bytes);
	compare(s, 16, turns, bytes);
	compare(s, 1, turns, bytes / 32);
	for (unsigned i = 0; i < 2; i++)
		log_side_close(&s[i].l);
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return (system(command) == 0 ? 0 : 1);
}
