/*
 * orphans - processes that a service left behind, also those that left its process group.
 *
 * holdfastd is the subreaper of its services: what they leave becomes its child. Nothing of the
 * kind may stay: it is killed and named in the log. Children that holdfastd had before it became
 * holdfastd (a shell's, before exec) are left alone; as process 1 of a container it only reaps,
 * because there everybody's orphans come to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_ORPHANS_H
#define HF_SUPERVISORD_ORPHANS_H

#include <event2/event.h>
#include <stdint.h>
#include <sys/types.h>

#define ORPHANS_STRANGERS_MAX 64

struct supervisor;

struct orphans {
	struct event	*timer;
	pid_t		 strangers[ORPHANS_STRANGERS_MAX];
	unsigned	 stranger_count;
	pid_t		 last_killed;
	uint64_t	 killed_total;
};

void orphans_open(struct supervisor *s);
void orphans_close(struct supervisor *s);
/* Kills and reaps the children of ours that are no service; what has not ended yet is looked at
 * again shortly, until none is left. */
void orphans_sweep(struct supervisor *s);

#endif
