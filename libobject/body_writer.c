/*
 * body_writer - receives a body into memory and takes it to the drives, or holds it for its record.
 *
 *     WAITING --layout--> INLINE --longer than inline--> SPILLING --copied--> VOLUME
 *            \--known to be longer than inline---------------------------------^
 *
 *     finish: END_ASKED -> (inline) END_HASHING -> END_DONE
 *                       -> (rows written) END_SYNCING -> END_DONE
 *
 * B1  Body bytes get their place in an extent before they are received; a row is filled, then full,
 *     then hashed and written by jobs, then free. What jobs touch is not touched here meanwhile.
 *
 * B2 is body_finish.c's, B3 body_memory.c's, B4 body_extent.c's, B5 body_pipeline.c's.
 *
 * Every callback from outside ends in writer_advance, which does all that can be done now.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/clock.h"
#include "libobject/body_writer_internal.h"

#define CHUNK_ROWS_MIN		16u

static void writer_spill(struct body_writer *w);
static void writer_destroy(struct body_writer *w);

uint64_t
writer_deadline(const struct body_writer *w)
{
	return (clock_mono_ms() + w->wait_ms);
}

/* --- Errors. --- */

void
writer_fail(struct body_writer *w, int code, const struct err *e)
{
	if (w->error.code != 0)
		return;
	w->error = *e;
	w->error.code = code;
	run_cancel(w->objects, &w->run_waiter);
	memory_cancel(w->objects, &w->memory_waiter);
}

/* --- Making. --- */

/* Once the layout is known. */
static void
writer_choose(struct body_writer *w)
{
	w->k = w->objects->k;
	w->m = w->objects->m;
	w->mode = w->expected == BODY_LENGTH_UNKNOWN || w->expected <= writer_inline_max(w)
	    ? WRITER_INLINE :
	    WRITER_VOLUME;
}

static void
on_layout(void *context, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct body_writer *w = context;
	struct err why = ERR_INIT;

	(void)reply;
	w->layout_call = NULL;
	if (w->objects->layout != NULL)
		writer_choose(w);
	else if (code != 0)
		writer_fail(w, code, e);
	else
		writer_fail(w, ERR_PROTOCOL, (err_set(&why, ERR_PROTOCOL,
		    "the store's layout makes no sense"), &why));
	writer_advance(w);
}

struct body_writer *
body_writer_new(struct objects *o, const char *request_id, uint64_t bytes_expected,
    const enum digest_kind kinds[], unsigned kind_count, uint64_t deadline_ms)
{
	struct body_writer *w = calloc(1, sizeof(*w));
	uint64_t now = clock_mono_ms();
	unsigned i;

	assert(kind_count <= BODY_DIGESTS_MAX);
	if (w == NULL)
		abort();
	w->objects = o;
	snprintf(w->request_id, sizeof(w->request_id), "%s", request_id != NULL ? request_id : "");
	w->expected = bytes_expected;
	w->wait_ms = deadline_ms > now ? deadline_ms - now : 0;
	w->chunk_rows = CHUNK_ROWS_MIN;
	w->kind_count = kind_count;
	pipeline_init(w);
	for (i = 0; i < kind_count; i++) {
		w->kinds[i] = kinds[i];
		digest_init(&w->digests[i], kinds[i]);
	}
	if (o->layout != NULL)
		writer_choose(w);
	return (w);
}

/* --- Rows. --- */

static uint32_t
stride_for(const struct body_writer *w, const struct extent_out *x)
{
	uint64_t rest = x->capacity - x->begun;

	return (rest >= volume_row_body_bytes(w->k) ? VOLUME_UNIT_BYTES :
	    (uint32_t)volume_extent_shard_bytes(w->k, rest));
}

/* The row that is being filled, with room; NULL: writer_advance comes. */
static struct row *
writer_row(struct body_writer *w)
{
	struct extent_out *x;
	struct row *r;

	if (w->filling != NULL)
		return (w->filling);
	x = extent_with_room(w);
	if (x == NULL)
		return (NULL);
	r = row_find(w, stride_for(w, x));
	if (r == NULL)
		return (NULL);
	row_begin(r, w->k, x);
	w->filling = r;
	return (r);
}

static void
row_full(struct body_writer *w)
{
	struct row *r = w->filling;

	w->filling = NULL;
	pipeline_add(w, r);
}

/* --- Receiving. --- */

/* NULL: not now. */
static void *
writer_space(struct body_writer *w, size_t *bytes)
{
	struct row *r;

	if (w->mode == WRITER_INLINE && w->error.code == 0) {
		if (w->bytes < w->data_capacity || writer_data_grow(w)) {
			*bytes = w->data_capacity - (size_t)w->bytes;
			return (w->data + w->bytes);
		}
		if (w->bytes > writer_inline_max(w))
			w->mode = WRITER_SPILLING;
	}
	if (w->mode == WRITER_SPILLING && w->error.code == 0)
		writer_spill(w);
	if (w->mode == WRITER_VOLUME && w->error.code == 0 && (r = writer_row(w)) != NULL)
		return (row_space(r, bytes));
	if (w->error.code != 0) {
		rows_drop(w, true);
		return (writer_scratch(w, bytes));
	}
	if (w->mode == WRITER_WAITING && w->layout_call == NULL)
		w->layout_call = objects_layout_ask(w->objects, w->request_id, writer_deadline(w),
		    on_layout, w);
	return (NULL);
}

void *
body_writer_space(struct body_writer *w, size_t *bytes, body_room_fn *fn, void *context)
{
	void *space;

	assert(w->end == END_NONE && w->room == NULL);
	space = writer_space(w, bytes);
	if (space != NULL)
		return (space);
	*bytes = 0;
	w->room = fn;
	w->room_context = context;
	return (NULL);
}

void
body_writer_filled(struct body_writer *w, size_t bytes)
{
	assert(w->end == END_NONE && w->room == NULL);
	w->bytes += bytes;
	/* the error may have come meanwhile */
	if (w->error.code != 0 || w->mode != WRITER_VOLUME) {
		assert(w->error.code != 0 || w->bytes <= w->data_capacity);
		return;
	}
	assert(w->filling != NULL || bytes == 0);
	if (w->filling == NULL)
		return;
	w->filling->filled += (uint32_t)bytes;
	assert(w->filling->filled <= w->filling->place.body_bytes);
	if (w->filling->filled == w->filling->place.body_bytes) {
		row_full(w);
		pipeline_pump(w);
	}
}

/* A body that turned out too long to be inline: its bytes so far go into rows. */
static void
writer_spill(struct body_writer *w)
{
	struct row *r;
	size_t n;

	while (w->data_at < w->bytes) {
		uint8_t *space;

		r = writer_row(w);
		if (r == NULL)
			return;
		space = row_space(r, &n);
		if (n > w->bytes - w->data_at)
			n = w->bytes - w->data_at;
		memcpy(space, w->data + w->data_at, n);
		w->data_at += n;
		r->filled += (uint32_t)n;
		if (r->filled == r->place.body_bytes) {
			row_full(w);
			pipeline_pump(w);
		}
	}
	writer_data_free(w);
	w->mode = WRITER_VOLUME;
}

/* --- Finishing. --- */

static bool
writer_idle(const struct body_writer *w)
{
	return (!pipeline_busy(w) && w->syncs_running == 0);
}

/* The last row may be partly filled. */
static void
finish_rows(struct body_writer *w)
{
	struct row *r = w->filling;

	if (r == NULL)
		return;
	if (r->filled == 0) {
		r->extent->begun -= r->place.body_bytes;
		r->state = ROW_FREE;
		w->filling = NULL;
		return;
	}
	row_end(r, w->k);
	row_full(w);
}

static void
writer_finish_step(struct body_writer *w)
{
	if (w->end == END_ASKED && w->error.code == 0) {
		if (w->mode == WRITER_INLINE && w->bytes > writer_inline_max(w)) {
			w->mode = WRITER_SPILLING;
			writer_spill(w);
		}
		if (w->mode == WRITER_INLINE || w->mode == WRITER_WAITING)
			body_finish_inline(w);
	}
	if (w->end == END_ASKED && w->mode == WRITER_VOLUME && w->error.code == 0) {
		finish_rows(w);
		pipeline_pump(w);
		if (pipeline_written(w))
			body_finish_sync(w);
	}
	if (!pipeline_idle(w) || w->syncs_running > 0)
		return;
	if (w->error.code != 0 || w->end == END_HASHING || w->end == END_SYNCING)
		body_finish_done(w);
}

void
writer_advance(void *context)
{
	struct body_writer *w = context;
	body_room_fn *room = w->room;
	size_t bytes;

	if (w->freed) {
		if (writer_idle(w))
			writer_destroy(w);
		return;
	}
	if (w->error.code != 0) {
		rows_drop(w, false);
		if (w->data != NULL && !w->inline_job.running)
			writer_data_free(w);
	} else {
		if (w->mode == WRITER_SPILLING)
			writer_spill(w);
		pipeline_pump(w);
	}
	if (room != NULL && (w->mode != WRITER_SPILLING || w->error.code != 0) &&
	    writer_space(w, &bytes) != NULL) {
		w->room = NULL;
		room(w->room_context);
		return;
	}
	if (w->end != END_NONE && w->end != END_DONE)
		writer_finish_step(w);
}

void
body_writer_finish(struct body_writer *w, body_done_fn *fn, void *context)
{
	assert(w->end == END_NONE && w->room == NULL);
	w->end = END_ASKED;
	w->done = fn;
	w->done_context = context;
	soon_run(w->objects, &w->soon, writer_advance, w);
}

uint64_t
body_writer_bytes(const struct body_writer *w)
{
	return (w->bytes);
}

void
body_writer_committed(struct body_writer *w)
{
	w->committed = true;
}

/* --- The end. --- */

static void
writer_destroy(struct body_writer *w)
{
	struct objects *o = w->objects;
	size_t i;
	unsigned d, shard;

	rows_drop(w, true);
	if (!w->committed)
		extents_discard(w);
	for (i = 0; i < w->extent_count; i++) {
		for (shard = 0; shard < 16; shard++)
			file_put(&w->extents[i]->files[shard]);
		run_settled(o, &w->extents[i]->run);
		free(w->extents[i]);
	}
	writer_data_free(w);
	if (w->granted > 0)
		memory_give(o, w->granted);
	for (d = 0; d < w->kind_count; d++)
		digest_release(&w->digests[d]);
	free(w->extents);
	free(w->extent_rows);
	free(w->syncs);
	free(w->scratch);
	free(w);
}

void
body_writer_free(struct body_writer **wp)
{
	struct body_writer *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	object_call_cancel(&w->layout_call);
	run_cancel(w->objects, &w->run_waiter);
	memory_cancel(w->objects, &w->memory_waiter);
	soon_cancel(w->objects, &w->soon);
	w->freed = true;
	rows_drop(w, true);
	if (writer_idle(w))
		writer_destroy(w);
}
