/*
 * request_documents - the XML documents that clients send, read into structs. Pure.
 *
 * Every reader returns S3_NONE, or MalformedXML or a better code with a sentence. Everything lives
 * in the arena. Elements that we do not know are ignored, unless ignoring them would do what was
 * not asked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_REQUEST_DOCUMENTS_H
#define HF_S3_REQUEST_DOCUMENTS_H

#include "libbase/arena.h"
#include "libbase/digest.h"
#include "libbase/err.h"
#include "libs3/code.h"

#define S3_DELETE_KEYS_MAX	1000

struct delete_item {
	const char	*key;
	const char	*version_id;	/* NULL: the current one */
	const char	*etag;		/* the condition If-Match, as it came; NULL: none */
};
struct delete_document {
	struct delete_item	*items;
	size_t			 count;
	bool			 quiet;
};
enum s3_code delete_document_read(struct arena *a, struct slice xml, struct delete_document *out,
    struct err *e);

struct complete_part {
	uint32_t		 number;
	const char		*etag;		/* without quotes */
	enum digest_kind	 checksum_kind;	/* DIGEST_NONE: none given */
	uint8_t			 checksum[DIGEST_BYTES_MAX];
};
struct complete_document {
	struct complete_part	*parts;
	size_t			 count;
};
enum s3_code complete_document_read(struct arena *a, struct slice xml,
    struct complete_document *out, struct err *e);

/* *location is NULL where no constraint is given (also for an empty body). */
enum s3_code create_bucket_document_read(struct arena *a, struct slice xml, const char **location,
    struct err *e);

#endif
