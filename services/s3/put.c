/*
 * put - PutObject: headers, bucket, body, one record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/object_headers.h"
#include "services/s3/operations.h"
#include "services/s3/reply.h"

enum step_result
object_put_prepare(struct s3_request *r)
{
	r->state = object_headers_read(r);
	if (r->state == NULL)
		return (STEP_WAIT);
	return (request_check_bucket(r));
}

static void
on_put(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	const Hf__ObjectEntry *entry = r->state;

	(void)reply;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	object_etag_header(r, entry->etag);
	checksum_headers_write(r->http, entry->n_checksums, entry->checksums, 0);
	reply_empty(r, 200);
}

enum step_result
object_put(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectPut put = HF__OBJECT_PUT__INIT;
	Hf__ObjectEntry *entry = r->state;

	entry->etag = request_alloc(r, 33);
	if (entry->etag == NULL)
		return (STEP_WAIT);
	body_in_etag(&r->in, entry->etag);
	entry->bytes = body_writer_bytes(r->writer);
	if (r->in.checksum.kind != DIGEST_NONE) {
		entry->checksums = checksum_records(&r->arena, r->in.checksum.kind,
		    r->in.checksum_value);
		entry->n_checksums = entry->checksums != NULL;
	}
	put.bucket = (char *)(uintptr_t)r->bucket;
	put.key = request_key_data(r);
	put.entry = entry;
	if (!object_condition_read(r, &put.condition))
		return (STEP_WAIT);
	body_writer_fill_put(r->writer, &put);
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_PUT;
	request.object_put = &put;
	request_commit(r, &request, on_put);
	return (STEP_WAIT);
}
