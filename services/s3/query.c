/*
 * query - parameters that several operations read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/names.h"
#include "services/s3/operations.h"
#include "services/s3/reply.h"

bool
version_check(struct s3_request *r, const char *version_id)
{
	if (version_id == NULL || *version_id == '\0' || strcmp(version_id, "null") == 0)
		return (true);
	reply_error(r, S3_NoSuchVersion,
	    "The bucket is not versioned: its objects have the version "
	    "null only.");
	return (false);
}

bool
query_number(struct s3_request *r, const char *name, uint32_t fallback, uint32_t max, uint32_t *out)
{
	const char *text = request_query(r, name);
	uint64_t n;

	*out = fallback;
	if (text == NULL || *text == '\0')
		return (true);
	if (u64_parse(text, strlen(text), INT32_MAX, &n) < 0) {
		reply_error_detail(r, S3_InvalidArgument, "ArgumentName", name,
		    "The argument must be a number from 0 to 2147483647.");
		return (false);
	}
	*out = n > max ? max : (uint32_t)n;
	return (true);
}

bool
query_upload(struct s3_request *r, ProtobufCBinaryData *upload_id, uint32_t *number)
{
	const char *id = request_query(r, "uploadId"), *text = request_query(r, "partNumber");
	uint64_t n = 0;

	if (number != NULL) {
		if (text == NULL || u64_parse(text, strlen(text), S3_PART_NUMBER_MAX, &n) < 0 ||
		    n == 0) {
			reply_error_detail(r, S3_InvalidArgument, "ArgumentName", "partNumber",
			    "Part number must be an integer between 1 and 10000, inclusive");
			return (false);
		}
		*number = (uint32_t)n;
	}
	upload_id->data = request_alloc(r, S3_UPLOAD_ID_BYTES);
	upload_id->len = S3_UPLOAD_ID_BYTES;
	if (upload_id->data == NULL)
		return (false);
	if (id != NULL && s3_upload_id_parse(id, upload_id->data) == 0)
		return (true);
	reply_error(r, S3_NoSuchUpload, "%s", s3_code_row(S3_NoSuchUpload)->message);
	return (false);
}
