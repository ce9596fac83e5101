/*
 * names - which bucket names, keys, upload ids and metadata S3 allows.
 *
 * N1  A bucket name that passes can stand in a path, a host name and a log line as it is.
 * N2  A key is 1 to 1024 bytes of UTF-8 without NUL. "." and ".." and "//" in it are ordinary
 *     bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_NAMES_H
#define HF_S3_NAMES_H

#include "libbase/err.h"
#include "libbase/bytes.h"
#include "libs3/code.h"

#define S3_KEY_BYTES_MAX	1024
#define S3_METADATA_BYTES_MAX	2048
#define S3_PART_NUMBER_MAX	10000
#define S3_PART_BYTES_MIN	(UINT64_C(5) << 20)
#define S3_PUT_BYTES_MAX	(UINT64_C(5) << 30)
#define S3_UPLOAD_ID_BYTES	16

/* S3_NONE, or InvalidBucketName with a sentence. */
enum s3_code s3_bucket_name_check(const char *name, struct err *e);
/* S3_NONE, KeyTooLongError or InvalidURI with a sentence. */
enum s3_code s3_key_check(const char *key, struct err *e);
/* An upload id is 32 hex digits; 0 or ERR_INVALID. */
int s3_upload_id_parse(const char *text, uint8_t out[S3_UPLOAD_ID_BYTES]);
void s3_upload_id_format(struct slice id, char out[2 * S3_UPLOAD_ID_BYTES + 1]);

#endif
