/*
 * fuzz_uri - any bytes as a query and a path; what was decoded and encoded again decodes the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libbase/percent.h"
#include "libhttp/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
check_query(struct arena *a, const struct uri_query *q)
{
	struct buf text = BUF_INIT;
	struct uri_query again;
	size_t i;

	uri_query_encode(&text, q);
	assert(uri_query_parse(a, buf_slice(&text), &again, NULL) == 0);
	assert(again.count == q->count);
	for (i = 0; i < q->count; i++) {
		assert(strcmp(again.pairs[i].name, q->pairs[i].name) == 0);
		assert(strcmp(again.pairs[i].value, q->pairs[i].value) == 0);
	}
	buf_release(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct buf text = BUF_INIT;
	struct uri_query q;
	struct arena arena;
	char *path, *again;

	arena_init(&arena, 1 << 22);
	if (uri_query_parse(&arena, SLICE(data, bytes), &q, NULL) == 0 && q.count > 0)
		check_query(&arena, &q);
	path = uri_decode(&arena, SLICE(data, bytes), false, NULL);
	if (path != NULL) {
		assert(strlen(path) <= bytes);
		percent_encode(&text, slice_from_string(path), true);
		again = uri_decode(&arena, buf_slice(&text), false, NULL);
		assert(again != NULL && strcmp(again, path) == 0);
	}
	buf_release(&text);
	arena_release(&arena);
	return (0);
}
