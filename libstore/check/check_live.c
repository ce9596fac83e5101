/*
 * check_live - a check of a store that runs: a checkpoint of the index, catalogs as they are at a
 * moment, and faults that are held until it is known that nothing changed under the reader.
 *
 * Files are dropped by a change of the catalog, and rows by a change of the index. So what was
 * found wrong with a file counts if its row in the catalog is the same before and after; and what
 * was found wrong with an object, if its row in the index is the same before and after
 * (check_doubt.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"
#include "libstore/index/rows.h"

#define BEGIN_TRIES	20u
#define KEEP_MS		10000u
#define LOOKS_MAX	5u	/* at a file that changes */

/* --- holding ---------------------------------------------------------------------------------- */

void
check_hold(struct check *c)
{
	assert(c->held_count == 0);
	c->holding = true;
}

void
check_held_tell(struct check *c)
{
	c->holding = false;
	for (size_t i = 0; i < c->held_count; i++) {
		const struct held_fault *h = &c->held[i];

		check_fault(c, (struct fault_at){ h->severity, h->kind, h->slot, h->path,
		    h->offset, h->owner }, "%s", h->text);
	}
	check_held_drop(c);
}

void
check_held_drop(struct check *c)
{
	c->holding = false;
	for (size_t i = 0; i < c->held_count; i++) {
		free(c->held[i].path);
		free(c->held[i].owner);
		free(c->held[i].text);
	}
	c->held_count = 0;
}

/* --- catalogs --------------------------------------------------------------------------------- */

int
check_refresh(struct check *c, struct err *e)
{
	check_places_release(c);
	check_extents_release(c);
	return (view_refresh(c->view, e));
}

int
check_file_live(struct check *c, uint64_t id, check_find_fn *find, check_look_fn *look,
    struct err *e)
{
	struct buf before = BUF_INIT, after = BUF_INIT;
	struct check_summary sum = c->sum;
	size_t damaged = c->damaged_count;
	const ProtobufCMessage *row;
	int rc = 0;

	for (unsigned tries = 0; rc == 0 && tries < LOOKS_MAX; tries++) {
		row = find(c, id);
		if (row == NULL)
			break;			/* dropped */
		message_pack_into(&before, row);
		check_hold(c);
		rc = look(c, row, e);
		if (c->held_count == 0 || rc < 0)
			break;
		rc = check_refresh(c, e);
		row = find(c, id);
		if (rc == 0 && row != NULL)
			message_pack_into(&after, row);
		if (rc == 0 && row != NULL && slice_equal(buf_slice(&before), buf_slice(&after))) {
			check_held_tell(c);
			break;
		}
		check_held_drop(c);
		c->damaged_count = damaged;
		sum.looked_again++;
		memcpy(sum.faults, c->sum.faults, sizeof(sum.faults));
		c->sum = sum;
	}
	check_held_drop(c);
	buf_release(&before);
	buf_release(&after);
	return (rc);
}

static int
id_order(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x < *y ? -1 : *x > *y);
}

static void
files_note(struct check *c)
{
	const struct catalog_rows *r = &c->set->rows;
	size_t i;

	free(c->files);
	c->files = calloc(r->segment_count + r->volume_count + 1, sizeof(*c->files));
	assert(c->files != NULL);
	c->file_count = 0;
	for (i = 0; i < r->segment_count; i++)
		c->files[c->file_count++] = r->segments[i]->id;
	for (i = 0; i < r->volume_count; i++)
		c->files[c->file_count++] = r->volumes[i]->id;
	qsort(c->files, c->file_count, sizeof(*c->files), id_order);
	c->horizon = r->horizon;
}

bool
check_file_was(const struct check *c, uint64_t id)
{
	return (c->file_count > 0 && bsearch(&id, c->files, c->file_count, sizeof(*c->files),
	    id_order) != NULL);
}

int
check_nothing_dropped(struct check *c, bool *nothing, struct err *e)
{
	const struct catalog_rows *r = &c->set->rows;
	int rc = check_refresh(c, e);

	*nothing = rc == 0 && r->horizon == c->horizon;
	for (size_t i = 0; *nothing && i < c->file_count; i++)
		*nothing = catalog_rows_segment(r, c->files[i]) != NULL ||
		    catalog_rows_volume(r, c->files[i]) != NULL;
	return (rc);
}

/* --- the index -------------------------------------------------------------------------------- */

static int
index_take(struct check *c, struct err *e)
{
	char directory[4096];
	int rc;

	rc = c->o->live->walk(c->o->live->context, directory, &c->lsn, e);
	c->kept_ms = clock_mono_ms();
	if (rc == 0)
		rc = view_index_live(c->view, directory, e);
	return (rc);
}

int
check_live_begin(struct check *c, struct err *e)
{
	bool nothing = false;
	int rc = 0;

	for (unsigned tries = 0; rc == 0 && !nothing && tries < BEGIN_TRIES; tries++) {
		rc = check_refresh(c, e);
		files_note(c);
		if (rc == 0)
			rc = index_take(c, e);
		if (rc == 0)
			rc = check_nothing_dropped(c, &nothing, e);
		if (rc == 0)
			rc = check_cancelled(c, e);
	}
	if (rc == 0 && nothing)
		files_note(c);		/* with those that came meanwhile */
	if (rc == 0 && !nothing)
		rc = err_set(e, ERR_BUSY, "files are dropped all the time: try again when less is "
		    "vacuumed");
	return (rc);
}

int
check_walk_again(struct check *c, struct err *e)
{
	int rc = index_take(c, e);

	return (rc == 0 ? check_refresh(c, e) : rc);
}

int
check_live_keep(struct check *c, struct err *e)
{
	const struct check_live *live = c->o->live;
	uint64_t now;

	if (live == NULL || c->lsn == 0)
		return (0);
	if (c->gone.code != 0)
		return (err_set(e, c->gone.code, "%s", c->gone.text));
	now = clock_mono_ms();
	if (now - c->kept_ms < (live->keep_ms != 0 ? live->keep_ms : KEEP_MS))
		return (0);
	c->kept_ms = now;
	if (live->keep(live->context, &c->gone) == 0)
		return (0);
	return (err_set(e, c->gone.code, "%s", c->gone.text));
}

void
check_live_end(struct check *c)
{
	check_held_drop(c);
	free(c->held);
	free(c->files);
}
