/*
 * test_gentable - rules of the table, and a stress with many processes that would see one stale
 * read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/gentable.h"

#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schema/table.h"

static int
table_fd(void)
{
	int fd = memfd_create("table", MFD_CLOEXEC);
	uint8_t key[GENTABLE_KEY_BYTES];

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, GENTABLE_BYTES), 0);
	random_bytes(key, sizeof(key));
	cr_assert_eq(pwrite(fd, key, sizeof(key), GENTABLE_KEY_OFFSET), (ssize_t)sizeof(key));
	return (fd);
}

Test(gentable, nothing_is_cached_before_a_store_has_come)
{
	int fd = table_fd();
	struct gentable *reader, *writer;
	struct gentable_mark mark;
	struct err e = ERR_INIT;

	cr_assert_eq(gentable_open(fd, false, &reader, &e), 0, "%s", e.text);
	cr_assert_not(gentable_note(reader, 5, &mark));
	cr_assert_not(gentable_current(reader, 5, &mark));
	cr_assert_eq(gentable_open(fd, true, &writer, &e), 0, "%s", e.text);
	cr_assert_not(gentable_note(reader, 5, &mark));		/* no epoch yet */
	gentable_raise_epoch(writer);
	cr_assert(gentable_note(reader, 5, &mark));
	cr_assert(gentable_current(reader, 5, &mark));
	gentable_close(&reader);
	gentable_close(&writer);
	cr_assert_null(writer);
	close(fd);
}

Test(gentable, a_change_ends_what_was_noted)
{
	int fd = table_fd();
	struct gentable *r, *w;
	struct gentable_mark before, during, after;

	cr_assert_eq(gentable_open(fd, true, &w, NULL), 0);
	cr_assert_eq(gentable_open(fd, false, &r, NULL), 0);
	gentable_raise_epoch(w);
	cr_assert(gentable_note(r, 7, &before));
	gentable_begin(w, 7);
	gentable_begin(w, 7);
	cr_assert_not(gentable_current(r, 7, &before));
	cr_assert_not(gentable_note(r, 7, &during));
	gentable_end(w, 7);
	gentable_end(w, 7);
	cr_assert_not(gentable_current(r, 7, &before));
	cr_assert_not(gentable_current(r, 7, &during));
	cr_assert(gentable_note(r, 7, &after));
	cr_assert(gentable_current(r, 7, &after));

	gentable_begin(w, 7);			/* the store dies here, and another comes */
	gentable_close(&w);
	cr_assert_eq(gentable_open(fd, true, &w, NULL), 0);
	gentable_raise_epoch(w);
	cr_assert_not(gentable_current(r, 7, &after));
	cr_assert(gentable_note(r, 7, &after));
	cr_assert_not(gentable_current(r, 8, &before));	/* other slots: the epoch ended them too */
	gentable_close(&w);
	gentable_close(&r);
	close(fd);
}

Test(gentable, other_sizes_and_magics_are_refused)
{
	int fd = table_fd();
	struct gentable *t;
	struct err e = ERR_INIT;
	uint64_t magic = 77;

	cr_assert_eq(pwrite(fd, &magic, 8, GENTABLE_MAGIC_OFFSET), 8);
	cr_assert_eq(gentable_open(fd, false, &t, &e), ERR_INVALID);
	cr_assert_null(t);
	cr_assert_eq(gentable_open(fd, true, &t, &e), ERR_INVALID);
	cr_assert_eq(ftruncate(fd, 4096), 0);
	cr_assert_eq(gentable_open(fd, false, &t, &e), ERR_INVALID);
	close(fd);
	cr_assert_lt(gentable_open(-1, false, &t, &e), 0);
}

Test(gentable, slots_are_spread_and_bound_to_both_names)
{
	static unsigned counts[GENTABLE_SLOTS];
	int fd = table_fd();
	struct gentable *t;
	unsigned i, most = 0;
	char key[32];

	cr_assert_eq(gentable_open(fd, true, &t, NULL), 0);
	for (i = 0; i < 4 * GENTABLE_SLOTS; i++) {
		unsigned slot;

		snprintf(key, sizeof(key), "key-%u", i);
		slot = gentable_object_slot(t, SLICE_LITERAL("bucket"), slice_from_string(key));
		cr_assert_lt(slot, GENTABLE_SLOTS);
		if (++counts[slot] > most)
			most = counts[slot];
	}
	cr_assert_lt(most, 32);
	cr_assert_neq(gentable_object_slot(t, SLICE_LITERAL("ab"), SLICE_LITERAL("c")) << 16 |
	    gentable_object_slot(t, SLICE_LITERAL("xb"), SLICE_LITERAL("c")),
	    gentable_object_slot(t, SLICE_LITERAL("a"), SLICE_LITERAL("bc")) << 16 |
	    gentable_object_slot(t, SLICE_LITERAL("x"), SLICE_LITERAL("bc")));
	gentable_close(&t);
	close(fd);
}

/* --- The stress. ------------------------------------------------------------------------------ */

/*
 * A toy store: values[slot] is what a question is answered with; `acknowledged` is raised after the
 * change is made and the slot is even, as an acknowledgement would be. A reader notes acknowledged
 * before it looks up; what it then gets, cached or asked, must not be older.
 */
#define NAMES	8
#define CHANGES	60000
#define HITS	1000		/* readers may get a core only after many changes */
#define READERS	4

struct toy {
	/* the store's state; written as plain relaxed stores */
	_Atomic uint64_t values[NAMES];
	_Atomic uint64_t acknowledged[NAMES];
	_Atomic int	 stop, failed;
	_Atomic uint64_t hits;
};

static void
toy_read(struct gentable *t, struct toy *toy, uint64_t cached[], struct gentable_mark marks[],
    unsigned n)
{
	uint64_t least = atomic_load_explicit(&toy->acknowledged[n], memory_order_acquire), got;

	if (gentable_current(t, n, &marks[n])) {
		got = cached[n];
		atomic_fetch_add_explicit(&toy->hits, 1, memory_order_relaxed);
	} else {
		bool may = gentable_note(t, n, &marks[n]);

		got = atomic_load_explicit(&toy->values[n], memory_order_relaxed);
		cached[n] = got;
		if (!may)
			marks[n] = (struct gentable_mark){ 0, 1 };
	}
	if (got < least)
		atomic_store(&toy->failed, 1);
}

static void *
toy_reader(void *arg)
{
	void **args = arg;
	struct toy *toy = args[0];
	struct gentable *t = args[1];
	uint64_t cached[NAMES] = { 0 };
	struct gentable_mark marks[NAMES];
	unsigned i = 0;

	for (i = 0; i < NAMES; i++)
		marks[i] = (struct gentable_mark){ 0, 1 };
	while (!atomic_load(&toy->stop))
		for (i = 0; i < 5000; i++)
			toy_read(t, toy, cached, marks, i % 7 == 0 ? (i / 7) % NAMES : 0);
	return (NULL);
}

static void
toy_process(int fd, struct toy *toy)
{
	struct gentable *t;
	pthread_t other;
	void *args[2] = { toy, NULL };

	if (gentable_open(fd, false, &t, NULL) < 0)
		_exit(2);
	args[1] = t;
	pthread_create(&other, NULL, toy_reader, args);
	toy_reader(args);
	pthread_join(other, NULL);
	_exit(0);
}

static void
toy_change(struct gentable *w, struct toy *toy, unsigned n, uint64_t value)
{
	gentable_begin(w, n);
	atomic_store_explicit(&toy->values[n], value, memory_order_relaxed);
	gentable_end(w, n);
	atomic_store_explicit(&toy->acknowledged[n], value, memory_order_release);
}

/* A store that dies in the middle: the change is visible, the slot odd, nothing acknowledged. */
static struct gentable *
toy_restart(struct gentable *w, int fd, struct toy *toy, uint64_t value)
{
	gentable_begin(w, 0);
	atomic_store_explicit(&toy->values[0], value, memory_order_relaxed);
	gentable_close(&w);
	cr_assert_eq(gentable_open(fd, true, &w, NULL), 0);
	gentable_raise_epoch(w);
	atomic_store_explicit(&toy->acknowledged[0], value, memory_order_release);
	return (w);
}

Test(gentable, no_stale_read_in_many_processes, .timeout = 120)
{
	int fd = table_fd(), status;
	struct toy *toy = mmap(NULL, sizeof(*toy), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct gentable *w;
	pid_t pids[READERS];
	uint64_t i;

	cr_assert_eq(gentable_open(fd, true, &w, NULL), 0);
	gentable_raise_epoch(w);
	for (i = 0; i < READERS; i++)
		if ((pids[i] = fork()) == 0)
			toy_process(fd, toy);
	for (i = 1; i <= CHANGES || atomic_load(&toy->hits) < HITS; i++) {
		toy_change(w, toy, i % 3 == 0 ? (unsigned)(i / 3 % NAMES) : 0, i);
		if (i % 1000 == 0)
			w = toy_restart(w, fd, toy, i);
		if (i % 64 == 0)
			sched_yield();
	}
	atomic_store(&toy->stop, 1);
	for (i = 0; i < READERS; i++) {
		cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
		cr_assert_eq(status, 0);
	}
	cr_assert_eq(atomic_load(&toy->failed), 0,
	    "a cached value was older than an acknowledged one");
	gentable_close(&w);
	close(fd);
}
