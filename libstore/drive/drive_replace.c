/*
 * drive_replace - drives that come while the store runs: the one of the slot again, or a new one in
 * its place; and drives that an operator gives up.
 *
 * P1  A drive counts in a slot only after the epoch that names it is durable on k others: then
 *     every set of drives that may start has one that knows, and the one that was there before is
 *     refused (holdfast-format(5), "Which epoch wins").
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
#include "libstore/format/catalog_format.h"

#define LOSS_EPOCHS (UINT64_C(1) << 20)	/* more than those who are away can have had */

/* --- taking a drive into its slot ------------------------------------------------------------- */

/* What was there is given up; commit_lock is held, so that nobody writes its catalog. */
static void
slot_clear(struct drive_set *s, unsigned slot)
{
	int handles[2];

	pthread_mutex_lock(&s->lock);
	handles[0] = s->drives[slot].lock_handle;
	s->drives[slot].lock_handle = -1;
	pthread_mutex_unlock(&s->lock);
	handles[1] = s->catalog_handle[slot];
	s->catalog_handle[slot] = -1;
	s->catalog_end[slot] = s->catalog_snapshot_end[slot] = 0;
	for (int i = 0; i < 2; i++)
		if (handles[i] >= 0)
			s->disk->ops->close(s->disk, handles[i]);
}

void
drive_slot_take(struct drive_set *s, unsigned slot, struct drive_place *p, const uint8_t uuid[16])
{
	struct drive *dr = &s->drives[slot];
	struct disk_space space = { 0 };
	char *path = NULL;

	s->disk->ops->space(s->disk, p->path, &space, NULL);
	if (strcmp(dr->path, p->path) != 0) {
		path = strdup(p->path);
		assert(path != NULL);
	}
	pthread_mutex_lock(&s->lock);
	if (path != NULL) {	/* others may still read the old one: it stays until the end */
		s->old_paths[s->old_path_count++ % OLD_PATHS_MAX] = dr->path;
		__atomic_store_n(&dr->path, path, __ATOMIC_RELEASE);
	}
	dr->lock_handle = p->handle;
	dr->space = space;
	dr->closed = DRIVE_WRITABLE;
	s->taken[slot] = 0;
	s->spares_found &= ~(1u << slot);	/* another drive's */
	s->spares[slot] = 0;
	s->recycled_found &= ~(1u << slot);
	s->recycled_count[slot] = 0;
	memcpy(dr->uuid, uuid, 16);
	pthread_mutex_unlock(&s->lock);
	p->handle = -1;
}

/* P1: the epoch on the others; then the catalog on the drive itself. */
int
drive_slot_commit(struct drive_set *s, unsigned slot, Hf__CatalogDrive *row, const char *reason,
    struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogDrive *rows[1] = { row };
	struct err why = ERR_INIT;
	int rc;

	row->slot = slot;
	row->state = HF__CATALOG_DRIVE__STATE__RETURNING;
	change.drives = rows;
	change.n_drives = 1;
	change.reason = (char *)(uintptr_t)reason;
	rc = catalog_commit_locked(s, &change, 0, NULL, e);
	if (rc < 0)
		return (rc);
	drive_note_returning(s, slot, reason);
	rc = catalog_file_replace(s, slot, &why);
	if (rc == 0)
		rc = drive_quarantine(s, slot, &why);
	if (rc < 0) {
		Hf__CatalogChange failed = HF__CATALOG_CHANGE__INIT;

		failed.reason = why.text;
		catalog_commit_locked(s, &failed, 1u << slot, why.text, NULL);
		return (err_set(e, rc, "%s", why.text));
	}
	return (0);
}

static uint32_t
others_live(const struct drive_set *s, unsigned slot)
{
	return (drive_present_mask(s) & ~(1u << slot));
}

int
drive_others_check(const struct drive_set *s, unsigned slot, struct err *e)
{
	unsigned n = (unsigned)__builtin_popcount(others_live(s, slot) &
	    drive_set_mask(s, drive_set_of(s, slot)));

	if (drive_set_writable(s, e) == ERR_FULL)
		return (ERR_FULL);
	if (drive_set_read_only(s))
		return (err_set(e, ERR_READ_ONLY, "the set is read-only, because too few drives "
		    "were there at the start: bring them back, or: holdfastctl drive accept-loss"));
	if (n < s->k)
		return (err_set(e, ERR_NO_QUORUM,
		    "%u other drives of its set are there; %u must be, to "
		    "know of a drive that takes a slot", n, s->k));
	return (0);
}

/* A drive that was used elsewhere meanwhile. */
static int
later_check(struct drive_set *s, const struct drive_place *p, struct err *e)
{
	struct catalog_rows rows;
	struct err why = ERR_INIT;
	char path[4096];
	uint64_t end;
	int rc;

	snprintf(path, sizeof(path), "%s/catalog", p->path);
	catalog_rows_init(&rows);
	rc = catalog_file_load(s->disk, path, s->deployment, &rows, &end, &why);
	if (rc == 0 && (rows.reign > s->rows.reign ||
	    (rows.reign == s->rows.reign && rows.epoch > s->rows.epoch + 1)))
		rc = err_set(e, ERR_INVALID, "%s knows epoch %" PRIu64 ", later than %" PRIu64
		    ": it was used by another store", path, rows.epoch, s->rows.epoch);
	else if (rc == ERR_VERSION || rc == ERR_INVALID)
		err_set(e, rc, "%s", why.text);
	else
		rc = 0;
	catalog_rows_release(&rows);
	return (rc);
}

static int
return_locked(struct drive_set *s, unsigned slot, struct drive_place *p, struct err *e)
{
	Hf__CatalogDrive row = HF__CATALOG_DRIVE__INIT;
	uint8_t uuid[16];
	int rc;

	if (s->rows.drives[slot].state == HF__CATALOG_DRIVE__STATE__LOST)
		return (err_set(e, ERR_DENIED, "%s holds the drive of slot %u that was given up "
		    "in epoch %" PRIu64 ": it cannot come back, because the set went on without "
		    "it; empty it first", p->path, slot, s->rows.drives[slot].since_epoch));
	if (p->file->k != s->k || p->file->m != s->m || p->file->slot != slot)
		return (err_set(e, ERR_INVALID, "%s is not of a set of %u+%u, or not of slot %u",
		    p->path, s->k, s->m, slot));
	rc = later_check(s, p, e);
	if (rc < 0)
		return (rc);
	memcpy(uuid, p->file->uuid.data, 16);
	drive_slot_take(s, slot, p, uuid);
	rc = drive_directories_make(s->disk, p->path, e);
	return (rc < 0 ? rc : drive_slot_commit(s, slot, &row, "the drive is there again", e));
}

int
drive_set_return(struct drive_set *s, unsigned slot, struct err *e)
{
	struct drive_place p = { .handle = -1 };
	int rc;

	assert(slot < s->count);
	pthread_mutex_lock(&s->commit_lock);
	rc = drive_others_check(s, slot, e);
	if (rc == 0 && drive_present_mask(s) >> slot & 1)
		rc = err_set(e, ERR_EXISTS, "the drive in slot %u is there", slot);
	if (rc == 0) {
		slot_clear(s, slot);	/* its lock, if it is the same file system */
		rc = drive_place_look(s, s->drives[slot].path, &p, e);
	}
	if (rc == 0 && !drive_place_is_of_slot(s, slot, &p))
		rc = err_set(e, ERR_NOT_FOUND, "%s does not hold the drive of slot %u", p.path,
		    slot);
	if (rc == 0)
		rc = return_locked(s, slot, &p, e);
	drive_place_release(s, &p);
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}

/* --- another drive ---------------------------------------------------------------------------- */

/* Files that need the drive that was in the slot: too few others have them whole. */
static uint64_t
files_needing(struct drive_set *s, uint32_t live)
{
	uint64_t n = 0;
	size_t i, j;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->rows.volume_count; i++) {
		const Hf__CatalogVolume *v = s->rows.volumes[i];
		unsigned have = 0;

		for (j = 0; j < v->n_slots && j < 32; j++)
			have += (live >> (v->slots[j] & 31) & 1) && !(v->lacking >> j & 1);
		n += have < v->k;
	}
	for (i = 0; i < s->rows.segment_count; i++) {
		const Hf__CatalogSegment *g = s->rows.segments[i];
		unsigned have = 0, need;

		for (j = 0; j < g->n_slots && j < 32; j++)
			have += (live >> (g->slots[j] & 31) & 1) && !(g->missing >> j & 1);
		need = g->state == HF__CATALOG_SEGMENT__STATE__CONVERTED ? g->k : 1;
		n += have < need;
	}
	pthread_mutex_unlock(&s->lock);
	return (n);
}

static int
redrive_place_check(struct drive_set *s, unsigned slot, const char *path, struct err *e)
{
	uint64_t needing;
	int rc;

	rc = drive_others_check(s, slot, e);
	if (rc < 0)
		return (rc);
	if (drive_present_mask(s) >> slot & 1 && strcmp(path, s->drives[slot].path) == 0)
		return (err_set(e, ERR_EXISTS, "the drive in slot %u (%s) is there and in use; "
		    "take it out first, or name another directory for the slot", slot, path));
	for (unsigned i = 0; i < s->count; i++)
		if (i != slot && drive_path_is(path, s->drives[i].path))
			return (err_set(e, ERR_INVALID, "%s is slot %u", path, i));
	if (s->rows.drives[slot].state == HF__CATALOG_DRIVE__STATE__LOST)
		return (0);
	needing = files_needing(s, others_live(s, slot));
	if (needing > 0)
		return (err_set(e, ERR_NO_QUORUM,
		    "%" PRIu64 " files can only be made whole with the "
		    "drive that was in slot %u: bring it back and let it be rebuilt, or give it "
		    "up: "
		    "holdfastctl drive accept-loss %u", needing, slot, slot));
	return (0);
}

/* An online drive makes room for another that can be written: it is failed first, and its data come
 * from the others. */
static int
replace_leave(struct drive_set *s, unsigned slot, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;

	if (!(drive_present_mask(s) >> slot & 1))
		return (0);
	change.reason = (char *)(uintptr_t)"another drive takes the slot";
	return (catalog_commit_locked(s, &change, 1u << slot, change.reason, e));
}

static int
replace_locked(struct drive_set *s, unsigned slot, struct drive_place *p, struct err *e)
{
	Hf__CatalogDrive row = HF__CATALOG_DRIVE__INIT;
	Hf__DriveFile file;
	uint8_t uuid[16];
	int rc;

	rc = drive_place_check(s, slot, p, e);
	if (rc < 0)
		return (rc);
	if (p->handle >= 0)
		s->disk->ops->close(s->disk, p->handle);
	p->handle = -1;
	random_bytes(uuid, sizeof(uuid));
	drive_file_fill(s, slot, uuid, &file);
	rc = drive_file_create(s->disk, p->path, &file, p->file != NULL, &p->handle, e);
	if (rc == 0)
		rc = replace_leave(s, slot, e);
	if (rc < 0)
		return (rc);
	slot_clear(s, slot);
	drive_former_close(s, slot);
	drive_slot_take(s, slot, p, uuid);
	rc = drive_directories_make(s->disk, p->path, e);
	row.uuid = (ProtobufCBinaryData){ 16, uuid };
	row.replaced = true;
	return (rc < 0 ? rc : drive_slot_commit(s, slot, &row, "a new drive, to be rebuilt", e));
}

int
drive_set_replace(struct drive_set *s, unsigned slot, const char *path, struct err *e)
{
	struct drive_place p = { .handle = -1 };
	int rc;

	assert(slot < s->count);
	drive_set_probe(s);
	pthread_mutex_lock(&s->commit_lock);
	if (path == NULL || path[0] == '\0' || drive_path_is(path, s->drives[slot].path))
		path = s->drives[slot].path;
	rc = strlen(path) > PATH_BYTES_MAX || path[0] != '/' ?
	    err_set(e, ERR_INVALID, "\"%.100s\" is not an absolute path of a directory", path) :
	    redrive_place_check(s, slot, path, e);
	if (rc == 0 && strcmp(path, s->drives[slot].path) == 0)
		slot_clear(s, slot);
	if (rc == 0)
		rc = drive_place_look(s, path, &p, e);
	if (rc == 0)
		rc = drive_place_is_of_slot(s, slot, &p) && p.has_catalog ?
		    return_locked(s, slot, &p, e) : replace_locked(s, slot, &p, e);
	drive_place_release(s, &p);
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}

/* --- giving drives up ------------------------------------------------------------------------- */

/* What would be left of a set. */
static int
loss_check_set(const struct drive_set *s, unsigned set, uint32_t mask, struct err *e)
{
	uint32_t members = drive_set_mask(s, set);
	unsigned i, n = 0, need, have = (unsigned)__builtin_popcount(
	    drive_present_mask(s) & members);

	for (i = 0; i < s->count; i++)
		n += (members & ~mask) >> i & 1 &&
		    s->rows.drives[i].state != HF__CATALOG_DRIVE__STATE__LOST;
	if (have < s->k)
		return (err_set(e, ERR_NO_QUORUM, "%u drives are there and %u are needed to read "
		    "anything: without more of them nothing can go on", have, s->k));
	need = n - s->k + 1 > s->k ? n - s->k + 1 : s->k;
	if (have < need)
		return (err_set(e, ERR_NO_QUORUM, "%u drives would be left in the set, of which %u "
		    "are there; %u must be, because those that are away may know more: name them, "
		    "too, or bring them back", n, have, need));
	return (0);
}

static int
loss_check(const struct drive_set *s, uint32_t mask, struct err *e)
{
	uint32_t live = drive_present_mask(s), away = 0;
	unsigned i;
	int rc = 0;

	for (i = 0; i < s->count; i++) {
		if (!(mask >> i & 1))
			away |= s->rows.drives[i].state != HF__CATALOG_DRIVE__STATE__LOST &&
				!(live >> i & 1) ? 1u << i : 0;
		else if (live >> i & 1)
			return (err_set(e, ERR_EXISTS, "the drive in slot %u (%s) is there: only "
			    "one that is not can be given up", i, s->drives[i].path));
	}
	for (i = 0; rc == 0 && i < drive_sets(s); i++)
		rc = loss_check_set(s, i, mask, e);
	if (drive_set_read_only(s) && away != 0 && drive_sets_have(s, live, s->k))
		return (err_set(e, ERR_NO_QUORUM, "the drive in slot %u (%s) is away, too, and may "
		    "know more: name all that are, or bring them back",
		    (unsigned)__builtin_ctz(away), s->drives[__builtin_ctz(away)].path));
	return (rc);
}

/* The set is read-only: its copies may differ, so each gets the whole, by rename. */
static int
loss_force(struct drive_set *s, Hf__CatalogChange *change, struct err *e)
{
	uint32_t written = 0;
	unsigned i;
	int rc;

	change->epoch = s->rows.epoch + LOSS_EPOCHS;
	change->reign = s->rows.reign + 1;
	random_bytes(&change->reign_id, sizeof(change->reign_id));
	for (i = 0; i < change->n_drives; i++)
		change->drives[i]->since_epoch = change->epoch;
	pthread_mutex_lock(&s->lock);
	catalog_rows_apply(&s->rows, change);
	for (i = 0; i < change->n_drives; i++)
		s->drives[change->drives[i]->slot].state = HF__CATALOG_DRIVE__STATE__LOST;
	pthread_mutex_unlock(&s->lock);
	for (i = 0; i < s->count; i++) {
		if (!(drive_present_mask(s) >> i & 1))
			continue;
		rc = catalog_file_replace(s, i, e);
		if (rc < 0)
			return (rc);
		written |= 1u << i;
	}
	assert(drive_sets_have(s, written, s->k));
	return (0);
}

int
drive_set_accept_loss(struct drive_set *s, uint32_t mask, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogDrive rows[DRIVES_MAX], *pointers[DRIVES_MAX];
	unsigned i, n = 0;
	int rc;

	for (i = 0; i < s->count; i++)
		if (mask >> i & 1) {
			hf__catalog_drive__init(&rows[n]);
			rows[n].slot = i;
			rows[n].state = HF__CATALOG_DRIVE__STATE__LOST;
			pointers[n] = &rows[n];
			n++;
		}
	change.drives = pointers;
	change.n_drives = n;
	change.reason = (char *)(uintptr_t)"given up by an operator";
	drive_set_probe(s);
	pthread_mutex_lock(&s->commit_lock);
	rc = n == 0 || (uint64_t)mask >> s->count != 0 ? err_set(e, ERR_INVALID, "no such slot") :
	    loss_check(s, mask, e);
	if (rc == 0 && drive_set_writable(s, e) == ERR_FULL)
		rc = ERR_FULL;
	if (rc == 0 && drive_set_read_only(s))
		rc = loss_force(s, &change, e);
	else if (rc == 0)
		rc = catalog_commit_locked(s, &change, 0, NULL, e);
	for (i = 0; rc == 0 && i < n; i++)
		drive_note(s, rows[i].slot, HF__CATALOG_DRIVE__STATE__LOST,
		    "was given up by an operator");
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}
