/*
 * test_stale_reads - many processes cache what one store changes, through the generation table:
 * none ever uses a value that is older than one that was acknowledged before it looked.
 *
 * The store is a toy, the table and its rules (gentable.h) are the real ones. 32 names
 * share two slots, so that almost every change hits an entry that it does not concern; and a name
 * is changed while others of its slot are looked up. The store dies now and then: in the middle of
 * a change, or with one that is durable and that only its successor makes visible.
 *
 * Then each rule is broken on purpose, one at a time, and the same run must catch it. Every step
 * where a rule matters gives the processor away, so that the others get between.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/bytes.h"
#include "libbase/clock.h"
#include "libstore/reader/gentable.h"
#include "schema/table.h"
#include "tests/unit/proof.h"

#define NAMES		32
#define SLOTS		2
#define READERS		4
#define HITS		2000
#define CAUGHT_MS	20000

enum broken {
	NOTHING,
	VISIBLE_BEFORE_ODD,	/* G1 */
	ACKNOWLEDGED_BEFORE_ODD,
	SERVED_BEFORE_THE_EPOCH,
	NOTED_AFTER_ASKING,	/* G2 */
	CACHED_UNDER_ODD,
	USED_WITHOUT_LOOKING,
};

struct toy {
	/* The store's state: what a question is answered with. */
	_Atomic uint64_t values[NAMES];
	/* What a client was told is done. A reader that began later must see it. */
	_Atomic uint64_t acknowledged[NAMES];
	_Atomic uint64_t hits, stale;
	_Atomic int	 stop;
	enum broken	 broken;
};

struct cached { uint64_t value; struct gentable_mark mark; };

static uint32_t
slot_of(unsigned name)
{
	return (name % SLOTS);
}

static void
others_run(unsigned *dice)
{
	*dice = *dice * 1103515245u + 12345u;
	if (*dice >> 16 & 3)
		sched_yield();
}

/* --- a reader --- */

static bool
usable(const struct toy *toy, const struct gentable *t, unsigned name, const struct cached *c)
{
	if (toy->broken == USED_WITHOUT_LOOKING)
		return (c->mark.epoch != 0);
	return (gentable_current(t, slot_of(name), &c->mark));
}

/* Asks, and caches under what was noted. */
static uint64_t
ask(const struct toy *toy, const struct gentable *t, unsigned name, struct cached *c,
    unsigned *dice)
{
	bool may = false;

	if (toy->broken != NOTED_AFTER_ASKING)
		may = gentable_note(t, slot_of(name), &c->mark);
	others_run(dice);
	c->value = atomic_load_explicit(&toy->values[name], memory_order_relaxed);
	others_run(dice);
	if (toy->broken == NOTED_AFTER_ASKING)
		may = gentable_note(t, slot_of(name), &c->mark);
	if (!may && toy->broken == CACHED_UNDER_ODD && c->mark.epoch != 0)
		c->mark.value++;	/* what it will be */
	else if (!may)
		c->mark = (struct gentable_mark){ 0, 1 };
	return (c->value);
}

static void
read_one(struct toy *toy, const struct gentable *t, unsigned name, struct cached *c, unsigned *dice)
{
	uint64_t least = atomic_load_explicit(&toy->acknowledged[name], memory_order_acquire), got;

	if (usable(toy, t, name, c)) {
		got = c->value;
		atomic_fetch_add_explicit(&toy->hits, 1, memory_order_relaxed);
	} else {
		got = ask(toy, t, name, c, dice);
	}
	if (got < least)
		atomic_fetch_add(&toy->stale, 1);
}

static void
reader(int fd, struct toy *toy, unsigned dice)
{
	struct cached cached[NAMES] = { 0 };
	struct gentable *t;

	if (gentable_open(fd, false, &t, NULL) < 0)
		_exit(2);
	for (unsigned i = 0; i < NAMES; i++)
		cached[i].mark = (struct gentable_mark){ 0, 1 };
	while (!atomic_load(&toy->stop)) {
		unsigned name = (dice = dice * 1103515245u + 12345u) >> 16 & (NAMES - 1);

		for (int i = 0; i < 4; i++)	/* the same again: it may be cached now */
			read_one(toy, t, name, &cached[name], &dice);
	}
	_exit(0);
}

/* --- the store --- */

static void
make_visible(struct toy *toy, unsigned name, uint64_t value)
{
	atomic_store_explicit(&toy->values[name], value, memory_order_relaxed);
}

static void
acknowledge(struct toy *toy, unsigned name, uint64_t value)
{
	atomic_store_explicit(&toy->acknowledged[name], value, memory_order_release);
}

static void
change(struct gentable *w, struct toy *toy, unsigned name, uint64_t value, unsigned *dice)
{
	if (toy->broken == ACKNOWLEDGED_BEFORE_ODD)
		acknowledge(toy, name, value);
	if (toy->broken == VISIBLE_BEFORE_ODD) {
		/* All of it before the slot says so. */
		make_visible(toy, name, value);
		others_run(dice);
		acknowledge(toy, name, value);
		others_run(dice);
	}
	gentable_begin(w, slot_of(name));
	others_run(dice);
	make_visible(toy, name, value);
	others_run(dice);
	gentable_end(w, slot_of(name));
	acknowledge(toy, name, value);
}

/* It dies; its successor finds a change durable that may be visible already, or not. */
static struct gentable *
die(struct gentable *w, int fd, struct toy *toy, unsigned name, uint64_t value, unsigned *dice)
{
	if (value % 2 == 0) {
		gentable_begin(w, slot_of(name));
		others_run(dice);
		make_visible(toy, name, value);
	}
	gentable_close(&w);
	cr_assert_eq(gentable_open(fd, true, &w, NULL), 0);
	others_run(dice);
	make_visible(toy, name, value);		/* replayed */
	if (toy->broken != SERVED_BEFORE_THE_EPOCH)
		gentable_raise_epoch(w);
	else
		gentable_end(w, slot_of(name));
	acknowledge(toy, name, value);
	return (w);
}

static void
store(int fd, struct gentable *w, struct toy *toy)
{
	uint64_t end = clock_mono_ms() + CAUGHT_MS, value;
	unsigned dice = 7;

	for (value = 1; clock_mono_ms() < end; value++) {
		unsigned name = (dice = dice * 1103515245u + 12345u) >> 16 & (NAMES - 1);

		if (value % 200 == 0 || value % 333 == 0)
			w = die(w, fd, toy, name, value, &dice);
		else
			change(w, toy, name, value, &dice);
		for (int i = 0; i < 3; i++)
			others_run(&dice);
		if (atomic_load(&toy->stale) > 0 || (toy->broken == NOTHING && value > 20000 &&
		    atomic_load(&toy->hits) > HITS))
			break;
	}
	gentable_close(&w);
}

static uint64_t
run(enum broken broken)
{
	struct toy *toy = mmap(NULL, sizeof(*toy), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("table", MFD_CLOEXEC), status;
	struct gentable *w;
	pid_t pids[READERS];

	cr_assert_neq(toy, MAP_FAILED);
	cr_assert_eq(ftruncate(fd, GENTABLE_BYTES), 0);
	toy->broken = broken;
	cr_assert_eq(gentable_open(fd, true, &w, NULL), 0);
	gentable_raise_epoch(w);
	for (unsigned i = 0; i < READERS; i++)
		if ((pids[i] = fork()) == 0)
			reader(fd, toy, i + 1);
	store(fd, w, toy);
	atomic_store(&toy->stop, 1);
	for (unsigned i = 0; i < READERS; i++) {
		cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
		cr_assert_eq(status, 0);
	}
	close(fd);
	if (broken == NOTHING)
		proof_say("cache uses", toy->hits, "many processes, collisions forced, stores "
		    "restarted: none stale");
	cr_assert(broken != NOTHING || toy->hits > HITS, "nothing was used from a cache");
	return (toy->stale);
}

Test(stale_reads, none_while_the_rules_hold, .timeout = 120)
{
	cr_assert_eq(run(NOTHING), 0);
}

#define BROKEN(name, RULE) \
	Test(stale_reads, name, .timeout = 120) { cr_assert_gt(run(RULE), 0, "not caught"); }

BROKEN(caught_when_a_change_is_visible_before_its_slot_is_odd, VISIBLE_BEFORE_ODD)
BROKEN(caught_when_a_change_is_acknowledged_before_its_slot_is_odd, ACKNOWLEDGED_BEFORE_ODD)
BROKEN(caught_when_a_store_serves_before_it_raised_the_epoch, SERVED_BEFORE_THE_EPOCH)
BROKEN(caught_when_a_reader_notes_after_it_asked, NOTED_AFTER_ASKING)
BROKEN(caught_when_a_reader_caches_under_an_odd_slot, CACHED_UNDER_ODD)
BROKEN(caught_when_a_reader_does_not_look_again, USED_WITHOUT_LOOKING)
