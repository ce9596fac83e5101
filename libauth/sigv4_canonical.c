/*
 * sigv4_canonical - the texts that Signature V4 signs.
 *
 * The path is encoded once and not normalised, as S3 does (other services encode twice).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libauth/sigv4_canonical.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "libbase/clock.h"
#include "libbase/digest.h"
#include "libbase/percent.h"

/* A parameter's encoded text inside a buf. */
struct encoded_pair {
	size_t	name, name_bytes;
	size_t	value, value_bytes;
};

static int
compare_pairs(const struct buf *text, const struct encoded_pair *a, const struct encoded_pair *b)
{
	int order = slice_compare(SLICE(text->data + a->name, a->name_bytes),
	    SLICE(text->data + b->name, b->name_bytes));

	if (order != 0)
		return (order);
	return (slice_compare(SLICE(text->data + a->value, a->value_bytes),
	    SLICE(text->data + b->value, b->value_bytes)));
}

static void
encode_pair(struct buf *text, const struct sigv4_field *field, struct encoded_pair *out)
{
	out->name = text->bytes;
	percent_encode(text, slice_from_string(field->name), false);
	out->name_bytes = text->bytes - out->name;
	out->value = text->bytes;
	percent_encode(text, slice_from_string(field->value), false);
	out->value_bytes = text->bytes - out->value;
}

/* Sorted by encoded name, then value: few and mostly in order, so by insertion. */
static void
canonical_query(struct buf *out, const struct sigv4_request *r)
{
	struct encoded_pair pairs[SIGV4_QUERY_MAX], pair;
	struct buf text = BUF_INIT;
	size_t i, j, count = 0;

	assert(r->query_count <= SIGV4_QUERY_MAX);
	for (i = 0; i < r->query_count; i++) {
		if (strcmp(r->query[i].name, "X-Amz-Signature") == 0)
			continue;
		encode_pair(&text, &r->query[i], &pair);
		for (j = count++; j > 0 && compare_pairs(&text, &pair, &pairs[j - 1]) < 0; j--)
			pairs[j] = pairs[j - 1];
		pairs[j] = pair;
	}
	for (i = 0; i < count; i++) {
		if (i > 0)
			buf_append(out, "&", 1);
		buf_append(out, text.data + pairs[i].name, pairs[i].name_bytes);
		buf_append(out, "=", 1);
		buf_append(out, text.data + pairs[i].value, pairs[i].value_bytes);
	}
	buf_release(&text);
}

/* Trimmed, and each run of blanks inside made one space. */
static void
append_header_value(struct buf *out, const char *value)
{
	size_t n;

	for (;;) {
		value += strspn(value, " \t");
		n = strcspn(value, " \t");
		buf_append(out, value, n);
		value += n;
		if (value[strspn(value, " \t")] == '\0')
			return;
		buf_append(out, " ", 1);
	}
}

/* "name:value,value\n" of one signed header. */
static void
append_header(struct buf *out, const struct sigv4_request *r, const char *name, size_t name_bytes)
{
	bool first = true;
	size_t i;

	buf_append(out, name, name_bytes);
	buf_append(out, ":", 1);
	for (i = 0; i < r->header_count; i++) {
		const char *have = r->headers[i].name;

		if (strncmp(have, name, name_bytes) != 0 || have[name_bytes] != '\0')
			continue;
		if (!first)
			buf_append(out, ",", 1);
		append_header_value(out, r->headers[i].value);
		first = false;
	}
	buf_append(out, "\n", 1);
}

void
sigv4_canonical_request(struct buf *out, const struct sigv4_request *r,
    const char *signed_headers, const char *payload)
{
	const char *name = signed_headers;
	size_t n;

	buf_append_string(out, r->method);
	buf_append(out, "\n", 1);
	percent_encode(out, slice_from_string(r->path), true);
	buf_append(out, "\n", 1);
	canonical_query(out, r);
	buf_append(out, "\n", 1);
	while (*name != '\0') {
		n = strcspn(name, ";");
		append_header(out, r, name, n);
		name += n + (name[n] == ';');
	}
	buf_append(out, "\n", 1);
	buf_append_string(out, signed_headers);
	buf_append(out, "\n", 1);
	buf_append_string(out, payload);
}

void
sigv4_canonical_sign(const struct buf *request, const char *date, const char *scope,
    const uint8_t key[32], char out[65])
{
	uint8_t hash[DIGEST_BYTES_MAX];
	char hex[65], text[512];
	int n;

	digest_once(DIGEST_SHA256, request->data, request->bytes, hash);
	hex_encode(hash, 32, hex);
	n = snprintf(text, sizeof(text), SIGV4_ALGORITHM "\n%s\n%s\n%s", date, scope, hex);
	assert(n > 0 && (size_t)n < sizeof(text));
	hmac_sha256(key, 32, text, (size_t)n, hash);
	hex_encode(hash, 32, out);
}

void
sigv4_canonical_date(uint64_t real_ms, char out[17])
{
	char iso[25];		/* 2013-05-24T00:00:00.000Z */
	size_t i, n = 0;

	clock_format_iso(real_ms, iso);
	for (i = 0; i < 19; i++)
		if (iso[i] != '-' && iso[i] != ':')
			out[n++] = iso[i];
	assert(n == 15);
	out[15] = 'Z';
	out[16] = '\0';
}

bool
sigv4_signature_equal(const char a[65], const char b[65])
{
	return (CRYPTO_memcmp(a, b, 64) == 0);
}
