/*
 * test_index - layers over the database, atomic application, loss of what was not flushed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libstore/index.h"
#include "libstore/index_keys.h"

static char directory[] = "/tmp/holdfast-test-index-XXXXXX";
static char path[64];

static void
setup(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/index", directory);
}

static void
teardown(void)
{
	struct err e;

	(void)index_destroy(path, &e);
	(void)rmdir(path);
	(void)rmdir(directory);
}

TestSuite(index, .init = setup, .fini = teardown);

static struct index *
open_index(void)
{
	struct index *x;
	struct err e = ERR_INIT;

	cr_assert_eq(index_open(path, 1 << 20, &x, &e), 0, "%s", e.text);
	return (x);
}

static void
put(struct index_layer *l, const char *key, const char *value)
{
	index_put(l, slice_from_string(key), slice_from_string(value));
}

static const char *
get(const struct index_reader *r, const char *key, struct buf *out)
{
	struct err e;

	return (index_get(r, slice_from_string(key), out, &e) == 0 ? buf_string(out) : "(none)");
}

/* All keys and values in [from, to) as "k=v k=v ". */
static const char *
walk(const struct index_reader *r, const char *from, const char *to, struct buf *out)
{
	struct index_iter *i;
	struct err e;

	buf_reset(out);
	i = index_iter_new(r, slice_from_string(from), slice_from_string(to));
	for (; index_iter_valid(i); index_iter_next(i)) {
		buf_append_slice(out, index_iter_key(i));
		buf_append_string(out, "=");
		buf_append_slice(out, index_iter_value(i));
		buf_append_string(out, " ");
	}
	cr_assert_eq(index_iter_error(i, &e), 0);
	index_iter_free(i);
	return (buf_string(out));
}

Test(index, newest_layer_decides)
{
	struct index *x = open_index();
	struct index_layer *base = index_layer_new(), *older = index_layer_new(),
	    *newer = index_layer_new();
	struct index_reader r = { x, { newer, older }, 2 };
	struct buf b = BUF_INIT;
	struct err e;

	put(base, "xa", "1");
	put(base, "xb", "1");
	put(base, "xd", "1");
	cr_assert_eq(index_write(x, base, 7, &e), 0);
	put(older, "xb", "2");
	put(older, "xc", "2");
	index_delete(older, slice_from_string("xd"));
	index_delete(newer, slice_from_string("xa"));
	put(newer, "xc", "3");
	put(newer, "xd", "3");

	cr_assert_str_eq(get(&r, "xa", &b), "(none)");
	cr_assert_str_eq(get(&r, "xb", &b), "2");
	cr_assert_str_eq(get(&r, "xc", &b), "3");
	cr_assert_str_eq(get(&r, "xd", &b), "3");
	cr_assert_str_eq(walk(&r, "x", "y", &b), "xb=2 xc=3 xd=3 ");
	cr_assert_str_eq(walk(&r, "xc", "xd", &b), "xc=3 ");
	r.layer_count = 0;
	cr_assert_str_eq(walk(&r, "x", "y", &b), "xa=1 xb=1 xd=1 ");

	index_layer_free(base);
	index_layer_free(older);
	index_layer_free(newer);
	buf_release(&b);
	index_close(&x);
}

Test(index, a_layer_may_change_under_its_iterator)
{
	struct index *x = open_index();
	struct index_layer *base = index_layer_new(), *layer = index_layer_new();
	struct index_reader r = { x, { layer }, 1 };
	struct index_iter *i;
	unsigned seen = 0;
	struct err e;

	for (char key[] = "xa"; key[1] <= 'j'; key[1]++)
		put(base, key, "v");
	cr_assert_eq(index_write(x, base, 1, &e), 0);
	i = index_iter_new(&r, slice_from_string("x"), slice_from_string("y"));
	for (; index_iter_valid(i); index_iter_next(i), seen++)
		index_delete(layer, index_iter_key(i));
	cr_assert_eq(seen, 10);
	cr_assert_eq(index_layer_count(layer), 10);
	index_iter_free(i);
	index_layer_free(base);
	index_layer_free(layer);
	index_close(&x);
}

Test(index, applied_comes_back_after_a_clean_close)
{
	struct index *x = open_index();
	struct index_layer *l = index_layer_new();
	struct index_reader r = { .layer_count = 0 };
	struct buf b = BUF_INIT;
	struct err e;

	cr_assert_eq(index_applied(x), 0);
	put(l, "xk", "v");
	cr_assert_eq(index_write(x, l, 42, &e), 0);
	index_close(&x);
	x = r.index = open_index();
	cr_assert_eq(index_applied(x), 42);
	cr_assert_str_eq(get(&r, "xk", &b), "v");
	index_layer_free(l);
	buf_release(&b);
	index_close(&x);
}

Test(index, a_newer_format_is_refused)
{
	struct index *x = open_index();
	struct index_layer *l = index_layer_new();
	struct buf key = BUF_INIT;
	struct err e = ERR_INIT;
	uint8_t version[8];

	put(l, "xk", "v");
	cr_assert_eq(index_write(x, l, 1, &e), 0);
	key_meta(&key, "format");
	put_u64(version, INDEX_FORMAT_VERSION + 1);
	index_put(l, buf_slice(&key), SLICE(version, 8));
	cr_assert_eq(index_write(x, l, 2, &e), 0);
	index_close(&x);
	cr_assert_eq(index_open(path, 1 << 20, &x, &e), ERR_VERSION);
	cr_assert_not_null(strstr(e.text, "format"), "%s", e.text);
	cr_assert_null(x);
	index_layer_free(l);
	buf_release(&key);
}

Test(index, damage_is_told_and_a_new_one_can_be_made)
{
	struct index *x = open_index();
	struct err e = ERR_INIT;
	char file[80];
	FILE *f;

	index_close(&x);
	snprintf(file, sizeof(file), "%s/CURRENT", path);
	f = fopen(file, "w");
	cr_assert_not_null(f);
	fputs("garbage\n", f);
	fclose(f);
	cr_assert_lt(index_open(path, 1 << 20, &x, &e), 0);
	cr_assert_not_null(strstr(e.text, path), "%s", e.text);
	(void)index_destroy(path, &e);
	snprintf(file, sizeof(file), "rm -rf %s", path);
	cr_assert_eq(system(file), 0);
	x = open_index();
	cr_assert_eq(index_applied(x), 0);
	index_close(&x);
}

Test(index, checkpoint_is_a_copy_at_its_lsn)
{
	struct index *x = open_index(), *copy;
	struct index_layer *l = index_layer_new();
	struct index_reader r = { .layer_count = 0 };
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	char place[80];
	uint64_t applied;

	put(l, "xk", "old");
	cr_assert_eq(index_write(x, l, 5, &e), 0);
	snprintf(place, sizeof(place), "%s/copy", directory);
	cr_assert_eq(index_checkpoint(x, place, &applied, &e), 0, "%s", e.text);
	cr_assert_eq(applied, 5);
	put(l, "xk", "new");
	cr_assert_eq(index_write(x, l, 6, &e), 0);
	cr_assert_eq(index_open(place, 1 << 20, &copy, &e), 0, "%s", e.text);
	cr_assert_eq(index_applied(copy), 5);
	r.index = copy;
	cr_assert_str_eq(get(&r, "xk", &b), "old");
	index_close(&copy);
	cr_assert_eq(index_destroy(place, &e), 0);
	(void)rmdir(place);
	index_layer_free(l);
	buf_release(&b);
	index_close(&x);
}

Test(index_keys, sort_as_they_should)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct slice name, upload;
	uint64_t id, lsn;
	uint32_t number;

	key_version(&a, 3, SLICE_LITERAL("k"), 10);
	key_version(&b, 3, SLICE_LITERAL("k"), 9);
	cr_assert_lt(slice_compare(buf_slice(&a), buf_slice(&b)), 0, "newest first");
	cr_assert_eq(key_version_parse(buf_slice(&a), &id, &name, &lsn), 0);
	cr_assert(id == 3 && lsn == 10 && slice_equal(name, SLICE_LITERAL("k")));
	key_version(&b, 3, SLICE_LITERAL("k\001"), 99);
	cr_assert_lt(slice_compare(buf_slice(&a), buf_slice(&b)), 0);
	key_object(&a, UINT64_MAX, SLICE_LITERAL("\377\377"));
	key_after_prefix(&b, buf_slice(&a));
	cr_assert_str_eq(buf_string(&b), "P");
	key_part(&a, SLICE_LITERAL("0123456789abcdef"), 258);
	cr_assert_eq(key_part_parse(buf_slice(&a), &upload, &number), 0);
	cr_assert_eq(number, 258);
	cr_assert_eq(key_object_parse(buf_slice(&a), &id, &name), ERR_CORRUPT);
	key_upload(&a, 1, SLICE_LITERAL("key"), SLICE_LITERAL("0123456789abcdef"));
	cr_assert_eq(key_upload_parse(buf_slice(&a), &id, &name, &upload), 0);
	cr_assert(slice_equal(name, SLICE_LITERAL("key")));
	cr_assert_eq(key_upload_parse(SLICE(a.data, 12), &id, &name, &upload), ERR_CORRUPT);
	buf_release(&a);
	buf_release(&b);
}
