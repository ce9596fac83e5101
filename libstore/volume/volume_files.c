/*
 * volume_files - the store's operations on the shard files of volumes: make, reserve, punch, seal,
 * drop.
 *
 * F1  A shard file is there, with its directory entry synced, before the catalog names it; and is
 *     removed only after the catalog says that the volume is dropped.
 * F2  Space is reserved on every online shard or on none.
 * F3  A drive that answers EIO is failed (drive_file_fail) and skipped; the operation goes on with
 *     the others while k shards remain.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/volume/volume.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PLACE_BYTES	(UINT64_C(1) << 20)	/* less room on a drive is none for a volume */

/* One step on one shard file; handle is open for writing. */
typedef int shard_fn(struct drive_set *s, unsigned slot, int handle, uint64_t offset,
    uint64_t bytes, struct err *e);

void
volume_name(uint64_t id, char out[VOLUME_NAME_BYTES])
{
	snprintf(out, VOLUME_NAME_BYTES, "%016" PRIx64 ".vol", id);
}

static void
shard_path(struct drive_set *s, unsigned slot, uint64_t id, char out[4096])
{
	char name[VOLUME_NAME_BYTES];

	volume_name(id, name);
	drive_path(s, slot, "vol", name, out);
}

static bool
slot_online(struct drive_set *s, unsigned slot)
{
	return (drive_present_mask(s) >> slot & 1);
}

static bool
shard_linked(struct drive_set *s, unsigned slot, uint64_t id)
{
	char name[VOLUME_NAME_BYTES];

	volume_name(id, name);
	return (drive_file_linked(s, slot, "vol", name));
}

static int
shard_make(struct drive_set *s, unsigned slot, uint64_t id, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	char path[4096], directory[4096];
	int handle, rc;

	drive_path(s, slot, "vol", "", directory);
	rc = d->ops->mkdir(d, directory, e);
	if (rc < 0)
		return (rc);
	shard_path(s, slot, id, path);
	handle = d->ops->open(d, path, O_RDWR | O_CREAT | O_EXCL, e);
	if (handle < 0)
		return (handle);
	rc = d->ops->truncate(d, handle, drive_set_volume_bytes(s), e);
	if (rc == 0)
		rc = d->ops->datasync(d, handle, e);
	d->ops->close(d, handle);
	if (rc == 0)
		rc = d->ops->sync_dir(d, directory, e);	/* F1 */
	return (rc);
}

/* False: a file may be left. It is not in the catalog: the next start puts it into quarantine. */
static bool
shard_unlink(struct drive_set *s, unsigned slot, uint64_t id)
{
	struct disk *d = drive_set_disk(s);
	char path[4096];
	int rc;

	shard_path(s, slot, id, path);
	rc = d->ops->unlink(d, path, NULL);
	if (rc == 0)
		rc = drive_directory_sync(s, slot, "vol");
	return (rc == 0 || rc == ERR_NOT_FOUND);
}

/* Makes the files on every online drive of slots[]; the mask of shards that have one. */
static int
shards_make(struct drive_set *s, uint64_t id, const uint32_t *slots, unsigned count, uint32_t *made,
    struct err *e)
{
	unsigned i;
	int rc;

	*made = 0;
	for (i = 0; i < count; i++) {
		struct err why = ERR_INIT;

		if (!slot_online(s, slots[i]))
			continue;
		drive_steady_begin(s);
		rc = shard_make(s, slots[i], id, &why);
		drive_steady_end(s);
		if (rc == ERR_FULL)
			return (err_set(e, rc, "%s", why.text));
		if (rc < 0)
			rc = drive_fail(s, slots[i], why.text, e);
		else
			*made |= 1u << i;
		if (rc < 0)
			return (rc);
	}
	return (0);
}

/* The best set that has room; the best, if none has. */
static unsigned
set_choose(struct drive_set *s)
{
	unsigned order[DRIVES_MAX], n;

	if (drive_sets(s) == 1)
		return (0);
	drive_set_refresh_space(s);
	n = drive_sets_order(s, order);
	for (unsigned i = 0; i < n; i++)
		if (drive_set_has_room(s, order[i], PLACE_BYTES))
			return (order[i]);
	return (order[0]);
}

bool
volume_better_place(struct drive_set *s, uint64_t id)
{
	Hf__CatalogVolume *row = catalog_volume(s, id);
	unsigned set;
	bool better;

	if (row == NULL)
		return (false);
	set = set_choose(s);
	better = row->n_slots > 0 && drive_set_of(s, row->slots[0]) != set &&
	    drive_set_has_room(s, set, PLACE_BYTES);
	hf__catalog_volume__free_unpacked(row, NULL);
	return (better);
}

int
volume_create(struct drive_set *s, uint64_t *id, struct err *e)
{
	Hf__CatalogVolume row = HF__CATALOG_VOLUME__INIT;
	unsigned k = drive_set_k(s), m = drive_set_m(s), width = drive_set_width(s), i, first;
	uint32_t slots[SHARDS_MAX], made;
	int rc;

	assert(width <= SHARDS_MAX);
	first = set_choose(s) * width;
	row.id = catalog_next_id(s);
	for (i = 0; i < width; i++)
		slots[i] = first + (uint32_t)((row.id + i) % width);
	rc = shards_make(s, row.id, slots, k + m, &made, e);
	if (rc == 0 && (unsigned)__builtin_popcount(made) < k)
		rc = err_set(e, ERR_NO_QUORUM,
		    "volume %016" PRIx64 ": only %d of %u drives for its shards", row.id,
		    __builtin_popcount(made), k + m);
	if (rc == 0) {
		row.state = HF__CATALOG_VOLUME__STATE__ACTIVE;
		row.k = k;
		row.m = m;
		row.n_slots = k + m;
		row.slots = slots;
		row.bytes = drive_set_volume_bytes(s);
		row.lacking = ~made & ((1u << (k + m)) - 1);
		rc = catalog_volume_put(s, &row, "volume created", e);
	}
	if (rc == 0) {
		*id = row.id;
		return (0);
	}
	for (i = 0; i < k + m; i++)
		if (made >> i & 1)
			(void)shard_unlink(s, slots[i], row.id);
	return (rc);
}

static Hf__CatalogVolume *
volume_row_find(struct drive_set *s, uint64_t id, struct err *e)
{
	Hf__CatalogVolume *row = catalog_volume(s, id);

	if (row == NULL || row->state == HF__CATALOG_VOLUME__STATE__DROPPED) {
		err_set(e, ERR_NOT_FOUND, "there is no volume %016" PRIx64, id);
		if (row != NULL)
			hf__catalog_volume__free_unpacked(row, NULL);
		return (NULL);
	}
	return (row);
}

static int
shard_step(struct drive_set *s, unsigned slot, uint64_t id, shard_fn *step, uint64_t offset,
    uint64_t bytes, struct err *e)
{
	struct disk *d = drive_set_disk(s);
	char path[4096];
	int handle, rc;

	shard_path(s, slot, id, path);
	handle = d->ops->open(d, path, O_RDWR, e);
	if (handle < 0)
		return (handle);
	rc = step(s, slot, handle, offset, bytes, e);
	d->ops->close(d, handle);
	return (rc);
}

/*
 * The step on every online shard; *done gets the shards where it succeeded, *absent those that have
 * no file (their drive was away when the volume was made). ERR_FULL ends it at once.
 */
static int
shards_step(struct drive_set *s, const Hf__CatalogVolume *row, shard_fn *step, uint64_t offset,
    uint64_t bytes, uint32_t *done, uint32_t *absent, struct err *e)
{
	unsigned i;
	int rc;

	*done = *absent = 0;
	for (i = 0; i < row->n_slots; i++) {
		struct err why = ERR_INIT;
		bool linked;

		if (!slot_online(s, row->slots[i]))
			continue;
		linked = shard_linked(s, row->slots[i], row->id);
		rc = shard_step(s, row->slots[i], row->id, step, offset, bytes, &why);
		if (rc == 0) {
			*done |= 1u << i;
			continue;
		}
		if (rc == ERR_FULL)
			return (err_set(e, rc, "%s", why.text));
		if (rc == ERR_NOT_FOUND) {
			*absent |= 1u << i;
			continue;
		}
		rc = drive_file_fail(s, row->slots[i], linked, why.text, e);	/* F3 */
		if (rc < 0)
			return (rc);
	}
	return (0);
}

static int
step_allocate(struct drive_set *s, unsigned slot, int handle, uint64_t offset, uint64_t bytes,
    struct err *e)
{
	struct disk *d = drive_set_disk(s);

	if (!drive_has_space(s, slot, bytes))
		return (err_set(e, ERR_FULL, "the drive in slot %u has no room for %" PRIu64
		    " bytes above its reserve", slot, bytes));
	return (d->ops->allocate(d, handle, offset, bytes, e));
}

static int
step_punch(struct drive_set *s, unsigned slot, int handle, uint64_t offset, uint64_t bytes,
    struct err *e)
{
	struct disk *d = drive_set_disk(s);

	(void)slot;
	return (d->ops->punch(d, handle, offset, bytes, e));
}

static int
step_sync(struct drive_set *s, unsigned slot, int handle, uint64_t offset, uint64_t bytes,
    struct err *e)
{
	(void)slot;
	(void)offset;
	(void)bytes;
	return (drive_set_disk(s)->ops->datasync(drive_set_disk(s), handle, e));
}

/* F2: before anything is allocated, so that a full set costs nothing. */
static int
shards_have_space(struct drive_set *s, const Hf__CatalogVolume *row, uint64_t bytes, struct err *e)
{
	unsigned i;

	for (i = 0; i < row->n_slots; i++)
		if (slot_online(s, row->slots[i]) && !drive_has_space(s, row->slots[i], bytes))
			return (err_set(e, ERR_FULL, "the drive in slot %u has no room for %" PRIu64
			    " bytes above its reserve", row->slots[i], bytes));
	return (0);
}

static int
range_check(const Hf__CatalogVolume *row, uint64_t offset, uint64_t bytes, struct err *e)
{
	if (bytes > row->bytes || offset > row->bytes - bytes || bytes % VOLUME_ALIGN_BYTES != 0 ||
	    offset % VOLUME_ALIGN_BYTES != 0)
		return (err_set(e, ERR_INVALID, "volume %016" PRIx64 " of %" PRIu64
		    " bytes has no range of %" PRIu64 " at %" PRIu64, row->id, row->bytes, bytes,
		    offset));
	return (0);
}

int
volume_allocate(struct drive_set *s, uint64_t id, uint64_t offset, uint64_t bytes, struct err *e)
{
	Hf__CatalogVolume *row = volume_row_find(s, id, e);
	uint32_t done = 0, absent, ignored;
	unsigned i;
	int rc;

	if (row == NULL)
		return (ERR_NOT_FOUND);
	rc = range_check(row, offset, bytes, e);
	if (rc == 0 && shards_have_space(s, row, bytes, e) < 0) {
		drive_set_refresh_space(s);	/* some may be free since the last look */
		rc = shards_have_space(s, row, bytes, e);
	}
	if (rc < 0 || bytes == 0)
		goto out;
	rc = shards_step(s, row, step_allocate, offset, bytes, &done, &absent, e);
	if (rc == 0 && (unsigned)__builtin_popcount(done) < row->k)
		rc = err_set(e, ERR_NO_QUORUM,
		    "volume %016" PRIx64 ": only %d of %zu shards are there", id,
		    __builtin_popcount(done), row->n_slots);
	if (rc < 0) {
		struct err unimportant = ERR_INIT;

		(void)shards_step(s, row, step_punch, offset, bytes, &ignored, &absent,
		    &unimportant);
		goto out;
	}
	for (i = 0; i < row->n_slots; i++)
		if (done >> i & 1)
			drive_space_take(s, row->slots[i], bytes);
out:
	hf__catalog_volume__free_unpacked(row, NULL);
	return (rc);
}

/* The step on all shards that are there; *missed gets the slots where it was not done. */
static int
shards_give(struct drive_set *s, const Hf__CatalogVolume *row, shard_fn *step, uint64_t offset,
    uint64_t bytes, uint32_t *missed, struct err *e)
{
	uint32_t done, absent;
	int rc = shards_step(s, row, step, offset, bytes, &done, &absent, e);

	for (size_t i = 0; i < row->n_slots; i++)
		if (((done | absent) >> i & 1) == 0)
			*missed |= 1u << row->slots[i];
	return (rc);
}

int
volume_punch(struct drive_set *s, uint64_t id, uint64_t offset, uint64_t bytes, uint32_t *missed,
    struct err *e)
{
	Hf__CatalogVolume *row = volume_row_find(s, id, e);
	int rc;

	*missed = 0;
	if (row == NULL)
		return (ERR_NOT_FOUND);
	rc = range_check(row, offset, bytes, e);
	if (rc == 0 && bytes > 0)
		rc = shards_give(s, row, step_punch, offset, bytes, missed, e);
	hf__catalog_volume__free_unpacked(row, NULL);
	return (rc);
}

int
volume_punched_sync(struct drive_set *s, uint64_t id, uint32_t *missed, struct err *e)
{
	Hf__CatalogVolume *row = volume_row_find(s, id, e);
	int rc;

	*missed = 0;
	if (row == NULL)
		return (ERR_NOT_FOUND);
	rc = shards_give(s, row, step_sync, 0, 0, missed, e);
	hf__catalog_volume__free_unpacked(row, NULL);
	return (rc);
}

int
volume_punch_slot(struct drive_set *s, uint64_t id, unsigned slot,
    const struct volume_range *ranges, size_t count, struct err *e)
{
	Hf__CatalogVolume *row = volume_row_find(s, id, e);
	int rc = 0;

	if (row == NULL)
		return (ERR_NOT_FOUND);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = range_check(row, ranges[i].offset, ranges[i].bytes, e);
		if (rc == 0 && ranges[i].bytes > 0)
			rc = shard_step(s, slot, id, step_punch, ranges[i].offset,
			    ranges[i].bytes, e);
	}
	if (rc == 0)
		rc = shard_step(s, slot, id, step_sync, 0, 0, e);
	hf__catalog_volume__free_unpacked(row, NULL);
	return (rc == ERR_NOT_FOUND ? 0 : rc);
}

int
volume_seal(struct drive_set *s, uint64_t id, uint32_t thin, struct err *e)
{
	return (catalog_volume_seal(s, id, thin, e));
}

int
volume_drop(struct drive_set *s, uint64_t id, uint32_t *left, struct err *e)
{
	Hf__CatalogVolume *row = volume_row_find(s, id, e);
	unsigned i;
	int rc;

	*left = 0;
	if (row == NULL)
		return (ERR_NOT_FOUND);
	row->state = HF__CATALOG_VOLUME__STATE__DROPPED;
	rc = catalog_volume_put(s, row, "volume dropped", e);
	for (i = 0; rc == 0 && i < row->n_slots; i++)	/* F1 */
		if (!slot_online(s, row->slots[i]) || !shard_unlink(s, row->slots[i], id))
			*left |= 1u << row->slots[i];
	hf__catalog_volume__free_unpacked(row, NULL);
	return (rc);
}
