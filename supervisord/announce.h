/*
 * announce - what holdfastd says: into its own log file, and to whoever started it.
 *
 * Under an init system every line goes to standard error as a log line (the journal). With
 * quickstart the terminal gets warnings and errors only, of holdfastd and of the services, in short
 * form, and no more of them than a person can read. A terminal that takes nothing (Ctrl-S) is not
 * waited for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_ANNOUNCE_H
#define HF_SUPERVISORD_ANNOUNCE_H

#include "libbase/bytes.h"
#include "libbase/log.h"

/* path NULL: no file yet. Once; a file may be added later. */
void announce_open(const char *path, bool short_form, uint64_t bytes_max, unsigned files_max);
void announce_limits(uint64_t bytes_max, unsigned files_max);
void announce_close(void);
void announce(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What a line of a service's log says, borrowed from it, and its level. A line that is not of the
 * log's form (an assertion, a sanitizer) is all text, and a warning. */
struct slice announce_line_parse(struct slice line, enum log_level *level);
/* A line of a service's log: shown on the terminal if it is for a person (short form only). */
void announce_service_line(const char *name, struct slice line);
/* Straight to the person who started us, in short form only. */
void announce_person(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
