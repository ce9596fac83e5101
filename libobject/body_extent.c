/*
 * body_extent - where a body's bytes get their place: extents, cut from runs that the store grants.
 *
 * B4  An extent that is not committed is given back to the store; what was never written, to the
 *     run.
 *
 * An extent's capacity is fixed when its run is taken: what is left of the body, if its length is
 * known and one run holds it, else whole rows. How runs are had is run.c's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "libbase/clock.h"
#include "libobject/body_writer_internal.h"

#define CHUNK_ROWS_MAX		256u

static void
extent_add(struct body_writer *w, const struct run *piece, uint64_t capacity)
{
	struct extent_out *x = calloc(1, sizeof(*x));

	w->extents = reallocarray(w->extents, w->extent_count + 1, sizeof(*w->extents));
	if (x == NULL || w->extents == NULL)
		abort();
	w->extents[w->extent_count++] = x;
	hf__extent__init(&x->x);
	x->run = *piece;
	x->capacity = capacity;
	x->x.volume = piece->map.id;
	x->x.offset = piece->offset;
	random_bytes(&x->x.write_id, sizeof(x->x.write_id));
}

static void
on_run(void *context, int code, const struct err *e)
{
	struct body_writer *w = context;

	if (code < 0)
		writer_fail(w, code, e);
	writer_advance(w);
}

static uint64_t
bytes_begun(const struct body_writer *w)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < w->extent_count; i++)
		sum += w->extents[i]->begun;
	return (sum);
}

struct extent_out *
extent_with_room(struct body_writer *w)
{
	struct extent_out *last = w->extent_count > 0 ? w->extents[w->extent_count - 1] : NULL;
	uint64_t begun, rest, want;
	struct run piece;
	struct err why = ERR_INIT;

	if (last != NULL && last->begun < last->capacity)
		return (last);
	if (w->run_waiter.waiting)
		return (NULL);
	begun = bytes_begun(w);
	rest = w->expected != BODY_LENGTH_UNKNOWN && w->expected > begun ? w->expected - begun : 0;
	want = rest > 0 ? volume_extent_shard_bytes(w->k, rest) : w->chunk_rows * VOLUME_UNIT_BYTES;
	if (!run_take(w->objects, want, &piece)) {
		w->run_waiter.request_id = w->request_id;
		w->run_waiter.deadline_ms = writer_deadline(w);
		run_wait(w->objects, &w->run_waiter, on_run, w);
		return (NULL);
	}
	if (piece.map.k != w->k || piece.map.m != w->m) {
		run_give(w->objects, &piece, 0);
		run_settled(w->objects, &piece);
		err_set(&why, ERR_STALE, "volume %llu is %u+%u, the set is %u+%u",
		    (unsigned long long)piece.map.id, piece.map.k, piece.map.m, w->k, w->m);
		writer_fail(w, ERR_STALE, &why);
		return (NULL);
	}
	extent_add(w, &piece, rest > 0 && piece.bytes == want ? rest :
	    piece.bytes / VOLUME_UNIT_BYTES * volume_row_body_bytes(w->k));
	if (rest == 0 && w->chunk_rows < CHUNK_ROWS_MAX)
		w->chunk_rows *= 2;
	return (w->extents[w->extent_count - 1]);
}

void
extent_settle(struct body_writer *w, struct extent_out *x)
{
	if (x->settled)
		return;
	x->settled = true;
	run_give(w->objects, &x->run, volume_extent_shard_bytes(w->k, x->x.bytes));
}

void
extents_discard(struct body_writer *w)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ExtentDiscard discard = HF__EXTENT_DISCARD__INIT;
	Hf__Extent **rows = calloc(w->extent_count + 1, sizeof(*rows));
	size_t i;

	if (rows == NULL)
		abort();
	for (i = 0; i < w->extent_count; i++) {
		struct extent_out *x = w->extents[i];

		extent_settle(w, x);
		if (x->x.bytes > 0 && x->run.generation == w->objects->session.generation)
			rows[discard.n_extents++] = &x->x;
	}
	if (discard.n_extents > 0 && !w->objects->closed) {
		discard.extents = rows;
		request.op_case = HF__STORE_REQUEST__OP_EXTENT_DISCARD;
		request.extent_discard = &discard;
		(void)object_call(w->objects, w->request_id, &request,
		    clock_mono_ms() + STORE_WAIT_MS, NULL, NULL);
	}
	free(rows);
}
