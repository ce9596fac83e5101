/*
 * read_job - see read_job.h. Every unit and record is verified before it is good; what is not good
 * comes from another mirror or from parity, and is put down as damage.
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
#include "libobject/read_job.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "libstore/format/record.h"
#include "libstore/log/shard_reader.h"

/* --- Planning. --- */

static bool
slot_offline(const struct read_job *j, unsigned slot)
{
	return (j->offline >> slot & 1);
}

/* D1: shard is worth trying in this pass. */
static bool
shard_usable(const struct read_job *j, unsigned shard, bool desperate)
{
	if (!j->inlined && (j->extent.missing & ~j->map.complete) >> shard & 1)
		return (false);
	/* A mirror that lacks records may still have this one, a shard this extent. */
	return ((slot_offline(j, j->map.slots[shard]) || j->map.missing >> shard & 1) == desperate);
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
			struct read_unit *u = &j->units[j->unit_count++];
			uint64_t in_row = at - row->body_offset, rest = payload - in_row % payload;

			assert(j->unit_count <= JOB_UNITS_MAX);
			if (rest > row_end - at)
				rest = row_end - at;
			if (rest > end - at)
				rest = end - at;
			*u = (struct read_unit){ .row = j->row_count,
			    .shard = (unsigned)(in_row / payload) };
			u->wanted = SLICE((void *)(uintptr_t)(in_row % payload), rest);
			at += rest;
		}
		j->row_count++;
	}
}

static uint64_t
rows_bytes(const struct read_job *j, uint64_t skip)
{
	unsigned k = j->map.k, rows = k >= JOB_UNITS_WANTED ? 1 : JOB_UNITS_WANTED / k;
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
}

size_t
read_job_bytes(const struct read_job *j)
{
	size_t bytes = 0, spare = 0;
	unsigned i;

	if (j->inlined)
		return (j->place.record_bytes);
	for (i = 0; i < j->unit_count; i++) {
		bytes += j->rows[j->units[i].row].unit_bytes;
		if (!shard_usable(j, j->units[i].shard, false))
			spare = (size_t)(j->map.k + j->map.m) * j->rows[0].unit_bytes;
	}
	return (bytes + spare);
}

/* The first row's units are the largest. */
void
read_job_place(struct read_job *j)
{
	uint8_t *at = j->memory;
	bool spare = false;
	unsigned i;

	for (i = 0; i < j->unit_count; i++) {
		struct read_unit *u = &j->units[i];

		u->memory = at;
		u->wanted.data = at + (uintptr_t)u->wanted.data;
		at += j->rows[u->row].unit_bytes;
		if (!shard_usable(j, u->shard, false))
			spare = true;
	}
	j->spare = spare ? at : NULL;
}

bool
read_job_next(struct read_job *j, struct slice *out)
{
	if (j->inlined) {
		*out = j->data;
		return (j->next++ == 0);
	}
	if (j->next == j->unit_count)
		return (false);
	*out = j->units[j->next++].wanted;
	return (true);
}

/* --- Reading. --- */

/* What is in the page cache does not wait for the drive, and costs no other thread. Handles of the
 * real disk are descriptors. */
static bool
read_now(struct objects *o, const struct file *f, uint64_t offset, void *out, size_t bytes)
{
	struct iovec iov = { out, bytes };

	return (o->disk == disk_posix() &&
	    preadv2(file_handle(f), &iov, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)bytes);
}

static bool
try_at(struct read_job *j, enum file_kind kind, unsigned slot, uint64_t offset, void *out,
    size_t bytes)
{
	struct file *f = file_peek(j->objects->files, kind, j->map.id, slot);
	bool there;

	if (f == NULL)
		return (false);
	there = read_now(j->objects, f, offset, out, bytes);
	file_put(&f);
	return (there);
}

/* D3 */
static ssize_t
read_by_deadline(struct objects *o, const struct file *f, uint64_t offset, void *out, size_t bytes,
    struct err *e)
{
	struct disk *d = o->deadline != NULL ? o->deadline : o->disk;

	if (o->deadline != NULL && read_now(o, f, offset, out, bytes))
		return ((ssize_t)bytes);
	return (d->ops->pread(d, file_handle(f), out, bytes, offset, e));
}

/* Reads exactly; a file that ends before is ERR_STALE: what was there is gone. */
static int
read_at(struct read_job *j, unsigned slot, uint64_t offset, void *out, size_t bytes, struct err *e)
{
	struct objects *o = j->objects;
	enum file_kind kind = !j->inlined ? FILE_VOLUME : j->map.k > 0 ? FILE_SHARD : FILE_SEGMENT;
	struct file *f;
	ssize_t n;
	int rc;

	if (j->trying)
		return (try_at(j, kind, slot, offset, out, bytes) ? 0 : ERR_BUSY);
	rc = file_get(o->files, kind, j->map.id, slot, false, &f, e);
	if (rc < 0)
		return (rc == ERR_NOT_FOUND ? err_prefix(e, "slot %u", slot), ERR_STALE : rc);
	n = read_by_deadline(o, f, offset, out, bytes, e);
	file_put(&f);
	if (n < 0)
		return ((int)n);
	if ((size_t)n < bytes)
		return (err_set(e, ERR_STALE, "the file in slot %u ends before %llu", slot,
		    (unsigned long long)offset + bytes));
	return (0);
}

static void
shard_bad(struct read_job *j, unsigned slot, uint64_t offset, int code, struct err *why)
{
	if (j->trying) {	/* a thread finds out what it is */
		j->blocked = true;
		return;
	}
	why->code = code;
	damages_add(&j->damages, j->inlined ? FILE_SEGMENT : FILE_VOLUME, j->map.id, offset, slot,
	    why);
	/* Of several reasons, the one that says most: gone, then damaged, then not readable. */
	if (j->why.code == 0 || (code == ERR_STALE && j->why.code != ERR_STALE) ||
	    (code == ERR_CORRUPT && j->why.code != ERR_STALE))
		j->why = *why;
}

static bool
unit_read(struct read_job *j, const struct volume_row *row, unsigned shard, uint8_t *memory)
{
	unsigned slot = j->map.slots[shard];
	struct err why = ERR_INIT;
	int rc;

	rc = read_at(j, slot, row->offset, memory, row->unit_bytes, &why);
	if (rc == 0)
		rc = volume_unit_check(&j->extent, row, shard, memory, &why);
	if (rc < 0)
		shard_bad(j, slot, row->offset, rc, &why);
	return (rc == 0);
}

/* Reads more shards of the row until k are good. */
static void
row_gather(struct read_job *j, const struct volume_row *row, uint8_t *units[], uint32_t *present,
    uint32_t *tried)
{
	unsigned shards = j->map.k + j->map.m, i, pass;

	for (pass = 0; pass < 2 && !j->blocked; pass++)
		for (i = 0; i < shards && (unsigned)__builtin_popcount(*present) < j->map.k; i++) {
			if (*tried >> i & 1 || !shard_usable(j, i, pass == 1))
				continue;
			*tried |= 1u << i;
			if (unit_read(j, row, i, units[i]))
				*present |= 1u << i;
		}
}

/* Rebuilds the units of a row that are wanted and not good. */
static int
row_rebuild(struct read_job *j, unsigned row_index)
{
	const struct volume_row *row = &j->rows[row_index];
	uint32_t present = 0, lost = 0, tried = 0;
	unsigned shards = j->map.k + j->map.m, i;
	uint8_t *units[ERASURE_UNITS_MAX], *extra = j->spare, *own = NULL;
	int rc = 0;

	if (extra == NULL)
		extra = own = aligned_alloc(VOLUME_ALIGN_BYTES, (size_t)shards * row->unit_bytes);
	if (extra == NULL)
		abort();
	for (i = 0; i < shards; i++)
		units[i] = extra + (size_t)i * row->unit_bytes;
	for (i = 0; i < j->unit_count; i++) {
		struct read_unit *u = &j->units[i];

		if (u->row != row_index)
			continue;
		units[u->shard] = u->memory;
		if (u->good)
			present |= 1u << u->shard;
		else
			lost |= 1u << u->shard;
		if (u->good || shard_usable(j, u->shard, false))
			tried |= 1u << u->shard;	/* by read_units */
	}
	row_gather(j, row, units, &present, &tried);
	lost &= ~present;	/* an offline drive had it after all */
	if (j->blocked) {
		rc = ERR_BUSY;
	} else if ((unsigned)__builtin_popcount(present) < j->map.k) {
		if (j->why.code == 0)
			err_set(&j->why, ERR_NO_QUORUM,
			    "only %d of %u shards of volume %llu can be read",
			    __builtin_popcount(present), shards, (unsigned long long)j->map.id);
		rc = j->why.code;
	} else {
		rc = erasure_rebuild(j->objects->erasure, row->unit_bytes - VOLUME_TRAILER_BYTES,
		    present, lost, units);
		assert(rc == 0);
		j->rebuilt += (unsigned)__builtin_popcount(lost);
	}
	free(own);
	return (rc);
}

/* D2. True if all are good. */
static bool
read_units(struct read_job *j, bool bad_rows[JOB_UNITS_MAX])
{
	bool all = true;
	unsigned i;

	for (i = 0; i < j->unit_count && !j->blocked; i++) {
		struct read_unit *u = &j->units[i];

		u->good = shard_usable(j, u->shard, false) &&
		    unit_read(j, &j->rows[u->row], u->shard, u->memory);
		bad_rows[u->row] |= !u->good;
		all &= u->good;
	}
	return (all);
}

static void
run_extent(struct read_job *j)
{
	bool bad_rows[JOB_UNITS_MAX] = { false };
	unsigned i;

	if (read_units(j, bad_rows) || j->blocked)
		return;
	for (i = 0; i < j->row_count; i++)
		if (bad_rows[i] && row_rebuild(j, i) < 0)
			return;
	j->why = (struct err)ERR_INIT;
}

static bool
record_take(struct read_job *j, struct err *why)
{
	struct slice data;

	if (record_body(SLICE(j->memory, j->place.record_bytes), &j->place, &data, why) < 0)
		return (false);
	if (j->skip > data.bytes || j->bytes > data.bytes - j->skip) {
		err_set(why, ERR_CORRUPT, "a record holds %zu bytes, not %llu", data.bytes,
		    (unsigned long long)(j->skip + j->bytes));
		return (false);
	}
	j->data = SLICE((const uint8_t *)data.data + j->skip, j->bytes);
	return (true);
}

/* The mirror to begin with: always the same one for a stretch, so that one page cache has it. */
static unsigned
first_mirror(const struct read_job *j)
{
	return ((unsigned)((j->place.offset >> 20) % j->map.count));
}

static void
run_mirrors(struct read_job *j)
{
	unsigned i, pass;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < j->map.count; i++) {
			unsigned mirror = (first_mirror(j) + i) % j->map.count,
			    slot = j->map.slots[mirror];
			struct err why = ERR_INIT;
			int rc;

			if (!shard_usable(j, mirror, pass == 1))
				continue;
			rc = read_at(j, slot, j->place.offset, j->memory, j->place.record_bytes,
			    &why);
			if (rc == 0 && record_take(j, &why)) {
				j->why = (struct err)ERR_INIT;
				return;
			}
			shard_bad(j, slot, j->place.offset, rc < 0 ? rc : why.code, &why);
		}
}

/* --- A record of a converted segment. --- */

static int
shard_read(void *context, unsigned shard, void *out, size_t bytes, uint64_t offset, struct err *e)
{
	struct read_job *j = context;

	if (!j->desperate && !shard_usable(j, shard, false))	/* D1 */
		return (err_set(e, ERR_UNAVAILABLE, "slot %u is offline", j->map.slots[shard]));
	return (read_at(j, j->map.slots[shard], offset, out, bytes, e));
}

static void
shard_damaged(void *context, unsigned shard, uint64_t offset, const struct err *why)
{
	struct read_job *j = context;
	struct err copy = *why;

	if (why->code != ERR_UNAVAILABLE)
		shard_bad(j, j->map.slots[shard], offset, why->code, &copy);
}

static struct shard_reader
shard_reader_of(struct read_job *j)
{
	return ((struct shard_reader){ .layout = { .segment = j->map.id,
	    .shard_bytes = j->map.shard_bytes, .k = j->map.k, .m = j->map.m },
	    .read = shard_read, .damaged = shard_damaged, .context = j });
}

/* One read on one drive, if all is well; else from the other shards, then from those whose blocks
 * prove themselves. */
static void
run_shards(struct read_job *j)
{
	unsigned shard = (unsigned)(j->place.offset / j->map.shard_bytes), pass, way;
	struct shard_reader r = shard_reader_of(j);

	for (pass = 0; pass < 2; pass++)
		for (way = 0; way < SHARD_WAYS; way++) {
			struct err why = ERR_INIT;
			int rc;

			j->desperate = pass == 1;
			rc = shard_reader_read(&r, way, j->memory, j->place.record_bytes,
			    j->place.offset, &why);
			if (rc == 0 && record_take(j, &why)) {
				j->why = (struct err)ERR_INIT;
				j->rebuilt += way != SHARD_PLAIN;
				return;
			}
			if (way == SHARD_PLAIN && shard < j->map.count)
				shard_damaged(j, shard, j->place.offset, &why);
		}
}

static void
run_record(struct read_job *j)
{
	if (j->map.k > 0)
		run_shards(j);
	else
		run_mirrors(j);
	if (j->why.code == 0 && j->data.data == NULL)
		err_set(&j->why, ERR_NO_QUORUM, "too little of segment %llu can be read",
		    (unsigned long long)j->map.id);
}

void
read_job_run(struct read_job *j)
{
	if (j->inlined)
		run_record(j);
	else
		run_extent(j);
}

/* --- What is in the page cache. --- */

/* Where a record is in one file, to be read at once. */
static bool
record_file(const struct read_job *j, unsigned *shard, uint64_t *offset)
{
	if (j->map.k == 0) {
		*shard = first_mirror(j);
		*offset = j->place.offset;
		return (true);
	}
	*shard = (unsigned)(j->place.offset / j->map.shard_bytes);
	*offset = SHARD_HEADER_BYTES + j->place.offset % j->map.shard_bytes;
	return (*shard < j->map.k &&
	    j->place.offset % j->map.shard_bytes + j->place.record_bytes <= j->map.shard_bytes);
}

static bool
try_record(struct read_job *j)
{
	struct err why = ERR_INIT;
	uint64_t offset;
	unsigned shard;

	return (record_file(j, &shard, &offset) && shard_usable(j, shard, false) &&
	    try_at(j, j->map.k > 0 ? FILE_SHARD : FILE_SEGMENT, j->map.slots[shard], offset,
	    j->memory, j->place.record_bytes) && record_take(j, &why));
}

static bool
try_units(struct read_job *j)
{
	bool there;

	j->trying = true;
	run_extent(j);
	there = !j->blocked && j->why.code == 0;
	j->trying = j->blocked = false;
	if (!there)
		j->why = (struct err)ERR_INIT;
	return (there);
}

bool
read_job_try(struct read_job *j)
{
	if (j->objects->disk != disk_posix())
		return (false);
	return (j->inlined ? try_record(j) : try_units(j));	/* D2 */
}
