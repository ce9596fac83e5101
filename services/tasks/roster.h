/*
 * roster - WorkerRegistry: the worker processes, what they can and may do, and how they did so far.
 *
 * W1  An id has at most one instance; a new one takes its place, and what the old one held is free.
 * W2  Only a worker that holds tasks must send heartbeats: one without work is silent, and is
 *     knocked at when there is some. So one that fell silent is knocked at, too: a few times, and
 *     from then on while there is work.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TASKS_ROSTER_H
#define HF_TASKS_ROSTER_H

#include "libbase/err.h"
#include "schema/worker.pb-c.h"
#include "services/tasks/task_kind.h"
#include "services/tasks/task_settings.h"

#define WORKERS_MAX		64
#define WORKER_NAME_BYTES	64
#define WORKER_TASKS_MAX	64
#define WORKER_INSTANCE_BYTES	16

enum worker_status { WORKER_ACTIVE, WORKER_INACTIVE };

/* WorkerMetrics, of one kind of task. */
struct worker_performance {
	uint64_t	completed, failed;
	uint64_t	bytes, run_ms;		/* of the completed ones */
};

struct worker {
	char			 id[WORKER_NAME_BYTES];
	uint8_t			 instance[WORKER_INSTANCE_BYTES];
	char			 address[108];
	uint32_t		 capabilities;		/* bit mask of kinds */
	unsigned		 max_concurrent, current_load;
	unsigned		 strays;	/* slots that tasks which it has lost still take */
	uint64_t		 memory_mb, cpu_percent;	/* taken by current_load */
	enum worker_status	 status;
	uint64_t		 last_seen_ms;
	uint32_t		 preferred_servers;	/* bit mask of slots */
	Hf__ResourceLimits	 limits;
	Hf__ResourceUse		 use;		/* as it said last */
	struct worker_performance performance[TASK_KIND_COUNT];
	bool			 knock;			/* there is something for it */
	/* Inactive: knocked at again, now and then. */
	uint64_t		 again_ms;
	unsigned		 knocks;
	unsigned		 handed;		/* in this turn: batches */
	char			 note[96];		/* why it is inactive */
};

struct roster {
	struct worker	workers[WORKERS_MAX];
	unsigned	count;
};

/*
 * A new worker, or what is new of one. ERR_INVALID: what it says makes no sense; ERR_BUSY:
 * WORKERS_MAX are there. *replaced: another instance had this id.
 */
int roster_register(struct roster *r, const Hf__WorkerRegister *q, uint64_t now_ms,
    struct worker **out, bool *replaced, struct err *e);
struct worker *roster_find(struct roster *r, const char *id);
/* The same, if the instance is this one. */
struct worker *roster_match(struct roster *r, const char *id, const ProtobufCBinaryData *instance);
/* Its word was heard. use: NULL if it does not say. */
void worker_seen(struct worker *w, const Hf__ResourceUse *use, uint64_t now_ms);
void worker_lost(struct worker *w, const char *why, uint64_t now_ms,
    const struct task_settings *s);
/* It was knocked at, and is not back: the next time. */
void worker_wait_longer(struct worker *w, uint64_t now_ms, const struct task_settings *s);
void worker_did(struct worker *w, enum task_kind kind, bool well, uint64_t bytes, uint64_t run_ms);
/* Bytes a second, of what succeeded, times the share that did; 0: no history. */
uint64_t worker_score(const struct worker *w, enum task_kind kind);

#endif
