/*
 * state_file - RUN_DIR/holdfastd.state: what was last known, for when nobody can be asked.
 *
 * Written without fsync: it describes processes, and those do not survive a power cut either.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "supervisord/announce.h"
#include "supervisord/procfs.h"
#include "supervisord/report.h"
#include "supervisord/supervisor.h"

#define STATE_BYTES_MAX (4 * 1024 * 1024)
#define KILL_WAIT_MS 3000

cJSON *
state_file_build(const struct supervisor *s)
{
	cJSON *o = cJSON_CreateObject(), *services;
	char boot[40], when[25];

	process_boot_id(boot);
	clock_format_iso(clock_real_ms(), when);
	cJSON_AddNumberToObject(o, "version", 1);
	cJSON_AddStringToObject(o, "boot_id", boot);
	cJSON_AddStringToObject(o, "written", when);
	cJSON_AddItemToObject(o, "holdfastd", report_supervisor(s));
	services = cJSON_AddArrayToObject(o, "services");
	for (unsigned i = 0; i < s->child_count; i++)
		cJSON_AddItemToArray(services, report_child(&s->children[i], false));
	return (o);
}

static int
file_put(const char *path, const char *text, struct err *e)
{
	char temporary[128];
	size_t bytes = strlen(text);
	bool whole;
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return (err_errno(e, errno, "cannot make %s", temporary));
	errno = ENOSPC;		/* a short write */
	whole = write(fd, text, bytes) == (ssize_t)bytes;
	if (!whole)
		err_errno(e, errno, "cannot write %s", temporary);
	close(fd);
	if (whole && rename(temporary, path) == 0)
		return (0);
	if (whole)
		err_errno(e, errno, "cannot replace %s", path);
	unlink(temporary);
	return (ERR_IO);
}

void
state_file_write(struct supervisor *s)
{
	struct err e = ERR_INIT;
	cJSON *o = state_file_build(s);
	char path[108], *text = cJSON_Print(o);

	cJSON_Delete(o);
	if (text == NULL)
		return;
	if (file_put(supervisor_run_path(s, "holdfastd.state", path), text, &e) < 0 &&
	    strcmp(s->last_error, e.text) != 0) {
		snprintf(s->last_error, sizeof(s->last_error), "%s", e.text);
		announce(LOG_WARN, "%s", e.text);
	}
	free(text);
}

/* The file as JSON, or NULL. */
static cJSON *
state_read(const struct supervisor *s)
{
	struct buf text = BUF_INIT;
	char path[108];
	cJSON *o = NULL;

	if (file_read(supervisor_run_path(s, "holdfastd.state", path), STATE_BYTES_MAX, &text,
	    NULL) == 0)
		o = cJSON_ParseWithLength((const char *)text.data, text.bytes);
	buf_release(&text);
	return (o);
}

static uint64_t
number_of(const cJSON *o, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);

	return (cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 9e15 ?
	    (uint64_t)item->valuedouble : 0);
}

static const char *
string_of(const cJSON *o, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return (text != NULL ? text : "");
}

/* A pidfd of the process that the entry describes, or -1 if it is gone. */
static int
process_open(const cJSON *entry)
{
	pid_t pid = (pid_t)number_of(entry, "pid");
	uint64_t ticks = number_of(entry, "pid_start_ticks");
	struct process_stat stat;
	int fd;

	if (pid <= 1 || ticks == 0)
		return (-1);
	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return (-1);
	if (process_stat(pid, &stat) && stat.start_ticks == ticks && stat.state != 'Z')
		return (fd);
	close(fd);
	return (-1);
}

/* Waits for one process, kills it at the deadline; ERR_LOCKED if that does not help. */
static int
predecessor_end(const cJSON *entry, uint64_t deadline, struct err *e)
{
	struct pollfd p = { .fd = process_open(entry), .events = POLLIN };
	const char *name = string_of(entry, "name");
	int pid = (int)number_of(entry, "pid"), rc = 0;
	uint64_t now = clock_mono_ms();

	if (p.fd < 0)
		return (0);
	announce(LOG_WARN, "%s (pid %d) of the holdfastd before is still there: waiting for its "
	    "end", name, pid);
	if (poll(&p, 1, deadline > now ? (int)(deadline - now) : 0) != 1) {
		announce(LOG_ERROR, "%s (pid %d) did not end: KILL sent", name, pid);
		pidfd_send_signal(p.fd, SIGKILL, NULL, 0);
		if (poll(&p, 1, KILL_WAIT_MS) != 1)
			rc = err_set(e, ERR_LOCKED, "%s (pid %d), started by the holdfastd before, "
			    "does not end, not even by KILL: a second one would not be safe", name,
			    pid);
	}
	close(p.fd);
	return (rc);
}

int
state_file_predecessors(const struct supervisor *s, uint64_t wait_ms, struct err *e)
{
	uint64_t deadline = clock_mono_ms() + wait_ms;
	const cJSON *entry;
	cJSON *o = state_read(s);
	char boot[40];
	int rc = 0;

	process_boot_id(boot);
	if (o != NULL && strcmp(string_of(o, "boot_id"), boot) == 0) {
		cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(o, "services")) {
			rc = predecessor_end(entry, deadline, e);
			if (rc < 0)
				break;
		}
	}
	cJSON_Delete(o);
	return (rc);
}

void
state_file_generations(struct supervisor *s)
{
	const cJSON *entry;
	cJSON *o = state_read(s);

	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(o, "services"))
		for (unsigned i = 0; i < s->child_count; i++)
			if (strcmp(s->children[i].name, string_of(entry, "name")) == 0)
				s->children[i].generation = number_of(entry, "generation");
	cJSON_Delete(o);
}
