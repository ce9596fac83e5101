/*
 * index_copies - what index_memory.h promises of an index, for one that is RocksDB's on a real
 * disk: killed processes and old copies are played with checkpoints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_INDEX_COPIES_H
#define HF_TESTS_INDEX_COPIES_H

#include "tests/unit/index_memory.h"

/* A directory of its own for the index and its copies; to be called before anything else. */
void index_copies_make(char directory[128]);
void index_copies_remove(void);
/* A copy of the index as it is now: what a killed store will have found. */
void index_copies_take(struct index *x);

#endif
