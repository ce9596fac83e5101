/*
 * apply_session - sessions, and the answers that are kept for them until they say that they have
 * them.
 *
 * The session's row carries the floor below which answers were removed: the highest that a record
 * of it told, rounded down. No answer below it is kept, so the rows follow from the records in any
 * part of the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/apply/apply_internal.h"

#define FLOOR_STEP	ANSWERS_ROW	/* answers are removed by the row */

/* What is in the row counts, not what was seen of it: for whatever changes the row. */
static void
session_forget(struct apply *a)
{
	a->session_seen = false;
}

static bool
session_seen(const struct apply *a, const Hf__Origin *origin, uint64_t floor)
{
	return (a->session_seen && origin->session.len == sizeof(a->session) &&
	    memcmp(origin->session.data, a->session, sizeof(a->session)) == 0 &&
	    floor <= a->session_floor);
}

static void
session_note(struct apply *a, const Hf__RecordSessionOpen *row)
{
	a->session_seen = row->session.len == sizeof(a->session);
	if (!a->session_seen)
		return;
	memcpy(a->session, row->session.data, sizeof(a->session));
	a->session_floor = row->floor;
}

static int
session_get(struct apply *a, struct slice session, Hf__RecordSessionOpen **out, struct err *e)
{
	key_session(&a->key, session);
	return (apply_get(a, &hf__record_session_open__descriptor, out, e));
}

int
apply_session_open(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordSessionOpen *r = (Hf__RecordSessionOpen *)m;

	(void)e;
	if (!apply_makes(a))
		return (0);
	session_forget(a);
	r->home = apply_home(a);
	key_session(&a->key, bin_slice(r->session));
	apply_put(a, r);
	return (0);
}

/* Raises the floor of a session's row, which is written by the caller. */
static int
floor_raise(struct apply *a, Hf__RecordSessionOpen *row, uint64_t floor, struct err *e)
{
	uint64_t from = row->floor;

	row->floor = floor;
	row->floor_lsn = a->record->lsn;
	return (apply_answers_remove(a, bin_slice(row->session), from, floor, e));
}

static int
answer_put(struct apply *a, const Hf__Origin *origin, struct err *e)
{
	Hf__SessionAnswer answer = HF__SESSION_ANSWER__INIT;

	answer.lsn = a->record->lsn;
	answer.reply = (ProtobufCBinaryData){ a->reply.bytes, a->reply.data };
	answer.sequence = origin->sequence;
	return (apply_answer_put(a, bin_slice(origin->session), &answer, e));
}

int
apply_answer(struct apply *a, const Hf__Origin *origin, struct err *e)
{
	Hf__RecordSessionOpen stub = HF__RECORD_SESSION_OPEN__INIT, *old = NULL, *row = &stub;
	uint64_t floor = origin->floor - origin->floor % FLOOR_STEP;
	int rc;

	if (session_seen(a, origin, floor)) {
		return (origin->sequence >= a->session_floor ? answer_put(a, origin, e) : 0);
	}
	rc = session_get(a, bin_slice(origin->session), &old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	/* Of a read-only time, or ended: nobody will ask. In a rebuild its row may come later. */
	if (rc == ERR_NOT_FOUND && !a->rebuild)
		return (0);
	stub.session = origin->session;
	if (old != NULL)
		row = old;
	rc = 0;
	if (floor > row->floor) {
		rc = floor_raise(a, row, floor, e);
		key_session(&a->key, bin_slice(origin->session));
		apply_put(a, row);
	}
	if (rc == 0 && origin->sequence >= row->floor)
		rc = answer_put(a, origin, e);
	if (old != NULL && rc == 0)
		session_note(a, old);
	if (old != NULL)
		hf__record_session_open__free_unpacked(old, NULL);
	return (rc);
}

/* --- relocated rows --------------------------------------------------------------------------- */

int
apply_session_moved(struct apply *a, struct slice key, Hf__RecordSessionOpen *row, struct err *e)
{
	Hf__RecordSessionOpen *old;
	uint64_t from = 0;
	int rc;

	key_session(&a->key, bin_slice(row->session));
	if (!slice_equal(buf_slice(&a->key), key))
		return (0);
	session_forget(a);
	rc = session_get(a, bin_slice(row->session), &old, e);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return (rc);
	row->floor_lsn = a->record->lsn;
	if (rc == 0) {
		from = old->floor;
		if (old->floor > row->floor) {
			row->floor = old->floor;
			row->floor_lsn = old->floor_lsn;
		}
		rc = apply_home_dead(a, NULL, old->home, e);
		hf__record_session_open__free_unpacked(old, NULL);
	} else {
		rc = 0;
	}
	if (!apply_makes(a)) {
		apply_delete(a);
		return (rc);
	}
	if (row->home != NULL)
		hf__home__free_unpacked(row->home, NULL);
	row->home = apply_home(a);
	apply_put(a, row);
	if (rc == 0 && !a->provisional)
		rc = apply_answers_remove(a, bin_slice(row->session), from, row->floor, e);
	return (rc);
}

/* Whether an answer with this sequence is kept, or will be when the session's row comes. */
static int
session_floor(struct apply *a, struct slice session, uint64_t *out, struct err *e)
{
	Hf__RecordSessionOpen *row;
	int rc = session_get(a, session, &row, e);

	*out = a->rebuild ? 0 : UINT64_MAX;
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	*out = row->floor;
	hf__record_session_open__free_unpacked(row, NULL);
	return (0);
}

int
apply_answers_moved(struct apply *a, struct slice key, Hf__SessionAnswers *row, struct err *e)
{
	struct slice session = SLICE((const uint8_t *)key.data + 1, 16);
	uint64_t floor, first;
	int rc;

	if (a->provisional || key.bytes != 1 + 16 + 8)
		return (0);
	first = get_be64((const uint8_t *)key.data + 17);
	rc = session_floor(a, session, &floor, e);
	for (size_t i = 0; rc == 0 && i < row->n_answers; i++) {
		Hf__SessionAnswer *answer = row->answers[i];

		if (answer->sequence < floor ||
		    answer->sequence - answer->sequence % ANSWERS_ROW != first)
			continue;
		answer->lsn = a->record->lsn;
		rc = apply_answer_put(a, session, answer, e);
	}
	return (rc);
}

int
apply_answer_moved(struct apply *a, struct slice key, Hf__SessionAnswer *row, struct err *e)
{
	uint64_t floor;
	int rc;

	if (a->provisional || key.bytes != 1 + 16 + 8)
		return (0);
	row->sequence = get_be64((const uint8_t *)key.data + 17);
	rc = session_floor(a, SLICE((const uint8_t *)key.data + 1, 16), &floor, e);
	if (rc < 0 || row->sequence < floor)
		return (rc);
	row->lsn = a->record->lsn;
	return (apply_answer_put(a, SLICE((const uint8_t *)key.data + 1, 16), row, e));
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Of older programs, which did not say what the session held. */
static int
volumes_unhold_all(struct apply *a, struct slice session, struct err *e)
{
	struct rows rows = ROWS_INIT;
	int rc;

	rc = rows_collect_prefix(&rows, &a->reader, SLICE_LITERAL("Y"), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++)
		rc = apply_volume_unhold(a, session,
		    get_be64((const uint8_t *)rows_key(&rows, i).data + 1), e);
	rows_release(&rows);
	return (rc);
}

static int
volumes_unhold(struct apply *a, const Hf__RecordSessionEnd *r, struct err *e)
{
	int rc = 0;

	if (!r->listed)
		return (volumes_unhold_all(a, bin_slice(r->session), e));
	for (size_t i = 0; rc == 0 && i < r->n_volumes; i++)
		rc = apply_volume_unhold(a, bin_slice(r->session), r->volumes[i], e);
	return (rc);
}

static int
session_drop(struct apply *a, struct slice session, struct err *e)
{
	Hf__RecordSessionOpen *old;
	int rc = session_get(a, session, &old, e);

	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	apply_delete(a);
	rc = apply_home_dead(a, NULL, old->home, e);
	hf__record_session_open__free_unpacked(old, NULL);
	return (rc);
}

int
apply_session_end(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordSessionEnd *r = (Hf__RecordSessionEnd *)m;
	struct slice session = bin_slice(r->session);
	int rc;

	session_forget(a);
	rc = volumes_unhold(a, r, e);
	if (rc < 0)
		return (rc);
	if (!a->provisional)
		rc = apply_answers_remove(a, session, 0, UINT64_MAX, e);
	return (rc < 0 ? rc : session_drop(a, session, e));
}
