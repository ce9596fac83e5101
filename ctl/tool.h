/*
 * tool - what the files of holdfast-store-tool share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_CTL_TOOL_H
#define HF_CTL_TOOL_H

#include "libbase/config.h"
#include "libstore/check/view.h"

/* Documented in holdfast-store-tool(8). */
enum { TOOL_CLEAN = 0, TOOL_LOST = 1, TOOL_USAGE = 2, TOOL_CANCELLED = 3, TOOL_DEGRADED = 4 };

struct tool {
	struct config		 config;
	const char		*drives[DRIVES_MAX];
	unsigned		 drive_count;
	char			*drive_words;		/* what drives[] point into */
	char			 index_dir[4096];
	struct view_options	 view;
	uint64_t		 faults_max;
	uint64_t		 bytes_per_second;	/* UINT64_MAX: not given */
	bool			 quiet, progress;
	volatile bool		 cancelled;
};

typedef int tool_fn(struct tool *t, char **words, unsigned count);
tool_fn tool_check, tool_stat, tool_dump;

/* Opens a view with its log and index; what fails is told on standard error. */
int tool_view(struct tool *t, bool with_index, struct view **out);
/* A line about progress with the time it still takes, on a terminal only; NULL: the line goes. */
void tool_progress(struct tool *t, const char *step, uint64_t done, uint64_t total);
int tool_failed(const struct err *e);
void tool_hex(const void *data, size_t bytes);		/* to standard output */
/* Bytes that are not printable, blanks and backslashes become \xNN. */
void tool_name(struct slice name);

/* tool_live.c: a running store */
struct tool_live;
int tool_live_open(struct tool *t, struct tool_live **out, struct err *e);
void tool_live_close(struct tool_live **l);
/* As struct check_live has them; context is the tool_live. */
int tool_live_walk(void *context, char directory[4096], uint64_t *lsn, struct err *e);
int tool_live_keep(void *context, struct err *e);
/* 0, or why the store cannot be looked at any more: then the check was cancelled. */
int tool_live_why(struct tool_live *l, struct err *e);

/* tool_dump_object.c */
int tool_dump_object(struct tool *t, const char *bucket, const char *key);
/* tool_dump_log.c */
int tool_dump_segments(struct view *v);
int tool_dump_log(struct view *v, const char *segment);

#endif
