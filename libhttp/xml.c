/*
 * xml - writes XML documents into a buf. Reading is xml_read.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libhttp/xml.h"

#include <stdio.h>

#define REPLACEMENT "\xEF\xBF\xBD"		/* U+FFFD */

void
xml_declaration(struct buf *out)
{
	buf_append_string(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
}

void
xml_open(struct buf *out, const char *name)
{
	buf_append(out, "<", 1);
	buf_append_string(out, name);
	buf_append(out, ">", 1);
}

void
xml_open_namespace(struct buf *out, const char *name, const char *namespace)
{
	buf_printf(out, "<%s xmlns=\"%s\">", name, namespace);
}

void
xml_close(struct buf *out, const char *name)
{
	buf_append(out, "</", 2);
	buf_append_string(out, name);
	buf_append(out, ">", 1);
}

/* What an ASCII byte becomes; NULL: itself. */
static const char *
ascii_entity(uint8_t c)
{
	switch (c) {
	case '&':
		return ("&amp;");
	case '<':
		return ("&lt;");
	case '>':
		return ("&gt;");
	case '"':
		return ("&quot;");
	case '\r':
		return ("&#xD;");
	case '\n':
		return ("&#xA;");
	case '\t':
		return ("&#x9;");
	default:
		return (c < 0x20 ? REPLACEMENT : NULL);
	}
}

/* Length of the well-formed UTF-8 character of XML at p (p[0] >= 0x80), or 0. */
static size_t
utf8_character(const uint8_t *p, size_t left)
{
	size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;

	if (p[0] < 0xC2 || p[0] > 0xF4 || left < n || !utf8_valid(SLICE(p, n)))
		return (0);
	if (n == 3 && p[0] == 0xEF && p[1] == 0xBF && p[2] >= 0xBE)
		return (0);		/* U+FFFE, U+FFFF are not XML characters */
	return (n);
}

void
xml_text(struct buf *out, struct slice text)
{
	const uint8_t *p = text.data;
	size_t i, n, start = 0;
	const char *entity;

	for (i = 0; i < text.bytes; i += n) {
		n = 1;
		if (p[i] < 0x80) {
			entity = ascii_entity(p[i]);
		} else {
			n = utf8_character(p + i, text.bytes - i);
			entity = n == 0 ? REPLACEMENT : NULL;
			n = n == 0 ? 1 : n;
		}
		if (entity == NULL)
			continue;
		buf_append(out, p + start, i - start);
		buf_append_string(out, entity);
		start = i + n;
	}
	if (text.bytes > start)
		buf_append(out, p + start, text.bytes - start);
}

void
xml_element_slice(struct buf *out, const char *name, struct slice text)
{
	xml_open(out, name);
	xml_text(out, text);
	xml_close(out, name);
}

void
xml_element(struct buf *out, const char *name, const char *text)
{
	xml_element_slice(out, name, slice_from_string(text));
}

void
xml_element_u64(struct buf *out, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	xml_element(out, name, text);
}

void
xml_element_bool(struct buf *out, const char *name, bool value)
{
	xml_element(out, name, value ? "true" : "false");
}
