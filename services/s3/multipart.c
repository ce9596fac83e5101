/*
 * multipart - CreateMultipartUpload, CompleteMultipartUpload, AbortMultipartUpload.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "libs3/checksum_kind.h"
#include "libs3/documents.h"
#include "libs3/names.h"
#include "services/s3/object_headers.h"
#include "services/s3/operations.h"
#include "services/s3/part.h"
#include "services/s3/patience.h"
#include "services/s3/reply.h"

/* --- create ---------------------------------------------------------------------------------- */

/* What is to be kept of the object's checksum. False: replied. */
static bool
checksum_choose(struct s3_request *r, Hf__UploadCreate *op)
{
	const char *algorithm = request_header(r, "x-amz-checksum-algorithm");
	const char *type = request_header(r, "x-amz-checksum-type");
	const struct checksum_kind *kind;
	bool full;

	if (algorithm == NULL) {
		if (type == NULL)
			return (true);
		reply_error(r, S3_InvalidRequest,
		    "The x-amz-checksum-type header can only be used with "
		    "the x-amz-checksum-algorithm header.");
		return (false);
	}
	kind = checksum_kind_by_algorithm(algorithm);
	full = type == NULL ? kind != NULL && !kind->may_compose : strcmp(type, "FULL_OBJECT") == 0;
	if (kind == NULL || (type != NULL && !full && strcmp(type, "COMPOSITE") != 0)) {
		reply_error(r, S3_InvalidRequest, "Checksum algorithm or type is not known.");
		return (false);
	}
	if (full ? !kind->may_be_full : !kind->may_compose) {
		reply_error(r, S3_InvalidRequest,
		    "The %s checksum type cannot be used with the %s checksum "
		    "algorithm.",
		    full ? "FULL_OBJECT" : "COMPOSITE", kind->algorithm);
		return (false);
	}
	op->checksum_kind = kind->kind;
	op->checksum_full_object = full;
	http_response_header(r->http, "x-amz-checksum-algorithm", kind->algorithm);
	http_response_header(r->http, "x-amz-checksum-type", full ? "FULL_OBJECT" : "COMPOSITE");
	return (true);
}

static void
on_upload_created(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	char id[2 * S3_UPLOAD_ID_BYTES + 1];

	if (code == 0 && (reply->upload == NULL || reply->upload->id.len != S3_UPLOAD_ID_BYTES))
		code = ERR_INTERNAL;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	s3_upload_id_format(SLICE(reply->upload->id.data, reply->upload->id.len), id);
	create_upload_document_write(&r->out, r->bucket, r->key, id);
	reply_document(r);
}

enum step_result
upload_create(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__UploadCreate op = HF__UPLOAD_CREATE__INIT;

	op.entry = object_headers_read(r);
	if (op.entry == NULL || !checksum_choose(r, &op))
		return (STEP_WAIT);
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.key = request_key_data(r);
	request.op_case = HF__STORE_REQUEST__OP_UPLOAD_CREATE;
	request.upload_create = &op;
	request_commit(r, &request, on_upload_created);
	return (STEP_WAIT);
}

/* --- complete -------------------------------------------------------------------------------- */

struct complete {
	ProtobufCBinaryData	 upload_id;
	const char		*location;
	struct complete_document document;
	bool			 has_bytes_expected;	/* x-amz-mp-object-size */
	uint64_t		 bytes_expected;
	/* of the parts that were looked at so far */
	uint64_t		 bytes;
	size_t			 next, found;		/* parts of the document */
};

enum step_result
upload_complete_prepare(struct s3_request *r)
{
	struct complete *c = request_alloc(r, sizeof(*c));
	const char *text = request_header(r, "x-amz-mp-object-size");

	if (c == NULL || !query_upload(r, &c->upload_id, NULL))
		return (STEP_WAIT);
	r->state = c;
	if (text != NULL && u64_parse(text, strlen(text), UINT64_MAX - 1, &c->bytes_expected) < 0) {
		reply_error(r, S3_InvalidArgument, "x-amz-mp-object-size is not a number.");
		return (STEP_WAIT);
	}
	c->has_bytes_expected = text != NULL;
	r->in.checksum_elsewhere = true;	/* x-amz-checksum-* is the whole object's */
	c->location = arena_printf(&r->arena, "http://%s%s", r->http->host, r->http->path_raw);
	if (c->location == NULL)
		c->location = "";
	return (STEP_NEXT);
}

/* The checksum that the client expects of the whole object. False: replied. */
static bool
checksum_expect(struct s3_request *r, Hf__UploadComplete *op)
{
	const char *text;
	uint8_t value[DIGEST_BYTES_MAX];
	bool composite;
	int i;

	for (i = 0; i < CHECKSUM_KINDS; i++) {
		text = request_header(r, checksum_kinds[i].header);
		if (text == NULL)
			continue;
		if (checksum_value_parse_whole(checksum_kinds[i].kind, text, value, &composite) <
		    0) {
			reply_error(r, S3_InvalidRequest, "Value for %s header is invalid.",
			    checksum_kinds[i].header);
			return (false);
		}
		op->checksums = checksum_records(&r->arena, checksum_kinds[i].kind, value);
		if (op->checksums == NULL) {
			reply_error(r, S3_InvalidRequest, "The request needs too much memory.");
			return (false);
		}
		op->checksums[0]->composite = composite;
		op->n_checksums = 1;
	}
	return (true);
}

/* The chosen parts of the document as the store wants them. False: replied. */
static bool
parts_choose(struct s3_request *r, Hf__UploadComplete *op)
{
	const struct complete *c = r->state;
	const struct complete_document *d = &c->document;
	Hf__UploadComplete__Chosen *rows = request_alloc(r, d->count * sizeof(*rows));
	size_t i;

	if (rows == NULL ||
	    (op->parts = request_alloc(r, d->count * sizeof(*op->parts))) == NULL)
		return (false);
	for (i = 0; i < d->count; i++) {
		hf__upload_complete__chosen__init(&rows[i]);
		rows[i].number = d->parts[i].number;
		rows[i].etag = (char *)(uintptr_t)d->parts[i].etag;
		if (d->parts[i].checksum_kind != DIGEST_NONE) {
			rows[i].checksums = checksum_records(&r->arena, d->parts[i].checksum_kind,
			    d->parts[i].checksum);
			rows[i].n_checksums = rows[i].checksums != NULL;
		}
		op->parts[i] = &rows[i];
	}
	op->n_parts = d->count;
	return (true);
}

static void
complete_reply(struct s3_request *r, const Hf__ObjectEntry *entry)
{
	const struct complete *c = r->state;

	complete_document_write(&r->out, c->location, r->bucket, r->key, entry);
	reply_document(r);
}

static s3_answer_fn on_sizes;

/* A client that repeats a completion that was answered into the void gets the answer again. */
static void
on_completed_before(struct s3_request *r, int code, const Hf__Bucket *bucket,
    const Hf__ObjectEntry *entry, const struct err *e)
{
	const struct complete *c = r->state;

	(void)bucket;
	(void)e;
	if (code == 0 && slice_equal(SLICE(entry->upload_id.data, entry->upload_id.len),
	    SLICE(c->upload_id.data, c->upload_id.len)))
		complete_reply(r, entry);
	else
		reply_error(r, S3_NoSuchUpload, "%s", s3_code_row(S3_NoSuchUpload)->message);
}

static void
on_completed(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	if (code == ERR_UPLOAD_NOT_FOUND)
		request_lookup(r, r->bucket, r->key, on_completed_before);
	else if (code < 0)
		reply_store_error(r, code, e);
	else if (reply->entry == NULL)
		reply_store_error(r, ERR_INTERNAL, NULL);
	else
		complete_reply(r, reply->entry);
}

static void
complete_commit(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__UploadComplete op = HF__UPLOAD_COMPLETE__INIT;
	const struct complete *c = r->state;

	if (!parts_choose(r, &op) || !checksum_expect(r, &op))
		return;
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.key = request_key_data(r);
	op.upload_id = c->upload_id;
	op.part_bytes_min = S3_PART_BYTES_MIN;
	if (!object_condition_read(r, &op.condition))
		return;
	request.op_case = HF__STORE_REQUEST__OP_UPLOAD_COMPLETE;
	request.upload_complete = &op;
	request_commit(r, &request, on_completed);
}

/*
 * x-amz-mp-object-size: the sizes are compared before the completion. A part that is replaced in
 * between has another etag, or the same bytes, so that nothing can slip through.
 */
static void
sizes_ask(struct s3_request *r, uint32_t after)
{
	const struct complete *c = r->state;

	parts_ask(r, c->upload_id, after, PARTS_PAGE, false, on_sizes);
}

/* Parts of the page and of the document both ascend; what is missing is the store's to tell. */
static void
sizes_add(struct complete *c, const Hf__StoreReply *reply)
{
	const struct complete_document *d = &c->document;
	size_t i;

	for (i = 0; i < reply->n_parts; i++) {
		while (c->next < d->count && d->parts[c->next].number < reply->parts[i]->number)
			c->next++;
		if (c->next < d->count && d->parts[c->next].number == reply->parts[i]->number) {
			c->bytes += reply->parts[i]->bytes;
			c->found++;
		}
	}
}

static void
on_sizes(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct complete *c = r->state;

	if (code == ERR_UPLOAD_NOT_FOUND) {
		complete_commit(r);	/* it may be completed already */
	} else if (code < 0) {
		reply_store_error(r, code, e);
	} else {
		sizes_add(c, reply);
		if (reply->truncated && reply->n_parts > 0)
			sizes_ask(r, reply->parts[reply->n_parts - 1]->number);
		else if (c->found == c->document.count && c->bytes != c->bytes_expected)
			reply_error(r, S3_InvalidRequest,
			    "The parts have %llu bytes together, not x-amz-mp-object-size.",
			    (unsigned long long)c->bytes);
		else
			complete_commit(r);
	}
}

enum step_result
upload_complete(struct s3_request *r)
{
	struct complete *c = r->state;
	struct err e = ERR_INIT;
	enum s3_code code;

	code = complete_document_read(&r->arena, buf_slice(&r->in.document), &c->document, &e);
	if (code != S3_NONE) {
		reply_error(r, code, "%s", e.text);
		return (STEP_WAIT);
	}
	patience_begin(r);
	if (c->has_bytes_expected)
		sizes_ask(r, 0);
	else
		complete_commit(r);
	return (STEP_WAIT);
}

/* --- abort ----------------------------------------------------------------------------------- */

static void
on_aborted(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	(void)reply;
	if (code < 0)
		reply_store_error(r, code, e);
	else
		reply_empty(r, 204);
}

enum step_result
upload_abort(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__UploadAbort op = HF__UPLOAD_ABORT__INIT;

	if (!query_upload(r, &op.upload_id, NULL))
		return (STEP_WAIT);
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.key = request_key_data(r);
	request.op_case = HF__STORE_REQUEST__OP_UPLOAD_ABORT;
	request.upload_abort = &op;
	request_commit(r, &request, on_aborted);
	return (STEP_WAIT);
}
