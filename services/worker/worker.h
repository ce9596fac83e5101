/*
 * worker - what the files of holdfast-worker share.
 *
 *   new ── register ──► registered ── claim ──► holds tasks: heartbeats ──► none: silent
 *            ▲  unknown to `tasks` │
 *            └─────────────────────┘
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SERVICES_WORKER_WORKER_H
#define HF_SERVICES_WORKER_WORKER_H

#include "libservice/service.h"
#include "services/worker/run.h"
#include "services/worker/usage.h"

#define WORKER_RUNS_MAX		16	/* worker.max_concurrent at most */
#define WORKER_INSTANCE_BYTES	16

struct worker {
	struct service		*service;
	struct objects		*objects;
	struct pool		*pool;
	struct usage		 usage;		/* of its tasks */
	char			 id[32];		/* "worker.0" */
	uint8_t			 instance[WORKER_INSTANCE_BYTES];
	char			 address[108], tasks_address[108];
	struct run		*runs;
	unsigned		 run_count;
	struct event		*heartbeat;
	uint64_t		 heartbeat_ms;
	bool			 registered, asking, ask_again, paused, draining, closing;
	bool			 outdated;	/* a registration is under way that is not so now */
	unsigned		 failures;		/* of words to `tasks`, in a row */
	uint64_t		 completed, failed;
	uint64_t		 network_counted;	/* of usage, in the metric */
};

/* main.c's table. */
int worker_open(struct service *s, struct err *e);
void worker_reload(struct service *s);
void worker_pause(struct service *s, bool paused);
void worker_cancel(struct service *s, const char *reason, uint64_t deadline_ms);
void worker_drain(struct service *s);
void worker_close(struct service *s);
void worker_status(struct service *s, cJSON *status);
void worker_observe(struct service *s);
extern const struct message_handler worker_messages[];

/* worker_talk.c: words to `tasks`, and obeying its orders. */
/* Registers, claims or sends a heartbeat: whatever is due; one at a time. */
void worker_speak(struct worker *w);
void worker_say_done(struct worker *w, struct run *r);
void worker_on_heartbeat(evutil_socket_t fd, short what, void *context);

/* worker.c */
void worker_on_ended(void *context, struct run *r);
void worker_run_gone(struct worker *w, struct run *r);
/* Gives up what hangs on a drive. */
void worker_look(struct worker *w);
unsigned worker_slots(const struct worker *w);		/* free for claims */

#endif
