/*
 * fuzz_text - the small text parsers of libbase: hex, base64, numbers, UTF-8, times. What one of
 * them accepts must come out of its formatter unchanged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libbase/bytes.h"
#include "libbase/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
try_base64(const char *text, size_t bytes)
{
	char *again = malloc(bytes + 8);
	uint8_t *out = malloc(bytes + 1);
	ssize_t n = base64_decode(text, bytes, out, bytes);

	assert(again != NULL);
	if (n >= 0) {
		base64_encode(out, (size_t)n, again);
		assert(strlen(again) == bytes && memcmp(again, text, bytes) == 0);
	}
	free(again);
	free(out);
}

static void
try_hex(const char *text, size_t bytes)
{
	char *again = malloc(bytes + 2);
	uint8_t *out = malloc(bytes / 2 + 1);

	assert(again != NULL);
	if (hex_decode(text, bytes, out, bytes / 2) == 0) {
		hex_encode(out, bytes / 2, again);
		assert(strlen(again) == bytes && strncasecmp(again, text, bytes) == 0);
	}
	free(again);
	free(out);
}

static void
try_times(const char *text)
{
	uint64_t v, again = 0;
	char out[30];
	int rc;

	if (clock_parse_amz(text, &v) == 0)
		assert(v % 1000 == 0);
	if (clock_parse_http(text, &v) == 0) {
		clock_format_http(v, out);
		rc = clock_parse_http(out, &again);
		assert(rc == 0 && again == v / 1000 * 1000);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *text = malloc(bytes + 1);
	uint64_t v;

	assert(text != NULL);
	if (bytes > 0)
		memcpy(text, data, bytes);
	text[bytes] = '\0';
	try_base64(text, bytes);
	try_hex(text, bytes);
	try_times(text);
	if (u64_parse(text, bytes, 1000, &v) == 0)
		assert(v <= 1000);
	(void)utf8_valid(SLICE(data, bytes));
	free(text);
	return (0);
}
