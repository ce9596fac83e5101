/*
 * dead_map - for a rebuild: the records whose rows are not made, because what killed them is in
 * segments that were dropped. Collected from the log before its records are applied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DEAD_MAP_H
#define HF_STORE_DEAD_MAP_H

#include <stddef.h>
#include <stdint.h>

struct dead_map {
	struct dead_entry	*entries;
	size_t			 count, capacity;
};

#define DEAD_MAP_INIT { NULL, 0, 0 }

/* killer: the LSN of the dead map's record that names lsn. */
void dead_map_add(struct dead_map *m, uint64_t lsn, uint64_t killer);
/* After the last add: sorts, and keeps of each LSN the newest killer. */
void dead_map_sort(struct dead_map *m);
/* The killer; 0: no dead map names the record. */
uint64_t dead_map_find(const struct dead_map *m, uint64_t lsn);
void dead_map_release(struct dead_map *m);

#endif
