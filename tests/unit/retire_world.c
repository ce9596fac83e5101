/*
 * retire_world - see retire_world.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/retire_world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "libstore/drive/drive_internal.h"
#include "libstore/log/log_internal.h"

unsigned
links_count(const char *drive)
{
	static const char *const subs[] = { "log", "vol" };
	struct drive_names names;
	char path[256], target[256];
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", drive, subs[i]);
		cr_assert_eq(drive_names_list(w.disk, path, &names, NULL), 0);
		for (size_t j = 0; j < names.count; j++) {
			snprintf(path, sizeof(path), "%s/%s/%s", drive, subs[i], names.name[j]);
			n += w.disk->ops->readlink(w.disk, path, target, sizeof(target),
			    NULL) == 0;
		}
		drive_names_release(&names);
	}
	return (n);
}

void
slot_check(unsigned slot, const char *path, bool moving)
{
	struct drive d;

	drive_get(w.drives, slot, &d);
	cr_assert_str_eq(d.path, path);
	cr_assert_eq(d.state, HF__CATALOG_DRIVE__STATE__ONLINE, "%s", d.note);
	cr_assert_eq(d.former != NULL, moving);
}

int
retire(unsigned slot, const char *path, struct err *e)
{
	int rc = drive_set_retire(w.drives, slot, path, e);

	log_drives_changed(w.log);
	world_settle(&w);
	return (rc);
}

void
old_goes(unsigned slot, const char *path)
{
	disk_memory_set_missing(w.disk, slot, true);
	check_paths[slot] = path;
}

void
new_proves_itself(unsigned slot, const char *path)
{
	static const char *const first[] = { "/d0", "/d1", "/d2", "/d3" };
	unsigned gone = 0;

	cr_assert_eq(links_count(path), 0);
	world_close(&w);
	old_goes(slot, path);
	disk_memory_restart(w.disk);
	check(CHECK_DEGRADED);
	for (unsigned i = 0; i < 4 && gone < 2; i++)
		if (i != slot) {
			disk_memory_set_missing(w.disk, i, true);
			gone++;
		}
	check(CHECK_LOST);
	world_remove(&w);
	for (unsigned i = 0; i < 4; i++)
		check_paths[i] = first[i];
}
