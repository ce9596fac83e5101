/*
 * disk_deadline_internal - what the files disk_deadline*.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DISK_DEADLINE_INTERNAL_H
#define HF_STORE_DISK_DEADLINE_INTERNAL_H

#include <pthread.h>
#include <time.h>

#include "libstore/disk/disk_deadline.h"
#include "libstore/disk/disk_step.h"

#define ROOTS_MAX	64u
#define HANDLES_MAX	65536u

struct deadline {
	struct disk	 disk;
	struct disk	*under;
	unsigned	 deadline_ms, write_ms;
	pthread_mutex_t	 lock;
	pthread_cond_t	 work, done;
	struct step	*first, **last;
	struct step	*given_up;		/* abandoned, not back yet */
	unsigned	 idle, threads, hung_all;
	unsigned	 hung[ROOTS_MAX + 1];	/* by root; the last: of none */
	unsigned	 hung_writes[ROOTS_MAX + 1];	/* of them */
	char		*roots[ROOTS_MAX];
	unsigned	 root_count;
	uint8_t		 handle_root[HANDLES_MAX];
	bool		 stopping;
};

static inline struct deadline *
deadline_self(struct disk *d)
{
	return ((struct deadline *)d);
}

/* --- disk_deadline.c: which drive; a root's number, ROOTS_MAX: none that is known */
/* Q2; takes the lock. */
unsigned deadline_root_of(struct deadline *d, const char *path);
/* With the lock: of what a link leads to, a file of a directory of a drive. */
unsigned deadline_root_of_link(struct deadline *d, const char *target);
unsigned deadline_root_of_handle(const struct deadline *d, int handle);
/* A handle that was opened on the drive of that root. */
void deadline_opened(struct deadline *d, int handle, unsigned root);

/* --- disk_deadline_crew.c */
unsigned deadline_step_ms(const struct deadline *d, const struct step *s);
struct timespec deadline_at(unsigned ms);	/* from now on */
/* Has a step done on a drive. True: it is done and the caller's again. False: ERR_TIMEOUT, it is
 * gone, and e says why. */
bool step_wait(struct deadline *d, struct step *s, unsigned root, struct err *e);
/* The result of a step that is done, which is freed. */
ssize_t step_end(struct step *s, struct err *e);
/* Both, for a step of which nothing else comes out. */
int step_result(struct deadline *d, struct step *s, unsigned root, struct err *e);

/* With the lock: */
/* A step on this handle that was given up and is not back yet, or NULL. */
struct step *deadline_given_up(const struct deadline *d, int handle);
/* A step of the drive hangs. What may take longer than what hangs did is tried all the same. */
bool deadline_refused(const struct deadline *d, unsigned root, bool writes);
bool deadline_step_writes(const struct step *s);	/* it changes something, or opens to */
/* False: no thread can be had at all. */
bool deadline_queue(struct deadline *d, struct step *s);
/* A step that is still queued is taken back; one that runs is its thread's from now on. */
void deadline_give_up(struct deadline *d, struct step *s);

#endif
