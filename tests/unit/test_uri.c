/*
 * test_uri - percent encoding, decoding, and query strings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <string.h>

#include "libhttp/uri.h"

static struct arena arena;
static struct err e;

static void
setup(void)
{
	arena_init(&arena, 65536);
}

static void
teardown(void)
{
	arena_release(&arena);
}

TestSuite(uri, .init = setup, .fini = teardown);

static const char *
decode(const char *text, bool plus)
{
	return (uri_decode(&arena, slice_from_string(text), plus, &e));
}

Test(uri, decode)
{
	cr_assert_str_eq(decode("/a%20b+c%2f%C3%A4", false), "/a b+c/\xc3\xa4");
	cr_assert_str_eq(decode("a+b%2B", true), "a b+");
	cr_assert_str_eq(decode("", false), "");
	cr_assert_str_eq(decode("//./../", false), "//./../");
}

Test(uri, decode_refuses)
{
	static const char *const bad[] = { "%", "%2", "a%zz", "%00", "x%0", "%%20" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_null(decode(bad[i], false), "%s", bad[i]);
	cr_assert_eq(e.code, ERR_INVALID);
	cr_assert_null(uri_decode(&arena, SLICE("a\0b", 3), false, &e));
	arena_release(&arena);
	arena_init(&arena, 16);
	cr_assert_null(decode("a text that is longer than the arena may be", false));
	cr_assert_eq(e.code, ERR_TOO_LARGE);
}

Test(uri, query)
{
	struct uri_query q;
	struct buf b = BUF_INIT;

	cr_assert_eq(uri_query_parse(&arena,
	    slice_from_string("acl&&prefix=a%2Fb+c&x==1&prefix=2&=v&y="), &q, &e), 0);
	cr_assert_eq(q.count, 6);
	cr_assert_str_eq(uri_query_get(&q, "acl"), "");
	cr_assert_str_eq(uri_query_get(&q, "prefix"), "a/b c");
	cr_assert_str_eq(uri_query_get(&q, "x"), "=1");
	cr_assert_str_eq(uri_query_get(&q, ""), "v");
	cr_assert(uri_query_has(&q, "y"));
	cr_assert_not(uri_query_has(&q, "Acl"));
	uri_query_encode(&b, &q);
	cr_assert_str_eq(buf_string(&b), "acl=&prefix=a%2Fb%20c&x=%3D1&prefix=2&=v&y=");
	cr_assert_eq(uri_query_parse(&arena, SLICE_NONE, &q, &e), 0);
	cr_assert_eq(q.count, 0);
	buf_release(&b);
}

Test(uri, query_refuses)
{
	struct uri_query q;
	struct buf b = BUF_INIT;
	int i;

	cr_assert_eq(uri_query_parse(&arena, slice_from_string("a=%zz"), &q, &e), ERR_INVALID);
	cr_assert_eq(uri_query_parse(&arena, slice_from_string("%00=1"), &q, &e), ERR_INVALID);
	for (i = 0; i < URI_QUERY_PAIRS_MAX; i++)
		buf_append_string(&b, i > 0 ? "&a" : "a");
	cr_assert_eq(uri_query_parse(&arena, buf_slice(&b), &q, &e), 0);
	buf_append_string(&b, "&a");
	cr_assert_eq(uri_query_parse(&arena, buf_slice(&b), &q, &e), ERR_TOO_LARGE);
	buf_release(&b);
}
