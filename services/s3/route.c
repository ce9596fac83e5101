/*
 * route - the table of operations.
 *
 * Rows that ask for a parameter or header come first; the first that matches wins. HEAD is GET's
 * row unless it has its own. To add an operation: a row here, its steps in a file of its noun.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/route.h"

#include "services/s3/operations.h"
#include "services/s3/refuse.h"
#include "services/s3/reply.h"
#include "services/s3/subresource.h"

#define S RESOURCE_SERVICE
#define B RESOURCE_BUCKET
#define O RESOURCE_OBJECT
#define DELETE_BYTES_MAX	(8u << 20)	/* 1000 keys of 1024 bytes, escaped */
#define COMPLETE_BYTES_MAX	(4u << 20)	/* 10,000 parts */
#define CONFIG_BYTES_MAX	(64u << 10)

static const struct s3_operation operations[] = {
	{ "ListBuckets", S, HTTP_VERB_GET, NULL, NULL, BODY_NONE, 0, NULL, buckets_list },

	{ "GetBucketLocation", B, HTTP_VERB_GET, "location", NULL, BODY_NONE, 0,
	    request_check_bucket, bucket_location },
	{ "ListMultipartUploads", B, HTTP_VERB_GET, "uploads", NULL, BODY_NONE, 0, NULL,
	    uploads_list },
	{ "ListObjectVersions", B, HTTP_VERB_GET, "versions", NULL, BODY_NONE, 0,
	    versions_list_prepare, objects_list },
	{ "ListObjectsV2", B, HTTP_VERB_GET, "list-type", NULL, BODY_NONE, 0,
	    objects_list_v2_prepare, objects_list },
	{ "DeleteObjects", B, HTTP_VERB_POST, "delete", NULL, BODY_DOCUMENT, DELETE_BYTES_MAX,
	    objects_delete_prepare, objects_delete },

	{ "ListParts", O, HTTP_VERB_GET, "uploadId", NULL, BODY_NONE, 0, NULL, parts_list },
	{ "GetObjectAttributes", O, HTTP_VERB_GET, "attributes", NULL, BODY_NONE, 0,
	    object_attributes_prepare, object_attributes },
	{ "UploadPartCopy", O, HTTP_VERB_PUT, "uploadId", "x-amz-copy-source", BODY_NONE, 0,
	    part_copy_prepare, part_copy },
	{ "UploadPart", O, HTTP_VERB_PUT, "uploadId", NULL, BODY_OBJECT, 0, part_put_prepare,
	    part_put },
	{ "CreateMultipartUpload", O, HTTP_VERB_POST, "uploads", NULL, BODY_NONE, 0, NULL,
	    upload_create },
	{ "CompleteMultipartUpload", O, HTTP_VERB_POST, "uploadId", NULL, BODY_DOCUMENT,
	    COMPLETE_BYTES_MAX, upload_complete_prepare, upload_complete },
	{ "AbortMultipartUpload", O, HTTP_VERB_DELETE, "uploadId", NULL, BODY_NONE, 0, NULL,
	    upload_abort },
};

/* Looked at when neither a row above nor a subresource matches. */
static const struct s3_operation plain_operations[] = {
	{ "ListObjects", B, HTTP_VERB_GET, NULL, NULL, BODY_NONE, 0, objects_list_prepare,
	    objects_list },
	{ "HeadBucket", B, HTTP_VERB_HEAD, NULL, NULL, BODY_NONE, 0, request_check_bucket,
	    bucket_head },
	{ "CreateBucket", B, HTTP_VERB_PUT, NULL, NULL, BODY_DOCUMENT, CONFIG_BYTES_MAX, NULL,
	    bucket_create },
	{ "DeleteBucket", B, HTTP_VERB_DELETE, NULL, NULL, BODY_NONE, 0, NULL, bucket_delete },

	{ "GetObject", O, HTTP_VERB_GET, NULL, NULL, BODY_NONE, 0, object_get_prepare, object_get },
	{ "HeadObject", O, HTTP_VERB_HEAD, NULL, NULL, BODY_NONE, 0, object_get_prepare,
	    object_get },
	{ "CopyObject", O, HTTP_VERB_PUT, NULL, "x-amz-copy-source", BODY_NONE, 0,
	    object_copy_prepare, object_copy },
	{ "PutObject", O, HTTP_VERB_PUT, NULL, NULL, BODY_OBJECT, 0, object_put_prepare,
	    object_put },
	{ "DeleteObject", O, HTTP_VERB_DELETE, NULL, NULL, BODY_NONE, 0, NULL, object_delete },
};

static const struct s3_operation subresource_operation =
	{ "Subresource", B, HTTP_VERB_GET, NULL, NULL, BODY_NONE, 0, NULL, subresource_answer };

static bool
operation_matches(
    const struct s3_request *r, const struct s3_operation *op, enum s3_resource resource)
{
	return (op->resource == resource && op->verb == r->http->verb &&
	    (op->query == NULL || request_query(r, op->query) != NULL) &&
	    (op->header == NULL || request_header(r, op->header) != NULL));
}

static const struct s3_operation *
operation_find(const struct s3_request *r, enum s3_resource resource,
    const struct s3_operation *rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (operation_matches(r, &rows[i], resource))
			return (&rows[i]);
	return (NULL);
}

static enum s3_resource
resource_of(const struct s3_request *r)
{
	return (*r->key != '\0' ? RESOURCE_OBJECT : *r->bucket != '\0' ? RESOURCE_BUCKET :
	    RESOURCE_SERVICE);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum step_result
request_route(struct s3_request *r)
{
	enum s3_resource resource = resource_of(r);

	r->operation = operation_find(r, resource, operations, COUNT(operations));
	if (r->operation == NULL && resource != RESOURCE_SERVICE && subresource_find(r) != NULL)
		r->operation = &subresource_operation;
	if (r->operation == NULL)
		r->operation =
		    operation_find(r, resource, plain_operations, COUNT(plain_operations));
	if (r->operation != NULL)
		return (refuse_headers(r) ? STEP_NEXT : STEP_WAIT);
	if (resource == RESOURCE_BUCKET && r->http->verb == HTTP_VERB_POST)
		reply_error(r, S3_NotImplemented, "POST form uploads are not supported.");
	else
		reply_error_detail(r, S3_MethodNotAllowed, "Method", r->http->method,
		    s3_code_row(S3_MethodNotAllowed)->message);
	return (STEP_WAIT);
}
