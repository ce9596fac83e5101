/*
 * part - UploadPart and ListParts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/part.h"

#include "libbase/clock.h"
#include "libs3/checksum_kind.h"
#include "libs3/listing_documents.h"
#include "libs3/names.h"
#include "services/s3/object_headers.h"
#include "services/s3/operations.h"
#include "services/s3/reply.h"

bool
part_read(struct s3_request *r, struct part *p)
{
	return (query_upload(r, &p->upload_id, &p->number));
}

static void
on_upload(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct part *p = r->state;

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	if (reply->upload != NULL &&
	    checksum_kind_of((enum digest_kind)reply->upload->checksum_kind) != NULL)
		p->checksum_kind = (enum digest_kind)reply->upload->checksum_kind;
	r->in.checksum.kind = p->checksum_kind;
	request_next(r);
}

void
part_check_upload(struct s3_request *r, struct part *p)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__UploadGet op = HF__UPLOAD_GET__INIT;

	r->state = p;
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.key = request_key_data(r);
	op.upload_id = p->upload_id;
	request.op_case = HF__STORE_REQUEST__OP_UPLOAD_GET;
	request.upload_get = &op;
	request_call(r, &request, on_upload);
}

void
part_commit(struct s3_request *r, struct part *p, s3_answer_fn *fn)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__PartPut op = HF__PART_PUT__INIT;
	Hf__Part part = HF__PART__INIT;

	p->modified_ms = clock_real_ms();
	part.number = p->number;
	part.bytes = body_writer_bytes(r->writer);
	part.modified_ms = p->modified_ms;
	part.etag = p->etag;
	if (p->checksum_kind != DIGEST_NONE) {
		p->checksums = checksum_records(&r->arena, p->checksum_kind, p->checksum);
		part.checksums = p->checksums;
		part.n_checksums = p->checksums != NULL;
	}
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.key = request_key_data(r);
	op.upload_id = p->upload_id;
	op.part = &part;
	body_writer_fill_part(r->writer, &op);
	request.op_case = HF__STORE_REQUEST__OP_PART_PUT;
	request.part_put = &op;
	request_commit(r, &request, fn);
}

enum step_result
part_put_prepare(struct s3_request *r)
{
	struct part *p = request_alloc(r, sizeof(*p));

	if (p != NULL && part_read(r, p))
		part_check_upload(r, p);
	return (STEP_WAIT);
}

static void
on_part_put(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	const struct part *p = r->state;

	(void)reply;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	object_etag_header(r, p->etag);
	if (p->checksums != NULL)
		checksum_headers_write(r->http, 1, p->checksums, 0);
	reply_empty(r, 200);
}

enum step_result
part_put(struct s3_request *r)
{
	struct part *p = r->state;

	body_in_etag(&r->in, p->etag);
	p->checksum_kind = r->in.checksum.kind;
	memcpy(p->checksum, r->in.checksum_value, sizeof(p->checksum));
	part_commit(r, p, on_part_put);
	return (STEP_WAIT);
}

/* --- list ------------------------------------------------------------------------------------ */

void
parts_ask(struct s3_request *r, ProtobufCBinaryData upload_id, uint32_t after, uint32_t max,
    bool completed, s3_answer_fn *fn)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__PartList op = HF__PART_LIST__INIT;

	op.bucket = (char *)(uintptr_t)r->bucket;
	op.key = request_key_data(r);
	op.upload_id = upload_id;
	op.after = after;
	op.max = max;
	op.completed = completed;
	request.op_case = HF__STORE_REQUEST__OP_PART_LIST;
	request.part_list = &op;
	request_call(r, &request, fn);
}

struct parts_listing {
	struct parts_query	 query;
	ProtobufCBinaryData	 upload_id;
};

static void
on_parts(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	const struct parts_listing *l = r->state;

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	parts_document_write(&r->out, &l->query, reply, reply->upload);
	reply_document(r);
}

enum step_result
parts_list(struct s3_request *r)
{
	struct parts_listing *l = request_alloc(r, sizeof(*l));

	if (l == NULL || !query_upload(r, &l->upload_id, NULL) ||
	    !query_number(r, "part-number-marker", 0, S3_PART_NUMBER_MAX, &l->query.after) ||
	    !query_number(r, "max-parts", PARTS_PAGE, PARTS_PAGE, &l->query.max))
		return (STEP_WAIT);
	r->state = l;
	l->query.bucket = r->bucket;
	l->query.key = r->key;
	l->query.upload_id = request_query(r, "uploadId");
	parts_ask(r, l->upload_id, l->query.after, l->query.max == 0 ? 1 : l->query.max, false,
	    on_parts);
	return (STEP_WAIT);
}
