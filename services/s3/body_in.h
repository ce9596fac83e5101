/*
 * body_in - receives the body of a request: a document into memory, or an object's bytes into a
 * writer.
 *
 *   plain         http_request_read -> writer's memory
 *   aws-chunked   http_request_read -> writer's memory -> decoded where it lies
 *
 * B1  Received bytes go straight into the writer's memory; nothing is copied but the framing away.
 * B2  The step is complete only when every digest and signature that came with the body was right,
 *     and its length is what was announced. Otherwise an error was replied and nothing was kept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_BODY_IN_H
#define HF_S3_BODY_IN_H

#include "libauth/aws_chunked.h"
#include "services/s3/checksum_headers.h"
#include "services/s3/step.h"

struct body_in {
	uint64_t		 bytes_expected;
	uint64_t		 bytes;			/* of the body itself, so far */
	bool			 has_md5;
	uint8_t			 md5_claimed[16];
	struct checksum_claim	 checksum;
	bool			 checksum_elsewhere;	/* the header is not about this body */
	struct aws_chunked	*decoder;		/* NULL: plain; in the arena */
	void			*space;			/* the writer's, being filled */
	size_t			 space_bytes;
	uint8_t			 tail[512];		/* for what follows the last body byte */
	struct buf		 document;
	/* When the step is complete: */
	uint8_t			 md5[16];
	uint8_t			 checksum_value[DIGEST_BYTES_MAX];	/* of checksum.kind */
};

/* The body steps of request.c. */
s3_step_fn body_in_document, body_in_object;
/* MD5 in hex: the ETag. */
void body_in_etag(const struct body_in *in, char out[33]);
void body_in_release(struct body_in *in);

#endif
