/*
 * backoff - when a service that died is started again. Pure: time and chance are arguments.
 *
 * The delay doubles with each failure in a row, from min_ms to max_ms, with 10 % of jitter, for
 * ever: there is no last try. It counts from the last start, so that what ran for longer than its
 * delay comes back at once. A death after healthy_after of readiness ends the row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_BACKOFF_H
#define HF_SUPERVISORD_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct backoff {
	uint64_t	min_ms, max_ms, healthy_after_ms;
};

/* Delay after `failures` (at least 1) deaths in a row; chance is any number. Never over max_ms. */
uint64_t backoff_delay_ms(const struct backoff *b, unsigned failures, uint32_t chance);
/* The moment of the next start: never before now. */
uint64_t backoff_next_start(const struct backoff *b, unsigned failures, uint32_t chance,
    uint64_t started_ms, uint64_t now_ms);
/* Whether a death now, of a service ready since ready_ms (0: never), ends the row of failures. */
bool backoff_was_healthy(const struct backoff *b, uint64_t ready_ms, uint64_t now_ms);

#endif
