/*
 * loop - see loop.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/loop.h"

#include <criterion/criterion.h>

#include "libbase/clock.h"

struct event_base *base;

void
run_until(const unsigned *counter, unsigned value)
{
	uint64_t end = clock_mono_ms() + 20000;
	struct timeval tick = { 0, 20000 };

	while (*counter < value && clock_mono_ms() < end) {
		event_base_loopexit(base, &tick);
		event_base_loop(base, EVLOOP_ONCE);
	}
	cr_assert_geq(*counter, value);
}

void
run_for(unsigned ms)
{
	struct timeval t = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };

	event_base_loopexit(base, &t);
	event_base_dispatch(base);
}
