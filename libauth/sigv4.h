/*
 * sigv4 - AWS Signature Version 4 as S3 uses it: checks and makes signatures. Pure functions.
 *
 * A1  A signature is compared in constant time, and only after key, date and scope are known good.
 * A2  "host" and every x-amz-* header of the request must be signed, else the request is refused:
 *     what the server acts on is what the client signed.
 * A3  Nothing here reads a clock, a file or a socket; `now` and secrets come from the caller.
 *
 * The body is the caller's: it compares its SHA-256 with payload_sha256, or runs aws_chunked.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_AUTH_SIGV4_H
#define HF_AUTH_SIGV4_H

#include "libbase/buf.h"
#include "libbase/err.h"

/* SIGV4_ERROR(name, HTTP status, S3 code) */
#define SIGV4_ERRORS(X) \
	X(ACCESS_DENIED,		403, "AccessDenied") \
	X(SIGNATURE_MISMATCH,		403, "SignatureDoesNotMatch") \
	X(TIME_SKEWED,			403, "RequestTimeTooSkewed") \
	X(UNKNOWN_KEY,			403, "InvalidAccessKeyId") \
	X(HEADER_MALFORMED,		400, "AuthorizationHeaderMalformed") \
	X(QUERY_MALFORMED,		400, "AuthorizationQueryParametersError") \
	X(MISSING_HEADER,		400, "MissingSecurityHeader") \
	X(INVALID_ARGUMENT,		400, "InvalidArgument") \
	X(INVALID_REQUEST,		400, "InvalidRequest") \
	X(INVALID_TOKEN,		400, "InvalidToken") \
	X(PAYLOAD_MISMATCH,		400, "XAmzContentSHA256Mismatch") \
	X(INCOMPLETE_BODY,		400, "IncompleteBody") \
	X(MALFORMED_TRAILER,		400, "MalformedTrailerError") \
	X(UNSUPPORTED,			501, "NotImplemented")

/* SIGV4_EXPIRED is 403 AccessDenied "Request has expired" for S3; kept apart for the log. */
enum sigv4_result {
	SIGV4_OK = 0,
	SIGV4_ANONYMOUS,		/* no signature at all; what that means is the caller's */
	SIGV4_EXPIRED,
#define X(name, status, code) SIGV4_##name,
	SIGV4_ERRORS(X)
#undef X
};
int sigv4_status(enum sigv4_result r);			/* 200 for OK, 403 for ANONYMOUS */
const char *sigv4_code(enum sigv4_result r);		/* "AccessDenied" */

struct sigv4_field {
	const char	*name;
	const char	*value;
};

/* What was asked. Strings are terminated and borrowed. */
struct sigv4_request {
	const char			*method;	/* "GET" */
	const char			*path;		/* decoded */
	const struct sigv4_field	*query;		/* decoded, in any order */
	size_t				 query_count;
	const struct sigv4_field	*headers;	/* names in lower case */
	size_t				 header_count;
};

/* The secret of an access key, or NULL. The string stays valid during the call. */
typedef const char *sigv4_secret_fn(const char *access_key, void *context);

#define SIGV4_CACHE_ENTRIES 16
#define SIGV4_ACCESS_KEY_MAX 128
struct sigv4_cached_key {
	uint8_t		id[32];		/* SHA-256 of (secret, date, region, service) inputs */
	uint8_t		key[32];
	bool		used;
};

/* Owned by the caller; one per thread. Keeps derived signing keys and scratch memory. */
struct sigv4_verifier {
	const char		*region;	/* must stay valid; set again to change */
	const char		*service;	/* "s3" */
	uint64_t		 skew_max_ms;
	sigv4_secret_fn		*secret;
	void			*secret_context;
	struct sigv4_cached_key	 cache[SIGV4_CACHE_ENTRIES];
	unsigned		 cache_next;
	struct buf		 canonical;	/* of the last request, for debug logs */
	struct buf		 scratch;
};
void sigv4_verifier_init(struct sigv4_verifier *v, const char *region, uint64_t skew_max_ms,
    sigv4_secret_fn *secret, void *context);
void sigv4_verifier_release(struct sigv4_verifier *v);		/* wipes the keys */

enum sigv4_payload {
	SIGV4_PAYLOAD_UNSIGNED,		/* UNSIGNED-PAYLOAD, and presigned without the header */
	SIGV4_PAYLOAD_SHA256,			/* payload_sha256 must be the body's */
	SIGV4_PAYLOAD_STREAMING,		/* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
	SIGV4_PAYLOAD_STREAMING_TRAILER,	/* ...-PAYLOAD-TRAILER */
	SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER,
};
static inline bool
sigv4_payload_is_streaming(enum sigv4_payload p)
{
	return (p >= SIGV4_PAYLOAD_STREAMING);
}

/* What a good signature says. Everything by value: the request may go away. */
struct sigv4_auth {
	char			access_key[SIGV4_ACCESS_KEY_MAX + 1];
	bool			presigned;
	enum sigv4_payload	payload;
	uint8_t			payload_sha256[32];
	uint64_t		signed_ms;		/* when it was signed */
	char			date[17];		/* 20130524T000000Z */
	char			scope[128];		/* 20130524/us-east-1/s3/aws4_request */
	char			signature[65];		/* hex; seeds the chunk signatures */
	uint8_t			signing_key[32];
};

/*
 * Checks a request. SIGV4_OK and *out; SIGV4_ANONYMOUS if there is neither an Authorization header
 * nor X-Amz-Algorithm / X-Amz-Signature / Signature in the query; else the reason, with a sentence
 * for the client in *e (no secrets in it).
 */
enum sigv4_result sigv4_verify(struct sigv4_verifier *v, const struct sigv4_request *r,
    uint64_t now_ms, struct sigv4_auth *out, struct err *e);

/* --- making signatures: tests, holdfastctl, outgoing requests --------------------------------- */

struct sigv4_credentials {
	const char	*access_key;
	const char	*secret;
	const char	*region;
	const char	*service;	/* "s3" */
};

/*
 * Appends the value of an Authorization header that signs all headers given. They must include
 * host, x-amz-date (of now_ms) and x-amz-content-sha256, names in lower case. *auth (may be NULL)
 * gets what a body of chunks needs.
 */
void sigv4_sign(const struct sigv4_credentials *c, const struct sigv4_request *r, uint64_t now_ms,
    struct buf *authorization, struct sigv4_auth *auth);
/*
 * Appends the query string (without '?') of a presigned URL: the request's own parameters and the
 * X-Amz-* ones. Headers given (host at least) are signed.
 */
void sigv4_presign(const struct sigv4_credentials *c, const struct sigv4_request *r,
    uint64_t now_ms, uint64_t expires_s, struct buf *query);
/* The key of a scope's day, region and service. */
void sigv4_signing_key(const char *secret, const char *day, const char *region,
    const char *service, uint8_t out[32]);

#endif
