/*
 * desk - a board of `tasks' whose store does at once what it is asked, or not at all: for tests of
 * its rules, one by one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_DESK_H
#define HF_TESTS_DESK_H

#include "services/tasks/board.h"

#define MIB	(UINT64_C(1) << 20)
#define HOUR	UINT64_C(3600000)
#define NOW	UINT64_C(1700000000000)

#define SEALED		HF__CATALOG_SEGMENT__STATE__SEALED
#define OPEN		HF__CATALOG_SEGMENT__STATE__OPEN
#define CONVERTED	HF__CATALOG_SEGMENT__STATE__CONVERTED

struct desk {
	struct board	board;
	Hf__Task	*asked[32], *asked_from[32];
	Hf__Task	*submitted[32];
	unsigned	asked_count, submitted_count, knocks, answers, refreshes, seals;
	int		answer;
	char		knocked[64];
	uint64_t	last_id, sealed;
};

struct segment {
	uint64_t	id, bytes, dead_bytes, sealed_ms;
	unsigned	state;
	bool		held;
};

struct applicant {
	const char	*id;
	const char	*capability;
	unsigned	max_concurrent;
	uint32_t	preferred;
	uint64_t	memory_mb;
	uint8_t		instance;
};

/* What tests begin with. */
extern const struct task_settings desk_settings;
extern uint64_t paddings[16];		/* of segments, by id */

void layout_set(struct board *b, unsigned k, unsigned m, uint64_t free_bytes);
void desk_open(struct desk *d);
void desk_close(struct desk *d);
void desk_grant(struct desk *d, uint64_t now_ms);
const Hf__Task *desk_asked(const struct desk *d);
void desk_segments(struct desk *d, const struct segment *rows, unsigned count);
void desk_task(struct desk *d, const char *type, uint64_t volume_id, unsigned priority,
    const char *collection);
int desk_register(struct desk *d, const struct applicant *a, Hf__WorkerTask *holds, uint64_t now_ms,
    struct err *e);
void desk_worker(struct desk *d, const char *id, uint32_t preferred);
void desk_heartbeat(struct desk *d, const char *id, const Hf__Task *holds, uint64_t done,
    uint64_t now_ms, Hf__WorkerOrders *orders);
int desk_done(struct desk *d, const char *id, uint64_t task, uint64_t lease, int code);
const Hf__Task *desk_running(struct desk *d);

#endif
