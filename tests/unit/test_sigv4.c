/*
 * test_sigv4 - signatures against the published examples of Amazon S3, and every refusal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "libauth/sigv4.h"
#include "libbase/clock.h"

#define KEY	"AKIAIOSFODNN7EXAMPLE"
#define SECRET	"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EMPTY	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DATE	"20130524T000000Z"
#define HOST	"examplebucket.s3.amazonaws.com"
#define CREDENTIAL "AWS4-HMAC-SHA256 Credential=" KEY "/20130524/us-east-1/s3/aws4_request,"
#define BASIC_LIST "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct sigv4_credentials credentials = { KEY, SECRET, "us-east-1", "s3" };
static struct sigv4_verifier verifier;
static struct sigv4_auth auth;
static struct err e;
static uint64_t now;

static const char *
secret_of(const char *access_key, void *context)
{
	(void)context;
	return (strcmp(access_key, KEY) == 0 ? SECRET : NULL);
}

static void
setup(void)
{
	sigv4_verifier_init(&verifier, "us-east-1", 900000, secret_of, NULL);
	cr_assert_eq(clock_parse_amz(DATE, &now), 0);
}

static void
teardown(void)
{
	sigv4_verifier_release(&verifier);
}

TestSuite(sigv4, .init = setup, .fini = teardown);

static enum sigv4_result
verify(const struct sigv4_request *r)
{
	return (sigv4_verify(&verifier, r, now, &auth, &e));
}

/* A request of the documentation: it must verify, and we must sign it the same way. */
static void
check_example(struct sigv4_request *r, struct sigv4_field *headers, const char *list,
    const char *signature)
{
	struct buf ours = BUF_INIT;
	char text[512];

	sigv4_sign(&credentials, r, now, &ours, NULL);
	snprintf(text, sizeof(text), CREDENTIAL "SignedHeaders=%s,Signature=%s", list, signature);
	cr_assert_str_eq(buf_string(&ours), text);
	headers[r->header_count++] = (struct sigv4_field){ "authorization", text };
	cr_assert_eq(verify(r), SIGV4_OK, "%s\n%s", e.text, buf_string(&verifier.canonical));
	cr_assert_str_eq(auth.access_key, KEY);
	cr_assert_str_eq(auth.signature, signature);
	cr_assert_eq(auth.signed_ms, now);
	cr_assert_not(auth.presigned);
	text[strlen(text) - 1] ^= 1;
	cr_assert_eq(verify(r), SIGV4_SIGNATURE_MISMATCH);
	buf_release(&ours);
}

Test(sigv4, example_get_object)
{
	struct sigv4_field headers[8] = { { "host", HOST }, { "range", "bytes=0-9" },
	    { "x-amz-content-sha256", EMPTY }, { "x-amz-date", DATE } };
	struct sigv4_request r = { "GET", "/test.txt", NULL, 0, headers, 4 };

	check_example(&r, headers, "host;range;x-amz-content-sha256;x-amz-date",
	    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	cr_assert_eq(auth.payload, SIGV4_PAYLOAD_UNSIGNED);	/* wiped by the mismatch */
}

Test(sigv4, example_put_object)
{
	struct sigv4_field headers[8] = { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
	    { "host", HOST }, { "x-amz-content-sha256",
	    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" },
	    { "x-amz-date", DATE }, { "x-amz-storage-class", "REDUCED_REDUNDANCY" } };
	struct sigv4_request r = { "PUT", "/test$file.text", NULL, 0, headers, 5 };

	check_example(&r, headers, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

Test(sigv4, example_get_lifecycle)
{
	struct sigv4_field headers[8] = { { "host", HOST }, { "x-amz-content-sha256", EMPTY },
	    { "x-amz-date", DATE } };
	struct sigv4_field query[] = { { "lifecycle", "" } };
	struct sigv4_request r = { "GET", "/", query, 1, headers, 3 };

	check_example(&r, headers, "host;x-amz-content-sha256;x-amz-date",
	    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

Test(sigv4, example_list_objects)
{
	struct sigv4_field headers[8] = { { "host", HOST }, { "x-amz-content-sha256", EMPTY },
	    { "x-amz-date", DATE } };
	struct sigv4_field query[] = { { "prefix", "J" }, { "max-keys", "2" } };
	struct sigv4_request r = { "GET", "/", query, 2, headers, 3 };

	check_example(&r, headers, "host;x-amz-content-sha256;x-amz-date",
	    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

Test(sigv4, signed_payload_is_told)
{
	struct sigv4_field headers[8] = { { "host", HOST }, { "x-amz-content-sha256", EMPTY },
	    { "x-amz-date", DATE } };
	struct sigv4_request r = { "GET", "/", NULL, 0, headers, 3 };
	struct buf text = BUF_INIT;
	struct sigv4_auth ours;

	sigv4_sign(&credentials, &r, now, &text, &ours);
	headers[r.header_count++] = (struct sigv4_field){ "authorization", buf_string(&text) };
	cr_assert_eq(verify(&r), SIGV4_OK);
	cr_assert_eq(auth.payload, SIGV4_PAYLOAD_SHA256);
	cr_assert_eq(auth.payload_sha256[0], 0xe3);
	cr_assert_eq(memcmp(auth.signing_key, ours.signing_key, 32), 0);
	cr_assert_str_eq(auth.scope, "20130524/us-east-1/s3/aws4_request");
	/* The second check comes from the cache of keys. */
	cr_assert_eq(verify(&r), SIGV4_OK);
	cr_assert_eq(verifier.cache_next, 1);
	buf_release(&text);
}

/* Nothing is normalised, blanks in values are, repeated headers are joined. */
Test(sigv4, odd_requests_round_trip)
{
	struct sigv4_field headers[12] = { { "host", "localhost:9000" },
	    { "x-amz-content-sha256", "UNSIGNED-PAYLOAD" }, { "x-amz-date", DATE },
	    { "x-amz-meta-a", "  two   words\tmore " }, { "x-amz-meta-b", "1" },
	    { "x-amz-meta-b", "2" }, { "content-type", "" } };
	struct sigv4_field query[] = { { "a b", "c+d&e=f" }, { "a", "\xc3\xa4" }, { "a", "" },
	    { "a-b", "x" }, { "a", "/" } };
	struct sigv4_request r = { "PUT", "/b//./../k \xc3\xa4+~*'()", query, COUNT(query), headers,
	    7 };
	struct buf text = BUF_INIT;

	sigv4_sign(&credentials, &r, now, &text, NULL);
	headers[r.header_count++] = (struct sigv4_field){ "authorization", buf_string(&text) };
	cr_assert_eq(verify(&r), SIGV4_OK, "%s", e.text);
	cr_assert_str_eq(buf_string(&verifier.canonical),
	    "PUT\n/b//./../k%20%C3%A4%2B~%2A%27%28%29\n"
	    "a=&a=%2F&a=%C3%A4&a%20b=c%2Bd%26e%3Df&a-b=x\n"
	    "content-type:\nhost:localhost:9000\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n"
	    "x-amz-date:" DATE "\nx-amz-meta-a:two words more\nx-amz-meta-b:1,2\n\n"
	    "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-b\n"
	    "UNSIGNED-PAYLOAD");
	headers[4].value = "3";
	cr_assert_eq(verify(&r), SIGV4_SIGNATURE_MISMATCH);
	buf_release(&text);
}

/* --- presigned -------------------------------------------------------------------------------- */

#define SIGNED_QUERY(expires) \
	{ "X-Amz-Algorithm", "AWS4-HMAC-SHA256" }, \
	{ "X-Amz-Credential", KEY "/20130524/us-east-1/s3/aws4_request" }, \
	{ "X-Amz-Date", DATE }, { "X-Amz-Expires", expires }, { "X-Amz-SignedHeaders", "host" }
#define PRESIGNED "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

Test(sigv4, example_presigned)
{
	struct sigv4_field headers[] = { { "host", HOST } };
	struct sigv4_field query[] = { SIGNED_QUERY("86400"), { "X-Amz-Signature", PRESIGNED } };
	struct sigv4_request r = { "GET", "/test.txt", query, COUNT(query), headers, 1 };
	struct sigv4_request plain = { "GET", "/test.txt", NULL, 0, headers, 1 };
	struct buf ours = BUF_INIT;
	uint64_t start = now;

	cr_assert_eq(verify(&r), SIGV4_OK, "%s", e.text);
	cr_assert(auth.presigned);
	cr_assert_eq(auth.payload, SIGV4_PAYLOAD_UNSIGNED);
	sigv4_presign(&credentials, &plain, now, 86400, &ours);
	cr_assert_not_null(strstr(buf_string(&ours), "X-Amz-Signature=" PRESIGNED));
	now = start + 86400 * 1000ull;
	cr_assert_eq(verify(&r), SIGV4_OK);
	now++;
	cr_assert_eq(verify(&r), SIGV4_EXPIRED);
	now = start - 900001;
	cr_assert_eq(verify(&r), SIGV4_ACCESS_DENIED);
	now = start;
	query[3].value = "86401";
	cr_assert_eq(verify(&r), SIGV4_SIGNATURE_MISMATCH);
	buf_release(&ours);
}

Test(sigv4, presigned_refusals)
{
	struct sigv4_field headers[4] = { { "host", HOST } };
	struct sigv4_field query[8] = { SIGNED_QUERY("86400"), { "X-Amz-Signature", PRESIGNED } };
	struct sigv4_request r = { "GET", "/test.txt", query, 6, headers, 1 };
	static const struct {
		int		 index;
		const char	*value;
	} bad[] = { { 0, "AWS4-HMAC-SHA1" }, { 1, KEY }, { 1, KEY
	    "/20130524/eu-west-1/s3/aws4_request" },
	    { 1, KEY "/20130525/us-east-1/s3/aws4_request" }, { 2, "2013-05-24" },
	    { 2, "Fri, 24 May 2013 00:00:00 GMT" }, { 3, "0" }, { 3, "604801" }, { 3, "-1" }, { 3,
	    "" },
	    { 4, "" }, { 4, "Host" }, { 5, "xyz" } };
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		const char *good = query[bad[i].index].value;

		query[bad[i].index].value = bad[i].value;
		cr_assert_eq(verify(&r), SIGV4_QUERY_MALFORMED, "%s: %s", bad[i].value, e.text);
		query[bad[i].index].value = good;
	}
	query[6] = query[3];
	r.query_count = 7;
	cr_assert_eq(verify(&r), SIGV4_QUERY_MALFORMED, "a repeated parameter");
	r.query_count = 5;
	cr_assert_eq(verify(&r), SIGV4_QUERY_MALFORMED, "a missing parameter");
	r.query_count = 6;
	headers[r.header_count++] = (struct sigv4_field){ "x-amz-acl", "public-read" };
	cr_assert_eq(verify(&r), SIGV4_ACCESS_DENIED, "an unsigned header");
	headers[1] = (struct sigv4_field){ "authorization", "AWS4-HMAC-SHA256 x" };
	cr_assert_eq(verify(&r), SIGV4_INVALID_ARGUMENT, "two mechanisms");
}

/* --- refusals of the header ------------------------------------------------------------------- */

Test(sigv4, anonymous)
{
	struct sigv4_field headers[] = { { "host", HOST } };
	struct sigv4_field query[] = { { "AWSAccessKeyId", "x" }, { "Signature", "y" } };
	struct sigv4_request r = { "GET", "/", query, 0, headers, 1 };

	cr_assert_eq(verify(&r), SIGV4_ANONYMOUS);
	r.query_count = 2;
	cr_assert_eq(verify(&r), SIGV4_INVALID_REQUEST);
}

#define SIG64 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"

Test(sigv4, header_refusals)
{
	struct sigv4_field headers[8] = { { "host", HOST }, { "x-amz-content-sha256", EMPTY },
	    { "x-amz-date", DATE }, { "authorization", NULL } };
	struct sigv4_request r = { "GET", "/", NULL, 0, headers, 4 };
	static const struct {
		enum sigv4_result	 result;
		const char		*text;
	} rows[] = {
		{ SIGV4_ACCESS_DENIED, "" },
		{ SIGV4_INVALID_REQUEST, "AWS AKIA:abc=" },
		{ SIGV4_INVALID_ARGUMENT, "Bearer x" },
		{ SIGV4_INVALID_ARGUMENT, "AWS4-HMAC-SHA256" },
		{ SIGV4_HEADER_MALFORMED, "AWS4-HMAC-SHA256 " },
		{ SIGV4_HEADER_MALFORMED,
		    "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=" },
		{ SIGV4_HEADER_MALFORMED, CREDENTIAL "Signature=" SIG64 },
		{ SIGV4_HEADER_MALFORMED, CREDENTIAL BASIC_LIST },
		{ SIGV4_HEADER_MALFORMED, CREDENTIAL BASIC_LIST "Signature=" SIG64 "0" },
		{ SIGV4_HEADER_MALFORMED, CREDENTIAL BASIC_LIST "Signature=" SIG64 ",Signature="
		    SIG64 },
		{ SIGV4_HEADER_MALFORMED, CREDENTIAL BASIC_LIST "Signature=" SIG64 ",Other=1" },
		{ SIGV4_HEADER_MALFORMED, CREDENTIAL "SignedHeaders=;host,Signature=" SIG64 },
		{ SIGV4_HEADER_MALFORMED, CREDENTIAL "SignedHeaders=Host,Signature=" SIG64 },
		{ SIGV4_HEADER_MALFORMED, "AWS4-HMAC-SHA256 Credential=" KEY
		    "/2013052/us-east-1/s3/aws4_request," BASIC_LIST "Signature=" SIG64 },
		{ SIGV4_HEADER_MALFORMED, "AWS4-HMAC-SHA256 Credential=" KEY
		    "/20130524/us-east-1/s3/aws5_request," BASIC_LIST "Signature=" SIG64 },
		{ SIGV4_HEADER_MALFORMED, "AWS4-HMAC-SHA256 Credential=" KEY
		    "/20130524/eu-west-1/s3/aws4_request," BASIC_LIST "Signature=" SIG64 },
		{ SIGV4_HEADER_MALFORMED, "AWS4-HMAC-SHA256 Credential=" KEY
		    "/20130524/us-east-1/sqs/aws4_request," BASIC_LIST "Signature=" SIG64 },
		{ SIGV4_HEADER_MALFORMED, "AWS4-HMAC-SHA256 Credential=" KEY
		    "/20130525/us-east-1/s3/aws4_request," BASIC_LIST "Signature=" SIG64 },
		{ SIGV4_UNKNOWN_KEY, "AWS4-HMAC-SHA256 Credential=a/b"
		    "/20130524/us-east-1/s3/aws4_request," BASIC_LIST "Signature=" SIG64 },
		{ SIGV4_ACCESS_DENIED, CREDENTIAL "SignedHeaders=x-amz-content-sha256;x-amz-date,"
		    "Signature=" SIG64 },
		{ SIGV4_ACCESS_DENIED, CREDENTIAL "SignedHeaders=host;x-amz-date,Signature="
		    SIG64 },
		{ SIGV4_SIGNATURE_MISMATCH, CREDENTIAL " " BASIC_LIST " Signature=" SIG64 },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		headers[3].value = rows[i].text;
		e.text[0] = '\0';
		cr_assert_eq(verify(&r), rows[i].result, "%s: %s", rows[i].text, e.text);
		cr_assert_neq(e.text[0], '\0');
	}
	headers[4] = headers[3];
	r.header_count = 5;
	cr_assert_eq(verify(&r), SIGV4_INVALID_ARGUMENT, "two Authorization headers");
}

Test(sigv4, dates_payloads_tokens)
{
	struct sigv4_field headers[8] = { { "host", HOST },
	    { "authorization", CREDENTIAL BASIC_LIST "Signature=" SIG64 },
	    { "x-amz-content-sha256", EMPTY }, { "x-amz-date", DATE } };
	struct sigv4_request r = { "GET", "/", NULL, 0, headers, 3 };

	cr_assert_eq(verify(&r), SIGV4_ACCESS_DENIED, "no date");
	r.header_count = 4;
	now += 900001;
	cr_assert_eq(verify(&r), SIGV4_TIME_SKEWED);
	now -= 2 * 900001;
	cr_assert_eq(verify(&r), SIGV4_TIME_SKEWED);
	now += 900001;
	headers[3].value = "yesterday";
	cr_assert_eq(verify(&r), SIGV4_ACCESS_DENIED);
	headers[3] = (struct sigv4_field){ "date", "Fri, 24 May 2013 00:00:00 GMT" };
	cr_assert_eq(verify(&r), SIGV4_SIGNATURE_MISMATCH);
	headers[3] = (struct sigv4_field){ "x-amz-date", DATE };
	headers[2].value = "xyz";
	cr_assert_eq(verify(&r), SIGV4_INVALID_ARGUMENT);
	headers[2].value = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
	cr_assert_eq(verify(&r), SIGV4_UNSUPPORTED);
	headers[2] = (struct sigv4_field){ "x-amz-security-token", "t" };
	cr_assert_eq(verify(&r), SIGV4_MISSING_HEADER);
	headers[4] = (struct sigv4_field){ "x-amz-content-sha256", EMPTY };
	r.header_count = 5;
	cr_assert_eq(verify(&r), SIGV4_INVALID_TOKEN);
}

Test(sigv4, codes)
{
	cr_assert_eq(sigv4_status(SIGV4_OK), 200);
	cr_assert_str_eq(sigv4_code(SIGV4_EXPIRED), "AccessDenied");
	cr_assert_str_eq(sigv4_code(SIGV4_TIME_SKEWED), "RequestTimeTooSkewed");
	cr_assert_eq(sigv4_status(SIGV4_QUERY_MALFORMED), 400);
}
