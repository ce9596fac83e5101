/*
 * body_write_job - what a pool thread does for a body: digests in order, parity, trailers, one
 * write for each shard; and the syncs at the end.
 *
 * J1  A writer has one job at a time, so bytes are hashed in order and its extents have one writer.
 * J2  A shard where anything went wrong is missing for the whole extent, and is not written again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>

#include "libobject/body_writer_internal.h"

static void
row_hash(struct body_writer *w, const struct row *r)
{
	uint32_t payload = r->place.unit_bytes - VOLUME_TRAILER_BYTES, left = r->place.body_bytes,
	    i, d;

	for (i = 0; left > 0; i++) {
		uint32_t here = left < payload ? left : payload;

		for (d = 0; d < w->kind_count; d++)
			digest_update(&w->digests[d], r->memory + (size_t)i * r->stride, here);
		left -= here;
	}
}

/* J2 */
static void
shard_failed(struct write_job *j, struct extent_out *x, unsigned shard, uint64_t offset,
    const struct err *why)
{
	x->x.missing |= 1u << shard;
	damages_add(&j->damages, FILE_VOLUME, x->x.volume, offset, x->run.map.slots[shard], why);
	if (j->why.code == 0 || why->code == ERR_FULL)
		j->why = *why;
}

/* The drive begins now, while more is received: the sync at the end has little left to do. */
static void
writeback_begin(struct objects *o, struct file *f, uint64_t offset, uint64_t bytes)
{
	if (o->disk == disk_posix())	/* a hint: the sync tells of errors */
		(void)sync_file_range(file_handle(f), (off_t)offset, (off_t)bytes,
		    SYNC_FILE_RANGE_WRITE);
}

/* Rows [first, first + count) of one extent, next to each other: one write. */
static void
shard_write(struct write_job *j, unsigned first, unsigned count, unsigned shard)
{
	struct objects *o = j->writer->objects;
	struct extent_out *x = j->rows[first]->extent;
	struct iovec iov[ROWS_MAX];
	struct err why = ERR_INIT;
	uint64_t bytes = 0;
	unsigned i;
	int rc = 0;

	for (i = 0; i < count; i++) {
		struct row *r = j->rows[first + i];

		iov[i].iov_base = r->memory + (size_t)shard * r->stride;
		iov[i].iov_len = r->place.unit_bytes;
		bytes += r->place.unit_bytes;
	}
	if (x->files[shard] == NULL)
		rc = file_get(o->files, FILE_VOLUME, x->x.volume, x->run.map.slots[shard], true,
		    &x->files[shard], &why);
	if (rc == 0)
		rc = o->disk->ops->pwritev(o->disk, file_handle(x->files[shard]), iov, (int)count,
		    j->rows[first]->place.offset, &why);
	if (rc < 0)
		shard_failed(j, x, shard, j->rows[first]->place.offset, &why);
	else
		writeback_begin(o, x->files[shard], j->rows[first]->place.offset, bytes);
}

static void
extent_write(struct write_job *j, unsigned first, unsigned count)
{
	struct extent_out *x = j->rows[first]->extent;
	unsigned shards = j->k + j->m, i;

	for (i = 0; i < shards; i++) {
		if (j->offline >> x->run.map.slots[i] & 1)
			x->x.missing |= 1u << i;
		if (!(x->x.missing >> i & 1))
			shard_write(j, first, count, i);
	}
	if (shards - (unsigned)__builtin_popcount(x->x.missing) >= j->k) {
		j->why = (struct err)ERR_INIT;
		return;
	}
	if (j->why.code != ERR_FULL)
		err_set(&j->why, ERR_NO_QUORUM,
		    "only %u of %u shards can be written, %u are needed",
		    shards - (unsigned)__builtin_popcount(x->x.missing), shards, j->k);
}

static bool
row_follows(const struct row *a, const struct row *b)
{
	return (a->extent == b->extent && a->place.unit_bytes == VOLUME_UNIT_BYTES &&
	    b->place.offset == a->place.offset + VOLUME_UNIT_BYTES);
}

void
write_job_run(void *context)
{
	struct write_job *j = context;
	uint8_t *units[ERASURE_UNITS_MAX];
	unsigned i, first = 0;

	for (i = 0; i < j->count; i++) {
		struct row *r = j->rows[i];

		row_hash(j->writer, r);
		row_units(r, j->k + j->m, units);
		volume_row_encode(j->writer->objects->erasure, j->k, j->m, &r->extent->x, &r->place,
		    units);
	}
	for (i = 1; i <= j->count && j->why.code == 0; i++)
		if (i == j->count || !row_follows(j->rows[i - 1], j->rows[i])) {
			extent_write(j, first, i - first);
			first = i;
		}
}

void
sync_job_run(void *context)
{
	struct sync_job *s = context;

	(void)file_sync(s->file, &s->why);
}

/* An inline body that is too long to be hashed on the loop. */
void
hash_job_run(void *context)
{
	struct write_job *j = context;
	struct body_writer *w = j->writer;
	unsigned i;

	for (i = 0; i < w->kind_count; i++)
		digest_update(&w->digests[i], w->data, w->bytes);
}
