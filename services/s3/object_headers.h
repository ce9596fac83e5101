/*
 * object_headers - what a client says about an object in headers, kept in its entry and given back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_OBJECT_HEADERS_H
#define HF_S3_OBJECT_HEADERS_H

#include "services/s3/request.h"

/*
 * A new entry in the arena with the request's content type, standard headers, metadata and storage
 * class; modified now. NULL after an error reply.
 */
Hf__ObjectEntry *object_headers_read(struct s3_request *r);
/* Only checks the storage class. False after an error reply. */
bool object_headers_check(struct s3_request *r);
/* Copies content type, headers, metadata and storage class of a stored entry; false after a
 * reply. */
bool object_headers_copy(struct s3_request *r, Hf__ObjectEntry *to, const Hf__ObjectEntry *from);
/* Adds them to the answer, with ETag, Last-Modified and the overrides of the query (response-*). */
void object_headers_write(struct s3_request *r, const Hf__ObjectEntry *entry);
void object_etag_header(struct s3_request *r, const char *etag);
/* The conditions for a write: If-Match and If-None-Match; *out is NULL if there are none. False
 * after a reply. */
bool object_condition_read(struct s3_request *r, Hf__Condition **out);

#endif
