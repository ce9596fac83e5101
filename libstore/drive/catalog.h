/*
 * catalog - the small checksummed history of epochs that every drive of a set carries: drives and
 * their states, segments with their mirrors, volumes with their shards, the horizon.
 *
 * C1  A change is durable on every online drive before catalog_commit returns and before anything
 *     depends on it. A drive where it fails is failed in the next epoch.
 * C2  Epochs rise by one. The highest valid epoch over the present drives is the truth.
 * C3  A torn last change is as if never written; damage before it makes that copy void.
 * C4  A segment's state goes forward only: OPEN, SEALED, CONVERTED, DROPPED. A row that would take
 *     it back, or bring back one that is gone, is left out of a change.
 *
 * The copy in memory belongs to struct drive_set. All functions lock; rows are copied out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_CATALOG_H
#define HF_STORE_CATALOG_H

#include "libstore/drive/drive.h"

/* A new number for a segment or volume; durable no later than the commit that uses it. */
uint64_t catalog_next_id(struct drive_set *s);
/* The same, and nobody could know the number before: for a segment in a file that holds what
 * clients stored, who might have made it look like batches of this segment. */
uint64_t catalog_id_unforeseen(struct drive_set *s);
/* Whether it is the last of these. */
bool catalog_id_was_unforeseen(struct drive_set *s, uint64_t id);
/* Whether a number was ever taken, as far as this catalog knows. */
bool catalog_id_given(struct drive_set *s, uint64_t id);
/* Commits a change: rows in it replace rows with the same id, DROPPED ones go. epoch, next_id,
 * since_epoch and the first_lsn of an OPEN segment that has none, LSN(epoch, 1), are filled in
 * here. ERR_NO_QUORUM: fewer than drive_set_write_quorum drives took it; the set is read-only now,
 * and it is not known what a restart finds. */
int catalog_commit(struct drive_set *s, Hf__CatalogChange *change, struct err *e);
/* Convenience over catalog_commit. */
int catalog_segment_put(struct drive_set *s, const Hf__CatalogSegment *row, const char *reason,
    struct err *e);
/* From SEALED to CONVERTED, with the shards that row names. ERR_STALE: it is not sealed any more,
 * or held. ERR_NO_QUORUM: it is not known which of the two a restart finds. */
int catalog_segment_convert(struct drive_set *s, const Hf__CatalogSegment *row, struct err *e);
/* A held segment is neither converted nor dropped; it stays held over restarts. ERR_NOT_FOUND:
 * there is none; ERR_BUSY: it is open. */
int catalog_segment_hold(struct drive_set *s, uint64_t segment, bool held, struct err *e);
int catalog_volume_put(struct drive_set *s, const Hf__CatalogVolume *row, const char *reason,
    struct err *e);
/* Unpacked copies, owned by the caller (hf__catalog_segment__free_unpacked); NULL: not there. */
Hf__CatalogSegment *catalog_segment(struct drive_set *s, uint64_t id);
Hf__CatalogVolume *catalog_volume(struct drive_set *s, uint64_t id);
/* All ids in ascending order, from malloc; returns the count. */
size_t catalog_segment_ids(struct drive_set *s, uint64_t **out);
size_t catalog_volume_ids(struct drive_set *s, uint64_t **out);
uint64_t catalog_horizon(struct drive_set *s);

/* --- catalog_marks.c: what is marked as lacking ----------------------------------------------- */

/*
 * A volume gets no more extents: SEALED, and the shards in thin, which some of its extents were
 * written without, are lacking. No epoch if that is so already. ERR_NOT_FOUND: there is none.
 */
int catalog_volume_seal(struct drive_set *s, uint64_t id, uint32_t thin, struct err *e);
/* Sealed files whose mark says that the drive of a slot lacks something of them. */
uint64_t catalog_lacking_marked(struct drive_set *s, unsigned slot);

/* --- catalog_lacking.c: what a drive lacks ---------------------------------------------------- */

struct catalog_lacking {
	Hf__CatalogDrive	  drive;	/* without uuid */
	Hf__CatalogSegment	**segments;	/* sealed; copies */
	Hf__CatalogVolume	**volumes;	/* sealed; copies */
	size_t			  segment_count, volume_count;
	uint32_t		  held;		/* volumes that are not sealed yet, segments too */
	uint64_t		  left;		/* files behind `after` that can be rebuilt */
	uint64_t		  left_bytes;	/* in them, holes of volumes too */
	uint64_t		  last;		/* the highest id of them */
	/* one of those held is a segment with few mirrors */
	bool			  thin;
	bool			  moving;	/* the drive takes over from another */
};
/* Of files behind an id the first `max`; catalog_lacking_release. Allocated once, not copied. */
void catalog_lacking_find(struct drive_set *s, unsigned slot, uint64_t after, unsigned max,
    struct catalog_lacking *out);
void catalog_lacking_release(struct catalog_lacking *l);
/* Of one of its files: a mirror, or a shard. */
uint64_t catalog_segment_file_bytes(const Hf__CatalogSegment *row);
/* One of its mirrors is a link to a drive that is retired. */
bool catalog_segment_linked(struct drive_set *s, uint64_t id);
/* Ids of volumes that are not sealed and lack a shard on the slot; returns how many, up to max. */
size_t catalog_lacking_active(struct drive_set *s, unsigned slot, uint64_t *ids, size_t max);
/*
 * These files are whole on the drive: one epoch. Files that are not in the catalog any more come
 * back in gone[] (as many as ids). ERR_STALE: the drive's row changed since since_epoch.
 */
int catalog_rebuilt(struct drive_set *s, unsigned slot, uint64_t since_epoch, const uint64_t *ids,
    size_t count, uint64_t *gone, size_t *gone_count, struct err *e);

#endif
