/*
 * logpipe - the pipe that carries a service's standard output and error into its log file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/logpipe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/file.h"
#include "supervisord/announce.h"
#include "supervisord/spawn.h"

#define READ_BYTES	65536
#define TURN_BYTES_MAX	(256 * 1024)	/* of one service in one turn of the loop */
#define DRAIN_BYTES_MAX	(1024 * 1024)	/* what a pipe can hold at most */

static void
line_tell(struct logpipe *l, const char *text, size_t bytes)
{
	struct slice line = SLICE(text, bytes), words;
	enum log_level level;

	announce_service_line(l->name, line);
	words = announce_line_parse(line, &level);
	if (level != LOG_ERROR && words.data != line.data)
		words.bytes = 0;
	snprintf(l->last_words, sizeof(l->last_words), "%.*s", (int)words.bytes,
	    words.bytes > 0 ? (const char *)words.data : "");
	l->last_words_ms = clock_mono_ms();
}

static void
line_flush(struct logpipe *l)
{
	line_tell(l, l->line, l->line_bytes > 0 && l->line[l->line_bytes - 1] == '\n' ?
	    l->line_bytes - 1 : l->line_bytes);
	logfile_write(&l->file, l->line, l->line_bytes);
	l->line_bytes = 0;
}

/* Whole lines that came together go into the file together. */
static void
lines_flush(struct logpipe *l, const char *lines, size_t bytes)
{
	const char *next = lines, *end = lines + bytes, *stop;

	for (; next < end; next = stop + 1) {
		stop = memchr(next, '\n', (size_t)(end - next));
		line_tell(l, next, (size_t)(stop - next));
	}
	logfile_write(&l->file, lines, bytes);
}

/* Adds to the line that was begun, up to its end; returns how much. */
static size_t
line_gather(struct logpipe *l, const char *data, size_t bytes)
{
	const char *end = memchr(data, '\n', bytes);
	size_t piece = end != NULL ? (size_t)(end - data) + 1 : bytes;

	if (piece > sizeof(l->line) - l->line_bytes)
		piece = sizeof(l->line) - l->line_bytes;
	memcpy(l->line + l->line_bytes, data, piece);
	l->line_bytes += piece;
	if (l->line[l->line_bytes - 1] == '\n' || l->line_bytes == sizeof(l->line))
		line_flush(l);
	return (piece);
}

/* Lines leave whole; one that is longer than the buffer may leave in pieces. */
static void
bytes_take(struct logpipe *l, const char *data, size_t bytes)
{
	const char *last;
	size_t piece;

	while (bytes > 0) {
		last = l->line_bytes == 0 ? memrchr(data, '\n', bytes) : NULL;
		if (last != NULL) {
			piece = (size_t)(last - data) + 1;
			lines_flush(l, data, piece);
		} else {
			piece = line_gather(l, data, bytes);
		}
		data += piece;
		bytes -= piece;
	}
}

static void
pipe_read(struct logpipe *l, size_t bytes_max)
{
	static char chunk[READ_BYTES];
	size_t taken = 0;
	ssize_t n;

	while (taken < bytes_max && (n = read(l->read_fd, chunk, sizeof(chunk))) > 0) {
		bytes_take(l, chunk, (size_t)n);
		taken += (size_t)n;
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	pipe_read(context, TURN_BYTES_MAX);
}

int
logpipe_open(struct logpipe *l, struct event_base *base, const char *name, const char *log_dir,
    uint64_t bytes_max, unsigned files_max, struct err *e)
{
	char path[4096];
	int fds[2];

	memset(l, 0, sizeof(*l));
	l->name = name;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return (err_errno(e, errno, "cannot make the log pipe of %s", name));
	l->read_fd = spawn_raise_fd(fds[0]);
	l->write_fd = spawn_raise_fd(fds[1]);
	fcntl(l->read_fd, F_SETPIPE_SZ, DRAIN_BYTES_MAX);	/* the default is fine as well */
	fd_set_nonblock(l->read_fd, 1);
	snprintf(path, sizeof(path), "%s/%s.log", log_dir, name);
	logfile_open(&l->file, path, bytes_max, files_max);
	l->event = event_new(base, l->read_fd, EV_READ | EV_PERSIST, on_readable, l);
	assert(l->event != NULL);
	event_add(l->event, NULL);
	return (0);
}

void
logpipe_close(struct logpipe *l)
{
	if (l->event == NULL)
		return;
	logpipe_drain(l);
	event_free(l->event);
	l->event = NULL;
	close(l->read_fd);
	close(l->write_fd);
	logfile_close(&l->file);
}

void
logpipe_drain(struct logpipe *l)
{
	pipe_read(l, DRAIN_BYTES_MAX);
	if (l->line_bytes > 0) {
		if (l->line_bytes == sizeof(l->line))
			line_flush(l);
		l->line[l->line_bytes++] = '\n';
		line_flush(l);
	}
}
