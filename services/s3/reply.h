/*
 * reply - the answers of an S3 request: common headers, documents, errors.
 *
 * Each of these is the last word of a request: after it, only request_end comes. Headers of the
 * operation are added with http_response_header before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_REPLY_H
#define HF_S3_REPLY_H

#include "services/s3/request.h"

/* x-amz-request-id and x-amz-id-2; for replies that are sent in pieces. */
void reply_common_headers(struct s3_request *r);
void reply_empty(struct s3_request *r, int status);
/* 200 with the document in r->out. */
void reply_document(struct s3_request *r);
/* An error with its document; headers added so far are dropped. */
void reply_error(struct s3_request *r, enum s3_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An error with one more element in its document. */
void reply_error_detail(struct s3_request *r, enum s3_code code, const char *name,
    const char *detail, const char *message);
/* 416 for a range of an object of that size. */
void reply_range_error(struct s3_request *r, uint64_t object_bytes);
/* An ERR_* of the store or of a body, translated. A 5xx is logged with the store's sentence. */
void reply_store_error(struct s3_request *r, int code, const struct err *e);
/* A result of sigv4_verify or aws_chunked. */
void reply_auth_error(struct s3_request *r, enum sigv4_result result, const struct err *e);

#endif
