/*
 * orphans - processes that a service left behind, also those that left its process group.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/orphans.h"

#include <assert.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisord/announce.h"
#include "supervisord/procfs.h"
#include "supervisord/supervisor.h"

#define SWEEP_COUNT_MAX 512
#define SWEEP_AGAIN_MS 20

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	orphans_sweep(context);
}

void
orphans_open(struct supervisor *s)
{
	struct orphans *o = &s->orphans;

	o->stranger_count = process_children(o->strangers, ORPHANS_STRANGERS_MAX);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	o->timer = evtimer_new(s->base, on_timer, s);
	assert(o->timer != NULL);
}

void
orphans_close(struct supervisor *s)
{
	if (s->orphans.timer != NULL)
		event_free(s->orphans.timer);
	s->orphans.timer = NULL;
}

static bool
is_known(const struct supervisor *s, pid_t pid)
{
	for (unsigned i = 0; i < s->child_count; i++)
		if (s->children[i].pid == pid)
			return (true);
	for (unsigned i = 0; i < s->orphans.stranger_count; i++)
		if (s->orphans.strangers[i] == pid)
			return (true);
	return (false);
}

static void
orphan_kill(struct orphans *o, pid_t pid)
{
	if (getpid() == 1)
		return;
	if (o->last_killed != pid) {
		announce(LOG_WARN, "process %d was left behind by a service that ended: killed",
		    (int)pid);
		o->killed_total++;
	}
	o->last_killed = pid;
	kill(pid, SIGKILL);
}

void
orphans_sweep(struct supervisor *s)
{
	struct timeval again = { 0, SWEEP_AGAIN_MS * 1000 };
	pid_t pids[SWEEP_COUNT_MAX];
	unsigned count = process_children(pids, SWEEP_COUNT_MAX), left = 0;

	for (unsigned i = 0; i < count; i++) {
		if (is_known(s, pids[i]) || waitpid(pids[i], NULL, WNOHANG) == pids[i])
			continue;
		orphan_kill(&s->orphans, pids[i]);
		left++;
	}
	if (left > 0 && getpid() != 1)
		evtimer_add(s->orphans.timer, &again);
}
