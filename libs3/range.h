/*
 * range - which bytes of an object a Range header asks for. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_RANGE_H
#define HF_S3_RANGE_H

#include "libbase/bytes.h"
#include "libbase/err.h"

struct byte_range {
	uint64_t	offset;
	uint64_t	bytes;
};

enum range_result {
	RANGE_WHOLE, /* no range, or one that is to be ignored: malformed, several, other units */
	RANGE_PART,
	RANGE_UNSATISFIABLE,
};

/* header may be NULL. *out is filled for RANGE_WHOLE and RANGE_PART. */
enum range_result range_parse(const char *header, uint64_t object_bytes, struct byte_range *out);
/*
 * x-amz-copy-source-range: only "bytes=first-last", and all of it must be there. 0, or ERR_INVALID
 * with a sentence.
 */
int range_parse_copy(
    const char *text, uint64_t object_bytes, struct byte_range *out, struct err *e);

#endif
