/*
 * state_rebuild - what the rebuild of a drive asks: what the drive lacks, the live extents of a
 * volume, that files are whole, that nothing is lacking any more.
 *
 * Only the catalog changes, and a repeat finds nothing left to change: so nothing is logged. Which
 * drive is meant is told by the epoch of its last change, not by a lease: what is whole on a drive
 * is whole, whoever wrote it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/state/op.h"

#define PLAN_MAX	256u
#define EXTENTS_MAX	4096u
#define DONE_MAX	4096u
#define HELD_MAX	64u

static int
slot_check(const struct state *st, uint32_t slot, struct err *e)
{
	if (slot >= drive_count(st->o.drives))
		return (err_set(e, ERR_INVALID, "there is no slot %u", slot));
	return (0);
}

static unsigned
bounded(uint32_t asked, unsigned most)
{
	return (asked == 0 || asked > most ? most : asked);
}

/* Volumes that are still written are asked back from their holders, so that they are sealed
 * soon. */
static void
held_revoke(struct state *st, unsigned slot)
{
	uint64_t ids[HELD_MAX];
	size_t n = catalog_lacking_active(st->o.drives, slot, ids, HELD_MAX);

	for (size_t i = 0; i < n; i++)
		(void)state_volume_revoke(st, ids[i]);
}

int
read_rebuild_plan(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	const Hf__RebuildPlan *p = q->rebuild_plan;
	struct catalog_lacking lacks;
	Hf__RebuildWork *w;

	(void)s;
	if (slot_check(st, p->slot, e) < 0)
		return (ERR_INVALID);
	catalog_lacking_find(st->o.drives, p->slot, p->after, bounded(p->max, PLAN_MAX), &lacks);
	w = malloc(sizeof(*w));
	assert(w != NULL);
	hf__rebuild_work__init(w);
	w->drive = malloc(sizeof(*w->drive));
	assert(w->drive != NULL);
	*w->drive = lacks.drive;
	w->segments = lacks.segments;
	w->n_segments = lacks.segment_count;
	w->volumes = lacks.volumes;
	w->n_volumes = lacks.volume_count;
	w->held = lacks.held;
	w->left = lacks.left;
	w->left_bytes = lacks.left_bytes;
	w->moving = lacks.moving;
	out->rebuild = w;	/* the rows are its own now */
	if (p->after == 0 && w->held > 0)
		held_revoke(st, p->slot);
	if (p->after == 0 && lacks.thin)
		log_seal_early(st->o.log);	/* the next has mirrors on all that are there */
	return (0);
}

struct extents_page {
	Hf__StoreReply	*reply;
	unsigned	 max;
};

static int
page_add(void *context, struct slice key, struct slice value, struct err *e)
{
	struct extents_page *p = context;
	Hf__StoreReply *out = p->reply;
	int rc;

	(void)key;
	if (out->n_extents == p->max) {
		out->truncated = true;
		return (1);
	}
	rc = row_unpack(value, &hf__extent__descriptor, (void *)&out->extents[out->n_extents], e);
	out->n_extents += rc == 0;
	return (rc);
}

int
read_rebuild_extents(struct state *st, struct session *s, const Hf__StoreRequest *q,
    Hf__StoreReply *out, struct err *e)
{
	const Hf__RebuildExtents *x = q->rebuild_extents;
	struct extents_page page = { out, bounded(x->max, EXTENTS_MAX) };
	struct index_reader r = state_committed(st);
	struct buf from = BUF_INIT, to = BUF_INIT;
	int rc;

	(void)s;
	if (x->after_end == UINT64_MAX)
		return (0);
	key_extent(&from, x->volume, x->after_end + 1);
	key_extent(&to, x->volume, UINT64_MAX);
	out->extents = calloc(page.max, sizeof(*out->extents));
	assert(out->extents != NULL);
	rc = row_each(&r, buf_slice(&from), buf_slice(&to), page_add, &page, e);
	buf_release(&from);
	buf_release(&to);
	return (rc < 0 ? rc : 0);
}

/* --- changes of the catalog, on the pool ------------------------------------------------------ */

struct rebuild_job {
	struct state		*st;
	struct op		*op;
	struct drive_set	*drives;
	unsigned		 slot;
	uint64_t		 since_epoch;
	const uint64_t		*ids;		/* the request's */
	size_t			 count;
	bool			 end;
	uint64_t		 task;
	uint64_t		*gone;
	size_t			 gone_count;
	int			 rc;
	struct err		 e;
};

static void
rebuild_work(void *context)
{
	struct rebuild_job *j = context;

	drive_set_probe(j->drives);	/* what was written went where the drive is? */
	j->rc = catalog_rebuilt(j->drives, j->slot, j->since_epoch, j->ids, j->count, j->gone,
	    &j->gone_count, &j->e);
	if (j->rc == 0 && j->end)
		j->rc = drive_set_online(j->drives, j->slot, &j->e);
	if (j->rc == 0)
		promise_rebuilt(j->drives, j->task, j->slot);
}

static void
rebuild_done(void *context)
{
	struct rebuild_job *j = context;
	struct state *st = j->st;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	reply.lsns = j->gone;
	reply.n_lsns = j->gone_count;
	if (j->rc == 0)
		op_reply_pack(j->op, &reply);
	state_resume(st, j->op, j->rc == 0 ? ADMIT_ANSWER : j->rc, &j->e);
	free(j->gone);
	free(j);
	state_job_ended(st);
}

static int
rebuild_start(struct state *st, struct op *op, unsigned slot, uint64_t since_epoch,
    const uint64_t *ids, size_t count, uint64_t task, bool end, struct err *e)
{
	struct rebuild_job *j;

	if (slot_check(st, slot, e) < 0)
		return (ERR_INVALID);
	if (count > DONE_MAX)
		return (err_set(e, ERR_INVALID, "%zu files at once; at most %u", count, DONE_MAX));
	j = calloc(1, sizeof(*j));
	assert(j != NULL);
	*j = (struct rebuild_job){ .st = st, .op = op, .drives = st->o.drives, .slot = slot,
	    .since_epoch = since_epoch, .ids = ids, .count = count, .task = task,
	    .end = end };
	j->gone = calloc(count + 1, sizeof(*j->gone));
	assert(j->gone != NULL);
	if (state_job(st, rebuild_work, rebuild_done, j) == 0)
		return (ADMIT_WORK);
	free(j->gone);
	free(j);
	return (err_set(e, ERR_BUSY, "too much work waits for the drives"));
}

int
admit_rebuild_done(struct state *st, struct op *op, struct err *e)
{
	const Hf__RebuildDone *q = op->request->rebuild_done;

	return (rebuild_start(st, op, q->slot, q->since_epoch, q->ids, q->n_ids,
	    q->task, false, e));
}

int
admit_rebuild_end(struct state *st, struct op *op, struct err *e)
{
	const Hf__RebuildEnd *q = op->request->rebuild_end;

	return (rebuild_start(st, op, q->slot, q->since_epoch, NULL, 0, q->task, true, e));
}
