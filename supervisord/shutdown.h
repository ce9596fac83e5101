/*
 * shutdown - the ordered end of everything.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_SHUTDOWN_H
#define HF_SUPERVISORD_SHUTDOWN_H

#include <stdbool.h>

struct supervisor;

/*
 * Begins the shutdown: the cancellation is broadcast, then services get their TERM in reverse order
 * of start. From a person at the keyboard or from init (`urging`) a second request shortens all
 * deadlines to a second, and a third kills at once; other repeats change nothing.
 */
void shutdown_request(struct supervisor *s, const char *reason, const char *asked_by, bool urging);
/* Goes on after a change; leaves the loop when all are gone or given up. */
void shutdown_advance(struct supervisor *s);

#endif
