/*
 * child - one instance of a service: its process, its state, its restarts.
 *
 *	stopped --may start--> starting --READY=1--> running
 *	   ^                     |   \                  |
 *	   |                   stop   dies            dies, stop
 *	   |                     v      v               v
 *	   +---- gone ------ stopping  backoff --time--> starting
 *	                               failed (exit status 2) --backoff_max--> starting
 *
 * C1  At most one process of an instance exists: a start follows the reaping of the one before.
 * C2  Readiness belongs to a generation: it is cleared by the exit, and set by that process only.
 * C3  A pid is signalled only while it is not reaped.
 *
 * `degraded` and `unknown` are what an observer adds (probe.c); they are no states of this machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_CHILD_H
#define HF_SUPERVISORD_CHILD_H

#include <event2/event.h>

#include "libbase/config.h"
#include "supervisord/logpipe.h"
#include "supervisord/notify.h"
#include "supervisord/service_table.h"

#define CHILD_CANCEL_GRACE_MS 250	/* for a service to see the cancellation before its TERM */
#define CHILD_KILL_WAIT_MS 5000		/* what even KILL does not end by then is reported */
#define CHILD_WORDS_MS 2000		/* what was said longer before a death is not why */

struct supervisor;

enum child_state {
	CHILD_DISABLED, CHILD_STOPPED, CHILD_STARTING, CHILD_RUNNING, CHILD_STOPPING, CHILD_BACKOFF,
	CHILD_FAILED,
};

enum stop_step { STOP_NONE, STOP_CANCELLED, STOP_TERMED, STOP_KILLED, STOP_GIVEN_UP };

struct child_exit {
	bool		valid;
	int		code;			/* -1: by a signal */
	int		signal;			/* 0: by itself */
	bool		core;
	bool		asked;			/* we had told it to */
	bool		was_ready;
	bool		forced;			/* killed at its deadline */
	uint64_t	ran_ms, at_real_ms;
};

struct child {
	struct supervisor		*supervisor;
	const struct service_row	*row;
	unsigned			 row_index, instance;
	char				 name[40];	/* "s3.0" */
	enum child_state		 state;
	uint64_t			 since_real_ms;
	bool				 wanted;	/* an operator has not stopped it */
	bool				 paused;
	enum config_source		 enabled_source;

	pid_t				 pid;		/* 0: no process */
	int				 pidfd;
	uint64_t			 pid_start_ticks;
	uint64_t			 generation;
	uint64_t			 started_ms, ready_ms;	/* monotonic; 0: not */
	uint64_t			 told_ms;		/* a person, of a long start */
	uint64_t			 starts, failures;
	uint64_t			 next_start_ms;		/* in backoff and failed */
	struct event			*exit_event, *notify_event, *timer;
	int				 notify_fd;
	struct notify			 notify;
	char				 status_text[NOTIFY_LINE_BYTES_MAX];
	char				 note[512];		/* why it is not running */

	enum stop_step			 stop_step;
	bool				 cancel_seen;
	uint64_t			 kill_at_ms;
	struct child_exit		 last_exit;
	struct logpipe			 log;

	/* What the last probe saw. */
	char				*contract;		/* JSON text, or NULL */
	bool				 degraded;
	uint64_t			 unanswered_ms;		/* monotonic; 0: it answers */
};

const char *child_state_name(enum child_state state);

int child_init(struct child *c, struct supervisor *s, unsigned row_index, unsigned instance,
    struct err *e);
void child_release(struct child *c);

/* Starts the process. A failure to start is a failure of the service: backoff. */
void child_start(struct child *c);
/*
 * Ends the process, if there is one: cancellation event (unless it was broadcast already), TERM,
 * CONT, and KILL to its group at the deadline of its row. What comes after its exit follows from
 * `wanted`: a new start, or `stopped`. Without a process the state is `stopped` at once.
 */
void child_stop(struct child *c, const char *reason, bool announce_cancel);
/* Deadlines become at most this long from now; 0 kills now. */
void child_hurry(struct child *c, uint64_t deadline_ms);
/* Forgets failures: the next start is not delayed by them. */
void child_forgive(struct child *c);
bool child_is_ready(const struct child *c);
/* One line for a person: "killed by signal 9 (Killed) after 12 s". */
void child_exit_format(const struct child_exit *x, char *out, size_t out_bytes);
/* What it wrote last, so long before its death, may be why: it ended by itself, soon after. */
bool child_exit_by_words(const struct child_exit *x, uint64_t age_ms);

#endif
