/*
 * retire_world - a rebuild_world whose drives are retired.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_RETIRE_WORLD_H
#define HF_TESTS_RETIRE_WORLD_H

#include "tests/unit/rebuild_world.h"

/* Links in log/ and vol/ of a drive. */
unsigned links_count(const char *drive);
void slot_check(unsigned slot, const char *path, bool moving);
/* As the service does it. */
int retire(unsigned slot, const char *path, struct err *e);
/* The drive that was at /dSLOT is taken out, and the store is told where the new one is. */
void old_goes(unsigned slot, const char *path);
/* Everything of the slot is on the new drive: without the old one nothing is lacking, nor is
 * anything lost without two others. Closes and removes the world. */
void new_proves_itself(unsigned slot, const char *path);

#endif
