/*
 * aws_chunked - takes the aws-chunked framing off a body and checks what it signs.
 *
 *   size;chunk-signature=hex CRLF bytes CRLF ... 0;chunk-signature=hex CRLF [trailers] CRLF
 *
 * C1  Bytes are handed out as they come, but the end of the body is only reported after every chunk
 *     and the trailers were verified: a caller commits nothing before aws_chunked_finish says 0.
 * C2  Lines and trailers are bounded; the sum of the chunks is exactly decoded_length.
 * C3  After an error the decoder stays in error.
 *
 * Checksums named by trailers are the caller's to compare. HTTP's own chunked coding is not this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_AUTH_AWS_CHUNKED_H
#define HF_AUTH_AWS_CHUNKED_H

#include "libauth/sigv4.h"
#include "libbase/digest.h"

#define AWS_CHUNKED_LINE_MAX	 256
#define AWS_CHUNKED_TRAILER_MAX	 4096	/* bytes of all trailers */
#define AWS_CHUNKED_TRAILERS_MAX 8

struct aws_chunked {
	enum sigv4_payload	payload;
	char			date[17];
	char			scope[128];
	uint8_t			signing_key[32];
	char			previous[65];		/* signature that the next is chained to */
	char			claimed[65];		/* signature on the current chunk's line */
	uint64_t		decoded_length;		/* announced */
	uint64_t		decoded;		/* handed out */
	uint64_t		chunk_left;
	int			state;
	enum sigv4_result	failure;
	struct digest		digest;			/* of the current chunk */
	char			line[AWS_CHUNKED_LINE_MAX];
	size_t			line_bytes;
	char			trailer_text[AWS_CHUNKED_TRAILER_MAX];
	size_t			trailer_bytes;
	struct sigv4_field	trailers[AWS_CHUNKED_TRAILERS_MAX];	/* names in lower case */
	size_t			trailer_count;
};

/* decoded_length is x-amz-decoded-content-length, which S3 requires. */
void aws_chunked_init(struct aws_chunked *d, const struct sigv4_auth *auth,
    uint64_t decoded_length);
void aws_chunked_release(struct aws_chunked *d);
/*
 * Decodes in place: the body bytes in data[0..bytes) are moved to its front, *out_bytes of them
 * (may be 0). SIGV4_OK, or the reason with a sentence.
 */
enum sigv4_result aws_chunked_feed(struct aws_chunked *d, void *data, size_t bytes,
    size_t *out_bytes, struct err *e);
/* The body has ended: SIGV4_OK if it was whole, else SIGV4_INCOMPLETE_BODY or what came before. */
enum sigv4_result aws_chunked_finish(struct aws_chunked *d, struct err *e);
/* A trailer's value after finish, or NULL. */
const char *aws_chunked_trailer(const struct aws_chunked *d, const char *name);

#endif
