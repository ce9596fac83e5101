/*
 * pool_memory - libbase/pool.h without threads: work is done when the test says so, in the order
 * that it chooses. Linked before libbase.a it takes the place of pool.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_POOL_MEMORY_H
#define HF_TESTS_POOL_MEMORY_H

#include "libbase/pool.h"

/* Does the n-th job that waits (modulo how many there are) and tells; false: none waits. */
int pool_memory_run(struct pool *p, unsigned n);

#endif
