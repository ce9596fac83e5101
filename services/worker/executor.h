/*
 * executor - TaskExecutor: one row for each type of task that a worker can do.
 *
 * To add one: a row in executor.c. What it does is a function over struct maintain (libstore),
 * which knows nothing of workers: it may end at any step, and is begun again by another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_WORKER_EXECUTOR_H
#define HF_WORKER_EXECUTOR_H

#include "libbase/config.h"
#include "libstore/maintain/maintain.h"
#include "services/worker/usage.h"

struct executor {
	const char	*type;
	/* The config's limit for it, bytes a second; 0: none. */
	uint64_t	(*limit)(const struct config *c);
	/* EstimateTime */
	uint64_t	(*estimate_ms)(const struct maintain *m, uint64_t limit);
	/* ValidateResources, of drives: 0, or why it cannot be done here. May block. */
	int		(*validate)(const struct maintain *m, const struct usage_limits *limits,
			    struct err *e);
	/* Memory that it is sure to take. */
	uint64_t	(*memory_bytes)(const struct maintain *m);
	/* Execute: blocks. 0, ERR_CANCELLED, ERR_STALE: not ours any more, others: it failed. */
	int		(*execute)(const struct maintain *m, uint64_t volume_id, struct err *e);
};

/* NULL for a type that no row has. */
const struct executor *executor_find(const char *type);
/*
 * ValidateResources: room on the drives, memory and CPU, as they are now. For the thread that will
 * do it: it asks the drives. ERR_BUSY: not now.
 */
int executor_validate(const struct executor *x, const struct maintain *m, struct usage *u,
    struct err *e);
/* In order; NULL behind the last. */
const struct executor *executor_row(unsigned i);

#endif
