/*
 * drive_place - a directory that shall become a drive while the store runs: what stands in it, and
 * whether it may be used.
 *
 * P2  Nothing is written to a directory that holds anything, but to the drive of the slot and to
 *     what an interrupted replacement or retirement left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_internal.h"

/* --- names in a directory --------------------------------------------------------------------- */

static void
names_add(void *context, const char *name)
{
	struct drive_names *n = context;

	if (n->count == n->capacity) {
		n->capacity = n->capacity == 0 ? 64 : n->capacity * 2;
		n->name = realloc(n->name, n->capacity * sizeof(*n->name));
		assert(n->name != NULL);
	}
	n->name[n->count] = strdup(name);
	assert(n->name[n->count] != NULL);
	n->count++;
}

int
drive_names_list(struct disk *d, const char *directory, struct drive_names *out, struct err *e)
{
	*out = (struct drive_names){ .count = 0 };
	return (d->ops->list(d, directory, names_add, out, e));
}

void
drive_names_release(struct drive_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->name[i]);
	free(n->name);
	*n = (struct drive_names){ .count = 0 };
}

int
drive_directory_sync(struct drive_set *s, unsigned slot, const char *sub)
{
	struct err e = ERR_INIT;
	char path[4096];
	int rc;

	drive_path(s, slot, sub, "", path);
	rc = s->disk->ops->sync_dir(s->disk, path, &e);
	if (rc < 0)
		drive_fail(s, slot, e.text, NULL);
	return (rc);
}

/* --- a place ---------------------------------------------------------------------------------- */

static const char *const inner[] = { "log", "vol", "reserve" };

static void
place_name(void *context, const char *name)
{
	struct drive_place *p = context;

	if (strcmp(name, "catalog") == 0 || strcmp(name, "catalog.new") == 0)
		p->has_catalog = true;
	else if (strcmp(name, "lost+found") != 0 && strcmp(name, "drive") != 0 &&
	    strcmp(name, "drive.new") != 0 && strcmp(name, "log") != 0 &&
	    strcmp(name, "vol") != 0 && strcmp(name, "quarantine") != 0 &&
	    strcmp(name, "reserve") != 0) {
		p->full = true;
		snprintf(p->found, sizeof(p->found), "%.60s", name);
	}
}

void
drive_place_release(struct drive_set *s, struct drive_place *p)
{
	if (p->file != NULL)
		hf__drive_file__free_unpacked(p->file, NULL);
	if (p->handle >= 0)
		s->disk->ops->close(s->disk, p->handle);
}

int
drive_place_look(struct drive_set *s, const char *path, struct drive_place *p, struct err *e)
{
	struct disk *d = s->disk;
	char name[4096];
	int rc;

	*p = (struct drive_place){ .path = path, .handle = -1 };
	rc = d->ops->list(d, path, place_name, p, e);
	if (rc < 0)
		return (rc);
	snprintf(name, sizeof(name), "%s/drive", path);
	p->handle = d->ops->open(d, name, O_RDWR, e);
	if (p->handle == ERR_NOT_FOUND)
		return (0);
	if (p->handle < 0)
		return (p->handle);
	rc = d->ops->lock(d, p->handle, e);
	return (rc < 0 ? rc : drive_file_read(d, p->handle, name, &p->file, e));
}

/* Files in log/ and vol/; links are what an interrupted retirement left, and go if they may. */
static void
inner_look(struct drive_set *s, struct drive_place *p, const char *sub, bool remove)
{
	struct disk *d = s->disk;
	char path[4096], target[4096];
	struct drive_names names;

	snprintf(path, sizeof(path), "%s/%s", p->path, sub);
	(void)drive_names_list(d, path, &names, NULL);
	for (size_t i = 0; i < names.count && !p->full; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", p->path, sub, names.name[i]);
		if (d->ops->readlink(d, path, target, sizeof(target), NULL) != 0) {
			p->full = true;
			snprintf(p->found, sizeof(p->found), "%.60s", names.name[i]);
		} else if (remove)
			(void)d->ops->unlink(d, path, NULL);
	}
	drive_names_release(&names);
}

/* P2. A drive file without a catalog that counts and without files is what was left; reserve/ means
 * nothing beside it. */
int
drive_place_check(struct drive_set *s, unsigned slot, struct drive_place *p, struct err *e)
{
	for (unsigned i = 0; !p->full && i < (p->file != NULL ? 2 : 3); i++)
		inner_look(s, p, inner[i], false);
	if (p->file != NULL && (memcmp(p->file->deployment.data, s->deployment, 16) != 0 ||
	    p->file->slot != slot || p->full))
		return (err_set(e, ERR_EXISTS, "%s holds the drive of slot %u of %s: it is left "
		    "alone; give an empty directory", p->path, p->file->slot,
		    memcmp(p->file->deployment.data, s->deployment, 16) == 0 ?
		    "this deployment" : "another deployment"));
	if (p->full || (p->file == NULL && p->has_catalog))
		return (err_set(e, ERR_EXISTS, "%s is not empty (%s): a drive begins as an empty "
		    "directory", p->path, p->full ? p->found : "catalog"));
	for (unsigned i = 0; p->file != NULL && i < 2; i++)
		inner_look(s, p, inner[i], true);
	return (0);
}

bool
drive_place_is_of_slot(const struct drive_set *s, unsigned slot, const struct drive_place *p)
{
	return (p->file != NULL && s->rows.drives[slot].uuid.len == 16 &&
	    memcmp(p->file->deployment.data, s->deployment, 16) == 0 &&
	    memcmp(p->file->uuid.data, s->rows.uuids[slot], 16) == 0);
}
