/*
 * catalog_lacking - what the drive of a slot lacks, by the marks that catalog_rows.c keeps: mirrors
 * with their bit in `missing`, shards with theirs in `lacking`. And taking the marks away.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/drive/drive_internal.h"

static uint32_t
slot_bits(const uint32_t *slots, size_t count, unsigned slot)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < count && i < 32; i++)
		if (slots[i] == slot)
			bits |= 1u << i;
	return (bits);
}

/* Opened while too few drives were there: any drive of the set that has no mirror may take one. */
bool
catalog_segment_thin(const struct drive_set *s, const Hf__CatalogSegment *g, unsigned slot)
{
	return (g->state != HF__CATALOG_SEGMENT__STATE__CONVERTED && g->n_slots < s->m + 1 &&
		(g->n_slots == 0 || drive_set_of(s, g->slots[0]) == drive_set_of(s, slot)) &&
		slot_bits(g->slots, g->n_slots, slot) == 0);
}

static bool
segment_lacks(const struct drive_set *s, const Hf__CatalogSegment *g, unsigned slot)
{
	return (((g->missing | g->linked) & slot_bits(g->slots, g->n_slots, slot)) != 0 ||
		catalog_segment_thin(s, g, slot));
}

static bool
volume_lacks(const Hf__CatalogVolume *v, unsigned slot)
{
	return (((v->lacking | v->linked) & slot_bits(v->slots, v->n_slots, slot)) != 0);
}

uint64_t
catalog_segment_file_bytes(const Hf__CatalogSegment *row)
{
	return (row->state == HF__CATALOG_SEGMENT__STATE__CONVERTED ? row->shard_bytes :
	    row->bytes);
}

static void
segments_find(const struct drive_set *s, unsigned slot, uint64_t after, unsigned max,
    struct catalog_lacking *out)
{
	const struct catalog_rows *r = &s->rows;

	for (size_t i = 0; i < r->segment_count; i++) {
		const Hf__CatalogSegment *g = r->segments[i];

		if (!segment_lacks(s, g, slot))
			continue;
		if (g->state == HF__CATALOG_SEGMENT__STATE__OPEN) {
			out->held++;
			out->thin |= catalog_segment_thin(s, g, slot);
		} else if (g->id > after) {
			out->left++;
			out->last = g->id > out->last ? g->id : out->last;
			out->left_bytes += catalog_segment_file_bytes(g);
			if (out->segment_count < max)
				out->segments[out->segment_count++] =
				    catalog_row_copy(&g->base);
		}
	}
}

static void
volumes_find(const struct catalog_rows *r, unsigned slot, uint64_t after, unsigned max,
    struct catalog_lacking *out)
{
	for (size_t i = 0; i < r->volume_count; i++) {
		const Hf__CatalogVolume *v = r->volumes[i];

		if (!volume_lacks(v, slot))
			continue;
		if (v->state == HF__CATALOG_VOLUME__STATE__ACTIVE)
			out->held++;
		else if (v->id > after) {
			out->left++;
			out->last = v->id > out->last ? v->id : out->last;
			out->left_bytes += v->bytes;
			if (out->volume_count < max)
				out->volumes[out->volume_count++] = catalog_row_copy(&v->base);
		}
	}
}

void
catalog_lacking_find(
    struct drive_set *s, unsigned slot, uint64_t after, unsigned max, struct catalog_lacking *out)
{
	*out = (struct catalog_lacking){ .held = 0 };
	assert(slot < s->count);
	out->segments = calloc(max + 1, sizeof(*out->segments));
	out->volumes = calloc(max + 1, sizeof(*out->volumes));
	assert(out->segments != NULL && out->volumes != NULL);
	pthread_mutex_lock(&s->lock);
	out->drive = s->rows.drives[slot];
	out->moving = out->drive.former_uuid.len > 0;
	out->drive.uuid = out->drive.former_uuid = (ProtobufCBinaryData){ 0, NULL };
	out->drive.former_path = (char *)(uintptr_t)protobuf_c_empty_string;
	segments_find(s, slot, after, max, out);
	volumes_find(&s->rows, slot, after, max, out);
	pthread_mutex_unlock(&s->lock);
}

void
catalog_lacking_release(struct catalog_lacking *l)
{
	size_t i;

	for (i = 0; i < l->segment_count; i++)
		hf__catalog_segment__free_unpacked(l->segments[i], NULL);
	for (i = 0; i < l->volume_count; i++)
		hf__catalog_volume__free_unpacked(l->volumes[i], NULL);
	free(l->segments);
	free(l->volumes);
	*l = (struct catalog_lacking){ .held = 0 };
}

size_t
catalog_lacking_active(struct drive_set *s, unsigned slot, uint64_t *ids, size_t max)
{
	size_t i, n = 0;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->rows.volume_count && n < max; i++)
		if (volume_lacks(s->rows.volumes[i], slot) &&
		    s->rows.volumes[i]->state == HF__CATALOG_VOLUME__STATE__ACTIVE)
			ids[n++] = s->rows.volumes[i]->id;
	pthread_mutex_unlock(&s->lock);
	return (n);
}

bool
catalog_segment_linked(struct drive_set *s, uint64_t id)
{
	const Hf__CatalogSegment *row;
	bool linked;

	pthread_mutex_lock(&s->lock);
	row = catalog_rows_segment(&s->rows, id);
	linked = row != NULL && row->linked != 0;
	pthread_mutex_unlock(&s->lock);
	return (linked);
}

/* --- taking marks away ------------------------------------------------------------------------ */

struct cleared {
	Hf__CatalogSegment **segments;
	Hf__CatalogVolume **volumes;
	size_t segment_count, volume_count;
};

static void
mirror_add(Hf__CatalogSegment *row, unsigned slot)
{
	row->slots = realloc(row->slots, (row->n_slots + 1) * sizeof(*row->slots));
	assert(row->slots != NULL);
	row->slots[row->n_slots++] = slot;
}

/* The row of one id without its mark; false: there is no such row. */
static bool
clear_one(const struct drive_set *s, unsigned slot, uint64_t id, struct cleared *c)
{
	const struct catalog_rows *r = &s->rows;
	const Hf__CatalogSegment *g = catalog_rows_segment(r, id);
	const Hf__CatalogVolume *v = catalog_rows_volume(r, id);

	if (g != NULL && g->state != HF__CATALOG_SEGMENT__STATE__OPEN &&
	    segment_lacks(s, g, slot)) {
		Hf__CatalogSegment *row = catalog_row_copy(&g->base);

		row->missing &= ~slot_bits(row->slots, row->n_slots, slot);
		row->linked &= ~slot_bits(row->slots, row->n_slots, slot);
		row->made &= ~slot_bits(row->slots, row->n_slots, slot);
		if (catalog_segment_thin(s, g, slot))
			mirror_add(row, slot);
		c->segments[c->segment_count++] = row;
	}
	if (v != NULL && v->state == HF__CATALOG_VOLUME__STATE__SEALED && volume_lacks(v, slot)) {
		Hf__CatalogVolume *row = catalog_row_copy(&v->base);

		if (row->lacking & slot_bits(row->slots, row->n_slots, slot))
			row->complete |= slot_bits(row->slots, row->n_slots, slot);
		row->lacking &= ~slot_bits(row->slots, row->n_slots, slot);
		row->linked &= ~slot_bits(row->slots, row->n_slots, slot);
		c->volumes[c->volume_count++] = row;
	}
	return (g != NULL || v != NULL);
}

static void
cleared_release(struct cleared *c)
{
	size_t i;

	for (i = 0; i < c->segment_count; i++)
		hf__catalog_segment__free_unpacked(c->segments[i], NULL);
	for (i = 0; i < c->volume_count; i++)
		hf__catalog_volume__free_unpacked(c->volumes[i], NULL);
	free(c->segments);
	free(c->volumes);
}

/* commit_lock is held: nobody else changes rows. */
static int
rebuilt_commit(struct drive_set *s, struct cleared *c, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;

	if (c->segment_count + c->volume_count == 0)
		return (0);
	change.segments = c->segments;
	change.n_segments = c->segment_count;
	change.volumes = c->volumes;
	change.n_volumes = c->volume_count;
	change.reason = (char *)"files were rebuilt";
	return (catalog_commit_locked(s, &change, 0, NULL, e));
}

static bool
drive_unchanged(const struct drive_set *s, unsigned slot, uint64_t since_epoch)
{
	return (s->rows.drives[slot].since_epoch == since_epoch &&
		(drive_live_mask(s) >> slot & 1));
}

int
catalog_rebuilt(struct drive_set *s, unsigned slot, uint64_t since_epoch, const uint64_t *ids,
    size_t count, uint64_t *gone, size_t *gone_count, struct err *e)
{
	struct cleared c = { calloc(count + 1, sizeof(*c.segments)),
		calloc(count + 1, sizeof(*c.volumes)), 0, 0 };
	bool same;
	size_t i;
	int rc;

	assert(slot < s->count && c.segments != NULL && c.volumes != NULL);
	*gone_count = 0;
	pthread_mutex_lock(&s->commit_lock);
	pthread_mutex_lock(&s->lock);
	same = drive_unchanged(s, slot, since_epoch) && !s->read_only;
	for (i = 0; same && i < count; i++)
		if (!clear_one(s, slot, ids[i], &c))
			gone[(*gone_count)++] = ids[i];
	pthread_mutex_unlock(&s->lock);
	if (same)
		rc = rebuilt_commit(s, &c, e);
	else
		rc = err_set(e, ERR_STALE, "the drive in slot %u went away or was replaced "
		    "since epoch %" PRIu64 ": what was rebuilt may not be on it", slot,
		    since_epoch);
	pthread_mutex_unlock(&s->commit_lock);
	cleared_release(&c);
	return (rc);
}
