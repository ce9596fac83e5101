/*
 * segment_judge - what a set of drives asks about the files in log/ while it is opened or a drive
 * joins it: it knows what they are called, the log what is in them. Who opens a set hands this over
 * (drive_set_options).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SEGMENT_JUDGE_H
#define HF_STORE_SEGMENT_JUDGE_H

#include "libstore/drive/drive.h"
#include "libstore/log/segment_shard.h"

extern const struct drive_judge segment_judge;

/*
 * Looks at size and header of a shard file whose handle is open: 0, and *full is the layout with
 * what only the header says. ERR_CORRUPT: it is not that shard, or not whole; ERR_VERSION; ERR_IO.
 */
int segment_shard_look(struct drive_set *s, int handle, const struct shard_layout *l,
    unsigned shard, struct shard_layout *full, struct err *e);

#endif
