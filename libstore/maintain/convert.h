/*
 * convert - converts a sealed segment from mirrors to k+m shards: what a worker does. The store's
 * part is conversion.h; what a shard is, segment_shard.h.
 *
 *   begin ─► every batch verified, written to the data shards ─► synced ─► read back past the page
 *     cache, checked, encoded ─► parity, tables ─► synced ─► read back, checked ─► commit
 *
 * V1  Nothing goes into a shard that was not verified, or made from what was.
 * V2  The store is asked to commit only after all shards were synced and every byte of them was
 *     read back from the drives and found to be what was written.
 * V3  Memory: one batch and one block of each shard, whatever the segment's size.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CONVERT_H
#define HF_STORE_CONVERT_H

#include "libstore/maintain/maintain.h"

/*
 * 0: the segment is converted, now or before. It may be stopped at any step and called again. What
 * the store refused comes back as its code (conversion.h, ERR_STALE for an old lease);
 * ERR_CANCELLED from pace; ERR_CORRUPT: a batch is whole on no mirror, or the drives gave back
 * other bytes than were written.
 */
int convert_run(const struct maintain *m, uint64_t segment, struct err *e);

#endif
