/*
 * check_table - what the steps that look at the index share: a walk over a table, counters, and how
 * a fault of the index is told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>

#include "libstore/apply/apply.h"
#include "libstore/check/check_internal.h"
#include "libstore/index/index_keys.h"

struct fault_at
check_index_at(const struct check *c, enum check_severity severity, const char *owner)
{
	return ((struct fault_at){ severity, "index", -1, c->o->view.index_dir, NO_OFFSET, owner });
}

int
check_table_walk(struct check *c, struct slice prefix, check_row_fn *each, void *context,
    struct err *e)
{
	struct index_reader r = { .index = c->view->index };
	struct buf to = BUF_INIT;
	struct index_iter *it;
	int rc = 0;

	key_after_prefix(&to, prefix);
	it = index_iter_new(&r, prefix, buf_slice(&to));
	for (; rc == 0 && index_iter_valid(it); index_iter_next(it)) {
		rc = check_cancelled(c, e);
		if (rc == 0)
			rc = each(c, context, index_iter_key(it), index_iter_value(it), e);
	}
	if (rc == 0)
		rc = index_iter_error(it, e);
	index_iter_free(it);
	buf_release(&to);
	return (rc);
}

void
check_counter(struct check *c, const char *name, uint64_t found)
{
	struct index_reader r = { .index = c->view->index };
	uint64_t counted = 0;

	if (counter_get(&r, name, &counted, NULL) == 0 && counted != found)
		check_fault(c, check_index_at(c, CHECK_HARMLESS, NULL), "it counts %" PRIu64 " %s, "
		    "and has %" PRIu64, counted, name, found);
}
