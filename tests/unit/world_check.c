/*
 * world_check - see world_check.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/world_check.h"

#include <stdio.h>

int
world_check_at(const struct world *w, const char *const paths[4], check_fault_fn *on_fault,
    void *context, struct check_summary *sum, struct err *e)
{
	char index[128];
	struct check_options o = { .on_fault = on_fault, .context = context, .view = {
	    .disk = w->disk != NULL ? w->disk : disk_posix(), .paths = paths, .count = 4,
	    .index_dir = index, .cache_bytes = 8 << 20 } };

	snprintf(index, sizeof(index), "%s/index", w->directory);
	return (check_run(&o, sum, e));
}

int
world_check(const struct world *w, check_fault_fn *on_fault, void *context,
    struct check_summary *sum, struct err *e)
{
	char paths[4][128];
	const char *list[4];

	for (int i = 0; i < 4; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/d%d", w->disk == NULL ? w->directory : "",
		    i);
		list[i] = paths[i];
	}
	return (world_check_at(w, list, on_fault, context, sum, e));
}
