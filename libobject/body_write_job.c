/*
 * body_write_job - what a pool thread does for a body: parity, trailers, one write for each shard;
 * the syncs at the end; digests of an inline body (those of rows are hasher.c's).
 *
 * J1  A shard where anything went wrong is missing for the whole extent: no later job writes it.
 * J2  Jobs of a writer share nothing but the extent's open files, and those are set once.
 * J3  Drives that hang cost a body the deadline (objects_options.write_ms_max) for its writes and
 *     for its sync, however many they are: those shards are missing then. The rows' memory stays
 *     until what was given up came back (libstore/disk/disk_kept.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

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

/* J2: a file that another job opened meanwhile is used by all. */
static void
shard_file_set(struct extent_out *x, unsigned shard, struct file *f)
{
	struct file *other = NULL;

	if (!__atomic_compare_exchange_n(&x->files[shard], &other, f, false, __ATOMIC_ACQ_REL,
	    __ATOMIC_ACQUIRE))
		file_put(&f);
}

static struct file *
shard_file(struct extent_out *x, unsigned shard)
{
	return (__atomic_load_n(&x->files[shard], __ATOMIC_ACQUIRE));
}

/* Those of shards that are not missing, by whichever job comes first; side by side (J3). */
static void
shards_open(struct write_job *j)
{
	struct extent_out *x = j->extent;
	unsigned shards[ERASURE_UNITS_MAX], slots[ERASURE_UNITS_MAX], n = 0;
	struct file *files[ERASURE_UNITS_MAX];
	struct err why[ERASURE_UNITS_MAX];

	for (unsigned i = 0; i < j->k + j->m; i++)
		if (!(j->missing >> i & 1) && shard_file(x, i) == NULL) {
			shards[n] = i;
			slots[n++] = x->run.map.slots[i];
		}
	if (n == 0)
		return;
	files_get(j->writer->objects->files, FILE_VOLUME, x->x.volume, slots, n, true, files, why);
	for (unsigned i = 0; i < n; i++)
		if (files[i] == NULL)
			shard_failed(j, shards[i], j->rows[0]->place.offset, &why[i]);
		else
			shard_file_set(x, shards[i], files[i]);
}

_Static_assert(JOB_ROWS_MAX <= DISK_WRITE_IOV_MAX, "rows of a job fit one write");

/* All rows of the job, next to each other. */
static void
write_fill(const struct write_job *j, unsigned shard, const struct file *f, struct disk_write *w)
{
	w->handle = file_handle(f);
	w->offset = j->rows[0]->place.offset;
	w->iov_count = j->count;
	w->rc = 0;
	for (unsigned i = 0; i < j->count; i++) {
		struct row *r = j->rows[i];

		w->iov[i].iov_base = r->memory + (size_t)shard * r->stride;
		w->iov[i].iov_len = r->place.unit_bytes;
	}
}

/* J3. The drives begin now, while more is received: the syncs at the end have little left to do. */
static void
writes_do(struct write_job *j, struct disk_write *writes, unsigned count)
{
	struct objects *o = j->writer->objects;

	if (o->deadline != NULL) {
		disk_deadline_write_all(o->deadline, writes, count, &j->kept);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		disk_write_do(o->disk, &writes[i]);
}

static void
write_ended(struct write_job *j, unsigned shard, const struct disk_write *w)
{
	size_t bytes = 0;

	if (w->rc < 0) {
		shard_failed(j, shard, w->offset, &w->why);
		return;
	}
	for (unsigned i = 0; i < w->iov_count; i++)
		bytes += w->iov[i].iov_len;
	drive_times_note(&j->writer->objects->times, j->extent->run.map.slots[shard], DRIVE_WRITE,
	    bytes, w->took_ns);
}

static void
shards_write(struct write_job *j)
{
	struct disk_write writes[ERASURE_UNITS_MAX];
	unsigned shards[ERASURE_UNITS_MAX], n = 0;

	shards_open(j);
	for (unsigned i = 0; i < j->k + j->m; i++) {
		if (j->missing >> i & 1)
			continue;
		write_fill(j, i, shard_file(j->extent, i), &writes[n]);
		shards[n++] = i;
	}
	writes_do(j, writes, n);
	for (unsigned i = 0; i < n; i++)
		write_ended(j, shards[i], &writes[i]);
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
	for (i = 0; i < j->k + j->m; i++)
		if ((j->offline >> j->extent->run.map.slots[i] |
		    j->extent->run.map.missing >> i) & 1)
			j->missing |= 1u << i;
	shards_write(j);
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
