/*
 * s3_error - which S3 error each of our own errors is. The only place that translates them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_S3_ERROR_H
#define HF_S3_S3_ERROR_H

#include <stdbool.h>

#include "libs3/code.h"

/* Never S3_NONE; InternalError for numbers that are not in errors.def. */
enum s3_code s3_error_of(int code);
/* Whether the sentence that came with the error is for the client. */
bool s3_error_tells(int code);
/* Seconds for Retry-After; 0: no such header. */
unsigned s3_error_retry_after(enum s3_code code);

#endif
