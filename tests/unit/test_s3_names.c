/*
 * test_s3_names - bucket names, keys, upload ids, copy sources, continuation tokens, codes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "libs3/code.h"
#include "libs3/continuation.h"
#include "libs3/copy_source.h"
#include "libs3/names.h"

static void
expect_bucket(const char *name, bool good)
{
	struct err e = ERR_INIT;

	cr_expect_eq(
	    s3_bucket_name_check(name, &e), good ? S3_NONE : S3_InvalidBucketName, "%s", name);
	cr_expect(good || e.text[0] != '\0', "no sentence for %s", name);
}

Test(names, buckets)
{
	static const char *const good[] = { "abc", "a-b", "a.b.c", "1st",
		"x23456789012345678901234567890123456789012345678901234567890123",
		"192.168.1.x", "1.2.3.4.5" };
	static const char *const bad[] = { "", "ab", "Abc", "a_b", "-ab", "ab-", ".ab", "ab.",
		"a..b", "a.-b", "a-.b", "a b", "192.168.1.1", "xn--abc", "a/b",
		("b\xc3\xbc" "cher"),
		"x234567890123456789012345678901234567890123456789012345678901234" };
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		expect_bucket(good[i], true);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_bucket(bad[i], false);
}

Test(names, keys)
{
	char key[1100];
	struct err e = ERR_INIT;

	memset(key, 'k', sizeof(key));
	key[1024] = '\0';
	cr_assert_eq(s3_key_check(key, &e), S3_NONE);
	key[1024] = 'k';
	key[1025] = '\0';
	cr_assert_eq(s3_key_check(key, &e), S3_KeyTooLongError);
	cr_assert_eq(s3_key_check("a/../b//.", &e), S3_NONE);
	cr_assert_eq(s3_key_check("\xe2\x82\xac\x01\n", &e), S3_NONE);
	cr_assert_eq(s3_key_check("a\xff", &e), S3_InvalidURI);
	cr_assert_eq(s3_key_check("a\xff", NULL), S3_InvalidURI);
}

Test(names, upload_ids)
{
	uint8_t id[S3_UPLOAD_ID_BYTES];
	char text[2 * S3_UPLOAD_ID_BYTES + 1];

	cr_assert_eq(s3_upload_id_parse("00112233445566778899aabbccddeeff", id), 0);
	s3_upload_id_format(SLICE(id, sizeof(id)), text);
	cr_assert_str_eq(text, "00112233445566778899aabbccddeeff");
	cr_assert_lt(s3_upload_id_parse("00112233445566778899aabbccddeef", id), 0);
	cr_assert_lt(s3_upload_id_parse("x0112233445566778899aabbccddeeff", id), 0);
	cr_assert_lt(s3_upload_id_parse("", id), 0);
}

struct source_case {
	const char	*header;
	enum s3_code	 code;
	const char	*bucket, *key, *version;
};

Test(names, copy_sources)
{
	static const struct source_case cases[] = {
		{ "/bucket/key", S3_NONE, "bucket", "key", NULL },
		{ "bucket/a/b%20c+d", S3_NONE, "bucket", "a/b c+d", NULL },
		{ "bucket/a%2Fb%3FversionId=x", S3_NONE, "bucket", "a/b?versionId=x", NULL },
		{ "bucket/key?versionId=null", S3_NONE, "bucket", "key", "null" },
		{ "bucket//x", S3_NONE, "bucket", "/x", NULL },
		{ "bucket/\xe2\x82\xac", S3_NONE, "bucket", "\xe2\x82\xac", NULL },
		{ "bucket", S3_InvalidArgument, NULL, NULL, NULL },
		{ "bucket/", S3_InvalidArgument, NULL, NULL, NULL },
		{ "", S3_InvalidArgument, NULL, NULL, NULL },
		{ "bucket/100%", S3_InvalidArgument, NULL, NULL, NULL },
		{ "bucket/a%00b", S3_InvalidArgument, NULL, NULL, NULL },
		{ "B/key", S3_InvalidBucketName, NULL, NULL, NULL },
		{ "bucket/%ff", S3_InvalidURI, NULL, NULL, NULL },
	};
	struct copy_source out;
	struct arena a;
	struct err e = ERR_INIT;
	size_t i;

	arena_init(&a, 65536);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(copy_source_parse(&a, cases[i].header, &out, &e), cases[i].code, "%s",
		    cases[i].header);
		if (cases[i].code != S3_NONE)
			continue;
		cr_assert_str_eq(out.bucket, cases[i].bucket);
		cr_assert_str_eq(out.key, cases[i].key);
		cr_assert_eq(out.version_id == NULL, cases[i].version == NULL);
		if (out.version_id != NULL)
			cr_assert_str_eq(out.version_id, cases[i].version);
	}
	arena_release(&a);
}

Test(names, copy_source_at_the_arenas_bound)
{
	struct copy_source out;
	struct arena a;
	struct err e = ERR_INIT;

	arena_init(&a, 16);
	cr_assert_eq(
	    copy_source_parse(&a, "bucket/a-key-that-needs-more", &out, &e), S3_InvalidArgument);
	arena_release(&a);
}

Test(names, continuation_round_trip)
{
	static const char *const keys[] = { "a", "\x01\xff?>~", "photos/2026/\xe2\x82\xac" };
	struct buf token = BUF_INIT;
	struct slice key;
	struct arena a;
	struct err e = ERR_INIT;
	size_t i;

	arena_init(&a, 65536);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		buf_reset(&token);
		continuation_encode(&token, slice_from_string(keys[i]));
		cr_assert_eq(strpbrk(buf_string(&token), "+/&? "), NULL);
		cr_assert_eq(continuation_decode(&a, buf_string(&token), &key, &e), 0);
		cr_assert(slice_equal(key, slice_from_string(keys[i])));
	}
	token.data[4] ^= 1;
	cr_assert_eq(continuation_decode(&a, buf_string(&token), &key, &e), ERR_INVALID);
	cr_assert_eq(continuation_decode(&a, "", &key, &e), ERR_INVALID);
	cr_assert_eq(continuation_decode(&a, "AAAA", &key, &e), ERR_INVALID);
	cr_assert_eq(continuation_decode(&a, "not a token", &key, &e), ERR_INVALID);
	buf_reset(&token);
	while (token.bytes < 3000)
		buf_append_string(&token, "AQAA");
	cr_assert_eq(continuation_decode(&a, buf_string(&token), &key, &e), ERR_INVALID);
	buf_release(&token);
	arena_release(&a);
}

Test(names, codes)
{
	int i;

	for (i = S3_NONE + 1; i < S3_CODE_COUNT; i++) {
		const struct s3_code_row *row = s3_code_row((enum s3_code)i);

		cr_assert(row->status >= 300 && row->status < 600, "%s", row->name);
		cr_assert_eq((int)s3_code_find(row->name), i);
		cr_assert_eq(row->message[strlen(row->message) - 1] == '.',
		    strcmp(row->name, "AccessDenied") != 0);
	}
	cr_assert_eq(s3_code_find("Nonsense"), S3_NONE);
}
