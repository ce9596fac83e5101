/*
 * erasure - Reed-Solomon over equal-sized units (ISA-L, Cauchy matrix). Pure computation; isal.c is
 * the only file that includes ISA-L. What a row or a stripe is, is libstore's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_ERASURE_H
#define HF_BASE_ERASURE_H

#include <stddef.h>
#include <stdint.h>

#define ERASURE_UNITS_MAX 16

struct erasure;

/* k in 1..16, m in 0..8, k + m <= 16 (asserted). Never NULL. m = 0 encodes nothing. */
struct erasure *erasure_new(unsigned k, unsigned m);
void erasure_free(struct erasure *c);

/* units[0..k-1] are read, units[k..k+m-1] written; all of `bytes` bytes. */
void erasure_encode(const struct erasure *c, size_t bytes, uint8_t *const units[]);

/*
 * Recomputes the units whose bit is set in `lost` from k of those whose bit is set in `present`.
 * units[i] must be memory of `bytes` bytes for every i in lost and for the present ones used.
 * Returns 0, or ERR_NO_QUORUM with fewer than k present.
 */
int erasure_rebuild(const struct erasure *c, size_t bytes, uint32_t present, uint32_t lost,
    uint8_t *const units[]);

#endif
