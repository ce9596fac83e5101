/*
 * test_arena - the bound, alignment, zeroing and reuse of an arena.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <string.h>

#include "libbase/arena.h"

Test(arena, pieces_are_zeroed_aligned_and_apart)
{
	struct arena a;
	uint8_t *p[200];
	unsigned i, j;

	arena_init(&a, 1 << 20);
	for (i = 0; i < 200; i++) {
		size_t n = 1 + i * 7;

		p[i] = arena_alloc(&a, n);
		cr_assert_eq((uintptr_t)p[i] % 16, 0);
		for (j = 0; j < n; j++)
			cr_assert_eq(p[i][j], 0);
		memset(p[i], (int)i, n);
	}
	for (i = 0; i < 200; i++)
		for (j = 0; j < 1 + i * 7; j++)
			cr_assert_eq(p[i][j], (uint8_t)i);
	arena_release(&a);
}

Test(arena, the_bound_holds)
{
	struct arena a;

	arena_init(&a, 100);
	cr_assert_not_null(arena_alloc(&a, 60));
	cr_assert_null(arena_alloc(&a, 41));
	cr_assert_not_null(arena_alloc(&a, 40));
	cr_assert_null(arena_alloc(&a, 1));
	cr_assert_null(arena_alloc(&a, SIZE_MAX));
	cr_assert_null(arena_string(&a, SLICE_LITERAL("x")));
	cr_assert_null(arena_slice(&a, SLICE_LITERAL("x")).data);
	cr_assert_null(arena_printf(&a, "%d", 1));
	arena_reset(&a);
	cr_assert_not_null(arena_alloc(&a, 100));
	arena_release(&a);
}

Test(arena, reset_reuses_memory_clean)
{
	struct arena a;
	unsigned round, i;

	arena_init(&a, 1 << 20);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 100; i++) {
			char *p = arena_alloc(&a, 333);

			cr_assert_eq(p[0] | p[332], 0);
			memset(p, 0xff, 333);
		}
		cr_assert_not_null(arena_alloc(&a, 100000));
		arena_reset(&a);
		cr_assert_eq(a.bytes, 0);
	}
	arena_release(&a);
}

Test(arena, texts)
{
	struct arena a;
	struct slice s;

	arena_init(&a, 1000);
	cr_assert_str_eq(arena_string(&a, SLICE("abcdef", 3)), "abc");
	cr_assert_str_eq(arena_string(&a, SLICE_NONE), "");
	s = arena_slice(&a, SLICE_LITERAL("q\0r"));
	cr_assert(slice_equal(s, SLICE_LITERAL("q\0r")));
	cr_assert_str_eq(arena_printf(&a, "%s-%d", "n", 5), "n-5");
	arena_release(&a);
}
