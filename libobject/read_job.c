/*
 * read_job - see read_job.h: what of a body one job reads, where in its memory, and how that is
 * delivered.
 *
 * Every unit and record is verified before it is good; what is not good comes from another mirror
 * or from parity, and is put down as damage.
 *
 * D1  Drives that are not online, and shards that were not written, are not tried while there are
 *     others.
 * D2  Nothing is delivered that did not pass its check, or was not rebuilt from units that did.
 * D3  A drive that hangs costs a read the deadline (objects_options.read_ms_max) once; while its
 *     step is overdue it counts as one that is not online. The thread that waits for it is none
 *     of the pool's (libstore/disk/disk_deadline.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libobject/read_job_internal.h"

/* --- Planning. --- */

static void
unit_add(struct read_job *j, unsigned shard, uint32_t at, uint32_t bytes)
{
	struct read_unit *u = &j->units[j->unit_count++];
	struct read_shard *s = &j->shards[shard];

	assert(j->unit_count <= JOB_UNITS_MAX);
	*u = (struct read_unit){ .row = j->row_count, .shard = shard, .at = at, .bytes = bytes };
	if (s->count == 0)
		s->first = j->row_count;
	s->count = j->row_count - s->first + 1;
	j->wanted |= 1u << shard;
	j->degraded |= !shard_usable(j, shard, false);
}

static void
plan_units(struct read_job *j)
{
	unsigned k = j->map.k;
	uint64_t row_bytes = volume_row_body_bytes(k), at = j->skip, end = j->skip + j->bytes;

	while (at < end) {
		struct volume_row *row = &j->rows[j->row_count];
		uint64_t row_end;
		uint32_t payload;

		volume_row_get(k, &j->extent, at / row_bytes, row);
		payload = row->unit_bytes - VOLUME_TRAILER_BYTES;
		row_end = row->body_offset + row->body_bytes;
		while (at < end && at < row_end) {
			uint64_t in_row = at - row->body_offset, rest = payload - in_row % payload;

			if (rest > row_end - at)
				rest = row_end - at;
			if (rest > end - at)
				rest = end - at;
			unit_add(j, (unsigned)(in_row / payload), (uint32_t)(in_row % payload),
			    (uint32_t)rest);
			at += rest;
		}
		j->row_count++;
	}
}

/* What is wanted will be rebuilt: whole rows of all shards have their place. */
static void
plan_rows(struct read_job *j)
{
	unsigned i;

	for (i = 0; i < j->map.k + j->map.m; i++)
		j->shards[i] = (struct read_shard){ .count = j->row_count };
}

/* Half as many when some will be rebuilt: parity shares the processor's cache with them. */
static unsigned
units_wanted(const struct read_job *j)
{
	unsigned i;

	for (i = 0; i < j->map.k; i++)
		if (!shard_usable(j, i, false))
			return (JOB_UNITS_WANTED / 2);
	return (JOB_UNITS_WANTED);
}

static uint64_t
rows_bytes(const struct read_job *j, uint64_t skip)
{
	unsigned k = j->map.k, units = units_wanted(j), rows = k >= units ? 1 : units / k;
	uint64_t row_bytes = volume_row_body_bytes(k);

	return ((skip / row_bytes + rows) * row_bytes - skip);
}

void
read_job_plan(struct read_job *j, struct span *span)
{
	uint64_t most;

	j->inlined = span->inlined;
	j->place = span->place;
	j->extent = span->extent;
	j->skip = span->skip;
	most = j->inlined ? span->bytes : rows_bytes(j, span->skip);
	j->bytes = span->bytes < most ? span->bytes : most;
	span->skip += j->bytes;
	span->bytes -= j->bytes;
	if (!j->inlined)
		plan_units(j);
	if (j->degraded)
		plan_rows(j);
}

static size_t
shards_bytes(const struct read_job *j, uint32_t shards)
{
	size_t bytes = 0;
	unsigned i;

	for (i = 0; i < j->map.k + j->map.m; i++)
		if (shards >> i & 1 && j->shards[i].count > 0)
			bytes += rows_unit_bytes(j, j->shards[i].first, j->shards[i].count);
	return (bytes);
}

size_t
read_job_bytes(const struct read_job *j)
{
	return (j->inlined ? j->place.record_bytes : shards_bytes(j, UINT32_MAX));
}

/* --- Delivering. --- */

bool
read_job_next(struct read_job *j, struct slice *out)
{
	const struct read_unit *u;

	if (j->inlined) {
		*out = j->data;
		return (j->next++ == 0);
	}
	if (j->next == j->unit_count)
		return (false);
	u = &j->units[j->next++];
	*out = SLICE(shard_unit(&j->shards[u->shard], u->row) + u->at, u->bytes);
	return (true);
}

/* --- Reading. --- */

/* The spare is hot in the cache of who rebuilds all the time. */
static void
memory_place(struct read_job *j, unsigned owner)
{
	uint8_t *at[2];
	unsigned i;

	assert(j->memory == NULL && j->spare == NULL);
	j->owner = owner;
	j->buffer_bytes = j->inlined ? j->place.record_bytes : shards_bytes(j, j->wanted);
	j->memory = at[1] = buffer_get(j->objects, owner, &j->buffer_bytes);
	j->spare_bytes = shards_bytes(j, ~j->wanted);
	if (j->spare_bytes > 0)
		j->spare = at[0] = buffer_get(j->objects, owner, &j->spare_bytes);
	for (i = 0; !j->inlined && i < j->map.k + j->map.m; i++) {
		struct read_shard *s = &j->shards[i];
		unsigned which = j->wanted >> i & 1;

		if (s->count == 0)
			continue;
		s->memory = at[which];
		at[which] += rows_unit_bytes(j, s->first, s->count);
	}
}

static void
spare_put(struct read_job *j)
{
	buffer_put(j->objects, j->owner, j->spare, j->spare_bytes);
	j->spare = NULL;
}

void
read_job_run(struct read_job *j, unsigned owner)
{
	memory_place(j, owner);
	if (j->inlined)
		read_record_run(j);
	else
		read_extent_run(j);
	spare_put(j);
}

static bool
try_extent(struct read_job *j)
{
	bool there;

	j->trying = true;
	read_extent_run(j);
	there = !j->blocked && j->why.code == 0;
	j->trying = j->blocked = false;
	if (!there)
		j->why = (struct err)ERR_INIT;
	return (there);
}

bool
read_job_try(struct read_job *j)
{
	bool there;

	if (j->objects->disk != disk_posix())
		return (false);
	memory_place(j, BUFFERS_LOOP);
	there = j->inlined ? read_record_try(j) : try_extent(j);	/* D2 */
	spare_put(j);
	if (!there)
		read_job_buffer_put(j);
	return (there);
}

void
read_job_buffer_put(struct read_job *j)
{
	buffer_put(j->objects, j->owner, j->memory, j->buffer_bytes);
	j->memory = NULL;
}
