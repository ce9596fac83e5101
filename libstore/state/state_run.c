/*
 * state_run - growing runs of volume space for a session, and rows that it gives back.
 *
 * A session fills one volume at a time; one grant is under way per session, others of it wait
 * behind. The blocking part (catalog, fallocate) is a job; the grant is a record. What was
 * allocated and not granted, because the store died in between, is given back when the volume is
 * sealed, or with a volume that has no grants.
 *
 * U1  A volume has one holder, from its first grant until that releases it (or ends). Only the
 *     holder knows what is outstanding: runs, and extents that may still be committed. So it says
 *     when there is nothing, and the store counts nothing that a restart could lose.
 * U2  After the release nothing of the volume is granted, and no extent in it is committed: such a
 *     request is refused, whenever it was sent. So the volume can be sealed, its gaps punched.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/state/op.h"
#include "libstore/volume/volume.h"

#define RUN_BYTES_LEAST		(UINT64_C(1) << 20)
#define RUN_BYTES_MOST		(UINT64_C(64) << 20)

struct run_job {
	struct state		*st;
	struct op		*op;
	struct drive_set	*drives;
	uint64_t		 volume, offset, bytes, asked;
	uint64_t		 volume_bytes;		/* of a created one */
	uint32_t		 k;
	bool			 created;
	int			 rc;
	struct err		 e;
};

static uint64_t
least(uint64_t a, uint64_t b)
{
	return (a < b ? a : b);
}

static int
job_create(struct run_job *j)
{
	Hf__CatalogVolume *row;
	int rc;

	rc = volume_create(j->drives, &j->volume, &j->e);
	if (rc < 0)
		return (rc);
	j->created = true;
	row = catalog_volume(j->drives, j->volume);
	assert(row != NULL);
	j->k = row->k;
	j->volume_bytes = row->bytes;
	j->offset = 0;
	j->bytes = least(j->bytes, row->bytes);
	hf__catalog_volume__free_unpacked(row, NULL);
	return (0);
}

static int
job_allocate(struct run_job *j)
{
	int rc;

	rc = volume_allocate(j->drives, j->volume, j->offset, j->bytes, &j->e);
	if (rc == ERR_FULL && j->bytes > j->asked) {
		j->bytes = j->asked;
		rc = volume_allocate(j->drives, j->volume, j->offset, j->bytes, &j->e);
	}
	return (rc);
}

/* On a pool thread. A volume where allocation fails is left for a new one; if that is for space,
 * when another set has some. */
static void
run_work(void *context)
{
	struct run_job *j = context;
	struct err ignored;
	uint32_t left;

	j->rc = ERR_STALE;
	if (j->volume != 0)
		j->rc = job_allocate(j);
	if (j->rc < 0 && (j->rc != ERR_FULL || volume_better_place(j->drives, j->volume))) {
		j->rc = job_create(j);
		if (j->rc == 0)
			j->rc = job_allocate(j);
	}
	if (j->rc < 0 && j->created) {
		(void)volume_drop(j->drives, j->volume, &left, &ignored);
		j->created = false;
	}
}

static int run_start(struct state *st, struct op *op, struct err *e);

static int
run_grant(struct run_job *j, struct err *e)
{
	Hf__RecordRunGrant r = HF__RECORD_RUN_GRANT__INIT;
	struct session *s = j->op->session;
	Hf__Origin origin;
	int rc;

	if (!j->created && s->volume != j->volume)
		return (run_start(j->st, j->op, e));	/* released or revoked meanwhile (U2) */
	if (j->created) {
		session_hold(s, j->volume);
		s->volume = j->volume;
		s->volume_bytes = j->volume_bytes;
		s->volume_k = j->k;
		s->volume_granted = 0;
	}
	if (j->st->pending_count >= PENDING_MAX)
		return (ADMIT_PARK);	/* the same range is allocated again then, at no cost */
	op_origin(j->op, &origin);
	r.origin = &origin;
	r.volume = j->volume;
	r.offset = j->offset;
	r.bytes = j->bytes;
	r.k = s->volume_k;
	r.session = (ProtobufCBinaryData){ SESSION_ID_BYTES, s->id };
	rc = state_append(j->st, j->op, LOG_SHARE_NONE, RECORD_RUN_GRANT, &r.base, SLICE_NONE,
	    e);
	if (rc < 0)
		return (rc);
	s->volume_granted = j->offset + j->bytes;
	s->run_bytes = least(s->run_bytes * 2, RUN_BYTES_MOST);
	return (rc);
}

/* The next waiting reserve of a session. */
static void
run_next(struct state *st, struct session *s)
{
	while (s->run_op == NULL && s->run_head != NULL) {
		struct op *op = s->run_head;
		struct err e = ERR_INIT;
		int rc;

		s->run_head = op->next;
		if (s->run_head == NULL)
			s->run_tail = &s->run_head;
		rc = run_start(st, op, &e);
		if (rc != ADMIT_WORK)
			state_resume(st, op, rc, &e);
	}
}

static void
run_done(void *context)
{
	struct run_job *j = context;
	struct state *st = j->st;
	struct session *s = j->op->session;
	int rc = j->rc;

	assert(s->run_op == j->op);
	s->run_op = NULL;
	if (rc == 0 && !st->failed)
		rc = run_grant(j, &j->e);
	else if (rc == 0)
		rc = ADMIT_WORK;	/* never answered */
	state_resume(st, j->op, rc, &j->e);
	free(j);
	run_next(st, s);
	state_job_ended(st);
}

static int
run_start(struct state *st, struct op *op, struct err *e)
{
	struct session *s = op->session;
	struct run_job *j = calloc(1, sizeof(*j));
	uint64_t left = s->volume != 0 ? s->volume_bytes - s->volume_granted : 0;
	uint64_t asked = op->request->run_reserve->bytes;

	assert(j != NULL);
	asked = least(asked, drive_set_volume_bytes(st->o.drives));
	asked = (asked + VOLUME_ALIGN_BYTES - 1) / VOLUME_ALIGN_BYTES * VOLUME_ALIGN_BYTES;
	if (asked == 0)
		asked = VOLUME_ALIGN_BYTES;
	j->st = st;
	j->op = op;
	j->drives = st->o.drives;
	j->asked = asked;
	j->bytes = asked > s->run_bytes ? asked : s->run_bytes;
	if (left >= least(asked, RUN_BYTES_LEAST)) {
		j->volume = s->volume;
		j->offset = s->volume_granted;
		j->bytes = least(j->bytes, left);
		j->asked = least(asked, left);
	}
	s->run_op = op;
	if (state_job(st, run_work, run_done, j) == 0)
		return (ADMIT_WORK);
	s->run_op = NULL;
	free(j);
	return (err_set(e, ERR_BUSY, "too much work waits for the drives"));
}

int
admit_run_reserve(struct state *st, struct op *op, struct err *e)
{
	struct session *s = op->session;
	int rc = drive_set_writable(st->o.drives, e);

	if (rc < 0)
		return (rc);
	if (s->run_op == NULL)
		return (run_start(st, op, e));
	op->next = NULL;
	*s->run_tail = op;
	s->run_tail = &op->next;
	return (ADMIT_WORK);
}

void
run_session_load(struct state *st, struct session *s, const Hf__VolumeUse *use, uint64_t volume)
{
	Hf__CatalogVolume *row = catalog_volume(st->o.drives, volume);
	uint64_t left = s->volume != 0 ? s->volume_bytes - s->volume_granted : 0;

	session_hold(s, volume);
	if (use->thin_extents > 0)
		thin_session_load(st, s, volume);
	if (row == NULL)
		return;
	if (row->state == HF__CATALOG_VOLUME__STATE__ACTIVE && row->bytes > use->granted &&
	    row->bytes - use->granted > left) {
		s->volume = volume;
		s->volume_bytes = row->bytes;
		s->volume_granted = use->granted;
		s->volume_k = use->k;
	}
	hf__catalog_volume__free_unpacked(row, NULL);
}

int
admit_run_return(struct state *st, struct op *op, struct err *e)
{
	const Hf__RunReturn *q = op->request->run_return;
	int rc;

	rc = extent_range_check(st, op->session, q->volume, q->offset, q->bytes, e);
	if (rc < 0)
		return (rc);
	reclaim_range(st, q->volume, q->offset, q->bytes);
	return (ADMIT_ANSWER);
}

int
admit_extent_discard(struct state *st, struct op *op, struct err *e)
{
	const Hf__ExtentDiscard *q = op->request->extent_discard;
	struct err found;
	int first = 0;

	for (size_t i = 0; i < q->n_extents; i++) {
		const Hf__Extent *x = q->extents[i];
		uint64_t bytes;
		int rc;

		rc = extent_check(st, op->session, x, &bytes, &found);
		if (rc == 0) {
			reclaim_range(st, x->volume, x->offset, bytes);
		} else if (first == 0) {
			first = rc;
			*e = found;
		}
	}
	return (first < 0 ? first : ADMIT_ANSWER);
}

int
admit_volume_release(struct state *st, struct op *op, struct err *e)
{
	Hf__RecordVolumeReleased r = HF__RECORD_VOLUME_RELEASED__INIT;
	Hf__Origin origin;
	int rc;

	r.volume = op->request->volume_release->volume;
	rc = extent_volume_check(st, op->session, r.volume, e);
	if (rc < 0)
		return (rc);
	op_origin(op, &origin);
	r.origin = &origin;
	rc = state_append(st, op, LOG_SHARE_DELETE, RECORD_VOLUME_RELEASED, &r.base, SLICE_NONE,
	    e);
	if (rc < 0)
		return (rc);
	op->released = r.volume;
	session_unhold(op->session, r.volume);
	return (rc);
}

bool
state_volume_revoke(struct state *st, uint64_t volume)
{
	for (struct session *s = st->sessions.first; s != NULL; s = s->next) {
		struct held_volume *h = session_held(s, volume);

		if (h == NULL)
			continue;
		h->revoked = true;
		if (s->volume == volume)
			s->volume = 0;
		if (st->o.on_revoke != NULL)
			st->o.on_revoke(st->o.context, s);
		return (true);
	}
	return (false);
}
