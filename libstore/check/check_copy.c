/*
 * check_copy - copies of the index on drives: every file as it was written. Nothing but the speed
 * of a start that finds no index depends on one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/check/check_internal.h"
#include "libstore/index/index_copy.h"

#define TRIES	5u

struct copy_progress { struct check *check; uint64_t told; };

static void
on_bytes(void *context, uint64_t done, uint64_t total)
{
	struct copy_progress *p = context;

	p->check->total = total;
	check_progress(p->check, done - p->told);
	p->told = done;
}

/* Of a store that runs the copy may be replaced while it is read: then it is another. */
static int
copy_verify(struct check *c, unsigned slot, struct index_copy_about *about, struct err *why)
{
	struct index_copy_about now;
	uint64_t lsn = 0;
	int rc = 0;

	for (unsigned tries = 0; tries < TRIES; tries++) {
		struct copy_progress p = { c, 0 };

		c->done = 0;
		rc = index_copy_verify(c->set, slot, on_bytes, &p, c->o->view.cancel, about, why);
		if (rc == 0 || rc == ERR_CANCELLED || rc == ERR_NOT_FOUND || c->o->live == NULL)
			break;
		if (index_copy_look(c->set, slot, &now, NULL) < 0)
			now.lsn = 0;
		if (tries > 0 && now.lsn == lsn)
			break;
		lsn = now.lsn;
	}
	return (rc);
}

int
check_copies(struct check *c, struct err *e)
{
	struct index_copy_about about;
	char path[4096];

	check_step(c, "reading the copy of the index", 0);
	for (unsigned slot = 0; slot < drive_count(c->set); slot++) {
		struct err why = ERR_INIT;
		int rc;

		if (!c->view->drives[slot].present)
			continue;
		rc = copy_verify(c, slot, &about, &why);
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
