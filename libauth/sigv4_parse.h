/*
 * sigv4_parse - what a request claims about its signature; for the files of libauth only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_AUTH_SIGV4_PARSE_H
#define HF_AUTH_SIGV4_PARSE_H

#include "libauth/sigv4_canonical.h"

/* The claim, checked for form only. Texts are copies, or borrowed from the request. */
struct sigv4_claim {
	bool		presigned;
	char		access_key[SIGV4_ACCESS_KEY_MAX + 1];
	char		scope[128];		/* day/region/service/aws4_request */
	char		day[9], region[65], service[33];
	char		signed_headers[SIGV4_SIGNED_HEADERS_MAX + 1];
	char		signature[65];
	const char	*date_text;		/* header x-amz-date or date, or X-Amz-Date */
	uint64_t	expires_s;		/* presigned */
	const char	*payload;		/* text for the canonical request */
	enum sigv4_payload payload_kind;
	uint8_t		payload_sha256[32];
};

/* SIGV4_OK, SIGV4_ANONYMOUS, or why not. */
enum sigv4_result sigv4_claim_parse(const struct sigv4_request *r, struct sigv4_claim *out,
    struct err *e);
/* Value of the first header or parameter of that name; NULL if none. */
const char *sigv4_field_get(const struct sigv4_field *fields, size_t count, const char *name);

/* Sets the sentence and returns r. */
#define SIGV4_FAIL(e, r, ...) (err_set((e), ERR_DENIED, __VA_ARGS__), (r))

#endif
