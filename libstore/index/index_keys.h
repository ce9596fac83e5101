/*
 * index_keys - the keys of the index. The first byte names the table; numbers are big-endian so
 * that they sort. Object keys hold no NUL byte (refused at the protocol edge and in the sequencer).
 *
 *   M name                                    meta: applied LSN, format version, counters
 *   B bucket-name                             Bucket
 *   O bucket-id(8) key                        ObjectEntry, the current version; no delete markers
 *   V bucket-id(8) key 00 ~origin-lsn(8)      ObjectEntry, other versions and delete markers
 *   U bucket-id(8) key 00 upload-id(16)       Upload
 *   P upload-id(16) number(2)                 Part, of an open upload or a completed object
 *   X volume(8) end(8)                        Extent that is live (committed); under its end, so
 *                                             that the first row past an offset is all that can
 *                                             overlap it
 *   Y volume(8)                               VolumeUse
 *   F lsn(8) n(4)                             Extent freed by that record, to be punched
 *   S session(16)                             RecordSessionOpen, with the floor of its answers
 *   R session(16) sequence(8)                 SessionAnswers: ANSWERS_ROW sequences from this on
 *   C section 00 name                         RecordConfigPut
 *   G segment(8)                              SegmentUse
 *   D lsn(8)                                  DeadRecord: it was the home of a row
 *   E killer-lsn(8) lsn(8)                    of each row D one, by its killer; nothing
 *   T id(8)                                   Task
 *   Q list(1) time(8) id(8)                   TaskPlace, of each task one: its place in its list
 *   Z lsn(8) upload-id(16)                    EndedUpload: it ended with that record
 *   K fingerprint 00 finished(1) ~id(8)       of each task one: finished_ms, little-endian
 *   FF key                                    a key: from the one to the other nothing lives;
 *                                             behind all tables, the index's own, never shown
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_INDEX_KEYS_H
#define HF_STORE_INDEX_KEYS_H

#include "libbase/buf.h"

#define INDEX_FORMAT_VERSION 7
#define ANSWERS_ROW 32

/* Each replaces the content of k. */
void key_meta(struct buf *k, const char *name);
void key_bucket(struct buf *k, struct slice name);
void key_object(struct buf *k, uint64_t bucket_id, struct slice key);
void key_version(struct buf *k, uint64_t bucket_id, struct slice key, uint64_t origin_lsn);
void key_upload(struct buf *k, uint64_t bucket_id, struct slice key, struct slice upload_id);
void key_part(struct buf *k, struct slice upload_id, uint32_t number);
void key_extent(struct buf *k, uint64_t volume, uint64_t offset);
void key_volume(struct buf *k, uint64_t volume);
void key_freed(struct buf *k, uint64_t lsn, uint32_t n);
void key_session(struct buf *k, struct slice session);
/* Of the row that a sequence is in. */
void key_answers(struct buf *k, struct slice session, uint64_t sequence);
void key_config(struct buf *k, const char *section, const char *name);
void key_segment(struct buf *k, uint64_t segment);
void key_dead(struct buf *k, uint64_t lsn);
void key_kill(struct buf *k, uint64_t killer, uint64_t lsn);
void key_ended(struct buf *k, uint64_t lsn, struct slice upload_id);
void key_task(struct buf *k, uint64_t id);
void key_task_place(struct buf *k, uint8_t list, uint64_t time_ms, uint64_t id);
void key_task_print(struct buf *k, struct slice fingerprint, bool finished, uint64_t id);
/* Without a key it is the end of all that is not the index's own. */
void key_gap(struct buf *k, struct slice from);
/* The least key greater than every key that starts with `prefix`; empty buf if there is none. */
void key_after_prefix(struct buf *k, struct slice prefix);
/* Back again; each borrows from key. ERR_CORRUPT if it is not of that table. */
int key_object_parse(struct slice key, uint64_t *bucket_id, struct slice *name);
int key_version_parse(struct slice key, uint64_t *bucket_id, struct slice *name,
    uint64_t *origin_lsn);
int key_upload_parse(struct slice key, uint64_t *bucket_id, struct slice *name,
    struct slice *upload_id);
int key_task_place_parse(struct slice key, uint8_t *list, uint64_t *time_ms, uint64_t *id);
int key_ended_parse(struct slice key, uint64_t *lsn, struct slice *upload_id);
int key_part_parse(struct slice key, struct slice *upload_id, uint32_t *number);

#endif
