/*
 * cleanup_scan - what lies in quarantine on drives. For state_cleanup.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CLEANUP_SCAN_H
#define HF_STORE_CLEANUP_SCAN_H

#include <stddef.h>

#include "libstore/drive/drive.h"
#include "libstore/state/state_cleanup.h"

#define CLEANUP_FOUND_MAX	256u	/* at once: the rest when these are gone */

struct cleanup_found {
	enum cleanup_what	what;		/* CLEANUP_VOLUME, CLEANUP_SEGMENT */
	uint64_t		id, bytes;
	unsigned		slot;
	char			name[64];	/* of the file */
};

struct cleanup_scan {
	struct state		*st;
	struct drive_set	*drives;
	uint32_t		 slots;
	struct cleanup_found	 found[CLEANUP_FOUND_MAX];
	size_t			 count;
};

/* On a pool thread: fills found from the slots' drives, as far as they can be read. */
void cleanup_scan_work(void *scan);

#endif
