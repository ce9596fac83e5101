/*
 * test_bytes - views, numbers, hex, base64, decimal, UTF-8.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/err.h"

Test(bytes, compare_is_by_byte_then_length)
{
	cr_assert_lt(slice_compare(SLICE_LITERAL("a"), SLICE_LITERAL("b")), 0);
	cr_assert_gt(slice_compare(SLICE_LITERAL("\xff"), SLICE_LITERAL("a")), 0);
	cr_assert_lt(slice_compare(SLICE_LITERAL("a"), SLICE_LITERAL("aa")), 0);
	cr_assert_gt(slice_compare(SLICE_LITERAL("a"), SLICE_NONE), 0);
	cr_assert_eq(slice_compare(SLICE_NONE, SLICE_NONE), 0);
	cr_assert(slice_equal(SLICE_LITERAL("xy"), slice_from_string("xy")));
	cr_assert(!slice_equal(SLICE_LITERAL("xy"), SLICE_LITERAL("xz")));
	cr_assert(slice_starts_with(SLICE_LITERAL("abc"), SLICE_LITERAL("ab")));
	cr_assert(slice_starts_with(SLICE_LITERAL("abc"), SLICE_NONE));
	cr_assert(!slice_starts_with(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
}

Test(bytes, numbers_have_a_fixed_order)
{
	uint8_t b[8];

	put_u64(b, 0x0102030405060708u);
	cr_assert_eq(b[0], 8);
	cr_assert_eq(b[7], 1);
	cr_assert_eq(get_u64(b), 0x0102030405060708u);
	put_be64(b, 0x0102030405060708u);
	cr_assert_eq(b[0], 1);
	cr_assert_eq(get_be64(b), 0x0102030405060708u);
	put_u16(b, 0xfffe);
	cr_assert_eq(get_u16(b), 0xfffe);
	put_be32(b, 0xfffefdfcu);
	cr_assert_eq(get_be32(b), 0xfffefdfcu);
	put_u32(b, 0xfffefdfcu);
	cr_assert_eq(get_u32(b), 0xfffefdfcu);
	put_be16(b, 0xfffe);
	cr_assert_eq(get_be16(b), 0xfffe);
}

Test(bytes, hex_goes_both_ways)
{
	char text[9];
	uint8_t out[4];

	hex_encode("\x00\xab\xff\x10", 4, text);
	cr_assert_str_eq(text, "00abff10");
	cr_assert_eq(hex_decode("00ABff10", 8, out, 4), 0);
	cr_assert_arr_eq(out, "\x00\xab\xff\x10", 4);
}

Test(bytes, hex_is_strict)
{
	uint8_t out[4];

	cr_assert_eq(hex_decode("00abff1", 7, out, 4), ERR_INVALID);
	cr_assert_eq(hex_decode("00abff100", 9, out, 4), ERR_INVALID);
	cr_assert_eq(hex_decode("00abfg10", 8, out, 4), ERR_INVALID);
	cr_assert_eq(hex_decode("0x", 2, out, 1), ERR_INVALID);
	cr_assert_eq(hex_decode("", 0, out, 0), 0);
}

Test(bytes, base64_test_vectors)
{
	static const char *const plain[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar" };
	static const char *const coded[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=",
		"Zm9vYmFy" };
	unsigned i;

	for (i = 0; i < 7; i++) {
		char text[16];
		uint8_t out[16];

		base64_encode(plain[i], strlen(plain[i]), text);
		cr_assert_str_eq(text, coded[i]);
		cr_assert_eq(base64_decode(coded[i], strlen(coded[i]), out, sizeof(out)),
		    (ssize_t)strlen(plain[i]));
		cr_assert_arr_eq(out, plain[i], strlen(plain[i]));
	}
}

Test(bytes, base64_is_strict)
{
	static const char *const bad[] = { "Zg", "Zg=", "Z===", "====", "Zm9v\n", "Zm 9", "Zh==",
		"Zm9=", "Zg==Zg==", "Zm-_", "=m9v" };
	uint8_t out[16];
	unsigned i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(base64_decode(bad[i], strlen(bad[i]), out, sizeof(out)), ERR_INVALID,
		    "%s",
		    bad[i]);
	cr_assert_eq(base64_decode("Zm9v", 4, out, 2), ERR_INVALID);
	cr_assert_eq(base64_decode("Zm8=", 4, out, 2), 2);
}

Test(bytes, u64_is_strict)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1",
	    "18446744073709551616",
		"99999999999999999999999", "1.0" };
	uint64_t v = 7;
	unsigned i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(u64_parse(bad[i], strlen(bad[i]), UINT64_MAX, &v), ERR_INVALID, "%s",
		    bad[i]);
	cr_assert_eq(v, 7);
	cr_assert_eq(u64_parse("18446744073709551615", 20, UINT64_MAX, &v), 0);
	cr_assert_eq(v, UINT64_MAX);
	cr_assert_eq(u64_parse("101", 3, 100, &v), ERR_INVALID);
	cr_assert_eq(u64_parse("0100", 4, 100, &v), 0);
	cr_assert_eq(v, 100);
}

Test(bytes, utf8)
{
	cr_assert(utf8_valid(SLICE_NONE));
	cr_assert(utf8_valid(SLICE_LITERAL("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
	cr_assert(utf8_valid(SLICE_LITERAL("\xf4\x8f\xbf\xbf")));
	cr_assert(!utf8_valid(SLICE_LITERAL("a\0b")));
	cr_assert(!utf8_valid(SLICE_LITERAL("\xc3")));
	cr_assert(!utf8_valid(SLICE_LITERAL("\xc0\xaf")), "overlong");
	cr_assert(!utf8_valid(SLICE_LITERAL("\xe0\x80\xaf")), "overlong");
	cr_assert(!utf8_valid(SLICE_LITERAL("\xed\xa0\x80")), "surrogate");
	cr_assert(!utf8_valid(SLICE_LITERAL("\xf4\x90\x80\x80")), "past U+10FFFF");
	cr_assert(!utf8_valid(SLICE_LITERAL("\x80")));
	cr_assert(!utf8_valid(SLICE_LITERAL("\xe2\x28\xa1")));
}

Test(bytes, random_differs)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	cr_assert(memcmp(a, b, sizeof(a)) != 0);
	random_bytes(a, 0);
}
