/*
 * uri - percent encoding, request targets and query strings, by the rules of S3.
 *
 * The header has the rules (U1 to U3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libhttp/uri.h"

#include "libbase/bytes.h"
#include "libbase/percent.h"

/* The value of one %XX, 1..255, or -1 (also for %00: U1). */
static int
escape_value(const uint8_t *p, size_t left)
{
	uint8_t value;

	if (left < 3 || hex_decode((const char *)p + 1, 2, &value, 1) < 0 || value == 0)
		return (-1);
	return (value);
}

char *
uri_decode(struct arena *a, struct slice text, bool plus_is_space, struct err *e)
{
	const uint8_t *p = text.data;
	size_t i, n = 0;
	char *out;
	int value;

	out = arena_alloc(a, text.bytes + 1);
	if (out == NULL) {
		err_set(e, ERR_TOO_LARGE, "the request target is too large");
		return (NULL);
	}
	for (i = 0; i < text.bytes; i++) {
		if (p[i] == '%') {
			value = escape_value(p + i, text.bytes - i);
			if (value < 0) {
				err_set(e, ERR_INVALID,
				    "bad percent escape at byte %zu of the request target",
				    i);
				return (NULL);
			}
			out[n++] = (char)value;
			i += 2;
		} else if (p[i] == 0) {
			err_set(e, ERR_INVALID, "NUL byte in the request target");
			return (NULL);
		} else {
			out[n++] = p[i] == '+' && plus_is_space ? ' ' : (char)p[i];
		}
	}
	out[n] = '\0';
	return (out);
}

static size_t
count_pieces(struct slice text)
{
	const char *p = text.data, *end = p + text.bytes;
	size_t n = 1;

	while (p < end && (p = memchr(p, '&', (size_t)(end - p))) != NULL) {
		n++;
		p++;
	}
	return (n);
}

static int
parse_pair(struct arena *a, const char *p, size_t bytes, struct uri_pair *out, struct err *e)
{
	const char *equals = memchr(p, '=', bytes);
	size_t name_bytes = equals != NULL ? (size_t)(equals - p) : bytes;

	out->name = uri_decode(a, SLICE(p, name_bytes), true, e);
	if (out->name == NULL)
		return (ERR_INVALID);
	out->value = "";
	if (equals == NULL || name_bytes + 1 == bytes)
		return (0);
	out->value = uri_decode(a, SLICE(equals + 1, bytes - name_bytes - 1), true, e);
	return (out->value != NULL ? 0 : ERR_INVALID);
}

int
uri_query_parse(struct arena *a, struct slice text, struct uri_query *out, struct err *e)
{
	const char *p = text.data, *end, *next;
	size_t pieces;

	out->pairs = NULL;
	out->count = 0;
	if (text.bytes == 0)
		return (0);
	pieces = count_pieces(text);
	if (pieces > URI_QUERY_PAIRS_MAX)
		return (err_set(e, ERR_TOO_LARGE, "%zu query parameters, more than %d", pieces,
		    URI_QUERY_PAIRS_MAX));
	out->pairs = arena_alloc(a, pieces * sizeof(*out->pairs));
	if (out->pairs == NULL)
		return (err_set(e, ERR_TOO_LARGE, "the request target is too large"));
	for (end = p + text.bytes; p < end; p = next + 1) {
		next = memchr(p, '&', (size_t)(end - p));
		if (next == NULL)
			next = end;
		if (next == p)
			continue;
		if (parse_pair(a, p, (size_t)(next - p), &out->pairs[out->count], e) < 0)
			return (ERR_INVALID);
		out->count++;
	}
	return (0);
}

const char *
uri_query_get(const struct uri_query *q, const char *name)
{
	size_t i;

	for (i = 0; i < q->count; i++)
		if (strcmp(q->pairs[i].name, name) == 0)
			return (q->pairs[i].value);
	return (NULL);
}

void
uri_query_encode(struct buf *out, const struct uri_query *q)
{
	size_t i;

	for (i = 0; i < q->count; i++) {
		if (i > 0)
			buf_append(out, "&", 1);
		percent_encode(out, slice_from_string(q->pairs[i].name), false);
		buf_append(out, "=", 1);
		percent_encode(out, slice_from_string(q->pairs[i].value), false);
	}
}
