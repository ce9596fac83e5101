/*
 * service - the one skeleton of every service process.
 *
 * service_run() owns, in this order: arguments, config, log, parent-death watch, signals, bus,
 * event subscription, open, rights, control socket, ready, loop, drain, close. A service declares a
 * table and does its job; it never touches signals, arguments, nng or privileges.
 *
 * How holdfastd starts a service: argv is `holdfast-NAME -c CONFIG`; the environment has
 *   HOLDFAST_INSTANCE    number of the instance, "0" for the first
 *   HOLDFAST_GENERATION  rises with every start of this instance
 *   HOLDFAST_FDS         "notify=3,parent=4,table=5,readers=6,socket=7": descriptors by
 *                        name
 * notify: the service writes lines READY=1, STOPPING=1, STATUS=text (as sd_notify(3)) and, when it
 * has seen a cancellation, CANCEL=sequence, so that its TERM does not wait for that; parent: end of
 * file means that holdfastd is gone: the service exits at once (PR_SET_PDEATHSIG is the second
 * belt); table: the generation table; readers: the readers' table; socket: listening sockets.
 * Control socket: RUN_DIR/NAME.INSTANCE.control; events: RUN_DIR/events; holdfastd's own control:
 * RUN_DIR/holdfastd.control; the store channel: RUN_DIR/store.channel.
 *
 * Exit status: 0 stopped when told to; 2 bad config or arguments; 1 anything else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SERVICE_SERVICE_H
#define HF_SERVICE_SERVICE_H

#include <cjson/cJSON.h>
#include <event2/event.h>

#include "libbase/config.h"
#include "libbase/err.h"
#include "libbase/log.h"
#include "libipc/message.h"

struct service;
struct pool;

enum service_state {
	SERVICE_STARTING, SERVICE_RUNNING, SERVICE_DEGRADED, SERVICE_STOPPING,
};

struct service_ops {
	const char	*name;
	/* What this service may do to the world; shown in the contract. Fixed texts. */
	const char	*const *side_effects;		/* ends with NULL */
	bool		 has_pause;			/* pause and resume do something */
	unsigned	 pool_threads;			/* 0: no pool */

	/* Sets up; on failure the process exits 1 with the sentence in the log. The service says
	 * service_ready() itself, then or later. */
	int	(*open)(struct service *s, struct err *e);
	/* New config is in service_config(); what needs a restart was left as it was. NULL ok. */
	void	(*reload)(struct service *s);
	void	(*pause)(struct service *s, bool paused);		/* may be NULL */
	/* The run-now action: starts the periodic work if it does not run. NULL: refused. */
	void	(*run_now)(struct service *s);
	/* End current work early (cancellation or the cancel action). Acknowledged state is safe.
	 * deadline_ms is clock_mono_ms(). NULL: the action is refused, the event only logged. */
	void	(*cancel)(struct service *s, const char *reason, uint64_t deadline_ms);
	/* TERM: finish what is in flight, take nothing new, then call service_drained(). NULL: at
	 * once. Having it is the contract's `shutdown.explicit_stop_handle`. */
	void	(*drain)(struct service *s);
	/* After the loop; the pool has finished and is closed, the bus is still there. NULL ok.
	 * Not called when open failed: open undoes what it did. */
	void	(*close)(struct service *s);
	/* Adds to the contract's `status` object: queue lengths, worker counts, last cycle.
	 * Must not block, write or contact anything. May be NULL. */
	void	(*status)(struct service *s, cJSON *status);
	/* Adds to the contract's `reconcile.plan` (strings). May be NULL. */
	void	(*reconcile)(struct service *s, cJSON *plan);
	/* Sets metrics that are only known by looking: called before they are told. As status. */
	void	(*observe)(struct service *s);
	/* Further control messages; the handlers' context is the struct service. May be NULL. */
	const struct message_handler *messages;
};

/* Does not return to do anything else: returns the exit status for main. */
int service_run(int argc, char **argv, const struct service_ops *ops);

struct event_base *service_base(struct service *s);
const struct config *service_config(struct service *s);
struct bus *service_bus(struct service *s);
struct pool *service_pool(struct service *s);
unsigned service_instance(const struct service *s);
uint64_t service_generation(const struct service *s);
/* Listening sockets from holdfastd: count, and *fds borrowed (non-blocking, close-on-exec). */
unsigned service_sockets(const struct service *s, const int **fds);
int service_table_fd(const struct service *s);			/* -1: none */
int service_readers_fd(const struct service *s);		/* -1: none */
const char *service_run_path(const struct service *s, const char *name, char out[108]);
void *service_context(const struct service *s);
void service_set_context(struct service *s, void *context);

void service_ready(struct service *s);				/* idempotent */
void service_drained(struct service *s);	/* leaves the loop; then close, exit 0 */
/* Degraded with a reason, or running again with NULL. */
void service_set_degraded(struct service *s, const char *reason);
/* The same, for what is expected for a moment at a start: told by the status, not a warning in the
 * log. */
void service_set_waiting(struct service *s, const char *reason);
/* What a long start is at, for the note in the status; "" when it is over. From any thread. */
void service_set_step(const struct service *s, const char *text);
void service_set_error(struct service *s, const struct err *e);	/* contract's last_error */
void service_progress(struct service *s);	/* contract's progress age restarts */
/* The service cannot go on: logs the sentence, flushes the log, and exits 2 for ERR_CONFIG, else
 * 1. */
void service_fail(struct service *s, const struct err *e) __attribute__((noreturn));

#endif
