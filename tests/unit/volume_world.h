/*
 * volume_world - a store with one session and the bucket "b", whose volumes are looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_VOLUME_WORLD_H
#define HF_TESTS_VOLUME_WORLD_H

#include <criterion/criterion.h>

#include "libstore/apply/apply_internal.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/index/index_layer.h"
#include "libstore/volume/volume.h"
#include "tests/unit/state_world.h"

#define MIB (1024u * 1024)

extern struct world w;

/* Of a suite: .init, .fini. */
void volume_world_begin(void);
void volume_world_end(void);

const Hf__Run *reserve(uint64_t sequence, uint64_t bytes);
Hf__Extent extent(uint64_t volume, uint64_t offset, uint64_t bytes);
int put(uint64_t sequence, const char *key, const Hf__Extent *x);
/* Lets the grace pass and reclaim do all that it has to. */
void reclaim(void);
void pass(uint64_t ms);
int release(uint64_t sequence, uint64_t volume);
int volume_state(uint64_t volume);

#endif
