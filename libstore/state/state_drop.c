/*
 * state_drop - see state_drop.h. Each phase does one bounded thing and waits for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/state_drop_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define LOOK_MS		500	/* between looks whether readers need a segment */
#define STRETCH		1024u		/* LSNs forgotten at a time: a few ms of the loop */
#define RETRY_MS	1000u

/* --- answering -------------------------------------------------------------------------------- */

/* Whoever asked is told; what was begun stays as it is. */
static void
drop_answer(struct state *st, int rc, const struct err *e)
{
	struct op *op = st->drop.op;
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	st->drop.op = NULL;
	if (op == NULL)
		return;
	if (rc == 0)
		op_reply_pack(op, &reply);
	state_resume(st, op, rc < 0 ? rc : ADMIT_ANSWER, e);
}

/* Given up: it begins anew when it is asked for again. */
void
drop_stop(struct state *st, int rc, const struct err *e)
{
	struct drop *d = &st->drop;

	d->phase = DROP_IDLE;
	free(d->named);
	d->named = NULL;
	d->named_count = d->named_capacity = d->named_sent = 0;
	drop_answer(st, rc, e);
}

/* Past the point of no return: tried again until it works. */
void
drop_retry(struct state *st, const struct err *e)
{
	st->drop.due_ms = st->drop.look_ms = st->now_ms + RETRY_MS;
	if (st->o.on_note != NULL)
		st->o.on_note(st->o.context, "", e->text);
}

void
drop_step_done(struct state *st, struct op *op)
{
	(void)op;
	st->drop.busy = false;
}

void
drop_step_appended(struct state *st, int rc, const struct err *e)
{
	st->drop.busy = rc >= 0;
	if (rc < 0 && rc != ERR_BUSY)
		drop_stop(st, rc, e);
}

/* --- is everything dead? ---------------------------------------------------------------------- */

int
drop_use_read(struct state *st, uint64_t segment, Hf__SegmentUse **out, struct err *e)
{
	struct index_reader r = state_committed(st);

	key_segment(&st->key, segment);
	return (row_get(&r, buf_slice(&st->key), &hf__segment_use__descriptor, (void *)out, e));
}

static int
use_check(struct state *st, uint64_t segment, struct err *e)
{
	Hf__SegmentUse *use;
	int rc = drop_use_read(st, segment, &use, e);

	if (rc < 0)
		return (rc);
	if (use->dead_records < use->records)
		rc = err_set(e, ERR_PRECONDITION, "%" PRIu64 " of %" PRIu64 " records of segment "
		    "%016" PRIx64 " are needed", use->records - use->dead_records, use->records,
		    segment);
	hf__segment_use__free_unpacked(use, NULL);
	return (rc);
}

static int
row_check(const Hf__CatalogSegment *row, struct err *e)
{
	if (row->held)
		return (err_set(e, ERR_PRECONDITION, "segment %016" PRIx64 " is held by an "
		    "operator", row->id));
	if (row->state != HF__CATALOG_SEGMENT__STATE__SEALED &&
	    row->state != HF__CATALOG_SEGMENT__STATE__CONVERTED)
		return (err_set(e, ERR_PRECONDITION, "segment %016" PRIx64 " is not sealed",
		    row->id));
	return (0);
}

static int
drop_begin(struct state *st, const Hf__CatalogSegment *row, struct op *op, struct err *e)
{
	struct drop *d = &st->drop;
	bool again = d->segment == row->id && d->dead_lsn != 0;
	int rc = row_check(row, e);

	if (rc == 0)
		rc = use_check(st, row->id, e);
	if (rc < 0)
		return (rc);
	d->segment = row->id;
	d->first_lsn = d->next_lsn = row->first_lsn;
	d->last_lsn = row->last_lsn;
	if (!again)
		d->dead_lsn = st->stats.applied_lsn;
	d->phase = DROP_MOVE;
	d->op = op;
	return (ADMIT_WORK);
}

bool
state_drops(const struct state *st, uint64_t segment)
{
	return (st->drop.phase != DROP_IDLE && st->drop.segment == segment);
}

/* Whether it can be begun, or gone on with, now. */
static int
drop_admit(struct state *st, const Hf__SegmentDrop *q, struct err *e)
{
	int rc = q->task == 0 ? 0 : task_lease_check(st, q->task, q->lease, e);

	if (rc < 0)
		return (rc);
	rc = drive_set_writable(st->o.drives, e);
	if (rc < 0)
		return (rc);
	if (st->drop.phase == DROP_GRACE && st->drop.segment == q->segment)
		return (err_set(e, ERR_BUSY, "readers may need segment %016" PRIx64 " a little "
		    "longer", q->segment));
	if (st->drop.phase != DROP_IDLE)
		return (err_set(e, ERR_BUSY, "segment %016" PRIx64 " is being dropped",
		    st->drop.segment));
	return (0);
}

int
admit_segment_drop(struct state *st, struct op *op, struct err *e)
{
	const Hf__SegmentDrop *q = op->request->segment_drop;
	Hf__CatalogSegment *row = catalog_segment(st->o.drives, q->segment);
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int rc;

	if (row == NULL) {	/* it is done; or it never was: then nothing is to be done */
		op_reply_pack(op, &reply);
		return (ADMIT_ANSWER);
	}
	rc = drop_admit(st, q, e);
	if (rc == 0)
		rc = drop_begin(st, row, op, e);
	hf__catalog_segment__free_unpacked(row, NULL);
	return (rc);
}

/* --- freed extents ---------------------------------------------------------------------------- */

/* Whether a row is left in [from, to): 1, 0 or an error. */
static int
any_left(struct state *st, const struct buf *from, const struct buf *to, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct index_iter *it = index_iter_new(&r, buf_slice(from), buf_slice(to));
	bool left = index_iter_valid(it);
	int rc = index_iter_error(it, e);

	index_iter_free(it);
	return (rc < 0 ? rc : left);
}

/* Parts that an upload or object left, and what was freed with them or otherwise. */
static void
drop_freed(struct state *st)
{
	static const uint8_t none[16];
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct err e = ERR_INIT;
	int rc;

	key_ended(&from, 0, SLICE(none, sizeof(none)));
	key_ended(&to, st->drop.dead_lsn + 1, SLICE(none, sizeof(none)));
	rc = any_left(st, &from, &to, &e);
	if (rc == 0) {
		key_freed(&from, 0, 0);
		key_freed(&to, st->drop.dead_lsn + 1, 0);
		rc = any_left(st, &from, &to, &e);
	}
	buf_release(&from);
	buf_release(&to);
	if (rc > 0)
		rc = err_set(&e, ERR_BUSY, "space that was freed by records of segment %016" PRIx64
		    " or up to LSN %016" PRIx64 " is not given back yet", st->drop.segment,
		    st->drop.dead_lsn);
	if (rc < 0)
		drop_stop(st, rc, &e);
	else
		st->drop.phase = DROP_SCAN;
}

/* --- its own rows ----------------------------------------------------------------------------- */

static void
forgotten(struct state *st, struct op *op)
{
	struct drop *d = &st->drop;

	drop_step_done(st, op);
	if (d->next_lsn <= d->last_lsn)
		return;
	d->phase = DROP_GRACE;
	d->due_ms = st->now_ms + st->o.reclaim_grace_ms;
	d->look_ms = st->now_ms;
	d->grace_lsn = st->stats.applied_lsn;
}

/* Nobody reads from the segment any more, or the grace is over. */
static bool
grace_over(struct state *st)
{
	struct drop *d = &st->drop;

	if (d->due_ms <= st->now_ms)
		return (true);
	if (d->look_ms > st->now_ms)
		return (false);
	d->look_ms = st->now_ms + LOOK_MS;
	return (!conversions_retired(st, d->segment) && state_readers_past(st, d->grace_lsn));
}

static void
drop_forget(struct state *st)
{
	struct drop *d = &st->drop;
	Hf__RecordSegmentDropped r = HF__RECORD_SEGMENT_DROPPED__INIT;
	struct err e = ERR_INIT;
	bool last = d->last_lsn - d->next_lsn < STRETCH;
	int rc;

	r.segment = last ? d->segment : 0;
	r.first_lsn = d->next_lsn;
	r.last_lsn = last ? d->last_lsn : d->next_lsn + STRETCH - 1;
	r.freed_lsn = d->dead_lsn;
	r.parts_lsn = d->dead_lsn;
	rc = state_append_own(st, RECORD_SEGMENT_DROPPED, &r.base, forgotten, NULL, &e);
	if (rc >= 0)
		d->next_lsn = r.last_lsn + 1;
	drop_step_appended(st, rc, &e);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* Nothing may change any more: whoever asked does not wait for what never goes on. What is past
 * the point of no return, the next start finishes. */
static void
drop_end(struct state *st)
{
	const struct drop *d = &st->drop;

	if (d->op == NULL || d->busy)
		return;
	if (d->phase < DROP_GRACE)
		drop_stop(st, st->frozen_why.code, &st->frozen_why);
	else
		drop_answer(st, st->frozen_why.code, &st->frozen_why);
}

void
drop_turn(struct state *st)
{
	struct drop *d = &st->drop;
	struct err e = ERR_INIT;

	if (st->frozen) {
		drop_end(st);
		return;
	}
	if (st->draining && d->op != NULL && !d->busy) {
		err_set(&e, ERR_BUSY, "the store is stopping");
		drop_answer(st, ERR_BUSY, &e);
	}
	if (drive_set_read_only(st->o.drives) && !d->busy && d->phase != DROP_IDLE &&
	    d->phase < DROP_GRACE)
		drop_stop(st, drive_set_writable(st->o.drives, &e), &e);
	while (!d->busy && !st->draining && !st->failed && d->phase != DROP_IDLE &&
	    !drive_set_read_only(st->o.drives)) {
		enum drop_phase before = d->phase;

		if (before == DROP_MOVE)
			drop_move(st);
		else if (before == DROP_FREED)
			drop_freed(st);
		else if (before == DROP_SCAN)
			drop_scan(st);
		else if (before == DROP_NAME)
			drop_name(st);
		else if (before == DROP_FORGET)
			drop_forget(st);
		else if (before == DROP_GRACE && grace_over(st))
			drop_catalog(st);
		if (d->phase == before)
			break;		/* it waits for something */
	}
	if (d->phase == DROP_GRACE && d->op != NULL && !d->busy) {
		err_set(&e, ERR_BUSY, "readers may need segment %016" PRIx64 " a little longer",
		    d->segment);
		drop_answer(st, ERR_BUSY, &e);
	}
}

uint64_t
drop_next_ms(const struct state *st)
{
	const struct drop *d = &st->drop;

	if (d->busy || st->draining || st->frozen || drive_set_read_only(st->o.drives))
		return (UINT64_MAX);
	if (d->phase != DROP_GRACE)
		return (UINT64_MAX);	/* a commit or a job comes */
	return (st->o.readers != NULL && d->look_ms < d->due_ms ? d->look_ms : d->due_ms);
}

int
drop_load(struct state *st, struct err *e)
{
	struct drop *d = &st->drop;
	uint64_t *ids = NULL;
	size_t n = catalog_segment_ids(st->o.drives, &ids);
	int rc = 0;

	d->resumed = false;
	for (size_t i = 0; rc == 0 && i < n && !d->resumed &&
	    !drive_set_read_only(st->o.drives); i++) {
		Hf__CatalogSegment *row = catalog_segment(st->o.drives, ids[i]);
		Hf__SegmentUse *use = NULL;

		if (row != NULL)
			rc = drop_use_read(st, ids[i], &use, e);
		if (rc == 0 && use != NULL && use->dropped)	/* Z1 */
			*d = (struct drop){ .phase = DROP_GRACE, .resumed = true,
			    .segment = row->id, .first_lsn = row->first_lsn,
			    .last_lsn = row->last_lsn, .due_ms = st->now_ms };
		if (rc == ERR_NOT_FOUND)
			rc = 0;
		if (use != NULL)
			hf__segment_use__free_unpacked(use, NULL);
		if (row != NULL)
			hf__catalog_segment__free_unpacked(row, NULL);
	}
	free(ids);
	return (rc);
}

void
drop_release(struct state *st)
{
	free(st->drop.named);
	if (st->drop.op != NULL)
		op_free(st, st->drop.op);
	st->drop = (struct drop){ .phase = DROP_IDLE };
}
