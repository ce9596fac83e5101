/*
 * disk_read_only - a disk over another that refuses every change, so that who looks at a stopped
 * store cannot harm it. Locks are taken; a datasync has nothing to do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DISK_READ_ONLY_H
#define HF_STORE_DISK_READ_ONLY_H

#include "libstore/disk/disk.h"

/* From malloc; free() it after its last handle was closed. under must outlive it. */
struct disk *disk_read_only_new(struct disk *under);
/* Reads no more than this in a second, all handles together; 0: as fast as it can. While *cancel
 * nothing waits. For one thread. */
void disk_read_only_limit(struct disk *d, uint64_t bytes_per_second, const volatile bool *cancel);

#endif
