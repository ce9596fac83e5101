/*
 * index_memory - index.h without RocksDB, for tests that open thousands of stores. Linked
 * before libstore.a it takes the place of index_rocksdb*.c: whoever adds a function there that
 * libstore calls adds it here.
 *
 * There is one index, whatever its directory is called. What was flushed stays when it is closed in
 * a crash; the last few flushes are kept, as copies of the index that somebody may bring back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_INDEX_MEMORY_H
#define HF_TESTS_INDEX_MEMORY_H

#include "libstore/index/index.h"

/* While on, index_close flushes nothing: the process was killed. */
void index_memory_crash(bool on);
/* The next open finds the n-th last flush; later ones are forgotten. 0: the last. */
void index_memory_go_back(unsigned n);
void index_memory_remove(void);

#endif
