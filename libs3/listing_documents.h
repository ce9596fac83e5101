/*
 * listing_documents - pages of buckets, objects, versions, uploads and parts. All append to out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_LISTING_DOCUMENTS_H
#define HF_S3_LISTING_DOCUMENTS_H

#include "libbase/buf.h"
#include "schema/store.pb-c.h"

enum listing_kind { LISTING_V1, LISTING_V2, LISTING_VERSIONS };

/* What was asked; texts are never NULL but where said. */
struct listing_query {
	enum listing_kind	 kind;
	const char		*bucket;
	const char		*prefix;
	const char		*delimiter;
	const char		*marker;		/* V1: marker; VERSIONS: key-marker */
	const char		*start_after;		/* V2; NULL: not given */
	const char		*token;			/* V2; NULL: not given */
	const char		*version_marker;	/* VERSIONS */
	uint32_t		 max;
	bool			 encode_url;
	bool			 fetch_owner;		/* V2 */
};

/* With max 0 the reply's items are left out. */
void listing_document_write(struct buf *out, const struct listing_query *q,
    const Hf__StoreReply *reply);

/* Begin, then any number of buckets, then end: pages of the store may be joined. */
void buckets_document_begin(struct buf *out);
void buckets_document_add(struct buf *out, const Hf__Bucket *bucket);
/* next is the name to go on after, NULL at the end. */
void buckets_document_end(struct buf *out, const char *prefix, const char *next);

struct uploads_query {
	const char	*bucket, *prefix, *delimiter, *key_marker, *upload_id_marker;
	uint32_t	 max;
	bool		 encode_url;
};
void uploads_document_write(struct buf *out, const struct uploads_query *q,
    const Hf__StoreReply *reply);

struct parts_query {
	const char	*bucket, *key, *upload_id;
	uint32_t	 after, max;
};
/* upload (for its checksum) may be NULL. */
void parts_document_write(struct buf *out, const struct parts_query *q, const Hf__StoreReply *reply,
    const Hf__Upload *upload);

#endif
