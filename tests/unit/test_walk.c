/*
 * test_walk - walks: what a checkpoint holds, who shares it, how long it stays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/state_world.h"

static struct world w;
static uint64_t sequence;

struct walk { uint8_t id[16]; char directory[256]; uint64_t lsn, age_ms; int code; };

static void
setup(void)
{
	world_make(&w);
	world_open(&w);
	world_session(&w, 1);
	sequence = 0;
	world_bucket_put(&w, ++sequence, "b");
	world_settle(&w);
}

static void
teardown(void)
{
	world_close(&w);
	world_remove(&w);
}

TestSuite(walk, .init = setup, .fini = teardown);

static void
put(const char *key)
{
	world_put(&w, ++sequence, "b", key, "body", NULL);
	world_settle(&w);
}

static struct walk
walk_of(const Hf__StoreReply *r)
{
	struct walk out = { .code = r->code };

	if (r->code < 0)
		return (out);
	cr_assert_not_null(r->walk);
	cr_assert_eq(r->walk->walk.len, 16);
	cr_assert_gt(r->cursor.len, 0);
	memcpy(out.id, r->walk->walk.data, 16);
	snprintf(out.directory, sizeof(out.directory), "%s", r->walk->directory);
	out.lsn = r->lsn;
	out.age_ms = r->walk->age_ms;
	return (out);
}

static struct walk
walk_open(uint64_t max_age_ms)
{
	WORLD_OP(walk_open, WalkOpen, WALK_OPEN);

	op.max_age_ms = max_age_ms;
	return (walk_of(world_ask(&w, ++sequence, &q)));
}

static struct walk
walk_keep(const struct walk *walk)
{
	WORLD_OP(walk_keep, WalkKeep, WALK_KEEP);

	op.walk = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)walk->id };
	return (walk_of(world_ask(&w, ++sequence, &q)));
}

static void
walk_close(const struct walk *walk)
{
	WORLD_OP(walk_close, WalkClose, WALK_CLOSE);

	op.walk = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)walk->id };
	cr_assert_eq(world_ask(&w, ++sequence, &q)->code, 0);
}

static unsigned
objects(const struct walk *walk)
{
	struct index_reader r = { .layer_count = 0 };
	struct err e = ERR_INIT;
	struct index *x;
	struct index_iter *i;
	unsigned n = 0;

	cr_assert_eq(index_open_read_only(walk->directory, 1 << 20, &x, &e), 0, "%s", e.text);
	cr_assert_eq(index_applied(x), walk->lsn);
	r.index = x;
	i = index_iter_new(&r, SLICE_LITERAL("O"), SLICE_LITERAL("P"));
	for (; index_iter_valid(i); index_iter_next(i))
		n++;
	index_iter_free(i);
	index_close(&x);
	return (n);
}

static bool
there(const struct walk *walk)
{
	return (access(walk->directory, F_OK) == 0);
}

static void
pass(uint64_t ms)
{
	w.now_ms += ms;
	state_turn(w.state, w.now_ms);
}

Test(walk, has_everything_that_was_answered_and_nothing_later)
{
	struct walk first, second;

	put("k1");
	first = walk_open(0);
	cr_assert_eq(first.code, 0);
	put("k2");
	second = walk_open(0);
	cr_assert_eq(objects(&first), 1);
	cr_assert_eq(objects(&second), 2);
	cr_assert_gt(second.lsn, first.lsn);
	cr_assert_eq(objects(&first), 1, "reading changes nothing");
}

Test(walk, is_shared_by_who_allows_its_age)
{
	struct walk first = walk_open(0), shared, fresh;

	put("k");
	pass(500);
	shared = walk_open(1000);
	cr_assert_str_eq(shared.directory, first.directory);
	cr_assert_neq(memcmp(shared.id, first.id, 16), 0, "each walk is its own");
	cr_assert_eq(shared.age_ms, 500);
	fresh = walk_open(499);
	cr_assert_str_neq(fresh.directory, first.directory);
	cr_assert_eq(objects(&fresh), 1);
}

Test(walk, lapses_unless_it_is_kept)
{
	struct walk walk = walk_open(0);

	for (unsigned i = 0; i < 50; i++) {
		pass(900);
		cr_assert_eq(walk_keep(&walk).code, 0);
	}
	cr_assert(there(&walk));
	pass(1000);
	cr_assert_eq(walk_keep(&walk).code, ERR_STALE);
	cr_assert(there(&walk), "somebody may share it for a while");
	pass(30000);
	cr_assert_not(there(&walk));
}

Test(walk, that_is_closed_goes_after_the_last_holder)
{
	struct walk one = walk_open(0), other = walk_open(60000);

	cr_assert_str_eq(one.directory, other.directory);
	walk_close(&one);
	walk_close(&one);	/* again: nothing to close */
	for (unsigned i = 0; i < 40; i++) {
		pass(900);
		cr_assert_eq(walk_keep(&other).code, 0);
	}
	cr_assert_eq(walk_keep(&one).code, ERR_STALE);
	walk_close(&other);
	pass(30000);
	cr_assert_not(there(&one));
	cr_assert_eq(state_next_ms(w.state), UINT64_MAX, "idle");
}

Test(walk, ends_with_its_life_though_it_is_kept)
{
	struct walk walk = walk_open(0);
	unsigned i;

	for (i = 0; i < 200 && walk_keep(&walk).code == 0; i++)
		pass(900);
	cr_assert_eq(i, 112, "%u times 900 ms", i);
	cr_assert_not(there(&walk));
}

Test(walk, ends_with_its_session)
{
	struct walk walk = walk_open(0);

	state_session_end(w.state, w.session);
	world_settle(&w);
	cr_assert_eq(w.ended, 1);
	pass(30000);
	cr_assert_not(there(&walk));
}

Test(walk, of_another_session_cannot_be_kept)
{
	struct walk walk = walk_open(0);

	world_session(&w, 2);
	cr_assert_eq(walk_keep(&walk).code, ERR_STALE);
	walk_close(&walk);
	pass(500);
	cr_assert(there(&walk));
}

Test(walk, checkpoints_and_walks_are_few)
{
	struct walk walks[4], more;
	unsigned n;

	for (n = 0; n < 4; n++) {
		put("k");
		walks[n] = walk_open(0);
		cr_assert_eq(walks[n].code, 0);
	}
	cr_assert_eq(walk_open(0).code, ERR_BUSY);
	more = walk_open(10000);	/* a shared one is one too many for nobody */
	cr_assert_str_eq(more.directory, walks[3].directory);
	walk_close(&walks[1]);
	more = walk_open(0);		/* the one that nobody holds makes room */
	cr_assert_eq(more.code, 0);
	cr_assert_not(there(&walks[1]));
	for (n = 0; n < 100 && walk_open(10000).code == 0; n++)
		;
	cr_assert_eq(n, 59, "%u", n);
}

Test(walk, of_an_earlier_store_is_stale)
{
	struct walk walk = walk_open(0);

	world_close(&w);
	cr_assert_not(there(&walk), "a store that stops leaves nothing");
	world_open(&w);
	world_session(&w, 1);
	cr_assert_eq(walk_keep(&walk).code, ERR_STALE);
	cr_assert_eq(walk_open(0).code, 0);
}
