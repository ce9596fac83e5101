/*
 * check_doubt - rows of the index of a store that runs, of which something was found wrong: it may
 * be that the object was deleted, replaced or moved while it was read.
 *
 *   a round: a new checkpoint, new catalogs ─► row gone: no fault
 *                                          ─► read again, nothing is wrong: no fault
 *                                          ─► wrong, and the row and the catalog as in the round
 *                                             before, or the row as in ROUNDS_SURE rounds: told
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"

#define DOUBTS_MAX	100000u
#define ROUNDS_MAX	30u
/* A segment or volume changes its state two or three times in its life. */
#define ROUNDS_SURE	5u

struct doubt {
	check_row_fn		*each;
	struct buf		 key, value;
	struct held_fault	*faults;	/* of the last look */
	size_t			 fault_count;
	unsigned		 same;		/* rounds with this value */
	bool			 settled;
};

struct doubts {
	struct doubt	*doubt;
	size_t		 count, open;
	bool		 more;			/* than fit */
};

static void
faults_free(struct doubt *d)
{
	for (size_t i = 0; i < d->fault_count; i++) {
		free(d->faults[i].path);
		free(d->faults[i].owner);
		free(d->faults[i].text);
	}
	free(d->faults);
	d->faults = NULL;
	d->fault_count = 0;
}

/* What is held becomes the doubt's. */
static void
faults_take(struct check *c, struct doubt *d)
{
	faults_free(d);
	d->faults = c->held;
	d->fault_count = c->held_count;
	c->held = NULL;
	c->held_count = 0;
	c->holding = false;
}

static void
doubt_tell(struct check *c, struct doubt *d)
{
	c->held = d->faults;
	c->held_count = d->fault_count;
	d->faults = NULL;
	d->fault_count = 0;
	check_held_tell(c);
	free(c->held);
	c->held = NULL;
}

static void
doubt_add(struct check *c, check_row_fn *each, struct slice key, struct slice value)
{
	struct doubts *s = c->doubts;
	struct doubt *d;

	if (s == NULL) {
		s = c->doubts = calloc(1, sizeof(*s));
		assert(s != NULL);
	}
	if (s->count == DOUBTS_MAX) {
		s->more = true;
		check_held_drop(c);
		return;
	}
	if ((s->count & (s->count - 1)) == 0) {
		s->doubt = realloc(s->doubt, (s->count == 0 ? 1 : 2 * s->count) *
		    sizeof(*s->doubt));
		assert(s->doubt != NULL);
	}
	d = &s->doubt[s->count++];
	*d = (struct doubt){ .each = each };
	buf_append_slice(&d->key, key);
	buf_append_slice(&d->value, value);
	faults_take(c, d);
	s->open++;
}

int
check_row_doubted(struct check *c, check_row_fn *each, struct slice key, struct slice value,
    struct err *e)
{
	int rc;

	if (c->o->live == NULL)
		return (each(c, NULL, key, value, e));
	check_hold(c);
	rc = each(c, NULL, key, value, e);
	if (rc == 0 && c->held_count > 0)
		doubt_add(c, each, key, value);
	check_held_drop(c);
	return (rc);
}

/* --- rounds ----------------------------------------------------------------------------------- */

static void
doubt_settle(struct check *c, struct doubt *d, bool tell)
{
	if (tell)
		doubt_tell(c, d);
	faults_free(d);
	d->settled = true;
	c->doubts->open--;
}

/* Reads it again as the new index has it. */
static int
doubt_look(struct check *c, struct doubt *d, struct err *e)
{
	struct check_summary sum = c->sum;
	int rc;

	check_hold(c);
	c->again_rows = true;
	rc = d->each(c, NULL, buf_slice(&d->key), buf_slice(&d->value), e);
	c->again_rows = false;
	c->sum = sum;
	c->sum.looked_again++;
	if (rc == 0 && c->held_count == 0)
		doubt_settle(c, d, false);
	else if (rc == 0)
		faults_take(c, d);
	check_held_drop(c);
	return (rc);
}

static int
doubt_round(struct check *c, struct doubt *d, bool same_catalog, bool last, struct err *e)
{
	struct index_reader r = { .index = c->view->index };
	struct buf value = BUF_INIT;
	int rc;

	rc = index_get(&r, buf_slice(&d->key), &value, e);
	if (rc == ERR_NOT_FOUND) {
		doubt_settle(c, d, false);
		rc = 0;
		goto out;
	}
	if (rc < 0)
		goto out;
	if (slice_equal(buf_slice(&value), buf_slice(&d->value))) {
		if (same_catalog || ++d->same == ROUNDS_SURE || last) {
			doubt_settle(c, d, true);
			goto out;
		}
	} else {
		d->same = 0;
		buf_reset(&d->value);
		buf_append_slice(&d->value, buf_slice(&value));
	}
	rc = doubt_look(c, d, e);
out:
	buf_release(&value);
	return (rc);
}

static void
doubts_left(struct check *c)
{
	const struct doubts *s = c->doubts;

	if (s->open == 0 && !s->more)
		return;
	c->sum.complete = false;
	check_fault(c, (struct fault_at){ CHECK_DEGRADED, "index", -1, NULL, NO_OFFSET, NULL },
	    "%s: they change faster than they can be read",
	    s->more ? "too many objects could not be judged" : "some objects could not be judged");
}

int
check_doubts_settle(struct check *c, struct err *e)
{
	struct doubts *s = c->doubts;
	uint64_t epoch;
	int rc = 0;

	if (s == NULL)
		return (0);
	check_step(c, "looking again at what seemed wrong", 0);
	for (unsigned round = 0; rc == 0 && s->open > 0 && round < ROUNDS_MAX; round++) {
		epoch = c->set->rows.epoch;
		rc = check_walk_again(c, e);
		for (size_t i = 0; rc == 0 && i < s->count; i++)
			if (!s->doubt[i].settled)
				rc = doubt_round(c, &s->doubt[i], round > 0 &&
				    epoch == c->set->rows.epoch, round + 1 == ROUNDS_MAX, e);
		if (rc == 0)
			rc = check_cancelled(c, e);
	}
	if (rc == 0)
		doubts_left(c);
	return (rc);
}

void
check_doubts_release(struct check *c)
{
	struct doubts *s = c->doubts;

	for (size_t i = 0; s != NULL && i < s->count; i++) {
		faults_free(&s->doubt[i]);
		buf_release(&s->doubt[i].key);
		buf_release(&s->doubt[i].value);
	}
	if (s != NULL)
		free(s->doubt);
	free(s);
	c->doubts = NULL;
}
