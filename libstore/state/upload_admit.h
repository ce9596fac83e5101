/*
 * upload_admit - what state_upload.c and upload_complete.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_UPLOAD_ADMIT_H
#define HF_STORE_UPLOAD_ADMIT_H

#include "libstore/state/state_internal.h"

/* An open upload as admission sees it: 0 and *out (owned), ADMIT_PARK, ERR_UPLOAD_NOT_FOUND, ... */
int admit_upload(struct state *st, const char *bucket, struct slice key, struct slice id,
    uint64_t *bucket_id, Hf__Upload **out, struct err *e);

/* upload_complete.c: a record about the upload, or a part of it, was appended. */
void completions_touch(struct state *st, struct slice upload_id);

#endif
