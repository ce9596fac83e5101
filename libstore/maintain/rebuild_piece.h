/*
 * rebuild_piece - up to 1 MiB of each shard of a volume, rows that follow each other without a gap:
 * which they are, and how the shard that is to be made comes from k others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_REBUILD_PIECE_H
#define HF_STORE_REBUILD_PIECE_H

#include "libstore/maintain/rebuild_internal.h"
#include "libstore/volume/volume.h"

#define PIECE_BYTES	STEP_BYTES
#define PIECE_ROWS	(PIECE_BYTES / VOLUME_ALIGN_BYTES)

struct piece_row {
	Hf__Extent		 x;
	struct volume_row	 row;
	bool			 have;		/* nothing to write: it is whole, or was freed */
	/* by shard: its unit was read and is whole */
	bool			 good[DRIVES_MAX];
};

struct piece {
	struct piece_row	 rows[PIECE_ROWS];
	unsigned		 count;
	uint64_t		 offset, bytes;		/* in each shard file */
	uint8_t			*memory;		/* PIECE_BYTES for each shard */
	uint32_t		 read;			/* shards whose bytes are there */
	int			 rc;
	struct err		 e;
};

/* Where the listing of a volume's extents is. */
struct cursor {
	Hf__StoreReply		*page;
	size_t			 next;			/* extent of the page */
	uint64_t		 row, after_end;
	bool			 last;
};

struct volume_rebuild {
	struct rebuild		*r;
	const Hf__CatalogVolume	*row;
	unsigned		 shard;			/* the one to make */
	struct erasure		*erasure;
	struct rebuild_place	 place;
	int			 target;		/* what is written; -1 */
	/* To be read, by shard. Of the one to make: the target, or what a link leads to. */
	int			 handles[DRIVES_MAX];
	/* Shards that are read first: k others, or what the link leads to. */
	uint32_t		 sources;
	bool			 fresh;			/* the file was not there */
	struct cursor		 at;
};

/* A read of one shard of a piece. */
struct shard_read {
	struct volume_rebuild	*v;
	struct piece		*p;
	unsigned		 shard;
	bool			 done;
};

struct piece_step { struct volume_rebuild *v; struct piece *p; };

/* Is this still a live extent? Negative: not known. */
int piece_extent_lives(struct volume_rebuild *v, const Hf__Extent *x, struct err *e);
void piece_cursor_reset(struct cursor *c);
/* The next rows without a gap between. */
int piece_fill(struct volume_rebuild *v, struct piece *p, struct err *e);
void piece_read(void *context);
/*
 * What is whole on the drive already is not made again: after a run that ended early. In the page
 * cache it may be whole for ever, and never come to the drive, if a sync failed before.
 */
void piece_look(struct volume_rebuild *v, struct piece *p);
bool piece_needed(const struct piece *p);
void piece_compute(void *context);
void piece_write(void *context);

#endif
