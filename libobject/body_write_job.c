/*
 * body_write_job - what a pool thread does for a body: parity, trailers, one write for each shard;
 * the syncs at the end; digests of an inline body (those of rows are hasher.c's).
 *
 * J1  A shard where anything went wrong is missing for the whole extent: no later job writes it.
 * J2  Jobs of a writer share nothing but the extent's open files, and those are set once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>

#include "libobject/body_writer_internal.h"

/* J1 */
static void
shard_failed(struct write_job *j, unsigned shard, uint64_t offset, const struct err *why)
{
	j->missing |= 1u << shard;
	damages_add(&j->damages, FILE_VOLUME, j->extent->x.volume, offset,
	    j->extent->run.map.slots[shard], why);
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

/* J2: the shard's file, opened by whichever job comes first. */
static int
shard_file(struct write_job *j, unsigned shard, struct file **out, struct err *e)
{
	struct extent_out *x = j->extent;
	struct file *f, *other = NULL;
	int rc;

	*out = __atomic_load_n(&x->files[shard], __ATOMIC_ACQUIRE);
	if (*out != NULL)
		return (0);
	rc = file_get(j->writer->objects->files, FILE_VOLUME, x->x.volume, x->run.map.slots[shard],
	    true, &f, e);
	if (rc < 0)
		return (rc);
	if (__atomic_compare_exchange_n(&x->files[shard], &other, f, false, __ATOMIC_ACQ_REL,
	    __ATOMIC_ACQUIRE)) {
		*out = f;
		return (0);
	}
	file_put(&f);
	*out = other;
	return (0);
}

/* All rows of the job, next to each other: one write. */
static void
shard_write(struct write_job *j, unsigned shard)
{
	struct objects *o = j->writer->objects;
	uint64_t offset = j->rows[0]->place.offset, bytes = 0;
	struct iovec iov[JOB_ROWS_MAX];
	struct err why = ERR_INIT;
	struct file *f;
	unsigned i;
	int rc;

	for (i = 0; i < j->count; i++) {
		struct row *r = j->rows[i];

		iov[i].iov_base = r->memory + (size_t)shard * r->stride;
		iov[i].iov_len = r->place.unit_bytes;
		bytes += r->place.unit_bytes;
	}
	rc = shard_file(j, shard, &f, &why);
	if (rc == 0)
		rc = o->disk->ops->pwritev(o->disk, file_handle(f), iov, (int)j->count, offset,
		    &why);
	if (rc < 0)
		shard_failed(j, shard, offset, &why);
	else
		writeback_begin(o, f, offset, bytes);
}

void
write_job_run(void *context)
{
	struct write_job *j = context;
	uint8_t *units[ERASURE_UNITS_MAX];
	unsigned i;

	for (i = 0; i < j->count; i++) {
		struct row *r = j->rows[i];

		row_units(r, j->k + j->m, units);
		volume_row_encode(j->writer->objects->erasure, j->k, j->m, &j->extent->x, &r->place,
		    units);
	}
	for (i = 0; i < j->k + j->m; i++) {
		if ((j->offline >> j->extent->run.map.slots[i] |
		    j->extent->run.map.missing >> i) & 1)
			j->missing |= 1u << i;
		if (!(j->missing >> i & 1))
			shard_write(j, i);
	}
}

void
sync_job_run(void *context)
{
	struct sync_job *s = context;

	(void)file_sync(s->file, &s->why);
}

/* A body that is too long to be hashed on the loop. */
void
inline_job_run(void *context)
{
	struct inline_job *j = context;
	struct body_writer *w = j->writer;
	unsigned i;

	for (i = 0; i < w->kind_count; i++)
		digest_update(&w->digests[i], w->data, w->bytes);
}
