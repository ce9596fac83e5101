/*
 * log - opening, closing, appending; see log.h for what is promised and log_internal.h for how it
 * moves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/log/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libstore/log/log_internal.h"

#define CLOSE_MS_MAX      12000u
#define PREWRITE_PAUSE_US 4000u /* behind each MiB */

void
log_wake(struct log *l)
{
	uint64_t one = 1;
	ssize_t n;

	n = write(l->wake_fd, &one, sizeof(one));
	assert(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

static int
thread_start(pthread_t *thread, void *(*main)(void *), void *context, struct err *e)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(thread, NULL, main, context);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return (rc == 0 ? 0 : err_errno(e, rc, "start a thread of the log"));
}

static int
threads_start(struct log *l, struct err *e)
{
	unsigned i;
	int rc = 0;

	for (i = 0; rc == 0 && i < drive_count(l->set); i++) {
		rc = thread_start(&l->workers[i].thread, log_worker_main, &l->workers[i], e);
		l->workers[i].started = rc == 0;
	}
	if (rc == 0)
		rc = thread_start(&l->keeper, log_keeper_main, l, e);
	l->keeper_started = rc == 0; /* log_close joins what did start */
	if (rc == 0)
		rc = thread_start(&l->zeroer, log_prewrite_main, l, e);
	l->zeroer_started = rc == 0;
	return (rc);
}

static void
log_init(struct log *l, struct drive_set *s, bool threads)
{
	pthread_mutexattr_t spins;
	pthread_condattr_t monotonic;
	unsigned i;

	l->set = s;
	l->threads = threads;
	pthread_mutexattr_init(&spins);
	pthread_mutexattr_settype(&spins, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&l->lock, &spins);
	pthread_mutexattr_destroy(&spins);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->keeper_wake, &monotonic);
	pthread_cond_init(&l->idle, &monotonic);
	pthread_cond_init(&l->zero_wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (i = 0; i < DRIVES_MAX; i++) {
		l->workers[i].log = l;
		sem_init(&l->workers[i].wake, 0, 0);
	}
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(l->wake_fd >= 0);
	l->batch_next = 1;
	l->landed_last = &l->landed;
	l->prewrite.bytes_max = UINT64_MAX;
	l->prewrite.pause_us = threads ? PREWRITE_PAUSE_US : 0;
	l->returning = true;
	l->write_ms_max = MIRROR_WRITE_MS_MAX;
	l->batch_bytes_max = drive_set_segment_bytes(s) - SEGMENT_HEADER_BYTES;
	if (l->batch_bytes_max > BATCH_BYTES_MAX)
		l->batch_bytes_max = BATCH_BYTES_MAX;
}

int
log_open_with(struct drive_set *s, bool threads, struct log **out, struct err *e)
{
	struct log *l = calloc(1, sizeof(*l));
	bool writable = !drive_set_read_only(s);
	int rc;

	assert(l != NULL);
	log_init(l, s, threads);
	l->state = writable ? LOG_RUNNING : LOG_READ_ONLY;
	rc = log_recover(l, e);
	if (rc < 0 && writable && drive_set_writable(s, NULL) == ERR_FULL) {
		log_close(&l);	/* the room ended on the way: what is there is still to be read */
		return (log_open_with(s, threads, out, e));
	}
	if (rc == 0 && l->state == LOG_RUNNING)
		rc = log_segment_first(l, e);
	if (rc == 0 && threads)
		rc = threads_start(l, e);
	if (rc == 0 && !threads) {
		pthread_mutex_lock(&l->lock);
		while (log_keeper_step(l))
			;
		pthread_mutex_unlock(&l->lock);
	}
	if (rc < 0) {
		log_close(&l);
		return (rc);
	}
	*out = l;
	return (0);
}

int
log_open(struct drive_set *s, struct log **out, struct err *e)
{
	return (log_open_with(s, true, out, e));
}

/* Waits until nothing flies and the keeper rests; false if a drive does not answer. */
static bool
log_rest(struct log *l)
{
	uint64_t deadline_ms = clock_mono_ms() + CLOSE_MS_MAX;
	struct timespec until = { (time_t)(deadline_ms / 1000),
		(long)(deadline_ms % 1000) * 1000000 };
	bool busy;
	unsigned i;

	for (;;) {
		busy = l->keeper_busy || l->zero_busy;
		for (i = 0; i < DRIVES_MAX; i++)
			busy |= l->workers[i].busy;
		if (!busy)
			return (true);
		if (pthread_cond_timedwait(&l->idle, &l->lock, &until) == ETIMEDOUT)
			return (false);
	}
}

static void
threads_stop(struct log *l)
{
	unsigned i;

	l->stopping = true;
	pthread_cond_broadcast(&l->keeper_wake);
	pthread_cond_broadcast(&l->zero_wake);
	for (i = 0; i < DRIVES_MAX; i++)
		sem_post(&l->workers[i].wake);
	pthread_mutex_unlock(&l->lock);
	for (i = 0; i < DRIVES_MAX; i++)
		if (l->workers[i].started)
			pthread_join(l->workers[i].thread, NULL);
	if (l->keeper_started)
		pthread_join(l->keeper, NULL);
	if (l->zeroer_started)
		pthread_join(l->zeroer, NULL);
	pthread_mutex_lock(&l->lock);
}

static void
log_release(struct log *l)
{
	struct segment *g;
	struct flight *f;
	struct batch *b;

	if (l->flight != NULL)
		log_flight_put(l, l->flight);
	while ((f = l->landed) != NULL) {
		l->landed = f->link;
		log_flight_put(l, f);
	}
	while ((b = l->head) != NULL) {
		l->head = b->link;
		log_batch_free(l, b);
	}
	while (l->image_count > 0)
		free(l->images[--l->image_count].bytes);
	while ((g = l->recovered) != NULL) {
		l->recovered = g->link;
		log_segment_put(l, g);
	}
	pthread_mutex_unlock(&l->lock);
	close(l->wake_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void
log_close(struct log **log)
{
	struct log *l = *log;

	if (l == NULL)
		return;
	*log = NULL;
	pthread_mutex_lock(&l->lock);
	l->want_next = false;
	l->returning = false;
	l->prewrite.hurry = true;
	if (!log_rest(l)) {
		/* A thread hangs in the kernel with our memory in its hands: leave both to the end
		 * of the process. */
		l->stopping = true;
		pthread_mutex_unlock(&l->lock);
		return;
	}
	threads_stop(l);
	/* A flight that came back but was not collected: committed if no mirror failed, as recovery
	 * would say. */
	if (l->flight != NULL && l->flight->waiting == 0 && l->flight->failed == 0 &&
	    l->current != NULL) {
		l->current->end =
		    align_up(l->flight->offset + l->flight->image_bytes, l->current->sector_bytes);
		l->current->last_lsn = l->flight->first_lsn + l->flight->batch->count - 1;
	}
	log_segment_retire(l);
	log_release(l);
}

uint64_t
log_last_lsn(const struct log *l)
{
	struct log *m = (struct log *)l;
	uint64_t lsn;

	pthread_mutex_lock(&m->lock);
	lsn = l->acked_lsn;
	pthread_mutex_unlock(&m->lock);
	return (lsn);
}

/* --- appending ----------------------------------------------------------------------------------
 */

static struct batch *
batch_forming(struct log *l, uint64_t record_bytes)
{
	struct batch *b = l->tail;

	if (b != NULL && !b->closed && b->count < BATCH_RECORDS_MAX &&
	    b->encoded_bytes + record_bytes <= l->batch_bytes_max)
		return (b);
	b = calloc(1, sizeof(*b));
	assert(b != NULL);
	b->number = l->batch_next++;
	b->encoded_bytes = BATCH_HEADER_BYTES;
	if (l->tail != NULL)
		l->tail->link = b;
	else
		l->head = b;
	l->tail = b;
	return (b);
}

static void
batch_add(struct log *l, struct batch *b, uint16_t type, struct slice meta, struct slice data,
    void *cookie)
{
	uint64_t bytes = record_encoded_bytes(meta, data);

	if (b->count == b->capacity) {
		b->capacity = b->capacity == 0 ? 64 : b->capacity * 2;
		b->records = realloc(b->records, b->capacity * sizeof(*b->records));
		assert(b->records != NULL);
	}
	b->records[b->count++] =
	    (struct pending){ type, (uint32_t)meta.bytes, (uint32_t)data.bytes, cookie };
	log_image_grow(l, &b->image, b->encoded_bytes + bytes);
	record_lay(type, meta, data, b->image.bytes + b->encoded_bytes);
	b->encoded_bytes += bytes;
	b->head_bytes += FOOTER_HEAD_BYTES(meta.bytes);
}

/* What a segment that is there has for a share. */
static uint64_t
segment_room(const struct segment *g, uint64_t end, enum log_share share)
{
	uint64_t room, kept;

	if (g == NULL || share < (enum log_share)g->share)
		return (0);
	room = g->bytes - end;
	kept = g->bytes / 40 * (unsigned)(LOG_SHARE_FREE - share);
	return (room > kept ? room - kept : 0);
}

/*
 * Is there room for a record? Preallocated segments cost no more space, so what counts is whether
 * the current one and the prepared one take it, of which a part is kept for the shares behind, or a
 * new one.
 */
static bool
log_has_room(struct log *l, enum log_share share, uint64_t bytes)
{
	uint64_t waiting = l->stats.waiting_bytes + bytes + l->batch_bytes_max / 16, room;

	room = l->current != NULL ? segment_room(l->current, l->current->end, share) : 0;
	room += segment_room(l->next, SEGMENT_HEADER_BYTES, share);
	/* A new one needs a change of the catalogs, too. */
	return (room >= waiting || (!drive_set_read_only(l->set) && log_has_space(l, share)));
}

bool
log_share_has_room(struct log *l, enum log_share share, uint64_t bytes)
{
	bool room;

	pthread_mutex_lock(&l->lock);
	room = l->state != LOG_READ_ONLY && l->state != LOG_FAILED && log_has_room(l, share, bytes);
	pthread_mutex_unlock(&l->lock);
	return (room);
}

static int
append_check(struct log *l, enum log_share share, uint64_t bytes, struct err *e)
{
	if (l->state == LOG_READ_ONLY || l->state == LOG_FAILED) {
		if (drive_set_writable(l->set, e) == ERR_FULL)
			return (ERR_FULL);
		return (err_set(e, ERR_READ_ONLY, "the log takes nothing: %s",
		    l->state == LOG_READ_ONLY ? "too few drives were there at the start"
					      : "too few drives are left"));
	}
	if (share <= LOG_SHARE_SERVICE && drive_set_writable(l->set, e) == ERR_FULL)
		return (ERR_FULL);
	if (bytes + BATCH_HEADER_BYTES > l->batch_bytes_max)
		return (err_set(e, ERR_TOO_LARGE,
		    "a record of %" PRIu64 " bytes does not fit a batch of %" PRIu64, bytes,
		    l->batch_bytes_max));
	if (l->stats.waiting_bytes + bytes > WAITING_BYTES_MAX)
		return (
		    err_set(e, ERR_BUSY, "%" PRIu64 " bytes of records wait for the drives already",
			l->stats.waiting_bytes));
	if (!log_has_room(l, share, bytes))
		return (drive_set_writable(l->set, e) == ERR_FULL ? ERR_FULL : err_set(e, ERR_FULL,
		    "a new segment of %" PRIu64 " bytes would touch %s",
		    drive_set_segment_bytes(l->set), share == LOG_SHARE_NONE
		    ? "the reserve of the drives" :
		    "what is kept of the reserve of the drives for what gives space back"));
	return (0);
}

int
log_append(struct log *l, enum log_share share, uint16_t type, struct slice meta, struct slice data,
    void *cookie, uint64_t *batch, struct err *e)
{
	uint64_t bytes;
	struct batch *b;
	int rc;

	if (meta.bytes > RECORD_META_BYTES_MAX || data.bytes > RECORD_DATA_BYTES_MAX)
		return (err_set(e, ERR_TOO_LARGE,
		    "a record with %zu bytes of body and %zu of data is over the limit", meta.bytes,
		    data.bytes));
	bytes = record_encoded_bytes(meta, data);
	pthread_mutex_lock(&l->lock);
	rc = append_check(l, share, bytes, e);
	if (rc == 0) {
		b = batch_forming(l, bytes);
		batch_add(l, b, type, meta, data, cookie);
		*batch = b->number;
		l->stats.waiting_records++;
		l->stats.waiting_bytes += bytes;
	}
	pthread_mutex_unlock(&l->lock);
	return (rc);
}

uint64_t
log_forming_batch(const struct log *l)
{
	struct log *m = (struct log *)l;
	uint64_t number;

	pthread_mutex_lock(&m->lock);
	number = l->tail != NULL ? l->tail->number : l->batch_next;
	pthread_mutex_unlock(&m->lock);
	return (number);
}

void
log_submit(struct log *l)
{
	pthread_mutex_lock(&l->lock);
	log_flight_start(l);
	log_unlock(l);
}

void
log_drives_changed(struct log *l)
{
	pthread_mutex_lock(&l->lock);
	l->returning = true;
	pthread_cond_signal(&l->keeper_wake);
	pthread_mutex_unlock(&l->lock);
}

void
log_drives_slow(struct log *l)
{
	pthread_mutex_lock(&l->lock);
	l->leave_slow = true;
	pthread_cond_signal(&l->keeper_wake);
	while (!l->threads && log_keeper_step(l))
		;
	pthread_mutex_unlock(&l->lock);
}

int
log_wake_fd(const struct log *l)
{
	return (l->wake_fd);
}

void
log_stats(const struct log *l, struct log_stats *out)
{
	struct log *m = (struct log *)l;
	uint64_t *ids;

	pthread_mutex_lock(&m->lock);
	*out = l->stats;
	if (l->current != NULL && l->current->prewritten > l->current->end)
		out->prewritten = l->current->prewritten - l->current->end;
	if (l->next != NULL)
		out->prewritten += l->next->prewritten;
	pthread_mutex_unlock(&m->lock);
	out->segments = catalog_segment_ids(l->set, &ids);
	free(ids);
}

uint64_t
log_rot(const struct log *l, struct log_rot out[LOG_ROT_MAX])
{
	memcpy(out, l->rot, sizeof(l->rot));
	return (l->rot_count);
}
