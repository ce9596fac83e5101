/*
 * view - opens a stopped store for looking at it. See view.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/check/view.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "libbase/file.h"
#include "libstore/check/view_index.h"
#include "libstore/disk/disk_read_only.h"
#include "libstore/drive/drive_set.h"
#include "libstore/log/log.h"

#define REFRESH_TRIES	25u
#define REFRESH_MS	20u

/* --- who holds a lock ------------------------------------------------------------------------- */

static void
process_name(unsigned pid, char *out, size_t out_bytes)
{
	struct buf text = BUF_INIT;
	char path[64];

	out[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	if (file_read(path, 256, &text, NULL) == 0) {
		snprintf(out, out_bytes, "%s", buf_string(&text));
		out[strcspn(out, "\n")] = '\0';
	}
	buf_release(&text);
}

/* From /proc/locks: the process with an exclusive flock on this file; 0: not found. */
static unsigned
lock_holder(const char *path)
{
	unsigned pid = 0, found, major, minor;
	unsigned long long inode;
	struct stat st;
	char line[256];
	FILE *f;

	f = stat(path, &st) == 0 ? fopen("/proc/locks", "re") : NULL;
	if (f == NULL)
		return (0);
	while (pid == 0 && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%*[^:]: FLOCK %*s WRITE %u %x:%x:%llu", &found, &major, &minor,
		    &inode) == 4 && inode == (unsigned long long)st.st_ino)
			pid = found;
	fclose(f);
	return (pid);
}

static int
locked(const char *path, struct err *e)
{
	unsigned pid = lock_holder(path);
	char name[64];

	if (pid == 0)
		return (err_set(e, ERR_LOCKED, "%s is locked by another process: stop the store "
		    "first", path));
	process_name(pid, name, sizeof(name));
	return (err_set(e, ERR_LOCKED, "%s is locked by process %u (%s): stop the store first",
	    path, pid, name[0] != '\0' ? name : "gone"));
}

/* --- drives ----------------------------------------------------------------------------------- */

/* Opens, locks and reads the drive file; what does not stop us is left in why. */
static int
place_look(struct view *v, unsigned slot, Hf__DriveFile **file, struct err *e)
{
	struct drive_set *s = v->set;
	struct view_drive *vd = &v->drives[slot];
	struct err why = ERR_INIT;
	char path[4096];
	int handle, rc;

	drive_path(s, slot, "", "drive", path);
	handle = s->disk->ops->open(s->disk, path, O_RDONLY, &why);
	rc = handle < 0 || v->o->live ? handle < 0 ? handle : 0 :
	    s->disk->ops->lock(s->disk, handle, &why);
	if (rc == ERR_LOCKED) {
		s->disk->ops->close(s->disk, handle);
		return (locked(path, e));
	}
	if (rc == 0)
		rc = drive_file_read(s->disk, handle, path, file, &why);
	if (rc == 0) {
		vd->present = true;
		vd->created_ms = (*file)->created_ms;
		s->drives[slot].lock_handle = handle;
		memcpy(s->drives[slot].uuid, (*file)->uuid.data, 16);
		return (0);
	}
	if (handle >= 0)
		s->disk->ops->close(s->disk, handle);
	snprintf(vd->why, sizeof(vd->why), "%s", why.text);
	return (rc == ERR_VERSION ? err_set(e, rc, "%s", why.text) : 0);
}

/* As a start does: where another drive took over, that is the one. */
static int
drive_look(struct view *v, unsigned slot, Hf__DriveFile **file, struct err *e)
{
	struct drive_set *s = v->set;
	int rc = place_look(v, slot, file, e);

	for (unsigned i = 0; rc == 0 && *file != NULL && i < DRIVES_MAX &&
	    drive_moved_follow(s, slot); i++) {
		s->disk->ops->close(s->disk, s->drives[slot].lock_handle);
		s->drives[slot].lock_handle = -1;
		v->drives[slot].present = false;
		hf__drive_file__free_unpacked(*file, NULL);
		*file = NULL;
		rc = place_look(v, slot, file, e);
	}
	return (rc);
}

/* The first drive says what the set is; the others must agree. */
static int
drive_belongs(struct drive_set *s, unsigned slot, const Hf__DriveFile *f, bool first, struct err *e)
{
	if (first) {
		memcpy(s->deployment, f->deployment.data, 16);
		s->k = f->k;
		s->m = f->m;
	}
	if (f->k < 1 || f->k + f->m > SHARDS_MAX || s->count % (f->k + f->m) != 0)
		return (err_set(e, ERR_CONFIG, "%s is of a set of %u+%u drives, but store.drives "
		    "names %u", s->drives[slot].path, f->k, f->m, s->count));
	if (memcmp(s->deployment, f->deployment.data, 16) != 0 || f->k != s->k || f->m != s->m)
		return (err_set(e, ERR_INVALID, "%s belongs to another deployment than the drives "
		    "before it", s->drives[slot].path));
	if (f->slot != slot)
		return (err_set(e, ERR_INVALID, "%s is the drive of slot %u, not of slot %u",
		    s->drives[slot].path, f->slot, slot));
	return (0);
}

static int
drives_look(struct view *v, struct err *e)
{
	bool first = true;
	unsigned slot;
	int rc = 0;

	for (slot = 0; rc == 0 && slot < v->set->count; slot++) {
		Hf__DriveFile *file = NULL;

		rc = drive_look(v, slot, &file, e);
		if (rc == 0 && file != NULL)
			rc = drive_belongs(v->set, slot, file, first, e);
		if (file != NULL) {
			first = false;
			hf__drive_file__free_unpacked(file, NULL);
		}
	}
	if (rc == 0 && first)
		rc = err_set(e, ERR_NOT_FOUND, "none of %u drives can be read (%s)", v->set->count,
		    v->drives[0].why);
	return (rc);
}

/* --- catalogs --------------------------------------------------------------------------------- */

/* Whether something but zeros stands behind the whole changes of a loaded catalog. */
static void
catalog_tail(struct view *v, const char *path, struct view_drive *vd)
{
	struct disk *d = v->set->disk;
	uint8_t page[4096];
	uint64_t at = vd->catalog_end;
	int handle = d->ops->open(d, path, O_RDONLY, NULL);
	ssize_t n;

	if (handle < 0)
		return;
	while (!vd->torn && (n = d->ops->pread(d, handle, page, sizeof(page), at, NULL)) > 0) {
		vd->torn = page[0] != 0 || memcmp(page, page + 1, (size_t)n - 1) != 0;
		at += (uint64_t)n;
	}
	d->ops->close(d, handle);
}

static bool
rows_equal(const struct drive_set *s, const struct catalog_rows *a, const struct catalog_rows *b)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	bool equal;

	catalog_rows_pack(a, s->deployment, s->k, s->m, &x);
	catalog_rows_pack(b, s->deployment, s->k, s->m, &y);
	equal = slice_equal(buf_slice(&x), buf_slice(&y));
	buf_release(&x);
	buf_release(&y);
	return (equal);
}

static void
catalog_load(struct view *v, unsigned slot, struct catalog_rows *rows)
{
	struct view_drive *vd = &v->drives[slot];
	struct err why = ERR_INIT;
	char path[4096];

	vd->torn = false;
	drive_path(v->set, slot, "", "catalog", path);
	vd->catalog_code = catalog_file_load(v->set->disk, path, v->set->deployment, rows,
	    &vd->catalog_end, &why);
	snprintf(vd->catalog_why, sizeof(vd->catalog_why), "%s", why.text);
	vd->epoch = vd->catalog_code == 0 ? rows->epoch : 0;
	if (vd->catalog_code == 0)
		catalog_tail(v, path, vd);
}

/* Takes the rows of the highest epoch; then each other copy is measured by them. */
static int
catalogs_read(struct view *v, struct err *e)
{
	struct drive_set *s = v->set;
	const char *why = "no drive has one";
	unsigned pass, i;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < s->count; i++) {
			struct view_drive *vd = &v->drives[i];
			struct catalog_rows rows;

			if (!vd->present)
				continue;
			catalog_rows_init(&rows);
			catalog_load(v, i, &rows);
			if (vd->catalog_code == ERR_VERSION || vd->catalog_code == ERR_INVALID) {
				catalog_rows_release(&rows);
				return (err_set(e, vd->catalog_code, "%s", vd->catalog_why));
			}
			if (vd->catalog_code < 0)
				why = vd->catalog_why;
			else if (pass == 0 && (rows.reign != s->rows.reign ?
			    rows.reign > s->rows.reign : rows.epoch > s->rows.epoch))
				drive_rows_take(s, &rows);
			else if (pass == 1) {
				vd->behind = rows.reign < s->rows.reign ||
				    rows.epoch < s->rows.epoch;
				vd->disagrees = !vd->behind && !rows_equal(s, &rows, &s->rows);
			}
			catalog_rows_release(&rows);
		}
	if (s->rows.epoch == 0)
		return (err_set(e, ERR_CORRUPT, "no catalog can be read (%s)", why));
	return (0);
}

static void
states_set(struct view *v)
{
	struct drive_set *s = v->set;
	uint64_t smallest = UINT64_MAX;
	unsigned i;

	s->sector_bytes = 512;
	for (i = 0; i < s->count; i++) {
		struct drive *dr = &s->drives[i];

		dr->state = s->rows.drives[i].state;
		if (dr->state == HF__CATALOG_DRIVE__STATE__LOST) {
			v->drives[i].present = false;
			snprintf(v->drives[i].why, sizeof(v->drives[i].why),
			    "it was given up by an operator");
			continue;
		}
		if (!v->drives[i].present) {
			dr->state = HF__CATALOG_DRIVE__STATE__OFFLINE;
			continue;
		}
		if (dr->state != HF__CATALOG_DRIVE__STATE__ONLINE)
			dr->state = HF__CATALOG_DRIVE__STATE__RETURNING;
		if (s->disk->ops->space(s->disk, dr->path, &dr->space, NULL) < 0)
			continue;
		if (dr->space.sector_bytes > s->sector_bytes)
			s->sector_bytes = dr->space.sector_bytes;
		if (dr->space.total_bytes < smallest)
			smallest = dr->space.total_bytes;
	}
}

/* --- opening and closing ---------------------------------------------------------------------- */

/* All copies that can be read are whole and say the same. */
static bool
catalogs_settled(const struct view *v)
{
	for (unsigned i = 0; i < v->set->count; i++) {
		const struct view_drive *vd = &v->drives[i];

		if (vd->present && (vd->catalog_code < 0 || vd->behind || vd->disagrees ||
		    vd->torn))
			return (false);
	}
	return (true);
}

/* At full speed: while it is waited for one, another changes. */
int
view_refresh(struct view *v, struct err *e)
{
	int rc = 0;

	disk_read_only_limit(v->set->disk, 0, v->o->cancel);
	for (unsigned tries = 0; tries < REFRESH_TRIES; tries++) {
		rc = catalogs_read(v, e);
		if (rc == 0 && catalogs_settled(v))
			break;
		nanosleep(&(struct timespec){ 0, REFRESH_MS * 1000000L }, NULL);
	}
	disk_read_only_limit(v->set->disk, v->o->bytes_per_second, v->o->cancel);
	if (rc == 0)
		states_set(v);
	return (rc);
}

int
view_open(const struct view_options *o, struct view **out, struct err *e)
{
	struct view *v;
	unsigned i;
	int rc;

	if (o->count < 1 || o->count > DRIVES_MAX)
		return (err_set(e, ERR_CONFIG, "store.drives names %u drives; it needs 1 to %d",
		    o->count, DRIVES_MAX));
	for (i = 0; i < o->count; i++)
		if (strlen(o->paths[i]) > 3800)
			return (err_set(e, ERR_CONFIG, "the path of slot %u in store.drives is too "
			    "long", i));
	v = calloc(1, sizeof(*v));
	assert(v != NULL);
	v->o = o;
	v->set = drive_set_new(disk_read_only_new(o->disk), o->paths, o->count);	/* W1 */
	v->set->read_only = true;
	disk_read_only_limit(v->set->disk, o->bytes_per_second, o->cancel);
	rc = drives_look(v, e);
	if (rc == 0)
		rc = o->live ? view_refresh(v, e) : catalogs_read(v, e);
	if (rc == 0)
		rc = drive_sets_in_use(v->set, v->set->count, e);
	if (rc < 0) {
		view_close(&v);
		return (rc);
	}
	if (!o->live)
		states_set(v);
	*out = v;
	return (0);
}

void
view_close(struct view **vp)
{
	struct view *v = *vp;
	struct disk *guard;

	if (v == NULL)
		return;
	*vp = NULL;
	index_close(&v->index);
	index_close(&v->rebuilt);
	log_close(&v->log);
	guard = v->set->disk;
	drive_set_close(&v->set);
	free(guard);
	view_temp_remove(v);
	free(v);
}

int
view_log_open(struct view *v, struct err *e)
{
	return (log_open_with(v->set, false, &v->log, e));
}
