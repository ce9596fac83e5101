/*
 * metrics - one array of 64-bit values for the rows of schema/metrics.def.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/metrics.h"

#include <assert.h>
#include <stdatomic.h>

enum metric_kind { COUNTER, GAUGE, MILLI };

struct metric_row {
	const char		*name, *help;
	enum metric_kind	 kind;
};

static const struct metric_row rows[METRIC_COUNT] = {
#define METRIC(name, kind, unit, help) { #name, help, kind },
#include "schema/metrics.def"
#undef METRIC
};

static _Atomic uint64_t values[METRIC_COUNT];
static _Atomic bool touched[METRIC_COUNT];

static void
metric_touch(enum metric m)
{
	/* Read first: a store each time would pass the line between threads. */
	if (!atomic_load_explicit(&touched[m], memory_order_relaxed))
		atomic_store_explicit(&touched[m], true, memory_order_relaxed);
}

void
metric_add(enum metric m, uint64_t n)
{
	assert(m < METRIC_COUNT);
	atomic_fetch_add_explicit(&values[m], n, memory_order_relaxed);
	metric_touch(m);
}

void
metric_set(enum metric m, uint64_t value)
{
	assert(m < METRIC_COUNT && rows[m].kind != COUNTER);
	atomic_store_explicit(&values[m], value, memory_order_relaxed);
	metric_touch(m);
}

uint64_t
metric_get(enum metric m)
{
	assert(m < METRIC_COUNT);
	return (atomic_load_explicit(&values[m], memory_order_relaxed));
}

bool
metric_touched(enum metric m)
{
	assert(m < METRIC_COUNT);
	return (atomic_load_explicit(&touched[m], memory_order_relaxed));
}

const char *
metric_name(enum metric m)
{
	assert(m < METRIC_COUNT);
	return (rows[m].name);
}

const char *
metric_help(enum metric m)
{
	assert(m < METRIC_COUNT);
	return (rows[m].help);
}

bool
metric_is_counter(enum metric m)
{
	assert(m < METRIC_COUNT);
	return (rows[m].kind == COUNTER);
}

unsigned
metric_scale(enum metric m)
{
	assert(m < METRIC_COUNT);
	return (rows[m].kind == MILLI ? 1000 : 1);
}
