/*
 * list - ListObjects (both versions), ListObjectVersions, ListMultipartUploads.
 *
 * One page of the store is one page of the client: the cost of an answer is that of its items.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/continuation.h"
#include "libs3/listing_documents.h"
#include "libs3/names.h"
#include "services/s3/operations.h"
#include "services/s3/reply.h"

#define PAGE_MAX 1000

struct listing {
	struct listing_query	query;
	struct slice		after;
};

static const char *
query_text(const struct s3_request *r, const char *name)
{
	const char *text = request_query(r, name);

	return (text == NULL ? "" : text);
}

static ProtobufCBinaryData
data_of(const char *text)
{
	return ((ProtobufCBinaryData){ strlen(text), (uint8_t *)(uintptr_t)text });
}

/* False: replied. */
static bool
encoding_read(struct s3_request *r, bool *url)
{
	const char *encoding = request_query(r, "encoding-type");

	*url = encoding != NULL && strcmp(encoding, "url") == 0;
	if (encoding == NULL || *encoding == '\0' || *url)
		return (true);
	reply_error_detail(r, S3_InvalidArgument, "ArgumentName", "encoding-type",
	    "Invalid Encoding Method specified in Request");
	return (false);
}

/* What all three kinds have. NULL: replied. */
static struct listing *
listing_read(struct s3_request *r, enum listing_kind kind)
{
	struct listing *l = request_alloc(r, sizeof(*l));
	struct listing_query *q;

	if (l == NULL)
		return (NULL);
	r->state = l;
	q = &l->query;
	q->kind = kind;
	q->bucket = r->bucket;
	q->prefix = query_text(r, "prefix");
	q->delimiter = query_text(r, "delimiter");
	q->marker = q->version_marker = "";
	if (!encoding_read(r, &q->encode_url) ||
	    !query_number(r, "max-keys", PAGE_MAX, PAGE_MAX, &q->max))
		return (NULL);
	return (l);
}

enum step_result
objects_list_prepare(struct s3_request *r)
{
	struct listing *l = listing_read(r, LISTING_V1);

	if (l == NULL)
		return (STEP_WAIT);
	l->query.marker = query_text(r, "marker");
	l->after = slice_from_string(l->query.marker);
	return (STEP_NEXT);
}

enum step_result
objects_list_v2_prepare(struct s3_request *r)
{
	const char *type = request_query(r, "list-type"), *owner = request_query(r, "fetch-owner");
	struct listing *l;
	struct listing_query *q;
	struct err e = ERR_INIT;

	if (strcmp(type, "2") != 0)
		return (objects_list_prepare(r));
	l = listing_read(r, LISTING_V2);
	if (l == NULL)
		return (STEP_WAIT);
	q = &l->query;
	q->fetch_owner = owner != NULL && strcmp(owner, "true") == 0;
	q->start_after = request_query(r, "start-after");
	q->token = request_query(r, "continuation-token");
	if (q->start_after != NULL)
		l->after = slice_from_string(q->start_after);
	if (q->token != NULL && *q->token != '\0' &&
	    continuation_decode(&r->arena, q->token, &l->after, &e) < 0) {
		reply_error_detail(
		    r, S3_InvalidArgument, "ArgumentName", "continuation-token", e.text);
		return (STEP_WAIT);
	}
	return (STEP_NEXT);
}

enum step_result
versions_list_prepare(struct s3_request *r)
{
	struct listing *l = listing_read(r, LISTING_VERSIONS);

	if (l == NULL)
		return (STEP_WAIT);
	l->query.marker = query_text(r, "key-marker");
	l->query.version_marker = query_text(r, "version-id-marker");
	l->after = slice_from_string(l->query.marker);
	if (*l->query.version_marker != '\0' && *l->query.marker == '\0') {
		reply_error(r, S3_InvalidArgument,
		    "A version-id marker cannot be specified without a key marker.");
		return (STEP_WAIT);
	}
	return (STEP_NEXT);
}

static void
on_list(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	const struct listing *l = r->state;

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	listing_document_write(&r->out, &l->query, reply);
	reply_document(r);
}

enum step_result
objects_list(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectList op = HF__OBJECT_LIST__INIT;
	const struct listing *l = r->state;

	op.bucket = (char *)(uintptr_t)r->bucket;
	op.prefix = data_of(l->query.prefix);
	op.delimiter = data_of(l->query.delimiter);
	op.after = (ProtobufCBinaryData){ l->after.bytes, (uint8_t *)(uintptr_t)l->after.data };
	/* max-keys=0 still asks, so that a bucket that is not there is an error. */
	op.max = l->query.max == 0 ? 1 : l->query.max;
	op.versions = l->query.kind == LISTING_VERSIONS;
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_LIST;
	request.object_list = &op;
	request_call(r, &request, on_list);
	return (STEP_WAIT);
}

/* --- uploads --------------------------------------------------------------------------------- */

static void
on_uploads(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	uploads_document_write(&r->out, r->state, reply);
	reply_document(r);
}

enum step_result
uploads_list(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__UploadList op = HF__UPLOAD_LIST__INIT;
	struct uploads_query *q = request_alloc(r, sizeof(*q));
	uint8_t id[S3_UPLOAD_ID_BYTES];

	if (q == NULL)
		return (STEP_WAIT);
	r->state = q;
	*q = (struct uploads_query){ .bucket = r->bucket, .prefix = query_text(r, "prefix"),
	    .delimiter = query_text(r, "delimiter"), .key_marker = query_text(r, "key-marker"),
	    .upload_id_marker = query_text(r, "upload-id-marker") };
	if (!encoding_read(r, &q->encode_url) ||
	    !query_number(r, "max-uploads", PAGE_MAX, PAGE_MAX, &q->max))
		return (STEP_WAIT);
	/* Without a key marker the other one says nothing. */
	if (*q->upload_id_marker != '\0' && *q->key_marker != '\0') {
		if (s3_upload_id_parse(q->upload_id_marker, id) < 0) {
			reply_error(r, S3_InvalidArgument, "upload-id-marker is not an upload id.");
			return (STEP_WAIT);
		}
		op.upload_id_marker = (ProtobufCBinaryData){ sizeof(id), id };
	}
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.prefix = data_of(q->prefix);
	op.delimiter = data_of(q->delimiter);
	op.key_marker = data_of(q->key_marker);
	op.max = q->max == 0 ? 1 : q->max;
	request.op_case = HF__STORE_REQUEST__OP_UPLOAD_LIST;
	request.upload_list = &op;
	request_call(r, &request, on_uploads);
	return (STEP_WAIT);
}
