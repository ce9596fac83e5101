/*
 * log_side - a log on four drives of its own, as one side of a comparison: batches of appends, each
 * waited for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BENCH_LOG_SIDE_H
#define HF_BENCH_LOG_SIDE_H

#include "libbase/bytes.h"
#include "libstore/disk/disk.h"
#include "libstore/log/log.h"

#define LOG_SIDE_DRIVES		4
#define LOG_SIDE_MIRRORS	3

struct log_side {
	const char		*name;
	uint64_t		 segment_bytes;
	unsigned		 spares;	/* files of dropped segments that are kept */
	struct slice		 meta, data;	/* of each record */
	struct drive_set	*set;
	struct log		*log;
	unsigned		 waiting;
};

/* What fails ends the program with a sentence. The drives are in new directories of this one, by
 * the side's name. */
void log_side_open(struct log_side *s, struct disk *disk, const char *directory);
void log_side_close(struct log_side *s);
/* So many appenders append one record each; returns when all are durable. */
void log_side_batch(struct log_side *s, unsigned appenders);

#endif
