/*
 * brake - a rate for one task. Bytes are paid after they went: each pass waits for those before it,
 * so that a rest is no credit, and a large pass is not held back in pieces.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/worker/brake.h"

#include <assert.h>
#include <time.h>

#include "libbase/clock.h"

#define NS UINT64_C(1000000000)

void
brake_init(struct brake *b, uint64_t bytes_per_second)
{
	pthread_condattr_t a;
	int rc;

	*b = (struct brake){ .bytes_per_second = bytes_per_second };
	rc = pthread_mutex_init(&b->lock, NULL);
	assert(rc == 0);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	rc = pthread_cond_init(&b->moved, &a);
	assert(rc == 0);
	pthread_condattr_destroy(&a);
}

void
brake_release(struct brake *b)
{
	pthread_cond_destroy(&b->moved);
	pthread_mutex_destroy(&b->lock);
}

void
brake_set(struct brake *b, uint64_t bytes_per_second)
{
	pthread_mutex_lock(&b->lock);
	b->bytes_per_second = bytes_per_second;
	b->free_ns = 0;
	pthread_cond_broadcast(&b->moved);
	pthread_mutex_unlock(&b->lock);
}

void
brake_stop(struct brake *b)
{
	pthread_mutex_lock(&b->lock);
	b->stopped = true;
	pthread_cond_broadcast(&b->moved);
	pthread_mutex_unlock(&b->lock);
}

/* With lock: until a time that may change meanwhile. */
static void
wait_until(struct brake *b, const uint64_t *until_ns)
{
	while (!b->stopped && *until_ns > clock_mono_ns()) {
		struct timespec until = { (time_t)(*until_ns / NS), (long)(*until_ns % NS) };

		pthread_cond_timedwait(&b->moved, &b->lock, &until);
	}
}

static int
stopped_say(bool stopped, struct err *e)
{
	return (stopped ? err_set(e, ERR_CANCELLED, "the task was cancelled") : 0);
}

int
brake_rest(struct brake *b, uint64_t ns, struct err *e)
{
	uint64_t until_ns = clock_mono_ns() + ns;
	bool stopped;

	pthread_mutex_lock(&b->lock);
	wait_until(b, &until_ns);
	stopped = b->stopped;
	pthread_mutex_unlock(&b->lock);
	return (stopped_say(stopped, e));
}

int
brake_pass(struct brake *b, uint64_t bytes, struct err *e)
{
	uint64_t now;
	bool stopped;

	pthread_mutex_lock(&b->lock);
	wait_until(b, &b->free_ns);
	now = clock_mono_ns();
	b->bytes += bytes;
	if (b->bytes_per_second > 0)
		b->free_ns = now + bytes / b->bytes_per_second * NS +
		    bytes % b->bytes_per_second * NS / b->bytes_per_second;
	stopped = b->stopped;
	pthread_mutex_unlock(&b->lock);
	return (stopped_say(stopped, e));
}

uint64_t
brake_bytes(struct brake *b)
{
	uint64_t bytes;

	pthread_mutex_lock(&b->lock);
	bytes = b->bytes;
	pthread_mutex_unlock(&b->lock);
	return (bytes);
}
