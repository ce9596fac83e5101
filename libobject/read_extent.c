/*
 * read_extent - units of a few rows of an extent: each shard's by one read, checked while they are
 * in the processor's cache; what is lost is rebuilt row by row. Rules D1 to D3 stand in read_job.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libobject/read_job_internal.h"

/* --- Reading. --- */

static bool
unit_check(struct read_job *j, unsigned shard, unsigned row, const uint8_t *unit)
{
	struct err why = ERR_INIT;
	int rc = volume_unit_check(&j->extent, &j->rows[row], shard, unit, &why);

	if (rc < 0)
		shard_bad(j, j->map.slots[shard], j->rows[row].offset, rc, &why);
	return (rc == 0);
}

static bool
unit_read(struct read_job *j, unsigned shard, unsigned row, uint8_t *unit)
{
	unsigned slot = j->map.slots[shard];
	struct err why = ERR_INIT;
	int rc;

	rc = drive_read(j, slot, j->rows[row].offset, unit, j->rows[row].unit_bytes, &why);
	if (rc < 0)
		shard_bad(j, slot, j->rows[row].offset, rc, &why);
	return (rc == 0 && unit_check(j, shard, row, unit));
}

/* All rows of the shard that the job has; one by one, if some of it may be readable that way. */
static void
rows_read(struct read_job *j, unsigned shard)
{
	struct read_shard *s = &j->shards[shard];
	unsigned slot = j->map.slots[shard], row, end = s->first + s->count;
	struct err why = ERR_INIT;
	int rc;

	s->tried = true;
	rc = drive_read(j, slot, j->rows[s->first].offset, s->memory,
	    rows_unit_bytes(j, s->first, s->count), &why);
	if (rc < 0 && (rc == ERR_TIMEOUT || s->count == 1 || j->trying)) {
		shard_bad(j, slot, j->rows[s->first].offset, rc, &why);
		return;
	}
	for (row = s->first; row < end && !j->blocked; row++)
		if (rc == 0 ? unit_check(j, shard, row, shard_unit(s, row)) :
		    unit_read(j, shard, row, shard_unit(s, row)))
			s->good |= 1u << row;
}

/* --- Rebuilding. --- */

/* The first k shards that can be read: what rows are rebuilt from. */
static uint32_t
rebuild_sources(const struct read_job *j)
{
	uint32_t sources = 0;
	unsigned i, count = 0;

	for (i = 0; i < j->map.k + j->map.m && count < j->map.k; i++)
		if (shard_usable(j, i, false)) {
			sources |= 1u << i;
			count++;
		}
	return (sources);
}

/* Reads more shards of the row until k are good. */
static void
row_gather(struct read_job *j, unsigned row, uint8_t *units[], uint32_t *present, uint32_t tried)
{
	unsigned shards = j->map.k + j->map.m, i, pass;

	for (pass = 0; pass < 2 && !j->blocked; pass++)
		for (i = 0; i < shards && (unsigned)__builtin_popcount(*present) < j->map.k; i++) {
			if (tried >> i & 1 || !shard_usable(j, i, pass == 1))
				continue;
			tried |= 1u << i;
			if (unit_read(j, i, row, units[i]))
				*present |= 1u << i;
		}
}

static uint32_t
row_wanted(const struct read_job *j, unsigned row)
{
	uint32_t wanted = 0;
	unsigned i;

	for (i = 0; i < j->unit_count; i++)
		if (j->units[i].row == row)
			wanted |= 1u << j->units[i].shard;
	return (wanted);
}

static uint32_t
row_good(const struct read_job *j, unsigned row)
{
	uint32_t good = 0;
	unsigned i;

	for (i = 0; i < j->map.k + j->map.m; i++)
		good |= (j->shards[i].good >> row & 1) << i;
	return (good);
}

/* Where the row's units are, or will be: those that the job has no place for, in `more`. */
static void
row_units_place(const struct read_job *j, unsigned row, uint8_t *more, uint8_t *units[],
    uint32_t *tried)
{
	unsigned i;

	*tried = 0;
	for (i = 0; i < j->map.k + j->map.m; i++) {
		const struct read_shard *s = &j->shards[i];

		if (!shard_has_row(s, row)) {
			units[i] = more + (size_t)i * j->rows[row].unit_bytes;
			continue;
		}
		units[i] = shard_unit(s, row);
		*tried |= (uint32_t)s->tried << i;
	}
}

/* Rebuilds the units of a row that are wanted and not good. */
static int
row_rebuild(struct read_job *j, unsigned row)
{
	uint32_t wanted = row_wanted(j, row), present = row_good(j, row), tried;
	unsigned shards = j->map.k + j->map.m, unit_bytes = j->rows[row].unit_bytes;
	uint8_t *units[ERASURE_UNITS_MAX], *more = NULL;
	int rc = 0;

	if (!j->degraded && (more = aligned_alloc(VOLUME_ALIGN_BYTES,
	    (size_t)shards * unit_bytes)) == NULL)
		abort();
	row_units_place(j, row, more, units, &tried);
	row_gather(j, row, units, &present, tried);
	if (j->blocked) {
		rc = ERR_BUSY;
	} else if ((unsigned)__builtin_popcount(present) < j->map.k) {
		if (j->why.code == 0)
			err_set(&j->why, ERR_NO_QUORUM,
			    "only %d of %u shards of volume %llu can be read",
			    __builtin_popcount(present), shards, (unsigned long long)j->map.id);
		rc = j->why.code;
	} else {	/* an offline drive may have had it after all */
		rc = erasure_rebuild(j->objects->erasure, unit_bytes - VOLUME_TRAILER_BYTES,
		    present, wanted & ~present, units);
		assert(rc == 0);
		j->rebuilt += (unsigned)__builtin_popcount(wanted & ~present);
	}
	free(more);
	return (rc);
}

/* D2 */
void
read_extent_run(struct read_job *j)
{
	uint32_t sources = j->degraded ? rebuild_sources(j) : UINT32_MAX;
	unsigned i;

	for (i = 0; i < j->map.k + j->map.m && !j->blocked; i++) {
		j->shards[i].tried = false;
		j->shards[i].good = 0;
		if (sources >> i & 1 && j->shards[i].count > 0)
			rows_read(j, i);
	}
	for (i = 0; i < j->row_count && !j->blocked; i++)
		if ((row_wanted(j, i) & ~row_good(j, i)) != 0 && row_rebuild(j, i) < 0)
			return;
	if (!j->blocked)
		j->why = (struct err)ERR_INIT;
}
