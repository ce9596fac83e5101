/*
 * bucket - ListBuckets, CreateBucket, HeadBucket, GetBucketLocation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/continuation.h"
#include "libs3/documents.h"
#include "libs3/listing_documents.h"
#include "services/s3/operations.h"
#include "services/s3/reply.h"

#define BUCKETS_PAGE	1000	/* asked of the store at once */
#define BUCKETS_MAX	10000	/* in one answer */

struct buckets {
	const char	*prefix;
	uint32_t	 left;
};

static s3_answer_fn on_buckets;

static void
buckets_ask(struct s3_request *r, const char *after)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__BucketList op = HF__BUCKET_LIST__INIT;
	struct buckets *b = r->state;

	op.prefix = (char *)(uintptr_t)b->prefix;
	op.after = (char *)(uintptr_t)after;
	op.max = b->left < BUCKETS_PAGE ? b->left : BUCKETS_PAGE;
	request.op_case = HF__STORE_REQUEST__OP_BUCKET_LIST;
	request.bucket_list = &op;
	request_call(r, &request, on_buckets);
}

static void
on_buckets(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	struct buckets *b = r->state;
	const char *last = NULL;
	size_t i;

	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	for (i = 0; i < reply->n_buckets && b->left > 0; i++, b->left--) {
		last = reply->buckets[i]->name;
		buckets_document_add(&r->out, reply->buckets[i]);
	}
	if (reply->truncated && last != NULL && b->left > 0) {
		buckets_ask(r, last);
		return;
	}
	buckets_document_end(&r->out, b->prefix, reply->truncated ? last : NULL);
	reply_document(r);
}

enum step_result
buckets_list(struct s3_request *r)
{
	struct buckets *b = request_alloc(r, sizeof(*b));
	const char *token = request_query(r, "continuation-token");
	struct slice after = SLICE_LITERAL("");
	struct err e = ERR_INIT;

	if (b == NULL || !query_number(r, "max-buckets", BUCKETS_MAX, BUCKETS_MAX, &b->left))
		return (STEP_WAIT);
	r->state = b;
	b->prefix = request_query(r, "prefix");
	if (b->prefix == NULL)
		b->prefix = "";
	if (b->left == 0 ||
	    (token != NULL && continuation_decode(&r->arena, token, &after, &e) < 0)) {
		reply_error(r, S3_InvalidArgument, "%s",
		    b->left == 0 ? "max-buckets must be from 1 to 10000." : e.text);
		return (STEP_WAIT);
	}
	buckets_document_begin(&r->out);
	buckets_ask(r, arena_printf(&r->arena, "%.*s", (int)after.bytes, (const char *)after.data));
	return (STEP_WAIT);
}

static void
on_created(struct s3_request *r, int code, const Hf__StoreReply *reply, const struct err *e)
{
	(void)reply;
	/* In its first region S3 lets an owner create a bucket again, and nothing changes. */
	if (code == ERR_BUCKET_EXISTS && strcmp(r->server->region, "us-east-1") == 0)
		code = 0;
	if (code < 0) {
		reply_store_error(r, code, e);
		return;
	}
	http_response_headerf(r->http, "Location", "/%s", r->bucket);
	reply_empty(r, 200);
}

enum step_result
bucket_create(struct s3_request *r)
{
	Hf__StoreRequest request = HF__STORE_REQUEST__INIT;
	Hf__BucketPut op = HF__BUCKET_PUT__INIT;
	struct err e = ERR_INIT;
	const char *location;
	enum s3_code code;

	code = create_bucket_document_read(&r->arena, buf_slice(&r->in.document), &location, &e);
	if (code != S3_NONE) {
		reply_error(r, code, "%s", e.text);
		return (STEP_WAIT);
	}
	if (location != NULL && strcmp(location, r->server->region) != 0) {
		reply_error(r, S3_InvalidLocationConstraint,
		    "The location constraint %s is not the "
		    "region of this server, which is %s.",
		    location, r->server->region);
		return (STEP_WAIT);
	}
	op.name = (char *)(uintptr_t)r->bucket;
	op.region = r->server->region;
	op.owner = (char *)(uintptr_t)S3_OWNER_ID;
	request.op_case = HF__STORE_REQUEST__OP_BUCKET_PUT;
	request.bucket_put = &op;
	request_commit(r, &request, on_created);
	return (STEP_WAIT);
}

enum step_result
bucket_head(struct s3_request *r)
{
	http_response_header(r->http, "x-amz-bucket-region", r->server->region);
	http_response_header(r->http, "x-amz-access-point-alias", "false");
	reply_empty(r, 200);
	return (STEP_WAIT);
}

enum step_result
bucket_location(struct s3_request *r)
{
	location_document_write(&r->out, r->server->region);
	reply_document(r);
	return (STEP_WAIT);
}
