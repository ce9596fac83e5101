/*
 * test_percent - what is encoded, and what stays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "libbase/percent.h"

Test(percent, encodes_all_but_the_unreserved)
{
	struct buf b = BUF_INIT;

	percent_encode(&b, SLICE_LITERAL("aZ0-_.~/ +%\xc3\xa4*'"), true);
	cr_assert_str_eq(buf_string(&b), "aZ0-_.~/%20%2B%25%C3%A4%2A%27");
	buf_reset(&b);
	percent_encode(&b, SLICE_LITERAL("a/b"), false);
	percent_encode(&b, SLICE_NONE, false);
	cr_assert_str_eq(buf_string(&b), "a%2Fb");
	buf_release(&b);
}

Test(percent, every_byte_comes_out_as_itself_or_as_three)
{
	struct buf b = BUF_INIT;
	char expected[4];
	unsigned c;

	for (c = 0; c < 256; c++) {
		uint8_t byte = (uint8_t)c;

		buf_reset(&b);
		percent_encode(&b, SLICE(&byte, 1), false);
		snprintf(expected, sizeof(expected), "%%%02X", c);
		cr_assert(b.bytes == 1 ? b.data[0] == (char)byte : b.bytes == 3 &&
		    memcmp(b.data, expected, 3) == 0);
	}
	buf_release(&b);
}
