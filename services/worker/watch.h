/*
 * watch - a disk that knows since when which of its steps is under way, so that one which hangs is
 * seen by a thread that does not, and counts what goes to files that are reached over a network.
 * Steps are done by their callers, on the callers' memory: a thread of its own for each, as
 * disk_deadline.h has them, costs a rebuild half of its rate.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_WORKER_WATCH_H
#define HF_WORKER_WATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "libstore/disk/disk.h"

struct watch_step;

struct watch {
	struct disk		 disk;		/* to be given to who makes steps */
	struct disk		*under;
	pthread_mutex_t		 lock;
	struct watch_step	*steps;		/* under way */
	bool			(*remote)(void *context, int handle);	/* NULL: none is */
	void			*context;
	_Atomic uint64_t	*remote_bytes;	/* what was read and written of such */
	bool			*remotes;	/* by handle */
	size_t			 remote_max;	/* handles */
};

void watch_init(struct watch *w, struct disk *under);
/* Before anything is opened: `remote' is asked of each file that was, `bytes' is added to. */
void watch_count_remote(struct watch *w, bool (*remote)(void *context, int handle), void *context,
    _Atomic uint64_t *bytes);
/* Nothing may be under way. */
void watch_release(struct watch *w);
/*
 * The step that has been under way longest: for how many ms, and its path into path[bytes]. 0: none
 * is. From any thread.
 */
uint64_t watch_longest_ms(struct watch *w, uint64_t now_ms, char *path, size_t bytes);

#endif
