/*
 * logfile - one log file, rotated at line ends by size, that never makes anybody wait.
 *
 * Where the bytes come from is logpipe.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/logfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libbase/clock.h"

#define REOPEN_MS 1000

static bool
file_reopen(struct logfile *f)
{
	uint64_t now = clock_mono_ms();
	struct stat st;
	char last = '\n';

	if (now < f->retry_ms)
		return (false);
	f->fd = open(f->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
	    0600);
	if (f->fd < 0) {
		f->lost_errno = errno;
		f->retry_ms = now + REOPEN_MS;
		return (false);
	}
	f->bytes = fstat(f->fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
	if (f->bytes > 0 && pread(f->fd, &last, 1, (off_t)f->bytes - 1) != 1)
		last = '\n';
	f->mid_line = last != '\n';
	return (true);
}

void
logfile_open(struct logfile *f, const char *path, uint64_t bytes_max, unsigned files_max)
{
	assert(files_max > 0);
	memset(f, 0, sizeof(*f));
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->bytes_max = bytes_max;
	f->files_max = files_max;
	f->fd = -1;
	file_reopen(f);
}

void
logfile_close(struct logfile *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

/* NAME.log.2 -> NAME.log.3, ..., NAME.log -> NAME.log.1; what is missing is skipped. */
static void
file_rotate(struct logfile *f)
{
	char from[sizeof(f->path) + 16], to[sizeof(f->path) + 16];

	logfile_close(f);
	if (f->files_max == 1)
		unlink(f->path);
	for (unsigned i = f->files_max - 1; i > 0; i--) {
		snprintf(to, sizeof(to), "%s.%u", f->path, i);
		if (i > 1)
			snprintf(from, sizeof(from), "%s.%u", f->path, i - 1);
		else
			snprintf(from, sizeof(from), "%s", f->path);
		rename(from, to);
	}
	f->retry_ms = 0;
	file_reopen(f);
}

static uint64_t
lines_in(const char *data, size_t bytes)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < bytes; i++)
		lines += data[i] == '\n';
	return (lines > 0 ? lines : 1);
}

/* Says what was lost, once the file takes bytes again (L2). */
static bool
loss_report(struct logfile *f)
{
	char line[256], when[25];
	int n;

	clock_format_iso(clock_real_ms(), when);
	n = snprintf(line, sizeof(line), "%s%s warn holdfastd[%d] %llu log lines lost here: %s\n",
	    f->mid_line ? "\n" : "", when, (int)getpid(), (unsigned long long)f->lost_lines,
	    strerror(f->lost_errno));
	errno = ENOSPC;		/* a short write */
	if (write(f->fd, line, (size_t)n) != n) {
		f->lost_errno = errno;
		return (false);
	}
	f->bytes += (uint64_t)n;
	f->mid_line = false;
	f->lost_lines = 0;
	return (true);
}

static void
piece_lose(struct logfile *f, const char *data, size_t bytes, int why)
{
	uint64_t lines = lines_in(data, bytes);

	f->lost_lines += lines;
	f->lost_lines_total += lines;
	f->lost_errno = why;
}

static void
piece_write(struct logfile *f, const char *data, size_t bytes)
{
	ssize_t n;

	if (f->fd < 0 && !file_reopen(f)) {
		piece_lose(f, data, bytes, f->lost_errno);
		return;
	}
	if (f->lost_lines > 0 && !loss_report(f)) {
		piece_lose(f, data, bytes, f->lost_errno);
		return;
	}
	n = write(f->fd, data, bytes);
	if (n > 0) {
		f->bytes += (uint64_t)n;
		f->mid_line = data[n - 1] != '\n';
	}
	if (n < (ssize_t)bytes)
		piece_lose(f, data + (n > 0 ? n : 0), bytes - (size_t)(n > 0 ? n : 0),
		    n < 0 ? errno : ENOSPC);
}

/* How much of data goes into the file as it is now: whole lines that fit, at least one line into an
 * empty file; 0: rotate first. */
static size_t
piece_fit(const struct logfile *f, const char *data, size_t bytes)
{
	uint64_t room = f->bytes_max > f->bytes ? f->bytes_max - f->bytes : 0;
	const char *end;

	if (bytes <= room)
		return (bytes);
	if (!f->mid_line && room > 0 && (end = memrchr(data, '\n', (size_t)room)) != NULL)
		return ((size_t)(end - data) + 1);
	if (!f->mid_line && f->bytes > 0)
		return (0);
	end = memchr(data, '\n', bytes);
	return (end != NULL ? (size_t)(end - data) + 1 : bytes);
}

void
logfile_write(struct logfile *f, const void *data, size_t bytes)
{
	const char *next = data;
	size_t piece;

	while (bytes > 0) {
		piece = piece_fit(f, next, bytes);
		if (piece == 0) {
			file_rotate(f);
			if (f->fd >= 0 && f->bytes == 0)
				continue;
			piece = bytes;		/* could not rotate: written or lost as it is */
		}
		piece_write(f, next, piece);
		next += piece;
		bytes -= piece;
	}
}

void
logfile_line(struct logfile *f, const char *level, const char *name, const char *sentence)
{
	char line[1024], when[25];
	int n;

	if (f->mid_line)
		logfile_write(f, "\n", 1);
	clock_format_iso(clock_real_ms(), when);
	n = snprintf(line, sizeof(line) - 1, "%s %s %s[%d] %s", when, level, name, (int)getpid(),
	    sentence);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	logfile_write(f, line, (size_t)n);
}
