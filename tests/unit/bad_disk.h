/*
 * bad_disk - a disk that fails, or hangs, on demand: real files below, one for each program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_BAD_DISK_H
#define HF_TESTS_BAD_DISK_H

#include <pthread.h>
#include <stdbool.h>

#include "libstore/disk/disk.h"

/* What is said of a path holds for handles that were opened below it. */
extern struct bad {
	const char	*write_path, *sync_path, *read_path;	/* error */
	const char	*hang_path, *hang_path_too;		/* a read does not come back */
	const char	*hang_writes, *hang_writes_too, *hang_syncs;
	unsigned	 hanging, hung_reads;
	bool		 sync_once;	/* then the disk is well again */
	int		 code;		/* of a write */
	unsigned	 syncs, writes;
	char		 paths[4096][128];
	pthread_mutex_t	 lock;
	pthread_cond_t	 unhang;
} bad;

extern struct disk bad_disk;

/* NULL: no more; waits until those that hang have come back. */
void	bad_reads_fail(const char *below);
void	bad_reads_hang(const char *below, const char *too);
void	bad_writes_hang(const char *writes, const char *syncs);

#endif
