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
#include "libstore/drive/drive_slow.h"
#include "libstore/log/log_internal.h"

#define IMAGE_BYTES_MIN		(64u * 1024)

static bool flight_settle(struct log *l);

/* --- images ----------------------------------------------------------------------------------- */

void
log_image_grow(struct log *l, struct image *m, size_t bytes)
{
	struct image wanted = { NULL, IMAGE_BYTES_MIN };
	int rc;

	if (bytes <= m->capacity)
		return;
	if (m->bytes == NULL && l->image_count > 0) {
		*m = l->images[--l->image_count];
		log_image_grow(l, m, bytes);
		return;
	}
	while (wanted.capacity < bytes)
		wanted.capacity *= 2;
	rc = posix_memalign((void **)&wanted.bytes, 4096, wanted.capacity);
	assert(rc == 0);
	if (m->capacity > 0)
		memcpy(wanted.bytes, m->bytes, m->capacity);
	free(m->bytes);
	*m = wanted;
}

void
log_image_put(struct log *l, struct image *m)
{
	if (m->bytes != NULL && l->image_count < IMAGES_KEPT && m->capacity <= IMAGE_KEPT_BYTES_MAX)
		l->images[l->image_count++] = *m;
	else
		free(m->bytes);
	*m = (struct image){ NULL, 0 };
}

void
log_batch_free(struct log *l, struct batch *b)
{
	if (b == NULL)
		return;
	log_image_put(l, &b->image);
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
log_failing_add(struct log *l, const struct segment *g, unsigned slot, const char *why)
{
	struct failing *f = l->failing;

	while (f < l->failing + l->failing_count && (f->segment != g->id || f->slot != slot))
		f++;
	if (f == l->failing + l->failing_count) {
		assert(l->failing_count < FAILING_MAX);
		l->failing_count++;
	}
	f->segment = g->id;
	f->slot = slot;
	snprintf(f->why, sizeof(f->why), "%.150s", why);
}

void
log_flight_put(struct log *l, struct flight *f)
{
	assert(f->refs > 0);
	if (--f->refs > 0)
		return;
	log_batch_free(l, f->batch);
	log_image_put(l, &f->image);
	log_segment_put(l, f->segment);
	free(f);
}

void
log_unlock(struct log *l)
{
	uint32_t handed = l->handed;

	l->handed = 0;
	pthread_mutex_unlock(&l->lock);
	for (unsigned slot = 0; handed != 0; slot++, handed >>= 1)
		if (handed & 1)
			sem_post(&l->workers[slot].wake);
}

/* --- a flight starts -------------------------------------------------------------------------- */

/* Where the batch goes and what its LSNs are: W3. */
static void
flight_stamp(struct log *l, struct flight *f)
{
	const struct batch *b = f->batch;
	struct batch_head h = { f->segment->id, f->offset, f->first_lsn, l->acked_lsn,
		(uint32_t)b->encoded_bytes, b->count };
	uint64_t at = BATCH_HEADER_BYTES;
	uint32_t i;

	f->image_bytes = align_up(b->encoded_bytes, f->segment->sector_bytes);
	log_image_grow(l, &f->batch->image, f->image_bytes);
	f->image = f->batch->image;
	f->batch->image = (struct image){ NULL, 0 };
	batch_head_encode(&h, f->image.bytes);
	for (i = 0; i < b->count; i++) {
		record_stamp(f->image.bytes + at, f->first_lsn + i, h.segment, f->offset + at);
		at += align_up(
		    record_total_bytes(b->records[i].meta_bytes, b->records[i].data_bytes), 8);
	}
	assert(at == b->encoded_bytes);
	memset(f->image.bytes + at, 0, f->image_bytes - at);
}

static int
mirror_write(struct drive_set *s, const struct flight *f, unsigned i, struct err *e)
{
	struct disk *d = drive_set_disk_direct(s);	/* the log has its own: write_ms_max */
	struct iovec iov = { f->image.bytes, f->image_bytes };
	uint64_t from = clock_mono_ns();
	int rc;

	rc = d->ops->pwritev_sync(d, f->segment->handles[i], &iov, 1, f->offset, e);
	drive_latency_note(s, f->segment->slots[i], LATENCY_LOG, (clock_mono_ns() - from) / 1000);
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
		if (last && flight_settle(l) && l->landed_count < LANDED_MAX)
			log_flight_start(l);
		log_flight_put(l, f);
		pthread_cond_broadcast(&l->idle);
		log_unlock(l);
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
			l->handed |= 1u << f->segment->slots[i];	/* W5 */
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
		l->next->share == g->share);
}

/* Z1 of log_prewrite.c. The one that writes the zeros wakes the caller. */
static bool
segment_zeroing(const struct segment *g, const struct batch *b)
{
	return (g->zeroing != 0 && g->end + align_up(b->encoded_bytes,
	    g->sector_bytes) > g->zeroing);
}

/* Takes the prepared segment when the current one has no room; false: it is not ready yet. */
static bool
segment_roll(struct log *l)
{
	if (segment_fits(l->current, l->head) && !segment_worn(l) && !l->seal_early)
		return (!segment_zeroing(l->current, l->head));
	if (l->next == NULL) {
		l->want_next = true;
		l->prewrite.hurry = true;
		pthread_cond_signal(&l->keeper_wake);
		return (false);
	}
	log_segment_roll(l);
	assert(segment_fits(l->current, l->head));
	return (!segment_zeroing(l->current, l->head));
}

/*
 * A mirror on a drive that is not online any more does not count: replace the segment first. Nor
 * does one that was opened before the drive went away: what stands in the slot now is another, and
 * has not failed. And one that is a link to a drive that is retired keeps that from being let go.
 */
static bool
segment_live(struct log *l)
{
	struct segment *g = l->current;
	uint32_t whole = drive_unbroken_mask(l->set, LSN_EPOCH(g->first_lsn)), present;
	unsigned i, gone = 0;

	for (i = 0; i < g->mirror_count; i++)
		gone |= (whole >> g->slots[i] & 1) == 0;
	if (gone == 0 && !catalog_segment_linked(l->set, g->id))
		return (true);
	present = drive_present_mask(l->set);
	for (i = 0; i < g->mirror_count; i++)
		if (!(present >> g->slots[i] & 1))
			log_failing_add(l, g, g->slots[i], "the drive is not online any more");
		else if (!(whole >> g->slots[i] & 1))
			g->missing |= 1u << i;
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
	flight_stamp(l, f);
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

/* Record i of a landed batch, from the image; at is where it starts there. */
static void
record_landed(const struct flight *f, uint32_t i, uint64_t at, struct record *r)
{
	const struct pending *p = &f->batch->records[i];
	const uint8_t *encoded = f->image.bytes + at;
	uint64_t data_at = record_data_offset(p->meta_bytes);

	hf__place__init(&r->place);
	r->lsn = f->first_lsn + i;
	r->type = p->type;
	r->meta = SLICE(encoded + RECORD_HEADER_BYTES, p->meta_bytes);
	r->data = SLICE(encoded + data_at, p->data_bytes);
	r->place.segment = f->segment->id;
	r->place.offset = f->offset + at;
	r->place.record_bytes = (uint32_t)record_total_bytes(p->meta_bytes, p->data_bytes);
	r->place.data_offset = (uint32_t)data_at;
	r->place.data_bytes = p->data_bytes;
	r->place.data_crc = get_u32(encoded + RECORD_AT_DATA_CRC);
	r->place.lsn = r->lsn;
}

static unsigned
batch_deliver(const struct batch *b, const struct flight *f, int code, log_commit_fn *each,
    void *context)
{
	struct log_commit c = { .code = code, .batch = b->number };
	uint64_t at = BATCH_HEADER_BYTES;
	uint32_t i;

	for (i = 0; i < b->count; i++) {
		c.last_of_batch = i + 1 == b->count;
		c.cookie = b->records[i].cookie;
		if (f != NULL) {
			record_landed(f, i, at, &c.record);
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
		if (f->failed >> i & 1)
			log_failing_add(l, f->segment, f->segment->slots[i], f->why[i]);
	log_image_grow(l, &f->batch->image, f->image_bytes);
	memcpy(f->batch->image.bytes, f->image.bytes, f->image_bytes);
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

/* All mirrors have it: it waits for the caller to collect it. */
static void
flight_land(struct log *l, struct flight *f)
{
	struct segment *g = f->segment;

	g->end = f->offset + f->image_bytes;
	g->head_bytes += f->batch->head_bytes;
	g->last_lsn = f->first_lsn + f->batch->count - 1;
	l->acked_lsn = g->last_lsn;
	l->stats.batches++;
	l->stats.records += f->batch->count;
	if (g->mirror_count < drive_set_m(l->set) + 1)
		l->stats.degraded += f->batch->count;
	l->stats.bytes += f->image_bytes;
	f->link = NULL;
	*l->landed_last = f;
	l->landed_last = &f->link;
	l->landed_count++;
	l->flight = NULL;
	if (l->state == LOG_REPAIRING)
		pthread_cond_signal(&l->keeper_wake);	/* K3 */
	log_prewrite_wake(l);
}

/* Every mirror answered. True: the flight has landed, and another may start. */
static bool
flight_settle(struct log *l)
{
	struct flight *f = l->flight;

	if (f == NULL || f->waiting != 0)
		return (false);
	if (f->failed != 0) {
		flight_back(l, f);
		return (false);
	}
	flight_land(l, f);
	return (true);
}

static unsigned
landed_deliver(struct log *l, log_commit_fn *each, void *context)
{
	struct flight *f;
	unsigned n = 0;

	while ((f = l->landed) != NULL) {
		l->landed = f->link;
		if (l->landed == NULL)
			l->landed_last = &l->landed;
		l->landed_count--;
		batch_leaves(l, f->batch);
		log_flight_start(l);
		/* The caller appends from inside each. */
		log_unlock(l);
		n += batch_deliver(f->batch, f, 0, each, context);
		pthread_mutex_lock(&l->lock);
		log_flight_put(l, f);
	}
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
		pthread_mutex_lock(&l->lock);
		log_batch_free(l, b);
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
	flight_settle(l);
	n = landed_deliver(l, each, context);
	keeper_inline(l);
	if (l->state == LOG_FAILED && l->flight == NULL && l->landed == NULL)
		n += queue_fail(l, each, context);
	log_flight_start(l);
	log_unlock(l);
	return (n);
}
