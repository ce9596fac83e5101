/*
 * refuse - the table of such headers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/refuse.h"

#include <strings.h>

#include "libs3/documents.h"
#include "services/s3/reply.h"

/* A name that ends with '*' stands for all that begin so. `allowed`: values that ask for nothing
 * new. */
static const struct refused {
	const char	*name;
	const char	*allowed[3];
	const char	*feature;
} refused[] = {
	{ "x-amz-acl", { "private", "bucket-owner-full-control" },
	    "access for others than the owner" },
	{ "x-amz-bucket-object-lock-enabled", { "false" }, "object lock" },
	{ "x-amz-copy-source-server-side-encryption*", { 0 }, "server-side encryption" },
	{ "x-amz-grant-*", { 0 }, "access for others than the owner" },
	{ "x-amz-if-match-*", { 0 }, "a condition on time or size" },
	{ "x-amz-object-lock-*", { 0 }, "object lock" },
	{ "x-amz-object-ownership", { "BucketOwnerEnforced" }, "ACLs" },
	{ "x-amz-server-side-encryption*", { 0 }, "server-side encryption" },
	{ "x-amz-tagging", { "" }, "tags" },
	{ "x-amz-website-redirect-location", { 0 }, "website redirects" },
	{ "x-amz-write-offset-bytes", { 0 }, "appending to objects" },
};

static bool
name_matches(const char *pattern, const char *name)
{
	size_t bytes = strlen(pattern);

	if (pattern[bytes - 1] == '*')
		return (strncmp(pattern, name, bytes - 1) == 0);
	return (strcmp(pattern, name) == 0);
}

static bool
value_allowed(const struct refused *row, const char *value)
{
	size_t i;

	for (i = 0; i < 3 && row->allowed[i] != NULL; i++)
		if (strcasecmp(row->allowed[i], value) == 0)
			return (true);
	return (false);
}

static const struct refused *
refused_row(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (name_matches(refused[i].name, name))
			return (&refused[i]);
	return (NULL);
}

static bool
acl_is_known(const char *value)
{
	static const char *const names[] = { "private", "public-read", "public-read-write",
		"authenticated-read", "aws-exec-read", "bucket-owner-read",
		"bucket-owner-full-control", "log-delivery-write" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], value) == 0)
			return (true);
	return (false);
}

static bool
owner_is_ours(struct s3_request *r, const char *name)
{
	const char *owner = request_header(r, name);

	if (owner == NULL || strcmp(owner, S3_OWNER_ID) == 0)
		return (true);
	reply_error(
	    r, S3_AccessDenied, "The bucket is not owned by the owner that %s names.", name);
	return (false);
}

bool
refuse_headers(struct s3_request *r)
{
	const struct http_header *h = r->http->headers;
	const struct refused *row;
	size_t i;

	for (i = 0; i < r->http->header_count; i++) {
		if (strncmp(h[i].name, "x-amz-", 6) != 0)
			continue;
		row = refused_row(h[i].name);
		if (row == NULL || value_allowed(row, h[i].value))
			continue;
		if (strcmp(h[i].name, "x-amz-acl") == 0 && !acl_is_known(h[i].value)) {
			reply_error_detail(r, S3_InvalidArgument, "ArgumentName", "x-amz-acl",
			    "x-amz-acl is not the name of an ACL.");
			return (false);
		}
		reply_error_detail(r, S3_NotImplemented, "Header", h[i].name,
		    arena_printf(&r->arena,
			"The header %.128s asks for %s, which is not supported.", h[i].name,
			row->feature));
		return (false);
	}
	return (owner_is_ours(r, "x-amz-expected-bucket-owner") &&
	    owner_is_ours(r, "x-amz-source-expected-bucket-owner"));
}
