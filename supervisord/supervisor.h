/*
 * supervisor - all instances of all services, and what they share.
 *
 * S1  One thread, one loop; nothing here waits for a service.
 * S2  What an operator asked for (`wanted`) and what is (`state`) are two things; after every
 *     change the loop moves the second towards the first, once a turn.
 * S3  Nothing of the store's state is opened, locked or read here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_SUPERVISOR_H
#define HF_SUPERVISORD_SUPERVISOR_H

#include <event2/event.h>

#include "libbase/config.h"
#include "libipc/message.h"
#include "supervisord/child.h"
#include "supervisord/credentials.h"
#include "supervisord/orphans.h"
#include "supervisord/shared_table.h"
#include "supervisord/sockets.h"

struct action;
struct probe;

struct supervisor {
	struct event_base	*base;
	struct bus		*bus;
	struct event_publisher	*publisher;
	struct message_server	*server;
	struct config		 config;
	char			 config_path[4096];	/* absolute */
	char			 program_dir[4096];	/* of holdfastd itself */
	bool			 quickstart;
	struct credentials	 credentials;

	struct child		*children;		/* in start order */
	unsigned		 child_count;
	struct sockets		 sockets;
	struct shared_table	 table;
	int			 lock_fd;
	int			 parent_read_fd, parent_write_fd;
	uint64_t		 started_real_ms, started_ms;
	char			 last_error[480];	/* of holdfastd: reload, state file */

	struct event		*signals[5];
	struct event		*settle_event;
	bool			 announced_ready;

	bool			 stopping;
	unsigned		 stop_requests;
	char			 stop_reason[200];
	uint64_t		 cancelled_ms;		/* when the cancellation was broadcast */
	uint64_t		 stop_within_ms;	/* upper bound of every deadline */
	unsigned		 forced_stops;		/* in the shutdown */
	struct orphans		 orphans;
	char			*pending;		/* changed keys that need a restart */

	struct action		*actions;
	struct probe		*probe, *probe_next;
};

/* Everything up to the loop: directories, lock, predecessors, sockets, bus. On failure all that was
 * opened is closed again. *s holds config, config_path and program_dir already. */
int supervisor_open(struct supervisor *s, struct err *e);
/* Runs until everything has stopped; returns the exit status of holdfastd. */
int supervisor_run(struct supervisor *s);
void supervisor_close(struct supervisor *s);

/* Something has changed. In this turn of the loop: what may start is started, a shutdown goes on,
 * who waits for a change is told, and the state file is written. */
void supervisor_changed(struct supervisor *s);
/* Why a child that is wanted has not been started, into out; "" if nothing holds it back. */
void supervisor_blocker(const struct supervisor *s, const struct child *c, char *out,
    size_t out_bytes);
/* Reads the config file again; a bad one changes nothing. Values that need a restart are noted. */
int supervisor_reload(struct supervisor *s, const char *asked_by, struct err *e);
/* Publishes a hint about a child (NULL: about all). */
void supervisor_event(struct supervisor *s, const char *kind, const struct child *c,
    const char *reason, uint64_t deadline_ms, const char *detail);
/* Sends an action to a service and forgets the answer, except for the log. */
void supervisor_forward(struct supervisor *s, struct child *c, const char *action,
    const char *reason);
/* Path of a service's program into out[4096]. */
int supervisor_program(const struct supervisor *s, const char *service, char *out, struct err *e);
/* RUN_DIR/name into out[108]. */
const char *supervisor_run_path(const struct supervisor *s, const char *name, char out[108]);

#endif
