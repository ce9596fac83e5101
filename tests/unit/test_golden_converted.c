/*
 * test_golden_converted - converted segments that earlier programs left are read by this one, with
 * all drives and without as many as may be lost.
 *
 * tests/golden/v1/converted.tar.xz was made with:
 *	mkdir OUT; HOLDFAST_GOLDEN_MAKE=OUT tests/unit/test_golden_converted
 *	tar -C OUT -cS d0 d1 d2 d3 | xz -9e >tests/golden/v1/converted.tar.xz
 * It is made anew only for a new version, in a directory of that version; this one stays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/convert_world.h"
#include "tests/unit/golden.h"

Test(golden_converted, make, .timeout = 60)
{
	const char *out = golden_out();

	world_make(&w);
	world_fill_here();
	world_reopen();
	cr_assert_gt(convert_all(1), 0);
	world_reopen();
	all_check();
	world_close(&w);
	golden_leave(&w, out);
	world_remove(&w);
}

static void
drive_move(unsigned drive, bool away)
{
	char here[128], there[128];

	snprintf(here, sizeof(here), "%s/d%u", w.directory, drive);
	snprintf(there, sizeof(there), "%s/away%u", w.directory, drive);
	cr_assert_eq(rename(away ? here : there, away ? there : here), 0);
}

Test(golden_converted, every_object_of_version_1_is_read, .timeout = 60)
{
	Hf__CatalogSegment *row;

	golden_unpack(&w, "v1/converted.tar.xz");
	w.now_ms = 1;
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < a; b++) {
			drive_move(a, true);
			drive_move(b, true);
			world_index_remove(&w);
			world_open(&w);
			all_check();
			world_close(&w);
			drive_move(a, false);
			drive_move(b, false);
		}
	world_open(&w);
	row = catalog_segment(w.drives, segment_in(CONVERTED));
	cr_assert(row != NULL && row->k == 2 && row->m == 2);
	hf__catalog_segment__free_unpacked(row, NULL);
	all_check();
	world_close(&w);
	world_remove(&w);
}
