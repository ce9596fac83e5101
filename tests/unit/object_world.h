/*
 * object_world - a loop, a pool, a fake store and libobject on top, for tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_OBJECT_WORLD_H
#define HF_TESTS_OBJECT_WORLD_H

#include <criterion/criterion.h>

#include "libbase/clock.h"
#include "libobject/object.h"
#include "tests/unit/fake_store.h"

struct world {
	struct event_base	*base;
	struct pool		*pool;
	struct fake_store	 fake;
	struct objects		*objects;
	uint64_t		 body_memory_max;
	struct disk		*disk;
	unsigned		 read_ms_max, write_ms_max;
};

static inline void
world_open(struct world *w, unsigned k, unsigned m)
{
	struct objects_options options;
	struct err e = ERR_INIT;

	w->base = event_base_new();
	cr_assert_eq(pool_open(w->base, 3, 64, &w->pool, &e), 0, "%s", e.text);
	fake_store_open(&w->fake, w->base, k, m);
	options = (struct objects_options){ .base = w->base, .pool = w->pool,
	    .channel_path = w->fake.socket, .table_fd = w->fake.table_fd,
	    .readers_fd = w->fake.readers_fd, .name = "test",
	    .cache_bytes = 1 << 20, .disk = w->disk, .read_ms_max = w->read_ms_max,
	    .write_ms_max = w->write_ms_max,
	    .body_memory_max = w->body_memory_max != 0 ? w->body_memory_max : 64u << 20 };
	cr_assert_eq(objects_open(&options, &w->objects, &e), 0, "%s", e.text);
}

static inline void
world_close(struct world *w)
{
	objects_close(&w->objects);
	cr_assert_null(w->objects);
	pool_close(&w->pool);
	fake_store_close(&w->fake);
	event_base_free(w->base);
}

static inline void
world_turn(struct world *w)
{
	struct timeval tick = { 0, 2000 };

	event_base_loopexit(w->base, &tick);
	event_base_loop(w->base, EVLOOP_ONCE);
}

/* Runs the loop until *flag, at most 20 s. */
static inline void
world_until(struct world *w, const bool *flag)
{
	uint64_t deadline = clock_mono_ms() + 20000;

	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE) && clock_mono_ms() < deadline)
		world_turn(w);
	cr_assert(*flag, "nothing came for 20 s");
}

static inline void
world_for(struct world *w, uint64_t ms)
{
	uint64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		world_turn(w);
}

#endif
