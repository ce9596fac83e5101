/*
 * budget - the memory of a task, asked for (struct maintain's memory) before it is taken, and given
 * back when it ends. What is small and bounded is not asked for: who gives the budget measures.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_BUDGET_H
#define HF_STORE_BUDGET_H

#include "libstore/maintain/maintain.h"

struct budget {
	const struct maintain	*m;
	uint64_t		 taken;
};

/* ERR_FULL: there is not so much for it. */
int budget_take(struct budget *b, uint64_t bytes, struct err *e);
void budget_give(struct budget *b, uint64_t bytes);
/* All of it is given back. */
void budget_release(struct budget *b);

#endif
