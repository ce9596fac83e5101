/*
 * row_home - where the home of a row of the index is, whatever table it is of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_ROW_HOME_H
#define HF_STORE_ROW_HOME_H

#include <stdbool.h>

#include "libstore/index/index.h"
#include "schema/log.pb-c.h"

/* In the pairs of a SegmentDead: the killer is the new home of the row. */
#define DEAD_RELOCATED	(UINT64_C(1) << 63)

/*
 * True if a row has a home: *home is it, and of a row with an inline body *place (segment 0: it has
 * none; both without anything that needs freeing). Rows of tables without homes, malformed and
 * provisional ones have none.
 */
bool row_home(struct slice key, struct slice value, Hf__Home *home, Hf__Place *place);

#endif
