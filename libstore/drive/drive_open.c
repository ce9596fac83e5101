/*
 * drive_open - opens a set: look at every path, format what is new, agree on the catalog, set it in
 * force.
 *
 *   look ──> format (only when no catalog exists anywhere) ──> load catalogs ──> highest epoch wins
 *        ──> bring it to all present ──> two epochs of our own ──> quarantine what it does not name
 *
 * Why two epochs: nothing may depend on the first. See "Which epoch wins" in holdfast-format(5).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/drive/drive.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libbase/checksum.h"
#include "libbase/clock.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/format/catalog_format.h"

#define SEGMENT_BYTES_FLOOR (UINT64_C(4) << 20)
#define VOLUME_BYTES_FLOOR  (UINT64_C(16) << 20)
#define SEGMENT_BYTES_LEAST 65536u

static void
look_name(void *context, const char *name)
{
	struct drive_look *l = context;

	if (strcmp(name, "lost+found") != 0 && strcmp(name, "drive.new") != 0)
		l->as = LOOKS_FOREIGN;
}

/* A path without a drive file: is it there, is it empty? */
static void
look_directory(struct drive_set *s, unsigned slot, struct drive_look *l)
{
	struct err why = ERR_INIT;
	struct drive *dr = &s->drives[slot];
	int rc;

	l->as = LOOKS_EMPTY;
	rc = s->disk->ops->list(s->disk, dr->path, look_name, l, &why);
	if (rc < 0) {
		l->as = LOOKS_ABSENT;
		snprintf(dr->note, sizeof(dr->note), "%.150s", why.text);
	} else
		snprintf(dr->note, sizeof(dr->note), "%s",
		    l->as == LOOKS_EMPTY ? "empty directory: not mounted, or a new drive"
					 : "holds files but no drive file");
}

/* It is a drive that we hold ourselves, by another name: nobody will let go of it. */
static int
look_own(const struct drive_set *s, unsigned slot, const char *path, struct err *e)
{
	for (unsigned i = 0; i < slot; i++)
		if (s->drives[i].lock_handle >= 0 &&
		    s->disk->ops->same(s->disk, s->drives[i].lock_handle, path))
			return (err_set(e, ERR_CONFIG, "%s and %s in store.drives are the same "
			    "directory", s->drives[i].path, s->drives[slot].path));
	return (0);
}

bool
drive_moved_follow(struct drive_set *s, unsigned slot)
{
	struct drive *dr = &s->drives[slot];
	char path[4096], target[PATH_BYTES_MAX];

	drive_path(s, slot, "", DRIVE_MOVED, path);
	if (s->disk->ops->readlink(s->disk, path, target, sizeof(target), NULL) < 0 ||
	    target[0] != '/')
		return (false);
	snprintf(dr->note, sizeof(dr->note), "store.drives is to name %.90s, which took over",
	    target);
	s->old_paths[s->old_path_count++ % OLD_PATHS_MAX] = dr->path;
	dr->path = strdup(target);
	assert(dr->path != NULL);
	return (true);
}

static int
look_at(struct drive_set *s, unsigned slot, struct drive_look *l, struct err *e);

/* Opens, locks and reads the drive file. Only what must stop the start is an error. */
static int
look(struct drive_set *s, unsigned slot, struct drive_look *l, struct err *e)
{
	int rc = look_at(s, slot, l, e);

	for (unsigned i = 0; rc == 0 && l->as == LOOKS_FORMATTED && i < DRIVES_MAX &&
	    drive_moved_follow(s, slot); i++) {
		s->disk->ops->close(s->disk, s->drives[slot].lock_handle);
		s->drives[slot].lock_handle = -1;
		hf__drive_file__free_unpacked(l->file, NULL);
		*l = (struct drive_look){ .file = NULL };
		rc = look_at(s, slot, l, e);
	}
	return (rc);
}

static int
look_at(struct drive_set *s, unsigned slot, struct drive_look *l, struct err *e)
{
	struct disk *d = s->disk;
	struct drive *dr = &s->drives[slot];
	struct err why = ERR_INIT;
	char path[4096];
	int handle, rc;

	drive_path(s, slot, "", "drive", path);
	handle = d->ops->open(d, path, O_RDWR, &why);
	if (handle == ERR_IO && drive_closed_look(s, slot, handle) == DRIVE_MOUNTED_READ_ONLY)
		handle = d->ops->open(d, path, O_RDONLY, &why);
	if (handle == ERR_NOT_FOUND) {
		look_directory(s, slot, l);
		return (0);
	}
	rc = handle < 0 ? handle : d->ops->lock(d, handle, &why);
	if (rc == 0 || handle < 0)
		rc = handle < 0 ? handle : drive_file_read(d, handle, path, &l->file, &why);
	if (rc == 0) {
		l->as = LOOKS_FORMATTED;
		dr->lock_handle = handle;
		memcpy(dr->uuid, l->file->uuid.data, 16);
		drive_path(s, slot, "", "catalog", path);
		handle = d->ops->open(d, path, O_RDONLY, NULL);
		l->has_catalog = handle != ERR_NOT_FOUND;
		if (handle >= 0)
			d->ops->close(d, handle);
		return (0);
	}
	if (handle >= 0)
		d->ops->close(d, handle);
	if (rc == ERR_LOCKED && look_own(s, slot, path, e) < 0)
		return (ERR_CONFIG);
	if (rc == ERR_LOCKED || rc == ERR_VERSION)
		return (err_set(e, rc, "%s", why.text));
	l->as = rc == ERR_CORRUPT ? LOOKS_DAMAGED : LOOKS_BAD;
	snprintf(dr->note, sizeof(dr->note), "%.150s", why.text);
	return (0);
}

/* --- geometry and identity ----------------------------------------------------------------------
 */

static int
erasure_parse(const struct drive_set_options *o, unsigned *k, unsigned *m, struct err *e)
{
	unsigned n = o->count;
	char rest;

	*m = n >= 12 ? 4 : n >= 8 ? 3 : n >= 4 ? 2 : n >= 2 ? 1 : 0;
	*k = n - *m;
	if (o->erasure == NULL || o->erasure[0] == '\0')
		return (n <= SHARDS_MAX ? 0 : err_set(e, ERR_CONFIG,
		    "store.drives names %u drives, "
		    "and a set has at most %u: say with store.erasure how they are divided", n,
		    SHARDS_MAX));
	if (sscanf(o->erasure, "%2u+%2u%c", k, m, &rest) != 2 || *k < 1)
		return (err_set(e, ERR_CONFIG, "store.erasure is \"%s\"; expected k+m, such as 4+2",
		    o->erasure));
	return (*k + *m <= SHARDS_MAX ? 0 : err_set(e, ERR_CONFIG, "store.erasure is \"%s\"; a set "
	    "has at most %u drives", o->erasure, SHARDS_MAX));
}

/* What the drives are says what a set is; a first format does as the configuration says (B1). */
static int
shape_set(struct drive_set *s, const struct drive_set_options *o, const struct drive_look *looks,
    struct err *e)
{
	const Hf__DriveFile *file = NULL;
	int rc = 0;

	for (unsigned i = 0; i < s->configured && file == NULL; i++)
		file = looks[i].file;
	if (file == NULL || (o->erasure != NULL && o->erasure[0] != '\0'))
		rc = erasure_parse(o, &s->k, &s->m, e);
	else {
		s->k = file->k;
		s->m = file->m;
	}
	if (rc == 0 && (s->k < 1 || s->k + s->m > SHARDS_MAX))
		rc = err_set(e, ERR_CORRUPT, "the drive files say that a set is %u+%u", s->k, s->m);
	if (rc == 0 && o->min_write_redundancy > s->m)
		rc = err_set(e, ERR_CONFIG, "store.min_write_redundancy is %u, and a set of %u+%u "
		    "survives the loss of %u", o->min_write_redundancy, s->k, s->m, s->m);
	if (rc == 0 && s->configured % (s->k + s->m) != 0)
		rc = err_set(e, ERR_CONFIG, "store.drives names %u drives, and a set of %u+%u has "
		    "%u: sets are added whole", s->configured, s->k, s->m, s->k + s->m);
	return (rc);
}

static int
identity_check(struct drive_set *s, const struct drive_look *looks, struct err *e)
{
	const Hf__DriveFile *first = NULL, *f;
	unsigned i, j, first_slot = 0;

	for (i = 0; i < s->count; i++) {
		f = looks[i].file;
		if (f == NULL)
			continue;
		for (j = 0; j < i; j++)
			if (looks[j].file != NULL &&
			    memcmp(looks[j].file->uuid.data, f->uuid.data, 16) == 0)
				return (err_set(e, ERR_INVALID, "%s and %s are the same drive",
				    s->drives[j].path, s->drives[i].path));
		if (first == NULL) {
			first = f;
			first_slot = i;
		}
		if (memcmp(first->deployment.data, f->deployment.data, 16) != 0)
			return (err_set(e, ERR_INVALID, "%s belongs to another deployment than %s",
			    s->drives[i].path, s->drives[first_slot].path));
		if (f->slot != i)
			return (err_set(e, ERR_INVALID,
			    "%s belongs in slot %u, but store.drives has it in slot %u "
			    "(the first path is slot 0): put the paths back in order",
			    s->drives[i].path, f->slot, i));
		if (f->k != s->k || f->m != s->m)
			return (err_set(e, ERR_CONFIG,
			    "%s was formatted as %u+%u, but the configuration says %u+%u",
			    s->drives[i].path, f->k, f->m, s->k, s->m));
	}
	if (first != NULL)
		memcpy(s->deployment, first->deployment.data, 16);
	return (0);
}

/* --- formatting ---------------------------------------------------------------------------------
 */

static int
format_drive(struct drive_set *s, unsigned slot, struct err *e)
{
	Hf__DriveFile f;
	struct drive *dr = &s->drives[slot];

	random_bytes(dr->uuid, sizeof(dr->uuid));
	drive_file_fill(s, slot, dr->uuid, &f);
	return (drive_file_create(s->disk, dr->path, &f, false, &dr->lock_handle, e));
}

/* Refuses a first format unless every path is an empty directory or one that an interrupted try
 * marked. */
static int
format_check(const struct drive_set *s, const struct drive_look *looks, unsigned formatted,
    struct err *e)
{
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (looks[i].as == LOOKS_EMPTY || looks[i].as == LOOKS_FORMATTED)
			continue;
		return (err_set(e, formatted > 0 ? ERR_NO_QUORUM : ERR_INVALID, "cannot %s: %s: %s",
		    formatted > 0 ? "finish the first format, which needs every drive"
				  : "format a new set",
		    s->drives[i].path, s->drives[i].note));
	}
	return (0);
}

/* All drive files first, then catalogs: an interrupted format is recognised by there being no
 * catalog. */
static int
format(struct drive_set *s, struct drive_look *looks, unsigned formatted, struct err *e)
{
	unsigned i;
	int rc;

	rc = format_check(s, looks, formatted, e);
	if (rc == 0 && formatted == 0)
		random_bytes(s->deployment, sizeof(s->deployment));
	/* What a killed process left is perhaps not on its drive yet. */
	for (i = 0; rc == 0 && i < s->count; i++)
		rc = looks[i].as == LOOKS_EMPTY ? format_drive(s, i, e) :
		    s->disk->ops->sync_dir(s->disk, s->drives[i].path, e);
	s->rows.epoch = 1;
	for (i = 0; rc == 0 && i < s->count; i++) {
		looks[i].as = LOOKS_FORMATTED;
		s->drives[i].note[0] = '\0';
		memcpy(s->rows.uuids[i], s->drives[i].uuid, 16);
		s->rows.drives[i].uuid.data = s->rows.uuids[i];
		s->rows.drives[i].uuid.len = 16;
		s->rows.drives[i].since_epoch = 1;
	}
	s->rows.set_count = drive_sets(s);
	for (i = 0; rc == 0 && i < s->count; i++)
		rc = catalog_file_replace(s, i, e);
	return (rc);
}

/* --- the catalog in force --------------------------------------------------------------------- */

/* "slot 1 (path): why; slot 2 ...", as far as it fits. */
static const char *
notes_join(const struct drive_set *s, char *out, size_t out_bytes)
{
	size_t n = 0;
	unsigned i;

	out[0] = '\0';
	for (i = 0; i < s->count && n < out_bytes; i++)
		if (s->drives[i].note[0] != '\0')
			n += (size_t)snprintf(out + n, out_bytes - n, "%sslot %u (%s): %s",
			    n > 0 ? "; " : "", i, s->drives[i].path, s->drives[i].note);
	return (out);
}

/* The states in memory: what is not there is OFFLINE; what was OFFLINE and is there is RETURNING.
 */
static void
states_set(struct drive_set *s, const struct drive_look *looks)
{
	struct drive *dr;
	unsigned i;

	for (i = 0; i < s->count; i++) {
		dr = &s->drives[i];
		dr->state = s->rows.drives[i].state;
		if (dr->state == HF__CATALOG_DRIVE__STATE__LOST)
			continue;
		if (looks[i].as != LOOKS_FORMATTED)
			dr->state = HF__CATALOG_DRIVE__STATE__OFFLINE;
		else if (dr->state != HF__CATALOG_DRIVE__STATE__ONLINE) {
			dr->state = HF__CATALOG_DRIVE__STATE__RETURNING;
			snprintf(dr->note, sizeof(dr->note), s->rows.drives[i].replaced ?
			    "replaced in epoch %" PRIu64 ", and not rebuilt yet" :
			    "was away since epoch %" PRIu64, s->rows.drives[i].since_epoch);
		}
	}
}

/* One epoch that says which drives are there. */
static int
states_commit(struct drive_set *s, const char *reason, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogDrive rows[DRIVES_MAX], *pointers[DRIVES_MAX];
	unsigned i, n = 0;
	int rc;

	for (i = 0; i < s->count; i++) {
		if (s->rows.drives[i].state == s->drives[i].state)
			continue;
		hf__catalog_drive__init(&rows[n]);
		rows[n].slot = i;
		rows[n].state = s->drives[i].state;
		pointers[n] = &rows[n];
		n++;
	}
	change.drives = pointers;
	change.n_drives = n;
	change.reason = (char *)reason;
	pthread_mutex_lock(&s->commit_lock);
	rc = catalog_commit_locked(s, &change, 0, NULL, e);
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}

/* Brings the winner to every present drive. A drive that fails here counts as missing, or is
 * closed. */
static void
catalogs_bring(struct drive_set *s, struct drive_look *looks)
{
	struct err why = ERR_INIT;
	struct drive *dr;
	unsigned i;
	int rc;

	for (i = 0; i < s->count; i++) {
		dr = &s->drives[i];
		if (looks[i].as != LOOKS_FORMATTED)
			continue;
		rc = drive_directories_make(s->disk, dr->path, &why);
		if (rc == 0)
			rc = catalog_file_replace(s, i, &why);
		if (rc == ERR_FULL && s->catalog_end[i] > 0)
			rc = catalog_file_continue(s, i, s->catalog_end[i], &why);
		if (rc < 0) {
			dr->closed = drive_closed_look(s, i, rc);
			if (dr->closed == DRIVE_WRITABLE)
				looks[i].as = LOOKS_BAD;
			snprintf(dr->note, sizeof(dr->note), "%.150s", why.text);
		}
	}
}

static uint32_t
looks_mask(const struct drive_set *s, const struct drive_look *looks)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < s->count; i++)
		if (looks[i].as == LOOKS_FORMATTED)
			mask |= 1u << i;
	return (mask);
}

/* The set goes on without its closed drives, or, if too few are left, is read-only with them. */
static void
closed_decide(struct drive_set *s, struct drive_look *looks, uint32_t read)
{
	uint32_t writable = UINT32_MAX;
	unsigned i;

	for (i = 0; i < s->count; i++)
		if (s->drives[i].closed != DRIVE_WRITABLE)
			writable &= ~(1u << i);
	if (writable == UINT32_MAX)
		return;
	s->starved = drive_sets_may_start(s, looks_mask(s, looks) & read) &&
	    (!drive_sets_may_start(s, looks_mask(s, looks) & read & writable) ||
	    !drive_sets_have(s, looks_mask(s, looks) & writable, drive_set_write_quorum(s)));
	for (i = 0; i < s->count && !s->starved; i++)
		if (s->drives[i].closed != DRIVE_WRITABLE)
			looks[i].as = LOOKS_BAD;
}

static int
set_start(struct drive_set *s, struct drive_look *looks, uint32_t read, struct err *e)
{
	struct err why = ERR_INIT;
	char notes[400];
	uint32_t online;
	unsigned i;
	int rc;

	s->read_only = !drive_sets_may_start(s, looks_mask(s, looks) & read);
	if (!s->read_only) {
		catalogs_bring(s, looks);
		closed_decide(s, looks, read);
		s->read_only = s->starved ||
		    !drive_sets_may_start(s, looks_mask(s, looks) & read);
	}
	states_set(s, looks);
	if (!drive_sets_have(s, looks_mask(s, looks), s->k))
		return (err_set(e, ERR_NO_QUORUM,
		    "%d of %u drives are there and %u%s are needed even for reading: %s",
		    __builtin_popcount(looks_mask(s, looks)), s->count, s->k,
		    drive_sets(s) > 1 ? " of each set" : "",
		    notes_join(s, notes, sizeof(notes))));
	if (s->read_only)
		return (0);
	rc = states_commit(s, "open", e);
	if (rc == 0)
		rc = states_commit(s, "open, confirmed", e);
	if (rc == ERR_NO_QUORUM && drive_sets_have(s, drive_present_mask(s), s->k))
		return (0); /* read-only, and says so */
	online = rc == 0 ? drive_present_mask(s) : 0;
	for (i = 0; i < s->count; i++)
		if (online >> i & 1 && drive_quarantine(s, i, &why) < 0)
			drive_fail(s, i, why.text, NULL);
	return (rc);
}

static void
sizes_set(struct drive_set *s, const struct drive_set_options *o)
{
	uint64_t smallest = UINT64_MAX, most;
	unsigned i;

	s->sector_bytes = 512;
	for (i = 0; i < s->count; i++) {
		if (s->drives[i].lock_handle < 0 || s->drives[i].space.total_bytes == 0)
			continue;
		if (s->drives[i].space.total_bytes < smallest)
			smallest = s->drives[i].space.total_bytes;
		if (s->drives[i].space.sector_bytes > s->sector_bytes)
			s->sector_bytes = s->drives[i].space.sector_bytes;
	}
	most = smallest / 32 < SEGMENT_BYTES_FLOOR ? SEGMENT_BYTES_FLOOR : smallest / 32;
	s->segment_bytes = (o->segment_bytes < most ? o->segment_bytes : most) & ~UINT64_C(4095);
	if (s->segment_bytes < SEGMENT_BYTES_LEAST)
		s->segment_bytes = SEGMENT_BYTES_LEAST;
	most = smallest / 16 < VOLUME_BYTES_FLOOR ? VOLUME_BYTES_FLOOR : smallest / 16;
	s->volume_bytes = (o->volume_bytes < most ? o->volume_bytes : most) & ~UINT64_C(65535);
}

/* Before anything is written to one of them. */
static int
paths_check(const struct drive_set *s, struct err *e)
{
	for (unsigned i = 0; i < s->configured; i++)
		for (unsigned j = 0; j < i; j++)
			if (drive_path_is(s->drives[i].path, s->drives[j].path))
				return (err_set(e, ERR_CONFIG, "store.drives names %s twice, for "
				    "slots %u and %u", s->drives[i].path, j, i));
	return (0);
}

static int
set_open(struct drive_set *s, const struct drive_set_options *o, struct drive_look *looks,
    struct err *e)
{
	unsigned i, formatted = 0, catalogs = 0;
	uint32_t read = UINT32_MAX;
	int rc = paths_check(s, e);

	for (i = 0; rc == 0 && i < s->configured; i++) {
		rc = look(s, i, &looks[i], e);
		formatted += looks[i].as == LOOKS_FORMATTED;
		catalogs += looks[i].has_catalog;
	}
	if (rc == 0)
		rc = shape_set(s, o, looks, e);
	if (rc == 0)
		rc = identity_check(s, looks, e);
	if (rc == 0 && catalogs == 0)
		rc = format(s, looks, formatted, e);
	else if (rc == 0)
		rc = drives_agree(s, looks, &read, e);
	if (rc == 0)
		rc = drive_sets_in_use(s, s->configured, e);
	if (rc == 0)
		rc = s->judge->versions_check(s, e);
	if (rc == 0)
		rc = set_start(s, looks, read, e);
	if (rc == 0)
		rc = drive_formers_open(s, e);
	if (rc == 0 && !s->read_only)
		rc = drive_sets_join(s, looks, e);
	if (rc == 0) {
		drive_set_refresh_space(s);
		sizes_set(s, o);
	}
	return (rc);
}

int
drive_set_open(
    struct disk *disk, const struct drive_set_options *o, struct drive_set **out, struct err *e)
{
	struct drive_look looks[DRIVES_MAX] = { 0 };
	struct drive_set *s;
	unsigned i;
	int rc;

	assert(o->judge != NULL);
	if (o->count < 1 || o->count > DRIVES_MAX)
		return (err_set(
		    e, ERR_CONFIG, "a store has 1 to %u drives, not %u", DRIVES_MAX, o->count));
	for (i = 0; i < o->count; i++)
		if (strlen(o->paths[i]) > PATH_BYTES_MAX)
			return (err_set(e, ERR_CONFIG,
			    "the path of slot %u in store.drives is too long", i));
	s = drive_set_new(disk, o->paths, o->count);
	s->judge = o->judge;
	s->min_write_redundancy = o->min_write_redundancy;
	s->segments_spare = o->segments_spare < RECYCLED_MAX ? o->segments_spare : RECYCLED_MAX;
	rc = set_open(s, o, looks, e);
	for (i = 0; i < s->configured; i++)
		if (looks[i].file != NULL)
			hf__drive_file__free_unpacked(looks[i].file, NULL);
	if (rc < 0) {
		drive_set_close(&s);
		return (rc);
	}
	*out = s;
	return (0);
}
