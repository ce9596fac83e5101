/*
 * state_parts - see state_parts.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/state/state_parts.h"

#include <assert.h>
#include <stdlib.h>

#include "libstore/state/op.h"

#define PIECES_MAX	64u		/* uploads in a record */
#define RETRY_MS	1000u

struct pieces {
	Hf__PartsPiece	 pieces[PIECES_MAX], *list[PIECES_MAX];
	size_t		 count, parts;
};

/* What comes next of one ended upload; parts: how many may be freed. */
static int
piece_fill(struct state *st, Hf__PartsPiece *p, uint32_t next, size_t *parts, struct err *e)
{
	struct index_reader r = state_committed(st);
	struct buf from = BUF_INIT, to = BUF_INIT;
	struct rows rows = ROWS_INIT;
	int rc;

	key_part(&from, bin_slice(p->upload_id), next);
	key_part(&to, bin_slice(p->upload_id), UINT16_MAX);
	rc = rows_collect(&rows, &r, buf_slice(&from), buf_slice(&to), *parts, e);
	p->first = p->last = next;
	p->all = !rows.more;
	if (rows.count > 0) {
		struct slice key = rows_key(&rows, rows.count - 1);

		p->last = get_be16((const uint8_t *)key.data + key.bytes - 2);
	}
	*parts -= rows.count;
	rows_release(&rows);
	buf_release(&from);
	buf_release(&to);
	return (rc);
}

static int
piece_add(struct state *st, struct pieces *out, struct slice key, struct slice value,
    struct err *e)
{
	Hf__PartsPiece *p = &out->pieces[out->count];
	struct slice upload_id;
	Hf__EndedUpload *row;
	int rc;

	hf__parts_piece__init(p);
	rc = key_ended_parse(key, &p->ended_lsn, &upload_id);
	if (rc < 0)
		return (err_set(e, rc, "an ended upload's key in the index cannot be read"));
	rc = row_unpack(value, &hf__ended_upload__descriptor, (void *)&row, e);
	if (rc < 0)
		return (rc);
	p->upload_id = (ProtobufCBinaryData){ upload_id.bytes,
	    (uint8_t *)(uintptr_t)upload_id.data };
	rc = piece_fill(st, p, row->next, &out->parts, e);
	hf__ended_upload__free_unpacked(row, NULL);
	out->list[out->count++] = p;
	return (rc);
}

static void
freed(struct state *st, struct op *op)
{
	(void)op;
	st->parts.busy = false;
}

/* Appends the next record, if there is anything. */
static int
pieces_append(struct state *st, const struct rows *rows, struct err *e)
{
	Hf__RecordPartsFreed r = HF__RECORD_PARTS_FREED__INIT;
	struct pieces p = { .parts = PARTS_PIECE };	/* E2 */
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < rows->count && p.parts > 0; i++)
		rc = piece_add(st, &p, rows_key(rows, i), rows_value(rows, i), e);
	if (rc < 0)
		return (rc);
	r.n_pieces = p.count;
	r.pieces = p.list;
	rc = state_append_own(st, RECORD_PARTS_FREED, &r.base, freed, NULL, e);
	st->parts.busy = rc == 0;
	return (rc);
}

void
parts_load(struct state *st)
{
	st->parts = (struct parts_end){ .look = true };
}

void
parts_turn(struct state *st)
{
	struct index_reader r = state_committed(st);
	struct parts_end *p = &st->parts;
	struct rows rows = ROWS_INIT;
	struct err e = ERR_INIT;
	int rc;

	if (!p->look || p->busy || st->draining || p->due_ms > st->now_ms ||
	    drive_set_read_only(st->o.drives))
		return;
	rc = rows_collect_prefix(&rows, &r, SLICE_LITERAL("Z"), PIECES_MAX, &e);
	p->look = rc != 0 || rows.count > 0;
	if (rc == 0 && rows.count > 0)
		rc = pieces_append(st, &rows, &e);
	if (rc < 0)
		p->due_ms = st->now_ms + RETRY_MS;
	rows_release(&rows);
}

uint64_t
parts_next_ms(const struct state *st)
{
	const struct parts_end *p = &st->parts;

	if (!p->look || p->busy || st->draining || drive_set_read_only(st->o.drives))
		return (UINT64_MAX);
	return (p->due_ms);
}
