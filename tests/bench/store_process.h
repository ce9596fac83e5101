/*
 * store_process - holdfast-store as a process of a benchmark: its directory, config, generation
 * table, starts, ends and memory. Every function ends the program on failure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BENCH_STORE_PROCESS_H
#define HF_BENCH_STORE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct store_process {
	char		 directory[256], channel[320], index[320];
	int		 table_fd;
	pid_t		 pid;
	uint64_t	 start_ms;	/* from its spawn until it said that it is ready */
};

/* Makes DIR/bench-store.XXXXXX, or uses keep if that is given, with drives and a config. extra:
 * further lines of its section [store]; program: holdfast-store. */
void store_prepare(struct store_process *s, const char *where, const char *keep, unsigned drives,
    const char *extra);
void store_start(struct store_process *s, const char *program);
void store_end(struct store_process *s, int signal);
uint64_t store_memory_bytes(const struct store_process *s, const char *field);	/* "VmRSS:" */
/* Returns when it has not written for a while: the log is as far prepared as it will be. */
void store_rest(const struct store_process *s);
uint64_t store_cpu_us(const struct store_process *s);		/* user and system */
void store_remove(struct store_process *s);

#endif
