/*
 * range - reads "bytes=first-last", "bytes=first-" and "bytes=-last".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/range.h"

#define RANGE_NUMBER_MAX (UINT64_MAX - 1)

struct range_text {
	bool		has_first, has_last;
	uint64_t	first, last;
};

static int
number(const char *text, size_t bytes, bool *has, uint64_t *out)
{
	*has = bytes > 0;
	return (bytes == 0 ? 0 : u64_parse(text, bytes, RANGE_NUMBER_MAX, out));
}

/* 0, or ERR_INVALID for what is not one range of bytes. */
static int
range_split(const char *text, struct range_text *out)
{
	const char *dash;

	if (strncmp(text, "bytes=", 6) != 0)
		return (ERR_INVALID);
	text += 6;
	dash = strchr(text, '-');
	if (dash == NULL || number(text, (size_t)(dash - text), &out->has_first, &out->first) < 0 ||
	    number(dash + 1, strlen(dash + 1), &out->has_last, &out->last) < 0)
		return (ERR_INVALID);
	if (!out->has_first && !out->has_last)
		return (ERR_INVALID);
	if (out->has_first && out->has_last && out->first > out->last)
		return (ERR_INVALID);
	return (0);
}

enum range_result
range_parse(const char *header, uint64_t object_bytes, struct byte_range *out)
{
	struct range_text t = { 0 };

	*out = (struct byte_range){ 0, object_bytes };
	if (header == NULL || range_split(header, &t) < 0)
		return (RANGE_WHOLE);
	if (!t.has_first) {
		if (t.last == 0 || object_bytes == 0)
			return (RANGE_UNSATISFIABLE);
		out->bytes = t.last < object_bytes ? t.last : object_bytes;
		out->offset = object_bytes - out->bytes;
		return (RANGE_PART);
	}
	if (t.first >= object_bytes)
		return (RANGE_UNSATISFIABLE);
	if (!t.has_last || t.last >= object_bytes)
		t.last = object_bytes - 1;
	*out = (struct byte_range){ t.first, t.last - t.first + 1 };
	return (RANGE_PART);
}

int
range_parse_copy(const char *text, uint64_t object_bytes, struct byte_range *out, struct err *e)
{
	struct range_text t = { 0 };

	if (range_split(text, &t) < 0 || !t.has_first || !t.has_last)
		return (err_set(e, ERR_INVALID,
		    "x-amz-copy-source-range must have the form bytes=first-last."));
	if (t.last >= object_bytes)
		return (err_set(e, ERR_INVALID,
		    "Range specified is not valid for source object of size: %llu",
		    (unsigned long long)object_bytes));
	*out = (struct byte_range){ t.first, t.last - t.first + 1 };
	return (0);
}
