/*
 * logpipe - the pipe that carries a service's standard output and error into its log file.
 *
 * It belongs to the instance, not to the process: it stays over restarts, so nothing that was
 * written before a death is lost. It is always read, also when the file takes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_LOGPIPE_H
#define HF_SUPERVISORD_LOGPIPE_H

#include <event2/event.h>

#include "libbase/err.h"
#include "supervisord/logfile.h"

#define LOGPIPE_LINE_BYTES_MAX 8192
#define LOGPIPE_WORDS_BYTES 300

struct logpipe {
	const char	*name;			/* borrowed */
	int		 read_fd, write_fd;
	struct event	*event;
	struct logfile	 file;
	char		 line[LOGPIPE_LINE_BYTES_MAX];	/* begun, its end not read yet */
	size_t		 line_bytes;
	char		 last_words[LOGPIPE_WORDS_BYTES];	/* its last line, if an error */
	uint64_t	 last_words_ms;		/* monotonic: when it was read */
};

int logpipe_open(struct logpipe *l, struct event_base *base, const char *name, const char *log_dir,
    uint64_t bytes_max, unsigned files_max, struct err *e);
void logpipe_close(struct logpipe *l);
/* Reads what is in the pipe now, within a bound, and ends a line that was begun. */
void logpipe_drain(struct logpipe *l);

#endif
