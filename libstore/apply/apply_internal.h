/*
 * apply_internal - what the apply*.c files share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_APPLY_INTERNAL_H
#define HF_STORE_APPLY_INTERNAL_H

#include "libstore/apply/apply.h"
#include "libstore/index/index_keys.h"
#include "libstore/index/rows.h"
#include "schema/store.pb-c.h"

typedef int apply_fn(struct apply *a, ProtobufCMessage *m, struct err *e);

apply_fn apply_bucket_put, apply_bucket_delete, apply_object_put, apply_object_delete,
    apply_config_put;
apply_fn apply_upload_put, apply_part_put, apply_upload_complete, apply_upload_abort;
apply_fn apply_session_open, apply_session_end;
apply_fn apply_task_put, apply_task_delete;
apply_fn apply_run_grant, apply_reclaimed, apply_volume_sealed, apply_volume_released;
apply_fn apply_relocated, apply_dead, apply_segment_dropped, apply_parts_freed;

/* Reads the row at a->key. */
int apply_get(struct apply *a, const ProtobufCMessageDescriptor *type, void *out, struct err *e);
/* Writes the row at a->key. */
void apply_put(struct apply *a, const void *message);
void apply_put_fresh(struct apply *a, const void *message);	/* there is none */
void apply_delete(struct apply *a);
/* Packs the answer to whoever asked, with code 0 and the record's LSN. */
void apply_reply(struct apply *a, Hf__StoreReply *reply);
int counter_add(struct apply *a, const char *name, int64_t n, struct err *e);
void objects_count(struct apply *a, int n);
/* Of what admissions look at: provisionally, too. */
int counter_add_visible(struct apply *a, const char *name, int64_t n, struct err *e);
/* The record's place; false: it has no inline body. */
bool apply_place_of(const struct apply *a, Hf__Place *out);
/* The same, from malloc, or NULL. */
Hf__Place *apply_place(const struct apply *a);

/* --- apply_use.c: homes, and what is dead */
/* Whether the record's row is to be made; then the record is its home. */
bool apply_makes(struct apply *a);
/* This record as the home of a row without a place; false provisionally. */
bool apply_home_of(const struct apply *a, Hf__Home *out);
/* The same, from malloc, or NULL. */
Hf__Home *apply_home(const struct apply *a);
/* The home of a row that goes, moves or is replaced: one of place and home, or none. */
int apply_home_dead(struct apply *a, const Hf__Place *place, const Hf__Home *home, struct err *e);
/* For apply_record: counts the record in its segment. */
int apply_use_record(struct apply *a, struct err *e);

/* Volumes: extents become live, or go to the table of freed extents. */
int apply_extents_commit(struct apply *a, size_t n, Hf__Extent **extents, struct err *e);
int apply_extents_free(struct apply *a, size_t n, Hf__Extent **extents, struct err *e);
/* They are not live any more, and were given back already. */
int apply_extents_forget(struct apply *a, size_t n, Hf__Extent **extents, struct err *e);
/* For apply_record: writes what is kept of a volume. */
void apply_volume_flush(struct apply *a);
/* The session holds a volume no more, if it did. */
int apply_volume_unhold(struct apply *a, struct slice session, uint64_t volume, struct err *e);
/* A volume's row at its relocation: static fields from row, sums as they are. */
int apply_volume_moved(struct apply *a, struct slice key, Hf__VolumeUse *row, struct err *e);
/* Everything freed up to an LSN was given back. */
int apply_freed_forget(struct apply *a, uint64_t lsn, struct err *e);
/* Removes all parts of an upload with numbers not in keep[] (ascending); frees their extents. */
int apply_parts_free(struct apply *a, struct slice upload_id, const uint32_t *keep,
    size_t keep_count, struct err *e);
/* Nothing needs an upload's parts any more: they are freed later, a piece at a time. */
void apply_upload_end(struct apply *a, struct slice upload_id);
/* No part is left of uploads that ended up to an LSN. */
int apply_ended_forget(struct apply *a, uint64_t lsn, struct err *e);
/* Removes the current version of an object and frees its body. ERR_NOT_FOUND: there was none. */
int apply_object_drop(struct apply *a, uint64_t bucket_id, struct slice key, struct err *e);
/* Removes an upload's row. ERR_NOT_FOUND: there was none. */
int apply_upload_drop(struct apply *a, uint64_t bucket_id, struct slice key, struct slice id,
    struct err *e);
/* Session answers: stores this one, forgets those below the floor. */
int apply_answer(struct apply *a, const Hf__Origin *origin, struct err *e);
/* A task at its relocation. */
int apply_task_moved(struct apply *a, Hf__Task *row, struct err *e);
/* A session's row, and the row of an answer, at their relocation. */
int apply_session_moved(struct apply *a, struct slice key, Hf__RecordSessionOpen *row,
    struct err *e);
int apply_answers_moved(struct apply *a, struct slice key, Hf__SessionAnswers *row, struct err *e);
/* The same of the row of a single answer, as older programs had them. */
int apply_answer_moved(struct apply *a, struct slice key, Hf__SessionAnswer *row, struct err *e);

/* --- apply_answer.c: rows of answers */
/* Adds an answer to its row, or puts it in the place of the one with its sequence. */
int apply_answer_put(struct apply *a, struct slice session, const Hf__SessionAnswer *answer,
    struct err *e);
/* Removes the rows of sequences in [from, to), which are bounds of rows; to may be UINT64_MAX. */
int apply_answers_remove(struct apply *a, struct slice session, uint64_t from, uint64_t to,
    struct err *e);
void apply_answers_flush(struct apply *a);	/* of apply_flush */
void apply_answers_release(struct apply *a);

#endif
