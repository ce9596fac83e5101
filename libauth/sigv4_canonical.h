/*
 * sigv4_canonical - the texts that Signature V4 signs; for the files of libauth only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_AUTH_SIGV4_CANONICAL_H
#define HF_AUTH_SIGV4_CANONICAL_H

#include "libauth/sigv4.h"

#define SIGV4_QUERY_MAX		128	/* parameters */
#define SIGV4_SIGNED_HEADERS_MAX 2048	/* bytes of the list */
#define SIGV4_ALGORITHM		"AWS4-HMAC-SHA256"
#define SIGV4_EMPTY_SHA256	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/*
 * Appends the canonical request. signed_headers is the list "a;b;c" in its order; headers that are
 * listed but absent count as empty. X-Amz-Signature of the query is left out. The query has at most
 * SIGV4_QUERY_MAX parameters (asserted).
 */
void sigv4_canonical_request(struct buf *out, const struct sigv4_request *r,
    const char *signed_headers, const char *payload);
/* Hex signature of a request text under (date, scope, key) into out[65]. */
void sigv4_canonical_sign(const struct buf *request, const char *date, const char *scope,
    const uint8_t key[32], char out[65]);
/* "20130524T000000Z" of a time. */
void sigv4_canonical_date(uint64_t real_ms, char out[17]);
/* Compares two hex signatures; the time does not depend on where they differ. */
bool sigv4_signature_equal(const char a[65], const char b[65]);

#endif
