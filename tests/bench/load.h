/*
 * load - many operations in flight on one session of the store. Every function ends the program on
 * failure, also when the store refuses an operation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BENCH_LOAD_H
#define HF_BENCH_LOAD_H

#include "libobject/object.h"

struct load;

/* Connects and waits for the session. table_fd -1: nothing is cached. */
struct load *load_open(const char *channel, int table_fd, uint64_t cache_bytes);
void load_close(struct load **l);
struct objects *load_objects(struct load *l);
struct event_base *load_base(struct load *l);

/* Fills in operation i; what it points to must stay until the next call. */
typedef void load_make_fn(void *context, uint64_t i, Hf__StoreRequest *q);
/* Operations first .. first + count - 1, `depth` of them in flight. took: ns of each, or NULL. */
void load_run(struct load *l, unsigned depth, uint64_t first, uint64_t count, load_make_fn *make,
    void *context, uint64_t *took);
/* The last answer of load_run with depth 1; borrowed until the next. */
const Hf__StoreReply *load_one(struct load *l, Hf__StoreRequest *q);

void load_bucket(struct load *l, const char *name);

#endif
