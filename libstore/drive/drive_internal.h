/*
 * drive_internal - what the files drive*.c and catalog*.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_DRIVE_INTERNAL_H
#define HF_STORE_DRIVE_INTERNAL_H

#include "libbase/buf.h"
#include "libstore/drive/drive_set.h"

#define PATH_BYTES_MAX	3800	/* leaves room for names below it */
#define RESERVE_SEGMENTS	4

/* What stands in a slot's path, at the start. DAMAGED: a drive file that is not whole. WRONG: not
 * the drive that the catalog has for the slot, or one that was given up. */
enum drive_looks { LOOKS_ABSENT, LOOKS_EMPTY, LOOKS_FOREIGN, LOOKS_BAD, LOOKS_DAMAGED, LOOKS_WRONG,
	LOOKS_FORMATTED };
struct drive_look {
	enum drive_looks as;
	Hf__DriveFile *file;
	bool has_catalog;
};

/* drive_agree.c */
/* Loads every copy of the catalog; the one in force stays in s->rows. Drives that do not belong are
 * WRONG from then on; DAMAGED ones are FORMATTED if their drive file could be written anew. *read:
 * the drives whose copy counts. */
int drives_agree(struct drive_set *s, struct drive_look *looks, uint32_t *read, struct err *e);
/* Sets of the catalog in force that are not JOINING, or more than none. */
unsigned drive_rows_sets(const struct drive_set *s);
/* log/, vol/, quarantine/, reserve/ in the directory of a drive, durable. */
int drive_directories_make(struct disk *d, const char *drive, struct err *e);

/* drive_place.c */
/* What stands in a directory that shall be a drive. */
struct drive_place {
	const char	*path;
	Hf__DriveFile	*file;		/* NULL: empty */
	int		 handle;	/* of the drive file, locked; -1 */
	bool		 full, has_catalog;
	char		 found[64];	/* one name of what is in it */
};
int drive_place_look(struct drive_set *s, const char *path, struct drive_place *p, struct err *e);
void drive_place_release(struct drive_set *s, struct drive_place *p);
/* ERR_EXISTS: it holds something. What was left of an interrupted retirement goes. */
int drive_place_check(struct drive_set *s, unsigned slot, struct drive_place *p, struct err *e);
/* It holds the drive that the catalog has for the slot. */
bool drive_place_is_of_slot(const struct drive_set *s, unsigned slot,
    const struct drive_place *p);

/* drive_replace.c; commit_lock is held. */
/* Enough others of its set are there to know of a drive that takes the slot (P1). */
int drive_others_check(const struct drive_set *s, unsigned slot, struct err *e);
/* The drive in a place is that of the slot from now on, in memory; takes its handle. */
void drive_slot_take(struct drive_set *s, unsigned slot, struct drive_place *p,
    const uint8_t uuid[16]);
/* An epoch on the others: the slot's drive is RETURNING with this row; then its catalog. */
int drive_slot_commit(struct drive_set *s, unsigned slot, Hf__CatalogDrive *row,
    const char *reason, struct err *e);

/* drive_retire.c */
/* Opens and locks the drives from which others take over; those that are not there are lost. */
int drive_formers_open(struct drive_set *s, struct err *e);
/* An epoch: what is still a link to its files is to be rebuilt. */
int drive_former_lose(struct drive_set *s, unsigned slot, const char *why, struct err *e);
/* In memory: the slot's drive has all of its files itself. */
void drive_former_close(struct drive_set *s, unsigned slot);
/* Which of a file's copies are links; looks at drives that take over only. commit_lock is held. */
uint32_t drive_segment_links(struct drive_set *s, const Hf__CatalogSegment *row);
uint32_t drive_volume_links(struct drive_set *s, const Hf__CatalogVolume *row);
/* Of each slot's former drive: is it still there? */
void drive_formers_probe(struct drive_set *s);

/* drive_spare.c; lock is held. What the spares of a file system take. */
uint64_t drive_spares_bytes(const struct drive_set *s, uint64_t filesystem);

/* drive_recycle.c */
/* They are removed while room is short; *space is what was seen last, without them. */
void drive_recycled_yield(struct drive_set *s, unsigned slot, struct disk_space *space);

/* drive_sets.c */
/* Of each set enough are in the mask. */
bool drive_sets_may_start(const struct drive_set *s, uint32_t read);

/* drive_join.c. Sets of paths beyond s->count join; single-threaded. */
int drive_sets_join(struct drive_set *s, const struct drive_look *looks, struct err *e);

/* catalog_rows.c */
void catalog_rows_apply(struct catalog_rows *r, const Hf__CatalogChange *change);
/* The version of a frame with these rows of drives. */
uint32_t catalog_rows_version(Hf__CatalogDrive *const *drives, size_t count, bool sets);

/* catalog_file.c */
/* Replaces the drive's catalog by a snapshot of s->rows, durably, and keeps it open. */
int catalog_file_replace(struct drive_set *s, unsigned slot, struct err *e);
/* Makes one in any directory; *handle stays open, *end is where a change would go. */
int catalog_file_make(struct drive_set *s, const char *directory, int *handle, uint64_t *end,
    struct err *e);
/* One frame, not synced. */
int catalog_frame_write(struct disk *d, int handle, uint64_t epoch, uint32_t version,
    struct slice body, uint64_t offset, uint64_t *end, struct err *e);
/* Goes on with the file that is there, loaded as of the newest epoch and with its end. ERR_FULL:
 * there is too little room for more changes, in the file and on the drive. */
int catalog_file_continue(struct drive_set *s, unsigned slot, uint64_t end, struct err *e);
/* Appends one packed change to the drive's catalog; datasync is the second step. */
int catalog_file_append(struct drive_set *s, unsigned slot, uint64_t epoch, uint32_t version,
    struct slice body, struct err *e);
int catalog_file_sync(struct drive_set *s, unsigned slot, struct err *e);

/* catalog_commit.c; commit_lock is held. */
/* Drives in `failing` are left out, and are OFFLINE with this epoch because of `why`.
 * ERR_NO_QUORUM: too few took it, and the set is read-only now (catalog_commit); ERR_TOO_LARGE: no
 * epochs are left. */
int catalog_commit_locked(struct drive_set *s, Hf__CatalogChange *change, uint32_t failing,
    const char *why, struct err *e);
/* The bytes that the next commit of this change will write, unless a drive fails. */
void catalog_change_pack(struct drive_set *s, Hf__CatalogChange *change, struct buf *out);

/* catalog.c */
void *catalog_row_copy(const ProtobufCMessage *m);	/* from malloc */

/* drive.c */
/* What fits before the reserve is touched; below 0: it is. lock is held. */
int64_t drive_room_locked(const struct drive_set *s, unsigned slot);
/* What fits so that so much is left. */
int64_t drive_room_but(const struct drive_set *s, unsigned slot, uint64_t left);
/* The reserve; or what spares take, if that is more. */
uint64_t drive_reserve_locked(const struct drive_set *s, unsigned slot, bool spares);
/* ONLINE and RETURNING; lock is held or single-threaded */
uint32_t drive_live_mask(const struct drive_set *s);
bool drive_path_is(const char *a, const char *b);	/* but for slashes at the end */
void drive_note(struct drive_set *s, unsigned slot, Hf__CatalogDrive__State state, const char *why);

/* drive_promise.c; lock is held. What all but one owner are promised on the file system of a
 * slot. */
uint64_t drive_promised_locked(const struct drive_set *s, unsigned slot, uint64_t but);

/* drive_closed.c */
/* The catalog of a drive could not be written: DRIVE_WRITABLE if it failed for another reason than
 * want of room or a file system that is mounted read-only. */
enum drive_closed drive_closed_look(struct drive_set *s, unsigned slot, int code);
void drive_closed_set(struct drive_set *s, unsigned slot, enum drive_closed closed);
/* These drives cannot be written, and too few are left without them; their states stay. The
 * set is read-only now: ERR_NO_QUORUM, which names them. */
int drive_set_starve(struct drive_set *s, const enum drive_closed closed[DRIVES_MAX],
    char why[][160], struct err *e);
/* Drives that were mounted read-only are failed, or starve the set. */
void drive_set_probe_mounts(struct drive_set *s);

/* drive_file.c */
/* ERR_INVALID: path lies inside of a directory that is a drive. */
int drive_file_outside(struct disk *d, const char *path, struct err *e);
/* Makes DRIVE/drive durable and locked; *handle is the lock. ERR_LOCKED if another process is at
 * it, or, unless `over`, one is there. */
int drive_file_create(struct disk *d, const char *path, const Hf__DriveFile *file, bool over,
    int *handle, struct err *e);
/* The file for a slot, with this uuid. */
void drive_file_fill(const struct drive_set *s, unsigned slot, uint8_t uuid[16],
    Hf__DriveFile *out);

/* drive_quarantine.c: moves what the catalog does not name; lost errors only cost space. */
int drive_quarantine(struct drive_set *s, unsigned slot, struct err *e);

#endif
