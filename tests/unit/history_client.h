/*
 * history_client - what history_world does to the inside of libobject: it is a file of its own
 * because libobject and libstore each have a struct session.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_HISTORY_CLIENT_H
#define HF_TESTS_HISTORY_CLIENT_H

#include "libobject/object.h"

void history_client_hold(struct objects *o, bool on);
/* Its connection ends as if the process were gone; drop: with what it had sent last. */
void history_client_cut_off(struct objects *o, bool drop);

#endif
