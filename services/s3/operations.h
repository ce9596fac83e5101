/*
 * operations - the steps of all operations, for the table in route.c; each group lives in the
 * named file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_OPERATIONS_H
#define HF_S3_OPERATIONS_H

#include "services/s3/request.h"

/* bucket.c */
s3_step_fn buckets_list, bucket_create, bucket_head, bucket_location;
/* bucket_delete.c */
s3_step_fn bucket_delete;
/* list.c */
s3_step_fn objects_list_prepare, objects_list_v2_prepare, versions_list_prepare, objects_list;
s3_step_fn uploads_list;
/* put.c */
s3_step_fn object_put_prepare, object_put;
/* get.c */
s3_step_fn object_get_prepare, object_get;
/* attributes.c */
s3_step_fn object_attributes_prepare, object_attributes;
/* delete.c */
s3_step_fn object_delete, objects_delete_prepare, objects_delete;
/* copy.c */
s3_step_fn object_copy_prepare, object_copy, part_copy_prepare, part_copy;
/* multipart.c */
s3_step_fn upload_create, upload_complete_prepare, upload_complete, upload_abort;
/* part.c */
s3_step_fn part_put_prepare, part_put, parts_list;
/* subresource.c */
s3_step_fn subresource_answer;

/* Whether versionId, if given, names the only version there is. False: replied. */
bool version_check(struct s3_request *r, const char *version_id);
/* A number parameter, at most max (larger is cut to it); fallback if absent or empty. False:
 * replied. */
bool query_number(struct s3_request *r, const char *name, uint32_t fallback, uint32_t max,
    uint32_t *out);
/* uploadId (in the arena) and, if number is not NULL, partNumber. False: replied. */
bool query_upload(struct s3_request *r, ProtobufCBinaryData *upload_id, uint32_t *number);

#endif
