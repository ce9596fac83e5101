/*
 * sigv4 - checks signatures: form (sigv4_parse.c), key, scope, date, and then the signature itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libauth/sigv4.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "libauth/sigv4_canonical.h"
#include "libauth/sigv4_parse.h"
#include "libbase/clock.h"
#include "libbase/digest.h"

static const struct {
	int		 status;
	const char	*code;
} results[] = {
	[SIGV4_OK] = { 200, "" },
	[SIGV4_ANONYMOUS] = { 403, "AccessDenied" },
	[SIGV4_EXPIRED] = { 403, "AccessDenied" },
#define X(name, status, code) [SIGV4_##name] = { status, code },
	SIGV4_ERRORS(X)
#undef X
};

int
sigv4_status(enum sigv4_result r)
{
	assert(r < sizeof(results) / sizeof(results[0]));
	return (results[r].status);
}

const char *
sigv4_code(enum sigv4_result r)
{
	assert(r < sizeof(results) / sizeof(results[0]));
	return (results[r].code);
}

void
sigv4_verifier_init(struct sigv4_verifier *v, const char *region, uint64_t skew_max_ms,
    sigv4_secret_fn *secret, void *context)
{
	memset(v, 0, sizeof(*v));
	v->region = region;
	v->service = "s3";
	v->skew_max_ms = skew_max_ms;
	v->secret = secret;
	v->secret_context = context;
}

void
sigv4_verifier_release(struct sigv4_verifier *v)
{
	buf_release(&v->canonical);
	buf_release(&v->scratch);
	OPENSSL_cleanse(v, sizeof(*v));
}

void
sigv4_signing_key(const char *secret, const char *day, const char *region, const char *service,
    uint8_t out[32])
{
	struct buf start = BUF_INIT;

	buf_append(&start, "AWS4", 4);
	buf_append_string(&start, secret);
	hmac_sha256(start.data, start.bytes, day, strlen(day), out);
	hmac_sha256(out, 32, region, strlen(region), out);
	hmac_sha256(out, 32, service, strlen(service), out);
	hmac_sha256(out, 32, "aws4_request", 12, out);
	OPENSSL_cleanse(start.data, start.bytes);
	buf_release(&start);
}

/* The signing key from the cache, or made and kept in place of the oldest. */
static const uint8_t *
cached_key(struct sigv4_verifier *v, const char *secret, const struct sigv4_claim *c)
{
	struct sigv4_cached_key *entry;
	uint8_t id[DIGEST_BYTES_MAX];
	unsigned i;

	buf_reset(&v->scratch);
	buf_append(&v->scratch, secret, strlen(secret) + 1);
	buf_append_string(&v->scratch, c->scope);
	digest_once(DIGEST_SHA256, v->scratch.data, v->scratch.bytes, id);
	OPENSSL_cleanse(v->scratch.data, v->scratch.bytes);
	for (i = 0; i < SIGV4_CACHE_ENTRIES; i++)
		if (v->cache[i].used && memcmp(v->cache[i].id, id, 32) == 0)
			return (v->cache[i].key);
	entry = &v->cache[v->cache_next++ % SIGV4_CACHE_ENTRIES];
	memcpy(entry->id, id, 32);
	sigv4_signing_key(secret, c->day, c->region, c->service, entry->key);
	entry->used = true;
	return (entry->key);
}

/* --- steps of a check, in the order in which they may tell a client something ----------------- */

static enum sigv4_result
check_scope(const struct sigv4_verifier *v, const struct sigv4_claim *c, struct err *e)
{
	enum sigv4_result malformed = c->presigned ? SIGV4_QUERY_MALFORMED : SIGV4_HEADER_MALFORMED;

	if (strcmp(c->region, v->region) != 0)
		return (SIGV4_FAIL(e, malformed,
		    "The authorization is malformed; the region '%s' is wrong; expecting '%s'.",
		    c->region, v->region));
	if (strcmp(c->service, v->service) != 0)
		return (SIGV4_FAIL(e, malformed,
		    "The authorization is malformed; the service '%s' is wrong; expecting '%s'.",
		    c->service, v->service));
	return (SIGV4_OK);
}

static enum sigv4_result
parse_date(const struct sigv4_claim *c, struct sigv4_auth *out, struct err *e)
{
	enum sigv4_result malformed = c->presigned ? SIGV4_QUERY_MALFORMED : SIGV4_ACCESS_DENIED;

	if (clock_parse_amz(c->date_text, &out->signed_ms) < 0 &&
	    (c->presigned || clock_parse_http(c->date_text, &out->signed_ms) < 0))
		return (SIGV4_FAIL(e, malformed, "The date of the request is not in the form "
		    "yyyyMMddTHHmmssZ."));
	sigv4_canonical_date(out->signed_ms, out->date);
	return (SIGV4_OK);
}

static enum sigv4_result
check_date(const struct sigv4_verifier *v, const struct sigv4_claim *c, uint64_t now_ms,
    struct sigv4_auth *out, struct err *e)
{
	char theirs[25], ours[25];
	enum sigv4_result malformed = c->presigned ? SIGV4_QUERY_MALFORMED : SIGV4_HEADER_MALFORMED;
	enum sigv4_result result = parse_date(c, out, e);

	if (result != SIGV4_OK)
		return (result);
	if (out->signed_ms > now_ms + v->skew_max_ms && c->presigned)
		return (SIGV4_FAIL(e, SIGV4_ACCESS_DENIED, "Request is not valid yet."));
	if (c->presigned && now_ms > out->signed_ms + c->expires_s * 1000)
		return (SIGV4_FAIL(e, SIGV4_EXPIRED, "Request has expired."));
	if (!c->presigned && (out->signed_ms > now_ms + v->skew_max_ms ||
	    out->signed_ms + v->skew_max_ms < now_ms)) {
		clock_format_iso(out->signed_ms, theirs);
		clock_format_iso(now_ms, ours);
		return (SIGV4_FAIL(e, SIGV4_TIME_SKEWED,
		    "The difference between the request time and the server's time is too large: "
		    "the request says %s, the clock here %s.", theirs, ours));
	}
	if (strncmp(out->date, c->day, 8) != 0)
		return (SIGV4_FAIL(e, malformed, "The date in the credential is not the day of the "
		    "request."));
	return (SIGV4_OK);
}

static enum sigv4_result
check_signature(struct sigv4_verifier *v, const struct sigv4_request *r,
    const struct sigv4_claim *c, const char *secret, struct sigv4_auth *out, struct err *e)
{
	char signature[65];

	memcpy(out->signing_key, cached_key(v, secret, c), 32);
	buf_reset(&v->canonical);
	sigv4_canonical_request(&v->canonical, r, c->signed_headers, c->payload);
	sigv4_canonical_sign(&v->canonical, out->date, c->scope, out->signing_key, signature);
	if (!sigv4_signature_equal(signature, c->signature))		/* A1 */
		return (SIGV4_FAIL(e, SIGV4_SIGNATURE_MISMATCH,
		    "The request signature we calculated does not match the signature you "
		    "provided. Check your key and signing method."));
	return (SIGV4_OK);
}

static void
fill_auth(const struct sigv4_claim *c, struct sigv4_auth *out)
{
	memcpy(out->access_key, c->access_key, sizeof(out->access_key));
	memcpy(out->scope, c->scope, sizeof(out->scope));
	memcpy(out->signature, c->signature, sizeof(out->signature));
	memcpy(out->payload_sha256, c->payload_sha256, 32);
	out->payload = c->payload_kind;
	out->presigned = c->presigned;
}

enum sigv4_result
sigv4_verify(struct sigv4_verifier *v, const struct sigv4_request *r, uint64_t now_ms,
    struct sigv4_auth *out, struct err *e)
{
	struct sigv4_claim claim;
	enum sigv4_result result;
	const char *secret;

	memset(out, 0, sizeof(*out));
	result = sigv4_claim_parse(r, &claim, e);
	if (result != SIGV4_OK)
		return (result);
	if ((result = check_scope(v, &claim, e)) != SIGV4_OK ||
	    (result = check_date(v, &claim, now_ms, out, e)) != SIGV4_OK)
		return (result);
	secret = v->secret(claim.access_key, v->secret_context);
	if (secret == NULL)
		return (SIGV4_FAIL(e, SIGV4_UNKNOWN_KEY,
		    "The access key ID you provided does not exist in our records."));
	result = check_signature(v, r, &claim, secret, out, e);
	if (result != SIGV4_OK) {
		OPENSSL_cleanse(out, sizeof(*out));
		return (result);
	}
	fill_auth(&claim, out);
	return (SIGV4_OK);
}
