/*
 * view_index - the temporary directory of a view; for view*.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_VIEW_INDEX_H
#define HF_STORE_VIEW_INDEX_H

#include "libstore/check/view.h"

/* Removes what the view made beside the index; harmless if it made nothing. */
void view_temp_remove(struct view *v);

#endif
