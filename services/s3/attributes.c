/*
 * attributes - GetObjectAttributes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/clock.h"
#include "libs3/documents.h"
#include "libs3/names.h"
#include "services/s3/entry_copy.h"
#include "services/s3/operations.h"
#include "services/s3/part.h"
#include "services/s3/reply.h"

struct attributes {
	struct attributes_query	 query;
	Hf__ObjectEntry		*entry;		/* copy in the arena, while parts are asked for */
};

static bool
names_read(struct s3_request *r, const char *list, struct attributes_query *q)
{
	const struct { const char *name; bool *flag; } rows[] = {
		{ "ETag", &q->etag }, { "Checksum", &q->checksum }, { "ObjectParts", &q->parts },
		{ "StorageClass", &q->storage_class }, { "ObjectSize", &q->size },
	};
	size_t bytes, i;

	while (*(list += strspn(list, ", \t")) != '\0') {
		bytes = strcspn(list, ", \t");
		for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (slice_equal(SLICE(list, bytes), slice_from_string(rows[i].name)))
				break;
		if (i == sizeof(rows) / sizeof(rows[0])) {
			reply_error(r, S3_InvalidArgument, "Invalid attribute name specified.");
			return (false);
		}
		*rows[i].flag = true;
		list += bytes;
	}
	return (true);
}

static bool
header_number(
    struct s3_request *r, const char *name, uint32_t fallback, uint32_t max, uint32_t *out)
{
	const char *text = request_header(r, name);
	uint64_t n = fallback;

	if (text != NULL && u64_parse(text, strlen(text), INT32_MAX, &n) < 0) {
		reply_error(r, S3_InvalidArgument, "%s must be a number.", name);
		return (false);
	}
	*out = n > max ? max : (uint32_t)n;
	return (true);
}

enum step_result
object_attributes_prepare(struct s3_request *r)
{
	const char *list = request_header(r, "x-amz-object-attributes");
	struct attributes *a = request_alloc(r, sizeof(*a));

	if (a == NULL || !version_check(r, request_query(r, "versionId")))
		return (STEP_WAIT);
	r->state = a;
	if (list == NULL || *list == '\0') {
		reply_error(r, S3_InvalidRequest,
		    "The x-amz-object-attributes header specifying the "
		    "attributes to be retrieved is either missing or empty");
		return (STEP_WAIT);
	}
	if (!names_read(r, list, &a->query) ||
	    !header_number(r, "x-amz-max-parts", PARTS_PAGE, PARTS_PAGE, &a->query.parts_max) ||
	    !header_number(
		r, "x-amz-part-number-marker", 0, S3_PART_NUMBER_MAX, &a->query.parts_after))
		return (STEP_WAIT);
	return (STEP_NEXT);
}

static void
attributes_reply(struct s3_request *r, const Hf__ObjectEntry *entry, const Hf__StoreReply *parts)
{
	const struct attributes *a = r->state;
	char date[30];

	clock_format_http(entry->modified_ms, date);
	http_response_header(r->http, "Last-Modified", date);
	attributes_document_write(&r->out, &a->query, entry, parts);
	reply_document(r);
}

static void
on_attribute_parts(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	const struct attributes *a = r->state;

	if (code < 0)
		reply_store_error(r, code, e);
	else
		attributes_reply(r, a->entry, reply);
}

static void
on_attributes_entry(struct s3_request *r, int code, const Hf__Bucket *bucket,
    const Hf__ObjectEntry *entry, const struct err *e)
{
	struct attributes *a = r->state;

	(void)bucket;
	if (code == 0 && entry->delete_marker)
		code = ERR_NOT_FOUND;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	if (!a->query.parts || entry->part_count == 0 || entry->upload_id.len == 0) {
		attributes_reply(r, entry, NULL);
		return;
	}
	a->entry = entry_copy(r, entry);
	if (a->entry != NULL)
		parts_ask(r, a->entry->upload_id, a->query.parts_after,
		    a->query.parts_max == 0 ? 1 : a->query.parts_max, true, on_attribute_parts);
}

enum step_result
object_attributes(struct s3_request *r)
{
	request_lookup(r, r->bucket, r->key, on_attributes_entry);
	return (STEP_WAIT);
}
