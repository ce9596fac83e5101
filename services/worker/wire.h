/*
 * wire - which files are reached over a network: those on file systems of that kind. What is below
 * a file system of this machine (a drive that is exported to it, say) is not seen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_WORKER_WIRE_H
#define HF_WORKER_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_DEVICES_MAX	64	/* others count as of this machine */

struct wire {
	dev_t		devices[WIRE_DEVICES_MAX];
	unsigned	device_count;
};

/* Of this process's mount table, as it is now. */
void wire_init(struct wire *w);
/* A line of /proc/self/mountinfo. */
void wire_line(struct wire *w, const char *line);
/* Of an open file. */
bool wire_has(const struct wire *w, int fd);

#endif
