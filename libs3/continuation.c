/*
 * continuation - base64 of version, crc32c and key, with the two characters that URLs dislike
 * replaced.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libs3/continuation.h"

#include <assert.h>

#include "libbase/checksum.h"

#define TOKEN_VERSION	1
#define TOKEN_HEAD	5	/* version, crc32c of the key */
#define TOKEN_KEY_MAX	1100
#define TOKEN_TEXT_MAX	(4 * ((TOKEN_HEAD + TOKEN_KEY_MAX + 2) / 3))

static void
swap_characters(char *text, const char from[2], const char to[2])
{
	for (; *text != '\0'; text++) {
		if (*text == from[0])
			*text = to[0];
		else if (*text == from[1])
			*text = to[1];
	}
}

void
continuation_encode(struct buf *out, struct slice key)
{
	uint8_t raw[TOKEN_HEAD + TOKEN_KEY_MAX];
	char text[TOKEN_TEXT_MAX + 1];

	assert(key.bytes > 0 && key.bytes <= TOKEN_KEY_MAX);
	raw[0] = TOKEN_VERSION;
	put_u32(raw + 1, crc32c(0, key.data, key.bytes));
	memcpy(raw + TOKEN_HEAD, key.data, key.bytes);
	base64_encode(raw, TOKEN_HEAD + key.bytes, text);
	swap_characters(text, "+/", "-_");
	buf_append_string(out, text);
}

int
continuation_decode(struct arena *a, const char *token, struct slice *key, struct err *e)
{
	uint8_t raw[TOKEN_HEAD + TOKEN_KEY_MAX];
	char text[TOKEN_TEXT_MAX + 1];
	size_t bytes = strlen(token);
	ssize_t n = ERR_INVALID;

	if (bytes <= TOKEN_TEXT_MAX) {
		memcpy(text, token, bytes + 1);
		swap_characters(text, "-_", "+/");
		n = base64_decode(text, bytes, raw, sizeof(raw));
	}
	if (n <= TOKEN_HEAD || raw[0] != TOKEN_VERSION ||
	    get_u32(raw + 1) != crc32c(0, raw + TOKEN_HEAD, (size_t)n - TOKEN_HEAD))
		return (err_set(e, ERR_INVALID, "The continuation token is not one that we gave."));
	*key = arena_slice(a, SLICE(raw + TOKEN_HEAD, (size_t)n - TOKEN_HEAD));
	if (key->data == NULL)
		return (err_set(e, ERR_TOO_LARGE, "The request needs too much memory."));
	return (0);
}
