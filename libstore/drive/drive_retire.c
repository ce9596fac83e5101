/*
 * drive_retire - a drive that works makes room for a new one, which takes the slot at once: it has
 * a link to each file of the old one, and what is made from now on is made on it. Then files are
 * copied, one by one, in the places of their links (maintain/rebuild.c), and the old one goes.
 *
 *   drive file, links, catalog on the new one ─► OLD/moved ─► epoch: it has the slot, linked ─►
 *   each file copied, read back, renamed over its link ─► its mark goes ─► none is left: epoch,
 *   the old one is free
 *
 * T1  At any time each file of the slot is whole on the old drive or on the new one, and opens by
 *     its path on the new one: nothing is lacking, and redundancy is never less than it was.
 * T2  The old drive stays locked until the end, and nothing on it is removed or renamed.
 * T3  The new drive's catalog has the epoch first, then the old drive leads to the new one, then
 *     its catalog and the others' have the epoch, too: whatever ends it, a start with the old path
 *     finds the one that is in force.
 * T4  If the old drive goes before the end, what is still a link is rebuilt from the others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libstore/drive/drive_internal.h"

/* What a retirement makes before anybody knows of it. */
struct retirement {
	unsigned		 slot;
	struct drive_place	 place;
	uint8_t			 uuid[16], former[16];
	int			 catalog;	/* on the new drive; -1 */
	uint64_t		 catalog_end;
};

/* --- may it be -------------------------------------------------------------------------------- */

static uint64_t
placed_bytes(struct drive_set *s, unsigned slot)
{
	uint64_t bytes = 0;
	size_t i, j;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->rows.segment_count; i++) {
		const Hf__CatalogSegment *g = s->rows.segments[i];

		for (j = 0; j < g->n_slots; j++)
			bytes += g->slots[j] != slot ? 0 : g->shard_bytes > 0 ? g->shard_bytes :
			    g->capacity > g->bytes ? g->capacity : g->bytes;
	}
	for (i = 0; i < s->rows.volume_count; i++) {
		const Hf__CatalogVolume *v = s->rows.volumes[i];

		for (j = 0; j < v->n_slots; j++)
			bytes += v->slots[j] == slot ? v->bytes : 0;
	}
	pthread_mutex_unlock(&s->lock);
	return (bytes);
}

/* Volumes have holes: what the old file system has in use bounds it, too. */
static int
room_check(struct drive_set *s, unsigned slot, const char *path, struct err *e)
{
	struct disk_space old = { 0 }, new = { 0 };
	uint64_t need = placed_bytes(s, slot), reserve;
	int rc;

	rc = s->disk->ops->space(s->disk, path, &new, e);
	if (rc == 0)
		rc = s->disk->ops->space(s->disk, s->drives[slot].path, &old, e);
	if (rc < 0)
		return (rc);
	if (old.total_bytes > old.free_bytes && old.total_bytes - old.free_bytes < need)
		need = old.total_bytes - old.free_bytes;
	reserve = new.total_bytes / 50;
	if (new.free_bytes >= reserve + need)
		return (0);
	return (err_set(e, ERR_FULL, "%s has %" PRIu64 " MiB free, and %" PRIu64 " are needed: %"
	    PRIu64 " for what is on slot %u, the rest stays free", path, new.free_bytes >> 20,
	    (reserve + need) >> 20, need >> 20, slot));
}

static int
slot_check(struct drive_set *s, unsigned slot, struct err *e)
{
	const Hf__CatalogDrive *row = &s->rows.drives[slot];
	struct catalog_lacking lacks;
	uint64_t lacking;

	if (row->former_uuid.len > 0)
		return (err_set(e, ERR_BUSY, "the drive in slot %u (%s) itself takes over from %s; "
		    "wait until that has ended", slot, s->drives[slot].path, row->former_path));
	if (!(drive_online_mask(s) >> slot & 1))
		return (err_set(e, ERR_UNAVAILABLE, "the drive in slot %u (%s) is not online: only "
		    "one that is can be copied. To put another in its place: holdfastctl drive "
		    "replace %u DIRECTORY", slot, s->drives[slot].path, slot));
	catalog_lacking_find(s, slot, 0, 0, &lacks);
	lacking = lacks.left;
	catalog_lacking_release(&lacks);
	if (lacking > 0)
		return (err_set(e, ERR_BUSY, "the drive in slot %u lacks %" PRIu64 " files that "
		    "are to be rebuilt on it first", slot, lacking));
	return (0);
}

static int
retire_check(struct drive_set *s, unsigned slot, const char *path, struct err *e)
{
	int rc;

	if (strlen(path) > PATH_BYTES_MAX || path[0] != '/')
		return (err_set(e, ERR_INVALID, "\"%.100s\" is not an absolute path of a "
		    "directory", path));
	for (unsigned i = 0; i < s->count; i++)
		if (drive_path_is(path, s->drives[i].path))
			return (err_set(e, ERR_INVALID, "%s is slot %u", path, i));
	if (s->drives[slot].path[0] != '/')
		return (err_set(e, ERR_UNSUPPORTED, "slot %u is at %s, which is no absolute path: "
		    "name one in store.drives first", slot, s->drives[slot].path));
	/* A set of one drive has no others: it is told by both, the old one and the new. */
	rc = drive_set_width(s) > 1 ? drive_others_check(s, slot, e) : drive_set_writable(s, e);
	if (rc == 0)
		rc = slot_check(s, slot, e);
	return (rc == 0 ? room_check(s, slot, path, e) : rc);
}

/* --- making the new drive --------------------------------------------------------------------- */

static int
links_make(struct drive_set *s, unsigned slot, const char *to, const char *sub, struct err *e)
{
	struct disk *d = s->disk;
	char from[4096], path[4096], target[4096];
	struct drive_names names;
	int rc;

	drive_path(s, slot, sub, "", from);
	rc = drive_names_list(d, from, &names, e);
	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		drive_path(s, slot, sub, names.name[i], target);
		snprintf(path, sizeof(path), "%s/%s/%s", to, sub, names.name[i]);
		rc = d->ops->symlink(d, target, path, e);
	}
	drive_names_release(&names);
	snprintf(path, sizeof(path), "%s/%s", to, sub);
	return (rc == 0 ? d->ops->sync_dir(d, path, e) : rc);
}

static int
new_drive_make(struct drive_set *s, struct retirement *r, struct err *e)
{
	struct disk *d = s->disk;
	struct drive_place *p = &r->place;
	Hf__DriveFile file;
	int rc;

	if (p->handle >= 0)
		d->ops->close(d, p->handle);
	p->handle = -1;
	random_bytes(r->uuid, sizeof(r->uuid));
	memcpy(r->former, s->drives[r->slot].uuid, sizeof(r->former));
	drive_file_fill(s, r->slot, r->uuid, &file);
	rc = drive_file_create(d, p->path, &file, p->file != NULL, &p->handle, e);
	if (rc == 0)
		rc = drive_directories_make(d, p->path, e);
	if (rc == 0)
		rc = links_make(s, r->slot, p->path, "log", e);
	if (rc == 0)
		rc = links_make(s, r->slot, p->path, "vol", e);
	return (rc == 0 ? catalog_file_make(s, p->path, &r->catalog, &r->catalog_end, e) : rc);
}

/* --- the epoch -------------------------------------------------------------------------------- */

/* T3 */
static int
new_drive_tell(struct drive_set *s, struct retirement *r, Hf__CatalogChange *change,
    struct err *e)
{
	struct buf packed = BUF_INIT;
	int rc;

	catalog_change_pack(s, change, &packed);
	rc = catalog_frame_write(s->disk, r->catalog, change->epoch,
	    catalog_rows_version(change->drives, change->n_drives, false), buf_slice(&packed),
	    r->catalog_end, &r->catalog_end, e);
	if (rc == 0)
		rc = s->disk->ops->datasync(s->disk, r->catalog, e);
	buf_release(&packed);
	return (rc);
}

static bool
slot_is(const struct drive_set *s, unsigned slot, const uint8_t uuid[16])
{
	return (memcmp(s->rows.uuids[slot], uuid, 16) == 0);
}

/* In memory; the old one keeps its lock (T2). */
static void
slot_turn(struct drive_set *s, struct retirement *r)
{
	unsigned slot = r->slot;

	pthread_mutex_lock(&s->lock);
	s->former_handle[slot] = s->drives[slot].lock_handle;
	s->drives[slot].former = s->drives[slot].path;	/* it stays, among the old paths */
	pthread_mutex_unlock(&s->lock);
	drive_slot_take(s, slot, &r->place, r->uuid);
	if (s->catalog_handle[slot] >= 0)
		s->disk->ops->close(s->disk, s->catalog_handle[slot]);
	s->catalog_handle[slot] = r->catalog;
	s->catalog_end[slot] = s->catalog_snapshot_end[slot] = r->catalog_end;
	r->catalog = -1;
}

/*
 * A start that is not told of the new path follows this (drive_open.c). It finds the epoch on the
 * new drive, so it may be there before the others know.
 */
static int
moved_note(struct drive_set *s, unsigned slot, const char *to, struct err *e)
{
	struct disk *d = s->disk;
	char path[4096];
	int rc;

	drive_path(s, slot, "", DRIVE_MOVED, path);
	(void)d->ops->unlink(d, path, NULL);
	rc = d->ops->symlink(d, to, path, e);
	return (rc == 0 ? d->ops->sync_dir(d, s->drives[slot].path, e) : rc);
}

static void
moved_forget(struct drive_set *s, unsigned slot)
{
	char path[4096];

	drive_path(s, slot, "", DRIVE_MOVED, path);
	(void)s->disk->ops->unlink(s->disk, path, NULL);
	(void)s->disk->ops->sync_dir(s->disk, s->drives[slot].path, NULL);
}

/* What the epoch, or a later one of the same commit, said of the slot. */
static int
slot_turned(struct drive_set *s, unsigned slot, struct err *e)
{
	Hf__CatalogDrive row = HF__CATALOG_DRIVE__INIT;
	Hf__CatalogChange failed = HF__CATALOG_CHANGE__INIT;
	struct err why = ERR_INIT;
	int rc;

	if (!(drive_present_mask(s) >> slot & 1)) {	/* the old one failed in that moment: T4 */
		row.former_lost = true;
		return (drive_slot_commit(s, slot, &row, "the drive from which it took over "
		    "failed", e));
	}
	rc = catalog_file_replace(s, slot, &why);
	if (rc == 0)
		return (0);
	failed.reason = why.text;
	catalog_commit_locked(s, &failed, 1u << slot, why.text, NULL);
	return (err_set(e, rc, "%s", why.text));
}

static int
retire_commit(struct drive_set *s, struct retirement *r, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogDrive row = HF__CATALOG_DRIVE__INIT, *rows[1] = { &row };
	int rc, turned;

	row.slot = r->slot;
	row.state = HF__CATALOG_DRIVE__STATE__ONLINE;
	row.uuid = (ProtobufCBinaryData){ 16, r->uuid };
	row.former_uuid = (ProtobufCBinaryData){ 16, r->former };
	row.former_path = s->drives[r->slot].path;
	row.former_epoch = s->rows.epoch + 1;
	change.drives = rows;
	change.n_drives = 1;
	change.reason = (char *)(uintptr_t)"a new drive takes over from one that is retired";
	rc = new_drive_tell(s, r, &change, e);
	if (rc == 0)
		rc = moved_note(s, r->slot, r->place.path, e);
	if (rc == 0)
		rc = catalog_commit_locked(s, &change, 0, NULL, e);
	if (!slot_is(s, r->slot, r->uuid)) {
		moved_forget(s, r->slot);
		return (rc);
	}
	slot_turn(s, r);
	turned = slot_turned(s, r->slot, rc == 0 ? e : NULL);
	return (rc == 0 ? turned : rc);
}

static int
retire_locked(struct drive_set *s, struct retirement *r, const char *path, struct err *e)
{
	int rc = retire_check(s, r->slot, path, e);

	if (rc == 0)
		rc = drive_place_look(s, path, &r->place, e);
	if (rc == 0)
		rc = drive_place_check(s, r->slot, &r->place, e);
	if (rc == 0)
		rc = new_drive_make(s, r, e);
	return (rc == 0 ? retire_commit(s, r, e) : rc);
}

int
drive_set_retire(struct drive_set *s, unsigned slot, const char *path, struct err *e)
{
	struct retirement r = { .slot = slot, .place = { .handle = -1 }, .catalog = -1 };
	int rc;

	assert(slot < s->count);
	drive_set_probe(s);
	pthread_rwlock_wrlock(&s->steady);
	pthread_mutex_lock(&s->commit_lock);
	rc = retire_locked(s, &r, path, e);
	if (r.catalog >= 0)
		s->disk->ops->close(s->disk, r.catalog);
	drive_place_release(s, &r.place);
	pthread_mutex_unlock(&s->commit_lock);
	pthread_rwlock_unlock(&s->steady);
	return (rc);
}

/* --- links ------------------------------------------------------------------------------------ */

static uint32_t
links_look(struct drive_set *s, const char *sub, const char *name, const uint32_t *slots,
    size_t count)
{
	char path[4096], target[4096];
	uint32_t bits = 0;

	for (size_t i = 0; i < count && i < 32; i++) {
		if (slots[i] >= s->count || s->rows.drives[slots[i]].former_uuid.len == 0)
			continue;
		drive_path(s, slots[i], sub, name, path);
		if (s->disk->ops->readlink(s->disk, path, target, sizeof(target), NULL) == 0)
			bits |= 1u << i;
	}
	return (bits);
}

uint32_t
drive_segment_links(struct drive_set *s, const Hf__CatalogSegment *row)
{
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64 "%s", row->id,
	    row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED ? ".ecs" : ".seg");
	return (links_look(s, "log", name, row->slots, row->n_slots));
}

uint32_t
drive_volume_links(struct drive_set *s, const Hf__CatalogVolume *row)
{
	char name[32];

	snprintf(name, sizeof(name), "%016" PRIx64 ".vol", row->id);
	return (links_look(s, "vol", name, row->slots, row->n_slots));
}

/* --- the old drive ---------------------------------------------------------------------------- */

void
drive_former_close(struct drive_set *s, unsigned slot)
{
	int handle;

	pthread_mutex_lock(&s->lock);
	handle = s->former_handle[slot];
	s->former_handle[slot] = -1;
	s->drives[slot].former = NULL;
	pthread_mutex_unlock(&s->lock);
	if (handle >= 0)
		s->disk->ops->close(s->disk, handle);
}

int
drive_former_lose(struct drive_set *s, unsigned slot, const char *why, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogDrive row = HF__CATALOG_DRIVE__INIT, *rows[1] = { &row };
	char reason[256];
	int rc = 0;

	snprintf(reason, sizeof(reason), "the drive from which it took over is gone: %.150s", why);
	row.slot = slot;
	row.state = HF__CATALOG_DRIVE__STATE__RETURNING;
	row.former_lost = true;
	change.drives = rows;
	change.n_drives = 1;
	change.reason = reason;
	pthread_mutex_lock(&s->commit_lock);
	if (!drive_set_read_only(s) && s->rows.drives[slot].former_uuid.len > 0 &&
	    !s->rows.drives[slot].former_lost && drive_present_mask(s) >> slot & 1) {
		rc = catalog_commit_locked(s, &change, 0, NULL, e);
		drive_note_returning(s, slot, reason);
		drive_former_close(s, slot);
	}
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}

bool
drive_file_linked(struct drive_set *s, unsigned slot, const char *sub, const char *name)
{
	char path[4096], target[4096];
	bool moving;

	pthread_mutex_lock(&s->lock);
	moving = s->rows.drives[slot].former_uuid.len > 0;
	pthread_mutex_unlock(&s->lock);
	if (!moving)
		return (false);
	drive_path(s, slot, sub, name, path);
	return (s->disk->ops->readlink(s->disk, path, target, sizeof(target), NULL) == 0);
}

int
drive_file_fail(struct drive_set *s, unsigned slot, bool linked, const char *why, struct err *e)
{
	return (linked ? drive_former_lose(s, slot, why, e) : drive_fail(s, slot, why, e));
}

void
drive_formers_probe(struct drive_set *s)
{
	char path[4096];

	for (unsigned i = 0; i < s->count; i++) {
		struct drive d;

		drive_get(s, i, &d);
		if (d.former == NULL || s->former_handle[i] < 0)
			continue;
		snprintf(path, sizeof(path), "%s/drive", d.former);
		if (!s->disk->ops->same(s->disk, s->former_handle[i], path))
			(void)drive_former_lose(s, i, "its drive file is not at its path any more "
			    "(unmounted?)", NULL);
	}
}

/* A store that was not told of the new drive may have gone on with the old one. */
static int
former_check(struct drive_set *s, unsigned slot, const char *path, struct err *e)
{
	struct catalog_rows rows;
	struct err ignored = ERR_INIT;
	char catalog[4096];
	uint64_t end;
	int rc;

	snprintf(catalog, sizeof(catalog), "%s/catalog", path);
	catalog_rows_init(&rows);
	rc = catalog_file_load(s->disk, catalog, s->deployment, &rows, &end, &ignored);
	if (rc == 0 && rows.epoch > s->rows.drives[slot].former_epoch + DRIVES_MAX)
		rc = err_set(e, ERR_INVALID, "%s, from which slot %u took over in epoch %" PRIu64
		    ", knows epoch %" PRIu64 ": it was used by another store", path, slot,
		    s->rows.drives[slot].former_epoch, rows.epoch);
	else
		rc = 0;
	catalog_rows_release(&rows);
	return (rc);
}

static int
former_open(struct drive_set *s, unsigned slot, const char *path, struct err *e)
{
	struct drive_place p;
	int rc;

	rc = drive_place_look(s, path, &p, e);
	if (rc == 0 && (p.file == NULL || memcmp(p.file->uuid.data, s->rows.formers[slot],
	    16) != 0))
		rc = err_set(e, ERR_NOT_FOUND, "%s does not hold the drive from which slot %u "
		    "takes over", path, slot);
	if (rc == 0)
		rc = former_check(s, slot, path, e);
	if (rc == 0) {
		s->former_handle[slot] = p.handle;
		p.handle = -1;
	}
	drive_place_release(s, &p);
	return (rc);
}

int
drive_formers_open(struct drive_set *s, struct err *e)
{
	struct err why = ERR_INIT;
	char *path;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < s->count; i++) {
		const Hf__CatalogDrive *row = &s->rows.drives[i];

		if (row->former_uuid.len == 0 || row->former_lost ||
		    !(drive_present_mask(s) >> i & 1))
			continue;
		path = strdup(row->former_path);
		assert(path != NULL);
		s->old_paths[s->old_path_count++ % OLD_PATHS_MAX] = path;
		s->drives[i].former = path;
		rc = former_open(s, i, path, &why);
		if (rc == ERR_LOCKED || rc == ERR_INVALID || rc == ERR_VERSION)
			return (err_set(e, rc, "%s", why.text));
		rc = rc < 0 ? drive_former_lose(s, i, why.text, e) : 0;
	}
	return (rc);
}
