/*
 * child_internal - what child.c and child_stop.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_CHILD_INTERNAL_H
#define HF_SUPERVISORD_CHILD_INTERNAL_H

#include "supervisord/child.h"

void child_set_state(struct child *c, enum child_state state);
void child_arm(struct child *c, uint64_t delay_ms);
/* The timer of a child that has a process: the next step of its stop. */
void child_stop_timer(struct child *c);
void child_on_cancel_seen(void *context);

#endif
