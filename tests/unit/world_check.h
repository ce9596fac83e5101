/*
 * world_check - the check that reads everything, over the drives of a state_world whose store is
 * closed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_WORLD_CHECK_H
#define HF_TESTS_WORLD_CHECK_H

#include "libstore/check/check.h"
#include "tests/unit/state_world.h"

/* Each fault goes to on_fault. Returns what check_run() does. */
int	world_check(const struct world *w, check_fault_fn *on_fault, void *context,
    struct check_summary *sum, struct err *e);

/* The same with the drives at these paths. */
int	world_check_at(const struct world *w, const char *const paths[4], check_fault_fn *on_fault,
    void *context, struct check_summary *sum, struct err *e);

#endif
