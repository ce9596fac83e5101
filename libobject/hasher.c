/*
 * hasher - digests of all bodies that this process receives: threads of the pool take rows from
 * lanes, one for each body.
 *
 *     lane ──rows wait──► queued ──► busy: one thread hashes some ──► told ──► (loop) taken
 *               ▲                                         │
 *               └────────────── more rows ────────────────┘
 *
 * MD5 cannot be split, so it bounds what one body can do: a thread stays while there are rows, so
 * that between two rows of a body nobody is waited for. There is one for every two lanes; the other
 * threads of the pool encode and write meanwhile.
 *
 * H1  A lane is with one thread at most, and its rows are hashed in order.
 * H2  A thread touches the payload of rows and the digests of its lanes, nothing else of a body.
 * H3  A lane has rows given while anything here points to it; so a body without any may go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libobject/body_writer_internal.h"

#define TURN_ROWS	2	/* of a lane, then others have their turn and the loop is told */

struct hash_thread {
	struct work	 work;
	struct objects	*objects;
};

/* What a thread took from a lane. */
struct hash_turn {
	struct hash_lane *lane;
	struct row	*rows[TURN_ROWS];
	unsigned	 count;
};

/* --- Hashing (H2). --- */

/* Bytes of a row one after the other. */
struct walk {
	const struct hash_turn	*turn;
	unsigned		 row;
	uint32_t		 at;		/* in the row */
};

/* The next stretch of body bytes; nothing at the end. */
static struct slice
walk_next(const struct walk *k)
{
	const struct row *r;
	uint32_t payload, left;

	if (k->row == k->turn->count)
		return (SLICE_NONE);
	r = k->turn->rows[k->row];
	payload = r->place.unit_bytes - VOLUME_TRAILER_BYTES;
	left = payload - k->at % payload;
	if (left > r->place.body_bytes - k->at)
		left = r->place.body_bytes - k->at;
	return (SLICE(r->memory + (size_t)(k->at / payload) * r->stride + k->at % payload, left));
}

static void
walk_step(struct walk *k, size_t bytes)
{
	k->at += (uint32_t)bytes;
	if (k->at == k->turn->rows[k->row]->place.body_bytes) {
		k->row++;
		k->at = 0;
	}
}

static void
turn_hash(const struct hash_turn *t)
{
	struct walk k = { .turn = t };
	struct slice s;
	unsigned d;

	while ((s = walk_next(&k)).bytes > 0) {
		for (d = 0; d < t->lane->digest_count; d++)
			digest_update(&t->lane->digests[d], s.data, s.bytes);
		walk_step(&k, s.bytes);
	}
}

/* --- Lanes, with the lock. --- */

static void
lane_queue(struct hasher *h, struct hash_lane *l)
{
	if (l->queued || l->busy || TAILQ_EMPTY(&l->waiting))
		return;
	l->queued = true;
	h->lane_count++;
	TAILQ_INSERT_TAIL(&h->lanes, l, entry);
}

static void
lane_unqueue(struct hasher *h, struct hash_lane *l)
{
	l->queued = false;
	h->lane_count--;
	TAILQ_REMOVE(&h->lanes, l, entry);
}

static bool
turn_begin(struct hasher *h, struct hash_turn *t)
{
	struct row *r;

	*t = (struct hash_turn){ .lane = TAILQ_FIRST(&h->lanes) };
	if (t->lane == NULL)
		return (false);
	lane_unqueue(h, t->lane);
	t->lane->busy = true;	/* H1 */
	h->busy_count++;
	while (t->count < TURN_ROWS && (r = TAILQ_FIRST(&t->lane->waiting)) != NULL) {
		TAILQ_REMOVE(&t->lane->waiting, r, hash_entry);
		t->rows[t->count++] = r;
	}
	return (true);
}

static void
turn_end(struct hasher *h, struct hash_turn *t)
{
	struct hash_lane *l = t->lane;
	unsigned i;

	for (i = 0; i < t->count; i++)
		TAILQ_INSERT_TAIL(&l->hashed, t->rows[i], hash_entry);
	l->busy = false;
	h->busy_count--;
	lane_queue(h, l);
	if (l->told)
		return;
	l->told = true;
	TAILQ_INSERT_TAIL(&h->told, l, told_entry);
}

/* --- Threads. --- */

/* On the loop. H3 */
static void
on_told(void *context)
{
	struct objects *o = context;
	struct hasher *h = &o->hasher;
	struct hash_lane *l;

	pthread_mutex_lock(&h->lock);
	h->telling = false;
	while ((l = TAILQ_FIRST(&h->told)) != NULL) {
		TAILQ_REMOVE(&h->told, l, told_entry);
		l->told = false;
		pthread_mutex_unlock(&h->lock);
		l->on_rows(l->context);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
}

static void
thread_run(void *context)
{
	struct hash_thread *t = context;
	struct hasher *h = &t->objects->hasher;
	struct hash_turn turn;

	pthread_mutex_lock(&h->lock);
	while (turn_begin(h, &turn)) {
		pthread_mutex_unlock(&h->lock);
		turn_hash(&turn);
		pthread_mutex_lock(&h->lock);
		turn_end(h, &turn);
		if (h->telling)
			continue;
		h->telling = true;
		pool_tell(t->objects->pool, on_told, t->objects);
	}
	h->threads--;
	pthread_mutex_unlock(&h->lock);
}

static void
on_thread(void *context)
{
	free(context);
}

static void
thread_start(struct objects *o)
{
	struct hash_thread *t = calloc(1, sizeof(*t));

	if (t == NULL)
		abort();
	t->objects = o;
	work_submit(o, &t->work, thread_run, on_thread, t);
}

/* --- For bodies, on the loop. --- */

void
hasher_lane_init(struct hash_lane *l, struct digest *digests, unsigned digest_count,
    void (*on_rows)(void *context), void *context)
{
	*l = (struct hash_lane){ .digests = digests, .digest_count = digest_count,
	    .on_rows = on_rows, .context = context };
	TAILQ_INIT(&l->waiting);
	TAILQ_INIT(&l->hashed);
}

void
hasher_add(struct objects *o, struct hash_lane *l, struct row *r)
{
	struct hasher *h = &o->hasher;
	bool start;

	l->given++;
	pthread_mutex_lock(&h->lock);
	TAILQ_INSERT_TAIL(&l->waiting, r, hash_entry);
	lane_queue(h, l);
	start = h->threads < (h->lane_count + h->busy_count + 1) / 2;
	h->threads += start;
	pthread_mutex_unlock(&h->lock);
	if (start)
		thread_start(o);
}

static struct row *
rows_pop(struct hasher *h, struct hash_lane *l, struct row_list *rows)
{
	struct row *r;

	pthread_mutex_lock(&h->lock);
	r = TAILQ_FIRST(rows);
	if (r != NULL) {
		TAILQ_REMOVE(rows, r, hash_entry);
		l->given--;
	}
	if (l->queued && TAILQ_EMPTY(&l->waiting))
		lane_unqueue(h, l);
	if (l->told && TAILQ_EMPTY(&l->hashed)) {
		TAILQ_REMOVE(&h->told, l, told_entry);
		l->told = false;
	}
	pthread_mutex_unlock(&h->lock);
	return (r);
}

struct row *
hasher_take(struct objects *o, struct hash_lane *l)
{
	return (rows_pop(&o->hasher, l, &l->hashed));
}

struct row *
hasher_drop(struct objects *o, struct hash_lane *l)
{
	return (rows_pop(&o->hasher, l, &l->waiting));
}

void
hasher_init(struct objects *o)
{
	pthread_mutex_init(&o->hasher.lock, NULL);
	TAILQ_INIT(&o->hasher.lanes);
	TAILQ_INIT(&o->hasher.told);
}

void
hasher_release(struct objects *o)
{
	assert(o->hasher.threads == 0 && TAILQ_EMPTY(&o->hasher.lanes) &&
	    TAILQ_EMPTY(&o->hasher.told));
	pthread_mutex_destroy(&o->hasher.lock);
}
