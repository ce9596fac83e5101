/*
 * checksum_headers - reads claims, writes values.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/checksum_headers.h"

#include <strings.h>

#include "libs3/checksum_kind.h"

#define PREFIX "x-amz-checksum-"

static enum s3_code
invalid(struct err *e, const char *format, const char *name)
{
	err_set(e, ERR_INVALID, format, name);
	return (S3_InvalidRequest);
}

static bool
is_option(const char *name)
{
	return (strcmp(name, PREFIX "algorithm") == 0 || strcmp(name, PREFIX "mode") == 0 ||
	    strcmp(name, PREFIX "type") == 0);
}

static enum s3_code
claim_value(struct checksum_claim *out, const char *name, const char *value, struct err *e)
{
	const struct checksum_kind *kind = checksum_kind_by_header(name);

	if (kind == NULL)
		return (invalid(e, "The checksum %s is not supported.", name));
	if (out->kind != DIGEST_NONE)
		return (
		    invalid(e, "Expecting a single x-amz-checksum- header, found also %s.", name));
	out->kind = kind->kind;
	if (value == NULL) {
		out->in_trailer = true;
		return (S3_NONE);
	}
	out->has_value = true;
	if (checksum_value_parse(kind->kind, value, out->value) < 0)
		return (invalid(e, "Value for %s header is invalid.", name));
	return (S3_NONE);
}

/* "x-amz-checksum-crc32" alone or in a list. */
static enum s3_code
claim_trailers(struct checksum_claim *out, const char *list, struct err *e)
{
	char name[64];
	size_t bytes;
	enum s3_code code = S3_NONE;

	while (code == S3_NONE && *(list += strspn(list, ", \t")) != '\0') {
		bytes = strcspn(list, ", \t");
		if (bytes >= sizeof(name))
			return (invalid(
			    e, "%s names a trailer that is not supported.", "x-amz-trailer"));
		memcpy(name, list, bytes);
		name[bytes] = '\0';
		if (strncasecmp(name, PREFIX, strlen(PREFIX)) == 0)
			code = claim_value(out, name, NULL, e);
		list += bytes;
	}
	return (code);
}

enum s3_code
checksum_claim_read(const struct http_request *http, struct checksum_claim *out, struct err *e)
{
	const char *trailer = http_request_header(http, "x-amz-trailer");
	const char *algorithm = http_request_header(http, "x-amz-sdk-checksum-algorithm");
	const struct checksum_kind *kind;
	enum s3_code code = S3_NONE;
	size_t i;

	*out = (struct checksum_claim){ 0 };
	for (i = 0; i < http->header_count && code == S3_NONE; i++)
		if (strncmp(http->headers[i].name, PREFIX, strlen(PREFIX)) == 0 &&
		    !is_option(http->headers[i].name))
			code = claim_value(out, http->headers[i].name, http->headers[i].value, e);
	if (code == S3_NONE && trailer != NULL)
		code = claim_trailers(out, trailer, e);
	if (code != S3_NONE || algorithm == NULL)
		return (code);
	kind = checksum_kind_by_algorithm(algorithm);
	if (kind == NULL)
		return (invalid(e, "The checksum algorithm %s is not supported.", algorithm));
	if (out->kind != DIGEST_NONE && out->kind != kind->kind)
		return (invalid(e, "Value for %s header is invalid: the checksum that came is "
		    "another one.", "x-amz-sdk-checksum-algorithm"));
	out->kind = kind->kind;
	return (S3_NONE);
}

static void
value_write(struct http_request *http, const Hf__Checksum *c, bool composite, uint32_t parts)
{
	const struct checksum_kind *kind = checksum_kind_of((enum digest_kind)c->kind);
	char text[CHECKSUM_TEXT_MAX];

	if (kind == NULL || c->value.len > DIGEST_BYTES_MAX)
		return;
	checksum_value_format(SLICE(c->value.data, c->value.len), composite, parts, text);
	http_response_header(http, kind->header, text);
}

static void
type_write(struct http_request *http, bool composite)
{
	http_response_header(
	    http, "x-amz-checksum-type", composite ? "COMPOSITE" : "FULL_OBJECT");
}

void
checksum_headers_write(struct http_request *http, size_t count, Hf__Checksum *const *checksums,
    uint32_t parts)
{
	size_t i;

	for (i = 0; i < count; i++)
		value_write(http, checksums[i], checksums[i]->composite, parts);
	if (count > 0)
		type_write(http, checksums[0]->composite);
}

void
checksum_part_headers_write(struct http_request *http, const Hf__Part *part, bool composite)
{
	size_t i;

	for (i = 0; i < part->n_checksums; i++)
		value_write(http, part->checksums[i], false, 0);
	if (part->n_checksums > 0)
		type_write(http, composite);
}

Hf__Checksum *
checksum_record(struct arena *a, enum digest_kind kind, const uint8_t *value)
{
	Hf__Checksum *c = arena_alloc(a, sizeof(*c));
	struct slice copy;

	if (c == NULL)
		return (NULL);
	hf__checksum__init(c);
	copy = arena_slice(a, SLICE(value, digest_bytes(kind)));
	if (copy.data == NULL)
		return (NULL);
	c->kind = kind;
	c->value = (ProtobufCBinaryData){ copy.bytes, (uint8_t *)(uintptr_t)copy.data };
	return (c);
}

Hf__Checksum **
checksum_records(struct arena *a, enum digest_kind kind, const uint8_t *value)
{
	Hf__Checksum **list = arena_alloc(a, sizeof(*list));

	if (list == NULL || (list[0] = checksum_record(a, kind, value)) == NULL)
		return (NULL);
	return (list);
}
