/*
 * body_check - lengths and digests of a body: what was announced, and what came.
 *
 * Each function returns true, or false after it sent an error reply.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_BODY_CHECK_H
#define HF_S3_BODY_CHECK_H

#include "services/s3/request.h"

/* Fills r->in from the head: length, digests, decoder. */
bool body_head_read(struct s3_request *r, uint64_t bytes_max);
/* The last byte came: the framing is whole, and the length is the announced one. */
bool body_framing_done(struct s3_request *r);
/* Compares r->in's digests with those announced. sha256 is needed for a signed payload only. */
bool body_digests_match(struct s3_request *r, const uint8_t *sha256);

#endif
