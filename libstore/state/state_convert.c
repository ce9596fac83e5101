/*
 * state_convert - see state_convert.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/state/conversion.h"
#include "libstore/state/op.h"

#define RETIRED_LOOK_MS	500	/* between looks whether readers need mirrors */

enum kind { PREPARE, COMMIT, ABORT, REMOVE };

struct convert_job {
	struct state		*st;
	struct drive_set	*drives;
	enum kind		 kind;
	struct op		*op;		/* NULL: nobody waits */
	struct conversion	*conversion;	/* NULL: REMOVE */
	uint64_t		 segment;
	struct shard_writer	 by, old_by;
	bool			 use_reserve;
	Hf__CatalogSegment	*target, *old, *mirrors;	/* the job's own */
	int			 rc;
	struct err		 e;
};

static struct conversion *
conversion_find(const struct state *st, uint64_t segment)
{
	struct conversion *c = st->conversions.first;

	while (c != NULL && c->segment != segment)
		c = c->next;
	return (c);
}

bool
conversion_active(const struct state *st, uint64_t segment)
{
	return (conversion_find(st, segment) != NULL);
}

static void
row_free(Hf__CatalogSegment *row)
{
	if (row != NULL)
		hf__catalog_segment__free_unpacked(row, NULL);
}

static void
conversion_remove(struct conversions *all, struct conversion *c)
{
	struct conversion **at = &all->first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	all->count--;
	row_free(c->target);
	free(c);
}

void
conversions_release(struct conversions *all)
{
	while (all->first != NULL)
		conversion_remove(all, all->first);
	while (all->retired_count > 0)
		row_free(all->retired[--all->retired_count].mirrors);
}

/* --- on a pool thread ------------------------------------------------------------------------- */

static void
convert_work(void *context)
{
	struct convert_job *j = context;

	if (j->old != NULL)
		conversion_abort(j->drives, j->old, j->old_by);
	if (j->kind == PREPARE)
		j->rc = conversion_prepare(j->drives, j->segment, j->by, j->use_reserve,
		    &j->target, &j->e);
	else if (j->kind == COMMIT)
		j->rc = conversion_commit(j->drives, j->target, j->by, &j->mirrors, &j->e);
	else if (j->kind == REMOVE)
		conversion_mirrors_remove(j->drives, j->mirrors);
}

/* --- back on the loop ------------------------------------------------------------------------- */

/* Without a place they go at once: a reader with an old row asks again. */
static void
mirrors_retire(struct state *st, Hf__CatalogSegment **mirrors)
{
	struct conversions *all = &st->conversions;

	if (all->retired_count == RETIRED_MAX)
		all->retired[0].due_ms = st->now_ms;
	if (all->retired_count < RETIRED_MAX)
		all->retired[all->retired_count++] =
		    (struct retired){ *mirrors, st->now_ms + st->o.reclaim_grace_ms,
		    st->now_ms + RETIRED_LOOK_MS, st->stats.applied_lsn };
	else
		row_free(*mirrors);	/* the next start removes them */
	*mirrors = NULL;
}

static int
answer_row(struct op *op, Hf__CatalogSegment *row)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	reply.segment = row;
	op_reply_pack(op, &reply);
	return (ADMIT_ANSWER);
}

/* What the op is told, and what becomes of the conversion. */
static int
job_settle(struct state *st, struct convert_job *j)
{
	struct conversion *c = j->conversion;
	Hf__CatalogSegment *row = NULL;
	int rc = j->rc;

	if (j->kind == PREPARE && rc == 0) {
		c->target = j->target;
		j->target = NULL;
		return (j->op != NULL ? answer_row(j->op, c->target) : 0);
	}
	if (j->mirrors != NULL)
		mirrors_retire(st, &j->mirrors);
	conversion_remove(&st->conversions, c);
	if (j->kind == COMMIT && rc == ERR_EXISTS)
		rc = 0;
	if (rc == 0 && j->op != NULL) {
		row = catalog_segment(st->o.drives, j->segment);
		rc = answer_row(j->op, row);
		row_free(row);
	}
	return (rc);
}

static void
convert_done(void *context)
{
	struct convert_job *j = context;
	struct state *st = j->st;
	int rc = 0;

	if (j->kind == REMOVE)
		st->conversions.removing = false;
	else {
		j->conversion->busy = false;
		st->conversions.look = true;	/* it may have lost its lease meanwhile */
		rc = job_settle(st, j);
	}
	if (j->op != NULL)
		state_resume(st, j->op, st->failed ? ADMIT_WORK : rc, &j->e);
	row_free(j->target);
	row_free(j->old);
	row_free(j->mirrors);
	free(j);
	state_job_ended(st);
}

static struct convert_job *
job_new(struct state *st, enum kind kind, struct op *op, struct conversion *c)
{
	struct convert_job *j = calloc(1, sizeof(*j));

	assert(j != NULL);
	*j = (struct convert_job){ .st = st, .drives = st->o.drives, .kind = kind, .op = op,
	    .conversion = c };
	if (c != NULL) {
		j->segment = c->segment;
		j->by = c->by;
		c->busy = true;
	}
	return (j);
}

/* Takes the job. */
static int
job_start(struct state *st, struct convert_job *j, struct err *e)
{
	if (state_job(st, convert_work, convert_done, j) == 0)
		return (ADMIT_WORK);
	if (j->conversion != NULL)
		j->conversion->busy = false;
	if (j->kind == COMMIT)		/* as it was before */
		j->conversion->target = j->target;
	else if (j->kind == ABORT)
		j->conversion->target = j->old;
	else
		row_free(j->old);
	row_free(j->mirrors);
	free(j);
	return (err_set(e, ERR_BUSY, "too much work waits for the drives"));
}

/* --- operations ------------------------------------------------------------------------------- */

/* Work that no task asked for has no lease in the queue. */
static int
lease_check(struct state *st, struct shard_writer by, struct err *e)
{
	return (by.task == 0 ? 0 : task_lease_check(st, by.task, by.lease, e));
}

static bool
writer_is(const struct conversion *c, struct shard_writer by)
{
	return (c->by.task == by.task && c->by.lease == by.lease);
}

/* E2, for one that may begin itself. */
static bool
may_take_over(struct state *st, const struct conversion *c, struct shard_writer by)
{
	if (c->by.task == 0)
		return (by.task != 0 || by.lease > c->by.lease);
	return (lease_check(st, c->by, NULL) == ERR_STALE);
}

/* E2. 0: it is this lease's own and waits for it. */
static int
conversion_own(const struct conversion *c, uint64_t segment, struct shard_writer by, struct err *e)
{
	if (c == NULL)
		return (err_set(e, ERR_STALE, "no conversion of segment %016" PRIx64
		    " is under way: begin it again", segment));
	if (c->busy)
		return (err_set(e, ERR_BUSY, "segment %016" PRIx64 " is just being prepared, "
		    "committed or given up", segment));
	if (!writer_is(c, by))
		return (err_set(e, ERR_STALE, "segment %016" PRIx64 " is converted under lease %"
		    PRIu64 " of task %" PRIu64 ", not %" PRIu64 " of %" PRIu64, segment,
		    c->by.lease, c->by.task, by.lease, by.task));
	return (0);
}

static struct conversion *
conversion_new(struct state *st, uint64_t segment)
{
	struct conversion *c = calloc(1, sizeof(*c));

	assert(c != NULL);
	c->segment = segment;
	c->next = st->conversions.first;
	st->conversions.first = c;
	st->conversions.count++;
	return (c);
}

int
admit_convert_begin(struct state *st, struct op *op, struct err *e)
{
	const Hf__ConvertBegin *q = op->request->convert_begin;
	struct conversion *c = conversion_find(st, q->segment);
	struct shard_writer by = { q->task, q->lease }, old_by = { 0, 0 };
	struct convert_job *j;
	Hf__CatalogSegment *old = NULL;
	int rc;

	rc = lease_check(st, by, e);
	if (rc < 0)
		return (rc);
	if (st->drop.phase != DROP_IDLE && st->drop.segment == q->segment)
		return (err_set(e, ERR_BUSY, "segment %016" PRIx64 " is being dropped",
		    q->segment));
	if (c != NULL && c->busy)
		return (conversion_own(c, q->segment, by, e));
	if (c != NULL && writer_is(c, by))
		return (answer_row(op, c->target));
	if (c != NULL && !may_take_over(st, c, by))
		return (conversion_own(c, q->segment, by, e));
	if (c == NULL && st->conversions.count >= CONVERSIONS_MAX)
		return (err_set(e, ERR_BUSY, "%u segments are being converted", CONVERSIONS_MAX));
	if (c == NULL)
		c = conversion_new(st, q->segment);
	else {
		old = c->target;
		old_by = c->by;
		c->target = NULL;
	}
	c->by = by;
	c->session = op->session;
	j = job_new(st, PREPARE, op, c);
	j->old = old;
	j->old_by = old_by;
	j->use_reserve = st->conversions.count == 1;
	rc = job_start(st, j, e);
	if (rc < 0)	/* files of an older lease stay until the next start */
		conversion_remove(&st->conversions, c);
	return (rc);
}

int
admit_convert_commit(struct state *st, struct op *op, struct err *e)
{
	const Hf__ConvertCommit *q = op->request->convert_commit;
	struct conversion *c = conversion_find(st, q->segment);
	Hf__CatalogSegment *row = catalog_segment(st->o.drives, q->segment);
	struct shard_writer by = { q->task, q->lease };
	struct convert_job *j;
	int rc;

	if (c == NULL && row != NULL && row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED)
		rc = answer_row(op, row);	/* its answer was lost */
	else
		rc = conversion_own(c, q->segment, by, e);
	row_free(row);
	if (rc == 0)
		rc = lease_check(st, by, e);
	if (rc != 0)
		return (rc);
	j = job_new(st, COMMIT, op, c);
	j->target = c->target;
	c->target = NULL;
	return (job_start(st, j, e));
}

int
admit_convert_abort(struct state *st, struct op *op, struct err *e)
{
	const Hf__ConvertAbort *q = op->request->convert_abort;
	struct conversion *c = conversion_find(st, q->segment);
	struct convert_job *j;
	int rc;

	if (c == NULL) {
		op_reply_pack(op, &(Hf__StoreReply)HF__STORE_REPLY__INIT);
		return (ADMIT_ANSWER);
	}
	rc = conversion_own(c, q->segment, (struct shard_writer){ q->task, q->lease }, e);
	if (rc < 0)
		return (rc);
	j = job_new(st, ABORT, op, c);
	j->old_by = c->by;
	j->old = c->target;
	c->target = NULL;
	return (job_start(st, j, e));
}

/* --- turns ------------------------------------------------------------------------------------ */

/* E4 */
void
conversions_session_gone(struct state *st, const struct session *s)
{
	for (struct conversion *c = st->conversions.first; c != NULL; c = c->next)
		if (c->session == s)
			c->session = NULL;
}

static void
orphan_abort(struct state *st, struct conversion *c)
{
	struct convert_job *j = job_new(st, ABORT, NULL, c);
	Hf__CatalogSegment *target = c->target;

	j->old_by = c->by;
	j->old = target;
	c->target = NULL;
	if (job_start(st, j, NULL) < 0)
		conversion_remove(&st->conversions, c);	/* the next start removes the files */
}

static void
retired_remove(struct state *st)
{
	struct conversions *all = &st->conversions;
	struct convert_job *j = job_new(st, REMOVE, NULL, NULL);

	j->mirrors = all->retired[0].mirrors;
	all->retired_count--;
	memmove(&all->retired[0], &all->retired[1], all->retired_count * sizeof(all->retired[0]));
	all->removing = true;
	if (job_start(st, j, NULL) < 0)
		all->removing = false;	/* the next start removes them */
}

/* Nobody reads from the oldest of them any more, or the grace is over. */
static bool
retired_ready(struct state *st, struct retired *r)
{
	if (r->due_ms <= st->now_ms)
		return (true);
	if (r->look_ms > st->now_ms)
		return (false);
	r->look_ms = st->now_ms + RETIRED_LOOK_MS;
	return (state_readers_past(st, r->lsn));
}

bool
conversions_retired(const struct state *st, uint64_t segment)
{
	const struct conversions *all = &st->conversions;

	for (unsigned i = 0; i < all->retired_count; i++)
		if (all->retired[i].mirrors->id == segment)
			return (true);
	return (all->removing);
}

void
conversions_turn(struct state *st)
{
	struct conversions *all = &st->conversions;
	struct conversion *c, *next;
	bool look = all->look;

	if (st->draining || st->failed)
		return;
	all->look = false;
	for (c = all->first; c != NULL; c = next) {
		next = c->next;
		if (!c->busy && (c->session == NULL ||
		    (look && lease_check(st, c->by, NULL) == ERR_STALE)))
			orphan_abort(st, c);
	}
	while (!all->removing && all->retired_count > 0 && retired_ready(st, &all->retired[0]))
		retired_remove(st);
}

uint64_t
conversions_next_ms(const struct state *st)
{
	const struct conversions *all = &st->conversions;

	if (st->draining || all->removing || all->retired_count == 0)
		return (UINT64_MAX);
	return (st->o.readers != NULL && all->retired[0].look_ms < all->retired[0].due_ms ?
	    all->retired[0].look_ms : all->retired[0].due_ms);
}
