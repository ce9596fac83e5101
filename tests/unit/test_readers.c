/*
 * test_readers - the readers' table: its slots, and the promise that nothing is taken away while a
 * reader needs it, by many processes that read while one frees.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libbase/clock.h"
#include "libstore/reader/gentable.h"
#include "libstore/reader/readers.h"
#include "schema/table.h"
#include "tests/unit/proof.h"

static int
memory(const char *name, off_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, bytes), 0);
	return (fd);
}

static struct readers *
readers_make(int fd)
{
	struct err e = ERR_INIT;
	struct readers *r;

	cr_assert_eq(readers_open(fd, &r, &e), 0, "%s", e.text);
	return (r);
}

Test(readers, slots_are_claimed_published_and_cleared)
{
	int fd = memory("readers", READERS_BYTES), a, b;
	struct readers *r = readers_make(fd), *other = readers_make(fd);

	cr_assert_eq(readers_oldest(r), UINT64_MAX);
	a = readers_claim(r, 11);
	cr_assert_geq(a, 0);
	cr_assert_eq(readers_claim(other, 11), a, "a session finds its slot again");
	b = readers_claim(other, 12);
	cr_assert_neq(a, b);
	cr_assert(readers_publish(r, a, 11, 500));
	cr_assert(readers_publish(other, b, 12, 400));
	cr_assert_eq(readers_oldest(r), 400);
	readers_clear(r, 12);		/* its process is dead */
	cr_assert_eq(readers_oldest(r), 500);
	cr_assert_not(readers_has(r, 12));
	cr_assert_not(readers_publish(other, b, 12, 300), "it has no slot any more");
	cr_assert_eq(readers_oldest(r), 500);
	cr_assert_eq(readers_claim(r, 13), b);
	readers_release(r, a, 11);
	cr_assert_eq(readers_oldest(r), UINT64_MAX);
	cr_assert_not(readers_has(r, 11));
	readers_publish(r, b, 13, 7);
	readers_keep(r, (uint64_t[]){ 1, 13 }, 2);
	cr_assert_eq(readers_oldest(r), 7);
	readers_keep(r, NULL, 0);
	cr_assert_eq(readers_oldest(r), UINT64_MAX);
	readers_close(&r);
	readers_close(&other);
	close(fd);
}

Test(readers, a_full_table_and_another_size_are_refused)
{
	int fd = memory("readers", READERS_BYTES), small = memory("small", 4096);
	struct readers *r = readers_make(fd), *none;
	struct err e = ERR_INIT;

	for (uint64_t i = 1; i <= READERS_COUNT; i++)
		cr_assert_geq(readers_claim(r, i), 0);
	cr_assert_eq(readers_claim(r, READERS_COUNT + 1), -1);
	cr_assert_geq(readers_claim(r, 5), 0);
	cr_assert_eq(readers_open(small, &none, &e), ERR_INVALID);
	cr_assert_null(none);
	readers_close(&r);
	close(fd);
	close(small);
}

Test(readers, many_claim_at_once, .timeout = 60)
{
	int fd = memory("readers", READERS_BYTES);
	struct readers *r = readers_make(fd);
	int taken = 0;

	for (uint64_t p = 0; p < 8; p++)
		if (fork() == 0) {
			for (uint64_t i = 0; i < READERS_COUNT / 8; i++)
				if (readers_claim(r, 1 + p * 1000 + i) < 0)
					_exit(1);
			_exit(0);
		}
	for (int p = 0; p < 8; p++) {
		int status;

		cr_assert_geq(wait(&status), 0);
		cr_assert_eq(status, 0);
	}
	for (uint64_t p = 0; p < 8; p++)
		for (uint64_t i = 0; i < READERS_COUNT / 8; i++)
			taken += readers_has(r, 1 + p * 1000 + i);
	cr_assert_eq(taken, READERS_COUNT);
	readers_close(&r);
	close(fd);
}

/* --- Nothing is taken away while a reader needs it. ------------------------------------------- */

#define PLACES	64
#define WORDS	32
#define READERS	6

/* What drives and index are to a store: where a name's bytes are, and the bytes. */
struct world {
	_Atomic uint64_t	address;	/* the committed state: LSN << 8 | place */
	/* each word: the LSN that put it, 0: punched */
	_Atomic uint64_t	places[PLACES][WORDS];
	_Atomic bool		stop;
	_Atomic uint64_t	reads, wrong;
	/* the rule P1 is broken: published after the lookup */
	bool			late;
	bool			blind;		/* P2 is broken: the store does not look */
};

static void
reader_once(struct world *w, struct gentable *t, struct readers *r, int slot, uint64_t owner)
{
	uint64_t address;

	if (!w->late)
		readers_publish(r, slot, owner, gentable_applied(t));
	address = atomic_load(&w->address);
	if (w->late) {
		sched_yield();
		readers_publish(r, slot, owner, gentable_applied(t));
	}
	for (int i = 0; i < WORDS; i++) {
		if (atomic_load_explicit(&w->places[address & 0xff][i], memory_order_relaxed) !=
		    address >> 8)
			atomic_fetch_add(&w->wrong, 1);
		if (i % 8 == 0)
			sched_yield();
	}
	readers_publish(r, slot, owner, 0);
	atomic_fetch_add(&w->reads, 1);
}

static void
reader_run(struct world *w, int table_fd, struct readers *r, uint64_t owner)
{
	struct gentable *t;
	int slot = readers_claim(r, owner);

	if (slot < 0 || gentable_open(table_fd, false, &t, NULL) < 0)
		_exit(1);
	while (!atomic_load(&w->stop))
		reader_once(w, t, r, slot, owner);
	_exit(0);
}

/* Puts anew all the time; punches what it replaced when nobody needs it. */
static void
store_run(struct world *w, struct gentable *t, struct readers *r, uint64_t end_ms)
{
	struct { uint64_t lsn, place; } freed[PLACES];
	unsigned first = 0, last = 0;
	uint64_t lsn = 1, place = 0;

	while (clock_mono_ms() < end_ms) {
		if (last - first < PLACES - 2) {
			freed[last % PLACES].place = place;
			place = (place + 1) % PLACES;
			lsn++;
			for (int i = 0; i < WORDS; i++)
				atomic_store(&w->places[place][i], lsn);
			atomic_store(&w->address, lsn << 8 | place);	/* applied */
			gentable_set_applied(t, lsn);
			freed[last++ % PLACES].lsn = lsn;
		}
		while (first != last && (w->blind ||
		    readers_oldest(r) >= freed[first % PLACES].lsn)) {
			for (int i = 0; i < WORDS; i++)
				atomic_store(&w->places[freed[first % PLACES].place][i], 0);
			first++;
		}
		if (lsn % 16 == 0)
			sched_yield();
	}
}

static void
world_run(struct world *w, uint64_t ms)
{
	int table_fd = memory("table", GENTABLE_BYTES), fd = memory("readers", READERS_BYTES);
	struct readers *r = readers_make(fd);
	struct gentable *t;
	pid_t pids[READERS];

	cr_assert_eq(gentable_open(table_fd, true, &t, NULL), 0);
	gentable_raise_epoch(t);
	gentable_set_applied(t, 1);
	atomic_store(&w->address, 1 << 8);
	for (int i = 0; i < WORDS; i++)
		atomic_store(&w->places[0][i], 1);
	for (uint64_t i = 0; i < READERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			reader_run(w, table_fd, r, i + 1);
	}
	store_run(w, t, r, clock_mono_ms() + ms);
	atomic_store(&w->stop, true);
	for (int i = 0; i < READERS; i++) {
		int status;

		cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
		cr_assert_eq(status, 0);
	}
	gentable_close(&t);
	readers_close(&r);
	close(fd);
	close(table_fd);
}

static struct world *
world_new(void)
{
	struct world *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	    -1, 0);

	cr_assert_neq(w, MAP_FAILED);
	return (w);
}

Test(readers, nothing_goes_while_a_reader_needs_it, .timeout = 60)
{
	struct world *w = world_new();

	world_run(w, 1500);
	proof_say("reads against reclaim", w->reads, "many processes, none saw what was gone");
	cr_assert_gt(w->reads, 100);
	cr_assert_eq(w->wrong, 0);
}

/* The test above sees it when a rule does not hold. */
Test(readers, a_reader_that_publishes_too_late_is_caught, .timeout = 60)
{
	struct world *w = world_new();

	w->late = true;
	for (int i = 0; i < 10 && w->wrong == 0; i++) {
		atomic_store(&w->stop, false);
		world_run(w, 500);
	}
	cr_assert_gt(w->wrong, 0);
}

Test(readers, a_store_that_does_not_look_is_caught, .timeout = 60)
{
	struct world *w = world_new();

	w->blind = true;
	for (int i = 0; i < 10 && w->wrong == 0; i++) {
		atomic_store(&w->stop, false);
		world_run(w, 300);
	}
	cr_assert_gt(w->wrong, 0);
}
