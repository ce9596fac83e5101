/*
 * subresource - the table, and the three answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/subresource.h"

#include "libs3/documents.h"
#include "services/s3/operations.h"
#include "services/s3/reply.h"

enum subresource_get {
	GET_ERROR,		/* code */
	GET_EMPTY,		/* a document of one empty element, `root` */
	GET_ACL,
	GET_TAGS,		/* of the object */
	GET_PAYER,
	GET_UNSUPPORTED,
};

struct subresource {
	const char		*name;
	enum s3_resource	 resource;
	enum subresource_get	 get;
	enum s3_code		 code;
	const char		*root;
	bool			 removable;	/* DELETE of what is not there succeeds */
};

static const struct subresource subresources[] = {
	{ "acl", RESOURCE_BUCKET, GET_ACL, S3_NONE, NULL, false },
	{ "acl", RESOURCE_OBJECT, GET_ACL, S3_NONE, NULL, false },
	{ "accelerate", RESOURCE_BUCKET, GET_EMPTY, S3_NONE, "AccelerateConfiguration", false },
	{ "analytics", RESOURCE_BUCKET, GET_UNSUPPORTED, S3_NONE, NULL, false },
	{ "cors", RESOURCE_BUCKET, GET_ERROR, S3_NoSuchCORSConfiguration, NULL, true },
	{ "delete", RESOURCE_OBJECT, GET_UNSUPPORTED, S3_NONE, NULL, false },
	{ "encryption", RESOURCE_BUCKET, GET_ERROR,
	    S3_ServerSideEncryptionConfigurationNotFoundError, NULL, true },
	{ "intelligent-tiering", RESOURCE_BUCKET, GET_UNSUPPORTED, S3_NONE, NULL, false },
	{ "inventory", RESOURCE_BUCKET, GET_UNSUPPORTED, S3_NONE, NULL, false },
	{ "legal-hold", RESOURCE_OBJECT, GET_ERROR, S3_ObjectLockConfigurationNotFoundError, NULL,
	    false },
	{ "lifecycle", RESOURCE_BUCKET, GET_ERROR, S3_NoSuchLifecycleConfiguration, NULL, true },
	{ "logging", RESOURCE_BUCKET, GET_EMPTY, S3_NONE, "BucketLoggingStatus", false },
	{ "metrics", RESOURCE_BUCKET, GET_UNSUPPORTED, S3_NONE, NULL, false },
	{ "notification", RESOURCE_BUCKET, GET_EMPTY, S3_NONE, "NotificationConfiguration", false },
	{ "object-lock", RESOURCE_BUCKET, GET_ERROR, S3_ObjectLockConfigurationNotFoundError, NULL,
	    false },
	{ "ownershipControls", RESOURCE_BUCKET, GET_ERROR, S3_OwnershipControlsNotFoundError, NULL,
	    true },
	{ "policy", RESOURCE_BUCKET, GET_ERROR, S3_NoSuchBucketPolicy, NULL, true },
	{ "policyStatus", RESOURCE_BUCKET, GET_ERROR, S3_NoSuchBucketPolicy, NULL, false },
	{ "publicAccessBlock", RESOURCE_BUCKET, GET_ERROR, S3_NoSuchPublicAccessBlockConfiguration,
	    NULL, true },
	{ "replication", RESOURCE_BUCKET, GET_ERROR, S3_ReplicationConfigurationNotFoundError, NULL,
	    true },
	{ "requestPayment", RESOURCE_BUCKET, GET_PAYER, S3_NONE, NULL, false },
	{ "restore", RESOURCE_OBJECT, GET_UNSUPPORTED, S3_NONE, NULL, false },
	{ "retention", RESOURCE_OBJECT, GET_ERROR, S3_ObjectLockConfigurationNotFoundError, NULL,
	    false },
	{ "select", RESOURCE_OBJECT, GET_UNSUPPORTED, S3_NONE, NULL, false },
	{ "tagging", RESOURCE_BUCKET, GET_ERROR, S3_NoSuchTagSet, NULL, true },
	{ "tagging", RESOURCE_OBJECT, GET_TAGS, S3_NONE, NULL, true },
	{ "torrent", RESOURCE_OBJECT, GET_UNSUPPORTED, S3_NONE, NULL, false },
	{ "versioning", RESOURCE_BUCKET, GET_EMPTY, S3_NONE, "VersioningConfiguration", false },
	{ "website", RESOURCE_BUCKET, GET_ERROR, S3_NoSuchWebsiteConfiguration, NULL, true },
};

const struct subresource *
subresource_find(const struct s3_request *r)
{
	enum s3_resource resource = *r->key != '\0' ? RESOURCE_OBJECT : RESOURCE_BUCKET;
	size_t i;

	for (i = 0; i < sizeof(subresources) / sizeof(subresources[0]); i++)
		if (subresources[i].resource == resource &&
		    request_query(r, subresources[i].name) != NULL)
			return (&subresources[i]);
	return (NULL);
}

static void
refuse(struct s3_request *r, const struct subresource *s)
{
	reply_error(r, S3_NotImplemented, "%s of ?%s is not supported.", r->http->method, s->name);
}

static void
get_reply(struct s3_request *r, const struct subresource *s, const Hf__ObjectEntry *entry)
{
	switch (s->get) {
	case GET_ERROR:
		reply_error(r, s->code, "%s", s3_code_row(s->code)->message);
		return;
	case GET_UNSUPPORTED:
		refuse(r, s);
		return;
	case GET_EMPTY:
		empty_document_write(&r->out, s->root);
		break;
	case GET_ACL:
		acl_document_write(&r->out);
		break;
	case GET_TAGS:
		tagging_document_write(&r->out, entry);
		break;
	case GET_PAYER:
		request_payment_document_write(&r->out);
		break;
	}
	reply_document(r);
}

/* An ACL that says what is so anyway: the owner and nobody else (grants by header were refused). */
static bool
is_private_acl(const struct s3_request *r, const struct subresource *s)
{
	return (s->get == GET_ACL && request_header(r, "x-amz-acl") != NULL);
}

static void
on_there(struct s3_request *r, int code, const Hf__Bucket *bucket, const Hf__ObjectEntry *entry,
    const struct err *e)
{
	const struct subresource *s = subresource_find(r);

	(void)bucket;
	if (code == ERR_NOT_FOUND && *r->key == '\0')
		code = 0;
	if (code < 0)
		reply_store_error(r, code, e);
	else if (r->http->verb == HTTP_VERB_GET)
		get_reply(r, s, entry);
	else if (r->http->verb == HTTP_VERB_DELETE && s->removable)
		reply_empty(r, 204);
	else if (r->http->verb == HTTP_VERB_PUT && is_private_acl(r, s))
		reply_empty(r, 200);
	else
		refuse(r, s);
}

enum step_result
subresource_answer(struct s3_request *r)
{
	request_lookup(r, r->bucket, r->key, on_there);
	return (STEP_WAIT);
}
