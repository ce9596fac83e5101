/*
 * shard_reader - bytes of a converted segment from its shards: as they are, or computed from the
 * others. How a shard file is read is the caller's business.
 *
 * X1  PLAIN is one read on one drive, two where the bytes cross into the next shard; nothing is
 *     checked: a record, batch or footer block has its own checksum.
 * X2  Whoever finds that checksum wrong, or could not read, asks for OTHERS (the shard that should
 *     have it is passed over), and if that is wrong too for CHECKED, where each block of each shard
 *     proves itself.
 * X3  Memory is bounded by a block for each shard, whatever is asked for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SHARD_READER_H
#define HF_STORE_SHARD_READER_H

#include "libstore/log/segment_shard.h"

enum shard_way { SHARD_PLAIN, SHARD_OTHERS, SHARD_CHECKED, SHARD_WAYS };

struct shard_reader {
	struct shard_layout	layout;
	/* Exactly `bytes` at an offset of a shard's file: 0 or ERR_*. */
	int	(*read)(void *context, unsigned shard, void *out, size_t bytes, uint64_t offset,
	    struct err *e);
	/* A shard's bytes at an offset of the segment's shards (shard * shard_bytes + ...) are
	 * wrong or cannot be read. May be NULL. */
	void	(*damaged)(void *context, unsigned shard, uint64_t offset, const struct err *why);
	void	*context;
};

/* bytes at an offset of the segment, inside of k * shard_bytes. ERR_NO_QUORUM, ERR_CORRUPT, ...:
 * they cannot be had this way. */
int shard_reader_read(const struct shard_reader *r, enum shard_way way, void *out, size_t bytes,
    uint64_t offset, struct err *e);
/* A block of a shard (parity too), checked by the shard's table; tells damage. */
int shard_reader_block(const struct shard_reader *r, unsigned shard, uint32_t block, uint8_t *out,
    struct err *e);
/* The same block, computed from k other shards that pass their check. */
int shard_reader_rebuild(const struct shard_reader *r, unsigned shard, uint32_t block, uint8_t *out,
    struct err *e);

#endif
