/*
 * libc_for_nng - two functions of libc as nng 1.5.2 must see them; see libc_for_nng.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_IPC_LIBC_FOR_NNG_H
#define HF_IPC_LIBC_FOR_NNG_H

#include <stdbool.h>

/* While true, sysconf(_SC_NPROCESSORS_ONLN) is 1 on this thread only. */
void libc_pretend_one_processor(bool one);

#endif
