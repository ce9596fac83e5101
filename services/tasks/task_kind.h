/*
 * task_kind - the rows of task_types.def, and copies of tasks. States are libstore/apply/task.h's.
 *
 * Everything in this folder but main.c, tasks.c, tasks_*.c is pure: no I/O, no clock (now is passed
 * in), so that the simulator in the tests runs the very same code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_TASK_KIND_H
#define HF_TASKS_TASK_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/log.pb-c.h"

enum task_kind {
#define TASK_TYPE(NAME, ...) TASK_KIND_##NAME,
#include "schema/task_types.def"
#undef TASK_TYPE
	TASK_KIND_COUNT
};

enum task_on { TASK_ON_SEGMENT, TASK_ON_DRIVE };

struct task_kind_row {
	const char	*name, *change, *help;
	enum task_on	 on;
	uint64_t	 bytes_per_ms, memory_mb, cpu_percent;
};

const struct task_kind_row *task_kind_row(enum task_kind kind);
/* TASK_KIND_COUNT for a name that no row has. */
enum task_kind task_kind_of(const char *name);

#define TASK_STATE_BIT(NAME) (1u << HF__TASK__STATE__##NAME)
#define TASK_STATES_WAITING (TASK_STATE_BIT(PENDING) | TASK_STATE_BIT(FAILED))
#define TASK_STATES_HELD (TASK_STATE_BIT(ASSIGNED) | TASK_STATE_BIT(IN_PROGRESS) | \
	TASK_STATE_BIT(STUCK))
#define TASK_STATES_OPEN (TASK_STATES_WAITING | TASK_STATES_HELD | TASK_STATE_BIT(DEAD_LETTER))

Hf__Task *task_copy(const Hf__Task *t);
void task_free(Hf__Task **t);
void task_set_text(char **field, const char *text);

#endif
