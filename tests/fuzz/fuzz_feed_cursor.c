/*
 * fuzz_feed_cursor - any bytes as a cursor of the feed: what passes is what is encoded again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libbase/checksum.h"
#include "libstore/state/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
cursor_try(const uint8_t *data, size_t bytes, const uint8_t deployment[16])
{
	uint8_t again[FEED_CURSOR_BYTES];
	struct feed_at at;
	int rc = feed_cursor_parse(SLICE(data, bytes), deployment, &at, NULL);

	assert(rc == 0 || rc == ERR_INVALID || rc == ERR_VERSION || rc == ERR_STALE);
	if (rc != 0)
		return;
	feed_cursor_encode(&at, deployment, again);
	assert(bytes == sizeof(again) && memcmp(data, again, bytes) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t deployment[16] = { 0 }, whole[FEED_CURSOR_BYTES];

	cursor_try(data, bytes, deployment);
	if (bytes < FEED_CURSOR_BYTES)
		return (0);
	/* With the right checksum, so that what is behind it is reached. */
	memcpy(whole, data, sizeof(whole));
	put_u32(whole + FEED_CURSOR_BYTES - 4, crc32c(0, whole, FEED_CURSOR_BYTES - 4));
	memcpy(deployment, whole + 1, sizeof(deployment));
	cursor_try(whole, sizeof(whole), deployment);
	return (0);
}
