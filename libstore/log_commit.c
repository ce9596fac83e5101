/*
 * log_commit - batches on their way: encoded, written by one thread per drive, delivered in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libstore/log_internal.h"

void
log_batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	buf_release(&b->raw);
	free(b->records);
	free(b);
}

void
log_segment_put(struct log *l, struct segment *g)
{
	assert(g->refs > 0);
	if (--g->refs == 0)
		segment_close(l->set, &g);
}

void
log_flight_put(struct log *l, struct flight *f)
{
	assert(f->refs > 0);
	if (--f->refs > 0)
		return;
	log_batch_free(f->batch);
	log_segment_put(l, f->segment);
	free(f->image);
	free(f);
}

/* --- a flight starts -------------------------------------------------------------------------- */

/* Record i of a batch with its final place, from the raw bytes; at is where its raw bytes start. */
static void
record_fill(const struct flight *f, const struct batch *b, uint32_t i, const uint8_t *raw,
    uint64_t offset, struct record *r)
{
	const struct pending *p = &b->records[i];

	memset(r, 0, sizeof(*r));
	hf__place__init(&r->place);
	r->lsn = f->first_lsn + i;
	r->type = p->type;
	r->meta = SLICE(raw, p->meta_bytes);
	r->data = SLICE(raw + p->meta_bytes, p->data_bytes);
	r->place.segment = f->segment->id;
	r->place.offset = offset;
}

static void
flight_encode(struct flight *f, uint64_t acked_lsn)
{
	const struct batch *b = f->batch;
	struct batch_head h = { f->segment->id, f->offset, f->first_lsn, acked_lsn,
		(uint32_t)b->encoded_bytes, b->count };
	const uint8_t *raw = b->raw.data;
	uint64_t at = BATCH_HEADER_BYTES;
	struct record r;
	uint32_t i;
	int rc;

	f->image_bytes = align_up(b->encoded_bytes, f->segment->sector_bytes);
	rc = posix_memalign((void **)&f->image, 4096, f->image_bytes);
	assert(rc == 0);
	batch_head_encode(&h, f->image);
	for (i = 0; i < b->count; i++) {
		record_fill(f, b, i, raw, f->offset + at, &r);
		record_encode(&r, f->image + at);
		raw += r.meta.bytes + r.data.bytes;
		at += record_encoded_bytes(r.meta, r.data);
	}
	assert(at == b->encoded_bytes);
	memset(f->image + at, 0, f->image_bytes - at);
}

static int
mirror_write(struct drive_set *s, const struct flight *f, unsigned i, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	struct iovec iov = { f->image, f->image_bytes };
	int rc;

	rc = d->ops->pwritev(d, f->segment->handles[i], &iov, 1, f->offset, e);
	if (rc == 0)
		rc = d->ops->datasync(d, f->segment->handles[i], e);
	return (rc);
}

/* A mirror answered; with lock. True if it was the last one: then the caller is to be woken. */
static bool
mirror_done(struct log *l, struct flight *f, unsigned i, int rc, const struct err *e)
{
	f->waiting &= ~(1u << i);
	if (rc < 0) {
		f->failed |= 1u << i;
		snprintf(f->why[i], sizeof(f->why[i]), "%.150s", e->text);
	}
	return (f->waiting == 0 && f == l->flight);
}

void *
log_worker_main(void *context)
{
	struct worker *w = context;
	struct log *l = w->log;
	struct err e = ERR_INIT;
	struct flight *f;
	bool last;
	int rc;

	for (;;) {
		while (sem_wait(&w->wake) < 0)
			assert(errno == EINTR);
		f = w->flight;
		if (f == NULL)
			return (NULL);
		rc = mirror_write(l->set, f, w->mirror, &e);
		pthread_mutex_lock(&l->lock);
		w->flight = NULL;
		w->busy = false;
		last = mirror_done(l, f, w->mirror, rc, &e);
		log_flight_put(l, f);
		pthread_cond_broadcast(&l->idle);
		pthread_mutex_unlock(&l->lock);
		if (last)
			log_wake(l);	/* the log outlives its workers */
	}
}

static void
flight_hand_out(struct log *l, struct flight *f)
{
	struct err e = ERR_INIT;
	struct worker *w;
	bool done = false;
	unsigned i;
	int rc;

	f->waiting = (1u << f->segment->mirror_count) - 1;
	for (i = 0; i < f->segment->mirror_count; i++) {
		w = &l->workers[f->segment->slots[i]];
		if (!l->threads) {
			rc = mirror_write(l->set, f, i, &e);
			done |= mirror_done(l, f, i, rc, &e);
		} else if (w->busy) {
			err_set(&e, ERR_TIMEOUT, "an earlier write still hangs");
			done |= mirror_done(l, f, i, ERR_TIMEOUT, &e);
		} else {
			w->flight = f;
			w->mirror = i;
			w->busy = true;
			f->refs++;
			sem_post(&w->wake);
		}
	}
	if (done)
		log_wake(l);
	if (l->threads && !l->keeper_watching)
		pthread_cond_signal(&l->keeper_wake);
}

static bool
segment_fits(const struct segment *g, const struct batch *b)
{
	return (g != NULL && align_up(b->encoded_bytes, g->sector_bytes) <= g->bytes - g->end);
}

/* Behind what was prewritten each sync writes metadata of the file: the next segment is better. */
static bool
segment_worn(const struct log *l)
{
	const struct segment *g = l->current;

	return (g->prewritten > 0 &&
		g->end + align_up(l->head->encoded_bytes, g->sector_bytes) > g->prewritten &&
		l->next != NULL && l->next->prewritten > g->prewritten &&
		l->next->from_reserve == g->from_reserve);
}

/* Takes the prepared segment when the current one has no room; false: it is not ready yet. */
static bool
segment_roll(struct log *l)
{
	if (segment_fits(l->current, l->head) && !segment_worn(l))
		return (true);
	if (l->next == NULL) {
		l->want_next = true;
		l->prewrite.hurry = true;
		pthread_cond_signal(&l->keeper_wake);
		return (false);
	}
	if (l->current != NULL) {
		l->current->link = l->sealing;
		l->sealing = l->current;
		pthread_cond_signal(&l->keeper_wake);
	}
	l->current = l->next;
	l->current->begun_ms = clock_mono_ms();
	l->next = NULL;
	l->prepare_failed = false;
	assert(segment_fits(l->current, l->head));
	return (true);
}

/* A mirror on a drive that is not online any more does not count: replace the segment first. */
static bool
segment_live(struct log *l)
{
	uint32_t online = drive_online_mask(l->set);
	unsigned i;

	for (i = 0; i < l->current->mirror_count; i++)
		if (!(online >> l->current->slots[i] & 1))
			l->failing |= 1u << l->current->slots[i];
	if (l->failing == 0)
		return (true);
	snprintf(l->failing_why, sizeof(l->failing_why), "the drive is not online any more");
	l->state = LOG_REPAIRING;
	pthread_cond_signal(&l->keeper_wake);
	return (false);
}

static void
flight_new(struct log *l)
{
	struct flight *f = calloc(1, sizeof(*f));
	struct segment *g = l->current;
	uint64_t good;

	assert(f != NULL);
	f->refs = 2; /* the log's, and one until the flight is handed out */
	f->batch = l->head;
	l->head = f->batch->link;
	if (l->head == NULL)
		l->tail = NULL;
	f->batch->link = NULL;
	f->batch->closed = true;
	f->segment = g;
	g->refs++;
	f->offset = g->end;
	f->first_lsn = g->last_lsn == 0 ? g->first_lsn : g->last_lsn + 1;
	f->started_ms = clock_mono_ms();
	flight_encode(f, l->acked_lsn);
	l->flight = f;
	flight_hand_out(l, f);
	log_flight_put(l, f);
	/* The next segment is made while half of what is prewritten of this one is still free. */
	good = g->prewritten > 0 ? g->prewritten : g->bytes;
	if (l->next == NULL && !l->prepare_failed &&
	    g->end - SEGMENT_HEADER_BYTES >= (good - SEGMENT_HEADER_BYTES) / 2) {
		l->want_next = true;
		pthread_cond_signal(&l->keeper_wake);
	}
}

static void
keeper_inline(struct log *l)
{
	while (!l->threads && log_keeper_step(l))
		;
}

void
log_flight_start(struct log *l)
{
	unsigned tries;

	keeper_inline(l);
	for (tries = 0; tries <= DRIVES_MAX + 1; tries++) {
		if (l->flight != NULL || l->head == NULL || l->state != LOG_RUNNING)
			return;
		if (segment_roll(l) && segment_live(l)) {
			flight_new(l);
			return;
		}
		if (l->threads)
			return; /* the keeper wakes the caller */
		keeper_inline(l);
	}
}

/* --- a flight ends ---------------------------------------------------------------------------- */

static unsigned
batch_deliver(struct batch *b, const struct flight *f, int code, log_commit_fn *each, void *context)
{
	struct log_commit c = { .code = code, .batch = b->number };
	const uint8_t *raw = b->raw.data;
	uint64_t at = BATCH_HEADER_BYTES;
	uint32_t i;

	for (i = 0; i < b->count; i++) {
		c.last_of_batch = i + 1 == b->count;
		c.cookie = b->records[i].cookie;
		memset(&c.record, 0, sizeof(c.record));
		if (f != NULL) {
			record_fill(f, b, i, raw, f->offset + at, &c.record);
			c.record.place.record_bytes =
			    (uint32_t)record_total_bytes(c.record.meta.bytes, c.record.data.bytes);
			c.record.place.data_offset =
			    (uint32_t)record_data_offset(c.record.meta.bytes);
			c.record.place.data_bytes = (uint32_t)c.record.data.bytes;
			c.record.place.data_crc = get_u32(f->image + at + RECORD_AT_DATA_CRC);
			c.record.place.lsn = c.record.lsn;
			raw += b->records[i].meta_bytes + b->records[i].data_bytes;
			at += record_encoded_bytes(c.record.meta, c.record.data);
		}
		each(context, &c);
	}
	return (b->count);
}

static void
batch_leaves(struct log *l, const struct batch *b)
{
	l->stats.waiting_records -= b->count;
	l->stats.waiting_bytes -= b->encoded_bytes - BATCH_HEADER_BYTES;
}

/* Puts the batch back to the front of the queue; the keeper replaces the segment. */
static void
flight_back(struct log *l, struct flight *f)
{
	unsigned i;

	for (i = 0; i < f->segment->mirror_count; i++)
		if (f->failed >> i & 1) {
			l->failing |= 1u << f->segment->slots[i];
			snprintf(l->failing_why, sizeof(l->failing_why), "%s", f->why[i]);
		}
	f->batch->link = l->head;
	l->head = f->batch;
	if (l->tail == NULL)
		l->tail = f->batch;
	f->batch = NULL;
	l->flight = NULL;
	log_flight_put(l, f);
	l->state = LOG_REPAIRING;
	pthread_cond_signal(&l->keeper_wake);
}

void
log_flight_overdue(struct log *l, uint64_t now_ms)
{
	struct flight *f = l->flight;
	unsigned i;

	if (f == NULL || f->waiting == 0 || now_ms - f->started_ms < l->write_ms_max)
		return;
	for (i = 0; i < f->segment->mirror_count; i++)
		if (f->waiting >> i & 1)
			snprintf(f->why[i], sizeof(f->why[i]), "a write took longer than %u ms",
			    l->write_ms_max);
	f->failed |= f->waiting;
	flight_back(l, f);
}

static unsigned
flight_land(struct log *l, log_commit_fn *each, void *context)
{
	struct flight *f = l->flight;
	struct segment *g = f->segment;
	unsigned n;

	g->end = f->offset + f->image_bytes;
	g->last_lsn = f->first_lsn + f->batch->count - 1;
	l->acked_lsn = g->last_lsn;
	l->stats.batches++;
	l->stats.records += f->batch->count;
	l->stats.bytes += f->image_bytes;
	batch_leaves(l, f->batch);
	l->flight = NULL;
	/* The caller appends from inside each. */
	pthread_mutex_unlock(&l->lock);
	n = batch_deliver(f->batch, f, 0, each, context);
	pthread_mutex_lock(&l->lock);
	log_flight_put(l, f);
	return (n);
}

static unsigned
queue_fail(struct log *l, log_commit_fn *each, void *context)
{
	struct batch *b;
	unsigned n = 0;

	while ((b = l->head) != NULL) {
		l->head = b->link;
		if (l->head == NULL)
			l->tail = NULL;
		batch_leaves(l, b);
		pthread_mutex_unlock(&l->lock);
		n += batch_deliver(b, NULL, l->fail_code, each, context);
		log_batch_free(b);
		pthread_mutex_lock(&l->lock);
	}
	return (n);
}

unsigned
log_collect(struct log *l, log_commit_fn *each, void *context)
{
	uint64_t ticks;
	unsigned n = 0;
	ssize_t got;

	got = read(l->wake_fd, &ticks, sizeof(ticks));
	(void)got; /* nothing to read is fine */
	pthread_mutex_lock(&l->lock);
	if (l->flight != NULL && l->flight->waiting == 0) {
		if (l->flight->failed != 0)
			flight_back(l, l->flight);
		else
			n = flight_land(l, each, context);
	}
	keeper_inline(l);
	if (l->state == LOG_FAILED)
		n += queue_fail(l, each, context);
	log_flight_start(l);
	pthread_mutex_unlock(&l->lock);
	return (n);
}
