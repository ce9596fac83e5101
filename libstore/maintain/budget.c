/*
 * budget - see budget.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/maintain/budget.h"

#include <assert.h>

int
budget_take(struct budget *b, uint64_t bytes, struct err *e)
{
	int rc = 0;

	if (b->m->memory != NULL)
		rc = b->m->memory(b->m->context, (int64_t)bytes, e);
	if (rc == 0)
		b->taken += bytes;
	return (rc);
}

void
budget_give(struct budget *b, uint64_t bytes)
{
	assert(bytes <= b->taken);
	b->taken -= bytes;
	if (bytes > 0 && b->m->memory != NULL)
		(void)b->m->memory(b->m->context, -(int64_t)bytes, NULL);
}

void
budget_release(struct budget *b)
{
	budget_give(b, b->taken);
}
