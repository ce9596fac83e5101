/*
 * history_time - clocks, timers and random bytes of a history: all follow from its seed, so that it
 * is the same each time, however slow the machine. The program is linked with
 * -Wl,--wrap of clock_mono_ms, clock_real_ms, random_bytes, event_add, event_del and event_free.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_HISTORY_TIME_H
#define HF_TESTS_HISTORY_TIME_H

#include <stdint.h>

/* From here on time is *now_ms, and what is random comes from the seed. NULL: the real ones. */
void history_time_begin(const uint64_t *now_ms, uint64_t seed);
/* Makes timers that are due active. */
void history_time_turn(void);
/* When the next timer is due; UINT64_MAX: none is. */
uint64_t history_time_next(void);

#endif
