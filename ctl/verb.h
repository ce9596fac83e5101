/*
 * verb - what holdfastctl can be told to do: one row each (verbs.c), one function each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_CTL_VERB_H
#define HF_CTL_VERB_H

#include <stdbool.h>
#include <stdint.h>

#include "libbase/err.h"

/* Documented in holdfastctl(1). */
enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_NOT_RUNNING = 3, CTL_UNHEALTHY = 4 };

#define CTL_WAIT_MS_DEFAULT 120000

/* Options, wherever on the command line they stood. */
struct ctl {
	char		 run_dir[4096], log_dir[4096];
	const char	*config_path;		/* NULL: not given, and no default exists */
	bool		 json, follow, no_wait;
	uint64_t	 lines;			/* of logs */
	uint64_t	 wait_ms;
	const char	*reason;
};

struct verb {
	const char	*name;
	const char	*arguments;
	unsigned	 arguments_min, arguments_max;
	int	       (*run)(const struct ctl *ctl, const struct verb *v, char **arguments,
			   unsigned count);
	const char	*summary;		/* for the list of all verbs, 50 columns */
	const char	*help;
};

extern const struct verb verbs[];
extern const unsigned verb_count;

/* What a verb with further verbs can be told: `holdfastctl drive list'. */
struct subverb {
	const char	*name, *arguments;
	unsigned	 arguments_min, arguments_max;
	int	       (*run)(const struct ctl *ctl, char **arguments, unsigned count);
};

/* arguments[0] names the row. Returns the exit status. */
int subverb_run(const struct ctl *ctl, const struct verb *v, const struct subverb *rows,
    unsigned row_count, char **arguments, unsigned count);

int verb_status(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
int verb_services(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
int verb_action(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
int verb_logs(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
int verb_events(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
int verb_config(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
int verb_log_level(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
/* store.c: -1 if argv is not about `store', else the exit status. */
int store_words_run(int argc, char **argv);
int verb_store(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
/* rebuild_index.c */
int rebuild_index(const struct ctl *ctl);
/* store_seal.c */
int store_seal(const struct ctl *ctl);
int verb_tasks(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
int verb_drive(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);
int verb_shutdown(const struct ctl *ctl, const struct verb *v, char **arguments, unsigned count);

#endif
