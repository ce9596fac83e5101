/*
 * check - the steps of a check in order, and how faults and progress are told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/check/check.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/check/check_internal.h"

const char *
check_severity_name(enum check_severity severity)
{
	static const char *const names[] = { "harmless", "degraded", "lost" };

	assert(severity < CHECK_SEVERITIES);
	return (names[severity]);
}

static char *
text_copy(const char *text)
{
	char *copy = text != NULL ? strdup(text) : NULL;

	assert(text == NULL || copy != NULL);
	return (copy);
}

static void
held_add(struct check *c, const struct check_fault *f)
{
	size_t n = c->held_count;

	if ((n & (n - 1)) == 0) {
		c->held = realloc(c->held, (n == 0 ? 1 : 2 * n) * sizeof(*c->held));
		assert(c->held != NULL);
	}
	c->held[c->held_count++] = (struct held_fault){ f->severity, f->kind, f->slot,
	    text_copy(f->path), text_copy(f->owner), text_copy(f->text),
	    f->has_offset ? f->offset : NO_OFFSET };
}

void
check_fault(struct check *c, struct fault_at at, const char *format, ...)
{
	struct check_fault f = { .severity = at.severity, .kind = at.kind, .slot = at.slot,
	    .path = at.path, .has_offset = at.offset != NO_OFFSET, .offset = at.offset,
	    .owner = at.owner };
	char text[700];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	f.text = text;
	if (c->holding) {
		held_add(c, &f);
		return;
	}
	c->sum.faults[at.severity]++;
	c->o->on_fault(c->o->context, &f);
}

void
check_step(struct check *c, const char *step, uint64_t total)
{
	c->step = step;
	c->done = 0;
	c->total = total;
	check_progress(c, 0);
}

void
check_progress(struct check *c, uint64_t bytes)
{
	c->done += bytes;
	if (c->done > c->total)
		c->total = c->done;
	if (c->o->on_progress != NULL)
		c->o->on_progress(c->o->context, c->step, c->done, c->total);
}

int
check_cancelled(struct check *c, struct err *e)
{
	if (c->o->view.cancel != NULL && *c->o->view.cancel)
		return (err_set(e, ERR_CANCELLED, "the check was cancelled"));
	return (check_live_keep(c, e));
}

/* Of a store that runs: first what changes most. */
static int
steps_run_live(struct check *c, struct err *e)
{
	int rc;

	check_step(c, "asking the store for a checkpoint of its index", 0);
	rc = check_live_begin(c, e);
	if (rc < 0)
		return (rc);
	check_drives(c);
	rc = check_index(c, e);
	if (rc == 0)
		rc = check_files_live(c, e);
	if (rc == 0)
		rc = check_copies(c, e);
	if (rc == 0)
		rc = check_segments(c, e);
	if (rc == 0 && c->view->index != NULL)
		rc = check_objects(c, e);
	return (rc);
}

static int
steps_run(struct check *c, struct err *e)
{
	int rc;

	check_step(c, "looking at drives and catalogs", 0);
	check_drives(c);
	check_files(c);
	rc = check_copies(c, e);
	if (rc == 0)
		rc = check_segments(c, e);
	if (rc == 0)
		rc = check_index(c, e);
	if (rc == 0 && c->view->index != NULL)
		rc = check_objects(c, e);
	return (rc);
}

int
check_run(const struct check_options *o, struct check_summary *out, struct err *e)
{
	struct check c = { .o = o };
	int rc;

	memset(out, 0, sizeof(*out));
	c.sum.complete = true;
	rc = view_open(&o->view, &c.view, e);
	if (rc < 0)
		return (rc);
	c.set = c.view->set;
	rc = o->live != NULL ? steps_run_live(&c, e) : steps_run(&c, e);
	check_places_release(&c);
	check_extents_release(&c);
	free(c.damaged);
	check_doubts_release(&c);
	check_live_end(&c);
	view_close(&c.view);
	buf_release(&c.owner);
	buf_release(&c.record);
	*out = c.sum;
	return (rc);
}
