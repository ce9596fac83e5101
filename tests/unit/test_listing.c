/*
 * test_listing - pages of objects against a plain model: every page size, prefix, delimiter and
 * marker must give the same sequence as sorting all names and folding them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libstore/index/index_keys.h"
#include "libstore/index/listing.h"

static char directory[] = "/tmp/holdfast-test-listing-XXXXXX";
static struct index *index_open_for_test;
static struct index_reader reader;

static void
setup(void)
{
	char path[64];
	struct err e = ERR_INIT;

	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/index", directory);
	cr_assert_eq(index_open(path, 1 << 20, &index_open_for_test, &e), 0, "%s", e.text);
	reader.index = index_open_for_test;
	reader.layer_count = 0;
}

static void
teardown(void)
{
	char command[96];

	index_close(&index_open_for_test);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	cr_assert_eq(system(command), 0);
}

TestSuite(listing, .init = setup, .fini = teardown);

static void
object_put(struct index_layer *l, char table, const char *name, uint64_t lsn)
{
	Hf__ObjectEntry entry = HF__OBJECT_ENTRY__INIT;
	uint8_t packed[256];
	struct buf key = BUF_INIT;

	entry.origin_lsn = lsn;
	entry.etag = (char *)(uintptr_t)"e";
	entry.delete_marker = table == 'V' && lsn % 2 == 0;
	if (table == 'O')
		key_object(&key, 1, slice_from_string(name));
	else
		key_version(&key, 1, slice_from_string(name), lsn);
	index_put(l, buf_slice(&key), SLICE(packed, hf__object_entry__pack(&entry, packed)));
	buf_release(&key);
}

static const char *const names[] = {	/* sorted */
	"a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "a0", "b", "b/c/d", "b//e", "c\001", "c\377",
	    "d",
};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static void
fill(void)
{
	struct index_layer *l = index_layer_new();
	struct buf key = BUF_INIT;
	struct err e;

	for (unsigned i = 0; i < NAME_COUNT; i++)
		object_put(l, 'O', names[i], 100 + i);
	/* Neighbours in other buckets must never show. */
	key_object(&key, 0, SLICE_LITERAL("zzz"));
	index_put(l, buf_slice(&key), SLICE_LITERAL(""));
	key_object(&key, 2, SLICE_LITERAL("a"));
	index_put(l, buf_slice(&key), SLICE_LITERAL(""));
	cr_assert_eq(index_write(index_open_for_test, l, 1, &e), 0);
	buf_release(&key);
	index_layer_free(l);
}

static int
by_bytes(const void *a, const void *b)
{
	return (strcmp(*(const char *const *)a, *(const char *const *)b));
}

/* What a listing must show, as "name\n", common prefixes with a star. */
static void
model(const char *prefix, const char *delimiter, struct buf *out)
{
	const char *sorted[NAME_COUNT];
	char last[64] = "";
	const char *cut;

	memcpy(sorted, names, sizeof(names));
	qsort(sorted, NAME_COUNT, sizeof(sorted[0]), by_bytes);
	buf_reset(out);
	for (unsigned i = 0; i < NAME_COUNT; i++) {
		if (strncmp(sorted[i], prefix, strlen(prefix)) != 0)
			continue;
		cut = delimiter[0] == '\0' ? NULL : strstr(sorted[i] + strlen(prefix), delimiter);
		if (cut == NULL) {
			buf_printf(out, "%s\n", sorted[i]);
			continue;
		}
		int bytes = (int)(cut - sorted[i] + (long)strlen(delimiter));
		char common[64];
		snprintf(common, sizeof(common), "%.*s", bytes, sorted[i]);
		if (strcmp(common, last) != 0)
			buf_printf(out, "*%s\n", common);
		snprintf(last, sizeof(last), "%s", common);
	}
}

static void
pages(const char *prefix, const char *delimiter, uint32_t max, struct buf *out)
{
	Hf__ObjectList q = HF__OBJECT_LIST__INIT;
	Hf__StoreReply reply;
	struct buf after = BUF_INIT;
	struct err e = ERR_INIT;
	bool more = true;

	q.prefix = (ProtobufCBinaryData){ strlen(prefix), (uint8_t *)(uintptr_t)prefix };
	q.delimiter = (ProtobufCBinaryData){ strlen(delimiter), (uint8_t *)(uintptr_t)delimiter };
	q.max = max;
	buf_reset(out);
	for (unsigned n = 0; more; n++) {
		cr_assert_lt(n, 100, "a listing that does not end");
		q.after = (ProtobufCBinaryData){ after.bytes, after.data };
		Hf__StoreReply *r = malloc(sizeof(*r));
		hf__store_reply__init(&reply);
		*r = reply;
		cr_assert_eq(listing_objects(&reader, 1, &q, r, &e), 0, "%s", e.text);
		cr_assert_leq(r->n_items, max);
		for (size_t i = 0; i < r->n_items; i++)
			buf_printf(out, "%s%.*s\n", r->items[i]->is_prefix ? "*" : "",
			    (int)r->items[i]->key.len, (const char *)r->items[i]->key.data);
		more = r->truncated;
		buf_reset(&after);
		buf_append(&after, r->next_key.data, r->next_key.len);
		hf__store_reply__free_unpacked(r, NULL);
	}
	buf_release(&after);
}

Test(listing, every_page_size_prefix_and_delimiter_agrees_with_the_model)
{
	static const char *const prefixes[] = { "", "a", "a/", "a/b", "b/", "c", "c\377", "x",
	    "d" };
	static const char *const delimiters[] = { "", "/", "//", "b", "1", "\377" };
	struct buf want = BUF_INIT, got = BUF_INIT;

	fill();
	for (unsigned p = 0; p < sizeof(prefixes) / sizeof(prefixes[0]); p++)
		for (unsigned d = 0; d < sizeof(delimiters) / sizeof(delimiters[0]); d++)
			for (uint32_t max = 1; max <= NAME_COUNT + 1; max++) {
				model(prefixes[p], delimiters[d], &want);
				pages(prefixes[p], delimiters[d], max, &got);
				cr_assert(slice_equal(buf_slice(&want), buf_slice(&got)),
				    "prefix '%s' delimiter '%s' max %u:\nwant\n%s\ngot\n%s",
				    prefixes[p], delimiters[d], max, buf_string(&want),
				    buf_string(&got));
			}
	buf_release(&want);
	buf_release(&got);
}

Test(listing, versions_of_a_key_come_newest_first_over_page_ends)
{
	struct index_layer *l = index_layer_new();
	struct buf got = BUF_INIT, after = BUF_INIT;
	uint8_t marker[8];
	struct err e = ERR_INIT;
	bool more = true;

	object_put(l, 'O', "k", 50);
	for (uint64_t lsn = 41; lsn <= 44; lsn++)
		object_put(l, 'V', "k", lsn);
	object_put(l, 'V', "k2", 46);
	object_put(l, 'O', "k3", 60);
	cr_assert_eq(index_write(index_open_for_test, l, 1, &e), 0);
	for (uint32_t max = 1; max <= 8; max++) {
		Hf__ObjectList q = HF__OBJECT_LIST__INIT;

		q.max = max;
		q.versions = true;
		buf_reset(&got);
		buf_reset(&after);
		for (more = true; more; ) {
			Hf__StoreReply *r = malloc(sizeof(*r));
			hf__store_reply__init(r);
			q.after = (ProtobufCBinaryData){ after.bytes, after.data };
			cr_assert_eq(listing_objects(&reader, 1, &q, r, &e), 0, "%s", e.text);
			for (size_t i = 0; i < r->n_items; i++)
				buf_printf(&got, "%.*s:%llu%s ", (int)r->items[i]->key.len,
				    (const char *)r->items[i]->key.data,
				    (unsigned long long)r->items[i]->entry->origin_lsn,
				    r->items[i]->is_latest ? "!" : "");
			more = r->truncated;
			if (more) {
				put_be64(marker, r->items[r->n_items - 1]->entry->origin_lsn);
				q.after_version = (ProtobufCBinaryData){ 8, marker };
				buf_reset(&after);
				buf_append(&after, r->next_key.data, r->next_key.len);
			}
			hf__store_reply__free_unpacked(r, NULL);
		}
		cr_assert_str_eq(buf_string(&got), "k:50! k:44 k:43 k:42 k:41 k2:46! k3:60! ");
	}
	index_layer_free(l);
	buf_release(&got);
	buf_release(&after);
}

Test(listing, parts_page_in_order_of_their_numbers)
{
	struct index_layer *l = index_layer_new();
	struct buf key = BUF_INIT;
	uint8_t id[16] = "0123456789abcde";
	uint8_t packed[64];
	uint32_t after = 0, seen = 0;
	struct err e = ERR_INIT;
	bool more = true;

	for (uint32_t n = 1; n <= 10000; n += 7) {
		Hf__Part part = HF__PART__INIT;

		part.number = n;
		key_part(&key, SLICE(id, 16), n);
		index_put(l, buf_slice(&key), SLICE(packed, hf__part__pack(&part, packed)));
	}
	cr_assert_eq(index_write(index_open_for_test, l, 1, &e), 0);
	while (more) {
		Hf__PartList q = HF__PART_LIST__INIT;
		Hf__StoreReply *r = malloc(sizeof(*r));

		hf__store_reply__init(r);
		q.upload_id = (ProtobufCBinaryData){ 16, id };
		q.after = after;
		q.max = 5000;			/* held to 1000 */
		cr_assert_eq(listing_parts(&reader, &q, r, &e), 0, "%s", e.text);
		cr_assert_leq(r->n_parts, 1000);
		for (size_t i = 0; i < r->n_parts; i++, seen++) {
			cr_assert_gt(r->parts[i]->number, after);
			after = r->parts[i]->number;
		}
		more = r->truncated;
		hf__store_reply__free_unpacked(r, NULL);
	}
	cr_assert_eq(seen, 1429);
	index_layer_free(l);
	buf_release(&key);
}
