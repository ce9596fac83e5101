/*
 * shutdown - the ordered end of everything.
 *
 * A service gets its TERM when all processes of the services that follow it are gone, so the store
 * goes last and finds nobody left who could miss it. It pre-empts starts and backoffs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/shutdown.h"

#include <stdio.h>

#include "libbase/clock.h"
#include "supervisord/announce.h"
#include "supervisord/init_notify.h"
#include "supervisord/supervisor.h"

#define HURRY_MS 1000

/* The longest that the whole may take: chains add up, but one number is enough for a warning. */
static uint64_t
deadline_of_all(const struct supervisor *s)
{
	uint64_t ms = 0;

	for (unsigned i = 0; i < s->child_count; i++)
		if (s->children[i].pid != 0 && s->children[i].row->stop_ms > ms)
			ms = s->children[i].row->stop_ms;
	return (ms);
}

static void
shutdown_begin(struct supervisor *s, const char *reason, const char *asked_by)
{
	uint64_t deadline = deadline_of_all(s);

	s->stopping = true;
	s->cancelled_ms = clock_mono_ms();
	snprintf(s->stop_reason, sizeof(s->stop_reason), "shutdown: %.150s", reason);
	init_notify("STOPPING=1\nSTATUS=stopping services");
	announce(LOG_INFO, "shutdown asked by %s (%s): cancellation broadcast, deadline %llu ms",
	    asked_by, reason, (unsigned long long)deadline);
	announce_person("\nholdfastd: stopping; Ctrl-C again hurries\n");
	for (unsigned i = 0; i < s->child_count; i++) {
		s->children[i].wanted = false;
		s->children[i].cancel_seen = false;
		if (s->children[i].pid == 0)
			child_stop(&s->children[i], s->stop_reason, false);
	}
	supervisor_event(s, "cancel", NULL, s->stop_reason, deadline, "");
	supervisor_changed(s);
}

void
shutdown_request(struct supervisor *s, const char *reason, const char *asked_by, bool urging)
{
	if (!s->stopping) {
		s->stop_requests = 1;
		shutdown_begin(s, reason, asked_by);
		return;
	}
	if (!urging)
		return;
	s->stop_requests++;
	s->stop_within_ms = s->stop_requests == 2 ? HURRY_MS : 0;
	announce(LOG_WARN, "asked to stop %u times: %s", s->stop_requests,
	    s->stop_within_ms > 0 ? "deadlines are one second now" : "killing what is left");
	for (unsigned i = 0; i < s->child_count; i++)
		child_hurry(&s->children[i], s->stop_within_ms);
	supervisor_changed(s);
}

static bool
is_gone(const struct child *c)
{
	return (c->pid == 0 || c->stop_step == STOP_GIVEN_UP);
}

static bool
followers_are_gone(const struct supervisor *s, const struct child *c)
{
	for (unsigned i = 0; i < s->child_count; i++)
		if (!is_gone(&s->children[i]) && service_follows(service_rows, service_row_count,
		    s->children[i].row_index, c->row_index))
			return (false);
	return (true);
}

/* How each service ended, for the person who pressed Ctrl-C. */
static void
endings_tell(const struct supervisor *s)
{
	char how[200];

	for (unsigned i = 0; i < s->child_count; i++) {
		const struct child *c = &s->children[i];

		if (c->stop_step == STOP_GIVEN_UP)
			snprintf(how, sizeof(how), "pid %d SURVIVED its KILL", (int)c->pid);
		else if (c->last_exit.valid)
			child_exit_format(&c->last_exit, how, sizeof(how));
		else
			snprintf(how, sizeof(how), "was not running");
		announce_person("  %-12s %s\n", c->name, how);
	}
	if (s->forced_stops == 0)
		announce_person("holdfastd: stopped\n");
	announce(s->forced_stops == 0 ? LOG_INFO : LOG_ERROR, "stopped; services that had to be "
	    "killed: %u", s->forced_stops);
}

void
shutdown_advance(struct supervisor *s)
{
	unsigned left = 0;

	for (unsigned i = 0; i < s->child_count; i++) {
		struct child *c = &s->children[i];

		if (is_gone(c))
			continue;
		left++;
		if (c->stop_step == STOP_NONE && followers_are_gone(s, c))
			child_stop(c, s->stop_reason, false);
	}
	if (left > 0)
		return;
	endings_tell(s);
	event_base_loopbreak(s->base);
}
