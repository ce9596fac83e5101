/*
 * announce - what holdfastd says: into its own log file, and to whoever started it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "supervisord/announce.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "supervisord/logfile.h"

#define SENTENCE_BYTES_MAX	900
#define TERMINAL_LINES_MAX	40	/* of services, in each window */
#define TERMINAL_WINDOW_MS	10000

static struct {
	struct logfile	file;
	bool		file_open, short_form;
	uint64_t	window_ms;
	unsigned	window_lines;
} own;

void
announce_open(const char *path, bool short_form, uint64_t bytes_max, unsigned files_max)
{
	own.short_form = short_form;
	if (path == NULL)
		return;
	logfile_open(&own.file, path, bytes_max, files_max);
	own.file_open = true;
}

void
announce_limits(uint64_t bytes_max, unsigned files_max)
{
	own.file.bytes_max = bytes_max;
	own.file.files_max = files_max;
}

void
announce_close(void)
{
	if (own.file_open)
		logfile_close(&own.file);
	own.file_open = false;
}

/* What others say must neither forge lines nor move the cursor. */
static void
text_tame(char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
}

static void
terminal_write(const char *text, size_t bytes)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0 &&
	    write(STDERR_FILENO, text, bytes) < 0)
		return;		/* nobody there to tell */
}

static void
terminal_line(const char *name, enum log_level level, const char *text, size_t bytes)
{
	char line[SENTENCE_BYTES_MAX + 100];
	int n;

	n = snprintf(line, sizeof(line) - 1, "%s: %s%.*s", name,
	    level == LOG_ERROR ? "error: " : level == LOG_WARN ? "warning: " : "",
	    (int)(bytes < SENTENCE_BYTES_MAX ? bytes : SENTENCE_BYTES_MAX), text);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	text_tame(line, (size_t)n);
	line[n++] = '\n';
	terminal_write(line, (size_t)n);
}

void
announce(enum log_level level, const char *format, ...)
{
	char sentence[SENTENCE_BYTES_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	text_tame(sentence, strlen(sentence));
	if (level > log_level())
		return;
	if (own.file_open)
		logfile_line(&own.file, log_level_name(level), "holdfastd", sentence);
	if (!own.short_form)
		log_write(level, NULL, "%s", sentence);
	else if (level <= LOG_WARN)
		terminal_line("holdfastd", level, sentence, strlen(sentence));
}

void
announce_person(const char *format, ...)
{
	char text[4096];
	va_list ap;
	int n;

	if (!own.short_form)
		return;
	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n > 0)
		terminal_write(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* Whether one more line may be shown now. */
static bool
window_admits(const char *name)
{
	uint64_t now = clock_mono_ms();

	if (own.window_ms == 0 || now - own.window_ms >= TERMINAL_WINDOW_MS) {
		own.window_ms = now;
		own.window_lines = 0;
	}
	if (++own.window_lines == TERMINAL_LINES_MAX)
		terminal_line(name, LOG_INFO, "(more is in its log)", 20);
	return (own.window_lines < TERMINAL_LINES_MAX);
}

/* Cuts the next word off; data is NULL if there is none. */
static struct slice
word_take(struct slice *s)
{
	const char *p = s->data, *blank = s->bytes > 0 ? memchr(p, ' ', s->bytes) : NULL;
	struct slice word;

	if (blank == NULL)
		return (SLICE_NONE);
	word = SLICE(p, (size_t)(blank - p));
	*s = SLICE(blank + 1, s->bytes - word.bytes - 1);
	return (word);
}

struct slice
announce_line_parse(struct slice line, enum log_level *level)
{
	struct slice rest = line, when = word_take(&rest), word = word_take(&rest);
	char text[8];

	*level = LOG_WARN;
	snprintf(text, sizeof(text), "%.*s", (int)(word.bytes < 7 ? word.bytes : 7),
	    word.data != NULL ? (const char *)word.data : "");
	if (when.bytes != 24 || log_level_parse(text, level) < 0)
		return (line);
	return (word_take(&rest).data != NULL ? rest : SLICE_NONE);
}

void
announce_service_line(const char *name, struct slice line)
{
	enum log_level level;
	struct slice text;

	if (!own.short_form || line.bytes == 0)
		return;
	text = announce_line_parse(line, &level);
	if (text.data != NULL && level <= LOG_WARN && window_admits(name))
		terminal_line(name, level, text.data, text.bytes);
}
