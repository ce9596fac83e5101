/*
 * rebuild_internal - what the files of a rebuild share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_REBUILD_INTERNAL_H
#define HF_STORE_REBUILD_INTERNAL_H

#include "libstore/drive/drive.h"
#include "libstore/maintain/budget.h"
#include "libstore/maintain/rebuild.h"

#define STEP_BYTES	(UINT64_C(1) << 20)

struct crew;

struct rebuild {
	const struct maintain	*m;
	struct budget		 budget;
	unsigned		 slot;
	uint64_t		 since_epoch;	/* of the drive's row: which drive is meant */
	int			 drive_handle;	/* its drive file, to see that it is still there */
	bool			 cached;	/* not all is read past the page cache */
	struct crew		*crew;
	struct volume_buffers	*buffers;	/* of rebuild_volume.c; NULL until needed */
	uint64_t		 ids[256];	/* files that are whole, not told yet */
	size_t			 id_count;
	uint64_t		 pending_bytes;	/* in them */
	uint64_t		 done, total;	/* files */
	/* As large as they may be; a volume's shard has holes. Of the one at hand, how far. */
	uint64_t		 done_bytes, total_bytes, file_bytes;
	unsigned		 damaged;	/* files that could not be made */
	struct err		 first;		/* the first of them */
};

/* Where a file of the drive is made: in place; or, where a link to the former drive's file stands,
 * beside it, and renamed over it when it is whole. */
struct rebuild_place {
	char	 path[4096], final[4096];
	bool	 there, link;
};

/* --- rebuild.c */
int rebuild_ask(struct rebuild *r, Hf__StoreRequest *q, Hf__StoreReply **out, struct err *e);
/* Waits until so many bytes may go through the drives. ERR_CANCELLED: it shall end. */
int rebuild_pace(struct rebuild *r, uint64_t bytes, struct err *e);
/* The same before the step of a file that is about to be made, or read back, at an offset. */
int rebuild_make(struct rebuild *r, uint64_t bytes, uint64_t at, struct err *e);
int rebuild_read_back(struct rebuild *r, uint64_t bytes, uint64_t at, struct err *e);
/* At most so many bytes of a file in one step now: so long a client waits behind it. */
uint64_t rebuild_step_bytes(const struct rebuild *r);
/* Path of "sub/name" on a slot that is ONLINE or RETURNING into out[4096]; false: it is not. */
bool rebuild_path(const struct rebuild *r, unsigned slot, const char *sub, const char *name,
    char out[4096]);
/* ERR_STALE: the drive is not there. */
int rebuild_place_find(struct rebuild *r, const char *sub, const char *name,
    struct rebuild_place *out, struct err *e);
/* It is synced and was read back. */
int rebuild_place_take(struct rebuild *r, const struct rebuild_place *p, struct err *e);
/* Whether it was copied before: it is marked as a link only, and is none. */
bool rebuild_place_done(const struct rebuild *r, const struct rebuild_place *p,
    const uint32_t *slots, size_t count, uint32_t linked, uint32_t lacking);
/* Opens past the page cache where the file system can. */
int rebuild_open(struct rebuild *r, const char *path, int flags, struct err *e);
/* Memory for I/O past the page cache, of the budget; ERR_FULL. */
int rebuild_memory(struct rebuild *r, size_t bytes, uint8_t **out, struct err *e);
void rebuild_memory_free(struct rebuild *r, uint8_t *memory, size_t bytes);	/* NULL is fine */

/* --- rebuild_volume.c, rebuild_segment.c, rebuild_shard.c: 0; ERR_CORRUPT or ERR_NO_QUORUM: the
 * others do not give it; else it ends the run. */
int rebuild_volume(struct rebuild *r, const Hf__CatalogVolume *row, struct err *e);
void rebuild_volume_release(struct rebuild *r);
int rebuild_segment(struct rebuild *r, const Hf__CatalogSegment *row, struct err *e);
int rebuild_shard(struct rebuild *r, const Hf__CatalogSegment *row, struct err *e);

/* --- rebuild_crew.c: threads that do some jobs side by side */
typedef void crew_fn(void *context);
struct crew_job { crew_fn *work; void *context; };
/* threads 0: crew_run does them one after the other. */
struct crew *crew_new(unsigned threads);
void crew_free(struct crew **c);
void crew_run(struct crew *c, const struct crew_job *jobs, unsigned count);

#endif
