/*
 * check_copy - copies of the index on drives: every file as it was written. Nothing but the speed
 * of a start that finds no index depends on one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/check_internal.h"
#include "libstore/index_copy.h"

struct copy_progress { struct check *check; uint64_t told; };

static void
on_bytes(void *context, uint64_t done, uint64_t total)
{
	struct copy_progress *p = context;

	p->check->total = total;
	check_progress(p->check, done - p->told);
	p->told = done;
}

int
check_copies(struct check *c, struct err *e)
{
	struct index_copy_about about;
	char path[4096];

	check_step(c, "reading the copy of the index", 0);
	for (unsigned slot = 0; slot < drive_count(c->set); slot++) {
		struct copy_progress p = { c, 0 };
		struct err why = ERR_INIT;
		int rc;

		if (!c->view->drives[slot].present)
			continue;
		c->done = 0;
		rc = index_copy_verify(c->set, slot, on_bytes, &p, c->o->view.cancel, &about,
		    &why);
		if (rc == ERR_CANCELLED)
			return (err_set(e, rc, "%s", why.text));
		if (rc == ERR_NOT_FOUND)
			continue;
		if (rc == 0) {
			c->sum.index_copies++;
			c->sum.index_copy_bytes += about.bytes;
			continue;
		}
		drive_path(c->set, slot, "index", "copy", path);
		check_fault(c, (struct fault_at){ CHECK_HARMLESS, "index copy", (int)slot, path,
		    NO_OFFSET, NULL }, "it cannot be used when the index is lost: %s; remove this "
		    "file, and the next copying makes all of it anew", why.text);
	}
	return (0);
}
