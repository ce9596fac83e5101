/*
 * segment - one stretch of the log on its mirrors: make the files, build and check batches, read
 * batches back from whichever mirror has them whole.
 *
 * S1  Bytes of a committed batch never change.
 * S2  A batch is whole or absent: checksums are seeded with segment and offset, LSNs follow each
 *     other.
 * S3  A mirror that lacks something is read like any other: each batch proves itself, up to the
 *     sealed end.
 *
 * Which drives hold mirrors is log_keeper.c's choice; when a batch counts is log_commit.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_SEGMENT_H
#define HF_STORE_SEGMENT_H

#include "libbase/buf.h"
#include "libstore/drive/catalog.h"
#include "libstore/log/segment_copy.h"

/* An open segment and its mirrors; handles[i] is -1 where the mirror is not there. */
struct segment {
	uint64_t	id, bytes, end;		/* file size; where the next batch goes */
	uint64_t	first_lsn, last_lsn;	/* last 0: no record */
	uint64_t	head_bytes;		/* that a footer takes; 0: not known */
	uint32_t	sector_bytes;
	unsigned	mirror_count;
	uint32_t	slots[DRIVES_MAX];
	int		handles[DRIVES_MAX];
	int		direct[DRIVES_MAX];	/* for zeros, past the page cache; -1: by handles */
	uint32_t	missing;		/* bit i: mirror i lacks records */
	uint8_t		share;			/* enum log_share: the first that may use it */
	/* up to here all mirrors were written before, with zeros or as another segment; 0: none */
	uint64_t	prewritten;
	uint64_t	old_bytes[DRIVES_MAX];	/* of a mirror, as another segment's */
	uint64_t	zeroing;		/* zeros are being written from here on; 0: no */
	int		refs;			/* guarded by the log's lock */
	struct segment	*link;
};

/* How zeros are written ahead: with pauses, until somebody waits for the segment. */
struct prewrite {
	_Atomic bool	hurry;
	uint64_t	bytes_max;		/* of the file; the rest is only allocated */
	unsigned	pause_us;
};

void segment_path(const struct drive_set *s, unsigned slot, uint64_t id, const char *ending,
    char out[4096]);
/* The mirror in a slot is a link (drive_file_linked). */
bool segment_mirror_linked(struct drive_set *s, uint64_t id, unsigned slot);
/* A drive failed at the mirror that it has of a segment (drive_file_fail). */
int segment_mirror_fail(struct drive_set *s, uint64_t id, unsigned slot, const char *why,
    struct err *e);
/* Of the i-th file that a row names: a mirror, or a shard. */
void segment_row_path(const struct drive_set *s, const Hf__CatalogSegment *row, unsigned i,
    char out[4096]);
/* The header page of its mirrors. */
void segment_header_encode(const struct drive_set *s, const struct segment *g,
    uint8_t page[SEGMENT_HEADER_BYTES]);
/*
 * Makes the files of the mirrors: allocated, zeroed unless prewrite is NULL, header written,
 * synced, under their name. On failure *failed_slot says whose drive it was; nothing stays behind
 * on the others.
 */
int segment_create(struct drive_set *s, uint64_t id, const uint32_t *slots, unsigned count,
    uint64_t bytes, struct prewrite *prewrite, struct segment **out, unsigned *failed_slot,
    struct err *e);
/* Opens the mirrors that a row names, on present drives. readable counts them. */
struct segment *segment_open(struct drive_set *s, const Hf__CatalogSegment *row, bool writable,
    unsigned *readable);
/* Zeros on a mirror that nothing depends on; sync: as pwritev_sync of the disk. */
int segment_zeros_write(struct drive_set *s, const struct segment *g, unsigned mirror,
    uint64_t from, size_t bytes, bool sync, struct err *e);
void segment_close(struct drive_set *s, struct segment **g);
/* Removes the files, as far as their drives let us: what stays is not named by the catalog. */
void segment_unlink(struct drive_set *s, const struct segment *g);
/* The same by its row: mirrors, or shards of a converted one. Mirrors may be kept for a next
 * segment. */
void segment_unlink_row(struct drive_set *s, const Hf__CatalogSegment *row);
/*
 * segment_recycle.c. The file of a mirror that nothing needs any more is kept for a next segment
 * (drive_recycle.c). False: it is where it was, and is to be removed.
 */
bool segment_mirror_recycle(struct drive_set *s, const Hf__CatalogSegment *row, unsigned i);
/* The same for all mirrors of one that never held a record and that nobody writes to any more; the
 * others are removed. */
void segment_recycle_unused(struct drive_set *s, struct segment *g);
/* Takes a file for mirror i at path, with the header of g and nothing else changed: then its
 * old_bytes say how much of it was written. Else there is nothing at path. */
int segment_mirror_take(struct drive_set *s, struct segment *g, unsigned i, const char *path,
    struct err *e);
/* How far all mirrors were written as other segments; 0: one was not. */
uint64_t segment_old_bytes(const struct segment *g);

/*
 * Reads the batch at an offset (LSNs from expected_lsn on; 0: any) into out from the first mirror
 * of mask that has it whole. Returns true and the mask of mirrors that were tried and have it not.
 * every: tries all.
 */
bool segment_batch_read(struct drive_set *s, const struct segment *g, uint32_t mask,
    uint64_t offset, uint64_t expected_lsn, bool every, struct buf *out, struct batch_head *head,
    uint32_t *bad);
/* The same from one mirror, of which a stretch is held: for who reads batch after batch. */
struct segment_window {
	unsigned	 mirror;
	struct buf	 bytes;
	uint64_t	 at;			/* of the file, where bytes begin */
};
bool segment_window_batch(struct drive_set *s, const struct segment *g, struct segment_window *w,
    uint64_t offset, uint64_t expected_lsn, struct buf *out, struct batch_head *head);
/* Highest acknowledged LSN that a batch header between two offsets of any mirror tells of; 0:
 * none. */
uint64_t segment_acked_behind(struct drive_set *s, const struct segment *g, uint64_t from,
    uint64_t to);

/* segment_footer.c */
/* Writes the footer behind the batches of all mirrors of mask and cuts the files there. Returns the
 * mask of mirrors where that failed for good (their drives should be failed); a footer is never
 * needed. */
uint32_t segment_footer_write(struct drive_set *s, const struct segment *g, uint32_t mask,
    struct err *e);
/* segment.c: as segment_copy_footer, from a mirror. */
int segment_footer_read(struct drive_set *s, const struct segment *g, unsigned mirror,
    uint64_t after, segment_each_fn *each, void *context, uint64_t *last, struct err *e);

#endif
