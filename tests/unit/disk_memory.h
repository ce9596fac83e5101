/*
 * disk_memory - a simulated disk for tests: files in memory that remember what was synced and what
 * was not.
 *
 * A power cut keeps any legal subset: of each unsynced write any of its 512-byte sectors, of the
 * unsynced operations on a directory any number of the first ones. Drives are the first component
 * of a path ("/d0").
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_TESTS_DISK_MEMORY_H
#define HF_TESTS_DISK_MEMORY_H

#include "libstore/disk/disk.h"

struct disk *disk_memory_new(uint64_t seed, unsigned drives);
void disk_memory_free(struct disk *d);
/* In step n all processes die (kill -9), as if the power failed, but what was written stays
 * written: the page cache does. disk_memory_restart goes on. */
void disk_memory_die_at(struct disk *d, uint64_t n);
bool disk_memory_died(const struct disk *d);	/* else it was the power */
uint64_t disk_memory_random(struct disk *d, uint64_t below);
/* Every changing step from now on counts; the power fails in step n (0: never). Then all steps
 * fail. */
void disk_memory_cut_at(struct disk *d, uint64_t n);
bool disk_memory_cut(const struct disk *d);
uint64_t disk_memory_steps(const struct disk *d);
/* Cuts the power now if it was not, keeps a legal subset, and starts again with no handle open. */
void disk_memory_restart(struct disk *d);
void disk_memory_set_eio(struct disk *d, unsigned drive, bool on);
/* Everything on it is gone, as of another drive that was put in. */
void disk_memory_wipe(struct disk *d, unsigned drive);
void disk_memory_set_missing(struct disk *d, unsigned drive, bool on);
/* The n-th changing step from now on fails with EIO, once. */
void disk_memory_fail_step(struct disk *d, uint64_t n);
/* The first changing step on the drive after n others fails with EIO, once. */
void disk_memory_fail_drive(struct disk *d, unsigned drive, uint64_t n);
/* From the n-th step of any drive on it answers EIO to everything; 0: it does not come to that. */
void disk_memory_break_drive(struct disk *d, unsigned drive, uint64_t n);
/* It has. */
bool disk_memory_broken(const struct disk *d);
uint64_t disk_memory_used(struct disk *d, unsigned drive);	/* bytes of its files */
/* per drive, with what files take */
void disk_memory_set_free(struct disk *d, uint64_t bytes);
void disk_memory_set_free_of(struct disk *d, unsigned drive, uint64_t bytes);
/* As of a file system that was mounted read-only under its user. */
void disk_memory_set_read_only(struct disk *d, unsigned drive, bool on);
void disk_memory_set_sector(struct disk *d, uint32_t bytes);
/* While on, every call fails: the process that would make it is dead. Nothing is lost by that. */
void disk_memory_set_dead(struct disk *d, bool on);
/* Of the writes on these drives (a mask) one in so many is told as done, but is lost or goes to a
 * wrong place on the same drive; 0: none. */
void disk_memory_set_liar(struct disk *d, uint32_t drives, unsigned one_in);
/* Of the reads on a drive one in so many fails with EIO; 0: none. */
void disk_memory_set_bad_reads(struct disk *d, unsigned drive, unsigned one_in);
/* The next write on a drive hangs: its caller gets ERR_TIMEOUT, as everybody does until _unstall,
 * and the bytes arrive then; or never, if the power is cut before. */
void disk_memory_stall(struct disk *d, unsigned drive);
void disk_memory_unstall(struct disk *d);	/* all drives */
/* What was done to callers, since the disk was made. */
struct disk_tally {
	/* with EIO; others: of directories, sizes and names */
	uint64_t reads_failed, writes_failed, syncs_failed, others_failed;
	uint64_t full;			/* ENOSPC */
	uint64_t lost, misdirected;	/* writes that were told as done */
	uint64_t flipped;		/* bits */
	uint64_t stalled, landed;	/* writes that hung; that came to their end in the end */
};
const struct disk_tally *disk_memory_tally(const struct disk *d);
/* Flips a bit somewhere in a file of a drive; returns the file's path, NULL if there is none. */
const char *disk_memory_rot(struct disk *d, unsigned drive);
/* Flips a bit of a file, synced and not; false if it is not there or too short. */
bool disk_memory_flip(struct disk *d, const char *path, uint64_t offset);
bool disk_memory_exists(struct disk *d, const char *path);
/* The n-th file whose path contains part, or NULL. */
const char *disk_memory_find(struct disk *d, const char *part, unsigned n);
/* Every step on a drive takes so long from now on. */
void disk_memory_set_latency(struct disk *d, unsigned drive, unsigned ms);
/* Makes every write on a drive block until it is called with on = false. */
void disk_memory_set_hang(struct disk *d, unsigned drive, bool on);

#endif
