/*
 * bytes - comparing views, and the text forms of bytes and numbers. All strict: what is not exactly
 * the form is ERR_INVALID, and nothing is skipped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/bytes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "libbase/err.h"

int
slice_compare(struct slice a, struct slice b)
{
	size_t n = a.bytes < b.bytes ? a.bytes : b.bytes;
	int order = n == 0 ? 0 : memcmp(a.data, b.data, n);

	if (order != 0)
		return (order);
	return (a.bytes < b.bytes ? -1 : a.bytes > b.bytes);
}

bool
slice_starts_with(struct slice s, struct slice prefix)
{
	return (s.bytes >= prefix.bytes &&
	    (prefix.bytes == 0 || memcmp(s.data, prefix.data, prefix.bytes) == 0));
}

void
hex_encode(const void *data, size_t bytes, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < bytes; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * bytes] = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

int
hex_decode(const char *text, size_t text_bytes, void *out, size_t bytes)
{
	uint8_t *p = out;
	size_t i;

	if (text_bytes / 2 != bytes || text_bytes % 2 != 0)
		return (ERR_INVALID);
	for (i = 0; i < bytes; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return (ERR_INVALID);
		p[i] = (uint8_t)(high << 4 | low);
	}
	return (0);
}

void
base64_encode(const void *data, size_t bytes, char *out)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = data;

	for (; bytes > 0; p += 3, out += 4) {
		uint32_t v = (uint32_t)p[0] << 16;

		v |= bytes > 1 ? (uint32_t)p[1] << 8 : 0;
		v |= bytes > 2 ? p[2] : 0;
		out[0] = digits[v >> 18];
		out[1] = digits[v >> 12 & 63];
		out[2] = bytes > 1 ? digits[v >> 6 & 63] : '=';
		out[3] = bytes > 2 ? digits[v & 63] : '=';
		bytes -= bytes < 3 ? bytes : 3;
	}
	*out = '\0';
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (c - 'A');
	if (c >= 'a' && c <= 'z')
		return (c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (c - '0' + 52);
	if (c == '+')
		return (62);
	return (c == '/' ? 63 : -1);
}

/* One group of four with `digits` (2 to 4) of them before the padding, into out; -1 if
 * malformed. */
static int
base64_group(const char *text, unsigned digits, uint8_t out[3])
{
	uint32_t v = 0;
	unsigned i;

	for (i = 0; i < 4; i++) {
		int d = i < digits ? base64_digit(text[i]) : 0;

		if (d < 0)
			return (-1);
		v = v << 6 | (uint32_t)d;
	}
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	/* Bits that the padding says are not there must be zero: one text for each value. */
	return ((digits == 2 && out[1] != 0) || (digits == 3 && out[2] != 0) ? -1 : 0);
}

ssize_t
base64_decode(const char *text, size_t text_bytes, void *out, size_t out_max)
{
	uint8_t *p = out;
	size_t i, n = 0;

	if (text_bytes % 4 != 0)
		return (ERR_INVALID);
	for (i = 0; i < text_bytes; i += 4) {
		unsigned digits = 4;
		uint8_t group[3];

		if (i + 4 == text_bytes && text[i + 3] == '=')
			digits = text[i + 2] == '=' ? 2 : 3;
		if (base64_group(text + i, digits, group) < 0 || out_max - n < digits - 1)
			return (ERR_INVALID);
		memcpy(p + n, group, digits - 1);
		n += digits - 1;
	}
	return ((ssize_t)n);
}

int
u64_parse(const char *text, size_t text_bytes, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (text_bytes == 0)
		return (ERR_INVALID);
	for (i = 0; i < text_bytes; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');

		if (text[i] < '0' || text[i] > '9' || v > UINT64_MAX / 10 ||
		    v * 10 > UINT64_MAX - digit)
			return (ERR_INVALID);
		v = v * 10 + digit;
	}
	if (v > max)
		return (ERR_INVALID);
	*out = v;
	return (0);
}

/* Bytes of the well-formed sequence at p, 0 if there is none (RFC 3629: no surrogates, shortest
 * form). */
static size_t
utf8_sequence(const uint8_t *p, size_t bytes)
{
	size_t n, i;
	uint32_t v;

	if (p[0] < 0x80)
		return (p[0] != 0);
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n > bytes)
		return (0);
	v = p[0] & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return (0);
		v = v << 6 | (p[i] & 0x3fu);
	}
	if ((n == 3 && (v < 0x800 || (v >= 0xd800 && v <= 0xdfff))) ||
	    (n == 4 && (v < 0x10000 || v > 0x10ffff)))
		return (0);
	return (n);
}

bool
utf8_valid(struct slice s)
{
	const uint8_t *p = s.data;
	size_t at = 0;

	while (at < s.bytes) {
		size_t n = utf8_sequence(p + at, s.bytes - at);

		if (n == 0)
			return (false);
		at += n;
	}
	return (true);
}

void
random_bytes(void *out, size_t bytes)
{
	uint8_t *p = out;

	while (bytes > 0) {
		ssize_t n = getrandom(p, bytes, 0);

		/* With a valid buffer and flags 0 only a signal can interrupt it. */
		assert(n > 0 || errno == EINTR);
		if (n > 0) {
			p += n;
			bytes -= (size_t)n;
		}
	}
}
