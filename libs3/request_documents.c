/*
 * request_documents - Delete, CompleteMultipartUpload, CreateBucketConfiguration.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/request_documents.h"

#include <strings.h>

#include "libhttp/xml.h"
#include "libs3/checksum_kind.h"
#include "libs3/conditions.h"
#include "libs3/names.h"

static const struct xml_limits document_limits = { 8u << 20, 200000, 8 };

static enum s3_code
malformed(struct err *e, const char *sentence)
{
	err_set(e, ERR_INVALID, "%s", sentence);
	return (S3_MalformedXML);
}

static enum s3_code
document_read(struct arena *a, struct slice xml, const char *root_name, struct xml_node **root,
    struct err *e)
{
	if (xml_parse(a, xml, &document_limits, root, e) < 0)
		return (S3_MalformedXML);
	if (strcmp((*root)->name, root_name) != 0) {
		err_set(e, ERR_INVALID, "The document must be a %s.", root_name);
		return (S3_MalformedXML);
	}
	return (S3_NONE);
}

static size_t
children_count(const struct xml_node *root, const char *name)
{
	const struct xml_node *n;
	size_t count = 0;

	for (n = xml_child(root, name); n != NULL; n = xml_next(n, name))
		count++;
	return (count);
}

static enum s3_code
delete_item_read(const struct xml_node *node, struct delete_item *out, struct err *e)
{
	static const char *const conditions[] = { "LastModifiedTime", "Size" };
	size_t i;

	for (i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		if (xml_child(node, conditions[i]) != NULL) {
			err_set(e, ERR_UNSUPPORTED,
			    "Conditions (%s) on single keys of a DeleteObjects "
			    "request are not supported; use ETag.",
			    conditions[i]);
			return (S3_NotImplemented);
		}
	}
	out->key = xml_child_text(node, "Key");
	out->version_id = xml_child_text(node, "VersionId");
	out->etag = xml_child_text(node, "ETag");
	if (out->key == NULL || *out->key == '\0')
		return (malformed(e, "An Object has no Key."));
	if (out->etag != NULL && *out->etag == '\0')
		return (malformed(e, "An Object has an empty ETag."));
	return (S3_NONE);
}

enum s3_code
delete_document_read(struct arena *a, struct slice xml, struct delete_document *out, struct err *e)
{
	struct xml_node *root;
	const struct xml_node *n;
	const char *quiet;
	enum s3_code code;
	size_t count;

	code = document_read(a, xml, "Delete", &root, e);
	if (code != S3_NONE)
		return (code);
	count = children_count(root, "Object");
	if (count == 0 || count > S3_DELETE_KEYS_MAX)
		return (malformed(e, "A Delete document must have 1 to 1000 Objects."));
	*out = (struct delete_document){ 0 };
	out->items = arena_alloc(a, count * sizeof(*out->items));
	if (out->items == NULL)
		return (malformed(e, "The document needs too much memory."));
	for (n = xml_child(root, "Object"); n != NULL; n = xml_next(n, "Object")) {
		code = delete_item_read(n, &out->items[out->count++], e);
		if (code != S3_NONE)
			return (code);
	}
	quiet = xml_child_text(root, "Quiet");
	out->quiet = quiet != NULL && strcasecmp(quiet, "true") == 0;
	return (S3_NONE);
}

static enum s3_code
part_checksum_read(const struct xml_node *node, struct complete_part *out, struct err *e)
{
	const char *text;
	int i;

	for (i = 0; i < CHECKSUM_KINDS; i++) {
		text = xml_child_text(node, checksum_kinds[i].element);
		if (text == NULL || *text == '\0')
			continue;
		if (checksum_value_parse(checksum_kinds[i].kind, text, out->checksum) < 0) {
			err_set(e, ERR_INVALID, "%s of part %u is not a checksum.",
			    checksum_kinds[i].element, out->number);
			return (S3_InvalidPart);
		}
		out->checksum_kind = checksum_kinds[i].kind;
	}
	return (S3_NONE);
}

static enum s3_code
part_read(struct arena *a, const struct xml_node *node, struct complete_part *out, struct err *e)
{
	const char *number = xml_child_text(node, "PartNumber"),
		   *etag = xml_child_text(node, "ETag");
	uint64_t n;

	if (number == NULL || etag == NULL)
		return (malformed(e, "A Part needs a PartNumber and an ETag."));
	if (u64_parse(number, strlen(number), S3_PART_NUMBER_MAX, &n) < 0 || n == 0) {
		err_set(e, ERR_INVALID, "PartNumber must be a number from 1 to 10000.");
		return (S3_InvalidArgument);
	}
	out->number = (uint32_t)n;
	out->etag = arena_string(a, etag_bare(etag));
	if (out->etag == NULL)
		return (malformed(e, "The document needs too much memory."));
	return (part_checksum_read(node, out, e));
}

enum s3_code
complete_document_read(struct arena *a, struct slice xml, struct complete_document *out,
    struct err *e)
{
	struct xml_node *root;
	const struct xml_node *n;
	enum s3_code code;
	size_t count;

	code = document_read(a, xml, "CompleteMultipartUpload", &root, e);
	if (code != S3_NONE)
		return (code);
	count = children_count(root, "Part");
	if (count == 0 || count > S3_PART_NUMBER_MAX)
		return (malformed(e, "A CompleteMultipartUpload must have 1 to 10000 Parts."));
	*out = (struct complete_document){ 0 };
	out->parts = arena_alloc(a, count * sizeof(*out->parts));
	if (out->parts == NULL)
		return (malformed(e, "The document needs too much memory."));
	for (n = xml_child(root, "Part"); n != NULL; n = xml_next(n, "Part")) {
		code = part_read(a, n, &out->parts[out->count++], e);
		if (code != S3_NONE)
			return (code);
	}
	return (S3_NONE);
}

enum s3_code
create_bucket_document_read(struct arena *a, struct slice xml, const char **location, struct err *e)
{
	struct xml_node *root;
	enum s3_code code;

	*location = NULL;
	if (xml.bytes == 0)
		return (S3_NONE);
	code = document_read(a, xml, "CreateBucketConfiguration", &root, e);
	if (code != S3_NONE)
		return (code);
	if (xml_child(root, "Bucket") != NULL || xml_child(root, "Location") != NULL) {
		err_set(e, ERR_UNSUPPORTED, "Directory buckets are not supported.");
		return (S3_NotImplemented);
	}
	*location = xml_child_text(root, "LocationConstraint");
	if (*location != NULL && **location == '\0')
		*location = NULL;
	return (S3_NONE);
}
