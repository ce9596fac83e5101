/*
 * copy_source - reads x-amz-copy-source: "[/]bucket/key[?versionId=id]", percent-encoded. Pure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_COPY_SOURCE_H
#define HF_S3_COPY_SOURCE_H

#include "libbase/arena.h"
#include "libbase/err.h"
#include "libs3/code.h"

struct copy_source {
	const char	*bucket;
	const char	*key;
	const char	*version_id;	/* NULL: the current one */
};

/* S3_NONE, or the code with a sentence. Names are checked; the strings live in the arena. */
enum s3_code copy_source_parse(struct arena *a, const char *header, struct copy_source *out,
    struct err *e);

#endif
