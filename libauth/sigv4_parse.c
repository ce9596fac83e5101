/*
 * sigv4_parse - what a request claims about its signature, from the Authorization header or from
 * the query of a presigned URL. Nothing here knows a secret or the time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libauth/sigv4_parse.h"

#include <stdio.h>

#define EXPIRES_S_MAX 604800

const char *
sigv4_field_get(const struct sigv4_field *fields, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(fields[i].name, name) == 0)
			return (fields[i].value);
	return (NULL);
}

static size_t
field_count(const struct sigv4_field *fields, size_t count, const char *name)
{
	size_t i, n = 0;

	for (i = 0; i < count; i++)
		n += strcmp(fields[i].name, name) == 0;
	return (n);
}

static const char *
header(const struct sigv4_request *r, const char *name)
{
	return (sigv4_field_get(r->headers, r->header_count, name));
}

static const char *
parameter(const struct sigv4_request *r, const char *name)
{
	return (sigv4_field_get(r->query, r->query_count, name));
}

/* Copies s into out[out_bytes] with its end; false if empty or too long. */
static bool
copy_text(char *out, size_t out_bytes, struct slice s)
{
	if (s.bytes == 0 || s.bytes >= out_bytes)
		return (false);
	memcpy(out, s.data, s.bytes);
	out[s.bytes] = '\0';
	return (true);
}

/* Takes the piece after the last '/' off s; false if there is none. */
static bool
take_last_piece(struct slice *s, char *out, size_t out_bytes)
{
	const char *text = s->data, *slash = s->bytes > 0 ? memrchr(text, '/', s->bytes) : NULL;
	size_t at;

	if (slash == NULL)
		return (false);
	at = (size_t)(slash - text);
	if (!copy_text(out, out_bytes, SLICE(slash + 1, s->bytes - at - 1)))
		return (false);
	s->bytes = at;
	return (true);
}

/* "key/20130524/us-east-1/s3/aws4_request"; the key may itself have slashes. */
static bool
parse_credential(struct sigv4_claim *c, struct slice text)
{
	char end[16];
	int n;

	if (!take_last_piece(&text, end, sizeof(end)) || strcmp(end, "aws4_request") != 0 ||
	    !take_last_piece(&text, c->service, sizeof(c->service)) ||
	    !take_last_piece(&text, c->region, sizeof(c->region)) ||
	    !take_last_piece(&text, c->day, sizeof(c->day)) || strlen(c->day) != 8 ||
	    strspn(c->day, "0123456789") != 8 ||
	    !copy_text(c->access_key, sizeof(c->access_key), text))
		return (false);
	n = snprintf(c->scope, sizeof(c->scope), "%s/%s/%s/aws4_request", c->day, c->region,
	    c->service);
	return (n > 0 && (size_t)n < sizeof(c->scope));
}

/* Lower-case names between single semicolons. */
static bool
parse_signed_headers(struct sigv4_claim *c, struct slice text)
{
	const char *p;

	if (!copy_text(c->signed_headers, sizeof(c->signed_headers), text))
		return (false);
	p = c->signed_headers;
	if (*p == ';' || p[text.bytes - 1] == ';' || strstr(p, ";;") != NULL)
		return (false);
	for (; *p != '\0'; p++)
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9') &&
		    strchr("-_.;!#$%&'*+^`|~", *p) == NULL)
			return (false);
	return (true);
}

static bool
parse_signature(struct sigv4_claim *c, struct slice text)
{
	return (text.bytes == 64 && copy_text(c->signature, sizeof(c->signature), text) &&
	    strspn(c->signature, "0123456789abcdef") == 64);
}

/* --- the header ------------------------------------------------------------------------------- */

/* The part "Name=value" at *p, up to a comma; moves *p past it. False if there is none. */
static bool
next_part(const char **p, struct slice *name, struct slice *value)
{
	const char *equals, *end;

	*p += strspn(*p, " \t");
	if (**p == '\0')
		return (false);
	end = *p + strcspn(*p, ",");
	equals = memchr(*p, '=', (size_t)(end - *p));
	*name = SLICE(*p, equals != NULL ? (size_t)(equals - *p) : (size_t)(end - *p));
	*value = equals != NULL ? SLICE(equals + 1, (size_t)(end - equals - 1)) : SLICE(end, 0);
	while (value->bytes > 0 &&
	    strchr(" \t", ((const char *)value->data)[value->bytes - 1]) != NULL)
		value->bytes--;
	*p = end + (*end == ',');
	return (true);
}

static enum sigv4_result
parse_parts(struct sigv4_claim *c, const char *p, struct err *e)
{
	bool credential = false, headers = false, signature = false;
	struct slice name, value;

	while (next_part(&p, &name, &value)) {
		if (slice_equal(name, SLICE_LITERAL("Credential")) && !credential)
			credential = parse_credential(c, value);
		else if (slice_equal(name, SLICE_LITERAL("SignedHeaders")) && !headers)
			headers = parse_signed_headers(c, value);
		else if (slice_equal(name, SLICE_LITERAL("Signature")) && !signature)
			signature = parse_signature(c, value);
		else
			return (SIGV4_FAIL(e, SIGV4_HEADER_MALFORMED,
			    "The authorization header has an unknown or repeated part."));
	}
	if (!credential)
		return (SIGV4_FAIL(e, SIGV4_HEADER_MALFORMED,
		    "The authorization header is malformed; "
		    "Credential must be KEY/YYYYMMDD/REGION/s3/aws4_request."));
	if (!headers)
		return (SIGV4_FAIL(e, SIGV4_HEADER_MALFORMED,
		    "The authorization header is malformed; "
		    "SignedHeaders must be lower-case names between semicolons."));
	if (!signature)
		return (SIGV4_FAIL(e, SIGV4_HEADER_MALFORMED,
		    "The authorization header is malformed; "
		    "Signature must be 64 lower-case hex digits."));
	return (SIGV4_OK);
}

static enum sigv4_result
parse_header_form(const struct sigv4_request *r, const char *text, struct sigv4_claim *c,
    struct err *e)
{
	enum sigv4_result result;

	if (field_count(r->headers, r->header_count, "authorization") > 1)
		return (SIGV4_FAIL(e, SIGV4_INVALID_ARGUMENT,
		    "More than one Authorization header."));
	if (*text == '\0')
		return (SIGV4_FAIL(e, SIGV4_ACCESS_DENIED, "The Authorization header is empty."));
	if (strncmp(text, "AWS ", 4) == 0)
		return (SIGV4_FAIL(e, SIGV4_INVALID_REQUEST, "The authorization mechanism you have "
		    "provided is not supported. Please use " SIGV4_ALGORITHM "."));
	if (strncmp(text, SIGV4_ALGORITHM " ", sizeof(SIGV4_ALGORITHM)) != 0)
		return (SIGV4_FAIL(e, SIGV4_INVALID_ARGUMENT, "Unsupported Authorization Type."));
	result = parse_parts(c, text + sizeof(SIGV4_ALGORITHM), e);
	if (result != SIGV4_OK)
		return (result);
	c->date_text = header(r, "x-amz-date");
	if (c->date_text == NULL)
		c->date_text = header(r, "date");
	if (c->date_text == NULL)
		return (SIGV4_FAIL(e, SIGV4_ACCESS_DENIED,
		    "AWS authentication requires a valid Date or x-amz-date header."));
	c->payload = header(r, "x-amz-content-sha256");
	if (c->payload == NULL)
		return (SIGV4_FAIL(e, SIGV4_MISSING_HEADER,
		    "Missing required header for this request: x-amz-content-sha256."));
	return (SIGV4_OK);
}

/* --- the query -------------------------------------------------------------------------------- */

static enum sigv4_result
check_parameters(const struct sigv4_request *r, struct err *e)
{
	static const char *const names[] = { "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date",
	    "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (field_count(r->query, r->query_count, names[i]) != 1)
			return (SIGV4_FAIL(e, SIGV4_QUERY_MALFORMED, "Query-string "
			    "authentication requires X-Amz-Algorithm, X-Amz-Credential, "
			    "X-Amz-Date, X-Amz-Expires, X-Amz-SignedHeaders and "
			    "X-Amz-Signature, once each; see %s.", names[i]));
	if (strcmp(parameter(r, "X-Amz-Algorithm"), SIGV4_ALGORITHM) != 0)
		return (SIGV4_FAIL(e, SIGV4_QUERY_MALFORMED,
		    "X-Amz-Algorithm only supports \"" SIGV4_ALGORITHM "\"."));
	return (SIGV4_OK);
}

static enum sigv4_result
parse_query_form(const struct sigv4_request *r, struct sigv4_claim *c, struct err *e)
{
	enum sigv4_result result = check_parameters(r, e);
	const char *expires = parameter(r, "X-Amz-Expires");

	if (result != SIGV4_OK)
		return (result);
	c->presigned = true;
	c->date_text = parameter(r, "X-Amz-Date");
	if (!parse_credential(c, slice_from_string(parameter(r, "X-Amz-Credential"))))
		return (SIGV4_FAIL(e, SIGV4_QUERY_MALFORMED, "Error parsing the X-Amz-Credential "
		    "parameter; it must be KEY/YYYYMMDD/REGION/s3/aws4_request."));
	if (!parse_signed_headers(c, slice_from_string(parameter(r, "X-Amz-SignedHeaders"))))
		return (SIGV4_FAIL(e, SIGV4_QUERY_MALFORMED,
		    "X-Amz-SignedHeaders must be lower-case "
		    "names between semicolons."));
	if (!parse_signature(c, slice_from_string(parameter(r, "X-Amz-Signature"))))
		return (SIGV4_FAIL(e, SIGV4_QUERY_MALFORMED,
		    "X-Amz-Signature must be 64 lower-case hex digits."));
	if (u64_parse(expires, strlen(expires), EXPIRES_S_MAX, &c->expires_s) < 0 ||
	    c->expires_s == 0)
		return (SIGV4_FAIL(e, SIGV4_QUERY_MALFORMED,
		    "X-Amz-Expires must be a number from 1 to 604800."));
	c->payload = parameter(r, "X-Amz-Content-Sha256");
	if (c->payload == NULL)
		c->payload = header(r, "x-amz-content-sha256");
	if (c->payload == NULL)
		c->payload = "UNSIGNED-PAYLOAD";
	return (SIGV4_OK);
}

/* --- both ------------------------------------------------------------------------------------- */

static enum sigv4_result
parse_payload(struct sigv4_claim *c, struct err *e)
{
	static const struct {
		const char		*text;
		enum sigv4_payload	 kind;
	} rows[] = {
		{ "UNSIGNED-PAYLOAD", SIGV4_PAYLOAD_UNSIGNED },
		{ "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", SIGV4_PAYLOAD_STREAMING },
		{ "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", SIGV4_PAYLOAD_STREAMING_TRAILER },
		{ "STREAMING-UNSIGNED-PAYLOAD-TRAILER", SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(c->payload, rows[i].text) == 0) {
			c->payload_kind = rows[i].kind;
			return (SIGV4_OK);
		}
	}
	if (strncmp(c->payload, "STREAMING-", 10) == 0)
		return (SIGV4_FAIL(e, SIGV4_UNSUPPORTED, "x-amz-content-sha256 names a streaming "
		    "signature that is not supported."));
	c->payload_kind = SIGV4_PAYLOAD_SHA256;
	if (hex_decode(c->payload, strlen(c->payload), c->payload_sha256, 32) < 0)
		return (SIGV4_FAIL(e, SIGV4_INVALID_ARGUMENT, "x-amz-content-sha256 must be "
		    "UNSIGNED-PAYLOAD, a STREAMING value, or a valid sha256 value."));
	return (SIGV4_OK);
}

static bool
is_listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (; *list != '\0'; list += strcspn(list, ";"), list += *list == ';')
		if (strncmp(list, name, n) == 0 && (list[n] == ';' || list[n] == '\0'))
			return (true);
	return (false);
}

/* A2: what we act on must be signed. */
static enum sigv4_result
check_signed(const struct sigv4_request *r, const struct sigv4_claim *c, struct err *e)
{
	size_t i;

	if (!is_listed(c->signed_headers, "host") || header(r, "host") == NULL)
		return (SIGV4_FAIL(e, SIGV4_ACCESS_DENIED,
		    "The host header must be present and signed."));
	for (i = 0; i < r->header_count; i++)
		if (strncmp(r->headers[i].name, "x-amz-", 6) == 0 &&
		    !is_listed(c->signed_headers, r->headers[i].name))
			return (SIGV4_FAIL(e, SIGV4_ACCESS_DENIED,
			    "There were headers present in the "
			    "request which were not signed: %.64s.", r->headers[i].name));
	return (SIGV4_OK);
}

enum sigv4_result
sigv4_claim_parse(const struct sigv4_request *r, struct sigv4_claim *c, struct err *e)
{
	const char *authorization = header(r, "authorization");
	bool in_query = parameter(r, "X-Amz-Algorithm") != NULL ||
	    parameter(r, "X-Amz-Signature") != NULL || parameter(r, "X-Amz-Credential") != NULL;
	enum sigv4_result result;

	memset(c, 0, sizeof(*c));
	if (r->query_count > SIGV4_QUERY_MAX)
		return (SIGV4_FAIL(e, SIGV4_INVALID_ARGUMENT, "Too many query parameters."));
	if (parameter(r, "AWSAccessKeyId") != NULL && parameter(r, "Signature") != NULL)
		return (SIGV4_FAIL(e, SIGV4_INVALID_REQUEST, "The authorization mechanism you have "
		    "provided is not supported. Please use " SIGV4_ALGORITHM "."));
	if (authorization == NULL && !in_query)
		return (SIGV4_ANONYMOUS);
	if (authorization != NULL && in_query)
		return (SIGV4_FAIL(e, SIGV4_INVALID_ARGUMENT, "Only one auth mechanism allowed."));
	result = authorization != NULL ? parse_header_form(r, authorization, c, e) :
	    parse_query_form(r, c, e);
	if (result != SIGV4_OK)
		return (result);
	if (header(r, "x-amz-security-token") != NULL ||
	    parameter(r, "X-Amz-Security-Token") != NULL)
		return (SIGV4_FAIL(e, SIGV4_INVALID_TOKEN,
		    "The provided token is not known here."));
	result = parse_payload(c, e);
	if (result != SIGV4_OK)
		return (result);
	return (check_signed(r, c, e));
}
