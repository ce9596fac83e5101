/*
 * store_program - where a benchmark finds holdfast-store, from wherever it is called.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BENCH_STORE_PROGRAM_H
#define HF_BENCH_STORE_PROGRAM_H

/* HOLDFAST_STORE, or services/store/holdfast-store of the build that the benchmark belongs to.
 * Lives as long as the program, which ends if there is none. */
const char *store_program(void);

#endif
