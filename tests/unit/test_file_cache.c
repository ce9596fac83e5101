/*
 * test_file_cache - files that are opened while their drive changes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "libobject/file_cache.h"

/* --- A disk whose handles count up. ----------------------------------------------------------- */

static int opened;
static unsigned closed;
static char last_path[128];
static void (*while_opening)(void);

static int
count_open(struct disk *d, const char *path, int flags, struct err *e)
{
	(void)d;
	(void)flags;
	(void)e;
	snprintf(last_path, sizeof(last_path), "%s", path);
	if (while_opening != NULL)
		while_opening();
	return (++opened);
}

static void
count_close(struct disk *d, int handle)
{
	(void)d;
	cr_assert(handle > 0 && handle <= opened);
	closed++;
}

static const struct disk_ops count_ops = { .open = count_open, .close = count_close };
static struct disk count_disk = { .ops = &count_ops };

/* --- The cache. ------------------------------------------------------------------------------- */

static struct drive_times times;
static struct file_cache *cache;

static void
drive_is(const char *path, Hf__CatalogDrive__State state)
{
	Hf__Layout layout = HF__LAYOUT__INIT;
	Hf__DriveLayout drive = HF__DRIVE_LAYOUT__INIT, *list = &drive;

	drive.slot = 3;
	drive.path = (char *)(uintptr_t)path;
	drive.state = state;
	layout.n_drives = 1;
	layout.drives = &list;
	file_cache_layout(cache, &layout);
}

static int
handle_of(bool writable)
{
	struct err e = ERR_INIT;
	struct file *f;
	int handle;

	cr_assert_eq(file_get(cache, FILE_VOLUME, 7, 3, writable, &f, &e), 0, "%s", e.text);
	handle = file_handle(f);
	file_put(&f);
	return (handle);
}

static void
setup(void)
{
	cache = file_cache_new(&count_disk, NULL, &times);
	drive_is("/old", HF__CATALOG_DRIVE__STATE__ONLINE);
}

static void
teardown(void)
{
	file_cache_free(&cache);
	cr_assert_eq(closed, (unsigned)opened, "each is closed once");
}

TestSuite(file_cache, .init = setup, .fini = teardown);

Test(file_cache, a_file_stays_open)
{
	cr_assert_eq(handle_of(true), 1);
	cr_assert_eq(handle_of(true), 1);
	cr_assert_eq(handle_of(false), 1, "what is open for writing is read, too");
	cr_assert_str_eq(last_path, "/old/vol/0000000000000007.vol");
}

Test(file_cache, a_drive_that_changes_has_its_files_opened_anew)
{
	cr_assert_eq(handle_of(true), 1);
	drive_is("/old", HF__CATALOG_DRIVE__STATE__ONLINE);
	cr_assert_eq(handle_of(true), 1, "nothing changed");
	drive_is("/old", HF__CATALOG_DRIVE__STATE__RETURNING);
	cr_assert_eq(handle_of(true), 2);
	drive_is("/new", HF__CATALOG_DRIVE__STATE__RETURNING);
	cr_assert_eq(handle_of(true), 3);
	cr_assert_str_eq(last_path, "/new/vol/0000000000000007.vol");
}

static void
drive_goes(void)
{
	while_opening = NULL;
	drive_is("/new", HF__CATALOG_DRIVE__STATE__RETURNING);
}

/* An open on a drive that hangs may end long after another drive took the slot. */
Test(file_cache, a_file_that_was_being_opened_is_not_found_again)
{
	while_opening = drive_goes;
	cr_assert_eq(handle_of(true), 1, "who asked before the change has the old one");
	cr_assert_eq(closed, 1);
	cr_assert_eq(handle_of(true), 2);
	cr_assert_str_eq(last_path, "/new/vol/0000000000000007.vol");
}

/* The same for several at once. */
Test(file_cache, files_that_were_being_opened_are_not_found_again)
{
	static const unsigned slots[] = { 3, 4 };
	struct file *files[2];
	struct err why[2];

	while_opening = drive_goes;
	files_get(cache, FILE_VOLUME, 7, slots, 2, true, files, why);
	cr_assert(files[0] != NULL && file_handle(files[0]) == 1);
	cr_assert(files[1] == NULL && why[1].code == ERR_UNAVAILABLE, "its path is not known");
	cr_assert_eq(handle_of(true), 2);
	file_put(&files[0]);
}

static struct file *other;

static void
another_opens(void)
{
	struct err e = ERR_INIT;

	while_opening = NULL;
	cr_assert_eq(file_get(cache, FILE_VOLUME, 7, 3, true, &other, &e), 0, "%s", e.text);
}

Test(file_cache, two_writers_that_open_it_at_once_share_it)
{
	while_opening = another_opens;
	cr_assert_eq(handle_of(true), file_handle(other));
	cr_assert_eq(closed, 1);
	file_put(&other);
}
