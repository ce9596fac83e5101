/*
 * vacuum - removes a sealed segment: what lives in it is appended again, read back from the drives,
 * and the segment is dropped.
 *
 *   list of the dead ─► live records, in order, to the store ─► copies read back ─► drop ─► gone
 *
 * N3  Nothing is remembered between runs: a record that has moved is dead, one that has not is
 *     moved. A run that is begun again does what is left.
 * N4  The store decides (state_vacuum.c, state_drop.c): a row moves only if it still is what was
 *     read, and a segment goes only when nothing needs it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_VACUUM_H
#define HF_STORE_VACUUM_H

#include "libstore/maintain/maintain.h"

/*
 * 0: the segment is gone. ERR_PRECONDITION: it is not sealed, or held; ERR_CANCELLED; ERR_CORRUPT:
 * something in it can be read nowhere, or a copy cannot be read back; what ask returns. Whatever
 * was done stays and is right.
 */
int vacuum_run(const struct maintain *m, uint64_t segment, struct err *e);

#endif
