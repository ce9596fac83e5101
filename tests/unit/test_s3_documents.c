/*
 * test_s3_documents - XML bodies of clients, good and bad, and the documents that we write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include "libhttp/xml.h"
#include "libs3/continuation.h"
#include "libs3/documents.h"
#include "libs3/listing_documents.h"
#include "libs3/request_documents.h"

static struct arena arena;
static struct buf out;
static struct err e;

static void
setup(void)
{
	arena_init(&arena, 64u << 20);
	out = (struct buf)BUF_INIT;
	e = (struct err)ERR_INIT;
}

static void
teardown(void)
{
	arena_release(&arena);
	buf_release(&out);
}

TestSuite(documents, .init = setup, .fini = teardown);

/* What was written must be XML; the root element. */
static const struct xml_node *
parsed(void)
{
	static const struct xml_limits limits = XML_LIMITS_DEFAULT;
	struct xml_node *root;

	cr_assert_eq(xml_parse(&arena, buf_slice(&out), &limits, &root, &e), 0, "%s in %s", e.text,
	    buf_string(&out));
	return (root);
}

static enum s3_code
read_delete(const char *xml, struct delete_document *d)
{
	return (delete_document_read(&arena, slice_from_string(xml), d, &e));
}

Test(documents, delete_good)
{
	struct delete_document d;

	cr_assert_eq(
	    read_delete(
		"<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"
		"<Object><Key>a &amp; b</Key></Object><Object><Key> "
		"c</Key><VersionId>null</VersionId></Object>"
		"</Delete>",
		&d),
	    S3_NONE);
	cr_assert_eq(d.count, 2);
	cr_assert(d.quiet);
	cr_assert_str_eq(d.items[0].key, "a & b");
	cr_assert_null(d.items[0].version_id);
	cr_assert_str_eq(d.items[1].key, " c");
	cr_assert_str_eq(d.items[1].version_id, "null");
}

Test(documents, delete_bad)
{
	struct delete_document d;
	struct buf many = BUF_INIT;
	int i;

	cr_assert_eq(read_delete("", &d), S3_MalformedXML);
	cr_assert_eq(read_delete("<Delete>", &d), S3_MalformedXML);
	cr_assert_eq(read_delete("<Delete/>", &d), S3_MalformedXML);
	cr_assert_eq(read_delete("<Other/>", &d), S3_MalformedXML);
	cr_assert_eq(read_delete("<Delete><Object/></Delete>", &d), S3_MalformedXML);
	cr_assert_eq(
	    read_delete("<Delete><Object><Key></Key></Object></Delete>", &d), S3_MalformedXML);
	cr_assert_eq(read_delete("<!DOCTYPE a [<!ENTITY x 'y'>]><Delete/>", &d), S3_MalformedXML);
	cr_assert_eq(
	    read_delete("<Delete><Object><Key>k</Key><ETag/></Object></Delete>", &d),
	    S3_MalformedXML);
	cr_assert_eq(
	    read_delete("<Delete><Object><Key>k</Key><Size>1</Size></Object></Delete>", &d),
	    S3_NotImplemented);
	cr_assert_eq(read_delete("<Delete><Object><Key>k</Key><ETag>\"e\"</ETag></Object>"
	    "</Delete>", &d), S3_NONE);
	cr_assert_str_eq(d.items[0].etag, "\"e\"");
	buf_append_string(&many, "<Delete>");
	for (i = 0; i < 1000; i++)
		buf_printf(&many, "<Object><Key>%d</Key></Object>", i);
	buf_append_string(&many, "</Delete>");
	cr_assert_eq(read_delete(buf_string(&many), &d), S3_NONE);
	cr_assert_eq(d.count, 1000);
	many.bytes -= strlen("</Delete>");
	buf_append_string(&many, "<Object><Key>x</Key></Object></Delete>");
	cr_assert_eq(read_delete(buf_string(&many), &d), S3_MalformedXML);
	buf_release(&many);
}

static enum s3_code
read_complete(const char *xml, struct complete_document *d)
{
	return (complete_document_read(&arena, slice_from_string(xml), d, &e));
}

Test(documents, complete_good)
{
	struct complete_document d;

	cr_assert_eq(
	    read_complete("<CompleteMultipartUpload><Part><ETag>&quot;abc&quot;</ETag><PartNumber>1"
			  "</PartNumber><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></"
			  "Part><Part><PartNumber>10000</PartNumber>"
			  "<ETag>def</ETag></Part></CompleteMultipartUpload>",
		&d),
	    S3_NONE);
	cr_assert_eq(d.count, 2);
	cr_assert_eq(d.parts[0].number, 1);
	cr_assert_str_eq(d.parts[0].etag, "abc");
	cr_assert_eq(d.parts[0].checksum_kind, DIGEST_CRC32);
	cr_assert_eq(d.parts[0].checksum[0], 0xcb);
	cr_assert_eq(d.parts[1].number, 10000);
	cr_assert_str_eq(d.parts[1].etag, "def");
	cr_assert_eq(d.parts[1].checksum_kind, DIGEST_NONE);
}

#define COMPLETE(parts) "<CompleteMultipartUpload>" parts "</CompleteMultipartUpload>"

Test(documents, complete_bad)
{
	struct complete_document d;

	cr_assert_eq(read_complete("x", &d), S3_MalformedXML);
	cr_assert_eq(read_complete(COMPLETE(""), &d), S3_MalformedXML);
	cr_assert_eq(read_complete(COMPLETE("<Part><ETag>x</ETag></Part>"), &d), S3_MalformedXML);
	cr_assert_eq(read_complete(COMPLETE("<Part><PartNumber>1</PartNumber></Part>"), &d),
	    S3_MalformedXML);
	cr_assert_eq(
	    read_complete(COMPLETE("<Part><PartNumber>0</PartNumber><ETag>x</ETag></Part>"), &d),
	    S3_InvalidArgument);
	cr_assert_eq(read_complete(
			 COMPLETE("<Part><PartNumber>10001</PartNumber><ETag>x</ETag></Part>"), &d),
	    S3_InvalidArgument);
	cr_assert_eq(
	    read_complete(COMPLETE("<Part><PartNumber>-1</PartNumber><ETag>x</ETag></Part>"), &d),
	    S3_InvalidArgument);
	cr_assert_eq(
	    read_complete(
		COMPLETE("<Part><PartNumber>1</PartNumber><ETag>x</ETag><ChecksumSHA256>AA="
			 "</ChecksumSHA256></Part>"),
		&d),
	    S3_InvalidPart);
}

Test(documents, complete_of_10000_parts_fits_its_memory)
{
	struct buf many = BUF_INIT;
	struct complete_document d;
	struct arena bounded;
	int i;

	buf_append_string(&many, "<CompleteMultipartUpload>");
	for (i = 1; i <= 10000; i++)
		buf_printf(&many,
		    "<Part><PartNumber>%d</PartNumber><ETag>\"0123456789abcdef0123456789abcdef\""
		    "</ETag><ChecksumSHA256>ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=</"
		    "ChecksumSHA256>"
		    "</Part>",
		    i);
	buf_append_string(&many, "</CompleteMultipartUpload>");
	/* As services/s3 counts it. */
	cr_assert_lt(many.bytes, 4u << 20);
	arena_init(&bounded, many.bytes * 16 + 65536);
	cr_assert_eq(
	    complete_document_read(&bounded, buf_slice(&many), &d, &e), S3_NONE, "%s", e.text);
	cr_assert_eq(d.count, 10000);
	arena_release(&bounded);
	buf_release(&many);
}

Test(documents, create_bucket)
{
	const char *location = "x";

	cr_assert_eq(
	    create_bucket_document_read(&arena, SLICE_LITERAL(""), &location, &e), S3_NONE);
	cr_assert_null(location);
	cr_assert_eq(create_bucket_document_read(&arena,
			 SLICE_LITERAL("<CreateBucketConfiguration>"
				       "<LocationConstraint>eu-west-1</LocationConstraint></"
				       "CreateBucketConfiguration>"),
			 &location, &e),
	    S3_NONE);
	cr_assert_str_eq(location, "eu-west-1");
	cr_assert_eq(create_bucket_document_read(
			 &arena, SLICE_LITERAL("<CreateBucketConfiguration/>"), &location, &e),
	    S3_NONE);
	cr_assert_null(location);
	cr_assert_eq(create_bucket_document_read(&arena, SLICE_LITERAL("<A/>"), &location, &e),
	    S3_MalformedXML);
	cr_assert_eq(create_bucket_document_read(&arena,
			 SLICE_LITERAL("<CreateBucketConfiguration><Bucket/>"
				       "</CreateBucketConfiguration>"),
			 &location, &e),
	    S3_NotImplemented);
}

Test(documents, error)
{
	const struct xml_node *root;

	error_document_write(&out, &(struct error_document){ .code = S3_NoSuchKey,
				       .message = "<no> & 'key'",
				       .resource = "/b/\x01k",
				       .bucket = "b",
				       .key = "\x01k",
				       .detail_name = "Extra",
				       .detail = "more",
				       .request_id = "ID",
				       .host_id = "HOST" });
	root = parsed();
	cr_assert_str_eq(root->name, "Error");
	cr_assert_str_eq(xml_child_text(root, "Code"), "NoSuchKey");
	cr_assert_str_eq(xml_child_text(root, "Message"), "<no> & 'key'");
	cr_assert_str_eq(xml_child_text(root, "BucketName"), "b");
	cr_assert_str_eq(xml_child_text(root, "Extra"), "more");
	cr_assert_str_eq(xml_child_text(root, "RequestId"), "ID");
	cr_assert_str_eq(xml_child_text(root, "HostId"), "HOST");
}

/* --- listings -------------------------------------------------------------------------------- */

static Hf__ObjectEntry entries[2];
static Hf__ListItem items[3];
static Hf__ListItem *item_list[3] = { &items[0], &items[1], &items[2] };

static ProtobufCBinaryData
data_of(const char *text)
{
	return ((ProtobufCBinaryData){ strlen(text), (uint8_t *)(uintptr_t)text });
}

static Hf__StoreReply
listing_reply(void)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int i;

	for (i = 0; i < 2; i++) {
		hf__object_entry__init(&entries[i]);
		entries[i].etag = (char *)(uintptr_t)"e";
		entries[i].bytes = 10 + (uint64_t)i;
		entries[i].modified_ms = UINT64_C(1795231500123);
	}
	for (i = 0; i < 3; i++)
		hf__list_item__init(&items[i]);
	items[0].key = data_of("a b");
	items[0].entry = &entries[0];
	items[1].key = data_of("dir/");
	items[1].is_prefix = true;
	items[2].key = data_of("z\x01&");
	items[2].entry = &entries[1];
	reply.n_items = 3;
	reply.items = item_list;
	reply.truncated = true;
	reply.next_key = data_of("z\x01&");
	return (reply);
}

static struct listing_query
listing(enum listing_kind kind)
{
	return ((struct listing_query){ .kind = kind,
	    .bucket = "bucket",
	    .prefix = "",
	    .delimiter = "/",
	    .marker = "",
	    .version_marker = "",
	    .max = 3 });
}

Test(documents, list_v1)
{
	struct listing_query q = listing(LISTING_V1);
	Hf__StoreReply reply = listing_reply();
	const struct xml_node *root, *item;

	q.encode_url = true;
	listing_document_write(&out, &q, &reply);
	root = parsed();
	cr_assert_str_eq(root->name, "ListBucketResult");
	cr_assert_str_eq(xml_child_text(root, "IsTruncated"), "true");
	cr_assert_str_eq(xml_child_text(root, "NextMarker"), "z%01%26");
	cr_assert_str_eq(xml_child_text(root, "EncodingType"), "url");
	cr_assert_str_eq(xml_child_text(root, "Delimiter"), "/");
	item = xml_child(root, "Contents");
	cr_assert_str_eq(xml_child_text(item, "Key"), "a%20b");
	cr_assert_str_eq(xml_child_text(item, "ETag"), "\"e\"");
	cr_assert_str_eq(xml_child_text(item, "Size"), "10");
	cr_assert_str_eq(xml_child_text(item, "LastModified"), "2026-11-21T03:25:00.123Z");
	cr_assert_str_eq(xml_child_text(item, "StorageClass"), "STANDARD");
	cr_assert_not_null(xml_child(item, "Owner"));
	cr_assert_str_eq(xml_child_text(xml_child(root, "CommonPrefixes"), "Prefix"), "dir/");
}

Test(documents, list_v2)
{
	struct listing_query q = listing(LISTING_V2);
	Hf__StoreReply reply = listing_reply();
	const struct xml_node *root;
	struct slice key;

	q.start_after = "";
	listing_document_write(&out, &q, &reply);
	root = parsed();
	cr_assert_str_eq(xml_child_text(root, "KeyCount"), "3");
	cr_assert_null(xml_child(xml_child(root, "Contents"), "Owner"));
	cr_assert_null(xml_child(root, "ContinuationToken"));
	cr_assert_eq(
	    continuation_decode(&arena, xml_child_text(root, "NextContinuationToken"), &key, &e),
	    0);
	cr_assert(slice_equal(key, SLICE_LITERAL("z\x01&")));
	buf_reset(&out);
	q.max = 0;
	listing_document_write(&out, &q, &reply);
	root = parsed();
	cr_assert_str_eq(xml_child_text(root, "KeyCount"), "0");
	cr_assert_str_eq(xml_child_text(root, "IsTruncated"), "false");
	cr_assert_null(xml_child(root, "Contents"));
}

Test(documents, list_versions)
{
	struct listing_query q = listing(LISTING_VERSIONS);
	Hf__StoreReply reply = listing_reply();
	const struct xml_node *root;

	listing_document_write(&out, &q, &reply);
	root = parsed();
	cr_assert_str_eq(root->name, "ListVersionsResult");
	cr_assert_str_eq(xml_child_text(xml_child(root, "Version"), "VersionId"), "null");
	cr_assert_str_eq(xml_child_text(xml_child(root, "Version"), "IsLatest"), "true");
	cr_assert_str_eq(xml_child_text(root, "NextVersionIdMarker"), "null");
}

Test(documents, buckets_and_small_ones)
{
	Hf__Bucket b = HF__BUCKET__INIT;
	const struct xml_node *root;

	b.name = (char *)(uintptr_t)"one";
	buckets_document_begin(&out);
	buckets_document_add(&out, &b);
	buckets_document_end(&out, "o", "one");
	root = parsed();
	cr_assert_str_eq(
	    xml_child_text(xml_child(xml_child(root, "Buckets"), "Bucket"), "Name"), "one");
	cr_assert_not_null(xml_child(root, "ContinuationToken"));
	buf_reset(&out);
	location_document_write(&out, "us-east-1");
	cr_assert_str_eq(parsed()->text, "");
	buf_reset(&out);
	location_document_write(&out, "eu-west-1");
	cr_assert_str_eq(parsed()->text, "eu-west-1");
	buf_reset(&out);
	acl_document_write(&out);
	root = xml_child(xml_child(parsed(), "AccessControlList"), "Grant");
	cr_assert_str_eq(xml_child_text(root, "Permission"), "FULL_CONTROL");
	buf_reset(&out);
	empty_document_write(&out, "VersioningConfiguration");
	cr_assert_str_eq(parsed()->name, "VersioningConfiguration");
}

Test(documents, delete_result)
{
	struct delete_item two[2] = { { "a", NULL, NULL }, { "b", "v", NULL } };
	struct delete_document d = { two, 2, false };
	struct delete_answer answers[2] = { { S3_NONE, NULL }, { S3_NoSuchVersion, NULL } };
	const struct xml_node *root;

	delete_result_document_write(&out, &d, answers);
	root = parsed();
	cr_assert_str_eq(xml_child_text(xml_child(root, "Deleted"), "Key"), "a");
	cr_assert_str_eq(xml_child_text(xml_child(root, "Error"), "Code"), "NoSuchVersion");
	cr_assert_str_eq(xml_child_text(xml_child(root, "Error"), "VersionId"), "v");
	buf_reset(&out);
	d.quiet = true;
	delete_result_document_write(&out, &d, answers);
	root = parsed();
	cr_assert_null(xml_child(root, "Deleted"));
	cr_assert_not_null(xml_child(root, "Error"));
}

Test(documents, uploads_and_parts)
{
	static uint8_t id[16] = { 0xab };
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__Upload upload = HF__UPLOAD__INIT, *uploads = &upload;
	Hf__Part part = HF__PART__INIT, *parts = &part;
	struct uploads_query uq = { "bucket", "", "", "", "", 1, true };
	struct parts_query pq = { "bucket", "key", "00", 0, 1 };
	const struct xml_node *root;

	upload.id = (ProtobufCBinaryData){ sizeof(id), id };
	upload.key = data_of("k y");
	upload.checksum_kind = DIGEST_CRC32;
	reply.n_uploads = 1;
	reply.uploads = &uploads;
	reply.truncated = true;
	reply.next_key = data_of("k y");
	reply.next_upload_id = upload.id;
	uploads_document_write(&out, &uq, &reply);
	root = parsed();
	cr_assert_str_eq(xml_child_text(xml_child(root, "Upload"), "Key"), "k%20y");
	cr_assert_str_eq(xml_child_text(xml_child(root, "Upload"), "UploadId"),
	    "ab000000000000000000000000000000");
	cr_assert_str_eq(xml_child_text(xml_child(root, "Upload"), "ChecksumType"), "COMPOSITE");
	cr_assert_str_eq(
	    xml_child_text(root, "NextUploadIdMarker"), "ab000000000000000000000000000000");
	buf_reset(&out);
	part.number = 7;
	part.etag = (char *)(uintptr_t)"e";
	reply.n_parts = 1;
	reply.parts = &parts;
	parts_document_write(&out, &pq, &reply, &upload);
	root = parsed();
	cr_assert_str_eq(xml_child_text(root, "NextPartNumberMarker"), "7");
	cr_assert_str_eq(xml_child_text(xml_child(root, "Part"), "PartNumber"), "7");
	cr_assert_str_eq(xml_child_text(root, "ChecksumAlgorithm"), "CRC32");
}
