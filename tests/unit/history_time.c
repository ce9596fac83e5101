/*
 * history_time - see history_time.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/history_time.h"

#include <assert.h>
#include <event2/event.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/clock.h"

#define TIMERS_MAX	64
#define REAL_MS		UINT64_C(1000000000000)	/* at mono 0 */

static const uint64_t *now;
static uint64_t state;
static struct { struct event *event; uint64_t due_ms; } timers[TIMERS_MAX];
static unsigned timer_count;

uint64_t __real_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void);
uint64_t __real_clock_real_ms(void);
uint64_t __wrap_clock_real_ms(void);
void __real_random_bytes(void *out, size_t bytes);
void __wrap_random_bytes(void *out, size_t bytes);
int __real_event_add(struct event *ev, const struct timeval *delay);
int __wrap_event_add(struct event *ev, const struct timeval *delay);
int __real_event_del(struct event *ev);
int __wrap_event_del(struct event *ev);
void __real_event_free(struct event *ev);
void __wrap_event_free(struct event *ev);

void
history_time_begin(const uint64_t *now_ms, uint64_t seed)
{
	now = now_ms;
	state = seed;
	timer_count = 0;
}

uint64_t
__wrap_clock_mono_ms(void)
{
	return (now != NULL ? *now : __real_clock_mono_ms());
}

uint64_t
__wrap_clock_real_ms(void)
{
	return (now != NULL ? REAL_MS + *now : __real_clock_real_ms());
}

void
__wrap_random_bytes(void *out, size_t bytes)
{
	uint8_t *p = out;

	if (now == NULL) {
		__real_random_bytes(out, bytes);
		return;
	}
	for (size_t i = 0; i < bytes; i++) {
		uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		p[i] = (uint8_t)((z ^ z >> 27) >> 24);
	}
}

static void
timer_forget(const struct event *ev)
{
	for (unsigned i = 0; i < timer_count; i++)
		if (timers[i].event == ev) {
			timers[i] = timers[--timer_count];
			return;
		}
}

int
__wrap_event_add(struct event *ev, const struct timeval *delay)
{
	if (now == NULL || delay == NULL)
		return (__real_event_add(ev, delay));
	timer_forget(ev);
	assert(timer_count < TIMERS_MAX);
	timers[timer_count].event = ev;
	timers[timer_count++].due_ms = *now + (uint64_t)delay->tv_sec * 1000 +
	    (uint64_t)delay->tv_usec / 1000;
	return (0);
}

int
__wrap_event_del(struct event *ev)
{
	timer_forget(ev);
	return (__real_event_del(ev));
}

void
__wrap_event_free(struct event *ev)
{
	timer_forget(ev);
	__real_event_free(ev);
}

void
history_time_turn(void)
{
	for (unsigned i = 0; i < timer_count; ) {
		struct event *ev = timers[i].event;

		if (timers[i].due_ms > *now) {
			i++;
			continue;
		}
		timer_forget(ev);
		event_active(ev, EV_TIMEOUT, 0);
	}
}

uint64_t
history_time_next(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < timer_count; i++)
		if (timers[i].due_ms < next)
			next = timers[i].due_ms;
	return (next);
}
