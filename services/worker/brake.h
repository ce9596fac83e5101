/*
 * brake - lets a thread through at so many bytes a second, and stops it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_WORKER_BRAKE_H
#define HF_WORKER_BRAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "libbase/err.h"

struct brake {
	pthread_mutex_t	lock;
	pthread_cond_t	moved;
	uint64_t	bytes_per_second;	/* 0: no limit */
	uint64_t	free_ns;		/* clock_mono_ns at which the next bytes may go */
	uint64_t	bytes;			/* let through so far */
	bool		stopped;
};

void brake_init(struct brake *b, uint64_t bytes_per_second);
void brake_release(struct brake *b);
/* From any thread; for what waits now, too. */
void brake_set(struct brake *b, uint64_t bytes_per_second);
void brake_stop(struct brake *b);
/* Waits until so many bytes may go. ERR_CANCELLED: stopped. */
int brake_pass(struct brake *b, uint64_t bytes, struct err *e);
/* Waits for so long. ERR_CANCELLED: stopped. */
int brake_rest(struct brake *b, uint64_t ns, struct err *e);
uint64_t brake_bytes(struct brake *b);

#endif
