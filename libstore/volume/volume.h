/*
 * volume - k+m shard files that hold bodies in rows of checksummed units: geometry, encoding,
 * verified decoding, and the few operations of the store on shard files.
 *
 * V1  A unit's address is written at most once, ever.
 * V2  A unit carries its identity (volume, offset, shard, the extent's write-id) and a checksum of
 *     both.
 * V3  A row belongs to one extent. Rows are full (64 KiB units) except an extent's last, whose
 *     units are the rest divided by k, with trailer, rounded up to 4 KiB.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_VOLUME_H
#define HF_STORE_VOLUME_H

#include "libbase/erasure.h"
#include "libstore/drive/catalog.h"

#define VOLUME_UNIT_BYTES	65536u
#define VOLUME_TRAILER_BYTES	32u
#define VOLUME_PAYLOAD_BYTES	(VOLUME_UNIT_BYTES - VOLUME_TRAILER_BYTES)
#define VOLUME_ALIGN_BYTES	4096u

/* Body bytes of a full row. */
static inline uint64_t
volume_row_body_bytes(unsigned k)
{
	return ((uint64_t)k * VOLUME_PAYLOAD_BYTES);
}
/* Bytes that an extent of body_bytes takes in each shard file. */
uint64_t volume_extent_shard_bytes(unsigned k, uint64_t body_bytes);

/* Where a row of an extent lies: index from 0; its offset in shard files, unit size, body bytes in
 * it. */
struct volume_row {
	uint64_t	offset;
	uint32_t	unit_bytes;	/* with trailer */
	uint64_t	body_offset;	/* in the extent */
	uint32_t	body_bytes;
};
uint64_t volume_row_count(unsigned k, const Hf__Extent *x);
void volume_row_get(unsigned k, const Hf__Extent *x, uint64_t index, struct volume_row *out);

/*
 * Encodes one row: units[0..k+m-1] each point to row->unit_bytes of memory; body already lies in
 * the payloads of units[0..k-1] (payload i = body bytes [i * p, (i+1) * p), p = unit_bytes -
 * trailer; short rests are zero-filled here). Computes parity and writes all trailers.
 */
void volume_row_encode(const struct erasure *c, unsigned k, unsigned m, const Hf__Extent *x,
    const struct volume_row *row, uint8_t *const units[]);
/* Writes the trailer of one unit whose payload is complete (one that was rebuilt). */
void volume_unit_seal(const Hf__Extent *x, const struct volume_row *row, unsigned shard,
    uint8_t *unit);
/* Checks one unit that was read: 0, ERR_CORRUPT (damage), ERR_STALE (a whole unit of another
 * identity, or a hole: the space was given to another extent or punched). */
int volume_unit_check(const Hf__Extent *x, const struct volume_row *row, unsigned shard,
    const uint8_t *unit, struct err *e);

/* Name of a volume's shard file in DRIVE/vol, into out. */
#define VOLUME_NAME_BYTES 24
void volume_name(uint64_t id, char out[VOLUME_NAME_BYTES]);

/* --- the store's side ------------------------------------------------------------------------- */

/* Makes the shard files on the drives of the best set that are there, and the catalog row (ACTIVE);
 * shard i on slot (id + i) mod (k + m) of the set. ERR_NO_QUORUM: fewer than k took theirs, and
 * nothing stays; else as catalog_commit. */
int volume_create(struct drive_set *s, uint64_t *id, struct err *e);
/* A new volume would lie in another set than this one, and there is room. */
bool volume_better_place(struct drive_set *s, uint64_t id);
/* Reserves [offset, offset + bytes) in every shard file on its drive (fallocate). ERR_FULL before a
 * drive's reserve is touched; nothing stays allocated then. */
int volume_allocate(struct drive_set *s, uint64_t id, uint64_t offset, uint64_t bytes,
    struct err *e);
/* Gives the space of [offset, offset + bytes) back on every shard whose drive is there; *missed
 * gets the slots where it could not. Harmless to repeat. */
int volume_punch(struct drive_set *s, uint64_t id, uint64_t offset, uint64_t bytes,
    uint32_t *missed, struct err *e);
/* What was punched stays so when the power fails: before anything forgets it. *missed: as above. */
int volume_punched_sync(struct drive_set *s, uint64_t id, uint32_t *missed, struct err *e);
/* The same on the drive of one slot, later: punches ranges and syncs. A shard file that is not
 * there has nothing to give. */
struct volume_range { uint64_t volume, offset, bytes; };
int volume_punch_slot(struct drive_set *s, uint64_t id, unsigned slot,
    const struct volume_range *ranges, size_t count, struct err *e);
/* Catalog: SEALED, with the shards marked that live extents were written without. Harmless to
 * repeat. */
int volume_seal(struct drive_set *s, uint64_t id, uint32_t thin, struct err *e);
/* Catalog: DROPPED; then unlinks the files. *left gets the slots where one may be left. */
int volume_drop(struct drive_set *s, uint64_t id, uint32_t *left, struct err *e);

#endif
