/*
 * board_waits - what tasks wait for, and how many of them for the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_BOARD_WAITS_H
#define HF_TASKS_BOARD_WAITS_H

#include "services/tasks/board.h"

#define BOARD_WAITS_MAX 32	/* different reasons that are told */

struct board_wait {
	char		why[sizeof(((struct board_item *)NULL)->no_room)];
	unsigned	tasks;
};

/*
 * Returns how many reasons; *others is how many tasks wait for more of them. What the store said of
 * room is told without its numbers, but for slots: else each task had a reason of its own.
 */
unsigned board_waits(const struct board *b, struct board_wait out[BOARD_WAITS_MAX],
    unsigned *others);

#endif
