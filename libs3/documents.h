/*
 * documents - the small XML documents of S3, written. All append a whole document to out.
 *
 * Listings are in listing_documents.h. What they say comes from the caller; nothing here asks
 * anybody.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_S3_DOCUMENTS_H
#define HF_S3_DOCUMENTS_H

#include "libbase/buf.h"
#include "libs3/code.h"
#include "libs3/request_documents.h"
#include "schema/store.pb-c.h"

/* There is one owner: the root key. Its id is fixed, so that it says nothing about the key. */
#define S3_OWNER_ID	"8bd4b1c6b5b5f0f2a2f1c7c3a6f1d8e9702a4e9c1d0b3f5a6c7e8d9f0a1b2c3d"
#define S3_OWNER_NAME	"root"

/* detail is an optional further element, name and text (both NULL: none). */
struct error_document {
	enum s3_code	 code;
	const char	*message;
	const char	*resource;
	const char	*bucket, *key;		/* NULL or "": left out */
	const char	*detail_name, *detail;
	const char	*request_id, *host_id;
};
void error_document_write(struct buf *out, const struct error_document *d);

/* "" for us-east-1, as S3 has it. */
void location_document_write(struct buf *out, const char *region);
void acl_document_write(struct buf *out); /* the owner has full control, nobody else anything */
/* A document of one empty element: VersioningConfiguration, NotificationConfiguration, ... */
void empty_document_write(struct buf *out, const char *root);
void request_payment_document_write(struct buf *out);
void tagging_document_write(struct buf *out, const Hf__ObjectEntry *entry);

/* CopyObjectResult or CopyPartResult. */
void copy_document_write(struct buf *out, const char *root, const char *etag, uint64_t modified_ms,
    size_t checksum_count, Hf__Checksum *const *checksums);
void create_upload_document_write(struct buf *out, const char *bucket, const char *key,
    const char *upload_id);
void complete_document_write(struct buf *out, const char *location, const char *bucket,
    const char *key, const Hf__ObjectEntry *entry);

/* One answer for each item: S3_NONE for deleted, else the code and its sentence (NULL: the
 * row's). */
struct delete_answer {
	enum s3_code	 code;
	const char	*message;
};
void delete_result_document_write(struct buf *out, const struct delete_document *d,
    const struct delete_answer *answers);

/* Which parts of GetObjectAttributes were asked for. */
struct attributes_query {
	bool		etag, checksum, parts, storage_class, size;
	uint32_t	parts_after, parts_max;
};
/* parts may be NULL. */
void attributes_document_write(struct buf *out, const struct attributes_query *q,
    const Hf__ObjectEntry *entry, const Hf__StoreReply *parts);

/* For other documents: <ChecksumCRC32>...</ChecksumCRC32> of each, and <ChecksumType> for the
 * first. */
void checksum_elements_write(struct buf *out, size_t count, Hf__Checksum *const *checksums,
    uint32_t parts, bool with_type);
void etag_element_write(struct buf *out, const char *etag);
void time_element_write(struct buf *out, const char *name, uint64_t real_ms);
void owner_element_write(struct buf *out, const char *name);

#endif
