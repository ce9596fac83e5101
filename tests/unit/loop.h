/*
 * loop - turns of an event loop, for tests that wait until something was counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TEST_LOOP_H
#define HF_TEST_LOOP_H

#include <event2/event.h>

/* The loop of the test: made and freed by it. */
extern struct event_base *base;

/* Turns the loop until *counter is at least `value`, or a long time passed. */
void run_until(const unsigned *counter, unsigned value);
void run_for(unsigned ms);

#endif
