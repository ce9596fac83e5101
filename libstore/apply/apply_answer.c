/*
 * apply_answer - what sessions were answered: rows of ANSWERS_ROW sequences each.
 *
 * N1  A row holds answers in the order of their sequences, none twice.
 * N2  The rows that are added to are kept in struct apply, and written by apply_flush: a record
 *     adds some bytes. Whoever removes rows, or looks for them in the index, has these written or
 *     forgotten first.
 *
 * Which answers are kept, and for how long, is apply_session.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libstore/apply/apply_internal.h"

#define REMOVE_ROWS	8	/* so many are removed without a look whether they are there */
#define COLLECT_ROWS	256	/* else those that are, so many at a time */

static uint64_t
row_first(uint64_t sequence)
{
	return (sequence - sequence % ANSWERS_ROW);
}

static bool
row_is(const struct answers_row *w, struct slice session)
{
	return (w->used && slice_equal(SLICE(w->session, sizeof(w->session)), session));
}

/* Leaves a->key alone: callers of apply_flush may be in the middle of something. */
static void
row_write(struct apply *a, struct answers_row *w)
{
	if (!w->dirty)
		return;
	key_answers(&a->answers_key, SLICE(w->session, sizeof(w->session)), w->first);
	if (w->fresh)
		index_put_fresh(a->layer, buf_slice(&a->answers_key), buf_slice(&w->value));
	else
		index_put(a->layer, buf_slice(&a->answers_key), buf_slice(&w->value));
	w->dirty = w->fresh = false;
}

void
apply_answers_flush(struct apply *a)
{
	for (unsigned i = 0; i < APPLY_ANSWERS; i++)
		if (a->answers[i].used)
			row_write(a, &a->answers[i]);
}

void
apply_answers_release(struct apply *a)
{
	for (unsigned i = 0; i < APPLY_ANSWERS; i++)
		buf_release(&a->answers[i].value);
	buf_release(&a->answers_key);
}

/* What the index has of a row. */
static int
row_load(struct apply *a, struct answers_row *w, struct err *e)
{
	Hf__SessionAnswers *m;
	int rc;

	key_answers(&a->answers_key, SLICE(w->session, sizeof(w->session)), w->first);
	rc = index_get(&a->reader, buf_slice(&a->answers_key), &w->value, e);
	w->fresh = rc == ERR_NOT_FOUND;
	w->next = 0;
	if (rc < 0)
		return (w->fresh ? 0 : rc);
	rc = row_unpack(buf_slice(&w->value), &hf__session_answers__descriptor, (void *)&m, e);
	if (rc < 0)
		return (rc);
	if (m->n_answers > 0)
		w->next = m->answers[m->n_answers - 1]->sequence + 1;
	hf__session_answers__free_unpacked(m, NULL);
	return (0);
}

/* The row of a sequence, kept from here on. */
static int
row_keep(struct apply *a, struct slice session, uint64_t sequence, struct answers_row **out,
    struct err *e)
{
	uint64_t first = row_first(sequence);
	struct answers_row *w;
	int rc;

	assert(session.bytes == sizeof(w->session));
	w = &a->answers[0];
	for (unsigned i = 0; i < APPLY_ANSWERS; i++) {
		*out = &a->answers[i];
		if ((*out)->first == first && row_is(*out, session)) {
			(*out)->turn = ++a->answers_turn;
			return (0);
		}
		if ((*out)->turn < w->turn)
			w = *out;
	}
	*out = w;
	w->turn = ++a->answers_turn;
	if (w->used)
		row_write(a, w);
	w->used = false;
	memcpy(w->session, session.data, sizeof(w->session));
	w->first = first;
	rc = row_load(a, w, e);
	w->used = rc == 0;
	return (rc);
}

/* Into the middle, or in the place of one that is there: that is for rows that were moved. */
static int
row_insert(struct answers_row *w, const Hf__SessionAnswer *answer, struct err *e)
{
	Hf__SessionAnswers *m, out = HF__SESSION_ANSWERS__INIT;
	size_t at = 0;
	int rc;

	rc = row_unpack(buf_slice(&w->value), &hf__session_answers__descriptor, (void *)&m, e);
	if (rc < 0)
		return (rc);
	out.answers = calloc(m->n_answers + 1, sizeof(*out.answers));
	assert(out.answers != NULL);
	for (; at < m->n_answers && m->answers[at]->sequence < answer->sequence; at++)
		out.answers[out.n_answers++] = m->answers[at];
	out.answers[out.n_answers++] = (Hf__SessionAnswer *)(uintptr_t)answer;
	for (; at < m->n_answers; at++)
		if (m->answers[at]->sequence != answer->sequence)
			out.answers[out.n_answers++] = m->answers[at];
	message_pack_into(&w->value, &out.base);
	free(out.answers);
	hf__session_answers__free_unpacked(m, NULL);
	return (0);
}

/* A row of one answer more is the row, and that answer as a row of its own behind it. */
static void
row_append(struct answers_row *w, const Hf__SessionAnswer *answer)
{
	Hf__SessionAnswer *one = (Hf__SessionAnswer *)(uintptr_t)answer;
	Hf__SessionAnswers m = HF__SESSION_ANSWERS__INIT;

	m.n_answers = 1;
	m.answers = &one;
	hf__session_answers__pack(&m, buf_extend(&w->value,
	    hf__session_answers__get_packed_size(&m)));
	w->next = answer->sequence + 1;
}

int
apply_answer_put(struct apply *a, struct slice session, const Hf__SessionAnswer *answer,
    struct err *e)
{
	struct answers_row *w;
	int rc;

	rc = row_keep(a, session, answer->sequence, &w, e);
	if (rc < 0)
		return (rc);
	w->dirty = true;
	if (answer->sequence < w->next)
		return (row_insert(w, answer, e));
	row_append(w, answer);
	return (0);
}

/* --- removing --------------------------------------------------------------------------------- */

/* Rows that begin in [from, to) are no longer kept. */
static void
rows_forget(struct apply *a, struct slice session, uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < APPLY_ANSWERS; i++) {
		struct answers_row *w = &a->answers[i];

		if (row_is(w, session) && w->first >= from && w->first < to)
			w->used = w->dirty = false;
	}
}

static int
rows_remove_there(struct apply *a, struct slice from, struct slice to, struct err *e)
{
	struct rows rows = ROWS_INIT;
	int rc = 0;

	do {
		rc = rows_collect(&rows, &a->reader, from, to, COLLECT_ROWS, e);
		for (size_t i = 0; rc == 0 && i < rows.count; i++)
			index_delete(a->layer, rows_key(&rows, i));
	} while (rc == 0 && rows.more);
	rows_release(&rows);
	return (rc);
}

int
apply_answers_remove(struct apply *a, struct slice session, uint64_t from, uint64_t to,
    struct err *e)
{
	struct buf first = BUF_INIT, end = BUF_INIT;
	int rc = 0;

	assert(from % ANSWERS_ROW == 0 && (to % ANSWERS_ROW == 0 || to == UINT64_MAX));
	rows_forget(a, session, from, to);
	if (to - from <= REMOVE_ROWS * ANSWERS_ROW) {
		for (; from < to; from += ANSWERS_ROW) {
			key_answers(&a->answers_key, session, from);
			index_delete(a->layer, buf_slice(&a->answers_key));
		}
		return (0);
	}
	key_answers(&first, session, from);
	key_answers(&end, session, to);
	rc = rows_remove_there(a, buf_slice(&first), buf_slice(&end), e);
	buf_release(&first);
	buf_release(&end);
	return (rc);
}
