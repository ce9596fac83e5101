/*
 * state_drop - see state_drop.h. Each phase does one bounded thing and waits for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state_drop.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/op.h"
#include "libstore/segment.h"

#define MOVE_BYTES	(256u * 1024)	/* of rows in a record */
#define NAMED_MAX	16384u		/* records in a piece of a dead map */
#define LOOK_MS		500	/* between looks whether readers need a segment */
#define STRETCH		16384u		/* LSNs that are forgotten at a time */
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
static void
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
static void
drop_retry(struct state *st, const struct err *e)
{
	st->drop.due_ms = st->drop.look_ms = st->now_ms + RETRY_MS;
	if (st->o.on_note != NULL)
		st->o.on_note(st->o.context, "", e->text);
}

static void
step_done(struct state *st, struct op *op)
{
	(void)op;
	st->drop.busy = false;
}

static void
step_appended(struct state *st, int rc, const struct err *e)
{
	st->drop.busy = rc >= 0;
	if (rc < 0 && rc != ERR_BUSY)
		drop_stop(st, rc, e);
}

/* --- is everything dead? ---------------------------------------------------------------------- */

static int
use_read(struct state *st, uint64_t segment, Hf__SegmentUse **out, struct err *e)
{
	struct index_reader r = state_committed(st);

	key_segment(&st->key, segment);
	return (row_get(&r, buf_slice(&st->key), &hf__segment_use__descriptor, (void *)out, e));
}

static int
use_check(struct state *st, uint64_t segment, struct err *e)
{
	Hf__SegmentUse *use;
	int rc = use_read(st, segment, &use, e);

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

/* Whether it can be begun, or gone on with, now. */
static int
drop_admit(struct state *st, const Hf__SegmentDrop *q, struct err *e)
{
	int rc = q->task == 0 ? 0 : task_lease_check(st, q->task, q->lease, e);

	if (rc < 0)
		return (rc);
	if (drive_set_read_only(st->o.drives))
		return (err_set(e, ERR_READ_ONLY, "the set is read-only"));
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

	if (row == NULL) {		/* it is done; or it never was: then nothing is to be done */
		op_reply_pack(op, &reply);
		return (ADMIT_ANSWER);
	}
	rc = drop_admit(st, q, e);
	if (rc == 0)
		rc = drop_begin(st, row, op, e);
	hf__catalog_segment__free_unpacked(row, NULL);
	return (rc);
}

/* --- rows that depend on it without having their home there ------------------------------------ */

static bool
in_segment(const struct drop *d, uint64_t lsn)
{
	return (lsn >= d->first_lsn && lsn <= d->last_lsn);
}

static bool
session_depends(const struct drop *d, const Hf__RecordSessionOpen *s)
{
	/* Without a home it is provisional: it is moved just now. */
	return (s->home != NULL && in_segment(d, s->floor_lsn));
}

static int
row_depends(const struct drop *d, char table, struct slice value, bool *out, struct err *e)
{
	const ProtobufCMessageDescriptor *type = table == 'Y' ? &hf__volume_use__descriptor :
	    table == 'S' ? &hf__record_session_open__descriptor :
	    &hf__session_answer__descriptor;
	ProtobufCMessage *m;
	int rc = row_unpack(value, type, &m, e);

	if (rc < 0)
		return (rc);
	if (table == 'Y')
		*out = in_segment(d, ((Hf__VolumeUse *)m)->changed_lsn) ||
		    in_segment(d, ((Hf__VolumeUse *)m)->grant_lsn);
	else if (table == 'S')
		*out = session_depends(d, (Hf__RecordSessionOpen *)m);
	else
		*out = in_segment(d, ((Hf__SessionAnswer *)m)->lsn);
	protobuf_c_message_free_unpacked(m, NULL);
	return (0);
}

/* Rows of a table that depend on the segment, until they are MOVE_BYTES; of sessions, which have a
 * home, one. */
static int
table_collect(struct state *st, char table, struct rows *out, struct err *e)
{
	struct index_reader r = state_reader(st);
	uint8_t to[1] = { (uint8_t)(table + 1) };
	struct index_iter *it = index_iter_new(&r, SLICE(&table, 1), SLICE(to, 1));
	int rc = 0;

	while (rc == 0 && index_iter_valid(it) && out->bytes.bytes < MOVE_BYTES &&
	    (table != 'S' || out->count == 0)) {
		bool depends = false;

		rc = row_depends(&st->drop, table, index_iter_value(it), &depends, e);
		if (rc == 0 && depends)
			rows_add(out, index_iter_key(it), index_iter_value(it));
		index_iter_next(it);
	}
	if (rc == 0)
		rc = index_iter_error(it, e);
	index_iter_free(it);
	return (rc);
}

static int
rows_append(struct state *st, const struct rows *rows, struct err *e)
{
	Hf__RecordRelocated r = HF__RECORD_RELOCATED__INIT;
	Hf__IndexRow *row = calloc(rows->count, sizeof(*row));
	int rc;

	r.rows = calloc(rows->count, sizeof(*r.rows));
	assert(row != NULL && r.rows != NULL);
	for (size_t i = 0; i < rows->count; i++) {
		struct slice key = rows_key(rows, i), value = rows_value(rows, i);

		hf__index_row__init(&row[i]);
		row[i].key = (ProtobufCBinaryData){ key.bytes, (uint8_t *)(uintptr_t)key.data };
		row[i].value = (ProtobufCBinaryData){ value.bytes,
		    (uint8_t *)(uintptr_t)value.data };
		r.rows[r.n_rows++] = &row[i];
	}
	rc = state_append_rows(st, &r, SLICE_NONE, step_done, NULL, e);
	free(r.rows);
	free(row);
	return (rc);
}

static void
drop_move(struct state *st)
{
	struct rows rows = ROWS_INIT;
	struct err e = ERR_INIT;
	int rc = 0;

	for (const char *table = "YSA"; rc == 0 && rows.count == 0 && *table != '\0'; table++)
		rc = table_collect(st, *table, &rows, &e);
	if (rc < 0)
		drop_stop(st, rc, &e);
	else if (rows.count == 0)
		st->drop.phase = DROP_FREED;
	else
		step_appended(st, rows_append(st, &rows, &e), &e);
	rows_release(&rows);
}

/* --- freed extents ---------------------------------------------------------------------------- */

static void
drop_freed(struct state *st)
{
	struct index_reader r = state_committed(st);
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct index_iter *it;
	struct err e = ERR_INIT;
	bool left;
	int rc;

	key_freed(&from, 0, 0);
	key_freed(&to, st->drop.dead_lsn + 1, 0);
	it = index_iter_new(&r, buf_slice(&from), buf_slice(&to));
	left = index_iter_valid(it);
	rc = index_iter_error(it, &e);
	index_iter_free(it);
	buf_release(&from);
	buf_release(&to);
	if (rc == 0 && left)
		rc = err_set(&e, ERR_BUSY, "space that was freed by records of segment %016" PRIx64
		    " or up to LSN %016" PRIx64 " is not given back yet", st->drop.segment,
		    st->drop.dead_lsn);
	if (rc < 0)
		drop_stop(st, rc, &e);
	else
		st->drop.phase = DROP_SCAN;
}

/* --- dead records elsewhere ------------------------------------------------------------------- */

struct scan_job {
	struct state	*st;
	struct drop	 found;		/* first_lsn, last_lsn; named */
	int		 rc;
	struct err	 e;
};

static void
named_add(struct drop *d, uint64_t lsn)
{
	if (d->named_count == d->named_capacity) {
		d->named_capacity = d->named_capacity != 0 ? 2 * d->named_capacity : 256;
		d->named = realloc(d->named, d->named_capacity * sizeof(*d->named));
		assert(d->named != NULL);
	}
	d->named[d->named_count++] = lsn;
}

/* On a pool thread, over a snapshot: no record that comes now can be killed by the segment. */
static void
scan_work(void *context)
{
	struct scan_job *j = context;
	struct index_reader r = { .index = j->st->o.index };
	struct index_iter *it = index_iter_new(&r, SLICE_LITERAL("D"), SLICE_LITERAL("E"));

	for (; j->rc == 0 && index_iter_valid(it); index_iter_next(it)) {
		struct slice key = index_iter_key(it);
		uint64_t lsn = key.bytes == 9 ? get_be64((const uint8_t *)key.data + 1) : 0;
		Hf__DeadRecord *d;

		j->rc = row_unpack(index_iter_value(it), &hf__dead_record__descriptor, (void *)&d,
		    &j->e);
		if (j->rc < 0)
			break;
		if ((in_segment(&j->found, d->killer) || in_segment(&j->found, d->via)) &&
		    !in_segment(&j->found, lsn))
			named_add(&j->found, lsn);
		hf__dead_record__free_unpacked(d, NULL);
	}
	if (j->rc == 0)
		j->rc = index_iter_error(it, &j->e);
	index_iter_free(it);
}

static void
scan_done(void *context)
{
	struct scan_job *j = context;
	struct state *st = j->st;
	struct drop *d = &st->drop;

	d->busy = false;
	free(d->named);
	d->named = j->found.named;
	d->named_count = j->found.named_count;
	d->named_capacity = j->found.named_capacity;
	d->named_sent = 0;
	if (j->rc < 0)
		drop_stop(st, j->rc, &j->e);
	else
		d->phase = DROP_NAME;
	free(j);
	state_job_ended(st);
}

static void
drop_scan(struct state *st)
{
	struct scan_job *j = calloc(1, sizeof(*j));

	assert(j != NULL);
	j->st = st;
	j->found.first_lsn = st->drop.first_lsn;
	j->found.last_lsn = st->drop.last_lsn;
	st->drop.busy = true;
	if (state_job(st, scan_work, scan_done, j) < 0) {
		st->drop.busy = false;		/* again in a later turn */
		free(j);
	}
}

static void
drop_name(struct state *st)
{
	struct drop *d = &st->drop;
	Hf__RecordDead r = HF__RECORD_DEAD__INIT;
	struct err e = ERR_INIT;
	size_t left = d->named_count - d->named_sent;
	int rc;

	if (left == 0) {
		d->phase = DROP_FORGET;
		return;
	}
	r.n_lsns = left < NAMED_MAX ? left : NAMED_MAX;
	r.lsns = d->named + d->named_sent;
	rc = state_append_own(st, RECORD_DEAD, &r.base, step_done, NULL, &e);
	if (rc >= 0)
		d->named_sent += r.n_lsns;
	step_appended(st, rc, &e);
}

/* --- its own rows ----------------------------------------------------------------------------- */

static void
forgotten(struct state *st, struct op *op)
{
	struct drop *d = &st->drop;

	step_done(st, op);
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
	rc = state_append_own(st, RECORD_SEGMENT_DROPPED, &r.base, forgotten, NULL, &e);
	if (rc >= 0)
		d->next_lsn = r.last_lsn + 1;
	step_appended(st, rc, &e);
}

/* --- out of the catalog ----------------------------------------------------------------------- */

struct catalog_job {
	struct state	*st;
	uint64_t	 segment;
	int		 rc;
	struct err	 e;
};

static int
segment_forget(struct state *st, Hf__CatalogSegment *row, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogSegment gone = HF__CATALOG_SEGMENT__INIT, *rows = &gone;
	int rc;

	gone.id = row->id;
	gone.state = HF__CATALOG_SEGMENT__STATE__DROPPED;
	change.segments = &rows;
	change.n_segments = 1;
	change.horizon_lsn = row->last_lsn;	/* the higher one stays */
	change.reason = (char *)(uintptr_t)"segment vacuumed";
	rc = catalog_commit(st->o.drives, &change, e);
	if (rc == 0)
		segment_unlink_row(st->o.drives, row);
	return (rc);
}

/* On a pool thread. */
static void
catalog_work(void *context)
{
	struct catalog_job *j = context;
	Hf__CatalogSegment *row = catalog_segment(j->st->o.drives, j->segment);

	if (row == NULL)
		return;
	j->rc = index_flush(j->st->o.index, true, &j->e);	/* Z3 */
	if (j->rc == 0)
		j->rc = segment_forget(j->st, row, &j->e);
	hf__catalog_segment__free_unpacked(row, NULL);
}

/* As a start does (state_recover.c): the catalog knows, the log need not tell. */
static void
use_remove(struct state *st, uint64_t segment)
{
	struct index_layer *l = index_layer_new();
	struct err e = ERR_INIT;

	key_segment(&st->key, segment);
	index_delete(l, buf_slice(&st->key));
	if (!st->failed && index_write(st->o.index, l, index_applied(st->o.index), &e) < 0)
		state_fatal(st, &e);
	index_layer_free(l);
}

static void
catalog_done(void *context)
{
	struct catalog_job *j = context;
	struct state *st = j->st;
	struct drop *d = &st->drop;

	d->busy = false;
	if (j->rc < 0) {
		d->phase = DROP_GRACE;
		drop_retry(st, &j->e);
	} else {
		st->stats.segments_dropped++;
		d->dead_lsn = 0;
		use_remove(st, j->segment);
		drop_stop(st, 0, NULL);
		if (d->resumed && drop_load(st, &j->e) < 0)
			state_fatal(st, &j->e);
	}
	free(j);
	state_job_ended(st);
}

/*
 * Files on drives that are away are filed for cleanup first: once the catalog has dropped the
 * segment, nothing else tells of them. 1; 0 until that is durable; or an error.
 */
static int
drop_is_filed(struct state *st, struct err *e)
{
	Hf__CatalogSegment *row = catalog_segment(st->o.drives, st->drop.segment);
	uint32_t present = drive_present_mask(st->o.drives);
	struct cleanup_left left = { .what = CLEANUP_SEGMENT, .id = st->drop.segment, .all = true };
	int rc;

	if (row == NULL)
		return (1);
	left.bytes = row->shard_bytes != 0 ? row->shard_bytes : row->bytes;
	for (size_t i = 0; i < row->n_slots; i++)
		if (row->slots[i] < DRIVES_MAX && (present >> row->slots[i] & 1) == 0)
			left.slots |= 1u << row->slots[i];
	hf__catalog_segment__free_unpacked(row, NULL);
	rc = cleanup_filed(st, &left, e);
	if (rc == 0)
		rc = cleanup_file(st, &left, CLEANUP_DRIVE_AWAY, e);
	else
		return (rc);
	return (rc == ERR_BUSY ? 0 : rc);
}

static void
drop_catalog(struct state *st)
{
	struct catalog_job *j;
	struct err e = ERR_INIT;
	int rc = drop_is_filed(st, &e);

	if (rc < 0)
		drop_retry(st, &e);
	if (rc == 0)
		st->drop.due_ms = st->now_ms + 1;
	if (rc <= 0)
		return;
	j = calloc(1, sizeof(*j));
	assert(j != NULL);
	j->st = st;
	j->segment = st->drop.segment;
	st->drop.busy = true;
	st->drop.phase = DROP_CATALOG;
	if (state_job(st, catalog_work, catalog_done, j) < 0) {
		st->drop.busy = false;
		st->drop.phase = DROP_GRACE;	/* again in a later turn */
		free(j);
	}
}

/* --- turns ------------------------------------------------------------------------------------ */

void
drop_turn(struct state *st)
{
	struct drop *d = &st->drop;
	struct err e = ERR_INIT;

	if (st->draining && d->op != NULL && !d->busy) {
		err_set(&e, ERR_BUSY, "the store is stopping");
		drop_answer(st, ERR_BUSY, &e);
	}
	if (drive_set_read_only(st->o.drives) && !d->busy && d->phase != DROP_IDLE &&
	    d->phase < DROP_GRACE)
		drop_stop(st, err_set(&e, ERR_READ_ONLY, "the set is read-only"), &e);
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

	if (d->busy || st->draining || drive_set_read_only(st->o.drives))
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
			rc = use_read(st, ids[i], &use, e);
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
