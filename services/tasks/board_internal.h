/*
 * board_internal - what the files board*.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_BOARD_INTERNAL_H
#define HF_TASKS_BOARD_INTERNAL_H

#include "services/tasks/board.h"

#define RETRY_STORE_MS	1000	/* after the store refused a transition for a reason of its own */
#define SCAN_SOON_MS	1000
#define NEVER		UINT64_MAX

void board_note(struct board *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Something is to be looked at then. */
void board_due(struct board *b, uint64_t ms);
/* board_item.c */
void item_free(struct board_item *it);
/* What takes part here: what is not over, and what the store's figures do not show yet. */
bool task_matters(const Hf__Task *t);
void item_begin_volume(struct board *b, const struct board_item *it);
void item_take(struct board *b, struct board_item *it, const Hf__Task *task, uint64_t now_ms);
void item_remove(struct board *b, struct board_item *it);
/*
 * A copy of the item's task in another state, to be filled in and handed to item_move, which asks
 * the store for it.
 */
Hf__Task *item_next(const struct board_item *it, unsigned state);
void item_move(struct board *b, struct board_item *it, Hf__Task *next);
/* The worker that has it, if it is known here. */
struct worker *item_worker(struct board *b, const struct board_item *it);
/* A lease that its holder has lost. */
void item_tell_worker(struct board *b, const struct board_item *it);
/*
 * An assignment that comes too late: another task has the same segment or drive by now. (It was
 * asked for by an earlier process of ours, and reached the store after we had read the queue.)
 */
bool item_is_late(const struct board *b, const struct board_item *it);
void item_answer(struct board *b, struct board_item *it, int code);

/* board_monitor.c: one item; board_schedule.c: all that wait. */
void monitor_item(struct board *b, struct board_item *it, uint64_t now_ms);
void schedule_all(struct board *b, uint64_t now_ms);
/* What each worker has now, from the tasks. */
void schedule_loads(struct board *b);

#endif
