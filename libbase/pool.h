/*
 * pool - threads for blocking work; results come back through the loop.
 *
 * All functions but pool_tell are for the loop's thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_POOL_H
#define HF_BASE_POOL_H

#include <event2/event.h>

#include "libbase/err.h"

struct pool;
/* on a pool thread: touches only what it was given */
typedef void pool_work_fn(void *context);
typedef void pool_done_fn(void *context);	/* on the loop's thread, exactly once */

/* queue_max bounds what waits. Threads block all signals. */
int pool_open(struct event_base *base, unsigned threads, unsigned queue_max, struct pool **out,
    struct err *e);
/* Waits for running work; queued work is run too; done callbacks all come before it returns. Not
 * from inside a done callback. */
void pool_close(struct pool **p);
/* 0, or ERR_BUSY when the queue is full or the pool closing (nothing was queued then). */
int pool_submit(struct pool *p, pool_work_fn *work, pool_done_fn *done, void *context);
/* From work that runs on a pool thread, whose own done comes later: fn runs on the loop. */
void pool_tell(struct pool *p, pool_done_fn *fn, void *context);
unsigned pool_queued(const struct pool *p);
unsigned pool_running(const struct pool *p);

#endif
