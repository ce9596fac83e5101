/*
 * check_extent - bodies in volumes: every unit of every row on every shard, and parity computed
 * again from the data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libstore/check/check_internal.h"
#include "libstore/drive/drive_set.h"

/* --- open volumes ----------------------------------------------------------------------------- */

static void
volume_release(struct check *c, struct open_volume *v)
{
	unsigned i;

	if (v->row == NULL)
		return;
	for (i = 0; i < v->row->n_slots; i++)
		if (v->handles[i] >= 0)
			c->set->disk->ops->close(c->set->disk, v->handles[i]);
	erasure_free(v->erasure);
	v->row = NULL;
}

static void
volume_take(struct check *c, struct open_volume *v, Hf__CatalogVolume *row)
{
	struct disk *d = c->set->disk;
	char name[VOLUME_NAME_BYTES], path[4096];
	unsigned i;

	volume_release(c, v);
	v->row = row;
	v->erasure = erasure_new(row->k, row->m);
	volume_name(row->id, name);
	for (i = 0; i < row->n_slots; i++) {
		v->handles[i] = -1;
		if (row->slots[i] >= c->set->count || !c->view->drives[row->slots[i]].present)
			continue;
		drive_path(c->set, row->slots[i], "vol", name, path);
		v->handles[i] = d->ops->open(d, path, O_RDONLY, NULL);
	}
}

static struct open_volume *
volume_find(struct check *c, uint64_t id)
{
	struct open_volume *at = &c->open[0];
	Hf__CatalogVolume *row;
	unsigned i;

	for (i = 0; i < OPEN_VOLUMES; i++) {
		struct open_volume *o = &c->open[i];

		if (o->row != NULL && o->row->id == id) {
			o->used = ++c->clock;
			return (o);
		}
		if (o->row == NULL || (at->row != NULL && o->used < at->used))
			at = o;
	}
	row = catalog_rows_volume(&c->set->rows, id);
	if (row == NULL || row->k < 1 || row->k + row->m > DRIVES_MAX ||
	    row->n_slots != row->k + row->m)
		return (NULL);
	volume_take(c, at, row);
	at->used = ++c->clock;
	return (at);
}

void
check_extents_release(struct check *c)
{
	unsigned i;

	for (i = 0; i < OPEN_VOLUMES; i++)
		volume_release(c, &c->open[i]);
	for (i = 0; i < DRIVES_MAX; i++) {
		free(c->units[i]);
		free(c->again[i]);
		c->units[i] = c->again[i] = NULL;
	}
}

/* --- one row ---------------------------------------------------------------------------------- */

static void
units_make(struct check *c)
{
	for (unsigned i = 0; i < DRIVES_MAX && c->units[i] == NULL; i++) {
		c->units[i] = malloc(VOLUME_UNIT_BYTES);
		c->again[i] = malloc(VOLUME_UNIT_BYTES);
		assert(c->units[i] != NULL && c->again[i] != NULL);
	}
}

static struct fault_at
unit_at(struct check *c, const struct open_volume *v, unsigned shard, const struct volume_row *row,
    const char *owner, char path[4096])
{
	char name[VOLUME_NAME_BYTES];

	volume_name(v->row->id, name);
	drive_path(c->set, v->row->slots[shard], "vol", name, path);
	return ((struct fault_at){ CHECK_DEGRADED, "unit", (int)v->row->slots[shard], path,
	    row->offset, owner });
}

/* Reads one unit; true if it is whole. What should be there and is not is told. */
static bool
unit_read(struct check *c, const struct open_volume *v, const Hf__Extent *x,
    const struct volume_row *row, unsigned shard, const char *owner)
{
	struct disk *d = c->set->disk;
	struct err why = ERR_INIT;
	char path[4096];
	ssize_t n;

	if (v->handles[shard] < 0 || (x->missing & ~v->row->complete) >> shard & 1)
		return (false);
	n = d->ops->pread(d, v->handles[shard], c->units[shard], row->unit_bytes, row->offset,
	    &why);
	if (n == (ssize_t)row->unit_bytes &&
	    volume_unit_check(x, row, shard, c->units[shard], &why) == 0) {
		c->sum.units++;
		c->sum.unit_bytes += row->unit_bytes;
		return (true);
	}
	if (n >= 0 && n < (ssize_t)row->unit_bytes)
		err_set(&why, ERR_CORRUPT, "shard %u ends before this unit does", shard);
	if (!(v->row->lacking >> shard & 1))	/* else it is known, and will be rebuilt */
		check_fault(c, unit_at(c, v, shard, row, owner, path), "%s", why.text);
	return (false);
}

/* From all data, whole or rebuilt, parity must come out as it is on the drives. */
static void
parity_check(struct check *c, const struct open_volume *v, const struct volume_row *row,
    uint32_t whole, const char *owner)
{
	unsigned k = v->row->k, m = v->row->m, i;
	size_t payload = row->unit_bytes - VOLUME_TRAILER_BYTES;
	uint32_t lost = ~whole & ((1u << k) - 1);
	uint8_t *units[DRIVES_MAX];
	char path[4096];

	if (lost != 0 && erasure_rebuild(v->erasure, payload, whole, lost, c->units) < 0)
		return;
	for (i = 0; i < k + m; i++)
		units[i] = i < k ? c->units[i] : c->again[i];
	erasure_encode(v->erasure, payload, units);
	for (i = k; i < k + m; i++)
		if (whole >> i & 1 && memcmp(c->units[i], c->again[i], payload) != 0)
			check_fault(c, unit_at(c, v, i, row, owner, path), "shard %u: parity does "
			    "not agree with the data, though every checksum is right", i);
}

static bool
row_check(struct check *c, const struct open_volume *v, const Hf__Extent *x, uint64_t index,
    const char *owner)
{
	unsigned k = v->row->k, n = k + v->row->m, i;
	struct volume_row row;
	uint32_t whole = 0;

	volume_row_get(k, x, index, &row);
	for (i = 0; i < n; i++)
		if (unit_read(c, v, x, &row, i, owner))
			whole |= 1u << i;
	check_progress(c, (uint64_t)n * row.unit_bytes);
	if ((unsigned)__builtin_popcount(whole) < k) {
		check_fault(c, (struct fault_at){ CHECK_LOST, "body", -1, NULL, row.offset, owner },
		    "volume %016" PRIx64 ": %d units of a row can be read and %u are needed; bytes "
		    "%" PRIu64 " to %" PRIu64 " of the extent", v->row->id,
		    __builtin_popcount(whole), k, row.body_offset,
		    row.body_offset + row.body_bytes - 1);
		return (false);
	}
	parity_check(c, v, &row, whole, owner);
	return (true);
}

/*
 * A sealed volume is marked in the catalog where it lacks something; one that is not yet will be,
 * for the row of its use counts what is thin (volume_sums_check).
 */
static bool
extent_known(const Hf__CatalogVolume *row, const Hf__Extent *x)
{
	return (row->state != HF__CATALOG_VOLUME__STATE__SEALED ||
		(x->missing & ~row->complete & ~row->lacking) == 0);
}

bool
check_extent(struct check *c, const char *owner, const Hf__Extent *x)
{
	struct fault_at at = { CHECK_LOST, "body", -1, NULL, x->offset, owner };
	struct open_volume *v = volume_find(c, x->volume);
	uint64_t i, rows;
	uint32_t away;
	bool good = true;

	c->sum.extents++;
	if (v == NULL) {
		check_fault(c, at, "it lies in volume %016" PRIx64 ", which the catalog does not "
		    "have", x->volume);
		return (false);
	}
	if (x->bytes == 0 || x->bytes > v->row->bytes * v->row->k || x->offset > v->row->bytes ||
	    volume_extent_shard_bytes(v->row->k, x->bytes) > v->row->bytes - x->offset) {
		check_fault(c, at, "its address in volume %016" PRIx64 " cannot be right",
		    x->volume);
		return (false);
	}
	at.severity = CHECK_DEGRADED;
	away = (x->missing & ~v->row->complete) | v->row->lacking;
	if (away != 0)
		check_fault(c, at, "volume %016" PRIx64 ": %d of %zu shards were away, and are "
		    "not rebuilt (mask %#x)%s", x->volume, __builtin_popcount(away),
		    v->row->n_slots, away, extent_known(v->row, x) ? "" :
		    "; nothing says that they are to be");
	units_make(c);
	rows = volume_row_count(v->row->k, x);
	for (i = 0; i < rows && check_cancelled(c, NULL) == 0; i++)
		good = row_check(c, v, x, i, owner) && good;
	return (good);
}
