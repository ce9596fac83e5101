/*
 * catalog_rows - the tables of a catalog in memory: apply a change, find a row, pack a snapshot. No
 * I/O.
 *
 * R1  What a drive lacks is marked in the rows of the files, in the epoch in which it begins to
 *     lack it: see files_mark. So a catalog alone tells what is to be rebuilt.
 * R2  So is what it has as links to the files of the drive from which it takes over: files_link.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>

#include "libbase/message_copy.h"
#include "libstore/drive/drive_internal.h"
#include "libstore/format/catalog_format.h"

void
catalog_rows_init(struct catalog_rows *r)
{
	unsigned i;

	memset(r, 0, sizeof(*r));
	r->next_id = 1;
	r->set_count = 1;
	for (i = 0; i < DRIVES_MAX; i++) {
		hf__catalog_drive__init(&r->drives[i]);
		hf__catalog_set__init(&r->sets[i]);
		r->drives[i].slot = i;
		r->sets[i].number = i;
	}
}

static void
former_forget(struct catalog_rows *r, unsigned slot)
{
	Hf__CatalogDrive *d = &r->drives[slot];

	if (d->former_uuid.len > 0)
		free(d->former_path);
	d->former_uuid = (ProtobufCBinaryData){ 0, NULL };
	d->former_path = (char *)(uintptr_t)protobuf_c_empty_string;
	d->former_lost = false;
	d->former_epoch = 0;
}

void
catalog_rows_release(struct catalog_rows *r)
{
	size_t i;

	for (i = 0; i < r->segment_count; i++)
		hf__catalog_segment__free_unpacked(r->segments[i], NULL);
	for (i = 0; i < r->volume_count; i++)
		hf__catalog_volume__free_unpacked(r->volumes[i], NULL);
	for (i = 0; i < DRIVES_MAX; i++)
		former_forget(r, (unsigned)i);
	free(r->segments);
	free(r->volumes);
	memset(r, 0, sizeof(*r));
}

static void *
grow(void *rows, size_t count, size_t *capacity)
{
	if (count < *capacity)
		return (rows);
	*capacity = *capacity == 0 ? 16 : *capacity * 2;
	rows = realloc(rows, *capacity * sizeof(void *));
	assert(rows != NULL);
	return (rows);
}

/* First index whose id is not below id. */
static size_t
segment_index(const struct catalog_rows *r, uint64_t id)
{
	size_t low = 0, high = r->segment_count, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (r->segments[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return (low);
}

static size_t
volume_index(const struct catalog_rows *r, uint64_t id)
{
	size_t low = 0, high = r->volume_count, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (r->volumes[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return (low);
}

static void
segment_apply(struct catalog_rows *r, const Hf__CatalogSegment *row)
{
	size_t i = segment_index(r, row->id);
	bool there = i < r->segment_count && r->segments[i]->id == row->id;
	bool drop = row->state == HF__CATALOG_SEGMENT__STATE__DROPPED;

	if (there)
		hf__catalog_segment__free_unpacked(r->segments[i], NULL);
	if (there && drop)
		memmove(&r->segments[i], &r->segments[i + 1],
		    (--r->segment_count - i) * sizeof(*r->segments));
	if (drop)
		return;
	if (!there) {
		r->segments = grow(r->segments, r->segment_count, &r->segment_capacity);
		memmove(&r->segments[i + 1], &r->segments[i],
		    (r->segment_count++ - i) * sizeof(*r->segments));
	}
	r->segments[i] = message_copy(&row->base);
}

static void
volume_apply(struct catalog_rows *r, const Hf__CatalogVolume *row)
{
	size_t i = volume_index(r, row->id);
	bool there = i < r->volume_count && r->volumes[i]->id == row->id;
	bool drop = row->state == HF__CATALOG_VOLUME__STATE__DROPPED;

	if (there)
		hf__catalog_volume__free_unpacked(r->volumes[i], NULL);
	if (there && drop)
		memmove(&r->volumes[i], &r->volumes[i + 1],
		    (--r->volume_count - i) * sizeof(*r->volumes));
	if (drop)
		return;
	if (!there) {
		r->volumes = grow(r->volumes, r->volume_count, &r->volume_capacity);
		memmove(&r->volumes[i + 1], &r->volumes[i],
		    (r->volume_count++ - i) * sizeof(*r->volumes));
	}
	r->volumes[i] = message_copy(&row->base);
}

static uint32_t
slot_bits(const uint32_t *slots, size_t count, unsigned slot)
{
	uint32_t bits = 0;
	size_t i;

	for (i = 0; i < count && i < 32; i++)
		if (slots[i] == slot)
			bits |= 1u << i;
	return (bits);
}

/* R2. Whatever the drive has is a link to what its former one has; or that is gone, and the drive
 * lacks it. */
static void
files_link(struct catalog_rows *r, unsigned slot, bool lost)
{
	size_t i;

	for (i = 0; i < r->volume_count; i++) {
		Hf__CatalogVolume *v = r->volumes[i];
		uint32_t bits = slot_bits(v->slots, v->n_slots, slot);

		if (!lost)
			v->linked |= bits;
		v->lacking |= lost ? bits & v->linked : 0;
		v->complete &= ~(lost ? bits & v->linked : 0);
	}
	for (i = 0; i < r->segment_count; i++) {
		Hf__CatalogSegment *g = r->segments[i];
		uint32_t bits = slot_bits(g->slots, g->n_slots, slot);

		if (!lost)
			g->linked |= bits;
		g->missing |= lost ? bits & g->linked : 0;
	}
}

/* None of its files is a link: it began empty, or has them all. */
static void
files_unlink(struct catalog_rows *r, unsigned slot)
{
	size_t i;

	for (i = 0; i < r->volume_count; i++)
		r->volumes[i]->linked &=
		    ~slot_bits(r->volumes[i]->slots, r->volumes[i]->n_slots, slot);
	for (i = 0; i < r->segment_count; i++)
		r->segments[i]->linked &=
		    ~slot_bits(r->segments[i]->slots, r->segments[i]->n_slots, slot);
}

/*
 * R1. A drive that goes away lacks from now on what is written to volumes that are not sealed. (A
 * segment is sealed at what all its mirrors had, or recovery marks it.) A drive that was replaced
 * lacks everything.
 */
static void
files_mark(struct catalog_rows *r, unsigned slot, bool everything)
{
	size_t i;

	for (i = 0; i < r->volume_count; i++) {
		Hf__CatalogVolume *v = r->volumes[i];
		uint32_t bits = slot_bits(v->slots, v->n_slots, slot);

		if (everything || v->state == HF__CATALOG_VOLUME__STATE__ACTIVE) {
			v->lacking |= bits;
			v->complete &= ~bits;
		}
	}
	for (i = 0; everything && i < r->segment_count; i++)
		r->segments[i]->missing |=
		    slot_bits(r->segments[i]->slots, r->segments[i]->n_slots, slot);
}

static void
former_apply(struct catalog_rows *r, const Hf__CatalogDrive *row)
{
	Hf__CatalogDrive *d = &r->drives[row->slot];

	former_forget(r, row->slot);
	if (row->former_uuid.len != 16)
		return;
	memcpy(r->formers[row->slot], row->former_uuid.data, 16);
	d->former_uuid = (ProtobufCBinaryData){ 16, r->formers[row->slot] };
	d->former_path = strdup(row->former_path);
	assert(d->former_path != NULL);
	d->former_epoch = row->former_epoch;
}

static void
drive_apply(struct catalog_rows *r, const Hf__CatalogDrive *row)
{
	Hf__CatalogDrive *d;

	if (row->slot >= DRIVES_MAX)
		return;
	d = &r->drives[row->slot];
	d->state = row->state;
	d->since_epoch = row->since_epoch;
	if (row->state != HF__CATALOG_DRIVE__STATE__ONLINE)
		r->away_epochs[row->slot] = r->epoch;
	if (row->uuid.len == 16)
		d->replaced = row->replaced;
	else if (row->state == HF__CATALOG_DRIVE__STATE__ONLINE)
		d->replaced = false;
	if (row->uuid.len == 16) {
		memcpy(r->uuids[row->slot], row->uuid.data, 16);
		d->uuid.data = r->uuids[row->slot];
		d->uuid.len = 16;
		former_apply(r, row);
	}
	d->former_lost |= row->former_lost;
}

/* What a row of a drive says of the files on it. */
static void
drive_files_apply(struct catalog_rows *r, const Hf__CatalogDrive *d)
{
	bool fresh = d->replaced && d->uuid.len == 16;

	if (d->slot >= DRIVES_MAX)
		return;
	if (fresh || d->state == HF__CATALOG_DRIVE__STATE__OFFLINE ||
	    d->state == HF__CATALOG_DRIVE__STATE__LOST)
		files_mark(r, d->slot, fresh);
	if (d->uuid.len == 16 && d->former_uuid.len != 16)
		files_unlink(r, d->slot);
	else if (d->uuid.len == 16 || d->former_lost)
		files_link(r, d->slot, d->former_lost);
}

static void
set_apply(struct catalog_rows *r, const Hf__CatalogSet *row)
{
	if (row->number >= DRIVES_MAX)
		return;
	r->sets[row->number].state = row->state;
	r->sets[row->number].since_epoch = row->since_epoch;
	if (row->number >= r->set_count)
		r->set_count = row->number + 1;
}

void
catalog_rows_apply(struct catalog_rows *r, const Hf__CatalogChange *change)
{
	size_t i;

	r->epoch = change->epoch;
	if (change->next_id > r->next_id)
		r->next_id = change->next_id;
	if (change->horizon_lsn > r->horizon)
		r->horizon = change->horizon_lsn;
	if (change->reign > r->reign) {
		r->reign = change->reign;
		r->reign_id = change->reign_id;
	}
	for (i = 0; i < change->n_sets; i++)
		set_apply(r, change->sets[i]);
	for (i = 0; i < change->n_drives; i++)
		drive_apply(r, change->drives[i]);
	for (i = 0; !change->snapshot && i < change->n_drives; i++)
		drive_files_apply(r, change->drives[i]);
	for (i = 0; i < change->n_segments; i++)
		segment_apply(r, change->segments[i]);
	for (i = 0; i < change->n_volumes; i++)
		volume_apply(r, change->volumes[i]);
}

uint32_t
catalog_rows_version(Hf__CatalogDrive *const *drives, size_t count, bool sets)
{
	for (size_t i = 0; i < count; i++)
		if (drives[i]->former_uuid.len > 0 || drives[i]->former_lost)
			return (CATALOG_VERSION_FORMER);
	return (sets ? CATALOG_VERSION_SETS : CATALOG_VERSION_PLAIN);
}

void
catalog_rows_pack(const struct catalog_rows *r, const uint8_t deployment[16], unsigned k,
    unsigned m, struct buf *out)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogDrive *drives[DRIVES_MAX];
	Hf__CatalogSet *sets[DRIVES_MAX];
	unsigned slots = (k + m) * r->set_count, i;

	for (i = 0; i < slots && i < DRIVES_MAX; i++)
		drives[i] = (Hf__CatalogDrive *)&r->drives[i];
	for (i = 0; i < r->set_count; i++)
		sets[i] = (Hf__CatalogSet *)&r->sets[i];
	change.epoch = r->epoch;
	change.snapshot = true;
	change.deployment.data = (uint8_t *)deployment;
	change.deployment.len = 16;
	change.k = k;
	change.m = m;
	change.drives = drives;
	change.n_drives = slots < DRIVES_MAX ? slots : DRIVES_MAX;
	change.sets = sets;
	change.n_sets = r->set_count > 1 ? r->set_count : 0;
	change.segments = r->segments;
	change.n_segments = r->segment_count;
	change.volumes = r->volumes;
	change.n_volumes = r->volume_count;
	change.horizon_lsn = r->horizon;
	change.next_id = r->next_id;
	change.reign = r->reign;
	change.reign_id = r->reign_id;
	change.reason = (char *)"snapshot";
	hf__catalog_change__pack(
	    &change, buf_extend(out, hf__catalog_change__get_packed_size(&change)));
}

Hf__CatalogSegment *
catalog_rows_segment(const struct catalog_rows *r, uint64_t id)
{
	size_t i = segment_index(r, id);

	return (i < r->segment_count && r->segments[i]->id == id ? r->segments[i] : NULL);
}

Hf__CatalogVolume *
catalog_rows_volume(const struct catalog_rows *r, uint64_t id)
{
	size_t i = volume_index(r, id);

	return (i < r->volume_count && r->volumes[i]->id == id ? r->volumes[i] : NULL);
}
