/*
 * check_drive - drives, their copies of the catalog, and files: those that the catalog names and
 * that are not there, and those that are there and that it does not name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"

static const char *
state_name(Hf__CatalogDrive__State state)
{
	const ProtobufCEnumValue *v =
	    protobuf_c_enum_descriptor_get_value(&hf__catalog_drive__state__descriptor, (int)state);

	return (v != NULL ? v->name : "unknown");
}

static void
catalog_check(struct check *c, unsigned slot)
{
	const struct view_drive *vd = &c->view->drives[slot];
	uint64_t epoch = c->set->rows.epoch;
	char path[4096];
	struct fault_at at = { CHECK_DEGRADED, "catalog", (int)slot, path, NO_OFFSET, NULL };

	drive_path(c->set, slot, "", "catalog", path);
	if (vd->catalog_code < 0) {
		check_fault(c, at, "%s", vd->catalog_why);
		return;
	}
	c->sum.catalogs++;
	if (vd->behind)
		check_fault(c, at, "it ends at epoch %" PRIu64 "; the set is at %" PRIu64,
		    vd->epoch, epoch);
	if (vd->disagrees)
		check_fault(c, at, "epoch %" PRIu64 " says something else here than on other "
		    "drives",
		    vd->epoch);
	at.severity = CHECK_HARMLESS;
	at.offset = vd->catalog_end;
	if (vd->torn)
		check_fault(c, at, "a change behind epoch %" PRIu64 " was not written to its end",
		    vd->epoch);
}

static void
drive_check(struct check *c, unsigned slot)
{
	const struct view_drive *vd = &c->view->drives[slot];
	Hf__CatalogDrive__State state = c->set->rows.drives[slot].state;
	struct fault_at at = { CHECK_DEGRADED, "drive", (int)slot, c->set->drives[slot].path,
	    NO_OFFSET, NULL };

	if (!vd->present) {
		check_fault(c, at, "the drive cannot be read: %s", vd->why);
		return;
	}
	c->sum.drives++;
	if (c->set->rows.drives[slot].uuid.len == 16 &&
	    memcmp(c->set->rows.uuids[slot], c->set->drives[slot].uuid, 16) != 0)
		check_fault(c, at, "it is not the drive that the catalog has for this slot");
	if (state != HF__CATALOG_DRIVE__STATE__ONLINE)
		check_fault(c, at, "the catalog has it as %s since epoch %" PRIu64,
		    state_name(state), c->set->rows.drives[slot].since_epoch);
	catalog_check(c, slot);
}

static void
set_check(struct check *c, unsigned set)
{
	uint32_t members = drive_set_mask(c->set, set);
	unsigned read = 0, need = drive_start_quorum(c->set, set);

	for (unsigned slot = 0; slot < c->set->count; slot++)
		read += members >> slot & 1 && c->view->drives[slot].present &&
		    c->view->drives[slot].catalog_code == 0;
	if (read < need)
		check_fault(c, (struct fault_at){ CHECK_DEGRADED, "set", -1, NULL, NO_OFFSET,
		    NULL }, "only %u of %u catalogs of set %u can be read and %u are needed for "
		    "writing: an absent drive may know a later epoch", read,
		    drive_set_width(c->set), set, need);
}

void
check_drives(struct check *c)
{
	for (unsigned slot = 0; slot < c->set->count; slot++)
		drive_check(c, slot);
	for (unsigned set = 0; set < drive_sets(c->set); set++)
		set_check(c, set);
}

/* --- files that nothing names ----------------------------------------------------------------- */

struct listing {
	struct check	*check;
	unsigned	 slot;
	const char	*sub;
};

static bool
slot_among(const uint32_t *slots, size_t count, unsigned slot)
{
	size_t i;

	for (i = 0; i < count && slots[i] != slot; i++)
		;
	return (i < count);
}

static bool
named(const struct listing *l, const char *name)
{
	const struct catalog_rows *rows = &l->check->set->rows;
	const Hf__CatalogSegment *segment;
	const Hf__CatalogVolume *volume;
	char ending[8];
	uint64_t id;
	int used = 0;
	bool converted;

	if (sscanf(name, "%16" SCNx64 "%4s%n", &id, ending, &used) != 2 || used != 20 ||
	    name[20] != '\0')
		return (false);
	if (strcmp(l->sub, "log") == 0) {
		segment = catalog_rows_segment(rows, id);
		converted = segment != NULL &&
		    segment->state == HF__CATALOG_SEGMENT__STATE__CONVERTED;
		return (segment != NULL && strcmp(ending, converted ? ".ecs" : ".seg") == 0 &&
		    slot_among(segment->slots, segment->n_slots, l->slot));
	}
	volume = catalog_rows_volume(rows, id);
	return (strcmp(ending, ".vol") == 0 && volume != NULL &&
	    slot_among(volume->slots, volume->n_slots, l->slot));
}

static void
on_name(void *context, const char *name)
{
	struct listing *l = context;
	char path[4096];

	if (strcmp(l->sub, "quarantine") == 0) {
		l->check->sum.quarantined++;
		return;
	}
	/* Of a store that runs: it is being made, or was dropped a moment ago. */
	if (named(l, name) || l->check->o->live != NULL)
		return;
	drive_path(l->check->set, l->slot, l->sub, "", path);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%.255s", name);
	check_fault(l->check, (struct fault_at){ CHECK_HARMLESS, "file", (int)l->slot, path,
	    NO_OFFSET, NULL }, "the catalog does not name it: the next start puts it away");
}

/* --- volumes ---------------------------------------------------------------------------------- */

static void
shard_check(struct check *c, const Hf__CatalogVolume *row, unsigned shard)
{
	struct disk *d = c->set->disk;
	unsigned slot = row->slots[shard];
	char name[VOLUME_NAME_BYTES], path[4096];
	struct fault_at at = { CHECK_DEGRADED, "volume", (int)slot, path, NO_OFFSET, NULL };
	struct err why = ERR_INIT;
	uint64_t size = 0;
	int handle;

	if (slot >= c->set->count || !c->view->drives[slot].present)
		return;
	volume_name(row->id, name);
	drive_path(c->set, slot, "vol", name, path);
	handle = d->ops->open(d, path, O_RDONLY, &why);
	if (handle < 0) {
		check_fault(c, at, "shard %u cannot be opened: %s", shard, why.text);
		return;
	}
	c->sum.shard_files++;
	if (d->ops->size(d, handle, &size, &why) < 0)
		check_fault(c, at, "shard %u: %s", shard, why.text);
	else if (size < row->bytes) {
		at.offset = size;
		check_fault(c, at, "shard %u ends there; it should have %" PRIu64 " bytes", shard,
		    row->bytes);
	}
	d->ops->close(d, handle);
}

static void
volume_check(struct check *c, const Hf__CatalogVolume *row)
{
	c->sum.volumes++;
	for (unsigned i = 0; i < row->n_slots; i++)
		shard_check(c, row, i);
}

void
check_files(struct check *c)
{
	static const char *const subs[] = { "log", "vol", "quarantine" };
	const struct catalog_rows *rows = &c->set->rows;
	char path[4096];
	unsigned slot, i;
	size_t n;

	for (slot = 0; slot < c->set->count; slot++)
		for (i = 0; c->view->drives[slot].present && i < 3; i++) {
			struct listing l = { c, slot, subs[i] };
			struct err why = ERR_INIT;

			drive_path(c->set, slot, subs[i], "", path);
			if (c->set->disk->ops->list(c->set->disk, path, on_name, &l, &why) < 0)
				check_fault(c, (struct fault_at){ CHECK_DEGRADED, "directory",
				    (int)slot, path, NO_OFFSET, NULL }, "%s", why.text);
		}
	for (n = 0; n < rows->volume_count && c->o->live == NULL; n++)
		volume_check(c, rows->volumes[n]);
}

static const ProtobufCMessage *
volume_row(const struct check *c, uint64_t id)
{
	const Hf__CatalogVolume *row = catalog_rows_volume(&c->set->rows, id);

	return (row != NULL ? &row->base : NULL);
}

static int
volume_look(struct check *c, const ProtobufCMessage *row, struct err *e)
{
	(void)e;
	volume_check(c, (const Hf__CatalogVolume *)row);
	return (0);
}

int
check_files_live(struct check *c, struct err *e)
{
	int rc = 0;

	check_files(c);
	for (size_t i = 0; rc == 0 && i < c->file_count; i++)
		rc = check_file_live(c, c->files[i], volume_row, volume_look, e);
	return (rc);
}
