/*
 * test_index_ahead - rows on their way to the database: whatever part of them is there already, a
 * reader sees what was written last. A failure prints its seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libstore/index/index.h"
#include "libstore/index/index_ahead.h"
#include "libstore/index/index_filter.h"
#include "libstore/index/index_layer.h"
#include "tests/unit/tree.h"

#define KEYS	3000u
#define WRITES	1500u
#define BATCH	60u

static char directory[] = "/tmp/holdfast-test-ahead-XXXXXX";
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

TestSuite(index_ahead, .init = setup, .fini = teardown);

static uint64_t
next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (*seed >> 33);
}

/* --- against a model -------------------------------------------------------------------------- */

static uint32_t model[KEYS];		/* 0: no such row */

static struct slice
key_make(uint32_t number, char out[16])
{
	snprintf(out, 16, "k%06u", number);
	return (slice_from_string(out));
}

static void
changes_make(struct index_layer *l, uint64_t *seed)
{
	for (unsigned i = 0; i < BATCH; i++) {
		uint32_t number = (uint32_t)(next_random(seed) % KEYS);
		uint32_t value = (uint32_t)next_random(seed) | 1;
		char memory[16];
		struct slice key = key_make(number, memory);

		if (next_random(seed) % 3 == 0) {
			index_delete(l, key);
			value = 0;
		} else if (model[number] == 0)
			index_put_fresh(l, key, SLICE(&value, sizeof(value)));
		else
			index_put(l, key, SLICE(&value, sizeof(value)));
		model[number] = value;
	}
}

static void
check_get(struct index *x, uint32_t number)
{
	struct index_reader r = { .index = x };
	struct buf value = BUF_INIT;
	struct err e = ERR_INIT;
	char memory[16];
	int rc = index_get(&r, key_make(number, memory), &value, &e);

	cr_assert_eq(rc, model[number] != 0 ? 0 : ERR_NOT_FOUND, "%s: %s", memory, e.text);
	if (rc == 0)
		cr_assert_eq(memcmp(value.data, &model[number], 4), 0, "%s", memory);
	buf_release(&value);
}

static void
check_walk(struct index *x, uint32_t from, uint32_t to)
{
	struct index_reader r = { .index = x };
	char first[16], end[16], memory[16];
	struct index_iter *i = index_iter_new(&r, key_make(from, first), key_make(to, end));

	for (uint32_t n = from; n < to; n++) {
		if (model[n] == 0)
			continue;
		cr_assert(index_iter_valid(i), "no key %u", n);
		cr_assert(slice_equal(index_iter_key(i), key_make(n, memory)), "not %s", memory);
		cr_assert_eq(memcmp(index_iter_value(i).data, &model[n], 4), 0, "%s", memory);
		index_iter_next(i);
	}
	cr_assert(!index_iter_valid(i), "a key too many");
	index_iter_free(i);
}

struct asked { uint32_t number[KEYS]; size_t next; };

static void
on_value(void *context, size_t i, int code, struct slice value)
{
	struct asked *a = context;
	uint32_t number = a->number[i];

	cr_assert_eq(i, a->next++);
	cr_assert_eq(code, model[number] != 0 ? 0 : ERR_NOT_FOUND);
	if (code == 0)
		cr_assert_eq(memcmp(value.data, &model[number], 4), 0);
}

static void
check_many(struct index *x, uint64_t *seed)
{
	struct index_reader r = { .index = x };
	static struct asked a;
	static char memory[600][16];
	struct slice keys[600];
	struct err e;

	a.next = 0;
	for (unsigned i = 0; i < 600; i++) {
		a.number[i] = (uint32_t)(next_random(seed) % KEYS);
		keys[i] = key_make(a.number[i], memory[i]);
	}
	cr_assert_eq(index_get_many(&r, 600, keys, on_value, &a, &e), 0);
	cr_assert_eq(a.next, 600);
}

/* bulk: some stretches are written as a replay does, the first into an empty index. */
static void
last_write_is_seen(bool bulk)
{
	uint64_t seed = (uint64_t)getpid() * 2654435761u + 1;
	struct index_layer *l = index_layer_new();
	struct err e = ERR_INIT;
	struct index *x;

	cr_assert_eq(index_open(path, 1 << 20, &x, &e), 0, "%s", e.text);
	printf("# seed %llu\n", (unsigned long long)seed);
	memset(model, 0, sizeof(model));
	for (unsigned n = 1; n <= WRITES; n++) {
		if (bulk && n % 200 == 1)
			cr_assert_eq(index_bulk(x, n % 400 == 1, &e), 0, "%s", e.text);
		changes_make(l, &seed);
		cr_assert_eq(index_write(x, l, n, &e), 0, "%s", e.text);
		cr_assert_eq(index_layer_count(l), 0);
		check_get(x, (uint32_t)(next_random(&seed) % KEYS));
		if (n % 40 == 0)
			check_walk(x, (uint32_t)(next_random(&seed) % KEYS), KEYS);
		if (n % 50 == 0)
			check_many(x, &seed);
		if (n % 90 == 0)
			cr_assert_eq(index_flush(x, n % 180 == 0, &e), 0, "%s", e.text);
		if (n % 500 == 0) {
			index_close(&x);
			cr_assert_eq(index_open(path, 1 << 20, &x, &e), 0, "%s", e.text);
			cr_assert_eq(index_applied(x), n);
		}
	}
	for (uint32_t n = 0; n < KEYS; n++)
		check_get(x, n);
	check_walk(x, 0, KEYS);
	index_layer_free(l);
	index_close(&x);
}

Test(index_ahead, a_reader_sees_the_last_write)
{
	last_write_is_seen(false);
}

Test(index_ahead, and_among_very_many)
{
	last_write_is_seen(true);
}

Test(index_ahead, what_bulk_wrote_is_durable_and_a_left_table_harms_nobody)
{
	struct index_layer *l = index_layer_new();
	struct index_reader r = { .layer_count = 0 };
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	char left[80], key[16];
	FILE *f;

	snprintf(left, sizeof(left), "%s/bulk.table", path);
	for (uint32_t n = 1; n <= 3; n++) {
		cr_assert_eq(index_open(path, 1 << 20, &r.index, &e), 0, "%s", e.text);
		cr_assert_eq(index_applied(r.index), n - 1);
		f = fopen(left, "w");
		cr_assert_not_null(f);
		fputs("half a table", f);
		fclose(f);
		cr_assert_eq(index_bulk(r.index, true, &e), 0, "%s", e.text);
		index_put(l, key_make(n, key), SLICE_LITERAL("v"));
		index_delete(l, key_make(n - 1, key));
		cr_assert_eq(index_write(r.index, l, n, &e), 0, "%s", e.text);
		cr_assert_eq(index_bulk(r.index, false, &e), 0, "%s", e.text);
		cr_assert_neq(access(left, F_OK), 0);
		cr_assert_eq(index_get(&r, key_make(n, key), &out, &e), 0);
		cr_assert_eq(index_get(&r, key_make(n - 1, key), &out, &e), ERR_NOT_FOUND);
		index_close(&r.index);
	}
	index_layer_free(l);
	buf_release(&out);
}

Test(index_ahead, the_filter_denies_nothing_that_was_added)
{
	struct index_filter *f = filter_new();
	unsigned wrong = 0;
	char key[16];

	for (uint32_t n = 0; n < 200000; n++)
		filter_add(f, key_make(n, key));
	for (uint32_t n = 0; n < 200000; n++)
		cr_assert(filter_may_have(f, key_make(n, key)));
	for (uint32_t n = 200000; n < 400000; n++)
		wrong += filter_may_have(f, key_make(n, key));
	cr_assert_lt(wrong, 2000);
	filter_free(f);
}

/* --- parts ------------------------------------------------------------------------------------ */

struct sink {
	struct index_layer	*rows;		/* of all parts, in order */
	unsigned		 parts, tombstones, flushes;
	int			 rc;
};

static int
sink_write(void *context, const struct index_layer *rows, bool flush, struct err *e)
{
	struct sink *s = context;
	const struct layer_entry *x;

	if (s->rc < 0)
		return (err_set(e, s->rc, "the database is broken"));
	s->parts += rows != NULL;
	s->flushes += flush;
	for (x = rows != NULL ? layer_seek(rows, SLICE_NONE, false) : NULL; x != NULL;
	    x = layer_next(x)) {
		s->tombstones += x->deleted;
		if (x->deleted)
			index_delete(s->rows, x->key);
		else
			index_put(s->rows, x->key, SLICE(x->value, x->value_bytes));
	}
	return (0);
}

static const struct slice A = { "a", 1 }, B = { "b", 1 };

Test(index_ahead, what_was_fresh_and_died_is_never_written)
{
	struct sink s = { .rows = index_layer_new() };
	struct index_ahead *a = ahead_new(sink_write, &s);
	struct index_layer *l = index_layer_new();
	struct buf out = BUF_INIT;
	struct err e;

	index_put_fresh(l, A, B);
	index_put(l, B, B);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	cr_assert_eq(ahead_get(a, A, &out), AHEAD_FOUND);
	index_delete(l, A);
	index_delete(l, B);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	cr_assert_eq(ahead_get(a, A, &out), AHEAD_ABSENT);
	cr_assert_eq(ahead_get(a, B, &out), AHEAD_DELETED);
	cr_assert_eq(ahead_drain(a, &e), 0);
	cr_assert_eq(s.parts, 1);
	cr_assert_eq(s.tombstones, 1);
	cr_assert_null(layer_find(s.rows, A));
	/* It is in the database now: its end must get there too. */
	index_put_fresh(l, A, B);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	cr_assert_eq(ahead_drain(a, &e), 0);
	index_delete(l, A);
	index_put_fresh(l, A, B);	/* behind its own delete nobody knows what is older */
	index_delete(l, A);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	cr_assert_eq(ahead_drain(a, &e), 0);
	cr_assert(layer_find(s.rows, A)->deleted);
	cr_assert_eq(ahead_get(a, A, &out), AHEAD_ABSENT);
	ahead_free(a);
	index_layer_free(l);
	index_layer_free(s.rows);
	buf_release(&out);
}

Test(index_ahead, a_held_part_outlives_its_writing)
{
	struct sink s = { .rows = index_layer_new() };
	struct index_ahead *a = ahead_new(sink_write, &s);
	struct index_layer *l = index_layer_new();
	struct ahead_view v;
	struct err e;

	index_put(l, A, B);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	ahead_hold(a, &v);
	cr_assert_eq(ahead_flush_soon(a, &e), 0);
	cr_assert_eq(ahead_drain(a, &e), 0);
	cr_assert_eq(s.flushes, 1);
	cr_assert_eq(v.count, 1);
	ahead_lock(a);
	cr_assert_not_null(layer_find(ahead_rows(v.parts[0]), A));
	ahead_unlock(a);
	ahead_release(a, &v);
	ahead_free(a);
	index_layer_free(l);
	index_layer_free(s.rows);
}

Test(index_ahead, many_looks_bring_what_waits_to_the_database)
{
	struct sink s = { .rows = index_layer_new() };
	struct index_ahead *a = ahead_new(sink_write, &s);
	struct index_layer *l = index_layer_new();
	struct buf out = BUF_INIT;
	struct err e;

	index_put(l, A, B);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(ahead_get(a, B, &out), AHEAD_ABSENT);
	cr_assert_eq(ahead_get(a, A, &out), AHEAD_FOUND);
	for (unsigned i = 0; i < 10000 && ahead_get(a, A, &out) == AHEAD_FOUND; i++)
		if (i > 5000)
			usleep(1000);
	cr_assert_eq(ahead_get(a, A, &out), AHEAD_ABSENT);
	cr_assert_eq(s.parts, 1);
	cr_assert_not_null(layer_find(s.rows, A));
	ahead_free(a);
	index_layer_free(l);
	index_layer_free(s.rows);
	buf_release(&out);
}

Test(index_ahead, after_a_failed_write_everything_says_why)
{
	struct sink s = { .rows = index_layer_new(), .rc = ERR_IO };
	struct index_ahead *a = ahead_new(sink_write, &s);
	struct index_layer *l = index_layer_new();
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;

	index_put(l, A, B);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	cr_assert_eq(ahead_drain(a, &e), ERR_IO);
	cr_assert_not_null(strstr(e.text, "broken"), "%s", e.text);
	cr_assert_eq(ahead_add(a, l, &e), ERR_IO);
	cr_assert_eq(ahead_drain(a, &e), ERR_IO);
	cr_assert_eq(ahead_flush_soon(a, &e), ERR_IO);
	cr_assert_eq(ahead_get(a, A, &out), AHEAD_FOUND);
	ahead_free(a);
	index_layer_free(l);
	index_layer_free(s.rows);
	buf_release(&out);
}

/* So that what is under way can end; but not for ever. */
Test(index_ahead, without_room_what_comes_is_kept_up_to_a_bound)
{
	struct sink s = { .rows = index_layer_new(), .rc = ERR_FULL };
	struct index_ahead *a = ahead_new(sink_write, &s);
	struct index_layer *l = index_layer_new();
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	uint8_t value[65536] = { 0 };
	unsigned kept = 0;
	char key[16];

	index_put(l, A, B);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	cr_assert_eq(ahead_drain(a, &e), ERR_FULL);
	cr_assert_eq(ahead_failed(a, &e), ERR_FULL);
	cr_assert_eq(ahead_flush_soon(a, &e), ERR_FULL);
	for (int rc = 0; rc == 0; kept++) {
		snprintf(key, sizeof(key), "k%u", kept);
		index_put(l, slice_from_string(key), SLICE(value, sizeof(value)));
		rc = ahead_add(a, l, &e);
		cr_assert(rc == 0 || rc == ERR_FULL);
		cr_assert_lt(kept, 1000);
	}
	cr_assert_gt(kept, 100);
	cr_assert_eq(ahead_get(a, A, &out), AHEAD_FOUND);
	cr_assert_eq(ahead_get(a, SLICE_LITERAL("k0"), &out), AHEAD_FOUND);
	snprintf(key, sizeof(key), "k%u", kept - 2);
	cr_assert_eq(ahead_get(a, slice_from_string(key), &out), AHEAD_FOUND);
	ahead_free(a);
	index_layer_free(l);
	index_layer_free(s.rows);
	buf_release(&out);
}

/* As of deletes of a thousand keys each. */
Test(index_ahead, without_room_very_many_small_rows_and_tombstones_are_kept)
{
	struct sink s = { .rows = index_layer_new(), .rc = ERR_FULL };
	struct index_ahead *a = ahead_new(sink_write, &s);
	struct index_layer *l = index_layer_new();
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	uint32_t n = 0;
	char key[16];

	index_put(l, A, B);
	cr_assert_eq(ahead_add(a, l, &e), 0);
	cr_assert_eq(ahead_drain(a, &e), ERR_FULL);
	for (unsigned batch = 0; batch < 40; batch++) {
		for (unsigned i = 0; i < 4000; i++, n++)
			if (n % 2 == 0)
				index_delete(l, key_make(n, key));
			else
				index_put(l, key_make(n, key), B);
		cr_assert_eq(ahead_add(a, l, &e), 0, "batch %u: %s", batch, e.text);
	}
	cr_assert_eq(ahead_get(a, key_make(0, key), &out), AHEAD_DELETED);
	cr_assert_eq(ahead_get(a, key_make(n - 1, key), &out), AHEAD_FOUND);
	ahead_free(a);
	index_layer_free(l);
	index_layer_free(s.rows);
	buf_release(&out);
}

/* --- another thread reads --------------------------------------------------------------------- */

struct walker {
	struct index	*x;
	_Atomic bool	 stop;
	unsigned	 walks;
	bool		 good;
};

/* Keys only ever come: whoever walks meets at least those that were there when it began. */
static void *
walker_main(void *context)
{
	struct walker *w = context;
	struct index_reader r = { .index = w->x };
	unsigned least = 0, n;

	for (w->good = true; !w->stop; w->walks++, least = n) {
		struct index_iter *i = index_iter_new(&r, SLICE_LITERAL("k"), SLICE_LITERAL("l"));

		for (n = 0; index_iter_valid(i); index_iter_next(i))
			n++;
		index_iter_free(i);
		w->good &= n >= least;
	}
	return (NULL);
}

Test(index_ahead, another_thread_misses_no_row)
{
	struct index_layer *l = index_layer_new();
	struct walker w = { .stop = false };
	struct err e = ERR_INIT;
	pthread_t thread;
	char key[16];

	cr_assert_eq(index_open(path, 1 << 20, &w.x, &e), 0, "%s", e.text);
	cr_assert_eq(pthread_create(&thread, NULL, walker_main, &w), 0);
	for (uint32_t n = 1; n <= 40000; n++) {
		index_put_fresh(l, key_make(n * 7919u % 1000003u, key), SLICE_LITERAL("v"));
		if (n % 16 == 0)
			cr_assert_eq(index_write(w.x, l, n, &e), 0, "%s", e.text);
	}
	w.stop = true;
	pthread_join(thread, NULL);
	cr_assert(w.good);
	index_layer_free(l);
	index_close(&w.x);
}
