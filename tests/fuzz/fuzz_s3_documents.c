/*
 * fuzz_s3_documents - any bytes as each of the documents that clients send: bounds hold, and what
 * was read is what the type promises.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "libs3/names.h"
#include "libs3/request_documents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
check_delete(struct arena *a, struct slice xml)
{
	struct delete_document d;
	struct err e = ERR_INIT;
	size_t i;

	if (delete_document_read(a, xml, &d, &e) != S3_NONE) {
		assert(*e.text != '\0');
		return;
	}
	assert(d.count > 0 && d.count <= S3_DELETE_KEYS_MAX);
	for (i = 0; i < d.count; i++)
		assert(*d.items[i].key != '\0' &&
		    (d.items[i].etag == NULL || *d.items[i].etag != '\0'));
}

static void
check_complete(struct arena *a, struct slice xml)
{
	struct complete_document d;
	struct err e = ERR_INIT;
	size_t i;

	if (complete_document_read(a, xml, &d, &e) != S3_NONE) {
		assert(*e.text != '\0');
		return;
	}
	assert(d.count > 0 && d.count <= S3_PART_NUMBER_MAX);
	for (i = 0; i < d.count; i++)
		assert(d.parts[i].number > 0 && d.parts[i].number <= S3_PART_NUMBER_MAX &&
		    d.parts[i].etag != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slice xml = SLICE(data, bytes);
	struct err e = ERR_INIT;
	const char *location;
	struct arena arena;

	arena_init(&arena, 1 << 24);
	check_delete(&arena, xml);
	check_complete(&arena, xml);
	if (create_bucket_document_read(&arena, xml, &location, &e) == S3_NONE)
		assert(location == NULL || *location != '\0');
	arena_release(&arena);
	return (0);
}
