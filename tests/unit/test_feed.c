/*
 * test_feed - the change feed: everything once and in order, over pages, segments and restarts;
 * waiting; cursors that are none, are too old, or are somebody else's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/state/feed.h"
#include "tests/unit/state_world.h"

static struct world w;
static uint8_t cursor[FEED_CURSOR_BYTES];
static size_t cursor_bytes;

static void
setup(void)
{
	memset(&w, 0, sizeof(w));
	cursor_bytes = 0;
	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
}

static void
teardown(void)
{
	world_close(&w);
	world_remove(&w);
}

static void
feed_send(uint64_t sequence, uint32_t max, uint32_t wait_ms)
{
	WORLD_OP(feed_read, FeedRead, FEED_READ);

	op.cursor = (ProtobufCBinaryData){ cursor_bytes, cursor };
	op.max = max;
	op.wait_ms = wait_ms;
	world_send(&w, sequence, &q);
}

static void
cursor_take(const Hf__StoreReply *r)
{
	cr_assert_eq(r->cursor.len, FEED_CURSOR_BYTES);
	memcpy(cursor, r->cursor.data, FEED_CURSOR_BYTES);
	cursor_bytes = FEED_CURSOR_BYTES;
}

/* Reads what is there now, and goes on behind it. */
static const Hf__StoreReply *
feed_ask(uint64_t sequence, uint32_t max)
{
	feed_send(sequence, max, 0);
	world_settle(&w);
	cr_assert_eq(world_code(&w, sequence), 0, "%s", w.replies[sequence]->error);
	cursor_take(w.replies[sequence]);
	return (w.replies[sequence]);
}

static void
entry_is(const Hf__FeedEntry *f, Hf__FeedEntry__Kind kind, const char *key)
{
	cr_assert_eq(f->kind, kind, "%d, not %d", (int)f->kind, (int)kind);
	cr_assert_str_eq(f->bucket, "b");
	cr_assert_eq(f->key.len, strlen(key));
	cr_assert(f->key.len == 0 || memcmp(f->key.data, key, f->key.len) == 0);
}

TestSuite(feed, .init = setup, .fini = teardown, .timeout = 60);

Test(feed, tells_what_happened_in_order)
{
	const Hf__StoreReply *r;

	cr_assert_eq(feed_ask(1, 0)->n_feed, 0);
	world_bucket_put(&w, 2, "b");
	world_settle(&w);
	world_put(&w, 3, "b", "k", "one", NULL);
	world_put(&w, 4, "b", "l", "two", NULL);
	world_settle(&w);
	world_put(&w, 5, "b", "k", "three", NULL);
	world_settle(&w);
	world_delete(&w, 6, "b", "l");
	world_settle(&w);
	r = feed_ask(7, 0);
	cr_assert_eq(r->n_feed, 5);
	entry_is(r->feed[0], HF__FEED_ENTRY__KIND__BUCKET_PUT, "");
	entry_is(r->feed[1], HF__FEED_ENTRY__KIND__PUT, "k");
	entry_is(r->feed[2], HF__FEED_ENTRY__KIND__PUT, "l");
	entry_is(r->feed[3], HF__FEED_ENTRY__KIND__PUT, "k");
	entry_is(r->feed[4], HF__FEED_ENTRY__KIND__DELETE, "l");
	cr_assert_eq(r->feed[3]->entry->bytes, 5);
	cr_assert_not_null(r->feed[3]->entry->place);
	cr_assert_gt(r->feed[3]->entry->origin_lsn, r->feed[1]->entry->origin_lsn);
	cr_assert_eq(feed_ask(8, 0)->n_feed, 0);
}

Test(feed, a_bucket_that_is_gone_has_no_name)
{
	const Hf__StoreReply *r;

	feed_ask(1, 0);
	world_bucket_put(&w, 2, "b");
	world_settle(&w);
	world_put(&w, 3, "b", "k", "x", NULL);
	world_settle(&w);
	world_delete(&w, 4, "b", "k");
	world_settle(&w);
	world_bucket_delete(&w, 5, "b");
	world_settle(&w);
	r = feed_ask(6, 0);
	cr_assert_eq(r->n_feed, 4);
	cr_assert_str_eq(r->feed[1]->bucket, "");
	cr_assert_eq(r->feed[1]->bucket_id, r->feed[0]->bucket_id);
	cr_assert_str_eq(r->feed[3]->bucket, "b");
	cr_assert_eq(r->feed[3]->kind, HF__FEED_ENTRY__KIND__BUCKET_DELETE);
}

Test(feed, pages_tell_everything_once_over_restarts)
{
	unsigned seen = 0;
	uint64_t s = 2;
	char key[16];

	feed_ask(1, 0);
	world_bucket_put(&w, s++, "b");
	world_settle(&w);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "k%03u", i);
		world_put(&w, s++, "b", key, "x", NULL);
		if (i % 9 == 0)
			world_settle(&w);
		if (i == 90) {
			world_settle(&w);
			world_close(&w);
			world_open(&w);
			world_session(&w, 2);
		}
	}
	world_settle(&w);
	while (seen < 201) {
		const Hf__StoreReply *r = feed_ask(s++, 7);

		cr_assert(r->n_feed > 0 && r->n_feed <= 7, "%zu entries", r->n_feed);
		for (size_t i = 0; i < r->n_feed; i++, seen++) {
			snprintf(key, sizeof(key), "k%03u", seen - 1);
			if (seen > 0)
				entry_is(r->feed[i], HF__FEED_ENTRY__KIND__PUT, key);
		}
	}
	cr_assert_eq(feed_ask(s++, 0)->n_feed, 0);
}

Test(feed, a_reader_waits_for_a_change)
{
	struct pollfd p = { .events = POLLIN };

	world_bucket_put(&w, 1, "b");
	world_settle(&w);
	feed_ask(2, 0);
	feed_send(3, 0, 1000);
	state_turn(w.state, w.now_ms);
	cr_assert_eq(w.answers[3], 0);
	cr_assert_eq(state_next_ms(w.state), w.now_ms + 1000);
	world_put(&w, 4, "b", "k", "x", NULL);
	p.fd = log_wake_fd(w.log);
	for (int i = 0; i < 10 && w.answers[3] == 0; i++) {
		state_turn(w.state, w.now_ms);
		poll(&p, 1, 1000);
		state_collect(w.state, w.now_ms);
	}
	world_settle(&w);
	cr_assert_eq(world_code(&w, 3), 0);
	cr_assert_eq(w.replies[3]->n_feed, 1);
	cursor_take(w.replies[3]);
	/* And in vain. */
	feed_send(5, 0, 1000);
	state_turn(w.state, w.now_ms);
	cr_assert_eq(w.answers[5], 0);
	w.now_ms += 1000;
	world_settle(&w);
	cr_assert_eq(world_code(&w, 5), 0);
	cr_assert_eq(w.replies[5]->n_feed, 0);
}

Test(feed, a_session_that_ends_leaves_no_reader)
{
	feed_send(1, 0, 60000);
	state_turn(w.state, w.now_ms);
	state_session_end(w.state, w.session);
	world_settle(&w);
	cr_assert_eq(w.ended, 1);
	cr_assert(state_idle(w.state));
}

Test(feed, strange_cursors)
{
	uint8_t other[16] = { 7 };
	struct feed_at at = { .lsn = UINT64_C(1) << 40 };

	memset(cursor, 'x', sizeof(cursor));
	cursor[0] = 1;
	cursor_bytes = sizeof(cursor);
	feed_send(1, 0, 0);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 1), ERR_INVALID);
	cursor[0] = 200;
	feed_send(2, 0, 0);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 2), ERR_VERSION);
	feed_cursor_encode(&at, other, cursor);
	feed_send(3, 0, 0);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 3), ERR_STALE);
	feed_cursor_encode(&at, drive_set_deployment(w.drives), cursor);
	feed_send(4, 0, 0);
	world_settle(&w);
	cr_assert_eq(world_code(&w, 4), ERR_STALE);
	cursor_take(w.replies[4]);
	cr_assert_eq(feed_ask(5, 0)->n_feed, 0);	/* where to go on */
}

Test(feed, a_wrong_hint_costs_a_search_only)
{
	struct feed_at at;
	struct err e = ERR_INIT;

	feed_ask(1, 0);
	world_bucket_put(&w, 2, "b");
	world_settle(&w);
	world_put(&w, 3, "b", "k", "x", NULL);
	world_settle(&w);
	cr_assert_eq(feed_cursor_parse(SLICE(cursor, cursor_bytes), drive_set_deployment(w.drives),
	    &at, &e), 0);
	for (uint64_t offset = 0; offset < 40000; offset += 512) {
		struct feed_at wrong = { at.lsn, at.segment != 0 ? at.segment : 1, offset };
		unsigned before = 10 + (unsigned)(offset / 512);

		feed_cursor_encode(&wrong, drive_set_deployment(w.drives), cursor);
		cr_assert_eq(feed_ask(before, 0)->n_feed, 2, "offset %lu", (unsigned long)offset);
	}
}
