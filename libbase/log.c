/*
 * log - one line per event on standard error.
 *
 * L1  A line is whole within one write(2) of at most LINE_BYTES (a pipe takes that many at once):
 *     lines of several threads or processes do not mix.
 * L2  Only the last byte of a line is below 0x20 or is 0x7f.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libbase/err.h"

#define LINE_BYTES 4096

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static _Atomic int level_now = LOG_INFO;
static char service_name[64] = "holdfast";
static pid_t service_pid;	/* asking the kernel for each line is a system call */
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static char held[LINE_BYTES];
static size_t held_bytes;

void
log_init(const char *service, enum log_level level)
{
	snprintf(service_name, sizeof(service_name), "%s", service);
	service_pid = getpid();
	atomic_store(&level_now, (int)level);
}

void
log_set_level(enum log_level level)
{
	atomic_store(&level_now, (int)level);
}

enum log_level
log_level(void)
{
	return ((enum log_level)atomic_load_explicit(&level_now, memory_order_relaxed));
}

int
log_level_parse(const char *text, enum log_level *out)
{
	int i;

	for (i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (strcmp(text, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return (0);
		}
	return (ERR_INVALID);
}

const char *
log_level_name(enum log_level level)
{
	return ((unsigned)level <= LOG_DEBUG ? level_names[level] : "unknown");
}

/* Copies text to line from `at`, control bytes as \xNN; returns the new end, leaving room for
 * '\n'. */
static size_t
line_append(char line[LINE_BYTES], size_t at, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (at + 5 > LINE_BYTES)
			break;
		if (c >= 0x20 && c != 0x7f) {
			line[at++] = (char)c;
			continue;
		}
		line[at++] = '\\';
		line[at++] = 'x';
		line[at++] = digits[c >> 4];
		line[at++] = digits[c & 15];
	}
	return (at);
}

/* Makes a line of at most LINE_BYTES and returns its length. */
static size_t
line_make(char line[LINE_BYTES], enum log_level level, const char *request_id, const char *format,
    va_list ap)
{
	char text[LINE_BYTES], time[25];
	size_t n;

	clock_format_iso(clock_real_ms(), time);
	snprintf(text, sizeof(text), "%s %s %s[%d] ", time, log_level_name(level), service_name,
	    (int)(service_pid != 0 ? service_pid : getpid()));
	n = line_append(line, 0, text);
	if (request_id != NULL) {
		snprintf(text, sizeof(text), "req=%s ", request_id);
		n = line_append(line, n, text);
	}
	vsnprintf(text, sizeof(text), format, ap);
	n = line_append(line, n, text);
	line[n++] = '\n';
	return (n);
}

static void
bytes_write(const char *bytes, size_t n)
{
	while (write(STDERR_FILENO, bytes, n) < 0 && errno == EINTR)
		;
}

/* held_lock is taken. */
static void
held_write(void)
{
	if (held_bytes > 0)
		bytes_write(held, held_bytes);
	held_bytes = 0;
}

/* Held lines go first. */
static void
line_write(const char *line, size_t n)
{
	held_write();
	bytes_write(line, n);
}

static void
line_hold(const char *line, size_t n)
{
	if (held_bytes + n > sizeof(held))
		held_write();
	memcpy(held + held_bytes, line, n);
	held_bytes += n;
}

static void
line_give(void (*take)(const char *line, size_t n), enum log_level level, const char *request_id,
    const char *format, va_list ap)
{
	char line[LINE_BYTES];
	int saved = errno;
	size_t n;

	if (level > log_level())
		return;
	n = line_make(line, level, request_id, format, ap);
	pthread_mutex_lock(&held_lock);
	take(line, n);
	pthread_mutex_unlock(&held_lock);
	errno = saved;
}

void
log_write(enum log_level level, const char *request_id, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	line_give(line_write, level, request_id, format, ap);
	va_end(ap);
}

void
log_hold(enum log_level level, const char *request_id, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	line_give(line_hold, level, request_id, format, ap);
	va_end(ap);
}

void
log_flush(void)
{
	pthread_mutex_lock(&held_lock);
	held_write();
	pthread_mutex_unlock(&held_lock);
}
