/*
 * bare - what the drives do without us: a loop that writes batches to as many files as there are
 * mirrors, one thread for each, pwrite and fdatasync.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BENCH_BARE_H
#define HF_BENCH_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bare;

/* Files of file_bytes in a directory, removed by name at once. Ends the program on failure. */
struct bare *bare_open(const char *directory, unsigned mirrors, uint64_t file_bytes,
    bool prewritten);
/* One batch on all mirrors; returns when it is durable. Goes on behind the last, round and round if
 * again, and else ends the program at the end of the files. */
void bare_write(struct bare *b, size_t bytes, bool again);
void bare_close(struct bare **b);

#endif
