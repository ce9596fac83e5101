/*
 * index_filter - which keys the database cannot have, while an empty one is filled: most records of
 * a rebuild put what was never there, and to find that out in its tables costs as much as the rest.
 *
 * A key that was added is never denied. Of others one in a hundred or so is not, with twenty
 * million added; more with more, which costs time only. One thread adds, any may ask.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_FILTER_H
#define HF_STORE_INDEX_FILTER_H

#include "libbase/bytes.h"

struct index_filter;

struct index_filter *filter_new(void);		/* 32 MiB, once they are used */
void filter_free(struct index_filter *f);
void filter_add(struct index_filter *f, struct slice key);
bool filter_may_have(const struct index_filter *f, struct slice key);

#endif
