/*
 * body_check - what the head says about a body, and whether the body kept it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/body_check.h"

#include "libs3/checksum_kind.h"
#include "libs3/names.h"
#include "services/s3/reply.h"

/* --- the head -------------------------------------------------------------------------------- */

static bool
refuse(struct s3_request *r, enum s3_code code, const char *message)
{
	reply_error(r, code, "%s", message);
	return (false);
}

/* How many bytes of body there will be. False: replied. */
static bool
length_read(struct s3_request *r, uint64_t bytes_max)
{
	const char *text = request_header(r, "x-amz-decoded-content-length");
	struct body_in *in = &r->in;
	bool aws_chunked = sigv4_payload_is_streaming(r->auth.payload);

	if (aws_chunked) {
		if (text == NULL)
			return (refuse(r, S3_MissingContentLength,
			    "x-amz-decoded-content-length is required with a streaming payload."));
		if (u64_parse(text, strlen(text), UINT64_MAX - 1, &in->bytes_expected) < 0)
			return (refuse(r, S3_InvalidArgument,
			    "x-amz-decoded-content-length is not a number."));
	} else if (!r->http->has_content_length && r->operation->body == BODY_OBJECT &&
	    r->http->content_length != HTTP_LENGTH_UNKNOWN) {
		return (
		    refuse(r, S3_MissingContentLength, "The Content-Length header is required."));
	} else {
		in->bytes_expected = r->http->content_length;
	}
	if (in->bytes_expected != HTTP_LENGTH_UNKNOWN && in->bytes_expected > bytes_max) {
		reply_error(r, S3_EntityTooLarge,
		    "The body has %llu bytes; at most %llu are allowed.",
		    (unsigned long long)in->bytes_expected, (unsigned long long)bytes_max);
		return (false);
	}
	return (true);
}

static bool
digests_read(struct s3_request *r)
{
	const char *md5 = request_header(r, "content-md5");
	struct err e = ERR_INIT;
	enum s3_code code;

	if (md5 != NULL) {
		r->in.has_md5 = true;
		if (base64_decode(md5, strlen(md5), r->in.md5_claimed, 16) != 16)
			return (refuse(r, S3_InvalidDigest,
			    "The Content-MD5 header is not the base64 of 16 bytes."));
	}
	if (r->in.checksum_elsewhere)
		return (true);
	/* The operation may have chosen a kind already, for when the client names none. */
	if (r->in.checksum.kind == DIGEST_NONE) {
		code = checksum_claim_read(r->http, &r->in.checksum, &e);
	} else {
		struct checksum_claim claim;

		code = checksum_claim_read(r->http, &claim, &e);
		if (claim.kind != DIGEST_NONE)
			r->in.checksum = claim;
	}
	if (code != S3_NONE)
		return (refuse(r, code, e.text));
	return (true);
}

bool
body_head_read(struct s3_request *r, uint64_t bytes_max)
{
	if (!length_read(r, bytes_max) || !digests_read(r))
		return (false);
	if (!sigv4_payload_is_streaming(r->auth.payload))
		return (true);
	r->in.decoder = request_alloc(r, sizeof(*r->in.decoder));
	if (r->in.decoder == NULL)
		return (false);
	aws_chunked_init(r->in.decoder, &r->auth, r->in.bytes_expected);
	return (true);
}

/* --- the digests ----------------------------------------------------------------------------- */

/* The value that came in a trailer. False: replied. */
static bool
trailer_read(struct s3_request *r)
{
	struct checksum_claim *claim = &r->in.checksum;
	const char *name, *text;

	if (!claim->in_trailer)
		return (true);
	name = checksum_kind_of(claim->kind)->header;
	text = r->in.decoder == NULL ? NULL : aws_chunked_trailer(r->in.decoder, name);
	if (text == NULL) {
		reply_error(r, S3_MalformedTrailerError,
		    "The trailer %s was announced and did not come.", name);
		return (false);
	}
	claim->has_value = true;
	if (checksum_value_parse(claim->kind, text, claim->value) == 0)
		return (true);
	reply_error(r, S3_InvalidRequest, "Value for %s trailing header is invalid.", name);
	return (false);
}

/* Compares with the digests of what arrived. sha256 is needed for a signed payload only. */
bool
body_digests_match(struct s3_request *r, const uint8_t *sha256)
{
	const struct checksum_claim *claim = &r->in.checksum;

	if (r->auth.payload == SIGV4_PAYLOAD_SHA256 &&
	    memcmp(sha256, r->auth.payload_sha256, 32) != 0)
		return (refuse(r, S3_XAmzContentSHA256Mismatch,
		    s3_code_row(S3_XAmzContentSHA256Mismatch)->message));
	if (r->in.has_md5 && memcmp(r->in.md5, r->in.md5_claimed, 16) != 0)
		return (refuse(r, S3_BadDigest,
		    "The Content-MD5 you specified did not match what we received."));
	if (!trailer_read(r))
		return (false);
	if (!claim->has_value ||
	    memcmp(claim->value, r->in.checksum_value, digest_bytes(claim->kind)) == 0)
		return (true);
	reply_error(r, S3_BadDigest, "The %s you specified did not match the calculated checksum.",
	    checksum_kind_of(claim->kind)->algorithm);
	return (false);
}

/* The last byte came; the decoder's view of it. False: replied. */
bool
body_framing_done(struct s3_request *r)
{
	struct err e = ERR_INIT;
	enum sigv4_result result;

	if (r->in.decoder != NULL) {
		result = aws_chunked_finish(r->in.decoder, &e);
		if (result != SIGV4_OK) {
			reply_auth_error(r, result, &e);
			return (false);
		}
	}
	if (r->in.bytes_expected != HTTP_LENGTH_UNKNOWN && r->in.bytes != r->in.bytes_expected)
		return (refuse(r, S3_IncompleteBody, s3_code_row(S3_IncompleteBody)->message));
	return (true);
}
