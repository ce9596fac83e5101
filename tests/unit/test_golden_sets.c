/*
 * test_golden_sets - the drives of a store of two sets, whose catalogs are of version 2, are read
 * by this program.
 *
 * tests/golden/v2/sets.tar.xz was made with:
 *	mkdir OUT; HOLDFAST_GOLDEN_MAKE=OUT tests/unit/test_golden_sets
 *	tar -C OUT -cS d0 d1 d2 d3 d4 d5 d6 d7 | xz -9e >tests/golden/v2/sets.tar.xz
 * It is made anew only for a new version, in a directory of that version; this one stays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/log/segment_judge.h"
#include "libstore/volume/volume.h"
#include "tests/unit/golden.h"

#define OLD 4
#define ALL 8
#define VOLUMES 4	/* made of each number of drives */

static struct world w;
static char paths[ALL][160];

static void
drives_open(const char *directory, unsigned count, struct drive_set **s)
{
	const char *list[ALL];
	struct drive_set_options o = { .judge = &segment_judge,
		.paths = list, .count = count, .erasure = "",
		.segment_bytes = 4u << 20, .volume_bytes = 16u << 20 };
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < count; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/d%u", directory, i);
		list[i] = paths[i];
	}
	cr_assert_eq(drive_set_open(disk_posix(), &o, s, &e), 0, "%s", e.text);
}

static void
volumes_make(struct drive_set *s)
{
	struct err e = ERR_INIT;
	uint64_t id;

	for (unsigned i = 0; i < VOLUMES; i++)
		cr_assert_eq(volume_create(s, &id, &e), 0, "%s", e.text);
}

Test(golden_sets, make)
{
	const char *out = golden_out();
	struct drive_set *s;
	char command[256];

	for (unsigned i = 0; i < ALL; i++) {
		snprintf(command, sizeof(command), "mkdir -p '%.180s/d%u'", out, i);
		cr_assert_eq(system(command), 0);
	}
	drives_open(out, OLD, &s);
	volumes_make(s);
	drive_set_close(&s);
	drives_open(out, ALL, &s);
	volumes_make(s);
	drive_set_close(&s);
}

Test(golden_sets, drives_of_version_2_are_read)
{
	struct drive_set *s;
	unsigned in[2] = { 0, 0 };
	uint64_t *ids;
	size_t n;

	golden_unpack(&w, "v2/sets.tar.xz");
	drives_open(w.directory, ALL, &s);
	cr_assert_eq(drive_sets(s), 2);
	cr_assert_eq(drive_sets_joined(s), 0);
	cr_assert_eq(drive_online_mask(s), 255);
	n = catalog_volume_ids(s, &ids);
	cr_assert_eq(n, 2 * VOLUMES);
	for (size_t i = 0; i < n; i++) {
		Hf__CatalogVolume *row = catalog_volume(s, ids[i]);

		cr_assert_eq(row->n_slots, 4);
		in[drive_set_of(s, row->slots[0])]++;
		hf__catalog_volume__free_unpacked(row, NULL);
	}
	free(ids);
	cr_assert_eq(in[0], VOLUMES);
	cr_assert_eq(in[1], VOLUMES);
	drive_set_close(&s);
	world_remove(&w);
}
