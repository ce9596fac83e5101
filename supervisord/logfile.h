/*
 * logfile - one log file, rotated at line ends by size, that never makes anybody wait.
 *
 * L1  NAME.log is the newest; NAME.log.1 to NAME.log.(files_max - 1) are older. No line is cut by
 *     it.
 * L2  What cannot be written (full disk, no directory) is dropped and counted; the first line that
 *     can be written again says how much was lost and why.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_LOGFILE_H
#define HF_SUPERVISORD_LOGFILE_H

#include "libbase/bytes.h"

struct logfile {
	char		path[4096];
	int		fd;			/* -1: not open now */
	uint64_t	bytes;			/* size of the file */
	uint64_t	bytes_max;
	unsigned	files_max;
	bool		mid_line;		/* the file ends within a line */
	uint64_t	lost_lines;		/* since the last line that was written */
	uint64_t	lost_lines_total;
	int		lost_errno;
	uint64_t	retry_ms;		/* when opening is tried again */
};

/* Takes no memory and cannot fail: a file that cannot be opened is tried again while writing. */
void logfile_open(struct logfile *f, const char *path, uint64_t bytes_max, unsigned files_max);
void logfile_close(struct logfile *f);
void logfile_write(struct logfile *f, const void *data, size_t bytes);
/* As a line of the service log: time, level, name, sentence. Ends a line that is cut off first. */
void logfile_line(struct logfile *f, const char *level, const char *name, const char *sentence);

#endif
