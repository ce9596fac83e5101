/*
 * listing_documents - writes pages of a listing as S3 has them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/listing_documents.h"

#include "libbase/percent.h"
#include "libhttp/xml.h"
#include "libs3/checksum_kind.h"
#include "libs3/continuation.h"
#include "libs3/documents.h"
#include "libs3/names.h"

static void
name_element(struct buf *out, const char *name, struct slice text, bool encode_url)
{
	if (!encode_url) {
		xml_element_slice(out, name, text);
		return;
	}
	xml_open(out, name);
	percent_encode(out, text, true);
	xml_close(out, name);
}

static void
name_element_if(struct buf *out, const char *name, const char *text, bool encode_url)
{
	if (text != NULL && *text != '\0')
		name_element(out, name, slice_from_string(text), encode_url);
}

static void
prefixes_write(struct buf *out, struct slice prefix, bool encode_url)
{
	xml_open(out, "CommonPrefixes");
	name_element(out, "Prefix", prefix, encode_url);
	xml_close(out, "CommonPrefixes");
}

static void
entry_write(struct buf *out, const struct listing_query *q, const Hf__ListItem *item)
{
	const Hf__ObjectEntry *entry = item->entry;
	const struct checksum_kind *kind = NULL;
	bool marker = q->kind == LISTING_VERSIONS && entry->delete_marker;
	const char *name = q->kind != LISTING_VERSIONS ? "Contents"
			   : marker                    ? "DeleteMarker"
						       : "Version";

	xml_open(out, name);
	name_element(out, "Key", SLICE(item->key.data, item->key.len), q->encode_url);
	if (q->kind == LISTING_VERSIONS) {
		xml_element(out, "VersionId", "null");
		xml_element_bool(out, "IsLatest", true);
	}
	time_element_write(out, "LastModified", entry->modified_ms);
	if (!marker) {
		etag_element_write(out, entry->etag);
		if (entry->n_checksums > 0)
			kind = checksum_kind_of((enum digest_kind)entry->checksums[0]->kind);
		if (kind != NULL) {
			xml_element(out, "ChecksumAlgorithm", kind->algorithm);
			xml_element(out, "ChecksumType",
			    entry->checksums[0]->composite ? "COMPOSITE" : "FULL_OBJECT");
		}
		xml_element_u64(out, "Size", entry->bytes);
	}
	if (q->kind != LISTING_V2 || q->fetch_owner)
		owner_element_write(out, "Owner");
	if (!marker)
		xml_element(out, "StorageClass",
		    *entry->storage_class == '\0' ? "STANDARD" : entry->storage_class);
	xml_close(out, name);
}

/* Where the next page starts. */
static void
next_write(struct buf *out, const struct listing_query *q, struct slice next)
{
	switch (q->kind) {
	case LISTING_V1:
		name_element(out, "NextMarker", next, q->encode_url);
		break;
	case LISTING_V2:
		xml_open(out, "NextContinuationToken");
		continuation_encode(out, next);
		xml_close(out, "NextContinuationToken");
		break;
	case LISTING_VERSIONS:
		name_element(out, "NextKeyMarker", next, q->encode_url);
		xml_element(out, "NextVersionIdMarker", "null");
		break;
	}
}

static void
listing_head_write(struct buf *out, const struct listing_query *q, size_t item_count)
{
	bool url = q->encode_url;

	xml_element(out, "Name", q->bucket);
	name_element(out, "Prefix", slice_from_string(q->prefix), url);
	name_element_if(out, "Delimiter", q->delimiter, url);
	xml_element_u64(out, "MaxKeys", q->max);
	if (url)
		xml_element(out, "EncodingType", "url");
	switch (q->kind) {
	case LISTING_V1:
		name_element(out, "Marker", slice_from_string(q->marker), url);
		break;
	case LISTING_V2:
		xml_element_u64(out, "KeyCount", item_count);
		if (q->token != NULL)
			xml_element(out, "ContinuationToken", q->token);
		if (q->start_after != NULL)
			name_element(out, "StartAfter", slice_from_string(q->start_after), url);
		break;
	case LISTING_VERSIONS:
		name_element(out, "KeyMarker", slice_from_string(q->marker), url);
		xml_element(out, "VersionIdMarker", q->version_marker);
		break;
	}
}

void
listing_document_write(struct buf *out, const struct listing_query *q, const Hf__StoreReply *reply)
{
	const char *root = q->kind == LISTING_VERSIONS ? "ListVersionsResult" : "ListBucketResult";
	size_t count = q->max == 0 ? 0 : reply->n_items, i;
	bool truncated = q->max > 0 && reply->truncated && reply->next_key.len > 0;

	xml_declaration(out);
	xml_open_namespace(out, root, XML_S3_NAMESPACE);
	listing_head_write(out, q, count);
	xml_element_bool(out, "IsTruncated", truncated);
	if (truncated)
		next_write(out, q, SLICE(reply->next_key.data, reply->next_key.len));
	for (i = 0; i < count; i++)
		if (!reply->items[i]->is_prefix && reply->items[i]->entry != NULL)
			entry_write(out, q, reply->items[i]);
	for (i = 0; i < count; i++)
		if (reply->items[i]->is_prefix)
			prefixes_write(out, SLICE(reply->items[i]->key.data,
			    reply->items[i]->key.len), q->encode_url);
	xml_close(out, root);
}

void
buckets_document_begin(struct buf *out)
{
	xml_declaration(out);
	xml_open_namespace(out, "ListAllMyBucketsResult", XML_S3_NAMESPACE);
	owner_element_write(out, "Owner");
	xml_open(out, "Buckets");
}

void
buckets_document_add(struct buf *out, const Hf__Bucket *bucket)
{
	xml_open(out, "Bucket");
	xml_element(out, "Name", bucket->name);
	time_element_write(out, "CreationDate", bucket->created_ms);
	if (*bucket->region != '\0')
		xml_element(out, "BucketRegion", bucket->region);
	xml_close(out, "Bucket");
}

void
buckets_document_end(struct buf *out, const char *prefix, const char *next)
{
	xml_close(out, "Buckets");
	if (next != NULL) {
		xml_open(out, "ContinuationToken");
		continuation_encode(out, slice_from_string(next));
		xml_close(out, "ContinuationToken");
	}
	if (*prefix != '\0')
		xml_element(out, "Prefix", prefix);
	xml_close(out, "ListAllMyBucketsResult");
}

static void
upload_write(struct buf *out, const Hf__Upload *upload, bool encode_url)
{
	const struct checksum_kind *kind =
	    checksum_kind_of((enum digest_kind)upload->checksum_kind);
	char id[2 * S3_UPLOAD_ID_BYTES + 1];

	if (upload->id.len != S3_UPLOAD_ID_BYTES)
		return;
	s3_upload_id_format(SLICE(upload->id.data, upload->id.len), id);
	xml_open(out, "Upload");
	name_element(out, "Key", SLICE(upload->key.data, upload->key.len), encode_url);
	xml_element(out, "UploadId", id);
	owner_element_write(out, "Initiator");
	owner_element_write(out, "Owner");
	xml_element(out, "StorageClass", "STANDARD");
	time_element_write(out, "Initiated", upload->created_ms);
	if (kind != NULL) {
		xml_element(out, "ChecksumAlgorithm", kind->algorithm);
		xml_element(out, "ChecksumType",
		    upload->checksum_full_object ? "FULL_OBJECT" : "COMPOSITE");
	}
	xml_close(out, "Upload");
}

static void
uploads_next_write(struct buf *out, const struct uploads_query *q, const Hf__StoreReply *reply)
{
	char id[2 * S3_UPLOAD_ID_BYTES + 1] = "";

	if (reply->next_upload_id.len == S3_UPLOAD_ID_BYTES)
		s3_upload_id_format(
		    SLICE(reply->next_upload_id.data, reply->next_upload_id.len), id);
	name_element(out, "NextKeyMarker", SLICE(reply->next_key.data, reply->next_key.len),
	    q->encode_url);
	xml_element(out, "NextUploadIdMarker", id);
}

void
uploads_document_write(struct buf *out, const struct uploads_query *q, const Hf__StoreReply *reply)
{
	const char *root = "ListMultipartUploadsResult";
	size_t i;

	xml_declaration(out);
	xml_open_namespace(out, root, XML_S3_NAMESPACE);
	xml_element(out, "Bucket", q->bucket);
	name_element(out, "KeyMarker", slice_from_string(q->key_marker), q->encode_url);
	xml_element(out, "UploadIdMarker", q->upload_id_marker);
	if (reply->truncated && q->max > 0)
		uploads_next_write(out, q, reply);
	name_element(out, "Prefix", slice_from_string(q->prefix), q->encode_url);
	name_element_if(out, "Delimiter", q->delimiter, q->encode_url);
	if (q->encode_url)
		xml_element(out, "EncodingType", "url");
	xml_element_u64(out, "MaxUploads", q->max);
	xml_element_bool(out, "IsTruncated", reply->truncated && q->max > 0);
	for (i = 0; i < reply->n_uploads && q->max > 0; i++)
		upload_write(out, reply->uploads[i], q->encode_url);
	for (i = 0; i < reply->n_common_prefixes && q->max > 0; i++)
		prefixes_write(out, SLICE(reply->common_prefixes[i].data,
		    reply->common_prefixes[i].len), q->encode_url);
	xml_close(out, root);
}

static void
part_write(struct buf *out, const Hf__Part *part)
{
	xml_open(out, "Part");
	xml_element_u64(out, "PartNumber", part->number);
	time_element_write(out, "LastModified", part->modified_ms);
	etag_element_write(out, part->etag);
	xml_element_u64(out, "Size", part->bytes);
	checksum_elements_write(out, part->n_checksums, part->checksums, 0, false);
	xml_close(out, "Part");
}

void
parts_document_write(struct buf *out, const struct parts_query *q, const Hf__StoreReply *reply,
    const Hf__Upload *upload)
{
	const struct checksum_kind *kind = upload == NULL ? NULL :
	    checksum_kind_of((enum digest_kind)upload->checksum_kind);
	size_t i, count = q->max == 0 ? 0 : reply->n_parts;

	xml_declaration(out);
	xml_open_namespace(out, "ListPartsResult", XML_S3_NAMESPACE);
	xml_element(out, "Bucket", q->bucket);
	xml_element(out, "Key", q->key);
	xml_element(out, "UploadId", q->upload_id);
	owner_element_write(out, "Initiator");
	owner_element_write(out, "Owner");
	xml_element(out, "StorageClass", "STANDARD");
	if (kind != NULL) {
		xml_element(out, "ChecksumAlgorithm", kind->algorithm);
		xml_element(out, "ChecksumType",
		    upload->checksum_full_object ? "FULL_OBJECT" : "COMPOSITE");
	}
	xml_element_u64(out, "PartNumberMarker", q->after);
	xml_element_u64(out, "NextPartNumberMarker",
	    count == 0 ? q->after : reply->parts[count - 1]->number);
	xml_element_u64(out, "MaxParts", q->max);
	xml_element_bool(out, "IsTruncated", count > 0 && reply->truncated);
	for (i = 0; i < count; i++)
		part_write(out, reply->parts[i]);
	xml_close(out, "ListPartsResult");
}
