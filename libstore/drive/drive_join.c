/*
 * drive_join - a set of new drives joins those that are in use, when a store opens with more paths
 * than its catalog has slots.
 *
 *   drive files ──> epoch: the set is JOINING, on the sets in use ──> catalogs on its own drives
 *               ──> epoch: it is ACTIVE, on all
 *
 * J1  Until it is ACTIVE a set holds nothing and is in no quorum; a start that finds it JOINING
 *     goes through the same steps again, or goes on without it if store.drives does not name it
 *     any more.
 * J2  Nothing is written to a directory that holds anything, but what an interrupted join left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>

#include "libbase/checksum.h"
#include "libstore/drive/drive_internal.h"

/* --- what joins ------------------------------------------------------------------------------- */

static void
name_found(void *context, const char *name)
{
	(void)name;
	*(bool *)context = true;
}

static bool
holds_files(struct drive_set *s, unsigned slot)
{
	static const char *const inner[] = { "log", "vol" };
	char path[4096];
	bool found = false;

	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", s->drives[slot].path, inner[i]);
		s->disk->ops->list(s->disk, path, name_found, &found, NULL);
	}
	return (found);
}

static bool
joins_already(const struct drive_set *s, unsigned slot)
{
	return (s->rows.drives[slot].uuid.len == 16 &&
	    memcmp(s->rows.uuids[slot], s->drives[slot].uuid, 16) == 0);
}

static int
join_check(struct drive_set *s, unsigned slot, const struct drive_look *l, struct err *e)
{
	const char *path = s->drives[slot].path;

	if (l->as == LOOKS_EMPTY)
		return (0);
	if (l->as != LOOKS_FORMATTED)
		return (err_set(e, ERR_INVALID, "cannot add a set of %u drives in the slots from "
		    "%u on: %s: %s", drive_set_width(s), slot - slot % drive_set_width(s), path,
		    s->drives[slot].note));
	if ((l->has_catalog && !joins_already(s, slot)) || holds_files(s, slot))
		return (err_set(e, ERR_EXISTS, "cannot add %s in slot %u: it was in use in a set "
		    "already, and holds a catalog or files; a new set begins with empty "
		    "directories", path, slot));
	return (l->as == LOOKS_EMPTY ? drive_file_outside(s->disk, path, e) : 0);
}

/* --- joining ---------------------------------------------------------------------------------- */

static int
drive_prepare(struct drive_set *s, unsigned slot, const struct drive_look *l, struct err *e)
{
	struct drive *dr = &s->drives[slot];
	Hf__DriveFile file;
	int rc = 0;

	dr->state = HF__CATALOG_DRIVE__STATE__OFFLINE;
	if (l->as == LOOKS_EMPTY) {
		random_bytes(dr->uuid, sizeof(dr->uuid));
		drive_file_fill(s, slot, dr->uuid, &file);
		rc = drive_file_create(s->disk, dr->path, &file, false, &dr->lock_handle, e);
	} else {		/* what a killed process left is perhaps not on the drive yet */
		rc = s->disk->ops->sync_dir(s->disk, dr->path, e);
	}
	return (rc < 0 ? rc : drive_directories_make(s->disk, dr->path, e));
}

/* One epoch: the set and its drives in these states. */
static int
set_commit(struct drive_set *s, unsigned set, Hf__CatalogSet__State state,
    Hf__CatalogDrive__State drives, const char *reason, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogSet row = HF__CATALOG_SET__INIT, *rows[1] = { &row };
	Hf__CatalogDrive storage[SHARDS_MAX], *pointers[SHARDS_MAX];
	unsigned width = drive_set_width(s), i;

	row.number = set;
	row.state = state;
	for (i = 0; i < width; i++) {
		hf__catalog_drive__init(&storage[i]);
		storage[i].slot = set * width + i;
		storage[i].uuid = (ProtobufCBinaryData){ 16, s->drives[storage[i].slot].uuid };
		storage[i].state = drives;
		pointers[i] = &storage[i];
	}
	change.sets = rows;
	change.n_sets = 1;
	change.drives = pointers;
	change.n_drives = width;
	change.reason = (char *)(uintptr_t)reason;
	return (catalog_commit_locked(s, &change, 0, NULL, e));
}

static int
set_join(struct drive_set *s, unsigned set, const struct drive_look *looks, struct err *e)
{
	unsigned width = drive_set_width(s), first = set * width, i;
	int rc = 0;

	for (i = first; rc == 0 && i < first + width; i++)
		rc = join_check(s, i, &looks[i], e);
	if (rc < 0)
		return (rc);
	s->count = first + width;
	s->rows.sets[set].state = HF__CATALOG_SET__STATE__JOINING;	/* J1 */
	for (i = first; rc == 0 && i < s->count; i++)
		rc = drive_prepare(s, i, &looks[i], e);
	if (rc == 0)
		rc = set_commit(s, set, HF__CATALOG_SET__STATE__JOINING,
		    HF__CATALOG_DRIVE__STATE__RETURNING, "a set of new drives joins", e);
	for (i = first; rc == 0 && i < s->count; i++)
		rc = catalog_file_replace(s, i, e);
	if (rc == 0)
		rc = set_commit(s, set, HF__CATALOG_SET__STATE__ACTIVE,
		    HF__CATALOG_DRIVE__STATE__ONLINE, "the set is in use", e);
	for (i = first; rc == 0 && i < s->count; i++)
		s->drives[i].note[0] = '\0';
	return (rc);
}

int
drive_sets_join(struct drive_set *s, const struct drive_look *looks, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&s->commit_lock);
	while (rc == 0 && s->count < s->configured) {
		rc = set_join(s, drive_sets(s), looks, e);
		s->joined += rc == 0;
	}
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}
