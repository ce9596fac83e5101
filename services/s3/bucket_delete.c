/*
 * bucket_delete - DeleteBucket: open uploads do not hold a bucket back, objects do.
 *
 *   delete -> refused as not empty -> an object there? -> abort a page of uploads ... -> delete
 *
 * To the store an open upload is content. Clients cannot see uploads among objects, and expect that
 * a bucket without objects can go; so its uploads are aborted first, and only when it holds no
 * object.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/names.h"
#include "services/s3/operations.h"
#include "services/s3/reply.h"

#define ABORT_PAGE 100
#define ROUNDS_MAX 1000		/* pages of uploads; somebody may be creating them meanwhile */

struct bucket_delete {
	unsigned	 rounds;
	uint8_t		 ids[ABORT_PAGE][S3_UPLOAD_ID_BYTES];
	struct slice	 keys[ABORT_PAGE];
	size_t		 count, next;
};

static s3_answer_fn on_deleted, on_objects, on_open_uploads, on_one_aborted;

static void
not_empty(struct s3_request *r)
{
	reply_error(r, S3_BucketNotEmpty, "%s", s3_code_row(S3_BucketNotEmpty)->message);
}

static void
delete_send(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__BucketDelete op = HF__BUCKET_DELETE__INIT;

	op.name = (char *)(uintptr_t)r->bucket;
	request.op_case = HF__STORE_REQUEST__OP_BUCKET_DELETE;
	request.bucket_delete = &op;
	request_commit(r, &request, on_deleted);
}

enum step_result
bucket_delete(struct s3_request *r)
{
	r->state = request_alloc(r, sizeof(struct bucket_delete));
	if (r->state != NULL)
		delete_send(r);
	return (STEP_WAIT);
}

static void
objects_ask(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__ObjectList op = HF__OBJECT_LIST__INIT;

	op.bucket = (char *)(uintptr_t)r->bucket;
	op.max = 1;
	op.versions = true;
	request.op_case = HF__STORE_REQUEST__OP_OBJECT_LIST;
	request.object_list = &op;
	request_call(r, &request, on_objects);
}

static void
on_deleted(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct bucket_delete *d = r->state;

	(void)reply;
	if (code == ERR_BUCKET_NOT_EMPTY && d->rounds++ < ROUNDS_MAX)
		objects_ask(r);
	else if (code < 0)
		reply_store_error(r, code, e);
	else
		reply_empty(r, 204);
}

static void
on_objects(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__UploadList op = HF__UPLOAD_LIST__INIT;

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	if (reply->n_items > 0) {
		not_empty(r);
		return;
	}
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.max = ABORT_PAGE;
	request.op_case = HF__STORE_REQUEST__OP_UPLOAD_LIST;
	request.upload_list = &op;
	request_call(r, &request, on_open_uploads);
}

static void
abort_next(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__UploadAbort op = HF__UPLOAD_ABORT__INIT;
	struct bucket_delete *d = r->state;

	if (d->next == d->count) {
		delete_send(r);
		return;
	}
	op.bucket = (char *)(uintptr_t)r->bucket;
	op.key = (ProtobufCBinaryData){ d->keys[d->next].bytes,
	    (uint8_t *)(uintptr_t)d->keys[d->next].data };
	op.upload_id = (ProtobufCBinaryData){ S3_UPLOAD_ID_BYTES, d->ids[d->next] };
	d->next++;
	request.op_case = HF__STORE_REQUEST__OP_UPLOAD_ABORT;
	request.upload_abort = &op;
	request_commit(r, &request, on_one_aborted);
}

static void
on_open_uploads(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct bucket_delete *d = r->state;
	size_t i;

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	d->count = d->next = 0;
	for (i = 0; i < reply->n_uploads && i < ABORT_PAGE; i++) {
		const Hf__Upload *u = reply->uploads[i];
		struct slice key = arena_slice(&r->arena, SLICE(u->key.data, u->key.len));

		if (u->id.len != S3_UPLOAD_ID_BYTES || key.data == NULL)
			continue;	/* the arena's bound: the rest at the client's next try */
		memcpy(d->ids[d->count], u->id.data, S3_UPLOAD_ID_BYTES);
		d->keys[d->count++] = key;
	}
	if (d->count == 0)
		not_empty(r);
	else
		abort_next(r);
}

static void
on_one_aborted(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	(void)reply;
	if (code < 0 && code != ERR_UPLOAD_NOT_FOUND)
		reply_store_error(r, code, e);
	else
		abort_next(r);
}
