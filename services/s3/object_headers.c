/*
 * object_headers - the table of standard headers, and user metadata.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/object_headers.h"

#include <strings.h>

#include "libbase/clock.h"
#include "libs3/conditions.h"
#include "libs3/names.h"
#include "services/s3/reply.h"

#define METADATA_PREFIX "x-amz-meta-"
#define CONTENT_TYPE_DEFAULT "binary/octet-stream"

/* Kept as they came; override is the query parameter that replaces the value in an answer. */
static const struct standard_header {
	const char	*name, *display, *override;
} standard_headers[] = {
	{ "cache-control", "Cache-Control", "response-cache-control" },
	{ "content-disposition", "Content-Disposition", "response-content-disposition" },
	{ "content-encoding", "Content-Encoding", "response-content-encoding" },
	{ "content-language", "Content-Language", "response-content-language" },
	{ "expires", "Expires", "response-expires" },
};
#define STANDARD_HEADERS (sizeof(standard_headers) / sizeof(standard_headers[0]))

static Hf__NameValue *
name_value(struct arena *a, const char *name, const char *value)
{
	Hf__NameValue *nv = arena_alloc(a, sizeof(*nv));

	if (nv == NULL)
		return (NULL);
	hf__name_value__init(nv);
	nv->name = arena_string(a, slice_from_string(name));
	nv->value = arena_string(a, slice_from_string(value));
	return (nv->name == NULL || nv->value == NULL ? NULL : nv);
}

/* "aws-chunked" says how the body travelled, not what it is. The rest of the list, or "". */
static const char *
encoding_without_aws_chunked(struct arena *a, const char *list)
{
	char *out = arena_alloc(a, 2 * strlen(list) + 1), *end = out;
	size_t bytes;

	if (out == NULL)
		return (list);
	while (*(list += strspn(list, ", \t")) != '\0') {
		bytes = strcspn(list, ",");
		if (strncasecmp(list, "aws-chunked", bytes) != 0 || bytes != 11) {
			if (end != out)
				end = stpcpy(end, ", ");
			memcpy(end, list, bytes);
			end += bytes;
		}
		list += bytes;
	}
	return (out);
}

static int
standard_read(struct s3_request *r, Hf__ObjectEntry *entry)
{
	const char *value;
	size_t i;

	entry->headers = arena_alloc(&r->arena, STANDARD_HEADERS * sizeof(*entry->headers));
	if (entry->headers == NULL)
		return (ERR_TOO_LARGE);
	for (i = 0; i < STANDARD_HEADERS; i++) {
		value = request_header(r, standard_headers[i].name);
		if (value != NULL && strcmp(standard_headers[i].name, "content-encoding") == 0)
			value = encoding_without_aws_chunked(&r->arena, value);
		if (value == NULL || *value == '\0')
			continue;
		entry->headers[entry->n_headers] = name_value(&r->arena,
		    standard_headers[i].name, value);
		if (entry->headers[entry->n_headers++] == NULL)
			return (ERR_TOO_LARGE);
	}
	return (0);
}

/* Equal names are joined by a comma, as HTTP has it. */
static int
metadata_add(struct s3_request *r, Hf__ObjectEntry *entry, const char *name, const char *value)
{
	size_t i;

	for (i = 0; i < entry->n_metadata; i++) {
		if (strcmp(entry->metadata[i]->name, name) == 0) {
			entry->metadata[i]->value = arena_printf(&r->arena, "%s,%s",
			    entry->metadata[i]->value, value);
			return (entry->metadata[i]->value == NULL ? ERR_TOO_LARGE : 0);
		}
	}
	entry->metadata[entry->n_metadata] = name_value(&r->arena, name, value);
	return (entry->metadata[entry->n_metadata++] == NULL ? ERR_TOO_LARGE : 0);
}

static int
metadata_read(struct s3_request *r, Hf__ObjectEntry *entry)
{
	const struct http_request *http = r->http;
	size_t i, bytes = 0;

	entry->metadata =
	    arena_alloc(&r->arena, (http->header_count + 1) * sizeof(*entry->metadata));
	if (entry->metadata == NULL)
		return (ERR_TOO_LARGE);
	for (i = 0; i < http->header_count; i++) {
		const char *name = http->headers[i].name, *value = http->headers[i].value;

		if (strncmp(name, METADATA_PREFIX, strlen(METADATA_PREFIX)) != 0)
			continue;
		name += strlen(METADATA_PREFIX);
		bytes += strlen(name) + strlen(value);
		if (bytes > S3_METADATA_BYTES_MAX || metadata_add(r, entry, name, value) < 0)
			return (ERR_TOO_LARGE);
	}
	return (0);
}

bool
object_headers_check(struct s3_request *r)
{
	const char *class = request_header(r, "x-amz-storage-class");

	/* Reduced redundancy is given more than it asks for. */
	if (class == NULL || strcmp(class, "STANDARD") == 0 ||
	    strcmp(class, "REDUCED_REDUNDANCY") == 0)
		return (true);
	reply_error(r, S3_InvalidStorageClass, "The storage class %s does not exist here; there is "
	    "STANDARD.", class);
	return (false);
}

Hf__ObjectEntry *
object_headers_read(struct s3_request *r)
{
	const char *type = request_header(r, "content-type");
	Hf__ObjectEntry *entry;

	if (!object_headers_check(r))
		return (NULL);
	entry = request_alloc(r, sizeof(*entry));
	if (entry == NULL)
		return (NULL);
	hf__object_entry__init(entry);
	entry->modified_ms = clock_real_ms();
	entry->content_type = arena_string(&r->arena,
	    slice_from_string(type == NULL || *type == '\0' ? CONTENT_TYPE_DEFAULT : type));
	if (entry->content_type == NULL || standard_read(r, entry) < 0) {
		reply_error(r, S3_InvalidRequest, "The headers of the object are too large.");
		return (NULL);
	}
	if (metadata_read(r, entry) < 0) {
		reply_error(
		    r, S3_MetadataTooLarge, "%s", s3_code_row(S3_MetadataTooLarge)->message);
		return (NULL);
	}
	return (entry);
}

static bool
name_values_copy(struct arena *a, Hf__NameValue ***to, Hf__NameValue *const *from, size_t count)
{
	size_t i;

	*to = arena_alloc(a, (count + 1) * sizeof(**to));
	for (i = 0; *to != NULL && i < count; i++)
		if (((*to)[i] = name_value(a, from[i]->name, from[i]->value)) == NULL)
			return (false);
	return (*to != NULL);
}

bool
object_headers_copy(struct s3_request *r, Hf__ObjectEntry *to, const Hf__ObjectEntry *from)
{
	struct arena *a = &r->arena;

	to->n_headers = from->n_headers;
	to->n_metadata = from->n_metadata;
	to->content_type = arena_string(a, slice_from_string(from->content_type));
	if (to->content_type != NULL &&
	    name_values_copy(a, &to->headers, from->headers, from->n_headers) &&
	    name_values_copy(a, &to->metadata, from->metadata, from->n_metadata))
		return (true);
	reply_error(r, S3_InvalidRequest, "The request needs too much memory.");
	return (false);
}

void
object_etag_header(struct s3_request *r, const char *etag)
{
	http_response_headerf(r->http, "ETag", "\"%s\"", etag);
}

static void
standard_write(struct s3_request *r, const Hf__ObjectEntry *entry, const struct standard_header *h)
{
	const char *value = request_query(r, h->override);
	size_t i;

	for (i = 0; i < entry->n_headers && value == NULL; i++)
		if (strcmp(entry->headers[i]->name, h->name) == 0)
			value = entry->headers[i]->value;
	if (value != NULL)
		http_response_header(r->http, h->display, value);
}

void
object_headers_write(struct s3_request *r, const Hf__ObjectEntry *entry)
{
	const char *type = request_query(r, "response-content-type"), *name;
	char date[30];
	size_t i;

	clock_format_http(entry->modified_ms, date);
	http_response_header(r->http, "Last-Modified", date);
	object_etag_header(r, entry->etag);
	http_response_header(r->http, "Accept-Ranges", "bytes");
	http_response_header(r->http, "Content-Type", type != NULL ? type : entry->content_type);
	for (i = 0; i < STANDARD_HEADERS; i++)
		standard_write(r, entry, &standard_headers[i]);
	for (i = 0; i < entry->n_metadata; i++) {
		name = arena_printf(&r->arena, METADATA_PREFIX "%s", entry->metadata[i]->name);
		if (name != NULL)
			http_response_header(r->http, name, entry->metadata[i]->value);
	}
}

bool
object_condition_read(struct s3_request *r, Hf__Condition **out)
{
	const char *match = request_header(r, "if-match"),
		   *none = request_header(r, "if-none-match");
	Hf__Condition *c;

	*out = NULL;
	if (match == NULL && none == NULL)
		return (true);
	/* The store takes an empty text for no condition; no object has an empty etag. */
	if (match != NULL && etag_bare(match).bytes == 0) {
		reply_error(r, S3_PreconditionFailed, "%s",
		    s3_code_row(S3_PreconditionFailed)->message);
		return (false);
	}
	*out = c = request_alloc(r, sizeof(*c));
	if (c == NULL)
		return (false);
	hf__condition__init(c);
	if (match != NULL)
		c->if_match = arena_string(&r->arena, etag_bare(match));
	if (none != NULL)
		c->if_none_match = arena_string(&r->arena, etag_bare(none));
	if (c->if_match != NULL && c->if_none_match != NULL)
		return (true);
	reply_error(r, S3_InvalidRequest, "The request needs too much memory.");
	return (false);
}
