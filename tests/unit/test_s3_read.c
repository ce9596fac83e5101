/*
 * test_s3_read - ranges, conditions, checksum values.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include "libs3/checksum_kind.h"
#include "libs3/conditions.h"
#include "libs3/range.h"

struct range_case {
	const char		*header;
	uint64_t		 object;
	enum range_result	 result;
	uint64_t		 offset, bytes;
};

Test(range, table)
{
	static const struct range_case cases[] = {
		{ NULL, 10, RANGE_WHOLE, 0, 10 },
		{ "bytes=0-4", 10, RANGE_PART, 0, 5 },
		{ "bytes=9-9", 10, RANGE_PART, 9, 1 },
		{ "bytes=5-", 10, RANGE_PART, 5, 5 },
		{ "bytes=0-", 10, RANGE_PART, 0, 10 },
		{ "bytes=0-100", 10, RANGE_PART, 0, 10 },
		{ "bytes=-3", 10, RANGE_PART, 7, 3 },
		{ "bytes=-30", 10, RANGE_PART, 0, 10 },
		{ "bytes=10-", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=10-20", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-0", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-1", 0, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=18446744073709551614-", 10, RANGE_UNSATISFIABLE, 0, 0 },
		/* Not one range of bytes: ignored. */
		{ "bytes=18446744073709551615-", 10, RANGE_WHOLE, 0, 10 },
		{ "bytes=4-2", 10, RANGE_WHOLE, 0, 10 },
		{ "bytes=0-1,3-4", 10, RANGE_WHOLE, 0, 10 },
		{ "bytes=-", 10, RANGE_WHOLE, 0, 10 },
		{ "bytes=", 10, RANGE_WHOLE, 0, 10 },
		{ "bytes=a-b", 10, RANGE_WHOLE, 0, 10 },
		{ "bytes= 0-1", 10, RANGE_WHOLE, 0, 10 },
		{ "bytes=--1", 10, RANGE_WHOLE, 0, 10 },
		{ "items=0-1", 10, RANGE_WHOLE, 0, 10 },
		{ "", 10, RANGE_WHOLE, 0, 10 },
	};
	struct byte_range r;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(range_parse(cases[i].header, cases[i].object, &r), cases[i].result,
		    "%s", cases[i].header);
		if (cases[i].result == RANGE_UNSATISFIABLE)
			continue;
		cr_assert_eq(r.offset, cases[i].offset, "%s", cases[i].header);
		cr_assert_eq(r.bytes, cases[i].bytes, "%s", cases[i].header);
	}
}

Test(range, copy_is_strict)
{
	struct byte_range r;
	struct err e = ERR_INIT;

	cr_assert_eq(range_parse_copy("bytes=2-5", 10, &r, &e), 0);
	cr_assert(r.offset == 2 && r.bytes == 4);
	cr_assert_eq(range_parse_copy("bytes=2-10", 10, &r, &e), ERR_INVALID);
	cr_assert_eq(range_parse_copy("bytes=2-", 10, &r, &e), ERR_INVALID);
	cr_assert_eq(range_parse_copy("bytes=-2", 10, &r, &e), ERR_INVALID);
	cr_assert_eq(range_parse_copy("0-2", 10, &r, &e), ERR_INVALID);
	cr_assert_eq(range_parse_copy("bytes=0-0", 0, &r, &e), ERR_INVALID);
}

#define T0 "Sat, 21 Nov 2026 03:25:00 GMT"
#define BEFORE "Sat, 21 Nov 2026 03:24:59 GMT"
#define AFTER "Sat, 21 Nov 2026 03:25:01 GMT"
#define T0_MS UINT64_C(1795231500000)

struct condition_case {
	struct read_conditions	c;	/* match, none, modified, unmodified */
	enum condition_result	result;
};

Test(conditions, precedence)
{
	static const struct condition_case cases[] = {
		{ { NULL, NULL, NULL, NULL }, CONDITION_PASS },
		{ { "\"e\"", NULL, NULL, NULL }, CONDITION_PASS },
		{ { "e", NULL, NULL, NULL }, CONDITION_PASS },
		{ { "*", NULL, NULL, NULL }, CONDITION_PASS },
		{ { "\"x\", \"e\"", NULL, NULL, NULL }, CONDITION_PASS },
		{ { "\"x\"", NULL, NULL, NULL }, CONDITION_FAILED },
		{ { "", NULL, NULL, NULL }, CONDITION_FAILED },
		{ { NULL, "\"e\"", NULL, NULL }, CONDITION_NOT_MODIFIED },
		{ { NULL, "W/\"e\"", NULL, NULL }, CONDITION_NOT_MODIFIED },
		{ { NULL, "*", NULL, NULL }, CONDITION_NOT_MODIFIED },
		{ { NULL, "\"x\"", NULL, NULL }, CONDITION_PASS },
		{ { NULL, NULL, BEFORE, NULL }, CONDITION_PASS },
		{ { NULL, NULL, T0, NULL }, CONDITION_NOT_MODIFIED },
		{ { NULL, NULL, AFTER, NULL }, CONDITION_NOT_MODIFIED },
		{ { NULL, NULL, "nonsense", NULL }, CONDITION_PASS },
		{ { NULL, NULL, NULL, BEFORE }, CONDITION_FAILED },
		{ { NULL, NULL, NULL, T0 }, CONDITION_PASS },
		{ { NULL, NULL, NULL, AFTER }, CONDITION_PASS },
		{ { NULL, NULL, NULL, "nonsense" }, CONDITION_PASS },
		/* If-Match hides If-Unmodified-Since, If-None-Match hides If-Modified-Since. */
		{ { "e", NULL, NULL, BEFORE }, CONDITION_PASS },
		{ { NULL, "x", T0, NULL }, CONDITION_PASS },
		{ { NULL, "e", BEFORE, NULL }, CONDITION_NOT_MODIFIED },
		/* A failure comes before "not modified". */
		{ { "x", "e", NULL, NULL }, CONDITION_FAILED },
		{ { "e", "e", NULL, NULL }, CONDITION_NOT_MODIFIED },
		{ { NULL, NULL, AFTER, BEFORE }, CONDITION_FAILED },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(conditions_check(&cases[i].c, "e", T0_MS + 999), cases[i].result,
		    "case %zu", i);
}

Test(conditions, bare_etags)
{
	cr_assert(slice_equal(etag_bare(" \"abc\" "), SLICE_LITERAL("abc")));
	cr_assert(slice_equal(etag_bare("W/\"abc\""), SLICE_LITERAL("abc")));
	cr_assert(slice_equal(etag_bare("abc"), SLICE_LITERAL("abc")));
	cr_assert(slice_equal(etag_bare("\""), SLICE_LITERAL("\"")));
	cr_assert(slice_equal(etag_bare(""), SLICE_LITERAL("")));
	cr_assert(slice_equal(etag_bare("*"), SLICE_LITERAL("*")));
}

Test(checksums, kinds)
{
	int i;

	for (i = 0; i < CHECKSUM_KINDS; i++) {
		const struct checksum_kind *k = &checksum_kinds[i];

		cr_assert_eq(checksum_kind_of(k->kind), k);
		cr_assert_eq(checksum_kind_by_algorithm(k->algorithm), k);
		cr_assert_eq(checksum_kind_by_header(k->header), k);
	}
	cr_assert_eq(checksum_kind_by_algorithm("crc32c"), checksum_kind_of(DIGEST_CRC32C));
	cr_assert_null(checksum_kind_of(DIGEST_MD5));
	cr_assert_null(checksum_kind_by_algorithm("MD5"));
	cr_assert_null(checksum_kind_by_header("x-amz-checksum-algorithm"));
}

Test(checksums, values)
{
	uint8_t value[DIGEST_BYTES_MAX];
	char text[CHECKSUM_TEXT_MAX];
	bool composite;

	cr_assert_eq(checksum_value_parse(DIGEST_CRC32, "y/Q5Jg==", value), 0);
	checksum_value_format(SLICE(value, 4), false, 0, text);
	cr_assert_str_eq(text, "y/Q5Jg==");
	checksum_value_format(SLICE(value, 4), true, 10000, text);
	cr_assert_str_eq(text, "y/Q5Jg==-10000");
	cr_assert_eq(checksum_value_parse(DIGEST_CRC32, "y/Q5Jg==-2", value), ERR_INVALID);
	cr_assert_eq(checksum_value_parse(DIGEST_SHA256, "y/Q5Jg==", value), ERR_INVALID);
	cr_assert_eq(checksum_value_parse(DIGEST_CRC32, "", value), ERR_INVALID);
	cr_assert_eq(checksum_value_parse_whole(DIGEST_CRC32, "y/Q5Jg==-2", value, &composite), 0);
	cr_assert(composite);
	cr_assert_eq(checksum_value_parse_whole(DIGEST_CRC32, "y/Q5Jg==", value, &composite), 0);
	cr_assert_not(composite);
	cr_assert_eq(
	    checksum_value_parse_whole(DIGEST_CRC32, "y/Q5Jg==-x", value, &composite), ERR_INVALID);
}
