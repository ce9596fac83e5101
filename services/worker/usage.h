/*
 * usage - ResourceLimits at work: what the tasks of a worker process take together, as measured,
 * and what holds them back.
 *
 * Q1  Memory is asked for before it is taken, and measured besides: what the process has of its
 *     own, less what it had without a task. Who asks for more than there is does not get it; if it
 *     was passed all the same, the task that has asked for most fails. The process never does.
 * Q2  CPU and network are paid after they were used: tasks rest until what they used is what the
 *     limit gives for the time since, so that a rest is no credit. (So does brake.h, for drives.)
 *
 * Who rests, and that it can be stopped meanwhile, is run.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_WORKER_USAGE_H
#define HF_WORKER_USAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libbase/config.h"
#include "libbase/err.h"

/* Where the figures come from; tests have their own. */
struct usage_meter {
	uint64_t	(*memory_bytes)(void);	/* of this process alone; 0: not known */
	uint64_t	(*cpu_ns)(void);	/* that its threads have used */
};
extern const struct usage_meter usage_meter_process;

struct usage_limits {				/* 0: none */
	uint64_t	memory_bytes, cpu_percent, network_bytes_per_second;
	uint64_t	disk_space_bytes;	/* that one task writes, see executor.h */
};

/* One task's. */
struct usage_share {
	struct usage_share	*next;
	struct usage		*usage;
	uint64_t		 taken_bytes;
	bool			 over;		/* Q1: it has to go */
};

/* Q2, of one resource. */
struct usage_debt {
	uint64_t	seen;			/* used so far */
	uint64_t	seen_ns;		/* when that was looked at */
	uint64_t	free_ns;		/* paid then */
};

struct usage {
	pthread_mutex_t			 lock;
	const struct usage_meter	*meter;
	struct usage_limits		 limits;
	struct usage_share		*shares;
	uint64_t			 base_bytes, taken_bytes, memory_bytes;
	struct usage_debt		 cpu, network;
	uint64_t			 memory_ns;	/* when it was measured */
	_Atomic uint64_t		 network_bytes;	/* so far; who moves them adds */
	/* As of the last report. */
	uint64_t			 told_ns, told_cpu_ns, told_network;
	uint64_t			 cpu_percent, network_rate;
};

/* What its tasks take, and how much they may: for people, and for who assigns more. */
struct usage_report {
	uint64_t	memory_bytes, cpu_percent, network_bytes_per_second;
};

/* Without a task; later it shall be measured against that. */
void usage_init(struct usage *u, const struct usage_meter *meter);
void usage_release(struct usage *u);
void usage_set_limits(struct usage *u, const struct config *c);
/* Averages since the last report, if that is a second ago or more. */
void usage_report(struct usage *u, uint64_t now_ns, struct usage_report *out);

struct usage_limits usage_limits_of(struct usage *u);

/*
 * Whether a task that needs so much memory may begin. ERR_FULL: never so;
 * ERR_BUSY: other tasks have it now, or rest for the CPU or network that they used.
 */
int usage_admit(struct usage *u, uint64_t memory_bytes, uint64_t now_ns, struct err *e);
void usage_join(struct usage *u, struct usage_share *s);
void usage_leave(struct usage_share *s);
/* What it has asked for. */
uint64_t usage_share_bytes(struct usage_share *s);
/* maintain.h's memory. ERR_FULL: there is not so much. */
int usage_memory(struct usage_share *s, int64_t bytes, struct err *e);
/*
 * Between two steps: how long to rest for what was used; 0: not. ERR_FULL: Q1. Looks at the figures
 * now and then only.
 */
int usage_pass(struct usage_share *s, uint64_t now_ns, uint64_t *rest_ns, struct err *e);

#endif
