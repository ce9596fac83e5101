/*
 * test_s3_request - routes, refusals, headers of objects, checks of bodies, and how requests end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/s3_world.h"

static struct s3_world w;

static void
open_world(void)
{
	s3_world_open(&w);
}

static void
close_world(void)
{
	s3_world_close(&w);
}

TestSuite(s3_request, .init = open_world, .fini = close_world);

static bool
answered(int status, const char *code)
{
	char element[96];

	snprintf(element, sizeof(element), "<Code>%s</Code>", code);
	if (w.ended && w.status == status && strstr(buf_string(&w.response), element) != NULL)
		return (true);
	fprintf(stderr, "status %d: %s\n", w.status, buf_string(&w.response));
	return (false);
}

static bool
has_field(const char *line)
{
	return (strstr(buf_string(&w.fields), line) != NULL);
}

/* The next request in the same test. */
static void
again(void)
{
	s3_world_close(&w);
	s3_world_open(&w);
}

/* --- routes ----------------------------------------------------------------------------------- */

Test(s3_request, finds_operations)
{
	static const struct {
		const char *method, *target, *header, *operation;
	} rows[] = {
		{ "GET", "/", NULL, "ListBuckets" },
		{ "GET", "/bucket", NULL, "ListObjects" },
		{ "GET", "/bucket/", NULL, "ListObjects" },
		{ "GET", "/bucket?list-type=2", NULL, "ListObjectsV2" },
		{ "GET", "/bucket?versions", NULL, "ListObjectVersions" },
		{ "GET", "/bucket?uploads", NULL, "ListMultipartUploads" },
		{ "GET", "/bucket?location", NULL, "GetBucketLocation" },
		{ "GET", "/bucket?acl", NULL, "Subresource" },
		{ "HEAD", "/bucket", NULL, "HeadBucket" },
		{ "PUT", "/bucket", NULL, "CreateBucket" },
		{ "DELETE", "/bucket", NULL, "DeleteBucket" },
		{ "GET", "/bucket/key", NULL, "GetObject" },
		{ "HEAD", "/bucket/key", NULL, "HeadObject" },
		{ "GET", "/bucket/key?attributes", NULL, "GetObjectAttributes" },
		{ "GET", "/bucket/key?uploadId=1", NULL, "ListParts" },
		{ "GET", "/bucket/key?tagging", NULL, "Subresource" },
		{ "PUT", "/bucket/key", NULL, "PutObject" },
		{ "PUT", "/bucket/key", "x-amz-copy-source", "CopyObject" },
		{ "PUT", "/bucket/key?uploadId=1&partNumber=1", NULL, "UploadPart" },
		{ "PUT", "/bucket/key?uploadId=1&partNumber=1", "x-amz-copy-source",
		    "UploadPartCopy" },
		{ "POST", "/bucket/key?uploads", NULL, "CreateMultipartUpload" },
		{ "POST", "/bucket/key?uploadId=1", NULL, "CompleteMultipartUpload" },
		{ "DELETE", "/bucket/key?uploadId=1", NULL, "AbortMultipartUpload" },
		{ "DELETE", "/bucket/key", NULL, "DeleteObject" },
		{ "POST", "/bucket?delete", NULL, "DeleteObjects" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].header != NULL)
			s3_world_header(&w, rows[i].header, "/bucket/source");
		cr_assert(s3_world_start(&w, rows[i].method, rows[i].target));
		cr_assert_not_null(s3_world_request(&w)->operation, "%s", rows[i].target);
		cr_assert_str_eq(
		    s3_world_request(&w)->operation->name, rows[i].operation, "%s", rows[i].target);
		again();
	}
}

Test(s3_request, refuses_what_is_no_operation)
{
	s3_world_start(&w, "PATCH", "/bucket/key");
	cr_assert(answered(405, "MethodNotAllowed"));
	again();
	s3_world_start(&w, "POST", "/bucket");
	cr_assert(answered(501, "NotImplemented"));
	again();
	s3_world_start(&w, "GET", "/Bucket");
	cr_assert(answered(400, "InvalidBucketName"));
	again();
	s3_world_start(&w, "GET", "//key");
	cr_assert(answered(400, "InvalidBucketName"));
	again();
	s3_world_start(&w, "GET", "/bucket/%ff");
	cr_assert(answered(400, "InvalidURI"));
}

Test(s3_request, refuses_headers_that_may_not_be_ignored)
{
	static const struct {
		const char *name, *value;
		int status;		/* 0: allowed */
	} rows[] = {
		{ "x-amz-acl", "private", 0 }, { "x-amz-acl", "public-read", 501 },
		{ "x-amz-acl", "nonsense", 400 }, { "x-amz-grant-read", "id=x", 501 },
		{ "x-amz-server-side-encryption", "AES256", 501 },
		{ "x-amz-server-side-encryption-customer-key", "k", 501 },
		{ "x-amz-tagging", "", 0 }, { "x-amz-tagging", "a=b", 501 },
		{ "x-amz-object-lock-mode", "GOVERNANCE", 501 },
		{ "x-amz-website-redirect-location", "/", 501 },
		{ "x-amz-write-offset-bytes", "0", 501 },
		{ "x-amz-expected-bucket-owner", "somebody", 403 },
		{ "x-amz-unheard-of", "1", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s3_world_header(&w, rows[i].name, rows[i].value);
		s3_world_header(&w, "content-length", "0");
		s3_world_start(&w, "PUT", "/bucket/key");
		cr_assert_eq(w.status, rows[i].status, "%s: %s", rows[i].name, rows[i].value);
		again();
	}
}

/* --- headers of objects ----------------------------------------------------------------------- */

static void
put_with(const char *name, const char *value)
{
	if (name != NULL)
		s3_world_header(&w, name, value);
	s3_world_header(&w, "content-length", "5");
	w.body = "hello";
	w.body_bytes = 5;
	w.payload = SIGV4_PAYLOAD_UNSIGNED;
	s3_world_start(&w, "PUT", "/bucket/key");
	s3_world_run(&w);
}

Test(s3_request, keeps_headers_and_metadata)
{
	const Hf__ObjectEntry *entry;

	s3_world_header(&w, "content-encoding", "aws-chunked, gzip");
	s3_world_header(&w, "cache-control", "no-cache");
	s3_world_header(&w, "x-amz-meta-a", "1");
	s3_world_header(&w, "x-amz-meta-b", "2");
	s3_world_header(&w, "x-amz-meta-a", "3");
	put_with(NULL, NULL);
	cr_assert_not_null(w.asked);
	cr_assert_eq(w.asked->op_case, HF__STORE_REQUEST__OP_OBJECT_PUT);
	entry = w.asked->object_put->entry;
	cr_assert_str_eq(entry->content_type, "binary/octet-stream");
	cr_assert_str_eq(entry->etag, "5d41402abc4b2a76b9719d911017c592");
	cr_assert_eq(entry->n_headers, 2);
	cr_assert_str_eq(entry->headers[1]->value, "gzip");
	cr_assert_eq(entry->n_metadata, 2);
	cr_assert_str_eq(entry->metadata[0]->value, "1,3");
	cr_assert_str_eq(entry->metadata[1]->value, "2");
	s3_world_answer(&w, 0, &(Hf__StoreReply)HF__STORE_REPLY__INIT);
	cr_assert_eq(w.status, 200);
	cr_assert(w.writer_committed && has_field("ETag: \"5d41402abc4b2a76b9719d911017c592\"\n"));
}

Test(s3_request, refuses_too_much_metadata_and_unknown_classes)
{
	char large[2100];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	put_with("x-amz-meta-a", large);
	cr_assert(answered(400, "MetadataTooLarge"));
	again();
	put_with("x-amz-storage-class", "GLACIER");
	cr_assert(answered(400, "InvalidStorageClass"));
	again();
	put_with("if-match", "\"\"");
	cr_assert(answered(412, "PreconditionFailed"));
	cr_assert(!w.writer_committed);
}

Test(s3_request, tells_long_metadata_names_whole)
{
	char name[1200], line[1300];
	Hf__NameValue nv = HF__NAME_VALUE__INIT, *list = &nv;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	nv.name = name;
	nv.value = (char *)(uintptr_t)"v";
	w.entry.metadata = &list;
	w.entry.n_metadata = 1;
	s3_world_start(&w, "HEAD", "/bucket/key");
	s3_world_run(&w);
	snprintf(line, sizeof(line), "x-amz-meta-%s: v\n", name);
	cr_assert(w.ended && w.status == 200 && has_field(line));
}

/* --- bodies ----------------------------------------------------------------------------------- */

Test(s3_request, checks_md5)
{
	put_with("content-md5", "XUFAKrxLKna5cZ2REBfFkg==");
	cr_assert_not_null(w.asked);
	again();
	put_with("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
	cr_assert(answered(400, "BadDigest"));
	again();
	put_with("content-md5", "XUFA");
	cr_assert(answered(400, "InvalidDigest"));
}

Test(s3_request, checks_checksums)
{
	put_with("x-amz-checksum-crc32", "NhCmhg==");
	cr_assert_not_null(w.asked);
	cr_assert_eq(w.asked->object_put->entry->n_checksums, 1);
	again();
	put_with("x-amz-checksum-crc32", "AAAAAA==");
	cr_assert(answered(400, "BadDigest"));
	again();
	put_with("x-amz-checksum-crc32", "AAAA");
	cr_assert(answered(400, "InvalidRequest"));
	again();
	s3_world_header(&w, "x-amz-sdk-checksum-algorithm", "SHA256");
	put_with("x-amz-checksum-crc32", "NhCmhg==");
	cr_assert(answered(400, "InvalidRequest"));
	again();
	put_with("x-amz-checksum-sha3", "AAAA");
	cr_assert(answered(400, "InvalidRequest"));
}

Test(s3_request, checks_the_signed_payload)
{
	w.payload_sha256[0] = 1;
	s3_world_header(&w, "content-length", "5");
	w.body = "hello";
	w.body_bytes = 5;
	w.payload = SIGV4_PAYLOAD_SHA256;
	s3_world_start(&w, "PUT", "/bucket/key");
	s3_world_run(&w);
	cr_assert(answered(400, "XAmzContentSHA256Mismatch"));
}

Test(s3_request, wants_a_length)
{
	s3_world_start(&w, "PUT", "/bucket/key");
	s3_world_run(&w);
	cr_assert(answered(411, "MissingContentLength"));
	again();
	s3_world_header(&w, "content-length", "5368709121");
	s3_world_start(&w, "PUT", "/bucket/key");
	s3_world_run(&w);
	cr_assert(answered(400, "EntityTooLarge"));
	again();
	s3_world_header(&w, "content-length", "99");
	w.payload = SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER;
	s3_world_start(&w, "PUT", "/bucket/key");
	s3_world_run(&w);
	cr_assert(answered(411, "MissingContentLength"));
}

static void
put_chunked(const char *body, const char *length)
{
	s3_world_header(&w, "content-length", "99");
	s3_world_header(&w, "x-amz-decoded-content-length", length);
	s3_world_header(&w, "x-amz-trailer", "x-amz-checksum-crc32");
	w.payload = SIGV4_PAYLOAD_STREAMING_UNSIGNED_TRAILER;
	w.body = body;
	w.body_bytes = strlen(body);
	s3_world_start(&w, "PUT", "/bucket/key");
	s3_world_run(&w);
}

#define CHUNKED "5\r\nhello\r\n0\r\n"

Test(s3_request, takes_the_framing_off_and_checks_the_trailer)
{
	size_t piece;

	for (piece = 0; piece < 8; piece++) {
		w.piece_bytes = piece;
		put_chunked(CHUNKED "x-amz-checksum-crc32:NhCmhg==\r\n\r\n", "5");
		cr_assert_not_null(w.asked, "in pieces of %zu", piece);
		cr_assert_str_eq(buf_string(&w.written), "hello");
		again();
	}
	put_chunked(CHUNKED "x-amz-checksum-crc32:AAAAAA==\r\n\r\n", "5");
	cr_assert(answered(400, "BadDigest"));
	again();
	put_chunked(CHUNKED "\r\n", "5");
	cr_assert(answered(400, "MalformedTrailerError"));
	again();
	put_chunked(CHUNKED "x-amz-checksum-crc32:NhCmhg==\r\n\r\n", "6");
	cr_assert_neq(w.status, 200);
	cr_assert_null(w.asked);
}

Test(s3_request, bounds_documents)
{
	s3_world_header(&w, "content-length", "70000");
	s3_world_start(&w, "PUT", "/bucket");
	s3_world_run(&w);
	cr_assert(answered(400, "EntityTooLarge"));
	again();
	w.server.document_memory = DOCUMENT_MEMORY_MAX;
	s3_world_header(&w, "content-length", "5");
	s3_world_start(&w, "PUT", "/bucket");
	s3_world_run(&w);
	cr_assert(answered(503, "SlowDown"));
	w.server.document_memory = 0;
}

/* --- how requests end ------------------------------------------------------------------------- */

Test(s3_request, gives_all_back_whenever_the_client_goes)
{
	unsigned steps, i;

	for (steps = 0; steps < 12; steps++) {
		w.piece_bytes = 1;
		s3_world_header(&w, "content-length", "5");
		w.body = "hello";
		w.body_bytes = 5;
		s3_world_start(&w, "PUT", "/bucket/key");
		for (i = 0; i < steps; i++)
			s3_world_step(&w);
		s3_world_end(&w, HTTP_END_PEER);
		/* A change that the store was asked for is waited for. */
		cr_assert_eq(w.server.requests, w.asked != NULL);
		again();
	}
}

Test(s3_request, keeps_the_body_of_a_change_whose_outcome_is_unknown)
{
	put_with(NULL, NULL);
	s3_world_end(&w, HTTP_END_PEER);
	cr_assert_eq(w.server.requests, 1);
	s3_world_answer(&w, ERR_TIMEOUT, NULL);
	cr_assert(w.writer_committed);
	cr_assert_eq(w.server.requests, 0);
	again();
	put_with(NULL, NULL);
	s3_world_answer(&w, ERR_PRECONDITION, &(Hf__StoreReply)HF__STORE_REPLY__INIT);
	cr_assert(answered(412, "PreconditionFailed"));
	cr_assert(!w.writer_committed);
}

#define UPLOAD "/bucket/key?uploadId=00112233445566778899aabbccddeeff"
#define PARTS  "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>" \
	"</CompleteMultipartUpload>"

static void
complete_start(void)
{
	char length[24];

	snprintf(length, sizeof(length), "%zu", strlen(PARTS));
	s3_world_header(&w, "content-length", arena_printf(&w.arena, "%s", length));
	w.body = PARTS;
	w.body_bytes = strlen(PARTS);
	s3_world_start(&w, "POST", UPLOAD);
	s3_world_run(&w);
}

Test(s3_request, answers_a_quick_completion_as_usual)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;

	complete_start();
	cr_assert_eq(w.asked->op_case, HF__STORE_REQUEST__OP_UPLOAD_COMPLETE);
	reply.entry = &w.entry;
	s3_world_answer(&w, 0, &reply);
	s3_world_run(&w);
	cr_assert(w.ended && w.status == 200);
	cr_assert_eq(strncmp(buf_string(&w.response), "<?xml", 5), 0);
}

Test(s3_request, keeps_a_client_with_blanks)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	const char *text;

	complete_start();
	s3_world_wait(&w, 110);
	cr_assert_eq(w.status, 200);
	s3_world_run(&w);
	s3_world_wait(&w, 110);
	reply.entry = &w.entry;
	s3_world_answer(&w, 0, &reply);
	cr_assert(!w.ended);	/* a blank is on its way */
	s3_world_run(&w);
	cr_assert(w.ended);
	text = buf_string(&w.response);
	cr_assert_not_null(strstr(text, "?>\n  <CompleteMultipartUploadResult"), "%s", text);
	cr_assert_null(strstr(strstr(text, "?>"), "<?xml"));
}

Test(s3_request, tells_a_late_error_in_the_document)
{
	complete_start();
	s3_world_wait(&w, 50);
	s3_world_run(&w);
	s3_world_answer(&w, ERR_PART_INVALID, NULL);
	s3_world_run(&w);
	cr_assert(answered(200, "InvalidPart"));
}

Test(s3_request, forgets_the_blanks_of_a_client_that_is_gone)
{
	complete_start();
	s3_world_wait(&w, 50);
	s3_world_end(&w, HTTP_END_PEER);
	cr_assert_eq(w.server.requests, 1);
	s3_world_wait(&w, 50);
	s3_world_answer(&w, ERR_TIMEOUT, NULL);
	cr_assert_eq(w.server.requests, 0);
}

Test(s3_request, compares_the_announced_size_of_an_upload)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	Hf__Part part = HF__PART__INIT, *parts = &part;

	s3_world_header(&w, "x-amz-mp-object-size", "10");
	complete_start();
	cr_assert_eq(w.asked->op_case, HF__STORE_REQUEST__OP_PART_LIST);
	part.number = 1;
	part.bytes = 11;
	reply.parts = &parts;
	reply.n_parts = 1;
	s3_world_answer(&w, 0, &reply);
	cr_assert(answered(400, "InvalidRequest"));
	again();
	s3_world_header(&w, "x-amz-mp-object-size", "11");
	complete_start();
	s3_world_answer(&w, 0, &reply);
	cr_assert_eq(w.asked->op_case, HF__STORE_REQUEST__OP_UPLOAD_COMPLETE);
}

#define DELETES "<Delete><Object><Key>a</Key></Object>" \
	"<Object><Key>b</Key><ETag>\"x\"</ETag></Object>" \
	"<Object><Key>c</Key><ETag>*</ETag></Object><Object><Key>d</Key></Object></Delete>"

Test(s3_request, deletes_with_conditions_one_by_one)
{
	Hf__StoreReply reply = HF__STORE_REPLY__INIT;
	int32_t codes[2] = { 0, 0 };
	const char *text;

	s3_world_header(&w, "content-length", arena_printf(&w.arena, "%zu", strlen(DELETES)));
	w.payload = SIGV4_PAYLOAD_SHA256;
	digest_once(DIGEST_SHA256, DELETES, strlen(DELETES), w.payload_sha256);
	w.body = DELETES;
	w.body_bytes = strlen(DELETES);
	s3_world_start(&w, "POST", "/bucket?delete");
	s3_world_run(&w);
	cr_assert_eq(w.asked->object_delete->n_keys, 2);
	cr_assert_null(w.asked->object_delete->condition);
	reply.codes = codes;
	reply.n_codes = 2;
	s3_world_answer(&w, 0, &reply);
	cr_assert_str_eq(w.asked->object_delete->condition->if_match, "\"x\"");
	s3_world_answer(&w, ERR_PRECONDITION, NULL);
	cr_assert_str_eq(w.asked->object_delete->condition->if_match, "*");
	reply.n_codes = 1;
	s3_world_answer(&w, 0, &reply);
	text = buf_string(&w.response);
	cr_assert_eq(w.status, 200);
	cr_assert_not_null(strstr(text, "<Error><Key>b</Key><Code>PreconditionFailed</Code>"));
	cr_assert_not_null(strstr(text, "<Deleted><Key>c</Key></Deleted>"));
	cr_assert_not_null(strstr(text, "<Deleted><Key>d</Key></Deleted>"));
}
