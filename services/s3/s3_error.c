/*
 * s3_error - the table from errors.def to codes.def.
 *
 * A row for each error, so that a new one is thought about here: the build fails without.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/s3_error.h"

#include <assert.h>
#include <stddef.h>

#include "libbase/err.h"

struct error_row {
	int		code;
	enum s3_code	s3;
	bool		tells;
};

static const struct error_row error_rows[] = {
	{ ERR_INTERNAL,		S3_InternalError,		false },
	{ ERR_INVALID,		S3_InvalidArgument,		true },
	{ ERR_NOT_FOUND,	S3_NoSuchKey,			false },
	{ ERR_EXISTS,		S3_OperationAborted,		false },
	{ ERR_BUCKET_NOT_FOUND,	S3_NoSuchBucket,		false },
	{ ERR_BUCKET_EXISTS,	S3_BucketAlreadyOwnedByYou,	false },
	{ ERR_BUCKET_NOT_EMPTY,	S3_BucketNotEmpty,		true },
	{ ERR_UPLOAD_NOT_FOUND,	S3_NoSuchUpload,		false },
	{ ERR_PART_INVALID,	S3_InvalidPart,			true },
	{ ERR_PART_ORDER,	S3_InvalidPartOrder,		false },
	{ ERR_PART_TOO_SMALL,	S3_EntityTooSmall,		true },
	{ ERR_PRECONDITION,	S3_PreconditionFailed,		false },
	{ ERR_NOT_MODIFIED,	S3_NotModified,			false },
	{ ERR_FULL,		S3_InsufficientStorage,		false },
	{ ERR_BUSY,		S3_SlowDown,			true },
	{ ERR_UNAVAILABLE,	S3_ServiceUnavailable,		true },
	{ ERR_READ_ONLY,	S3_ServiceUnavailable,		true },
	{ ERR_TIMEOUT,		S3_ServiceUnavailable,		true },
	{ ERR_CANCELLED,	S3_ServiceUnavailable,		true },
	{ ERR_IO,		S3_InternalError,		false },
	{ ERR_CORRUPT,		S3_InternalError,		false },
	{ ERR_VERSION,		S3_InternalError,		false },
	{ ERR_LOCKED,		S3_ServiceUnavailable,		true },
	{ ERR_CONFIG,		S3_InternalError,		false },
	{ ERR_PROTOCOL,		S3_InternalError,		false },
	{ ERR_TOO_LARGE,	S3_EntityTooLarge,		true },
	{ ERR_DENIED,		S3_AccessDenied,		true },
	{ ERR_NOMEM,		S3_SlowDown,			false },
	{ ERR_SESSION,		S3_ServiceUnavailable,		false },
	{ ERR_STALE,		S3_SlowDown,			true },
	{ ERR_NO_QUORUM,	S3_ServiceUnavailable,		true },
	{ ERR_DIGEST,		S3_BadDigest,			true },
	{ ERR_UNSUPPORTED,	S3_NotImplemented,		true },
	{ ERR_EOF,		S3_IncompleteBody,		false },
};

#define ERROR(name, number, text) + 1
static_assert(sizeof(error_rows) / sizeof(error_rows[0]) == 0
#include "schema/errors.def"
    , "an error of errors.def has no row here");
#undef ERROR

static const struct error_row *
error_row(int code)
{
	size_t i;

	for (i = 0; i < sizeof(error_rows) / sizeof(error_rows[0]); i++)
		if (error_rows[i].code == code)
			return (&error_rows[i]);
	return (NULL);
}

enum s3_code
s3_error_of(int code)
{
	const struct error_row *row = error_row(code);

	return (row == NULL ? S3_InternalError : row->s3);
}

bool
s3_error_tells(int code)
{
	const struct error_row *row = error_row(code);

	return (row != NULL && row->tells);
}

unsigned
s3_error_retry_after(enum s3_code code)
{
	switch (code) {
	case S3_ServiceUnavailable:
		return (5);
	case S3_SlowDown:
		return (1);
	default:
		return (0);
	}
}
