/*
 * child - one instance of a service: its process, its state, its restarts.
 *
 * Which child may start, and in which order they stop, is supervisor.c's and shutdown.c's business;
 * how a process is stopped is child_stop.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "libbase/metrics.h"
#include "supervisord/announce.h"
#include "supervisord/backoff.h"
#include "supervisord/child_internal.h"
#include "supervisord/init_notify.h"
#include "supervisord/orphans.h"
#include "supervisord/procfs.h"
#include "supervisord/spawn.h"
#include "supervisord/supervisor.h"

#define START_TELL_MS	3000

static void on_exit_noticed(evutil_socket_t fd, short what, void *context);
static void on_notify(evutil_socket_t fd, short what, void *context);
static void on_timer(evutil_socket_t fd, short what, void *context);

const char *
child_state_name(enum child_state state)
{
	static const char *const names[] = { "disabled", "stopped", "starting", "running",
		"stopping", "backoff", "failed" };

	assert((unsigned)state < sizeof(names) / sizeof(names[0]));
	return (names[state]);
}

int
child_init(struct child *c, struct supervisor *s, unsigned row_index, unsigned instance,
    struct err *e)
{
	const struct config *config = &s->config;
	bool enabled;

	memset(c, 0, sizeof(*c));
	c->supervisor = s;
	c->row_index = row_index;
	c->row = &service_rows[row_index];
	c->instance = instance;
	snprintf(c->name, sizeof(c->name), "%s.%u", c->row->name, instance);
	enabled = config_enabled(config, c->row->name, &c->enabled_source);
	c->state = enabled ? CHILD_STOPPED : CHILD_DISABLED;
	c->wanted = enabled;
	c->since_real_ms = clock_real_ms();
	c->pidfd = c->notify_fd = -1;
	c->timer = evtimer_new(s->base, on_timer, c);
	assert(c->timer != NULL);
	return (logpipe_open(&c->log, s->base, c->name, config->supervisor_log_dir,
	    config->supervisor_log_bytes_max, (unsigned)config->supervisor_log_files_max, e));
}

void
child_release(struct child *c)
{
	assert(c->pid == 0 || c->stop_step == STOP_GIVEN_UP);
	logpipe_close(&c->log);
	if (c->timer != NULL)
		event_free(c->timer);
	free(c->contract);
}

void
child_set_state(struct child *c, enum child_state state)
{
	c->state = state;
	c->since_real_ms = clock_real_ms();
	supervisor_changed(c->supervisor);
}

void
child_arm(struct child *c, uint64_t delay_ms)
{
	struct timeval tv = { (time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000 * 1000) };

	evtimer_add(c->timer, &tv);
}

bool
child_is_ready(const struct child *c)
{
	return (c->state == CHILD_RUNNING);
}

static const struct backoff *
backoff_of(const struct child *c, struct backoff *b)
{
	b->min_ms = c->supervisor->config.supervisor_backoff_min;
	b->max_ms = c->supervisor->config.supervisor_backoff_max;
	b->healthy_after_ms = c->supervisor->config.supervisor_healthy_after;
	return (b);
}

/* Waits before the next start; the first failure after a good run does not wait. */
static void
start_later(struct child *c, enum child_state state)
{
	struct backoff b;
	uint64_t now = clock_mono_ms();
	uint32_t chance;

	c->failures++;
	random_bytes(&chance, sizeof(chance));
	backoff_of(c, &b);
	c->next_start_ms = state == CHILD_FAILED ? now + b.max_ms :
	    backoff_next_start(&b, (unsigned)c->failures, chance, c->started_ms, now);
	if (c->next_start_ms == now) {
		child_set_state(c, CHILD_STOPPED);
		return;			/* it starts in this turn of the loop */
	}
	child_set_state(c, state);
	child_arm(c, c->next_start_ms - now);
	announce(LOG_INFO, "%s: failure %llu in a row, next start in %llu ms", c->name,
	    (unsigned long long)c->failures, (unsigned long long)(c->next_start_ms - now));
}

static int
start_process(struct child *c, struct err *e)
{
	struct supervisor *s = c->supervisor;
	const struct socket_group *group = c->row->sockets != NULL ?
	    sockets_find(&s->sockets, c->row->sockets) : NULL;
	struct spawn spawn = { .config_path = s->config_path, .instance = c->instance,
		.generation = c->generation, .log_fd = c->log.write_fd,
		.parent_fd = s->parent_read_fd,
		.table_fd = c->row->shared == 'W' ? s->table.write_fd :
		    c->row->shared == 'R' ? s->table.read_fd : -1,
		.readers_fd = c->row->shared == 'W' || c->row->shared == 'R' ? s->table.readers_fd :
		    -1,
		.socket_fds = group != NULL ? &group->fd : NULL, .socket_count = group != NULL };
	char program[4096];
	int fds[2], rc;

	rc = supervisor_program(s, c->row->name, program, e);
	if (rc < 0)
		return (rc);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return (err_errno(e, errno, "cannot make the notify pipe of %s", c->name));
	spawn.program = program;
	spawn.notify_fd = spawn_raise_fd(fds[1]);
	rc = spawn_service(&spawn, &c->pid, &c->pidfd, e);
	close(spawn.notify_fd);
	if (rc < 0) {
		c->pid = 0;
		close(fds[0]);
		return (rc);
	}
	c->notify_fd = fds[0];
	return (0);
}

void
child_start(struct child *c)
{
	struct supervisor *s = c->supervisor;
	struct err e = ERR_INIT;
	struct process_stat stat;

	assert(c->pid == 0);				/* C1 */
	c->generation++;
	c->starts++;
	c->started_ms = clock_mono_ms();
	c->ready_ms = 0;
	c->stop_step = STOP_NONE;
	c->cancel_seen = false;
	c->note[0] = c->status_text[0] = '\0';
	notify_reset(&c->notify);
	evtimer_del(c->timer);
	if (start_process(c, &e) < 0) {
		snprintf(c->note, sizeof(c->note), "%s", e.text);
		announce(LOG_ERROR, "%s: %s", c->name, c->note);
		start_later(c, CHILD_BACKOFF);
		return;
	}
	fd_set_nonblock(c->notify_fd, 1);
	c->exit_event = event_new(s->base, c->pidfd, EV_READ, on_exit_noticed, c);
	c->notify_event = event_new(s->base, c->notify_fd, EV_READ | EV_PERSIST, on_notify, c);
	assert(c->exit_event != NULL && c->notify_event != NULL);
	event_add(c->exit_event, NULL);
	event_add(c->notify_event, NULL);
	c->pid_start_ticks = process_stat(c->pid, &stat) ? stat.start_ticks : 0;
	metric_add(METRIC_supervisor_starts_total, 1);
	child_set_state(c, CHILD_STARTING);
	announce(LOG_INFO, "%s: started, pid %d, generation %llu", c->name, (int)c->pid,
	    (unsigned long long)c->generation);
	supervisor_event(s, "started", c, "", 0, "");
}

static void
on_ready(void *context)
{
	struct child *c = context;

	if (c->state != CHILD_STARTING)
		return;
	c->ready_ms = clock_mono_ms();
	child_set_state(c, CHILD_RUNNING);
	announce(LOG_INFO, "%s: ready after %llu ms", c->name,
	    (unsigned long long)(c->ready_ms - c->started_ms));
	supervisor_event(c->supervisor, "ready", c, "", 0, "");
	if (c->paused)
		supervisor_forward(c->supervisor, c, "pause", "paused before its restart");
}

static void
on_stopping(void *context)
{
	struct child *c = context;

	if (c->state == CHILD_STOPPING || c->pid == 0)
		return;
	announce(LOG_INFO, "%s: says that it is stopping", c->name);
	supervisor_event(c->supervisor, "stopping", c, "its own decision", 0, "");
}

/* Whoever watches a long start sees what it is at. */
static void
start_tell(struct child *c, uint64_t now)
{
	if (c->status_text[0] == '\0' || now - c->started_ms < START_TELL_MS ||
	    now - c->told_ms < START_TELL_MS)
		return;
	c->told_ms = now;
	announce_person("%s: %s\n", c->name, c->status_text);
	init_notify("STATUS=%s: %s", c->name, c->status_text);
}

static void
on_status(void *context, const char *text)
{
	struct child *c = context;
	bool changed = strcmp(c->status_text, text) != 0;

	snprintf(c->status_text, sizeof(c->status_text), "%s", text);
	if (c->state == CHILD_STARTING)
		start_tell(c, clock_mono_ms());
	else if (changed)	/* what it lacks, or "": nothing any more */
		supervisor_event(c->supervisor, "status", c, c->status_text, 0, "");
	supervisor_changed(c->supervisor);
}

static const struct notify_ops notify_ops = { on_ready, on_stopping, on_status,
	child_on_cancel_seen };

static void
on_notify(evutil_socket_t fd, short what, void *context)
{
	struct child *c = context;
	char bytes[4096];
	ssize_t n;

	(void)what;
	n = read(fd, bytes, sizeof(bytes));
	if (n > 0)
		notify_feed(&c->notify, bytes, (size_t)n, &notify_ops, c);
	else if (n == 0 && c->notify_event != NULL)
		event_del(c->notify_event);	/* closed: this process says nothing more */
}

/* The group goes before the leader is reaped: until then the number cannot be anybody else's. */
static void
exit_collect(struct child *c)
{
	siginfo_t info = { 0 };
	uint64_t now = clock_mono_ms();

	on_notify(c->notify_fd, 0, c);
	killpg(c->pid, SIGKILL);
	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) < 0)
		info.si_code = CLD_KILLED;
	c->last_exit = (struct child_exit){ .valid = true,
		.code = info.si_code == CLD_EXITED ? info.si_status : -1,
		.signal = info.si_code == CLD_EXITED ? 0 : info.si_status,
		.core = info.si_code == CLD_DUMPED, .asked = c->stop_step != STOP_NONE,
		.was_ready = c->ready_ms != 0, .forced = c->stop_step >= STOP_KILLED,
		.ran_ms = now - c->started_ms, .at_real_ms = clock_real_ms() };
	event_free(c->exit_event);
	event_free(c->notify_event);
	c->exit_event = c->notify_event = NULL;
	close(c->pidfd);
	close(c->notify_fd);
	c->pidfd = c->notify_fd = -1;
	c->pid = 0;
	c->degraded = false;
	c->unanswered_ms = 0;
	free(c->contract);
	c->contract = NULL;
	evtimer_del(c->timer);
	metric_add(METRIC_supervisor_exits_total, 1);
}

static void
exit_record(struct child *c)
{
	char how[160], line[256];
	const char *words = c->log.last_words;
	bool bad = !c->last_exit.asked || c->last_exit.forced;

	child_exit_format(&c->last_exit, how, sizeof(how));
	logpipe_drain(&c->log);
	snprintf(line, sizeof(line), "%s generation %llu %s", c->name,
	    (unsigned long long)c->generation, how);
	logfile_line(&c->log.file, bad ? "error" : "info", "holdfastd", line);
	if (!child_exit_by_words(&c->last_exit, clock_mono_ms() - c->log.last_words_ms))
		c->log.last_words[0] = '\0';
	/* A person who started us has seen them already. */
	if (!bad || words[0] == '\0' || c->supervisor->quickstart)
		announce(bad ? LOG_ERROR : LOG_INFO, "%s: %s", c->name, how);
	else
		announce(LOG_ERROR, "%s: %s: %s", c->name, how, words);
	snprintf(c->note, sizeof(c->note), "%s%s%s", bad ? how : "",
	    bad && words[0] != '\0' ? ": " : "", bad ? words : "");
	c->log.last_words[0] = '\0';
	supervisor_event(c->supervisor, "exited", c, how, 0, "");
}

static void
on_exit_noticed(evutil_socket_t fd, short what, void *context)
{
	struct child *c = context;
	struct supervisor *s = c->supervisor;
	bool asked = c->stop_step != STOP_NONE, healthy;
	struct backoff b;

	(void)fd;
	(void)what;
	healthy = backoff_was_healthy(backoff_of(c, &b), c->ready_ms, clock_mono_ms());
	if (healthy)
		c->failures = 0;
	exit_collect(c);
	exit_record(c);
	orphans_sweep(s);
	if (c->last_exit.forced && s->stopping)
		s->forced_stops++;
	c->stop_step = STOP_NONE;
	if (asked || !c->wanted || s->stopping) {
		child_set_state(c, CHILD_STOPPED);
	} else if (c->last_exit.code == 2) {
		start_later(c, CHILD_FAILED);
	} else if (healthy) {
		child_set_state(c, CHILD_STOPPED);	/* starts again at once */
	} else {
		start_later(c, CHILD_BACKOFF);
	}
	supervisor_changed(s);
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct child *c = context;

	(void)fd;
	(void)what;
	if (c->pid != 0) {
		child_stop_timer(c);
	} else if (c->state == CHILD_BACKOFF || c->state == CHILD_FAILED) {
		child_set_state(c, CHILD_STOPPED);
		supervisor_changed(c->supervisor);
	}
}

void
child_forgive(struct child *c)
{
	c->failures = 0;
	if (c->state == CHILD_BACKOFF || c->state == CHILD_FAILED) {
		evtimer_del(c->timer);
		child_set_state(c, CHILD_STOPPED);
	}
}

void
child_exit_format(const struct child_exit *x, char *out, size_t out_bytes)
{
	char how[96];

	if (x->signal != 0)
		snprintf(how, sizeof(how), "killed by signal %d (%s)%s", x->signal,
		    strsignal(x->signal), x->core ? ", core dumped" : "");
	else
		snprintf(how, sizeof(how), "exited with status %d%s", x->code,
		    x->code == 2 ? " (bad config or arguments)" : "");
	snprintf(out, out_bytes, "%s after %llu.%03llu s%s", how,
	    (unsigned long long)(x->ran_ms / 1000), (unsigned long long)(x->ran_ms % 1000),
	    x->forced ? ", because it did not stop in time" : x->asked ? ", as told" : "");
}

/* An assertion and a sanitizer say why and abort, or exit; other signals have another sender. */
bool
child_exit_by_words(const struct child_exit *x, uint64_t age_ms)
{
	return ((x->signal == 0 || x->signal == SIGABRT) && age_ms <= CHILD_WORDS_MS);
}
