/*
 * rebuild - brings the drive of a slot up to date: mirrors of sealed segments and shards of sealed
 * volumes that it lacks are made from the others, synced, read back from the drive, and only then
 * told to the store, which takes their marks away (catalog_lacking.c). When nothing is marked any
 * more the drive is ONLINE.
 *
 * B1  What is written is determined by the catalog and the index alone, at addresses that belong to
 *     it for good: whoever writes it again, at any time, writes the same bytes. So files are
 *     written in place, a run may end anywhere, and another goes on where marks are left.
 * B2  A file counts only when all of it was synced and read back past the page cache.
 * B3  A volume or segment that somebody still writes is left alone until it is sealed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_REBUILD_H
#define HF_STORE_REBUILD_H

#include "libstore/maintain/maintain.h"

/*
 * 0: the drive is ONLINE. ERR_BUSY: all that could be was rebuilt, but files are not sealed yet.
 * ERR_CORRUPT, ERR_NO_QUORUM: all but some files, whose others are damaged; the first is named.
 * ERR_STALE: the drive went away or was replaced. Others as they come: ERR_CANCELLED, ERR_FULL, ...
 */
int rebuild_run(const struct maintain *m, uint64_t slot, struct err *e);

#endif
