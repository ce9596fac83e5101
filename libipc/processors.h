/*
 * processors - lets one thread believe for a moment that the machine has one processor.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_PROCESSORS_H
#define HF_IPC_PROCESSORS_H

#include <stdbool.h>

/* While true, sysconf(_SC_NPROCESSORS_ONLN) is 1 on this thread only. */
void processors_pretend_one(bool one);

#endif
