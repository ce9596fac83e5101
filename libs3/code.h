/*
 * code - the error codes of S3 with their HTTP status and sentence; rows of codes.def.
 *
 * Which of our own errors becomes which code is services/s3/s3_error.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_CODE_H
#define HF_S3_CODE_H

enum s3_code {
	S3_NONE,
#define S3_CODE(name, status, message) S3_##name,
#include "libs3/codes.def"
#undef S3_CODE
	S3_CODE_COUNT
};

struct s3_code_row {
	const char	*name;
	int		 status;
	const char	*message;
};

/* The row of a code; not for S3_NONE. Static storage. */
const struct s3_code_row *s3_code_row(enum s3_code code);
/* The code of that name, or S3_NONE. */
enum s3_code s3_code_find(const char *name);

#endif
