/*
 * index_copy - a copy of the index on one of the drives: losing the drive with the index costs a
 * replay of what came after the copy, and not of everything. Layout: holdfast-format(5), "Copy of
 * the index".
 *
 *   checkpoint of the index ─► its files that the last copy lacks, a step at a time ─► `copy' ─►
 *   what `copy' does not name goes
 *
 * K1  `copy' names only files that are whole and durable: it is renamed into place last.
 * K2  A file that `copy' names is never written again; the next copy may name it, too.
 * K3  What `copy' does not name is nobody's. A copying that ended anywhere leaves the last copy.
 * K4  A copy is used only if every file is, byte by byte, what was written; never one that is of
 *     another deployment, behind the horizon, or ahead of the log.
 * K5  What a copy keeps of the last one is read again, a part each time; what is damaged is written
 *     anew, from the index.
 *
 * When to copy, and how fast, is services/store's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_COPY_H
#define HF_STORE_INDEX_COPY_H

#include "libstore/index/index.h"
#include "libstore/log/log.h"

struct index_copy_about {
	unsigned	slot;
	uint64_t	lsn, made_ms, bytes, files;
	bool		shared;		/* on the file system that the index is on */
};

/* What the copy on a drive says of itself: 0, ERR_NOT_FOUND, ERR_CORRUPT, ERR_VERSION, ERR_STALE
 * (of another deployment or index format), ERR_IO. */
int index_copy_look(struct drive_set *s, unsigned slot, struct index_copy_about *out,
    struct err *e);
/* The newest that can be read on a drive that is online; ERR_NOT_FOUND. */
int index_copy_newest(struct drive_set *s, struct index_copy_about *out, struct err *e);

struct index_copier;
struct index_copy_how {
	uint32_t	avoid;		/* drives */
	/* K5: at least one file and about so many bytes, of those with higher numbers first. */
	uint64_t	check_after, check_bytes;
};
struct index_copy_progress {
	uint64_t	bytes, done;	/* to be written; of them */
	uint64_t	checked;	/* bytes that were kept and read again */
	uint64_t	check_after;	/* where the next one goes on */
	unsigned	damaged;	/* files that were kept, and were not what they had been */
};
/* A checkpoint beside the index, and a drive for it: not one to be avoided, another file system
 * than the index's if there is one; *slot: which, DRIVES_MAX: none. ERR_FULL: no drive has room.
 * May take a while. */
int index_copier_open(struct index *x, const char *index_dir, struct drive_set *s,
    const struct index_copy_how *how, unsigned *slot, struct index_copier **out, struct err *e);
/* Copies about bytes_max more. 1: there is more to do; 0: the copy is in force. After an error only
 * index_copier_close may follow. */
int index_copier_step(struct index_copier *c, uint64_t bytes_max, struct err *e);
void index_copier_about(const struct index_copier *c, struct index_copy_about *out,
    struct index_copy_progress *progress);
/* At any time; the checkpoint goes, and what an unfinished copy wrote. */
void index_copier_close(struct index_copier **c);
/* Removes what a process that was killed left beside the index. */
void index_copy_leftovers(const char *index_dir);

/*
 * Puts the newest copy that is whole in the place of an index that is missing; what else is in that
 * directory goes. 0: it is there, and *out says what it is. ERR_NOT_FOUND: no drive has one that
 * can be used; e says of each why. ERR_CANCELLED.
 */
int index_copy_restore(struct drive_set *s, uint64_t log_end, const char *index_dir,
    log_progress_fn *progress, void *context, const volatile bool *cancel,
    struct index_copy_about *out, struct err *e);
/* Reads every file of a drive's copy: 0, or as index_copy_look, with a sentence that names the
 * file. */
int index_copy_verify(struct drive_set *s, unsigned slot, log_progress_fn *progress, void *context,
    const volatile bool *cancel, struct index_copy_about *out, struct err *e);
/* No drive has one any more. */
void index_copy_forget(struct drive_set *s);

#endif
