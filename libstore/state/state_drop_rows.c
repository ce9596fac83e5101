/*
 * state_drop_rows - what depends on a segment that is about to go, though its home is elsewhere:
 * rows of volumes, sessions and answers, which move, and records that it killed, which are named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/state_drop_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define MOVE_BYTES	(256u * 1024)	/* of rows in a record */
#define NAMED_MAX	1024u		/* records in a piece of a dead map: a few ms of the loop */

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
	    &hf__record_session_open__descriptor;
	ProtobufCMessage *m;
	int rc = row_unpack(value, type, &m, e);

	if (rc < 0)
		return (rc);
	if (table == 'Y')
		*out = in_segment(d, ((Hf__VolumeUse *)m)->changed_lsn) ||
		    in_segment(d, ((Hf__VolumeUse *)m)->grant_lsn);
	else
		*out = session_depends(d, (Hf__RecordSessionOpen *)m);
	protobuf_c_message_free_unpacked(m, NULL);
	return (0);
}

/* Of a row's answers those that lie in the segment, until what is moved is `most' bytes: with those
 * of the others the row may be larger than a record. */
static int
answers_collect(const struct drop *d, struct slice key, struct slice value, size_t most,
    struct rows *out, struct err *e)
{
	Hf__SessionAnswers *row, part = HF__SESSION_ANSWERS__INIT;
	struct buf packed = BUF_INIT;
	size_t bytes = out->bytes.bytes;
	int rc = row_unpack(value, &hf__session_answers__descriptor, (void *)&row, e);

	if (rc < 0)
		return (rc);
	part.answers = calloc(row->n_answers + 1, sizeof(*part.answers));
	assert(part.answers != NULL);
	for (size_t i = 0; i < row->n_answers && bytes < most; i++) {
		if (!in_segment(d, row->answers[i]->lsn))
			continue;
		bytes += hf__session_answer__get_packed_size(row->answers[i]);
		if (bytes <= most || out->count + part.n_answers == 0)
			part.answers[part.n_answers++] = row->answers[i];
	}
	if (part.n_answers > 0) {
		message_pack_into(&packed, &part.base);
		rows_add(out, key, buf_slice(&packed));
	}
	buf_release(&packed);
	free(part.answers);
	hf__session_answers__free_unpacked(row, NULL);
	return (0);
}

static int
row_collect(const struct drop *d, char table, const struct index_iter *it, size_t most,
    struct rows *out, struct err *e)
{
	struct slice key = index_iter_key(it), value = index_iter_value(it);
	bool depends = false;
	int rc;

	if (table == 'R')
		return (answers_collect(d, key, value, most, out, e));
	rc = row_depends(d, table, value, &depends, e);
	if (rc == 0 && depends)
		rows_add(out, key, value);
	return (rc);
}

/* Rows of a table that depend on the segment, until they are MOVE_BYTES, or a part of a small
 * segment; of sessions, which have a home, one. */
static int
table_collect(struct state *st, char table, struct rows *out, struct err *e)
{
	struct index_reader r = state_reader(st);
	uint8_t to[1] = { (uint8_t)(table + 1) };
	struct index_iter *it = index_iter_new(&r, SLICE(&table, 1), SLICE(to, 1));
	size_t most = drive_set_segment_bytes(st->o.drives) / 4;
	int rc = 0;

	most = most < MOVE_BYTES ? most : MOVE_BYTES;
	while (rc == 0 && index_iter_valid(it) && out->bytes.bytes < most &&
	    (table != 'S' || out->count == 0)) {
		rc = row_collect(&st->drop, table, it, most, out, e);
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
	rc = state_append_rows(st, &r, SLICE_NONE, drop_step_done, NULL, e);
	free(r.rows);
	free(row);
	return (rc);
}

void
drop_move(struct state *st)
{
	struct rows rows = ROWS_INIT;
	struct err e = ERR_INIT;
	int rc = 0;

	for (const char *table = "YSR"; rc == 0 && rows.count == 0 && *table != '\0'; table++)
		rc = table_collect(st, *table, &rows, &e);
	if (rc < 0)
		drop_stop(st, rc, &e);
	else if (rows.count == 0)
		st->drop.phase = DROP_FREED;
	else
		drop_step_appended(st, rows_append(st, &rows, &e), &e);
	rows_release(&rows);
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

static int
lsn_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return ((x > y) - (x < y));
}

/* On a pool thread, over a snapshot: no record that comes now can be killed by the segment. Only
 * what the segment killed is looked at (table E). */
static void
scan_work(void *context)
{
	struct scan_job *j = context;
	struct index_reader r = { .index = j->st->o.index };
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct index_iter *it;

	key_kill(&from, j->found.first_lsn, 0);
	key_kill(&to, j->found.last_lsn + 1, 0);
	for (it = index_iter_new(&r, buf_slice(&from), buf_slice(&to)); index_iter_valid(it);
	    index_iter_next(it)) {
		struct slice key = index_iter_key(it);
		uint64_t lsn = key.bytes == 17 ? get_be64((const uint8_t *)key.data + 9) : 0;

		if (lsn != 0 && !in_segment(&j->found, lsn))
			named_add(&j->found, lsn);
	}
	j->rc = index_iter_error(it, &j->e);
	index_iter_free(it);
	if (j->found.named_count > 0)
		qsort(j->found.named, j->found.named_count, sizeof(*j->found.named), lsn_order);
	buf_release(&from);
	buf_release(&to);
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

void
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

void
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
	rc = state_append_own(st, RECORD_DEAD, &r.base, drop_step_done, NULL, &e);
	if (rc >= 0)
		d->named_sent += r.n_lsns;
	drop_step_appended(st, rc, &e);
}
