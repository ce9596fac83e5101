/*
 * test_object_feed - libobject/feed against a store that tells entries, falls silent, forgets, and
 * answers nonsense: the cursor goes on only over what was told, and is never lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "libobject/feed.h"
#include "tests/unit/object_world.h"

#define ENTRIES 25u

/* The store's side: entries k0, k1, ...; a cursor is the number of the next as text. */
struct teller {
	struct world	*world;
	int		 code;			/* answered instead; 0: none */
	size_t		 cursor_bytes;		/* of nonsense; SIZE_MAX: a real one */
	uint32_t	 max, wait_ms;		/* of the last question */
	unsigned	 asked;
};

/* The reader's side. */
struct reader {
	struct feed	*feed;
	bool		 done, close;
	int		 code;
	unsigned	 count, calls, next;	/* entries in all; number of the next expected */
	bool		 go_on;			/* asks again from inside the callback */
};

static struct world w;
static struct teller teller;
static struct reader reader;

static void
on_other(void *context, const Hf__StoreRequest *q, Hf__StoreReply *r)
{
	struct teller *t = context;
	unsigned at = 0, n;
	char text[32];

	cr_assert_eq(q->op_case, HF__STORE_REQUEST__OP_FEED_READ);
	t->asked++;
	t->max = q->feed_read->max;
	t->wait_ms = q->feed_read->wait_ms;
	if (q->feed_read->cursor.len > 0) {
		cr_assert_lt(q->feed_read->cursor.len, sizeof(text));
		memcpy(text, q->feed_read->cursor.data, q->feed_read->cursor.len);
		text[q->feed_read->cursor.len] = '\0';
		at = (unsigned)strtoul(text, NULL, 10);
	}
	n = t->code != 0 || at >= ENTRIES ? 0 : ENTRIES - at < t->max ? ENTRIES - at : t->max;
	r->code = t->code;
	r->feed = calloc(n + 1, sizeof(*r->feed));
	for (r->n_feed = 0; r->n_feed < n; r->n_feed++) {
		Hf__FeedEntry *f = r->feed[r->n_feed] = calloc(1, sizeof(*f));

		hf__feed_entry__init(f);
		snprintf(text, sizeof(text), "k%u", at + (unsigned)r->n_feed);
		f->key.data = (uint8_t *)strdup(text);
		f->key.len = strlen(text);
	}
	snprintf(text, sizeof(text), "%u", t->code == ERR_STALE ? ENTRIES : at + n);
	r->cursor.len = t->cursor_bytes == SIZE_MAX ? strlen(text) : t->cursor_bytes;
	r->cursor.data = calloc(1, r->cursor.len + sizeof(text));
	memcpy(r->cursor.data, text, strlen(text));
}

static void
on_entries(void *context, int code, Hf__FeedEntry *const *entries, size_t count,
    const struct err *e)
{
	struct reader *r = context;
	char text[16];

	cr_assert(code == 0 || (entries == NULL && count == 0 && e->code == code));
	r->calls++;
	r->code = code;
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "k%u", r->next++);
		cr_assert_eq(entries[i]->key.len, strlen(text));
		cr_assert_eq(memcmp(entries[i]->key.data, text, strlen(text)), 0, "%s", text);
	}
	r->count += (unsigned)count;
	r->done = !r->go_on || count == 0;
	if (r->close)
		feed_close(&r->feed);
	else if (!r->done)
		feed_next(r->feed, 7, 0, on_entries, r);
}

static void
setup(void)
{
	memset(&w, 0, sizeof(w));
	memset(&reader, 0, sizeof(reader));
	teller = (struct teller){ .world = &w, .cursor_bytes = SIZE_MAX };
	world_open(&w, 2, 1);
	for (unsigned i = 0; i < 1000 && objects_layout(w.objects) == NULL; i++)
		world_turn(&w);
	w.fake.other = on_other;
	w.fake.other_context = &teller;
	reader.feed = feed_open(w.objects, SLICE_NONE);
	cr_assert_eq(feed_cursor(reader.feed).bytes, 0);
}

static void
teardown(void)
{
	feed_close(&reader.feed);
	cr_assert_null(reader.feed);
	world_close(&w);
}

TestSuite(object_feed, .init = setup, .fini = teardown);

static void
next(uint32_t max)
{
	reader.done = false;
	feed_next(reader.feed, max, 0, on_entries, &reader);
	cr_assert_not(reader.done, "never from inside");
	world_until(&w, &reader.done);
}

static bool
cursor_is(const char *text)
{
	return (slice_equal(feed_cursor(reader.feed), slice_from_string(text)));
}

Test(object_feed, tells_each_once_page_by_page)
{
	next(10);
	cr_assert(reader.code == 0 && reader.count == 10 && cursor_is("10"));
	cr_assert_eq(teller.max, 10);
	next(10);
	next(10);
	cr_assert(reader.count == ENTRIES && cursor_is("25"));
	next(10);
	cr_assert(reader.code == 0 && reader.count == ENTRIES && cursor_is("25"), "nothing new");
}

Test(object_feed, asks_again_from_inside_its_callback)
{
	reader.go_on = true;
	next(7);
	cr_assert(reader.count == ENTRIES && reader.calls == 5 && cursor_is("25"));
}

Test(object_feed, goes_on_from_a_cursor_that_was_kept)
{
	char kept[FEED_CURSOR_MAX];
	size_t bytes;

	next(4);
	bytes = feed_cursor(reader.feed).bytes;
	memcpy(kept, feed_cursor(reader.feed).data, bytes);
	feed_close(&reader.feed);
	reader.feed = feed_open(w.objects, SLICE(kept, bytes));
	memset(kept, 0, sizeof(kept));		/* it was copied */
	next(4);
	cr_assert(reader.count == 8 && cursor_is("8"));
}

Test(object_feed, that_fell_behind_gets_a_cursor_of_now)
{
	next(3);
	teller.code = ERR_STALE;
	next(3);
	cr_assert(reader.code == ERR_STALE && reader.count == 3 && cursor_is("25"));
	teller.code = 0;
	next(3);
	cr_assert(reader.code == 0 && reader.count == 3, "from now on");
}

Test(object_feed, keeps_its_cursor_over_refusals)
{
	static const int codes[] = { ERR_BUSY, ERR_INVALID, ERR_VERSION, ERR_IO };

	next(5);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		teller.code = codes[i];
		next(5);
		cr_assert(reader.code == codes[i] && cursor_is("5"));
	}
	teller.code = 0;
	next(5);
	cr_assert(reader.count == 10 && cursor_is("10"));
}

Test(object_feed, does_not_take_a_cursor_that_is_none)
{
	next(5);
	teller.cursor_bytes = 0;
	next(5);
	cr_assert(reader.code == ERR_PROTOCOL && reader.count == 5 && cursor_is("5"));
	teller.cursor_bytes = FEED_CURSOR_MAX + 1;
	next(5);
	cr_assert(reader.code == ERR_PROTOCOL && cursor_is("5"));
	teller.cursor_bytes = SIZE_MAX;
	next(5);
	cr_assert(reader.code == 0 && reader.count == 10);
}

Test(object_feed, waits_for_a_store_that_restarts)
{
	next(5);
	fake_store_hang_up(&w.fake);
	reader.done = false;
	feed_next(reader.feed, 5, 0, on_entries, &reader);
	world_for(&w, 100);
	cr_assert_not(reader.done);
	fake_store_listen(&w.fake);
	world_until(&w, &reader.done);
	cr_assert(reader.code == 0 && reader.count == 10 && cursor_is("10"));
}

Test(object_feed, goes_on_after_its_session_was_lost)
{
	next(5);
	w.fake.lose_session = true;
	next(5);
	cr_assert(reader.code == 0 && reader.count == 10 && cursor_is("10"));
}

Test(object_feed, closed_while_it_asks_hears_nothing_more)
{
	next(5);
	w.fake.mute = true;
	feed_next(reader.feed, 5, 0, on_entries, &reader);
	while (teller.asked < 2)
		world_turn(&w);
	feed_close(&reader.feed);
	feed_close(&reader.feed);
	w.fake.mute = false;
	world_for(&w, 50);
	cr_assert_eq(reader.calls, 1);
}

Test(object_feed, may_be_closed_from_inside_its_callback)
{
	reader.close = true;
	next(5);
	cr_assert_null(reader.feed);
	world_for(&w, 20);
	cr_assert_eq(reader.calls, 1);
}

Test(object_feed, ends_with_the_objects_that_carry_it)
{
	next(5);
	w.fake.mute = true;
	reader.close = true;
	feed_next(reader.feed, 5, 60000, on_entries, &reader);
	while (teller.asked < 2)
		world_turn(&w);
	cr_assert_eq(teller.wait_ms, 60000);
	objects_close(&w.objects);
	cr_assert(reader.code == ERR_CANCELLED && reader.feed == NULL);
}
