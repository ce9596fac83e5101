/*
 * test_xml - escaping on the way out, bounds on the way in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <string.h>

#include "libhttp/xml.h"

static struct arena arena;
static struct err e;
static struct xml_node *root;

static void
setup(void)
{
	arena_init(&arena, 1 << 20);
}

static void
teardown(void)
{
	arena_release(&arena);
}

TestSuite(xml, .init = setup, .fini = teardown);

static int
parse(const char *text)
{
	static const struct xml_limits limits = { 4096, 50, 5 };

	return (xml_parse(&arena, slice_from_string(text), &limits, &root, &e));
}

Test(xml, write)
{
	struct buf b = BUF_INIT;

	xml_declaration(&b);
	xml_open_namespace(&b, "R", XML_S3_NAMESPACE);
	xml_element(&b, "Key", "a<b>&\"c\"'\r\n\t");
	xml_element_u64(&b, "Size", UINT64_MAX);
	xml_element_bool(&b, "Is", true);
	xml_close(&b, "R");
	cr_assert_str_eq(buf_string(&b), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
	    "<Key>a&lt;b&gt;&amp;&quot;c&quot;'&#xD;&#xA;&#x9;</Key>"
	    "<Size>18446744073709551615</Size><Is>true</Is></R>");
	buf_release(&b);
}

/* Whatever bytes go in, the reader takes what the writer made. */
Test(xml, any_bytes_stay_well_formed)
{
	struct xml_limits limits = XML_LIMITS_DEFAULT;
	struct buf b = BUF_INIT;
	char all[256];
	int i;

	for (i = 0; i < 256; i++)
		all[i] = (char)i;
	xml_open(&b, "a");
	xml_text(&b, SLICE(all, 256));
	xml_text(&b, SLICE_LITERAL("\xc3\xa4\xf0\x9f\x98\x80\xef\xbf\xbf\xed\xa0\x80\xc3"));
	xml_close(&b, "a");
	cr_assert_eq(xml_parse(&arena, buf_slice(&b), &limits, &root, &e), 0, "%s", e.text);
	cr_assert_not_null(strstr(root->text, "\xc3\xa4\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd"));
	cr_assert_eq(strncmp(root->text, "\xef\xbf\xbd", 3), 0);
	buf_release(&b);
}

Test(xml, read)
{
	const struct xml_node *object;

	cr_assert_eq(parse("<?xml version=\"1.0\"?><s3:Delete xmlns:s3=\"x\">\n <Quiet>true</Quiet>"
	    "<Object><Key>a &amp; &#xD;b</Key></Object>\n<Object><Key/></Object> </s3:Delete>"), 0,
	    "%s", e.text);
	cr_assert_str_eq(root->name, "Delete");
	cr_assert_str_eq(root->text, "");
	cr_assert_str_eq(xml_child_text(root, "Quiet"), "true");
	object = xml_child(root, "Object");
	cr_assert_str_eq(xml_child_text(object, "Key"), "a & \rb");
	object = xml_next(object, "Object");
	cr_assert_str_eq(xml_child_text(object, "Key"), "");
	cr_assert_null(xml_next(object, "Object"));
	cr_assert_null(xml_child(root, "Nothing"));
	cr_assert_null(xml_child_text(NULL, "Nothing"));
}

Test(xml, text_around_comments_and_cdata)
{
	cr_assert_eq(parse("<a>one<!-- no -->two<![CDATA[<3>]]></a>"), 0);
	cr_assert_str_eq(root->text, "onetwo<3>");
}

Test(xml, refusals)
{
	static const char *const bad[] = { "", "x", "<a>", "<a></b>", "<a/><b/>", "<a>&nope;</a>",
	    "<a>\x01</a>", "<a>\xff</a>", "<!DOCTYPE a><a/>",
	    "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "<a b=1/>" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(parse(bad[i]), ERR_INVALID, "%s", bad[i]);
		cr_assert_null(root);
	}
}

Test(xml, limits)
{
	struct buf b = BUF_INIT;
	int i;

	cr_assert_eq(parse("<a><a><a><a><a/></a></a></a></a>"), 0);
	cr_assert_eq(parse("<a><a><a><a><a><a/></a></a></a></a></a>"), ERR_TOO_LARGE);
	xml_open(&b, "r");
	for (i = 0; i < 50; i++)
		buf_append_string(&b, "<x/>");
	xml_close(&b, "r");
	cr_assert_eq(parse(buf_string(&b)), ERR_TOO_LARGE);
	buf_reset(&b);
	xml_open(&b, "r");
	memset(buf_extend(&b, 4096), 'x', 4096);
	xml_close(&b, "r");
	cr_assert_eq(parse(buf_string(&b)), ERR_TOO_LARGE);
	arena_release(&arena);
	arena_init(&arena, 300);
	cr_assert_eq(parse("<a><b>text</b><c>text</c><d>text</d><e>text</e></a>"), ERR_TOO_LARGE);
	buf_release(&b);
}
