/*
 * copy_source - splits before decoding, so that %2F and %3F stay parts of the key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/copy_source.h"

#include "libhttp/uri.h"
#include "libs3/names.h"

#define VERSION_MARK "?versionId="

enum s3_code
copy_source_parse(struct arena *a, const char *header, struct copy_source *out, struct err *e)
{
	const char *mark = strstr(header, VERSION_MARK), *slash;
	size_t bytes = mark == NULL ? strlen(header) : (size_t)(mark - header);
	enum s3_code code;
	char *path;

	path = uri_decode(a, SLICE(header, bytes), false, e);
	if (path == NULL)
		return (S3_InvalidArgument);
	if (*path == '/')
		path++;
	slash = strchr(path, '/');
	if (slash == NULL || slash[1] == '\0') {
		err_set(e, ERR_INVALID, "x-amz-copy-source must name a bucket and a key.");
		return (S3_InvalidArgument);
	}
	out->bucket = arena_string(a, SLICE(path, (size_t)(slash - path)));
	out->key = slash + 1;
	out->version_id = mark == NULL ? NULL :
	    arena_string(a, slice_from_string(mark + sizeof(VERSION_MARK) - 1));
	if (out->bucket == NULL || (mark != NULL && out->version_id == NULL)) {
		err_set(e, ERR_TOO_LARGE, "x-amz-copy-source is too long.");
		return (S3_InvalidArgument);
	}
	code = s3_bucket_name_check(out->bucket, e);
	return (code != S3_NONE ? code : s3_key_check(out->key, e));
}
