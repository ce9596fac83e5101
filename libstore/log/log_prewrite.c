/*
 * log_prewrite - writes zeros ahead of the log where it will go, while it is quiet: a sync of
 * blocks that were written before touches no metadata of the file system.
 *
 * Z1  A stretch is zeroed only beyond everything that was written or flies, and no flight may reach
 *     into it until that is done (segment.zeroing): log_commit.c holds it back.
 * Z2  Nothing depends on these zeros, so nothing waits for them, and few are synced. A log that is
 *     busy is left alone while enough is prepared, and one that grows very fast anyway: large
 *     batches share the price of metadata, and zeros would cost them more.
 * Z3  A log that was not used prewrites nothing; one that rests finishes both segments, and sleeps.
 * Z4  Who did not take zeros has failed: a write that is overdue may still come, over records. So
 *     it is, too, while the keeper replaces a segment, for the one with the zeros may come next.
 * Z5  A file that was a segment before (segment_recycle.c) was written, too.
 *
 * A thread of its own, because a drive may hang: the keeper must go on watching flights.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libbase/clock.h"
#include "libstore/log/log_internal.h"

#define CHUNK_BYTES	(1024u * 1024)
#define CLOSE_CHUNK_BYTES DISK_ZEROS_BYTES	/* large ones cost less, and more of who waits */
#define AHEAD_BYTES_MAX	(16u * 1024 * 1024)	/* of the end of a segment in use */
#define USED_BYTES_MIN	(1024u * 1024)		/* Z3 */
#define PAUSE_MS	16u		/* behind a chunk: at most 64 MiB/s on each mirror */
#define CLOSE_BYTES	(64u * 1024 * 1024)	/* when the log comes so near: */
#define CLOSE_PAUSE_MS	1u
#define FAST_PAUSE_MS	100u
#define BUSY_PAUSE_MS	20u
#define FAST_BYTES_A_MS	(512u * 1024)		/* Z2 */
#define BUSY_BYTES_A_MS	(32u * 1024)
#define ENOUGH_BYTES	(2 * CLOSE_BYTES)
#define SYNC_BYTES	(32u * 1024 * 1024)	/* between syncs: each is one of metadata */

/* Where records end, those that fly included. */
static uint64_t
records_end(const struct log *l, const struct segment *g)
{
	const struct flight *f = l->flight;

	return (f != NULL && f->segment == g ? f->offset + f->image_bytes : g->end);
}

/* Where the next chunk of a segment begins; its size if there is none. */
static uint64_t
chunk_begin(const struct log *l, const struct segment *g)
{
	uint64_t from = g->prewritten, ahead = g->bytes / 16, end = records_end(l, g);

	if (ahead > AHEAD_BYTES_MAX)
		ahead = AHEAD_BYTES_MAX;
	if (g == l->current && end + ahead > from)
		from = align_up(end + ahead, SEGMENT_SECTOR_BYTES);
	return (from < g->bytes && g->prewritten > 0 ? from : g->bytes);
}

static struct segment *
chunk_segment(const struct log *l)
{
	if (l->state != LOG_RUNNING || l->stopping || l->stats.bytes < USED_BYTES_MIN)
		return (NULL);
	if (l->current != NULL && chunk_begin(l, l->current) < l->current->bytes)
		return (l->current);
	if (l->next != NULL && chunk_begin(l, l->next) < l->next->bytes)
		return (l->next);
	return (NULL);
}

/* No lock. The mask of mirrors that failed. */
static uint32_t
chunk_write(struct drive_set *s, const struct segment *g, uint64_t from, size_t bytes,
    struct err e[DRIVES_MAX])
{
	uint64_t end = from + bytes;
	bool sync = end == g->bytes || end / SYNC_BYTES > from / SYNC_BYTES;
	uint32_t failed = 0;
	unsigned i;

	for (i = 0; i < g->mirror_count; i++)
		if (end > g->old_bytes[i] &&
		    segment_zeros_write(s, g, i, from, bytes, sync, &e[i]) < 0)
			failed |= 1u << i;
	return (failed);
}

/* Z4; one that has failed already is found by whoever flies next. */
void
log_zeros_failed(struct log *l, const struct segment *g, uint32_t failed,
    const struct err e[DRIVES_MAX])
{
	uint32_t present = drive_present_mask(l->set);
	unsigned i;

	if (l->state != LOG_RUNNING && l->state != LOG_REPAIRING)
		return;
	for (i = 0; i < g->mirror_count; i++)
		if (failed >> i & present >> g->slots[i] & 1 && e[i].code != ERR_FULL)
			log_failing_add(l, g, g->slots[i], e[i].text);
	if (l->failing_count == 0)
		return;
	l->state = LOG_REPAIRING;
	pthread_cond_signal(&l->keeper_wake);
}

/* What can be appended before the log comes to blocks that are only allocated. */
static uint64_t
prepared_bytes(const struct log *l)
{
	uint64_t bytes = l->next != NULL ? l->next->prewritten : 0;

	if (l->current != NULL && l->current->prewritten > l->current->end)
		bytes += l->current->prewritten - l->current->end;
	return (bytes);
}

static void
chunk_do(struct log *l, struct segment *g)
{
	uint64_t from = chunk_begin(l, g);
	size_t bytes = prepared_bytes(l) < CLOSE_BYTES ? CLOSE_CHUNK_BYTES : CHUNK_BYTES;
	struct err e[DRIVES_MAX] = { ERR_INIT };
	uint32_t failed;

	if (bytes > g->bytes - from)
		bytes = (size_t)(g->bytes - from);
	assert(from >= records_end(l, g));	/* Z1 */
	g->zeroing = from;
	g->refs++;
	pthread_mutex_unlock(&l->lock);
	failed = chunk_write(l->set, g, from, bytes, e);
	pthread_mutex_lock(&l->lock);
	g->zeroing = 0;
	g->prewritten = from + bytes;
	if (failed != 0)
		log_zeros_failed(l, g, failed, e);
	if (g != l->current && g != l->next)
		pthread_cond_signal(&l->keeper_wake);	/* it may be sealed now */
	log_segment_put(l, g);
	if (l->head != NULL && l->flight == NULL)
		log_wake(l);	/* a batch may have been held back */
}

/* Of the log, since it was looked at last. */
struct growth {
	uint64_t	bytes, ms;
};

/* Z2: how long to leave it alone; 0: not at all. */
static unsigned
left_alone_ms(const struct log *l, struct growth *seen)
{
	uint64_t now = clock_mono_ms(), ms = now - seen->ms + 1;
	uint64_t bytes = l->stats.bytes - seen->bytes;

	*seen = (struct growth){ l->stats.bytes, now };
	if (bytes > ms * FAST_BYTES_A_MS)
		return (FAST_PAUSE_MS);
	return (bytes > ms * BUSY_BYTES_A_MS && prepared_bytes(l) >= ENOUGH_BYTES ?
	    BUSY_PAUSE_MS : 0);
}

static void
rest(struct log *l, unsigned ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)ms * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&l->zero_wake, &l->lock, &until);
}

void
log_prewrite_wake(struct log *l)
{
	if (!l->zero_waiting || chunk_segment(l) == NULL)
		return;
	l->zero_waiting = false;
	pthread_cond_signal(&l->zero_wake);
}

void *
log_prewrite_main(void *context)
{
	struct log *l = context;
	struct growth seen = { 0 };
	struct segment *g;
	unsigned ms;

	pthread_mutex_lock(&l->lock);
	while (!l->stopping) {
		g = chunk_segment(l);
		if (g == NULL) {
			l->zero_waiting = true;
			pthread_cond_wait(&l->zero_wake, &l->lock);
			continue;
		}
		ms = left_alone_ms(l, &seen);
		if (ms == 0) {
			l->zero_busy = true;
			chunk_do(l, g);
			l->zero_busy = false;
			pthread_cond_broadcast(&l->idle);
			ms = prepared_bytes(l) < CLOSE_BYTES ? CLOSE_PAUSE_MS : PAUSE_MS;
		}
		if (!l->stopping)
			rest(l, ms);
	}
	pthread_mutex_unlock(&l->lock);
	return (NULL);
}
