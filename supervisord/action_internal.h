/*
 * action_internal - what action.c and action_forward.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_ACTION_INTERNAL_H
#define HF_SUPERVISORD_ACTION_INTERNAL_H

#include "supervisord/supervisor.h"

enum progress { PROGRESS_WAITING, PROGRESS_DONE, PROGRESS_FAILED };

struct target {
	struct child	*child;
	bool		 begun;
	uint64_t	 generation;		/* when it began */
	enum progress	 progress;
	bool		 answered;		/* a forwarded action */
	char		 error[200];
};

struct action_row {
	const char	*name;
	bool		 rolling;		/* one instance after the other */
	bool		 backwards;		/* a service only after those that follow it */
	void	       (*begin)(struct action *a, struct child *c);
	enum progress  (*progress)(const struct action *a, const struct target *t);
};

struct action {
	struct supervisor	*supervisor;
	struct action		*next;
	const struct action_row	*row;
	struct message		*message;	/* NULL: the asker has been answered */
	struct event		*deadline;
	struct target		*targets;
	unsigned		 target_count;
	unsigned		 calls;		/* to services, outstanding */
	bool			 aborted, closing;
	char			 reason[400];		/* a sentence for logs and events */
	char			 asked_by[128], said[256], argument[256];	/* as given */
};

void forward_begin(struct action *a, struct child *c);
enum progress forward_progress(const struct action *a, const struct target *t);

#endif
