/*
 * segment_source - a sealed segment to be read, wherever it lies: on its mirrors or, converted, in
 * k+m shards. For replay, maintenance and tools; readers of bodies have libobject/read_job.c.
 *
 * U1  What is delivered as batch, record or footer entry passed its checksum; where one copy is
 *     damaged or missing another is taken, or it is computed from other shards.
 * U2  There is no drive_set behind it: a worker process has only the layout that the store told.
 * U3  A file that is gone, or is another segment's, is not damage: the segment may have been
 *     converted or dropped meanwhile. Then nothing can be read (ERR_STALE at opening or reading),
 *     and the row is asked for again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SEGMENT_SOURCE_H
#define HF_STORE_SEGMENT_SOURCE_H

#include "libstore/drive/drive.h"
#include "libstore/log/segment_copy.h"
#include "libstore/log/shard_reader.h"
#include "schema/store.pb-c.h"

/* Where drives are: paths are borrowed, NULL for those that are not to be read. */
struct segment_paths {
	struct disk	*disk;
	const char	*path[DRIVES_MAX];
	uint8_t		 deployment[16];
};
void segment_paths_of_set(const struct drive_set *s, struct segment_paths *out);
/* ONLINE and RETURNING drives. */
void segment_paths_of_layout(struct disk *disk, const Hf__Layout *layout,
    struct segment_paths *out);

/* What was damaged: a drive's slot, and an offset in the segment. */
typedef void segment_damage_fn(void *context, unsigned slot, uint64_t offset,
    const struct err *why);

struct segment_source;
/*
 * row: SEALED or CONVERTED (or OPEN, with bytes and last_lsn as far as it counts). paths and row
 * are not needed any more after return. ERR_STALE: none of its files is there; ERR_NO_QUORUM: too
 * few can be read; ERR_VERSION.
 */
int segment_source_open(const struct segment_paths *paths, const Hf__CatalogSegment *row,
    struct segment_source **out, struct err *e);
void segment_source_close(struct segment_source **s);
/* Called for what is found damaged while reading. */
void segment_source_on_damage(struct segment_source *s, segment_damage_fn *fn, void *context);
uint32_t segment_source_sector_bytes(const struct segment_source *s);
/* Bytes with footer and trailer, if a way has one (*way, may be NULL); else up to the end of the
 * batches. proved: the footer was read and is whole, else its trailer is enough. */
uint64_t segment_source_content_bytes(struct segment_source *s, bool proved, unsigned *way);

/* The batch at an offset (the first is at SEGMENT_HEADER_BYTES, the next at the end of this one,
 * aligned to sector_bytes), LSNs from lsn on. ERR_CORRUPT: whole nowhere. */
int segment_source_batch(struct segment_source *s, uint64_t offset, uint64_t lsn, struct buf *out,
    struct batch_head *head, struct err *e);
/* Every record with lsn > after, in order, with its data. Or what each returned. */
int segment_source_records(struct segment_source *s, uint64_t after, segment_each_fn *each,
    void *context, struct err *e);
/* The same without data where a footer has them (place tells where it is), which is much less to
 * read. */
int segment_source_heads(struct segment_source *s, uint64_t after, segment_each_fn *each,
    void *context, struct err *e);
/* The record that a place means (p->lsn), whole, in `memory`. ERR_CORRUPT. */
int segment_source_record(struct segment_source *s, const Hf__Place *p, struct buf *memory,
    struct record *out, struct err *e);

/* For who copies it, not checked: ways from 0 on are tried as long as the bytes are wrong. Returns
 * how many, fewer at the end; negative: not this way. */
unsigned segment_source_ways(const struct segment_source *s);
ssize_t segment_source_read(struct segment_source *s, unsigned way, void *out, size_t bytes,
    uint64_t offset);

#endif
