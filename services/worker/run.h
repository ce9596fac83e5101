/*
 * run - RunningTask: a task in the hands of this worker, from the claim until `tasks` has its end.
 *
 *   taken ── a thread of its own ──► running ── execute returned ──► ended ── said ──► gone
 *
 * X1  The thread touches its run, its ask, its brake and what the tasks of a worker use together
 *     (usage.h), and nothing else; the end comes back through the loop.
 * X2  A run stays until `tasks` knows how it ended, or says that its lease is over.
 * X3  A run whose step on a drive hangs is given up: `tasks` is told that it failed, and it keeps
 *     its thread, its memory and its slot until the step comes back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_WORKER_RUN_H
#define HF_WORKER_RUN_H

#include <stdatomic.h>

#include "libbase/pool.h"
#include "libobject/ask.h"
#include "schema/worker.pb-c.h"
#include "services/worker/brake.h"
#include "services/worker/executor.h"
#include "services/worker/others.h"
#include "services/worker/usage.h"
#include "services/worker/watch.h"
#include "services/worker/wire.h"

struct run;
typedef void run_ended_fn(void *context, struct run *r);

struct run {
	struct run		*next;
	Hf__Task		*task;
	Hf__Layout		*layout;
	const struct executor	*executor;	/* NULL: there is none for it */
	struct maintain		 maintain;
	struct ask		*ask;
	struct watch		 watch;
	struct brake		 brake;
	struct others		 others;
	struct wire		 wire;
	struct usage_share	 usage;
	_Atomic unsigned	 share_percent;
	uint64_t		 paced_ns;	/* when it was let through last */
	_Atomic uint64_t	 done, total;	/* GetProgress */
	uint64_t		 estimate_ms, started_ms, ended_ms;	/* mono */
	bool			 cancelled, ended, saying;
	bool			 given_up;	/* X3 */
	bool			 told;		/* `tasks` knows of its end */
	struct err		 lost;		/* X3: why */
	int			 code;
	struct err		 error;
	run_ended_fn		*on_ended;
	void			*context;
};

struct run_options {
	struct objects		*objects;
	struct pool		*pool;
	struct usage		*usage;		/* of all that this worker does */
	const struct config	*config;
	run_ended_fn		*on_ended;	/* on the loop; never from inside run_start */
	void			*context;
};

/*
 * Begins a task (copied). Never NULL: what cannot be begun ends at once with the reason.
 */
struct run *run_start(const struct run_options *o, const Hf__Task *task);
/* Cancel: it ends soon, with ERR_CANCELLED unless it is done before. Idempotent. */
void run_stop(struct run *r);
/* What it asked for of the worker's memory. */
uint64_t run_memory_bytes(struct run *r);
void run_set_limit(struct run *r, const struct config *c);
/* X3: true if a step has been under way for longer than that; it is given up now. */
bool run_overdue(struct run *r, uint64_t deadline_ms);
/* It ended, or was given up: how. */
bool run_is_over(const struct run *r);
int run_code(const struct run *r);
const char *run_error(const struct run *r);
/* It must have ended. */
void run_free(struct run **r);
/* As workers tell it; borrows nothing. */
void run_describe(struct run *r, Hf__WorkerTask *out);

#endif
