/*
 * documents - errors, answers about buckets and objects, results of writes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/documents.h"

#include "libbase/clock.h"
#include "libhttp/xml.h"
#include "libs3/checksum_kind.h"

static void
begin(struct buf *out, const char *root)
{
	xml_declaration(out);
	xml_open_namespace(out, root, XML_S3_NAMESPACE);
}

void
etag_element_write(struct buf *out, const char *etag)
{
	xml_open(out, "ETag");
	xml_text(out, SLICE_LITERAL("\""));
	xml_text(out, slice_from_string(etag));
	xml_text(out, SLICE_LITERAL("\""));
	xml_close(out, "ETag");
}

void
time_element_write(struct buf *out, const char *name, uint64_t real_ms)
{
	char text[25];

	clock_format_iso(real_ms, text);
	xml_element(out, name, text);
}

void
owner_element_write(struct buf *out, const char *name)
{
	xml_open(out, name);
	xml_element(out, "ID", S3_OWNER_ID);
	xml_element(out, "DisplayName", S3_OWNER_NAME);
	xml_close(out, name);
}

void
checksum_elements_write(
    struct buf *out, size_t count, Hf__Checksum *const *checksums, uint32_t parts, bool with_type)
{
	const struct checksum_kind *kind;
	char text[CHECKSUM_TEXT_MAX];
	size_t i;

	for (i = 0; i < count; i++) {
		kind = checksum_kind_of((enum digest_kind)checksums[i]->kind);
		if (kind == NULL || checksums[i]->value.len > DIGEST_BYTES_MAX)
			continue;
		checksum_value_format(SLICE(checksums[i]->value.data, checksums[i]->value.len),
		    checksums[i]->composite, parts, text);
		xml_element(out, kind->element, text);
	}
	if (with_type && count > 0)
		xml_element(
		    out, "ChecksumType", checksums[0]->composite ? "COMPOSITE" : "FULL_OBJECT");
}

void
error_document_write(struct buf *out, const struct error_document *d)
{
	xml_declaration(out);
	xml_open(out, "Error");
	xml_element(out, "Code", s3_code_row(d->code)->name);
	xml_element(out, "Message", d->message);
	if (d->bucket != NULL && *d->bucket != '\0')
		xml_element(out, "BucketName", d->bucket);
	if (d->key != NULL && *d->key != '\0')
		xml_element(out, "Key", d->key);
	if (d->detail_name != NULL)
		xml_element(out, d->detail_name, d->detail);
	xml_element(out, "Resource", d->resource);
	xml_element(out, "RequestId", d->request_id);
	xml_element(out, "HostId", d->host_id);
	xml_close(out, "Error");
}

void
location_document_write(struct buf *out, const char *region)
{
	begin(out, "LocationConstraint");
	if (strcmp(region, "us-east-1") != 0)
		xml_text(out, slice_from_string(region));
	xml_close(out, "LocationConstraint");
}

void
acl_document_write(struct buf *out)
{
	begin(out, "AccessControlPolicy");
	owner_element_write(out, "Owner");
	xml_open(out, "AccessControlList");
	xml_open(out, "Grant");
	buf_append_string(out, "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
	    "xsi:type=\"CanonicalUser\">");
	xml_element(out, "ID", S3_OWNER_ID);
	xml_element(out, "DisplayName", S3_OWNER_NAME);
	xml_close(out, "Grantee");
	xml_element(out, "Permission", "FULL_CONTROL");
	xml_close(out, "Grant");
	xml_close(out, "AccessControlList");
	xml_close(out, "AccessControlPolicy");
}

void
empty_document_write(struct buf *out, const char *root)
{
	begin(out, root);
	xml_close(out, root);
}

void
request_payment_document_write(struct buf *out)
{
	begin(out, "RequestPaymentConfiguration");
	xml_element(out, "Payer", "BucketOwner");
	xml_close(out, "RequestPaymentConfiguration");
}

void
tagging_document_write(struct buf *out, const Hf__ObjectEntry *entry)
{
	size_t i;

	begin(out, "Tagging");
	xml_open(out, "TagSet");
	for (i = 0; i < entry->n_tags; i++) {
		xml_open(out, "Tag");
		xml_element(out, "Key", entry->tags[i]->name);
		xml_element(out, "Value", entry->tags[i]->value);
		xml_close(out, "Tag");
	}
	xml_close(out, "TagSet");
	xml_close(out, "Tagging");
}

void
copy_document_write(struct buf *out, const char *root, const char *etag, uint64_t modified_ms,
    size_t checksum_count, Hf__Checksum *const *checksums)
{
	begin(out, root);
	time_element_write(out, "LastModified", modified_ms);
	etag_element_write(out, etag);
	checksum_elements_write(out, checksum_count, checksums, 0, false);
	xml_close(out, root);
}

void
create_upload_document_write(struct buf *out, const char *bucket, const char *key,
    const char *upload_id)
{
	begin(out, "InitiateMultipartUploadResult");
	xml_element(out, "Bucket", bucket);
	xml_element(out, "Key", key);
	xml_element(out, "UploadId", upload_id);
	xml_close(out, "InitiateMultipartUploadResult");
}

void
complete_document_write(struct buf *out, const char *location, const char *bucket, const char *key,
    const Hf__ObjectEntry *entry)
{
	begin(out, "CompleteMultipartUploadResult");
	xml_element(out, "Location", location);
	xml_element(out, "Bucket", bucket);
	xml_element(out, "Key", key);
	etag_element_write(out, entry->etag);
	checksum_elements_write(out, entry->n_checksums, entry->checksums, entry->part_count, true);
	xml_close(out, "CompleteMultipartUploadResult");
}

static void
delete_answer_write(struct buf *out, const struct delete_item *item, const struct delete_answer *a,
    bool quiet)
{
	bool deleted = a->code == S3_NONE;

	if (deleted && quiet)
		return;
	xml_open(out, deleted ? "Deleted" : "Error");
	xml_element(out, "Key", item->key);
	if (item->version_id != NULL)
		xml_element(out, "VersionId", item->version_id);
	if (!deleted) {
		xml_element(out, "Code", s3_code_row(a->code)->name);
		xml_element(out, "Message",
		    a->message != NULL ? a->message : s3_code_row(a->code)->message);
	}
	xml_close(out, deleted ? "Deleted" : "Error");
}

void
delete_result_document_write(struct buf *out, const struct delete_document *d,
    const struct delete_answer *answers)
{
	size_t i;

	begin(out, "DeleteResult");
	for (i = 0; i < d->count; i++)
		delete_answer_write(out, &d->items[i], &answers[i], d->quiet);
	xml_close(out, "DeleteResult");
}

static void
attributes_parts_write(struct buf *out, const struct attributes_query *q, uint32_t part_count,
    const Hf__StoreReply *parts)
{
	size_t i;

	xml_open(out, "ObjectParts");
	xml_element_u64(out, "PartsCount", part_count);
	if (parts != NULL) {
		xml_element_u64(out, "PartNumberMarker", q->parts_after);
		xml_element_u64(out, "NextPartNumberMarker",
		    parts->n_parts == 0 ? 0 : parts->parts[parts->n_parts - 1]->number);
		xml_element_u64(out, "MaxParts", q->parts_max);
		xml_element_bool(out, "IsTruncated", parts->truncated);
		for (i = 0; i < parts->n_parts; i++) {
			xml_open(out, "Part");
			xml_element_u64(out, "PartNumber", parts->parts[i]->number);
			xml_element_u64(out, "Size", parts->parts[i]->bytes);
			checksum_elements_write(out, parts->parts[i]->n_checksums,
			    parts->parts[i]->checksums, 0, false);
			xml_close(out, "Part");
		}
	}
	xml_close(out, "ObjectParts");
}

void
attributes_document_write(struct buf *out, const struct attributes_query *q,
    const Hf__ObjectEntry *entry, const Hf__StoreReply *parts)
{
	begin(out, "GetObjectAttributesResponse");
	if (q->etag)
		xml_element(out, "ETag", entry->etag);
	if (q->checksum && entry->n_checksums > 0) {
		xml_open(out, "Checksum");
		checksum_elements_write(out, entry->n_checksums, entry->checksums,
		    entry->part_count, true);
		xml_close(out, "Checksum");
	}
	if (q->parts && entry->part_count > 0)
		attributes_parts_write(out, q, entry->part_count, parts);
	if (q->storage_class)
		xml_element(out, "StorageClass",
		    *entry->storage_class == '\0' ? "STANDARD" : entry->storage_class);
	if (q->size)
		xml_element_u64(out, "ObjectSize", entry->bytes);
	xml_close(out, "GetObjectAttributesResponse");
}
