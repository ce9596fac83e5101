/*
 * state_file - RUN_DIR/holdfastd.state: what was last known, for when nobody can be asked.
 *
 * It is replaced whole (rename) after every change, so that holdfastctl can say something when
 * holdfastd is wedged or gone, and so that the next holdfastd finds processes that the one before
 * left and gives higher generations. It is a hint, never an authority: a pid counts only together
 * with its start time and the boot.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_STATE_FILE_H
#define HF_SUPERVISORD_STATE_FILE_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "libbase/err.h"

struct supervisor;

/* The file's content. */
cJSON *state_file_build(const struct supervisor *s);
void state_file_write(struct supervisor *s);
/* Waits until the processes that the file names are gone; after wait_ms they are killed. ERR_LOCKED
 * if one survives that. Without a file, or with one that cannot be understood, there is nothing to
 * do. */
int state_file_predecessors(const struct supervisor *s, uint64_t wait_ms, struct err *e);
/* Carries the generations on. */
void state_file_generations(struct supervisor *s);

#endif
