/*
 * backoff - when a service that died is started again. Pure: time and chance are arguments.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/backoff.h"

#include <assert.h>

uint64_t
backoff_delay_ms(const struct backoff *b, unsigned failures, uint32_t chance)
{
	uint64_t delay = b->min_ms;

	assert(failures > 0);
	for (unsigned i = 1; i < failures && delay < b->max_ms; i++)
		delay *= 2;
	delay = delay * (90 + chance % 21) / 100;
	return (delay < b->max_ms ? delay : b->max_ms);
}

uint64_t
backoff_next_start(const struct backoff *b, unsigned failures, uint32_t chance, uint64_t started_ms,
    uint64_t now_ms)
{
	uint64_t next = started_ms + backoff_delay_ms(b, failures, chance);

	return (next > now_ms ? next : now_ms);
}

bool
backoff_was_healthy(const struct backoff *b, uint64_t ready_ms, uint64_t now_ms)
{
	return (ready_ms != 0 && now_ms - ready_ms >= b->healthy_after_ms);
}
