/*
 * drive_agree - of all copies of the catalog the one in force, and which drives belong to it.
 *
 * A1  The highest reign wins, and in it the highest epoch.
 * A2  A drive that the winner does not have for its slot, or has as LOST, is left alone: it is not
 *     written, and its copy does not count.
 * A3  A drive file that is damaged is written anew if its catalog and its log are those of the
 *     slot.
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

static const char *const drive_directories[] = { "log", "vol", "quarantine", "reserve" };

int
drive_directories_make(struct disk *d, const char *drive, struct err *e)
{
	char path[4096];
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < sizeof(drive_directories) / sizeof(*drive_directories); i++) {
		snprintf(path, sizeof(path), "%s/%s", drive, drive_directories[i]);
		rc = d->ops->mkdir(d, path, e);
	}
	return (rc == 0 ? d->ops->sync_dir(d, drive, e) : rc);
}

unsigned
drive_rows_sets(const struct drive_set *s)
{
	unsigned n = 0;

	while (n < s->rows.set_count &&
	    s->rows.sets[n].state != HF__CATALOG_SET__STATE__JOINING)
		n++;
	return (n);
}

void
drive_rows_take(struct drive_set *s, struct catalog_rows *rows)
{
	unsigned i;

	catalog_rows_release(&s->rows);
	s->rows = *rows;
	catalog_rows_init(rows);
	for (i = 0; i < DRIVES_MAX; i++) {	/* the struct moved: point at its own bytes */
		Hf__CatalogDrive *d = &s->rows.drives[i];

		d->uuid.data = d->uuid.len > 0 ? s->rows.uuids[i] : NULL;
		d->former_uuid.data = d->former_uuid.len > 0 ? s->rows.formers[i] : NULL;
	}
}

/* --- copies ----------------------------------------------------------------------------------- */

/* Tells copies that say the same from others, also of the same epoch. */
static uint32_t
rows_sum(const struct drive_set *s, const struct catalog_rows *rows)
{
	struct buf packed = BUF_INIT;
	uint32_t sum;

	catalog_rows_pack(rows, s->deployment, s->k, s->m, &packed);
	sum = crc32c(0, packed.data, packed.bytes);
	buf_release(&packed);
	return (sum);
}

static bool
rows_newer(const struct catalog_rows *a, const struct catalog_rows *b)
{
	return (a->reign != b->reign ? a->reign > b->reign : a->epoch > b->epoch);	/* A1 */
}

/* What is known of the copies while they are read. */
struct copies {
	uint32_t	sums[DRIVES_MAX], read;
	unsigned	winner;
	struct err	why;		/* of the last that could not be read */
};

/* Two operators gave up each other's drives: no rule tells which of them was right. */
static int
reigns_check(const struct drive_set *s, const struct catalog_rows *rows, unsigned slot,
    const struct copies *c, struct err *e)
{
	if (s->rows.epoch == 0 || rows->reign != s->rows.reign ||
	    rows->reign_id == s->rows.reign_id)
		return (0);
	return (err_set(e, ERR_INVALID, "%s and %s went on without each other after accept-loss: "
	    "take the drives of one of the two histories out of store.drives",
	    s->drives[c->winner].path, s->drives[slot].path));
}

static int
copy_load(struct drive_set *s, unsigned slot, struct copies *c, struct err *e)
{
	struct catalog_rows rows;
	char path[4096];
	int rc;

	drive_path(s, slot, "", "catalog", path);
	catalog_rows_init(&rows);
	rc = catalog_file_load(
	    s->disk, path, s->deployment, &rows, &s->catalog_end[slot], &c->why);
	c->sums[slot] = rc == 0 ? rows_sum(s, &rows) : 0;
	if (rc == 0 || rc == ERR_NOT_FOUND)
		c->read |= 1u << slot;
	else
		snprintf(s->drives[slot].note, sizeof(s->drives[slot].note), "%.150s",
		    c->why.text);
	if (rc == ERR_VERSION || rc == ERR_INVALID)
		err_set(e, rc, "%s", c->why.text);
	else if (rc == 0)
		rc = reigns_check(s, &rows, slot, c, e);
	else
		rc = 0;
	if (rc == 0 && rows_newer(&rows, &s->rows)) {
		drive_rows_take(s, &rows);
		c->winner = slot;
	}
	catalog_rows_release(&rows);
	return (rc);
}

/* --- damaged drive files ---------------------------------------------------------------------- */

struct mirror_count { struct drive_set *set; unsigned slot, here, elsewhere; };

static void
mirror_look(void *context, const char *name)
{
	struct mirror_count *c = context;
	const Hf__CatalogSegment *row;
	uint64_t id;
	size_t i;

	if (sscanf(name, "%16" SCNx64, &id) != 1)
		return;
	row = catalog_rows_segment(&c->set->rows, id);
	for (i = 0; row != NULL && i < row->n_slots && row->slots[i] != c->slot; i++)
		;
	if (row != NULL && i < row->n_slots)
		c->here++;
	else if (row != NULL)
		c->elsewhere++;
}

/* A3 */
static bool
drive_is_of_slot(struct drive_set *s, unsigned slot)
{
	struct mirror_count c = { s, slot, 0, 0 };
	struct catalog_rows rows;
	struct err ignored = ERR_INIT;
	char path[4096];
	uint64_t end;
	int rc;

	drive_path(s, slot, "", "catalog", path);
	catalog_rows_init(&rows);
	rc = catalog_file_load(s->disk, path, s->deployment, &rows, &end, &ignored);
	catalog_rows_release(&rows);
	drive_path(s, slot, "log", "", path);
	return (rc == 0 && s->disk->ops->list(s->disk, path, mirror_look, &c, NULL) == 0 &&
	    c.elsewhere == 0 && s->rows.drives[slot].uuid.len == 16 &&
	    s->rows.drives[slot].state != HF__CATALOG_DRIVE__STATE__LOST);
}

static void
drive_file_repair(struct drive_set *s, unsigned slot, struct drive_look *l, struct copies *c)
{
	struct drive *dr = &s->drives[slot];
	struct err why = ERR_INIT;
	Hf__DriveFile file;
	int rc;

	if (!drive_is_of_slot(s, slot))
		return;
	drive_file_fill(s, slot, s->rows.uuids[slot], &file);
	rc = drive_file_create(s->disk, dr->path, &file, true, &dr->lock_handle, &why);
	if (rc < 0) {
		snprintf(dr->note, sizeof(dr->note), "%.150s", why.text);
		return;
	}
	memcpy(dr->uuid, s->rows.uuids[slot], 16);
	l->as = LOOKS_FORMATTED;
	l->has_catalog = true;
	rc = copy_load(s, slot, c, &why);
	snprintf(dr->note, sizeof(dr->note),
	    "its drive file was damaged, and was written anew from the catalog");
	assert(rc == 0 || s->catalog_end[slot] == 0);
}

/* --- who belongs ------------------------------------------------------------------------------ */

static void
drive_leave(struct drive_set *s, unsigned slot, struct drive_look *l, const char *what)
{
	struct drive *dr = &s->drives[slot];

	l->as = LOOKS_WRONG;
	if (dr->lock_handle >= 0)
		s->disk->ops->close(s->disk, dr->lock_handle);
	dr->lock_handle = -1;
	snprintf(dr->note, sizeof(dr->note), "%s", what);
}

static void
drive_belongs(struct drive_set *s, unsigned slot, struct drive_look *l, struct copies *c)
{
	const Hf__CatalogDrive *row = &s->rows.drives[slot];
	char what[160];

	if (row->state == HF__CATALOG_DRIVE__STATE__LOST) {
		snprintf(what, sizeof(what), "was given up by an operator in epoch %" PRIu64
		    " and is not used; empty it, then: holdfastctl drive replace %u",
		    row->since_epoch, slot);
		drive_leave(s, slot, l, what);
	} else if (l->as == LOOKS_FORMATTED && row->uuid.len == 16 &&
	    memcmp(s->rows.uuids[slot], s->drives[slot].uuid, 16) != 0) {
		snprintf(what, sizeof(what), "wrong drive: not the one that the catalog has for "
		    "slot %u since epoch %" PRIu64 "; it is left alone", slot,
		    row->since_epoch);
		drive_leave(s, slot, l, what);
	}
	if (l->as != LOOKS_FORMATTED)
		c->read &= ~(1u << slot);	/* A2 */
}

int
drives_agree(struct drive_set *s, struct drive_look *looks, uint32_t *read, struct err *e)
{
	struct copies c = { .why = ERR_INIT };
	unsigned i;
	int rc = 0;

	for (i = 0; rc == 0 && i < s->count; i++)
		if (looks[i].as == LOOKS_FORMATTED)
			rc = copy_load(s, i, &c, e);
	if (rc < 0)
		return (rc);
	if (s->rows.epoch == 0 && c.read != 0)
		return (err_set(e, ERR_CORRUPT, "no drive has a whole catalog (%s)", c.why.text));
	for (i = 0; i < s->count; i++)
		if (looks[i].as == LOOKS_DAMAGED)
			drive_file_repair(s, i, &looks[i], &c);
	for (i = 0; i < s->count && i < drive_rows_sets(s) * drive_set_width(s); i++)
		drive_belongs(s, i, &looks[i], &c);
	for (i = 0; i < s->count; i++)
		if (c.sums[i] != c.sums[c.winner])
			s->catalog_end[i] = 0; /* it says something else: no change follows it */
	*read = c.read;
	return (0);
}
