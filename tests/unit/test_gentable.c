/*
 * test_gentable - opening, slots, marks and epochs. The stress is test_stale_reads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/reader/gentable.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <sys/mman.h>
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
