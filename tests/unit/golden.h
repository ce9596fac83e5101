/*
 * golden - stores that earlier programs left in tests/golden, and how one is left for later.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_GOLDEN_H
#define HF_TESTS_GOLDEN_H

#include "tests/unit/state_world.h"

/* Unpacks tests/golden/`archive` into a new directory of w, which has nothing else then. */
void golden_unpack(struct world *w, const char *archive);
/* Where a store is to be left; skips the test if that is not set. */
const char *golden_out(void);
/* Copies w's drives there, as they are. */
void golden_leave(const struct world *w, const char *out);

#endif
