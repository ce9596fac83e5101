/*
 * file_cache - open shard and segment files, shared by all bodies of a process. Safe from any
 * thread.
 *
 * C1  A file is closed only when nobody holds it; at most FILES_MAX stay open that nobody holds.
 * C2  A sync that failed is final for that file: no later sync of it succeeds, for any writer. (The
 *     kernel reports a lost page to one caller only; so syncs of a file go one after another, and
 *     share.)
 * C3  When a drive changes its state, its files are not found again: they are opened anew. Nor is
 *     one that was being opened then.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_OBJECT_FILE_CACHE_H
#define HF_OBJECT_FILE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "libbase/err.h"
#include "libobject/drive_times.h"
#include "libstore/disk/disk.h"
#include "schema/store.pb-c.h"

enum file_kind { FILE_SEGMENT, FILE_VOLUME, FILE_SHARD };	/* FILE_SHARD: of a segment */

struct file_cache;
struct file;

/* deadline: a disk_deadline over disk, by which files are opened and synced; NULL:
 * none. Syncs are counted in times. */
struct file_cache *file_cache_new(struct disk *disk, struct disk *deadline,
    struct drive_times *times);
void file_cache_free(struct file_cache **c);	/* all files must have been put */
/* Paths and states of the drives. */
void file_cache_layout(struct file_cache *c, const Hf__Layout *layout);
/* Slots whose drives hang: a read by the deadline is refused. */
uint32_t file_cache_hung(struct file_cache *c);
/* Opens, or finds open. ERR_UNAVAILABLE: the drive's path is not known. */
int file_get(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot, bool writable,
    struct file **out, struct err *e);
/* The files of at most 16 slots; those that are not open yet are opened side by side. Each is in
 * out, or NULL there and why says why. */
void files_get(struct file_cache *c, enum file_kind kind, uint64_t id, const unsigned *slots,
    unsigned count, bool writable, struct file **out, struct err *why);
/* Only if it is open already; else NULL. */
struct file *file_peek(struct file_cache *c, enum file_kind kind, uint64_t id, unsigned slot);
int file_handle(const struct file *f);
/* fdatasync of everything that was written to the file before the call. */
int file_sync(struct file *f, struct err *e);
void file_put(struct file **f);

#endif
