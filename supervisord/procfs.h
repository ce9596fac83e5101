/*
 * procfs - what the kernel says about a process: time, memory, identity.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_PROCFS_H
#define HF_SUPERVISORD_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_stat {
	char		state;			/* R S D T Z ... */
	uint64_t	cpu_ms;			/* user and system */
	uint64_t	start_ticks;		/* with the pid: who it is, within one boot */
	uint64_t	rss_bytes;
};

/* False if there is no such process. */
bool process_stat(pid_t pid, struct process_stat *out);
/* Proportional memory; 0 if it cannot be read. */
uint64_t process_pss(pid_t pid);
/* Children of ours, at most count_max; returns how many. */
unsigned process_children(pid_t out[], unsigned count_max);
/* Identity of this boot into out[40]; "" if unknown. */
void process_boot_id(char out[40]);

#endif
