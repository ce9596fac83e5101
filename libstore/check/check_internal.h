/*
 * check_internal - what the check*.c files share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CHECK_INTERNAL_H
#define HF_STORE_CHECK_INTERNAL_H

#include "libstore/check/check.h"
#include "libstore/log/segment.h"
#include "libstore/log/segment_source.h"
#include "libstore/volume/volume.h"

#define DAMAGED_MAX	65536u		/* stretches of mirrors that are remembered */
#define DAMAGED_SHARD	32u
#define OPEN_SEGMENTS	16u
#define OPEN_VOLUMES	8u

/* A stretch of a mirror that is not what it should be. */
struct damaged {
	uint64_t	segment, offset, bytes;
	unsigned	mirror;		/* or DAMAGED_SHARD + shard */
};

/* A volume whose shard files are open. */
struct open_volume {
	Hf__CatalogVolume	*row;		/* NULL: the place is free */
	struct erasure		*erasure;
	int			 handles[DRIVES_MAX];	/* by shard; -1: not there */
	uint64_t		 used;
};

struct open_segment {
	struct segment		*segment;
	struct segment_source	*source;	/* of a converted one, beside it */
	uint64_t		 used;
};

/* Bodies by volume, to be compared with the index's own sums. */
struct volume_sum {
	uint64_t	id, owned_bytes, owned_extents, row_bytes, row_extents, row_thin;
};

struct bucket_name {
	uint64_t	 id;
	char		*name;
};

/* A fault that may be none: it is told when nothing has changed meanwhile. */
struct held_fault {
	enum check_severity	 severity;
	const char		*kind;
	int			 slot;
	char			*path, *owner, *text;	/* path, owner: NULL for none */
	uint64_t		 offset;
};

struct doubts;

struct check {
	const struct check_options	*o;
	struct check_summary		 sum;
	struct view			*view;
	struct drive_set		*set;
	const char			*step;
	uint64_t			 done, total;
	/* check_segment.c */
	struct damaged			*damaged;
	size_t				 damaged_count;
	bool				 damaged_more;	/* more than fit: every record is read */
	/* check_object.c */
	struct bucket_name		*buckets;
	size_t				 bucket_count;
	struct volume_sum		*volumes;
	size_t				 volume_count;
	struct open_segment		 segments[OPEN_SEGMENTS];
	struct open_volume		 open[OPEN_VOLUMES];
	uint64_t			 clock;
	struct buf			 owner, record;
	uint8_t				*units[DRIVES_MAX], *again[DRIVES_MAX];
	/* check_live.c */
	/* faults are held; rows are looked at again */
	bool				 holding, again_rows;
	struct held_fault		*held;
	size_t				 held_count;
	uint64_t			 lsn;		/* of the index that is looked at */
	uint64_t			*files;		/* ids that the catalog had then, sorted */
	size_t				 file_count;
	uint64_t			 horizon;
	uint64_t			 kept_ms;	/* when the walk was kept last */
	struct err			 gone;		/* it could not be: nothing more is read */
	struct doubts			*doubts;
};

/* Tells a fault; text is printf's. path may be NULL, offset UINT64_MAX for none, slot -1 for
 * none. */
struct fault_at { enum check_severity severity; const char *kind; int slot; const char *path;
    uint64_t offset; const char *owner; };
#define NO_OFFSET UINT64_MAX
void check_fault(struct check *c, struct fault_at at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_step(struct check *c, const char *step, uint64_t total);
void check_progress(struct check *c, uint64_t bytes);
int check_cancelled(struct check *c, struct err *e);

/* --- check_live.c: of a store that runs; without `live' everything is told as it is found */
/* The index of now, and catalogs between which nothing was dropped. */
int check_live_begin(struct check *c, struct err *e);
void check_live_end(struct check *c);
int check_live_keep(struct check *c, struct err *e);
/* The index and the catalogs of now in the place of the old ones. */
int check_walk_again(struct check *c, struct err *e);
/* Whether a segment or volume was there at the beginning: then it may have been dropped since. */
bool check_file_was(const struct check *c, uint64_t id);
/* Whether nothing was dropped since the beginning; looks at the catalogs. */
int check_nothing_dropped(struct check *c, bool *nothing, struct err *e);
/* Between hold and tell, or drop, no fault is told. */
void check_hold(struct check *c);
void check_held_tell(struct check *c);
void check_held_drop(struct check *c);
/* Catalogs are read anew; everything that points into their rows is closed. */
int check_refresh(struct check *c, struct err *e);
/* The row of a segment or volume in the catalogs of now; NULL: there is none. And a look at it. */
typedef const ProtobufCMessage *check_find_fn(const struct check *c, uint64_t id);
typedef int check_look_fn(struct check *c, const ProtobufCMessage *row, struct err *e);
/* Looks at a file until its row stayed as it was meanwhile: then what is wrong is told. */
int check_file_live(struct check *c, uint64_t id, check_find_fn *find, check_look_fn *look,
    struct err *e);
/* check_doubt.c: a row whose faults are looked at again at the end. */
typedef int check_row_fn(struct check *c, void *context, struct slice key, struct slice value,
    struct err *e);
int check_row_doubted(struct check *c, check_row_fn *each, struct slice key, struct slice value,
    struct err *e);
int check_doubts_settle(struct check *c, struct err *e);
void check_doubts_release(struct check *c);

/* The steps, in order; an error ends the whole check. */
void check_drives(struct check *c);			/* check_drive.c */
void check_files(struct check *c);
int check_files_live(struct check *c, struct err *e);
int check_segments(struct check *c, struct err *e);	/* check_segment.c */
int check_copies(struct check *c, struct err *e);	/* check_copy.c */
int check_index(struct check *c, struct err *e);	/* check_index.c */
int check_objects(struct check *c, struct err *e);	/* check_object.c */

/* check_table.c: each row with a key that starts so, in the order of keys. */
int check_table_walk(struct check *c, struct slice prefix, check_row_fn *each, void *context,
    struct err *e);
struct fault_at check_index_at(const struct check *c, enum check_severity severity,
    const char *owner);
void check_counter(struct check *c, const char *name, uint64_t found);
/* check_task.c: with the objects. */
int check_tasks(struct check *c, struct err *e);
/* check_use.c: what is counted of segments, with the objects. */
int check_uses(struct check *c, struct err *e);

/* check_segment.c: row's mirrors, with the sector size of their header. */
struct segment *check_segment_open(struct check *c, const Hf__CatalogSegment *row,
    unsigned *readable);
/* A stretch of a file of a segment is not what it should be. */
void check_damaged_add(struct check *c, uint64_t segment, unsigned mirror, uint64_t offset,
    uint64_t bytes);
/* check_shards.c: a converted segment. */
int check_shards(struct check *c, const Hf__CatalogSegment *row, struct err *e);
/* check_place.c: the record of an inline body, on each mirror that is in doubt. False: lost. */
bool check_place(struct check *c, const char *owner, const Hf__Place *p);
void check_places_release(struct check *c);
/* check_extent.c: every unit of an extent on every shard, and its parity. False: lost. */
bool check_extent(struct check *c, const char *owner, const Hf__Extent *x);
void check_extents_release(struct check *c);
struct volume_sum *check_volume_sum(struct check *c, uint64_t id);

#endif
