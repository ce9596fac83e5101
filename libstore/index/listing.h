/*
 * listing - pages of buckets, objects, versions, uploads and parts. A page is a range scan; a
 * delimiter is a seek past the common prefix, so cost follows the page, not the bucket.
 *
 * Each fills the reply's items (malloc'ed, freed with hf__store_reply__free_unpacked), truncated
 * and next_*. Returns 0 or ERR_*; bounds (max) are enforced here: at most 1000, 0 answers nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_LISTING_H
#define HF_STORE_LISTING_H

#include "libstore/index/index.h"
#include "schema/store.pb-c.h"

int listing_buckets(const struct index_reader *r, const Hf__BucketList *q, Hf__StoreReply *out,
    struct err *e);
int listing_objects(const struct index_reader *r, uint64_t bucket_id, const Hf__ObjectList *q,
    Hf__StoreReply *out, struct err *e);
int listing_uploads(const struct index_reader *r, uint64_t bucket_id, const Hf__UploadList *q,
    Hf__StoreReply *out, struct err *e);
int listing_parts(const struct index_reader *r, const Hf__PartList *q, Hf__StoreReply *out,
    struct err *e);

#endif
