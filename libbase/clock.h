/*
 * clock - the only place that reads time. The loop reads it; others receive `now` or a deadline.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_CLOCK_H
#define HF_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void);		/* CLOCK_MONOTONIC */
uint64_t clock_mono_ns(void);
uint64_t clock_real_ms(void);		/* ms since 1970, UTC */
/* "2026-11-21T03:25:00.123Z" into out[25]. */
void clock_format_iso(uint64_t real_ms, char out[25]);
/* "Sat, 21 Nov 2026 03:25:00 GMT" into out[30]. */
void clock_format_http(uint64_t real_ms, char out[30]);
/* "20261121T032500Z" (ISO basic, as in x-amz-date); 0 or ERR_INVALID. */
int clock_parse_amz(const char *text, uint64_t *real_ms);
/* Any of the three HTTP date forms, or ISO 8601; 0 or ERR_INVALID. */
int clock_parse_http(const char *text, uint64_t *real_ms);

#endif
