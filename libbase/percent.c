/*
 * percent - encodes; see percent.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libbase/percent.h"

static bool
is_unreserved(uint8_t c)
{
	return ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	    c == '-' || c == '_' || c == '.' || c == '~');
}

void
percent_encode(struct buf *out, struct slice text, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";
	const uint8_t *p = text.data;
	size_t i, n = 0;
	char *to;

	if (text.bytes == 0)
		return;
	to = buf_reserve(out, 3 * text.bytes);
	for (i = 0; i < text.bytes; i++) {
		if (is_unreserved(p[i]) || (keep_slash && p[i] == '/')) {
			to[n++] = (char)p[i];
			continue;
		}
		to[n++] = '%';
		to[n++] = digits[p[i] >> 4];
		to[n++] = digits[p[i] & 15];
	}
	out->bytes += n;
}
