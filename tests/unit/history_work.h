/*
 * history_work - maintenance within a history: conversion, vacuum and rebuild by workers that hold
 * the lease of a task, while clients go on, and that are killed, stopped and woken again later,
 * cancelled, or lose the store on the way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_HISTORY_WORK_H
#define HF_TESTS_HISTORY_WORK_H

#include "tests/unit/history_model.h"

#define HISTORY_WORKER	4u	/* the first of two clients that are workers */

enum work_kind { WORK_CONVERT, WORK_VACUUM, WORK_REBUILD, WORK_KINDS };
enum work_end { WORK_WHOLE, WORK_CANCELLED, WORK_KILLED, WORK_STOPPED, WORK_STORE, WORK_ENDS };

struct history_work {
	struct model	*model;
	/* Something that others do: between any two questions of a worker. */
	void		(*meanwhile)(void *context);
	/* The store dies and is started again. */
	void		(*store_again)(void *context);
	void		*context;
	bool		 strict;	/* no drive fails: nothing may be found damaged */
	bool		 quiet;		/* nobody does anything meanwhile */
	/* With these ends, by kind; and runs that came to their end. */
	unsigned	 runs[WORK_KINDS], done[WORK_KINDS], ends[WORK_ENDS];
};

/* Picks a segment or a drive, if there is one for it, and works on it; what ends it is picked too,
 * unless `whole'. What vacuum_run, convert_run or rebuild_run returned; 1: nothing to do. */
int history_work(struct history_work *h, unsigned client, enum work_kind kind, bool whole,
    struct err *e);
/* Everything that can be rebuilt and converted is. Says what is wrong if that cannot be done. */
void history_work_all(struct history_work *h, unsigned client);

#endif
