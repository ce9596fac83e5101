/*
 * code - finds rows of codes.def.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/code.h"

#include <assert.h>
#include <string.h>

static const struct s3_code_row code_rows[S3_CODE_COUNT] = {
#define S3_CODE(name, status, message) [S3_##name] = { #name, status, message },
#include "libs3/codes.def"
#undef S3_CODE
};

const struct s3_code_row *
s3_code_row(enum s3_code code)
{
	assert(code > S3_NONE && code < S3_CODE_COUNT);
	return (&code_rows[code]);
}

enum s3_code
s3_code_find(const char *name)
{
	int i;

	for (i = S3_NONE + 1; i < S3_CODE_COUNT; i++)
		if (strcmp(code_rows[i].name, name) == 0)
			return ((enum s3_code)i);
	return (S3_NONE);
}
