/*
 * check_index - the index against the log: the live one, replayed to the log's end, must hold the
 * same bytes as one that is built from the log alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"

#define DIFFERENCES_TOLD 20u
#define LIVE_TRIES	 5u

struct comparison {
	struct check		*check;
	uint64_t		 missing, extra, different;
	struct buf		 key;
};

static struct fault_at
index_at(const struct check *c, enum check_severity severity)
{
	return ((struct fault_at){ severity, "index", -1, c->o->view.index_dir, NO_OFFSET, NULL });
}

static void
on_replay(void *context, uint64_t done, uint64_t total)
{
	struct check *c = context;

	c->total = total;
	c->done = done;
	check_progress(c, 0);
	(void)check_live_keep(c, NULL);		/* the next step tells if it is gone */
}

/* A key as people read it: the table's letter, then the rest with what is not text in hex. */
static const char *
key_text(struct comparison *m, struct slice key)
{
	const uint8_t *p = key.data;
	size_t i;

	buf_reset(&m->key);
	for (i = 0; i < key.bytes && i < 200; i++)
		if (p[i] > 0x20 && p[i] < 0x7f && p[i] != '\\')
			buf_printf(&m->key, "%c", p[i]);
		else
			buf_printf(&m->key, "\\x%02x", p[i]);
	return (buf_string(&m->key));
}

static void
row_told(struct comparison *m, struct slice key, const char *what)
{
	if (m->missing + m->extra + m->different <= DIFFERENCES_TOLD)
		check_fault(m->check, index_at(m->check, CHECK_DEGRADED), "row %s %s",
		    key_text(m, key), what);
}

/* A running store has dropped the file, and will say so in the log in a moment. */
static bool
row_goes(const struct check *c, struct slice key)
{
	const uint8_t *p = key.data;
	uint64_t id;

	if (c->o->live == NULL || key.bytes != 9 || (p[0] != 'Y' && p[0] != 'G'))
		return (false);
	id = get_be64(p + 1);
	return (catalog_rows_segment(&c->set->rows, id) == NULL &&
	    catalog_rows_volume(&c->set->rows, id) == NULL);
}

/* Both in the order of their keys. */
static void
rows_compare(struct comparison *m, struct index_iter *live, struct index_iter *log)
{
	struct slice a, b;
	int order;

	while (index_iter_valid(live) || index_iter_valid(log)) {
		a = index_iter_valid(live) ? index_iter_key(live) : SLICE_NONE;
		b = index_iter_valid(log) ? index_iter_key(log) : SLICE_NONE;
		order = !index_iter_valid(live) ? 1 : !index_iter_valid(log) ? -1
		    : slice_compare(a, b);
		if (order < 0 && row_goes(m->check, a)) {
			index_iter_next(live);
		} else if (order < 0) {
			m->extra++;
			row_told(m, a, "is in the index, but not in the log");
			index_iter_next(live);
		} else if (order > 0) {
			m->missing++;
			row_told(m, b, "follows from the log, but is not in the index");
			index_iter_next(log);
		} else {
			if (!slice_equal(index_iter_value(live), index_iter_value(log))) {
				m->different++;
				row_told(m, a, "has another value than the log gives it");
			}
			m->check->sum.index_rows++;
			index_iter_next(live);
			index_iter_next(log);
		}
	}
}

static void
indexes_compare(struct check *c)
{
	struct index_reader live = { .index = c->view->index }, log = { .index = c->view->rebuilt };
	struct comparison m = { .check = c };
	struct index_iter *a = index_iter_new(&live, SLICE_LITERAL(""), SLICE_NONE);
	struct index_iter *b = index_iter_new(&log, SLICE_LITERAL(""), SLICE_NONE);
	struct err why = ERR_INIT;
	uint64_t all;

	rows_compare(&m, a, b);
	all = m.missing + m.extra + m.different;
	if (all > 0)
		check_fault(c, index_at(c, CHECK_DEGRADED), "it differs from the log in %" PRIu64
		    " rows (%" PRIu64 " missing, %" PRIu64 " too many, %" PRIu64 " different): "
		    "remove the directory and the next start builds it anew", all, m.missing,
		    m.extra, m.different);
	if (index_iter_error(a, &why) < 0)
		check_fault(c, index_at(c, CHECK_DEGRADED), "%s", why.text);
	if (index_iter_error(b, &why) < 0)
		check_fault(c, index_at(c, CHECK_DEGRADED), "of the one from the log: %s",
		    why.text);
	index_iter_free(a);
	index_iter_free(b);
	buf_release(&m.key);
}

static void
step_missing(struct check *c, const char *what, const struct err *why)
{
	c->sum.complete = false;
	check_fault(c, index_at(c, CHECK_DEGRADED), "%s: %s", what, why->text);
}

/* The live index, in whatever state it is; what is told here is put right by the next start. */
static int
live_open(struct check *c, struct err *e)
{
	struct view *v = c->view;
	struct err why = ERR_INIT;
	int rc;

	rc = view_index_open(v, on_replay, c, &why);
	if (rc == ERR_CANCELLED)
		return (err_set(e, rc, "%s", why.text));
	if (rc < 0) {
		step_missing(c, "the index cannot be opened, and not be built from the log", &why);
		return (0);
	}
	c->sum.replayed = v->recovery.records;
	if (v->index_missing)
		check_fault(c, index_at(c, CHECK_HARMLESS), "there is none: the next start builds "
		    "it from the log");
	else if (v->recovery.rebuilt)
		check_fault(c, index_at(c, CHECK_DEGRADED), "it cannot be used and the next start "
		    "builds it anew: %s", v->recovery.why);
	return (0);
}

static uint64_t
log_bytes(const struct check *c)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < c->set->rows.segment_count; i++)
		bytes += c->set->rows.segments[i]->bytes;
	return (bytes);
}

/* The checkpoint against what the log gives up to its LSN, if nothing was dropped meanwhile: else
 * the log does not say any more what it was, and cannot be read where it was. */
static int
index_check_live(struct check *c, struct err *e)
{
	struct err why = ERR_INIT;
	bool nothing = false;
	int rc, built = 0;

	for (unsigned tries = 0; tries < LIVE_TRIES; tries++) {
		check_step(c, "building an index from the log alone", log_bytes(c));
		built = view_index_rebuild_upto(c->view, c->lsn, on_replay, c, &why);
		rc = built == ERR_CANCELLED ? err_set(e, built, "%s", why.text) :
		    check_nothing_dropped(c, &nothing, e);
		if (rc < 0)
			return (rc);
		if (nothing)
			break;
		rc = check_live_begin(c, e);
		if (rc < 0)
			return (rc);
	}
	if (built == 0 && nothing) {
		check_step(c, "comparing the index with the log", 0);
		indexes_compare(c);
	} else if (nothing)
		step_missing(c, "it cannot be compared: the log cannot be replayed", &why);
	else {
		c->sum.complete = false;
		check_fault(c, index_at(c, CHECK_HARMLESS), "it was not compared with the log, "
		    "because segments or volumes were dropped each time that it was tried");
	}
	index_close(&c->view->rebuilt);
	return (check_cancelled(c, e));
}

int
check_index(struct check *c, struct err *e)
{
	struct view *v = c->view;
	struct err why = ERR_INIT;
	int rc;

	if (c->o->live != NULL)
		return (index_check_live(c, e));
	if (view_log_open(v, &why) < 0) {
		c->sum.complete = false;
		check_fault(c, (struct fault_at){ CHECK_LOST, "log", -1, NULL, NO_OFFSET, NULL },
		    "the store cannot start, and the index cannot be compared with the log: %s",
		    why.text);
	}
	check_step(c, "bringing a copy of the index up to the log", log_bytes(c));
	rc = live_open(c, e);
	if (rc < 0 || v->log == NULL || v->index == NULL || v->recovery.rebuilt || v->index_missing)
		return (rc);	/* what was built from the log would be compared with itself */
	check_step(c, "building an index from the log alone", log_bytes(c));
	rc = view_index_rebuild(v, on_replay, c, &why);
	if (rc == ERR_CANCELLED)
		return (err_set(e, rc, "%s", why.text));
	if (rc < 0) {
		step_missing(c, "it cannot be compared: the log cannot be replayed", &why);
		return (0);
	}
	check_step(c, "comparing the index with the log", 0);
	indexes_compare(c);
	index_close(&v->rebuilt);
	return (check_cancelled(c, e));
}
