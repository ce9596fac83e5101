/*
 * convert_internal - what convert.c and convert_shards.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CONVERT_INTERNAL_H
#define HF_STORE_CONVERT_INTERNAL_H

#include "libstore/log/segment_source.h"
#include "libstore/maintain/budget.h"
#include "libstore/maintain/convert.h"

struct convert {
	const struct maintain	*m;
	struct budget		 budget;
	uint64_t		 segment;
	struct shard_writer	 by;
	struct segment_paths	 paths;
	struct segment_source	*source;
	Hf__CatalogSegment	*row, *target;	/* as it is, as it will be */
	struct shard_layout	 layout;
	unsigned		 shards, footer_way;
	int			 handles[DRIVES_MAX];
	uint32_t		*sums[DRIVES_MAX];
	uint8_t			*memory, *units[DRIVES_MAX];	/* a block of each shard */
	uint64_t		 at;		/* of the content: what units[0] begins with, ... */
	uint32_t		 filled;	/* ... and how much of it there is */
	uint64_t		 done, total;
};

/* --- convert_shards.c: c->target, layout, sums and units are set */
/* Opens all files anew. past_cache: what is read comes from the drive, where its file system can do
 * that. ERR_STALE: another conversion has begun. */
int convert_shards_open(struct convert *c, bool past_cache, struct err *e);
void convert_shards_close(struct convert *c);
int convert_shards_sync(struct convert *c, unsigned from, unsigned to, struct err *e);
/* A block that is whole in memory. */
int convert_block_write(struct convert *c, unsigned shard, uint32_t block, const uint8_t *data,
    struct err *e);
/* V2. ERR_CORRUPT: it is not what was written. */
int convert_block_read_back(struct convert *c, unsigned shard, uint32_t block, uint8_t *out,
    struct err *e);
/* Header and table of each shard; through units[0]. */
int convert_pages_write(struct convert *c, struct err *e);
int convert_pages_read_back(struct convert *c, struct err *e);

#endif
