/*
 * others - whether somebody else uses the drives now: what went through their devices is more than
 * what this process had read and written.
 *
 * O1  Unknown counts as used: a file system without a device of its own, or a /proc that says
 *     nothing.
 * O2  Who was seen counts for a second, so that a client between two requests is not forgotten.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_WORKER_OTHERS_H
#define HF_WORKER_OTHERS_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/store.pb-c.h"

#define OTHERS_DEVICES_MAX	32

struct others {
	int		devices[OTHERS_DEVICES_MAX];	/* descriptors of their counters */
	unsigned	device_count;
	int		own;				/* of /proc/self/io */
	bool		unknown;			/* O1 */
	uint64_t	device_bytes, own_bytes;	/* as of the last look */
	uint64_t	looked_ms, until_ms;		/* mono; O2 */
};

/* The drives of a layout that are there. */
void others_init(struct others *o, const Hf__Layout *layout);
void others_release(struct others *o);
/* Between two steps, when nothing of ours is under way. Looks now and then only. */
bool others_busy(struct others *o, uint64_t now_ms);
/* What a look means: so many bytes went through the devices, so many of them were ours. */
bool others_seen(uint64_t device_bytes, uint64_t own_bytes);

#endif
