/*
 * apply_session - sessions, and the answers that are kept for them until they say that they have
 * them.
 *
 * The session's row carries the floor up to which answers were removed, so that a removal never
 * walks over what an earlier one removed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/apply_internal.h"

#define FLOOR_STEP	32	/* answers are removed when the floor has risen by so much */
#define FLOOR_ROWS_MAX	256	/* and at most so many at a time */

int
apply_session_open(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordSessionOpen *r = (Hf__RecordSessionOpen *)m;

	(void)e;
	key_session(&a->key, bin_slice(r->session));
	apply_put(a, r);
	return (0);
}

/* Removes answers in [from, to) and returns in *reached how far it came. */
static int
answers_remove(struct apply *a, struct slice session, uint64_t from, uint64_t to, uint64_t *reached,
    struct err *e)
{
	struct rows rows = ROWS_INIT;
	struct buf first = BUF_INIT, end = BUF_INIT;
	int rc;

	key_answer(&first, session, from);
	key_answer(&end, session, to);
	rc = rows_collect(&rows, &a->reader, buf_slice(&first), buf_slice(&end), FLOOR_ROWS_MAX, e);
	*reached = to;
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		struct slice key = rows_key(&rows, i);

		index_delete(a->layer, key);
		if (rows.more)
			*reached = get_be64((const uint8_t *)key.data + key.bytes - 8) + 1;
	}
	buf_release(&first);
	buf_release(&end);
	rows_release(&rows);
	return (rc);
}

int
apply_answer(struct apply *a, const Hf__Origin *origin, struct err *e)
{
	Hf__SessionAnswer answer = HF__SESSION_ANSWER__INIT;
	Hf__RecordSessionOpen *row;
	int rc;

	key_session(&a->key, bin_slice(origin->session));
	rc = apply_get(a, &hf__record_session_open__descriptor, &row, e);
	if (rc < 0)	/* a session of a read-only time, or one that has ended: nobody will ask */
		return (rc == ERR_NOT_FOUND ? 0 : rc);
	if (origin->floor >= row->floor + FLOOR_STEP) {
		rc = answers_remove(a, bin_slice(origin->session), row->floor, origin->floor,
		    &row->floor, e);
		key_session(&a->key, bin_slice(origin->session));
		apply_put(a, row);
	}
	hf__record_session_open__free_unpacked(row, NULL);
	answer.lsn = a->record->lsn;
	answer.reply = (ProtobufCBinaryData){ a->reply.bytes, a->reply.data };
	key_answer(&a->key, bin_slice(origin->session), origin->sequence);
	apply_put(a, &answer);
	return (rc);
}

static int
volumes_seal(struct apply *a, struct slice session, struct err *e)
{
	struct rows rows = ROWS_INIT;
	int rc;

	rc = rows_collect_prefix(&rows, &a->reader, SLICE_LITERAL("Y"), SIZE_MAX, e);
	for (size_t i = 0; rc == 0 && i < rows.count; i++) {
		Hf__VolumeUse *use;

		rc = row_unpack(rows_value(&rows, i), &hf__volume_use__descriptor, (void *)&use, e);
		if (rc < 0)
			break;
		if (slice_equal(bin_slice(use->holder), session)) {
			use->sealed = true;
			use->holder.len = 0;
			buf_reset(&a->key);
			buf_append_slice(&a->key, rows_key(&rows, i));
			apply_put(a, use);
		}
		hf__volume_use__free_unpacked(use, NULL);
	}
	rows_release(&rows);
	return (rc);
}

int
apply_session_end(struct apply *a, ProtobufCMessage *m, struct err *e)
{
	Hf__RecordSessionEnd *r = (Hf__RecordSessionEnd *)m;
	struct slice session = bin_slice(r->session);
	struct rows rows = ROWS_INIT;
	int rc;

	rc = volumes_seal(a, session, e);
	if (rc < 0)
		return (rc);
	if (!a->provisional) {
		key_answer(&a->key, session, 0);
		a->key.bytes -= 8;	/* the sequence */
		rc = rows_collect_prefix(&rows, &a->reader, buf_slice(&a->key), SIZE_MAX, e);
		for (size_t i = 0; rc == 0 && i < rows.count; i++)
			index_delete(a->layer, rows_key(&rows, i));
		rows_release(&rows);
	}
	key_session(&a->key, session);
	apply_delete(a);
	return (rc);
}
