/*
 * conversion - the store's part in converting a sealed segment from mirrors to k+m shards: where
 * the shards go, room for them, and the step from one layout to the other. What they hold is
 * written by convert.c, in another process; what a lease is worth is state_convert.c's business.
 *
 *   prepare ─► ID.TASK.LEASE.new on k+m drives, allocated ─► (written, read back) ─► commit:
 *     headers, sizes, tables checked ─► synced ─► renamed to ID.ecs ─► directories synced
 *     ─► row CONVERTED ─► mirrors removed, later
 *
 * C1  Mirrors are in force until the row is CONVERTED, shards from then on: what a crash leaves
 *     besides is removed at the next start (drive_quarantine.c).
 * C2  A worker opens files that are there and makes none: one that lost its lease finds none, or
 *     writes to one that was removed.
 * C3  Every shard is there when the row is committed: a set with a drive missing converts nothing.
 * C4  Room is taken before anything is written, and is promised to the task before that, when it is
 *     claimed. It comes from above the reserve; for one segment at a time also from its first half,
 *     because in the end there is more than before.
 *
 * All of it blocks, and belongs on the pool.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CONVERSION_H
#define HF_STORE_CONVERSION_H

#include "libstore/drive/catalog.h"
#include "libstore/log/segment_shard.h"

/*
 * The room that prepare will need is promised to the task (drive_promise), where it will need it.
 * ERR_FULL: there is none, or it is promised to others; else as prepare.
 */
int conversion_promise(struct drive_set *s, uint64_t segment, uint64_t task, bool use_reserve,
    struct err *e);
/*
 * *out (hf__catalog_segment__free_unpacked) is the row as it will be, with slots, shard_bytes, k
 * and m; its state stays SEALED. ERR_EXISTS: it is converted; ERR_BUSY: it is open; ERR_DENIED: it
 * is held; ERR_UNSUPPORTED: nothing would be gained; ERR_NO_QUORUM: a drive is not online;
 * ERR_FULL; ERR_NOT_FOUND.
 */
int conversion_prepare(struct drive_set *s, uint64_t segment, struct shard_writer by,
    bool use_reserve, Hf__CatalogSegment **out, struct err *e);
/*
 * row is what prepare gave. Afterwards shards are in force, and *mirrors (free it as a row) is the
 * row that was: see conversion_mirrors_remove. ERR_CORRUPT: a shard is not what it must be;
 * ERR_STALE: the segment is not sealed any more. Where it failed the new files are removed, unless
 * it is not known which row is in force (ERR_NO_QUORUM).
 */
int conversion_commit(struct drive_set *s, const Hf__CatalogSegment *row, struct shard_writer by,
    Hf__CatalogSegment **mirrors, struct err *e);
/* Removes files of a conversion that is given up. */
void conversion_abort(struct drive_set *s, const Hf__CatalogSegment *row, struct shard_writer by);
/* They are kept for next segments, or removed; then room is given back also where a reader keeps a
 * file open. He finds nothing, or the header of another segment, and asks again. */
void conversion_mirrors_remove(struct drive_set *s, const Hf__CatalogSegment *mirrors);

#endif
