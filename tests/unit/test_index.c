/*
 * test_index - layers over the database, atomic application, loss of what was not flushed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libstore/index/index.h"
#include "libstore/index/index_keys.h"
#include "tests/unit/tree.h"

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
	tree_remove(directory);
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
	cr_assert_str_eq(get(&r, "xa", &b), "(none)");
	cr_assert_eq(b.bytes, 0, "nothing of the row before");
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

/* Turns bits of the middle of each table. */
static void
damage_tables(void)
{
	struct dirent *entry;
	DIR *d = opendir(path);
	char file[512];
	FILE *f;

	cr_assert_not_null(d);
	while ((entry = readdir(d)) != NULL) {
		if (strstr(entry->d_name, ".sst") == NULL)
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		f = fopen(file, "r+");
		cr_assert_not_null(f);
		fseek(f, 0, SEEK_END);
		fseek(f, ftell(f) / 2, SEEK_SET);
		for (unsigned n = 0; n < 4096; n++)
			fputc((int)((n * 7919) >> 3 & 255), f);
		fclose(f);
	}
	closedir(d);
}

/* Rows that were not written to the database yet are readable; what it lost is not passed over. */
Test(index, an_iterator_that_could_not_read_says_so_wherever_it_is_sent)
{
	struct index *x = open_index();
	struct index_layer *l = index_layer_new();
	struct index_reader r = { .index = x };
	struct err e = ERR_INIT;
	struct index_iter *i;
	char key[24], value[500];
	unsigned count = 0;

	for (unsigned n = 0; n < 2000; n++) {
		snprintf(key, sizeof(key), "O%07u", n);
		for (unsigned b = 0; b < sizeof(value); b++)
			value[b] = (char)((n * 2654435761u + b * 40503u + (n ^ b) * n) >> 5);
		index_put(l, slice_from_string(key), SLICE(value, sizeof(value)));
	}
	cr_assert_eq(index_write(x, l, 1, &e), 0, "%s", e.text);
	index_close(&x);
	damage_tables();
	r.index = x = open_index();
	put(l, "O5", "v");
	cr_assert_eq(index_write(x, l, 2, &e), 0, "%s", e.text);
	i = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("P"));
	for (; index_iter_valid(i); index_iter_next(i))
		count++;
	cr_assert_lt(count, 2000);
	cr_assert_lt(index_iter_error(i, &e), 0);
	index_iter_free(i);
	/* Here it is not asked before it is sent on. */
	i = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("P"));
	for (unsigned n = 0; n < 1900; n++)
		if (index_iter_valid(i) && !slice_equal(index_iter_key(i), SLICE_LITERAL("O5")))
			index_iter_next(i);
	index_iter_seek(i, SLICE_LITERAL("O6"));
	cr_assert(!index_iter_valid(i));
	cr_assert_lt(index_iter_error(i, &e), 0);
	cr_assert_not_null(strstr(e.text, path), "%s", e.text);
	index_iter_free(i);
	index_layer_free(l);
	index_close(&x);
}

/* The directory is gone: memory is written to no table file. Nobody calls again, but hears of it.
 */
Test(index, a_flush_that_fails_is_told_to_an_idle_one)
{
	struct index *x = open_index();
	struct index_layer *l = index_layer_new();
	struct err e = ERR_INIT;
	struct pollfd p = { .fd = index_failure_fd(x), .events = POLLIN };
	char away[80];

	put(l, "k", "v");
	cr_assert_eq(index_write(x, l, 1, &e), 0, "%s", e.text);
	cr_assert_eq(poll(&p, 1, 0), 0);
	cr_assert_eq(index_failed(x, &e), 0);
	snprintf(away, sizeof(away), "%s.away", path);
	cr_assert_eq(rename(path, away), 0);
	cr_assert_eq(index_flush(x, false, &e), 0);
	cr_assert_eq(poll(&p, 1, 30000), 1);
	cr_assert_eq(index_failed(x, &e), ERR_IO);
	cr_assert_not_null(strstr(e.text, "failed"), "%s", e.text);
	cr_assert_eq(index_write(x, l, 2, &e), ERR_IO);
	index_close(&x);
	cr_assert_eq(rename(away, path), 0);
	index_layer_free(l);
}

Test(index, what_is_in_no_table_yet_is_known)
{
	static char value[1 << 20];
	struct index *x = open_index();
	struct index_layer *l = index_layer_new();
	struct err e = ERR_INIT;
	uint64_t before = index_unwritten(x);
	char key[16];

	memset(value, 'v', sizeof(value) - 1);
	for (unsigned n = 1; n <= 12; n++) {	/* some come to the database, and some do not */
		snprintf(key, sizeof(key), "k%u", n);
		put(l, key, value);
		cr_assert_eq(index_write(x, l, n, &e), 0, "%s", e.text);
	}
	cr_assert_geq(index_unwritten(x), UINT64_C(12) << 20);
	cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);
	cr_assert_leq(index_unwritten(x), before + (UINT64_C(2) << 20));
	index_layer_free(l);
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

/* --- deleted stretches ------------------------------------------------------------------------ */

#define STRETCH_KEYS	20000u
/* Of what was deleted last, one by one, some is not known as a gap before it was passed once. */
#define PASSED_FEW	4096u
#define PASSED_LEAST	512u

static void
numbered(char out[24], unsigned n)
{
	snprintf(out, 24, "O%07u", n);
}

/* Keys from `first` on, put (with a value) or deleted, in writes of `each`. */
static void
change(struct index *x, unsigned first, unsigned count, unsigned each, const char *value)
{
	struct index_layer *l = index_layer_new();
	struct err e = ERR_INIT;
	char key[24];

	for (unsigned n = 0; n < count; n++) {
		numbered(key, first + n);
		if (value != NULL)
			put(l, key, value);
		else
			index_delete(l, slice_from_string(key));
		if (index_layer_count(l) < each && n + 1 < count)
			continue;
		cr_assert_eq(index_write(x, l, index_applied(x) + 1, &e), 0, "%s", e.text);
		index_layer_clear(l);
	}
	index_layer_free(l);
}

/* The first key of table O; *passed: dead keys on the way, the second time. */
static const char *
first_key(struct index *x, struct buf *out, uint64_t *passed)
{
	struct index_reader r = { .index = x };
	struct index_iter *i;
	uint64_t before = index_passed(x);

	i = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("P"));
	buf_reset(out);
	if (index_iter_valid(i))
		buf_append_slice(out, index_iter_key(i));
	index_iter_free(i);
	*passed = index_passed(x) - before;
	return (buf_string(out));
}

/* All keys of table O, counted, with the dead ones that were passed. */
static unsigned
count_keys(struct index *x, uint64_t *passed)
{
	struct index_reader r = { .index = x };
	struct index_iter *i;
	uint64_t before = index_passed(x);
	unsigned count = 0;

	i = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("P"));
	for (; index_iter_valid(i); index_iter_next(i))
		count++;
	index_iter_free(i);
	*passed = index_passed(x) - before;
	return (count);
}

Test(index, who_comes_after_many_deletes_passes_few_of_them)
{
	static const unsigned writes[] = { 1, 100, 4000 };
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	uint64_t passed;

	for (unsigned w = 0; w < 3; w++) {
		struct index *x = open_index();

		change(x, 0, STRETCH_KEYS + 10, 1000, "v");
		cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);
		change(x, 0, STRETCH_KEYS, writes[w], NULL);
		cr_assert_str_eq(first_key(x, &b, &passed), "O0020000");
		/* What is on its way, and what has just arrived, may not have been looked at. */
		cr_assert_lt(passed, PASSED_FEW + 2 * writes[w],
		    "%llu with writes of %u", (unsigned long long)passed, writes[w]);
		cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);
		cr_assert_str_eq(first_key(x, &b, &passed), "O0020000");
		cr_assert_lt(passed, PASSED_LEAST, "%llu", (unsigned long long)passed);
		index_close(&x);
		cr_assert_eq(index_destroy(path, &e), 0, "%s", e.text);
	}
	buf_release(&b);
}

Test(index, deletes_from_the_end_and_in_the_middle_are_passed_by_as_well)
{
	struct index *x = open_index();
	struct err e = ERR_INIT;
	uint64_t passed;

	change(x, 0, STRETCH_KEYS, 1000, "v");
	for (unsigned n = STRETCH_KEYS; n > STRETCH_KEYS / 2; n -= 50)
		change(x, n - 50, 50, 1, NULL);
	for (unsigned n = 0; n < 3000; n += 50)
		change(x, 2000 + n, 50, 50, NULL);
	cr_assert_eq(count_keys(x, &passed), STRETCH_KEYS / 2 - 3000);
	cr_assert_lt(passed, PASSED_FEW, "%llu", (unsigned long long)passed);
	cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);	/* what was on its way */
	cr_assert_eq(count_keys(x, &passed), STRETCH_KEYS / 2 - 3000);
	cr_assert_lt(passed, PASSED_LEAST, "%llu", (unsigned long long)passed);
	index_close(&x);
}

Test(index, dead_keys_of_an_earlier_life_are_not_passed)
{
	struct index *x = open_index();
	struct buf b = BUF_INIT;
	uint64_t passed;

	change(x, 0, 4000, 1000, "v");
	change(x, 0, 3000, 1000, NULL);
	index_close(&x);
	x = open_index();
	cr_assert_str_eq(first_key(x, &b, &passed), "O0003000");
	cr_assert_lt(passed, PASSED_LEAST, "%llu", (unsigned long long)passed);
	index_close(&x);		/* what was passed is known now */
	x = open_index();
	cr_assert_str_eq(first_key(x, &b, &passed), "O0003000");
	cr_assert_eq(passed, 0, "%llu", (unsigned long long)passed);
	change(x, 1000, 1, 1, "v");
	index_close(&x);
	x = open_index();
	cr_assert_str_eq(first_key(x, &b, &passed), "O0001000");
	cr_assert_eq(count_keys(x, &passed), 1001);
	cr_assert_lt(passed, PASSED_LEAST, "%llu", (unsigned long long)passed);
	buf_release(&b);
	index_close(&x);
}

/* Rows of gaps are the index's own; those that cannot be make it one to be built anew. */
Test(index, gaps_are_kept_and_shown_to_nobody)
{
	struct index *x = open_index();
	struct index_layer *l = index_layer_new();
	struct index_reader r = { .index = x };
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	struct index_iter *i;
	unsigned count = 0;

	change(x, 0, 3000, 1000, "v");
	change(x, 10, 2980, 1000, NULL);
	cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);
	for (i = index_iter_new(&r, SLICE_NONE, SLICE_NONE); index_iter_valid(i);
	    index_iter_next(i), count++)
		cr_assert_neq(*(const uint8_t *)index_iter_key(i).data, 0xff);
	index_iter_free(i);
	cr_assert_eq(count, 22, "twenty, and two of the table M");
	key_gap(&b, SLICE_LITERAL("O1"));
	index_put(l, buf_slice(&b), SLICE_LITERAL("O0"));
	cr_assert_eq(index_write(x, l, index_applied(x) + 1, &e), 0, "%s", e.text);
	index_close(&x);
	cr_assert_eq(index_open(path, 1 << 20, &x, &e), ERR_CORRUPT);
	cr_assert_not_null(strstr(e.text, "gap"), "%s", e.text);
	index_layer_free(l);
	buf_release(&b);
}

Test(index, what_is_put_among_the_dead_is_found)
{
	struct index *x = open_index();
	struct buf b = BUF_INIT;
	uint64_t passed;

	change(x, 0, STRETCH_KEYS + 1, 1000, "v");
	change(x, 0, STRETCH_KEYS, 1000, NULL);
	change(x, 10000, 1, 1, "v");
	cr_assert_str_eq(first_key(x, &b, &passed), "O0010000");
	cr_assert_lt(passed, PASSED_FEW);
	change(x, 9999, 1, 1, "v");
	change(x, 0, 1, 1, "v");
	cr_assert_eq(count_keys(x, &passed), 4);
	cr_assert_lt(passed, PASSED_FEW);
	change(x, 0, 10001, 5000, NULL);
	cr_assert_str_eq(first_key(x, &b, &passed), "O0020000");
	cr_assert_lt(passed, PASSED_FEW);
	buf_release(&b);
	index_close(&x);
}

/* An iterator that was made before is not led around what lives in its state, all in the
 * database. */
Test(index, an_iterator_sees_the_state_at_its_making_whatever_dies)
{
	struct index *x = open_index();
	struct index_reader r = { .index = x };
	struct err e = ERR_INIT;
	struct index_iter *i;
	unsigned count = 0;
	uint64_t passed;

	change(x, 0, 9000, 1000, "v");
	change(x, 1000, 1000, 1000, NULL);	/* so that it has two stretches */
	cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);
	i = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("P"));
	change(x, 500, 8000, 1000, NULL);
	change(x, 1500, 1, 1, "v");
	cr_assert_eq(count_keys(x, &passed), 1001);
	for (; index_iter_valid(i); index_iter_next(i))
		count++;
	cr_assert_eq(count, 8000);
	index_iter_free(i);
	index_close(&x);
}

/* To dead keys in front of a gap that was known before, and from there behind it. */
Test(index, a_seek_to_where_nothing_lives_goes_on_behind_the_gap)
{
	struct index *x = open_index();
	struct index_reader r = { .index = x };
	struct err e = ERR_INIT;
	struct index_iter *i;
	char key[24];

	change(x, 0, 3000, 1000, "v");
	change(x, 10, 2000, 1000, NULL);
	cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);
	for (unsigned n = 10; n < 300; n += 7) {
		i = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("P"));
		numbered(key, n);
		index_iter_seek(i, slice_from_string(key));
		cr_assert(index_iter_valid(i), "nothing from %s on", key);
		numbered(key, 2010);
		cr_assert(slice_equal(index_iter_key(i), slice_from_string(key)));
		index_iter_free(i);
	}
	index_close(&x);
}

/* Whatever was put, deleted and walked: the same keys as in a plain array, up and with seeks. */
Test(index, gaps_never_hide_a_key)
{
	struct index *x = open_index();
	struct index_reader r = { .index = x };
	static bool lives[3000];
	unsigned state = 12345;

	for (unsigned round = 0; round < 300; round++) {
		unsigned first = (state = state * 1103515245u + 12345u) >> 8;
		unsigned count = 1 + (state >> 4) % (round % 3 == 0 ? 5 : 700);
		bool alive = (state >> 20) % 3 == 0;
		struct index_iter *i;
		char key[24];

		first %= 3000;
		count = first + count > 3000 ? 3000 - first : count;
		change(x, first, count, 300, alive ? "v" : NULL);
		memset(lives + first, alive, count);
		i = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("P"));
		for (unsigned n = 0; n < 3000; n++) {
			if (!lives[n])
				continue;
			numbered(key, n);
			cr_assert(index_iter_valid(i), "%s is missing", key);
			if (n % 7 == 0)
				index_iter_seek(i, slice_from_string(key));
			cr_assert(slice_equal(index_iter_key(i), slice_from_string(key)), "%s",
			    key);
			index_iter_next(i);
		}
		cr_assert(!index_iter_valid(i));
		index_iter_free(i);
	}
	index_close(&x);
}

/* A walk from the very start passes dead rows of the first table, and what is kept of it is read
 * again. */
Test(index, a_gap_in_front_of_every_key_is_kept)
{
	struct index *x = open_index();
	struct index_layer *l = index_layer_new();
	struct index_reader r = { .index = x };
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	char key[24];

	for (unsigned lsn = 1; lsn <= 2; lsn++) {
		for (unsigned n = 0; n < 300; n++) {
			snprintf(key, sizeof(key), "B%06u", n);
			if (lsn == 1)
				put(l, key, "v");
			else
				index_delete(l, slice_from_string(key));
		}
		cr_assert_eq(index_write(x, l, lsn, &e), 0, "%s", e.text);
		cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);
	}
	index_iter_free(index_iter_new(&r, SLICE_LITERAL(""), SLICE_NONE));
	index_close(&x);
	r.index = x = open_index();
	put(l, "B000007", "w");
	cr_assert_eq(index_write(x, l, 3, &e), 0, "%s", e.text);
	index_close(&x);
	r.index = x = open_index();
	cr_assert_str_eq(walk(&r, "", "C", &out), "B000007=w ");
	index_close(&x);
	index_layer_free(l);
	buf_release(&out);
}

/* Values that no table makes small, 4 MiB of them. */
static void
change_much(struct index *x)
{
	struct index_layer *l = index_layer_new();
	struct err e = ERR_INIT;
	uint64_t value[128], seed = 7;
	char key[24];

	for (unsigned n = 0; n < 4096; n++) {
		for (unsigned i = 0; i < 128; i++)
			value[i] = seed = seed * UINT64_C(6364136223846793005) + 1;
		snprintf(key, sizeof(key), "X%07u", n);
		index_put(l, slice_from_string(key), SLICE(value, sizeof(value)));
	}
	cr_assert_eq(index_write(x, l, index_applied(x) + 1, &e), 0, "%s", e.text);
	index_layer_free(l);
}

/* A limit on files stands for a file system that is full. Who found it flushed, and read; whoever
 * writes then hears the same, and not just that something failed. */
Test(index, after_a_write_that_failed_the_next_says_why)
{
	struct index *x = open_index();
	struct rlimit limit;
	struct err e = ERR_INIT;
	uint64_t passed;

	change(x, 0, 2000, 1000, "v");
	cr_assert_eq(index_flush(x, true, &e), 0, "%s", e.text);
	change(x, 500, 1000, 1000, NULL);
	change_much(x);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = 2 << 20;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_lt(index_flush(x, true, &e), 0);
	cr_assert_eq(count_keys(x, &passed), 1000);	/* which makes a gap */
	cr_assert_eq(index_flush(x, true, &e), ERR_IO, "%s", e.text);
	change(x, 0, 1, 1, "w");
	cr_assert_lt(index_flush(x, true, NULL), 0);
	cr_assert_eq(index_failed(x, &e), ERR_IO);
	cr_assert_not_null(strstr(e.text, "File too large"), "%s", e.text);
	index_close(&x);
}
