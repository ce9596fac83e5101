/*
 * store_process - see store_process.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/store_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/buf.h"
#include "libbase/clock.h"
#include "libbase/file.h"
#include "libipc/message.h"
#include "schema/table.h"

extern char **environ;

static void
fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int
table_make(void)
{
	uint8_t key[GENTABLE_KEY_BYTES];
	int fd = memfd_create("bench-table", 0);

	if (fd < 0 || ftruncate(fd, GENTABLE_BYTES) < 0 ||
	    getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key) ||
	    pwrite(fd, key, sizeof(key), GENTABLE_KEY_OFFSET) != (ssize_t)sizeof(key))
		fail("generation table");
	return (fd);
}

static void
config_write(const struct store_process *s, unsigned drives, const char *extra)
{
	struct buf text = BUF_INIT;
	char path[320];
	FILE *file;

	buf_printf(&text, "[supervisor]\nstate_dir = %s/state\nrun_dir = %s/run\nlog_dir = %s/log\n"
	    "[store]\n%s\ndrives =", s->directory, s->directory, s->directory, extra);
	for (unsigned i = 0; i < drives; i++) {
		buf_printf(&text, " %s/d%u", s->directory, i);
		snprintf(path, sizeof(path), "%s/d%u", s->directory, i);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			fail(path);
	}
	buf_printf(&text, "\n");
	snprintf(path, sizeof(path), "%s/conf", s->directory);
	file = fopen(path, "w");
	if (file == NULL || fputs(buf_string(&text), file) < 0 || fclose(file) != 0)
		fail(path);
	buf_release(&text);
}

/* Services subscribe to events, and look for a publisher again and again while there is none. */
static void
events_publish(struct store_process *s)
{
	struct event_publisher *publisher;
	struct event_base *base = event_base_new();
	struct bus *bus;
	struct err e = ERR_INIT;
	char path[320];

	snprintf(path, sizeof(path), "%s/run/events", s->directory);
	if (base == NULL || bus_open(base, &bus, &e) < 0 ||
	    event_publisher_open(bus, path, &publisher, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	/* Both live as long as the program. */
}

void
store_prepare(struct store_process *s, const char *where, const char *keep, unsigned drives,
    const char *extra)
{
	static const char *const parts[] = { "state", "run", "log" };
	static char whole[PATH_MAX];
	char path[320];

	memset(s, 0, sizeof(*s));
	if (keep != NULL) {
		snprintf(s->directory, sizeof(s->directory), "%s", keep);
		if (mkdir(keep, 0700) < 0 && errno != EEXIST)
			fail(keep);
	} else {
		snprintf(s->directory, sizeof(s->directory), "%s/bench-store.XXXXXX", where);
		if (mkdtemp(s->directory) == NULL)
			fail(s->directory);
	}
	if (realpath(s->directory, whole) == NULL)	/* what a config names begins with '/' */
		fail(s->directory);
	if (strlen(whole) >= sizeof(s->directory)) {
		errno = ENAMETOOLONG;
		fail(whole);
	}
	memcpy(s->directory, whole, strlen(whole) + 1);
	snprintf(s->channel, sizeof(s->channel), "%s/run/store.channel", s->directory);
	snprintf(s->index, sizeof(s->index), "%s/state/index", s->directory);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", s->directory, parts[i]);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			fail(path);
	}
	config_write(s, drives, extra);
	s->table_fd = table_make();
	events_publish(s);
}

/* Lines of the notify pipe until READY=1. */
static void
ready_wait(struct store_process *s, int fd)
{
	char text[4096];
	size_t have = 0;
	ssize_t n;

	do {
		n = read(fd, text + have, sizeof(text) - 1 - have);
		if (n <= 0) {
			fprintf(stderr, "the store did not become ready; see %s/store.err\n",
			    s->directory);
			exit(1);
		}
		have += (size_t)n;
		text[have] = '\0';
		if (have > sizeof(text) / 2 && strstr(text, "READY=1") == NULL)
			have = 0;
	} while (strstr(text, "READY=1") == NULL);
}

void
store_start(struct store_process *s, const char *program)
{
	char config[320], log[320];
	char *argv[] = { (char *)(uintptr_t)"holdfast-store", (char *)(uintptr_t)"-c", config,
	    NULL };
	posix_spawn_file_actions_t files;
	uint64_t began = clock_mono_ms();
	int pipes[2], rc;

	snprintf(config, sizeof(config), "%s/conf", s->directory);
	snprintf(log, sizeof(log), "%s/store.err", s->directory);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		fail("pipe");
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&files, pipes[1], 10);
	posix_spawn_file_actions_adddup2(&files, s->table_fd, 11);
	setenv("HOLDFAST_FDS", "notify=10,table=11", 1);
	rc = posix_spawn(&s->pid, program, &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	close(pipes[1]);
	if (rc != 0) {
		errno = rc;
		fail(program);
	}
	ready_wait(s, pipes[0]);
	s->start_ms = clock_mono_ms() - began;
	/* It may write STATUS lines later: the pipe is left open to it. */
}

void
store_end(struct store_process *s, int signal)
{
	int status;

	kill(s->pid, signal);
	if (waitpid(s->pid, &status, 0) != s->pid)
		fail("waitpid");
	s->pid = 0;
}

static uint64_t
proc_field(const struct store_process *s, const char *file, const char *field)
{
	struct buf text = BUF_INIT;
	char path[64], *at;
	uint64_t value = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)s->pid, file);
	if (file_read(path, 65536, &text, NULL) == 0 &&
	    (at = strstr(buf_string(&text), field)) != NULL)
		value = strtoull(at + strlen(field), NULL, 10);
	buf_release(&text);
	return (value);
}

uint64_t
store_memory_bytes(const struct store_process *s, const char *field)
{
	return (proc_field(s, "status", field) * 1024);
}

#define REST_MS		500
#define REST_MS_MAX	60000

void
store_rest(const struct store_process *s)
{
	uint64_t deadline = clock_mono_ms() + REST_MS_MAX, since = clock_mono_ms(), seen = 0, now;

	while (clock_mono_ms() - since < REST_MS && clock_mono_ms() < deadline) {
		now = proc_field(s, "io", "write_bytes:");
		if (now != seen)
			since = clock_mono_ms();
		seen = now;
		usleep(20000);
	}
}

uint64_t
store_cpu_us(const struct store_process *s)
{
	struct buf text = BUF_INIT;
	uint64_t ticks = 0;
	char path[64], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)s->pid);
	if (file_read(path, 65536, &text, NULL) == 0 &&
	    (at = strrchr(buf_string(&text), ')')) != NULL) {
		for (unsigned field = 2; at != NULL && field < 14; field++)
			at = strchr(at + 1, ' ');
		if (at != NULL) {
			ticks = strtoull(at, &at, 10);
			ticks += strtoull(at, NULL, 10);
		}
	}
	buf_release(&text);
	return (ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

void
store_remove(struct store_process *s)
{
	char command[320];

	close(s->table_fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->directory);
	if (system(command) != 0)
		fail(s->directory);
}
