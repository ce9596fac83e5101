/*
 * names - the rules of bucket names, keys and upload ids.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/names.h"

#include <assert.h>
#include <stdio.h>

static bool
is_lower_or_digit(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'));
}

/* Four groups of digits with dots between: such a name would be taken for an address. */
static bool
is_address(const char *name)
{
	unsigned a, b, c, d;
	int end = 0;

	return (sscanf(name, "%3u.%3u.%3u.%3u%n", &a, &b, &c, &d, &end) == 4 && name[end] == '\0');
}

static const char *
bucket_name_fault(const char *name, size_t bytes)
{
	size_t i;

	if (bytes < 3 || bytes > 63)
		return ("it must have 3 to 63 characters");
	if (!is_lower_or_digit(name[0]) || !is_lower_or_digit(name[bytes - 1]))
		return ("it must begin and end with a lower-case letter or a digit");
	for (i = 0; i < bytes; i++) {
		if (!is_lower_or_digit(name[i]) && name[i] != '-' && name[i] != '.')
			return ("only lower-case letters, digits, '-' and '.' are allowed");
		if (name[i] == '.' &&
		    (name[i + 1] == '.' || name[i + 1] == '-' || name[i - 1] == '-'))
			return ("a dot must stand between letters or digits");
	}
	if (is_address(name))
		return ("it looks like an IP address");
	if (strncmp(name, "xn--", 4) == 0)
		return ("the prefix xn-- is reserved");
	return (NULL);
}

enum s3_code
s3_bucket_name_check(const char *name, struct err *e)
{
	const char *fault = bucket_name_fault(name, strlen(name));

	if (fault == NULL)
		return (S3_NONE);
	err_set(e, ERR_INVALID, "The bucket name is not valid: %s.", fault);
	return (S3_InvalidBucketName);
}

enum s3_code
s3_key_check(const char *key, struct err *e)
{
	size_t bytes = strlen(key);

	assert(bytes > 0);
	if (bytes > S3_KEY_BYTES_MAX) {
		err_set(e, ERR_TOO_LARGE, "The key has %zu bytes; at most %d are allowed.", bytes,
		    S3_KEY_BYTES_MAX);
		return (S3_KeyTooLongError);
	}
	if (!utf8_valid(SLICE(key, bytes))) {
		err_set(e, ERR_INVALID, "The key is not valid UTF-8.");
		return (S3_InvalidURI);
	}
	return (S3_NONE);
}

int
s3_upload_id_parse(const char *text, uint8_t out[S3_UPLOAD_ID_BYTES])
{
	return (hex_decode(text, strlen(text), out, S3_UPLOAD_ID_BYTES));
}

void
s3_upload_id_format(struct slice id, char out[2 * S3_UPLOAD_ID_BYTES + 1])
{
	assert(id.bytes == S3_UPLOAD_ID_BYTES);
	hex_encode(id.data, id.bytes, out);
}
