/*
 * record - one record of the log: its header, checksums and types. Shared by the log's writer, by
 * recovery and by readers that fetch an inline body straight from a drive.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_RECORD_H
#define HF_STORE_RECORD_H

#include "libbase/bytes.h"
#include "libbase/err.h"
#include "schema/log.pb-c.h"

/*
 * (epoch, sequence) in one number that compares as the pair. Never used twice. 28 bits of sequence
 * are more than the records of the largest segment; 35 of epoch last for a thousand years of one
 * change of the catalog a second. The highest bit stays free (LSN_PROVISIONAL).
 */
#define LSN_SEQUENCE_BITS	28
#define LSN_EPOCH_MAX		((UINT64_C(1) << 35) - 1)
#define LSN(epoch, sequence)	((uint64_t)(epoch) << LSN_SEQUENCE_BITS | (uint64_t)(sequence))
#define LSN_EPOCH(lsn)		((lsn) >> LSN_SEQUENCE_BITS)
#define LSN_SEQUENCE(lsn)	((lsn) & ((UINT64_C(1) << LSN_SEQUENCE_BITS) - 1))

enum record_type {		/* numbers are on the disk: never reused */
	RECORD_BUCKET_PUT = 1, RECORD_BUCKET_DELETE = 2,
	RECORD_OBJECT_PUT = 3, RECORD_OBJECT_DELETE = 4,
	RECORD_UPLOAD_PUT = 5, RECORD_PART_PUT = 6,
	RECORD_UPLOAD_COMPLETE = 7, RECORD_UPLOAD_ABORT = 8,
	RECORD_SESSION_OPEN = 9, RECORD_SESSION_END = 10,
	RECORD_RUN_GRANT = 11, RECORD_RECLAIMED = 12,
	RECORD_VOLUME_SEALED = 13, RECORD_CONFIG_PUT = 14,
	RECORD_RELOCATED = 15, RECORD_DEAD = 16,
	RECORD_SEGMENT_DROPPED = 17,
	RECORD_TASK_PUT = 18, RECORD_TASK_DELETE = 19,
	RECORD_VOLUME_RELEASED = 20, RECORD_PARTS_FREED = 21,
};

struct record {
	uint64_t	lsn;
	uint16_t	type;
	struct slice	meta;		/* the type's message of log.proto, packed */
	struct slice	data;		/* inline body */
	Hf__Place	place;		/* where it is */
};

#define RECORD_META_BYTES_MAX	(4u * 1024 * 1024)
#define RECORD_DATA_BYTES_MAX	(1024u * 1024)

/*
 * Checks a record that was read from (segment, offset): magic, lengths, seeded checksum of header
 * and meta, checksum of data. On 0 *out borrows from bytes. ERR_CORRUPT with the reason.
 */
int record_parse(struct slice bytes, uint64_t segment, uint64_t offset, struct record *out,
    struct err *e);
/*
 * For readers of an inline body: checks that bytes (read at place->offset, place->record_bytes
 * long) are the record that place means (LSN) and whole; *data borrows. ERR_STALE: another record
 * is there; ERR_CORRUPT: damage.
 */
int record_body(struct slice bytes, const Hf__Place *place, struct slice *data, struct err *e);

/* Bytes that a record takes in a batch, padding to 8 included. */
uint64_t record_encoded_bytes(struct slice meta, struct slice data);
/* Writes record r (lsn, type, meta, data) for r->place.segment and .offset into out, which has
 * record_encoded_bytes; fills in the rest of r->place. */
void record_encode(struct record *r, uint8_t *out);
/*
 * The two halves of record_encode. record_lay writes all that does not depend on where the record
 * goes, and record_stamp the rest, as often as it moves: LSN and the seeded checksum.
 */
void record_lay(uint16_t type, struct slice meta, struct slice data, uint8_t *out);
void record_stamp(uint8_t *record, uint64_t lsn, uint64_t segment, uint64_t offset);
/* Header and meta only, as they stand in a footer: data stays empty, place.data_bytes tells its
 * size. */
int record_parse_head(struct slice bytes, uint64_t segment, uint64_t offset, struct record *out,
    struct err *e);

#endif
