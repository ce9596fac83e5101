/*
 * read_job_internal - what the files that read a job share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_READ_JOB_INTERNAL_H
#define HF_OBJECT_READ_JOB_INTERNAL_H

#include "libobject/read_job.h"

/* read_drive.c */
/* D1: shard is worth trying in this pass. */
bool shard_usable(const struct read_job *j, unsigned shard, bool desperate);
/* Reads exactly, what the page cache has. */
bool drive_try(struct read_job *j, enum file_kind kind, unsigned slot, uint64_t offset, void *out,
    size_t bytes);
/* Reads exactly; a file that ends before is ERR_STALE: what was there is gone. */
int drive_read(struct read_job *j, unsigned slot, uint64_t offset, void *out, size_t bytes,
    struct err *e);
/* Puts down what is wrong with a shard, or a mirror. */
void shard_bad(struct read_job *j, unsigned slot, uint64_t offset, int code, struct err *why);

/* read_extent.c */
void read_extent_run(struct read_job *j);

/* read_record.c */
void read_record_run(struct read_job *j);
bool read_record_try(struct read_job *j);

/* Bytes of the units of rows that lie next to each other in a shard. */
static inline size_t
rows_unit_bytes(const struct read_job *j, unsigned first, unsigned count)
{
	return ((size_t)(count - 1) * VOLUME_UNIT_BYTES + j->rows[first + count - 1].unit_bytes);
}

static inline uint8_t *
shard_unit(const struct read_shard *s, unsigned row)
{
	return (s->memory + (size_t)(row - s->first) * VOLUME_UNIT_BYTES);
}

static inline bool
shard_has_row(const struct read_shard *s, unsigned row)
{
	return (row - s->first < s->count);
}

#endif
