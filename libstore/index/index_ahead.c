/*
 * index_ahead - see index_ahead.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/index/index_ahead.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "libstore/index/index_layer.h"

/*
 * A part of so much is written; who adds waits when the next one has twice that, or as much if
 * parts are large. A reader passes every tombstone of a part, and goes around those in the
 * database.
 */
#define PART_ROWS	8192u
#define PART_TOMBSTONES	512u
#define PART_BYTES	(4u * 1024 * 1024)
#define FULL_TIMES	2u
#define KEPT_BYTES	(8u * PART_BYTES)	/* while the database has no room */
#define BULK_TIMES	8u
/* Looked for so many keys since anything was added, readers pay more than a small part's write. */
#define LOOKS_MAX	4096u
#define WATCH_MS	200
#define SEEN_BITS	(1u << 17)

struct ahead_part {
	struct index_layer	*rows;
	unsigned		 refs;
	/* Bits of the keys of all rows: most keys that are not here are known by that, and a search
	 * down a tree of some thousand rows misses the processor's cache at each step. */
	uint64_t		 seen[SEEN_BITS / 64];
};

struct index_ahead {
	ahead_write_fn		*write;
	void			*context;
	pthread_t		 thread;
	bool			 started;
	pthread_mutex_t		 lock;
	pthread_cond_t		 work, done;
	struct ahead_part	*grows, *written;	/* written: NULL if nothing is */
	uint64_t		 added, taken, finished;	/* counts of ahead_add */
	unsigned		 looks;		/* since the last one */
	bool			 stopping, flush, bulk;
	bool			 watching;	/* the database goes on with what it was given */
	unsigned		 draining;
	struct err		 failure;
	int			 failure_fd;	/* readable from then on */
};

static struct ahead_part *
part_new(void)
{
	struct ahead_part *p = calloc(1, sizeof(*p));

	assert(p != NULL);
	p->rows = index_layer_new();
	p->refs = 1;
	return (p);
}

static uint32_t
key_bit(struct slice key)
{
	return ((uint32_t)XXH3_64bits(key.data, key.bytes) % SEEN_BITS);
}

static void
part_see(struct ahead_part *p, const struct index_layer *rows)
{
	const struct layer_entry *x = layer_seek(rows, SLICE_NONE, false);

	for (; x != NULL; x = layer_next(x)) {
		uint32_t bit = key_bit(x->key);

		p->seen[bit / 64] |= UINT64_C(1) << bit % 64;
	}
}

static const struct layer_entry *
part_find(const struct ahead_part *p, struct slice key, uint32_t bit)
{
	return ((p->seen[bit / 64] >> bit % 64 & 1) != 0 ? layer_find(p->rows, key) : NULL);
}

/* Without the lock: a part is large. */
static void
part_free(struct ahead_part *p)
{
	index_layer_free(p->rows);
	free(p);
}

static bool
part_is_over(const struct index_ahead *a, size_t times)
{
	const struct index_layer *rows = a->grows->rows;
	size_t size = a->bulk ? BULK_TIMES * times : times;

	return (rows->count >= PART_ROWS * size || rows->bytes >= PART_BYTES * size ||
	    (!a->bulk && rows->tombstones >= PART_TOMBSTONES * times));
}

struct index_ahead *
ahead_new(ahead_write_fn *write, void *context)
{
	struct index_ahead *a = calloc(1, sizeof(*a));
	pthread_condattr_t clock;

	assert(a != NULL);
	a->write = write;
	a->context = context;
	a->grows = part_new();
	pthread_mutex_init(&a->lock, NULL);
	a->failure_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	assert(a->failure_fd >= 0);
	pthread_cond_init(&a->work, &clock);
	pthread_cond_init(&a->done, NULL);
	pthread_condattr_destroy(&clock);
	return (a);
}

void
ahead_free(struct index_ahead *a)
{
	if (a->started) {
		pthread_mutex_lock(&a->lock);
		a->stopping = true;
		pthread_cond_signal(&a->work);
		pthread_mutex_unlock(&a->lock);
		pthread_join(a->thread, NULL);
	}
	part_free(a->grows);
	if (a->written != NULL)
		part_free(a->written);
	pthread_cond_destroy(&a->work);
	pthread_cond_destroy(&a->done);
	pthread_mutex_destroy(&a->lock);
	close(a->failure_fd);
	free(a);
}

/* --- the thread ------------------------------------------------------------------------------- */

static bool
work_is_due(const struct index_ahead *a)
{
	return (a->failure.code == 0 &&
	    (a->flush || part_is_over(a, 1) ||
	    ((a->draining > 0 || (a->looks >= LOOKS_MAX && !a->bulk)) &&
	    a->finished < a->added)));
}

/* With the lock. Who only waits for rows to come would not hear of it from ahead_add. */
static void
written(struct index_ahead *a, int rc, const struct err *e)
{
	const uint64_t one = 1;

	a->watching = rc > 0;
	if (rc >= 0 || a->failure.code != 0)
		return;
	a->failure = *e;
	if (write(a->failure_fd, &one, sizeof(one)) < 0)
		abort();	/* it takes more than anybody could write */
}

/* With the lock, which is given back meanwhile: looks after a while how the database is doing. */
static void
database_watch(struct index_ahead *a)
{
	struct err e = ERR_INIT;
	struct timespec until;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WATCH_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	if (pthread_cond_timedwait(&a->work, &a->lock, &until) != ETIMEDOUT)
		return;
	pthread_mutex_unlock(&a->lock);
	rc = a->write(a->context, NULL, false, &e);
	pthread_mutex_lock(&a->lock);
	written(a, rc, &e);
}

/* With the lock, which is given back while the database works. */
static void
part_write(struct index_ahead *a)
{
	struct ahead_part *p = NULL;
	struct err e = ERR_INIT;
	bool flush = a->flush;
	int rc;

	a->flush = false;
	a->taken = a->added;
	if (a->finished < a->taken) {
		p = a->written = a->grows;
		a->grows = part_new();
		pthread_cond_broadcast(&a->done);	/* there is room */
	}
	pthread_mutex_unlock(&a->lock);
	rc = a->write(a->context, p != NULL ? p->rows : NULL, flush, &e);
	pthread_mutex_lock(&a->lock);
	written(a, rc, &e);
	if (rc >= 0) {
		a->written = NULL;
		a->finished = a->taken;
		if (p != NULL && --p->refs > 0)
			p = NULL;
	}
	pthread_cond_broadcast(&a->done);
	if (rc < 0 || p == NULL)
		return;
	pthread_mutex_unlock(&a->lock);
	part_free(p);
	pthread_mutex_lock(&a->lock);
}

static void *
ahead_main(void *context)
{
	struct index_ahead *a = context;

	pthread_mutex_lock(&a->lock);
	while (!a->stopping) {
		if (work_is_due(a))
			part_write(a);
		else if (a->watching)
			database_watch(a);
		else
			pthread_cond_wait(&a->work, &a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return (NULL);
}

/* With the lock. An index that is only read has no thread. */
static int
work_begin(struct index_ahead *a, struct err *e)
{
	sigset_t all, old;
	int rc = 0;

	if (a->failure.code != 0)
		return (err_set(e, a->failure.code, "%s", a->failure.text));
	if (!a->started) {
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		rc = pthread_create(&a->thread, NULL, ahead_main, a);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		a->started = rc == 0;
	}
	if (rc != 0)
		return (err_errno(e, rc, "start the thread of the index"));
	pthread_cond_signal(&a->work);
	return (0);
}

/* --- adding ----------------------------------------------------------------------------------- */

/* With the lock. The database has no room: what is on its way is kept, and can be read. Nothing
 * else is to come; if it does all the same, there is an end. That is one of memory: many small rows
 * and tombstones only cost readers time. */
static bool
rows_are_kept(const struct index_ahead *a)
{
	return (a->failure.code == ERR_FULL && !a->bulk && a->grows->rows->bytes < KEPT_BYTES);
}

/* With the lock, which is given back meanwhile. */
static int
room_wait(struct index_ahead *a, struct err *e)
{
	int rc = 0;

	while (rc == 0 && !rows_are_kept(a) && part_is_over(a, a->bulk ? 1 : FULL_TIMES)) {
		rc = work_begin(a, e);
		if (rc == 0)
			pthread_cond_wait(&a->done, &a->lock);
	}
	if (rc == 0 && a->failure.code != 0 && !rows_are_kept(a))
		rc = err_set(e, a->failure.code, "%s", a->failure.text);
	return (rc);
}

int
ahead_add(struct index_ahead *a, struct index_layer *rows, struct err *e)
{
	int rc;

	pthread_mutex_lock(&a->lock);
	rc = room_wait(a, e);
	if (rc == 0) {
		part_see(a->grows, rows);
		layer_take(a->grows->rows, rows);
		a->added++;
		a->looks = 0;
		if (a->failure.code == 0 && a->written == NULL && part_is_over(a, 1))
			rc = work_begin(a, e);
	}
	pthread_mutex_unlock(&a->lock);
	return (rc);
}

void
ahead_bulk(struct index_ahead *a, bool on)
{
	pthread_mutex_lock(&a->lock);
	a->bulk = on;
	pthread_mutex_unlock(&a->lock);
}

int
ahead_failure_fd(const struct index_ahead *a)
{
	return (a->failure_fd);
}

int
ahead_failed(struct index_ahead *a, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	if (a->failure.code != 0)
		rc = err_set(e, a->failure.code, "%s", a->failure.text);
	pthread_mutex_unlock(&a->lock);
	return (rc);
}

size_t
ahead_bytes(struct index_ahead *a)
{
	size_t bytes;

	pthread_mutex_lock(&a->lock);
	bytes = a->grows->rows->bytes + (a->written != NULL ? a->written->rows->bytes : 0);
	pthread_mutex_unlock(&a->lock);
	return (bytes);
}

int
ahead_flush_soon(struct index_ahead *a, struct err *e)
{
	int rc;

	pthread_mutex_lock(&a->lock);
	a->flush = true;
	rc = work_begin(a, e);
	pthread_mutex_unlock(&a->lock);
	return (rc);
}

int
ahead_drain(struct index_ahead *a, struct err *e)
{
	uint64_t until;
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	until = a->added;
	while (rc == 0 && a->finished < until) {
		rc = work_begin(a, e);
		a->draining++;
		if (rc == 0)
			pthread_cond_wait(&a->done, &a->lock);
		a->draining--;
	}
	pthread_mutex_unlock(&a->lock);
	return (rc);
}

/* --- reading ---------------------------------------------------------------------------------- */

static const struct layer_entry *
entry_find(const struct index_ahead *a, struct slice key)
{
	uint32_t bit = key_bit(key);
	const struct layer_entry *x = part_find(a->grows, key, bit);

	if (x == NULL && a->written != NULL)
		x = part_find(a->written, key, bit);
	return (x);
}

/* With the lock. Nothing comes any more, and what waits is looked through again and again. */
static void
looks_count(struct index_ahead *a)
{
	struct err e = ERR_INIT;

	if (!a->bulk && a->grows->rows->count > 0 && ++a->looks == LOOKS_MAX)
		(void)work_begin(a, &e);	/* a failure is told to who adds */
}

int
ahead_find(struct index_ahead *a, struct slice key, struct buf *out)
{
	const struct layer_entry *x = entry_find(a, key);

	looks_count(a);
	if (x == NULL)
		return (AHEAD_ABSENT);
	if (x->deleted)
		return (AHEAD_DELETED);
	buf_append(out, x->value, x->value_bytes);
	return (AHEAD_FOUND);
}

int
ahead_get(struct index_ahead *a, struct slice key, struct buf *out)
{
	int found;

	pthread_mutex_lock(&a->lock);
	found = ahead_find(a, key, out);
	pthread_mutex_unlock(&a->lock);
	return (found);
}

void
ahead_hold(struct index_ahead *a, struct ahead_view *out)
{
	pthread_mutex_lock(&a->lock);
	out->count = 0;
	if (a->grows->rows->count > 0)
		out->parts[out->count++] = a->grows;
	if (a->written != NULL)
		out->parts[out->count++] = a->written;
	for (unsigned i = 0; i < out->count; i++)
		out->parts[i]->refs++;
	pthread_mutex_unlock(&a->lock);
}

void
ahead_release(struct index_ahead *a, struct ahead_view *v)
{
	for (unsigned i = 0; i < v->count; i++) {
		bool last;

		pthread_mutex_lock(&a->lock);
		last = --v->parts[i]->refs == 0;
		pthread_mutex_unlock(&a->lock);
		if (last)
			part_free(v->parts[i]);
	}
	v->count = 0;
}

void
ahead_lock(struct index_ahead *a)
{
	pthread_mutex_lock(&a->lock);
}

void
ahead_unlock(struct index_ahead *a)
{
	pthread_mutex_unlock(&a->lock);
}

const struct index_layer *
ahead_rows(const struct ahead_part *p)
{
	return (p->rows);
}
