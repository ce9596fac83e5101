/*
 * process - whether a process is still the one that it was.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_PROCESS_H
#define HF_STORE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A pidfd of the process with this pid and start time (field 22 of /proc/PID/stat) on this boot, or
 * -1: that process is gone. The start time is looked at after the pidfd is held, so the two are the
 * same.
 */
int process_pidfd(const char *boot_id, uint32_t pid, uint64_t start_time);

#endif
