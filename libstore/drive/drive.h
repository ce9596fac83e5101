/*
 * drive - the drives of a store, in one or more sets of k+m: their `drive` files, locks, paths,
 * states and space; and the catalog that they all carry (catalog.h). Layouts are in
 * holdfast-format(5).
 *
 *   DRIVE/drive              DriveFile, framed; locked for life
 *   DRIVE/catalog            epochs; see catalog.h
 *   DRIVE/log/%016x.seg      mirrors of log segments
 *   DRIVE/log/%016x.ecs      shards of segments that were converted
 *   DRIVE/vol/%016x.vol      shards of volumes
 *   DRIVE/reserve/           room for the last segments, and files of dropped ones for the next
 *   DRIVE/quarantine/        files that the catalog does not name
 *   DRIVE/index/             on one of them, a copy of the index (index_copy.h)
 *   DRIVE/moved              on one that was retired: a link to the drive that took over
 *
 * D1  No state is changed on drives that are not locked by us.
 * D2  A drive's state changes in memory only after the epoch that says so is durable on the
 *     survivors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DRIVE_H
#define HF_STORE_DRIVE_H

#include "libstore/disk/disk.h"
#include "schema/log.pb-c.h"

#define DRIVES_MAX 32	/* of all sets */
#define DRIVE_MOVED "moved"
#define SHARDS_MAX 16	/* k + m of a set */

/* Why a drive that is there cannot be written. */
enum drive_closed { DRIVE_WRITABLE, DRIVE_NO_ROOM, DRIVE_MOUNTED_READ_ONLY };

struct drive {
	unsigned	 slot;
	char		*path;
	uint8_t		 uuid[16];
	Hf__CatalogDrive__State state;
	int		 lock_handle;		/* the drive file; -1 when it is not there */
	char		 note[160];		/* why it is not online, for people */
	enum drive_closed closed;		/* as of the last try to write its catalog */
	struct disk_space space;		/* as of the last drive_set_refresh_space */
	uint64_t	 since_epoch;		/* of its row; filled in by drive_get */
	/* Path of the drive from which it takes over (drive_set_retire), or NULL; stays valid. */
	const char	*former;
};

struct drive_set;

/*
 * What a set has to know of the files in log/, from who can read them: segment_judge of
 * libstore/log/segment_judge.h. Asked only while a set is opened or a drive joins it.
 */
struct drive_judge {
	/* ERR_VERSION: a file of an open segment or of the newest one, on a drive that is there, is
	 * of a newer version. Before anything is written: what a newer program left is left
	 * alone. */
	int	(*versions_check)(const struct drive_set *s, struct err *e);
	/* Whether the files that a row names are there, as far as headers and sizes tell: one
	 * mirror, or k shards. */
	bool	(*row_there)(struct drive_set *s, const Hf__CatalogSegment *row);
};

struct drive_set_options {
	const struct drive_judge *judge;	/* constant; never NULL */
	const char *const	*paths;		/* in slot order */
	unsigned		 count;
	/* "k+m", or "": as the drives are, and by count for a first format, of one set then */
	const char		*erasure;
	/* wanted; made less on small drives */
	uint64_t		 segment_bytes, volume_bytes;
	uint32_t		 min_write_redundancy;	/* beyond k; else nothing is written */
	unsigned		 segments_spare;	/* on each drive; up to RECYCLED_MAX */
};

/*
 * Opens and locks all drives that are there. If every one is an empty directory, formats them as a
 * new deployment. Refuses: a drive of another deployment or in the wrong slot, one twice, a newer
 * version, a partly formatted set (except where a first format was interrupted before any catalog
 * existed: then it is finished), a drive locked by another process. Missing or unreadable drives
 * are tolerated: with at least max(k, m+1) of each set present it is read-write, with k read-only,
 * with fewer ERR_NO_QUORUM. Drives whose catalog cannot be written, because others took the room or
 * the file system is mounted read-only, are OFFLINE if enough are left without them; if not, the
 * set is read-only, and they are read. Paths beyond the slots of the catalog are new sets, which
 * join (drive_join.c); each is whole, of empty directories. The catalog with the highest epoch wins
 * and is brought to the other present drives; files that it does not name go to quarantine/ on
 * their drive. Fixed arrays: drives[slot].
 */
int drive_set_open(struct disk *disk, const struct drive_set_options *options,
    struct drive_set **out, struct err *e);
/* Lets go of all locks; NULL is fine. Writes nothing. disk stays the caller's. */
void drive_set_close(struct drive_set **s);

struct disk *drive_set_disk(const struct drive_set *s);
/* The same without deadlines (disk_deadline.h), for who watches for itself. */
struct disk *drive_set_disk_direct(const struct drive_set *s);
unsigned drive_count(const struct drive_set *s);
unsigned drive_set_k(const struct drive_set *s);
unsigned drive_set_m(const struct drive_set *s);
const uint8_t *drive_set_deployment(const struct drive_set *s);
uint64_t drive_set_epoch(const struct drive_set *s);
bool drive_set_read_only(const struct drive_set *s);
/* 0, or why nothing may be written: ERR_READ_ONLY; ERR_FULL: catalogs have no room, or stand on
 * file systems that are mounted read-only. e names the drives. */
int drive_set_writable(const struct drive_set *s, struct err *e);
/*
 * Drives that were closed (struct drive) and are writable now: looks at their file systems, and
 * costs nothing if none was. *enough: the set is read-only because of such drives, and would not be
 * if it were opened again.
 */
uint32_t drive_set_reopened(struct drive_set *s, bool *enough);
uint64_t drive_set_segment_bytes(const struct drive_set *s);
uint64_t drive_set_volume_bytes(const struct drive_set *s);
uint32_t drive_set_sector_bytes(const struct drive_set *s);
/* --- drive_sets.c ----------------------------------------------------------------------------- */
unsigned drive_sets(const struct drive_set *s);
unsigned drive_sets_joined(const struct drive_set *s);	/* by this drive_set_open */
unsigned drive_set_width(const struct drive_set *s);	/* k + m */
unsigned drive_set_of(const struct drive_set *s, unsigned slot);
uint32_t drive_set_mask(const struct drive_set *s, unsigned set);
/*
 * All sets, best first, for what is made anew: those whose drives are all online, then those of
 * which none is slow (drive_slow.h), then those with the most room on the drive that has least,
 * without what is promised, then those that hold less. Returns how many.
 */
unsigned drive_sets_order(const struct drive_set *s, unsigned order[DRIVES_MAX]);
/* All drives of the set that are there have space (drive_has_space); and: of any set. */
bool drive_set_has_room(const struct drive_set *s, unsigned set, uint64_t bytes);
bool drive_sets_have_room(const struct drive_set *s, uint64_t bytes);
struct drive_set_use {
	unsigned online;
	uint64_t space_bytes, free_bytes;	/* of drives that are there; a file system once */
	uint64_t segments, volumes;		/* files of the catalog that lie in the set */
};
void drive_set_use(const struct drive_set *s, unsigned set, struct drive_set_use *out);
/* Every set has at least so many drives of a mask. */
bool drive_sets_have(const struct drive_set *s, uint32_t mask, unsigned least);

/* Online drives of a set below which nothing may be written: k + min_write_redundancy. */
unsigned drive_set_write_quorum(const struct drive_set *s);
/* A copy of a drive's row; safe from any thread. */
void drive_get(const struct drive_set *s, unsigned slot, struct drive *out);
uint32_t drive_online_mask(const struct drive_set *s);
/* ONLINE and RETURNING: takes what is new; what a RETURNING drive lacks is marked in the rows of
 * the files (holdfast-format(5), "What a drive lacks"). */
uint32_t drive_present_mask(const struct drive_set *s);
/* Those of them that were there all the time since an epoch: what was opened on them then still is
 * what their paths name. */
uint32_t drive_unbroken_mask(const struct drive_set *s, uint64_t since_epoch);
/* Path of "sub/name" on a drive into out[4096]. */
void drive_path(const struct drive_set *s, unsigned slot, const char *sub, const char *name,
    char out[4096]);
/*
 * A drive failed: an epoch on the survivors, then its state is OFFLINE. Idempotent. ERR_NO_QUORUM
 * if the survivors are fewer than drive_set_write_quorum (the set is read-only then), 0 otherwise.
 */
int drive_fail(struct drive_set *s, unsigned slot, const char *why, struct err *e);
/* Behind a change of names in log/, vol/ or reserve/ that nothing depends on. A drive where it
 * fails fails: the error is told once, and the next sync of the directory would vouch for names
 * that this one has lost. */
int drive_directory_sync(struct drive_set *s, unsigned slot, const char *sub);
/*
 * The same for who had to do with "sub/name" on it. While the slot's drive takes over from another
 * (drive_set_retire), that file is perhaps a link to the other: drive_file_linked tells, before it
 * is opened. Then it was the other that failed, and what is still on it alone is to be rebuilt.
 */
bool drive_file_linked(struct drive_set *s, unsigned slot, const char *sub, const char *name);
int drive_file_fail(struct drive_set *s, unsigned slot, bool linked, const char *why,
    struct err *e);
/*
 * drive_replace.c. The drive of a slot is at its path again while the set is open: its catalog is
 * brought up to date, and it is RETURNING. ERR_NOT_FOUND: another or none is there; ERR_EXISTS: it
 * is not away.
 */
int drive_set_return(struct drive_set *s, unsigned slot, struct err *e);
/*
 * A new drive in a slot: an empty directory at path (NULL: where the slot is) gets an identity and
 * is RETURNING; everything is to be rebuilt on it. The drive of the slot itself returns. Refused:
 * while fewer than k others are there, or while files need the drive that was there
 * (ERR_NO_QUORUM); while that one is in use, and what is not empty (ERR_EXISTS); a drive that was
 * given up (ERR_DENIED); what is no path or of another slot (ERR_INVALID).
 */
int drive_set_replace(struct drive_set *s, unsigned slot, const char *path, struct err *e);
/*
 * drive_retire.c. A new drive at path, an empty directory, takes over from the slot's, which is
 * ONLINE: it has links to all of its files, and is to copy them. Refused: what drive_set_replace
 * refuses; a drive that lacks something or takes over itself (ERR_BUSY) or is not online
 * (ERR_UNAVAILABLE); too little room (ERR_FULL).
 */
int drive_set_retire(struct drive_set *s, unsigned slot, const char *path, struct err *e);
/* For who makes or renames files in log/ or vol/ of drives: from taking the path until the file has
 * its name. Short; no drive is retired meanwhile. A drive that fails in it has catalogs written: of
 * their locks none may be held at its begin. */
void drive_steady_begin(struct drive_set *s);
void drive_steady_end(struct drive_set *s);
/*
 * Drives that are not there are LOST: they do not count any more, and are refused when they come
 * back. A set that was read-only for want of them is read-write when it is opened again.
 * ERR_INVALID: no such slot; ERR_EXISTS: one is there; ERR_NO_QUORUM: too few would be left.
 */
int drive_set_accept_loss(struct drive_set *s, uint32_t mask, struct err *e);
/* A RETURNING drive is up to date: an epoch, then it is ONLINE. ERR_BUSY: the catalog has files
 * that it lacks. */
int drive_set_online(struct drive_set *s, unsigned slot, struct err *e);
/* What keeps a drive from being ONLINE, if it is still RETURNING. */
void drive_note_returning(struct drive_set *s, unsigned slot, const char *why);
/* Looks at every online drive without reading data: path still the locked file, and its file system
 * not mounted read-only? Fails those that are not. */
void drive_set_probe(struct drive_set *s);
/*
 * drive_spare.c. Each drive has SPARES files of so many bytes, if there is room: made, or found. To
 * be called by one thread, now and then; costs nothing if they are there.
 */
#define SPARES 5
void drive_spares_keep(struct drive_set *s, uint64_t bytes);
/* So little room is left besides that one of them is better. */
bool drive_spare_due(struct drive_set *s, unsigned slot, uint64_t bytes);
/* One of them, if they are large enough, is the file `to' of the same drive from now on, allocated;
 * what was there is gone. By the same thread. */
bool drive_spare_take(struct drive_set *s, unsigned slot, uint64_t bytes, const char *to);
/*
 * drive_recycle.c. Files of dropped segments that are to be those of next ones. At most
 * options.segments_spare on each drive; none where room is short.
 */
#define RECYCLED_MAX	4
#define RECYCLED_ENDING	".old"	/* of their names in reserve/ */
/* Looks for those that an earlier process kept. To be called by one thread, now and then; costs
 * nothing if that was done. */
void drive_recycled_find(struct drive_set *s);
/* The file of a dropped segment is kept; nobody writes to it any more. False: it stays where it
 * is, and is to be removed. A drive that cannot make the name durable fails. */
bool drive_recycle(struct drive_set *s, unsigned slot, uint64_t segment);
/* 1: one of them is the file `to' in log/ of the same drive from now on; *bytes: what was written
 * of it once. 0: there is none, and nothing at `to'. An error is the drive's. */
int drive_recycled_take(struct drive_set *s, unsigned slot, const char *to, uint64_t *bytes,
    struct err *e);
/* How often that was so. */
uint64_t drive_recycled_used(const struct drive_set *s);
/* How many a drive has; *bytes: what of them was written once, and so can be used, together. */
unsigned drive_recycled(const struct drive_set *s, unsigned slot, uint64_t *bytes);
/* statvfs of all online drives, with their spares counted as free; recycled files go first where
 * room is short. A drive is full when free < reserve (larger of 2 % and four segments). */
void drive_set_refresh_space(struct drive_set *s);
uint64_t drive_reserve_bytes(const struct drive_set *s, unsigned slot);
/* True if `bytes` more could be written on a drive without touching the reserve, by the last
 * refresh and what was allocated since (drive_space_take). */
bool drive_has_space(const struct drive_set *s, unsigned slot, uint64_t bytes);
/* The same, but so much is to be left instead of the reserve. */
bool drive_leaves_space(const struct drive_set *s, unsigned slot, uint64_t bytes, uint64_t left);
/* So much was allocated on a drive: it counts as used until the next refresh sees it. */
void drive_space_take(struct drive_set *s, unsigned slot, uint64_t bytes);
/*
 * drive_promise.c. Room for files that are not allocated yet: so many bytes on each of some drives,
 * for an owner (the id of a task, not 0), besides all that others were promised and besides what is
 * to be left. It is for tasks only: nothing else is refused because of it.
 */
#define DRIVE_PROMISES_MAX 256u	/* more than tasks.concurrent_max can be */
/* HALF of the reserve, if nobody else is promised anything: so it is one at a time that uses it.
 * Who was promised room so keeps it, whatever is promised to others until it asks again. */
enum drive_leaves { DRIVE_LEAVES_RESERVE, DRIVE_LEAVES_HALF, DRIVE_LEAVES_NOTHING };
struct drive_want {
	uint64_t		 owner;		/* 0: nobody who was promised anything */
	const uint32_t		*slots;
	size_t			 count;
	uint64_t		 bytes;
	enum drive_leaves	 leaves;
};
/* Is there room? ERR_FULL names the drive, and whether others were promised its room. By the last
 * refresh, as drive_has_space. */
int drive_want_check(struct drive_set *s, const struct drive_want *w, struct err *e);
/* The same, and it is the owner's from then on, instead of what he was promised before. anyway: it
 * is not looked whether it is there. ERR_FULL also if there are too many owners. */
int drive_promise(struct drive_set *s, const struct drive_want *w, bool anyway, struct err *e);
/* drive_space_take, of what the owner was promised, if he was. */
void drive_promise_take(struct drive_set *s, uint64_t owner, unsigned slot, uint64_t bytes);
/* No more than that is still to come on a drive. */
void drive_promise_lower(struct drive_set *s, uint64_t owner, unsigned slot, uint64_t bytes);
void drive_promise_end(struct drive_set *s, uint64_t owner);	/* idempotent */
bool drive_promise_has(struct drive_set *s, uint64_t owner);
unsigned drive_promises(struct drive_set *s);			/* owners */
uint64_t drive_promised(struct drive_set *s, unsigned slot);	/* to all of them, on it */

#endif
