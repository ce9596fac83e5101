/*
 * test_entry_cache - names, order of use, the bound, and values that outlive their place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libobject/entry_cache.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "libbase/err.h"

static struct entry *
value(uint64_t bytes)
{
	Hf__ObjectEntry *o = calloc(1, sizeof(*o));

	hf__object_entry__init(o);
	o->bytes = bytes;
	return (entry_new(0, NULL, o));
}

static void
add(struct entry_cache *c, const char *bucket, const char *key, uint64_t bytes)
{
	struct entry *v = value(bytes);

	entry_cache_add(c, slice_from_string(bucket), slice_from_string(key), v);
	entry_put(&v);
	cr_assert_null(v);
}

/* Its bytes, or 0: not there. */
static uint64_t
find(struct entry_cache *c, const char *bucket, const char *key)
{
	struct entry *v = entry_cache_find(c, slice_from_string(bucket), slice_from_string(key));
	uint64_t bytes = v != NULL ? v->object->bytes : 0;

	entry_put(&v);
	return (bytes);
}

Test(entry_cache, names_are_kept_apart)
{
	struct entry_cache *c = entry_cache_new(1 << 20);

	add(c, "a", "bc", 1);
	add(c, "ab", "c", 2);
	add(c, "abc", "", 3);
	cr_assert_eq(find(c, "a", "bc"), 1);
	cr_assert_eq(find(c, "ab", "c"), 2);
	cr_assert_eq(find(c, "abc", ""), 3);
	cr_assert_eq(find(c, "", "abc"), 0);
	add(c, "a", "bc", 4);
	cr_assert_eq(find(c, "a", "bc"), 4);
	entry_cache_remove(c, SLICE_LITERAL("a"), SLICE_LITERAL("bc"));
	entry_cache_remove(c, SLICE_LITERAL("a"), SLICE_LITERAL("bc"));
	cr_assert_eq(find(c, "a", "bc"), 0);
	entry_cache_free(&c);
	cr_assert_null(c);
}

Test(entry_cache, the_least_recently_used_leave_at_the_bound)
{
	struct entry_cache *c = entry_cache_new(200000);
	char key[32];
	unsigned i, there = 0;

	for (i = 1; i <= 5000; i++) {
		snprintf(key, sizeof(key), "key-%u", i);
		add(c, "b", key, i);
		cr_assert_leq(entry_cache_bytes(c), 200000);
		if (i > 1)
			cr_assert_eq(find(c, "b", "key-1"), 1, "used each time, gone after %u", i);
	}
	for (i = 1; i <= 5000; i++) {
		snprintf(key, sizeof(key), "key-%u", i);
		if (find(c, "b", key) == i)
			there++;
	}
	cr_assert(there > 100 && there < 2000, "%u", there);
	cr_assert_eq(find(c, "b", "key-5000"), 5000);
	cr_assert_eq(find(c, "b", "key-2"), 0);
	entry_cache_free(&c);
}

Test(entry_cache, many_names_and_a_value_larger_than_the_cache)
{
	struct entry_cache *c = entry_cache_new(64 << 20), *small = entry_cache_new(100);
	char key[32];
	unsigned i;

	for (i = 1; i <= 20000; i++) {
		snprintf(key, sizeof(key), "key-%u", i);
		add(c, "b", key, i);
	}
	for (i = 1; i <= 20000; i++) {
		snprintf(key, sizeof(key), "key-%u", i);
		cr_assert_eq(find(c, "b", key), i);
	}
	add(small, "b", "k", 1);
	cr_assert_eq(find(small, "b", "k"), 0);
	cr_assert_eq(entry_cache_bytes(small), 0);
	entry_cache_free(&c);
	entry_cache_free(&small);
}

Test(entry_cache, a_held_value_outlives_its_place)
{
	struct entry_cache *c = entry_cache_new(1 << 20);
	struct entry *v;

	add(c, "b", "k", 7);
	v = entry_cache_find(c, SLICE_LITERAL("b"), SLICE_LITERAL("k"));
	entry_cache_remove(c, SLICE_LITERAL("b"), SLICE_LITERAL("k"));
	entry_cache_free(&c);
	cr_assert_eq(v->object->bytes, 7);
	entry_put(&v);
}
