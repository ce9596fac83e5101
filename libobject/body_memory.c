/*
 * body_memory - the memory that a body is received into: inline data, rows, and what is dropped.
 *
 * B3  One row is waited for, more are taken only if there is room. So every writer can go on with
 *     what it has.
 *
 * Every byte here but the scratch was taken from the process's bound (memory.c) and goes back to
 * it. What lies in a row is body_row.c's; when one is full is body_writer.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "libobject/body_writer_internal.h"

#define SCRATCH_BYTES		65536u

static void
on_memory(void *context)
{
	struct body_writer *w = context;

	w->granted = w->memory_waiter.bytes;
	writer_advance(w);
}

/* B3: `bytes` are ours, or will be when writer_advance comes. */
static bool
memory_for(struct body_writer *w, size_t bytes, bool wait)
{
	if (w->granted >= bytes) {
		memory_give(w->objects, w->granted - bytes);
		w->granted = 0;
		return (true);
	}
	memory_give(w->objects, w->granted);
	w->granted = 0;
	if (w->memory_waiter.waiting)
		return (false);
	if (memory_take(w->objects, bytes))
		return (true);
	if (wait)
		memory_wait(w->objects, &w->memory_waiter, bytes, w->data_capacity > 0, on_memory,
		    w);
	return (false);
}

bool
writer_data_grow(struct body_writer *w)
{
	size_t most = (writer_inline_max(w) + 4095) / 4096 * 4096 + 4096, want = most;

	if (w->data == NULL && w->expected != BODY_LENGTH_UNKNOWN && w->expected < most)
		want = ((size_t)w->expected + 4095) / 4096 * 4096 + (w->expected == 0 ? 4096 : 0);
	if (w->data_capacity >= want || !memory_for(w, want - w->data_capacity, true))
		return (false);
	w->data = realloc(w->data, want);
	if (w->data == NULL)
		abort();
	w->data_capacity = want;
	return (true);
}

void
writer_data_free(struct body_writer *w)
{
	if (w->data_capacity > 0)
		memory_give(w->objects, w->data_capacity);
	free(w->data);
	w->data = NULL;
	w->data_capacity = 0;
}

/* --- Rows. --- */

static void
row_release(struct body_writer *w, struct row *r)
{
	if (r->memory == NULL)
		return;
	memory_give(w->objects, r->memory_bytes);
	if (r->kept != NULL)
		disk_kept_add(r->kept, r->memory);
	else
		buffer_put(w->objects, BUFFERS_LOOP, r->memory, r->buffer_bytes);
	disk_kept_put(&r->kept);
	r->memory = NULL;
	r->memory_bytes = 0;
	r->stride = 0;
}

struct row *
row_find(struct body_writer *w, uint32_t stride)
{
	size_t bytes = (size_t)(w->k + w->m) * stride;
	struct row *r, *empty = NULL;
	unsigned i, held = 0;

	for (i = 0; i < ROWS_MAX; i++) {
		r = &w->rows[i];
		if (r->state == ROW_FREE && r->stride >= stride && r->kept == NULL)
			return (r);
		if (r->state == ROW_FREE)
			row_release(w, r);
		if (r->memory == NULL)
			empty = r;
		else
			held++;
	}
	if (empty == NULL || !memory_for(w, bytes, held == 0))	/* B3 */
		return (NULL);
	empty->memory_bytes = empty->buffer_bytes = bytes;
	empty->memory = buffer_get(w->objects, BUFFERS_LOOP, &empty->buffer_bytes);
	empty->stride = stride;
	return (empty);
}

void
rows_drop(struct body_writer *w, bool all)
{
	unsigned i;

	pipeline_drop(w);
	if (all)
		w->filling = NULL;
	for (i = 0; i < ROWS_MAX; i++)
		if (w->rows[i].jobs == 0 && &w->rows[i] != w->filling) {
			w->rows[i].state = ROW_FREE;
			row_release(w, &w->rows[i]);
		}
}

void *
writer_scratch(struct body_writer *w, size_t *bytes)
{
	if (w->scratch == NULL)
		w->scratch = malloc(SCRATCH_BYTES);
	if (w->scratch == NULL)
		abort();
	*bytes = SCRATCH_BYTES;
	return (w->scratch);
}
