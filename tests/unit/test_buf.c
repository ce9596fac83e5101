/*
 * test_buf - growth, printing and consuming.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "libbase/buf.h"

Test(buf, grows_and_keeps_what_it_had)
{
	struct buf b = BUF_INIT;
	unsigned i;

	for (i = 0; i < 10000; i++)
		buf_append(&b, &(uint8_t){ (uint8_t)i }, 1);
	cr_assert_eq(b.bytes, 10000);
	for (i = 0; i < 10000; i++)
		cr_assert_eq(b.data[i], (uint8_t)i);
	buf_release(&b);
	cr_assert_null(b.data);
	cr_assert_eq(b.bytes, 0);
}

Test(buf, prints_at_the_end)
{
	struct buf b = BUF_INIT;

	buf_append_string(&b, "x=");
	buf_printf(&b, "%d,%s", 42, "y");
	buf_append_slice(&b, SLICE_LITERAL("!"));
	cr_assert_str_eq(buf_string(&b), "x=42,y!");
	cr_assert_eq(b.bytes, 7);
	buf_reset(&b);
	cr_assert_str_eq(buf_string(&b), "");
	buf_release(&b);
}

Test(buf, empty_is_fine)
{
	struct buf b = BUF_INIT;

	buf_append(&b, NULL, 0);
	buf_append_slice(&b, SLICE_NONE);
	buf_consume(&b, 0);
	cr_assert_eq(b.bytes, 0);
	cr_assert_str_eq(buf_string(&b), "");
	buf_release(&b);
}

Test(buf, consume_drops_from_the_front)
{
	struct buf b = BUF_INIT;

	buf_append_string(&b, "abcdef");
	buf_consume(&b, 2);
	cr_assert_str_eq(buf_string(&b), "cdef");
	buf_consume(&b, 4);
	cr_assert_eq(b.bytes, 0);
	buf_release(&b);
}

Test(buf, consume_past_the_end_is_a_bug, .signal = SIGABRT)
{
	struct buf b = BUF_INIT;

	buf_append_string(&b, "abc");
	buf_consume(&b, 4);
}

Test(buf, reserve_then_count)
{
	struct buf b = BUF_INIT;
	void *p = buf_reserve(&b, 100);

	cr_assert_eq(b.bytes, 0);
	cr_assert_geq(b.capacity, 100);
	memset(p, 'z', 100);
	cr_assert_eq(buf_extend(&b, 100), p);
	cr_assert_eq(buf_slice(&b).bytes, 100);
	cr_assert_eq(b.data[99], 'z');
	buf_release(&b);
}
