/*
 * child_stop - the steps that end a process: cancellation, TERM, KILL at a deadline, a report.
 *
 *	CANCELLED --seen, or 250 ms--> TERMED --deadline--> KILLED --5 s--> GIVEN_UP
 *
 * An exit at any step ends it (child.c). A process that is not ready yet listens to no events, so
 * it gets its TERM at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "libbase/clock.h"
#include "libbase/metrics.h"
#include "supervisord/announce.h"
#include "supervisord/child_internal.h"
#include "supervisord/supervisor.h"

static void
step_term(struct child *c)
{
	uint64_t allowed = c->row->stop_ms;

	assert(c->pid != 0);						/* C3 */
	c->stop_step = STOP_TERMED;
	/*
	 * A stopped process takes its TERM only when it goes on. Not after the TERM: a CONT drops
	 * a pending STOP, so who attaches to a process that ends (a debugger, the search for leaks
	 * at its exit) would wait for ever.
	 */
	killpg(c->pid, SIGCONT);
	pidfd_send_signal(c->pidfd, SIGTERM, NULL, 0);
	if (c->supervisor->stop_within_ms < allowed)
		allowed = c->supervisor->stop_within_ms;
	c->kill_at_ms = clock_mono_ms() + allowed;
	child_arm(c, allowed);
	announce(LOG_INFO, "%s: TERM sent to pid %d, KILL follows in %llu ms", c->name, (int)c->pid,
	    (unsigned long long)allowed);
	supervisor_event(c->supervisor, "stopping", c, "TERM", allowed, "");
}

static void
step_kill(struct child *c)
{
	c->stop_step = STOP_KILLED;
	killpg(c->pid, SIGKILL);					/* C3 */
	child_arm(c, CHILD_KILL_WAIT_MS);
	metric_add(METRIC_supervisor_kills_total, 1);
	announce(LOG_ERROR, "%s: did not stop in time: KILL sent to pid %d and its group", c->name,
	    (int)c->pid);
	supervisor_event(c->supervisor, "stopping", c, "KILL", 0, "did not stop in time");
}

static void
step_give_up(struct child *c)
{
	c->stop_step = STOP_GIVEN_UP;
	snprintf(c->note, sizeof(c->note), "pid %d does not end, not even by KILL (waiting for a "
	    "disk?)", (int)c->pid);
	announce(LOG_ERROR, "%s: %s", c->name, c->note);
	if (c->supervisor->stopping)
		c->supervisor->forced_stops++;
	supervisor_event(c->supervisor, "stopping", c, "survived KILL", 0, c->note);
	supervisor_changed(c->supervisor);
}

void
child_stop_timer(struct child *c)
{
	if (c->stop_step == STOP_CANCELLED)
		step_term(c);
	else if (c->stop_step == STOP_TERMED)
		step_kill(c);
	else if (c->stop_step == STOP_KILLED)
		step_give_up(c);
}

void
child_on_cancel_seen(void *context)
{
	struct child *c = context;

	c->cancel_seen = true;
	if (c->stop_step == STOP_CANCELLED) {
		evtimer_del(c->timer);
		step_term(c);
	}
}

/* How long the TERM still waits for the cancellation to be seen. */
static uint64_t
cancel_grace(const struct child *c, bool was_ready, bool announced_now)
{
	uint64_t until, now = clock_mono_ms();

	if (!was_ready || (c->cancel_seen && !announced_now))
		return (0);
	until = (announced_now ? now : c->supervisor->cancelled_ms) + CHILD_CANCEL_GRACE_MS;
	return (until > now ? until - now : 0);
}

void
child_stop(struct child *c, const char *reason, bool announce_cancel)
{
	bool was_ready = child_is_ready(c);
	uint64_t grace;

	if (c->pid == 0) {
		evtimer_del(c->timer);
		if (c->state != CHILD_DISABLED && c->state != CHILD_STOPPED)
			child_set_state(c, CHILD_STOPPED);
		return;
	}
	if (c->stop_step != STOP_NONE)
		return;
	c->stop_step = STOP_CANCELLED;
	if (announce_cancel) {
		c->cancel_seen = false;
		supervisor_event(c->supervisor, "cancel", c, reason, c->row->stop_ms, "");
		announce(LOG_INFO, "%s: cancellation sent (%s), deadline %llu ms", c->name, reason,
		    (unsigned long long)c->row->stop_ms);
	}
	child_set_state(c, CHILD_STOPPING);
	grace = cancel_grace(c, was_ready, announce_cancel);
	if (grace > 0)
		child_arm(c, grace);
	else
		step_term(c);
}

void
child_hurry(struct child *c, uint64_t deadline_ms)
{
	uint64_t at = clock_mono_ms() + deadline_ms;

	if (c->pid == 0 || c->stop_step >= STOP_KILLED)
		return;
	if (deadline_ms == 0) {
		c->stop_step = STOP_TERMED;
		evtimer_del(c->timer);
		if (c->state != CHILD_STOPPING)
			child_set_state(c, CHILD_STOPPING);
		step_kill(c);
	} else if (c->stop_step == STOP_CANCELLED) {
		evtimer_del(c->timer);
		step_term(c);
	} else if (c->stop_step == STOP_TERMED && at < c->kill_at_ms) {
		c->kill_at_ms = at;
		child_arm(c, deadline_ms);
	}
}
