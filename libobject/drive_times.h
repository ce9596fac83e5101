/*
 * drive_times - how long reads, writes and syncs of bodies take on each drive, counted by whoever
 * does them and told to the store every now and then, which compares the drives
 * (libstore/drive/drive_slow.h).
 *
 * T1  Counting is one atomic addition, from any thread. What came from the page cache is not
 *     counted, nor what failed or was given up: the store hears of that at once (damage.c).
 * T2  Without steps there is nothing to tell, and no timer runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_DRIVE_TIMES_H
#define HF_OBJECT_DRIVE_TIMES_H

#include <event2/event.h>
#include <stdbool.h>

#include "libstore/disk/latency.h"
#include "libstore/drive/drive.h"
#include "schema/store.pb-c.h"

struct objects;

enum drive_step {
	DRIVE_READ = HF__DRIVE_LATENCIES__ROW__KIND__READ,
	DRIVE_WRITE = HF__DRIVE_LATENCIES__ROW__KIND__WRITE,
	DRIVE_SYNC = HF__DRIVE_LATENCIES__ROW__KIND__SYNC,
};
#define DRIVE_TIME_KINDS 6u

struct drive_times {
	uint32_t	 counts[DRIVES_MAX][DRIVE_TIME_KINDS][LATENCY_BUCKETS];
	bool		 wanted, noted;
	bool		 pending;	/* the loop's, as what follows */
	uint64_t	 every_ms;
	struct event	*timer;
};

/* A step that was done, of so many bytes. */
void drive_times_note(struct drive_times *t, unsigned slot, enum drive_step step, size_t bytes,
    uint64_t ns);

/* On the loop: */
void drive_times_init(struct objects *o);
void drive_times_release(struct objects *o);
/* How often the store wants to hear of them, in ms; 0: not. */
void drive_times_every(struct objects *o, uint64_t ms);
/* Steps may have been done. */
void drive_times_due(struct objects *o);

#endif
