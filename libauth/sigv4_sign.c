/*
 * sigv4_sign - makes signatures, as a client does: for tests, holdfastctl and outgoing requests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libauth/sigv4_canonical.h"
#include "libbase/percent.h"
#include "libauth/sigv4_parse.h"

static int
compare_names(const void *a, const void *b)
{
	return (strcmp(*(const char *const *)a, *(const char *const *)b));
}

/* "a;b;c" of all header names, sorted, each once. */
static void
signed_headers_list(const struct sigv4_request *r, struct buf *out)
{
	const char **names = calloc(r->header_count + 1, sizeof(*names));
	size_t i;

	assert(names != NULL);
	for (i = 0; i < r->header_count; i++)
		names[i] = r->headers[i].name;
	qsort(names, r->header_count, sizeof(*names), compare_names);
	for (i = 0; i < r->header_count; i++) {
		if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
			continue;
		if (out->bytes > 0)
			buf_append(out, ";", 1);
		buf_append_string(out, names[i]);
	}
	free(names);
}

static void
fill_scope(const struct sigv4_credentials *c, uint64_t now_ms, struct sigv4_auth *out)
{
	char day[9];
	int n;

	memset(out, 0, sizeof(*out));
	assert(strlen(c->access_key) <= SIGV4_ACCESS_KEY_MAX);
	memcpy(out->access_key, c->access_key, strlen(c->access_key));
	out->signed_ms = now_ms;
	sigv4_canonical_date(now_ms, out->date);
	snprintf(day, sizeof(day), "%.8s", out->date);
	n = snprintf(out->scope, sizeof(out->scope), "%s/%s/%s/aws4_request", day, c->region,
	    c->service);
	assert(n > 0 && (size_t)n < sizeof(out->scope));
	sigv4_signing_key(c->secret, day, c->region, c->service, out->signing_key);
}

static void
sign_into(const struct sigv4_request *r, const char *signed_headers, const char *payload,
    struct sigv4_auth *auth)
{
	struct buf text = BUF_INIT;

	sigv4_canonical_request(&text, r, signed_headers, payload);
	sigv4_canonical_sign(&text, auth->date, auth->scope, auth->signing_key, auth->signature);
	buf_release(&text);
}

void
sigv4_sign(const struct sigv4_credentials *c, const struct sigv4_request *r, uint64_t now_ms,
    struct buf *authorization, struct sigv4_auth *out)
{
	const char *payload = sigv4_field_get(r->headers, r->header_count, "x-amz-content-sha256");
	struct buf list = BUF_INIT;
	struct sigv4_auth auth;

	assert(payload != NULL);
	fill_scope(c, now_ms, &auth);
	signed_headers_list(r, &list);
	sign_into(r, buf_string(&list), payload, &auth);
	buf_printf(authorization, SIGV4_ALGORITHM " Credential=%s/%s,SignedHeaders=%s,Signature=%s",
	    c->access_key, auth.scope, buf_string(&list), auth.signature);
	auth.payload = strcmp(payload, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") == 0 ?
	    SIGV4_PAYLOAD_STREAMING :
	    strcmp(payload, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") == 0 ?
	    SIGV4_PAYLOAD_STREAMING_TRAILER :
	    strcmp(payload, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") == 0 ?
	    SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER :
	    strcmp(payload, "UNSIGNED-PAYLOAD") == 0 ? SIGV4_PAYLOAD_UNSIGNED :
	    SIGV4_PAYLOAD_SHA256;
	if (auth.payload == SIGV4_PAYLOAD_SHA256)
		hex_decode(payload, strlen(payload), auth.payload_sha256, 32);
	if (out != NULL)
		*out = auth;
	buf_release(&list);
}

void
sigv4_presign(const struct sigv4_credentials *c, const struct sigv4_request *r, uint64_t now_ms,
    uint64_t expires_s, struct buf *query)
{
	struct sigv4_field fields[SIGV4_QUERY_MAX];
	struct sigv4_request full = *r;
	struct buf list = BUF_INIT, credential = BUF_INIT;
	struct sigv4_auth auth;
	char expires[24];
	size_t i;

	assert(r->query_count + 5 < SIGV4_QUERY_MAX);
	fill_scope(c, now_ms, &auth);
	signed_headers_list(r, &list);
	buf_printf(&credential, "%s/%s", c->access_key, auth.scope);
	snprintf(expires, sizeof(expires), "%llu", (unsigned long long)expires_s);
	if (r->query_count > 0)
		memcpy(fields, r->query, r->query_count * sizeof(*fields));
	full.query = fields;
	fields[full.query_count++] = (struct sigv4_field){ "X-Amz-Algorithm", SIGV4_ALGORITHM };
	fields[full.query_count++] = (struct sigv4_field){ "X-Amz-Credential",
	    buf_string(&credential) };
	fields[full.query_count++] = (struct sigv4_field){ "X-Amz-Date", auth.date };
	fields[full.query_count++] = (struct sigv4_field){ "X-Amz-Expires", expires };
	fields[full.query_count++] = (struct sigv4_field){ "X-Amz-SignedHeaders",
	    buf_string(&list) };
	sign_into(&full, buf_string(&list), "UNSIGNED-PAYLOAD", &auth);
	for (i = 0; i < full.query_count; i++) {
		percent_encode(query, slice_from_string(fields[i].name), false);
		buf_append(query, "=", 1);
		percent_encode(query, slice_from_string(fields[i].value), false);
		buf_append(query, "&", 1);
	}
	buf_printf(query, "X-Amz-Signature=%s", auth.signature);
	buf_release(&credential);
	buf_release(&list);
}
