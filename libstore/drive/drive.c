/*
 * drive - the set in memory: rows of drives, space and reserve, failing and returning drives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libstore/drive/drive.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libstore/drive/drive_internal.h"

struct disk *
drive_set_disk(const struct drive_set *s)
{
	return (s->disk);
}

struct disk *
drive_set_disk_direct(const struct drive_set *s)
{
	return (s->disk->direct != NULL ? s->disk->direct : s->disk);
}

unsigned
drive_count(const struct drive_set *s)
{
	return (s->count);
}

unsigned
drive_sets_joined(const struct drive_set *s)
{
	return (s->joined);
}

unsigned
drive_set_k(const struct drive_set *s)
{
	return (s->k);
}

unsigned
drive_set_m(const struct drive_set *s)
{
	return (s->m);
}

const uint8_t *
drive_set_deployment(const struct drive_set *s)
{
	return (s->deployment);
}

/* The locks are not part of what a const set promises. */
static void
set_lock(const struct drive_set *s)
{
	pthread_mutex_lock(&((struct drive_set *)s)->lock);
}

static void
set_unlock(const struct drive_set *s)
{
	pthread_mutex_unlock(&((struct drive_set *)s)->lock);
}

uint64_t
drive_set_epoch(const struct drive_set *s)
{
	uint64_t epoch;

	set_lock(s);
	epoch = s->rows.epoch;
	set_unlock(s);
	return (epoch);
}

bool
drive_set_read_only(const struct drive_set *s)
{
	bool read_only;

	set_lock(s);
	read_only = s->read_only;
	set_unlock(s);
	return (read_only);
}

uint64_t
drive_set_segment_bytes(const struct drive_set *s)
{
	return (s->segment_bytes);
}

uint64_t
drive_set_volume_bytes(const struct drive_set *s)
{
	return (s->volume_bytes);
}

uint32_t
drive_set_sector_bytes(const struct drive_set *s)
{
	return (s->sector_bytes);
}

unsigned
drive_set_write_quorum(const struct drive_set *s)
{
	return (s->k + s->min_write_redundancy);
}

void
drive_get(const struct drive_set *s, unsigned slot, struct drive *out)
{
	assert(slot < s->count);
	set_lock(s);
	*out = s->drives[slot];
	out->since_epoch = s->rows.drives[slot].since_epoch;
	set_unlock(s);
}

static uint32_t
state_mask(const struct drive_set *s, Hf__CatalogDrive__State state)
{
	uint32_t mask = 0;
	unsigned i;

	for (i = 0; i < s->count; i++)
		if (s->drives[i].lock_handle >= 0 && s->drives[i].state == state)
			mask |= 1u << i;
	return (mask);
}

uint32_t
drive_online_mask(const struct drive_set *s)
{
	uint32_t mask;

	set_lock(s);
	mask = state_mask(s, HF__CATALOG_DRIVE__STATE__ONLINE);
	set_unlock(s);
	return (mask);
}

uint32_t
drive_present_mask(const struct drive_set *s)
{
	uint32_t mask;

	set_lock(s);
	mask = drive_live_mask(s);
	set_unlock(s);
	return (mask);
}

uint32_t
drive_unbroken_mask(const struct drive_set *s, uint64_t since_epoch)
{
	uint32_t mask;
	unsigned i;

	set_lock(s);
	mask = drive_live_mask(s);
	for (i = 0; i < s->count; i++)
		if (s->rows.away_epochs[i] > since_epoch)
			mask &= ~(1u << i);
	set_unlock(s);
	return (mask);
}

uint32_t
drive_live_mask(const struct drive_set *s)
{
	return (state_mask(s, HF__CATALOG_DRIVE__STATE__ONLINE) |
		state_mask(s, HF__CATALOG_DRIVE__STATE__RETURNING));
}

void
drive_path(
    const struct drive_set *s, unsigned slot, const char *sub, const char *name, char out[4096])
{
	int n;

	assert(slot < s->count);
	n = snprintf(out, 4096, "%s%s%s%s%s",
	    __atomic_load_n(&s->drives[slot].path, __ATOMIC_ACQUIRE), sub[0] == '\0' ? "" : "/",
	    sub, name[0] == '\0' ? "" : "/", name);
	assert(n > 0 && n < 4096); /* drive_set_open bounds the path */
}

bool
drive_path_is(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	while (n > 1 && a[n - 1] == '/')
		n--;
	while (m > 1 && b[m - 1] == '/')
		m--;
	return (n == m && memcmp(a, b, n) == 0);
}

void
drive_note(struct drive_set *s, unsigned slot, Hf__CatalogDrive__State state, const char *why)
{
	pthread_mutex_lock(&s->lock);
	s->drives[slot].state = state;
	snprintf(s->drives[slot].note, sizeof(s->drives[slot].note), "%.150s", why);
	pthread_mutex_unlock(&s->lock);
}

void
drive_note_returning(struct drive_set *s, unsigned slot, const char *why)
{
	pthread_mutex_lock(&s->lock);
	if (s->drives[slot].state == HF__CATALOG_DRIVE__STATE__RETURNING)
		snprintf(s->drives[slot].note, sizeof(s->drives[slot].note), "%.150s", why);
	pthread_mutex_unlock(&s->lock);
}

int
drive_fail(struct drive_set *s, unsigned slot, const char *why, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	char reason[256];
	int rc = 0;

	assert(slot < s->count);
	snprintf(reason, sizeof(reason), "slot %u failed: %.200s", slot, why);
	change.reason = reason;
	pthread_mutex_lock(&s->commit_lock);
	if (drive_set_read_only(s)) {	/* no epoch: its catalogs stay as they were found */
		if (drive_present_mask(s) >> slot & 1)
			drive_note(s, slot, HF__CATALOG_DRIVE__STATE__OFFLINE, why);
		rc = err_set(e, ERR_NO_QUORUM, "too few drives are left: the set is read-only");
	} else if (drive_present_mask(s) >> slot & 1)
		rc = catalog_commit_locked(s, &change, 1u << slot, why, e);
	pthread_mutex_unlock(&s->commit_lock);
	return (rc);
}

int
drive_set_online(struct drive_set *s, unsigned slot, struct err *e)
{
	Hf__CatalogChange change = HF__CATALOG_CHANGE__INIT;
	Hf__CatalogDrive row = HF__CATALOG_DRIVE__INIT, *rows[1] = { &row };
	struct catalog_lacking lacks;
	uint8_t uuid[16];
	int rc;

	row.slot = slot;
	row.state = HF__CATALOG_DRIVE__STATE__ONLINE;
	change.drives = rows;
	change.n_drives = 1;
	change.reason = (char *)"the drive was brought up to date";
	pthread_mutex_lock(&s->commit_lock);
	catalog_lacking_find(s, slot, 0, 0, &lacks);
	memcpy(uuid, s->rows.uuids[slot], sizeof(uuid));
	if (lacks.moving)	/* named again, without a former one */
		row.uuid = (ProtobufCBinaryData){ 16, uuid };
	if (drive_set_read_only(s))
		rc = err_set(e, ERR_READ_ONLY, "the set is read-only");
	else if (!(drive_present_mask(s) >> slot & 1))
		rc = err_set(e, ERR_STALE, "the drive in slot %u is not there", slot);
	else if (lacks.left + lacks.held > 0)
		rc = err_set(e, ERR_BUSY, "%" PRIu64 " files are to be rebuilt on it, %u more "
		    "when they are sealed", lacks.left, lacks.held);
	else if (lacks.drive.state != HF__CATALOG_DRIVE__STATE__ONLINE || lacks.moving)
		rc = catalog_commit_locked(s, &change, 0, NULL, e);
	else
		rc = 0;
	pthread_mutex_unlock(&s->commit_lock);
	catalog_lacking_release(&lacks);
	if (rc == 0 && (drive_online_mask(s) >> slot & 1)) {
		drive_note(s, slot, HF__CATALOG_DRIVE__STATE__ONLINE, "");
		drive_former_close(s, slot);
	}
	return (rc);
}

void
drive_set_probe(struct drive_set *s)
{
	uint32_t mask = drive_present_mask(s);
	char path[4096];
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (!(mask >> i & 1))
			continue;
		drive_path(s, i, "", "drive", path);
		if (!s->disk->ops->same(s->disk, s->drives[i].lock_handle, path))
			drive_fail(
			    s, i, "its drive file is not at its path any more (unmounted?)", NULL);
	}
	drive_formers_probe(s);
	drive_set_probe_mounts(s);
}

void
drive_steady_begin(struct drive_set *s)
{
	pthread_rwlock_rdlock(&s->steady);
}

void
drive_steady_end(struct drive_set *s)
{
	pthread_rwlock_unlock(&s->steady);
}

void
drive_set_refresh_space(struct drive_set *s)
{
	uint32_t mask = drive_present_mask(s);
	struct disk_space space;
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (!(mask >> i & 1) ||
		    s->disk->ops->space(s->disk, s->drives[i].path, &space, NULL) < 0)
			continue;
		drive_recycled_yield(s, i, &space);
		pthread_mutex_lock(&s->lock);
		s->drives[i].space.filesystem = space.filesystem;
		space.free_bytes += drive_spares_bytes(s, space.filesystem);
		s->drives[i].space = space;
		s->taken[i] = 0;
		pthread_mutex_unlock(&s->lock);
	}
}

/* How many live drives share the file system of a slot, itself included. */
static unsigned
sharing_count(const struct drive_set *s, unsigned slot)
{
	uint32_t mask = drive_live_mask(s) | 1u << slot;
	unsigned i, n = 0;

	for (i = 0; i < s->count; i++)
		if (mask >> i & 1 &&
		    s->drives[i].space.filesystem == s->drives[slot].space.filesystem)
			n++;
	return (n);
}

static uint64_t
reserve_bytes(const struct drive_set *s, unsigned slot)
{
	uint64_t part = s->drives[slot].space.total_bytes / 50;
	uint64_t segments = RESERVE_SEGMENTS * s->segment_bytes * sharing_count(s, slot);

	return (part > segments ? part : segments);
}

uint64_t
drive_reserve_bytes(const struct drive_set *s, unsigned slot)
{
	uint64_t bytes;

	assert(slot < s->count);
	set_lock(s);
	bytes = reserve_bytes(s, slot);
	set_unlock(s);
	return (bytes);
}

int64_t
drive_room_but(const struct drive_set *s, unsigned slot, uint64_t left)
{
	uint64_t used = left;
	unsigned i;

	for (i = 0; i < s->count; i++)
		if (s->drives[i].space.filesystem == s->drives[slot].space.filesystem)
			used += s->taken[i];
	return ((int64_t)s->drives[slot].space.free_bytes - (int64_t)used);
}

uint64_t
drive_reserve_locked(const struct drive_set *s, unsigned slot, bool spares)
{
	uint64_t reserve = reserve_bytes(s, slot), bytes = 0;

	if (spares)
		bytes = drive_spares_bytes(s, s->drives[slot].space.filesystem);
	return (reserve > bytes ? reserve : bytes);
}

int64_t
drive_room_locked(const struct drive_set *s, unsigned slot)
{
	return (drive_room_but(s, slot, drive_reserve_locked(s, slot, true)));
}

bool
drive_leaves_space(const struct drive_set *s, unsigned slot, uint64_t bytes, uint64_t left)
{
	bool fits;

	assert(slot < s->count && bytes <= INT64_MAX && left <= INT64_MAX);
	set_lock(s);
	fits = drive_room_but(s, slot, left) >= (int64_t)bytes;
	set_unlock(s);
	return (fits);
}

bool
drive_has_space(const struct drive_set *s, unsigned slot, uint64_t bytes)
{
	bool fits;

	assert(slot < s->count && bytes <= INT64_MAX);
	set_lock(s);
	fits = drive_room_locked(s, slot) >= (int64_t)bytes;
	set_unlock(s);
	return (fits);
}

void
drive_space_take(struct drive_set *s, unsigned slot, uint64_t bytes)
{
	assert(slot < s->count);
	pthread_mutex_lock(&s->lock);
	s->taken[slot] += bytes;
	pthread_mutex_unlock(&s->lock);
}

struct drive_set *
drive_set_new(struct disk *disk, const char *const *paths, unsigned count)
{
	struct drive_set *s = calloc(1, sizeof(*s));
	unsigned i;

	assert(s != NULL);
	s->disk = disk;
	s->count = s->configured = count;
	pthread_mutex_init(&s->commit_lock, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_rwlock_init(&s->steady, NULL);
	catalog_rows_init(&s->rows);
	for (i = 0; i < s->count; i++) {
		s->drives[i].slot = i;
		s->drives[i].path = strdup(paths[i]);
		assert(s->drives[i].path != NULL);
		s->drives[i].lock_handle = s->catalog_handle[i] = s->former_handle[i] = -1;
	}
	return (s);
}

void
drive_set_close(struct drive_set **set)
{
	struct drive_set *s = *set;
	unsigned i;

	if (s == NULL)
		return;
	*set = NULL;
	for (i = 0; i < s->configured; i++) {
		if (s->catalog_handle[i] >= 0)
			s->disk->ops->close(s->disk, s->catalog_handle[i]);
		if (s->drives[i].lock_handle >= 0)
			s->disk->ops->close(s->disk, s->drives[i].lock_handle);
		if (s->former_handle[i] >= 0)
			s->disk->ops->close(s->disk, s->former_handle[i]);
		free(s->drives[i].path);
	}
	for (i = 0; i < s->old_path_count && i < OLD_PATHS_MAX; i++)
		free(s->old_paths[i]);
	catalog_rows_release(&s->rows);
	pthread_rwlock_destroy(&s->steady);
	pthread_mutex_destroy(&s->commit_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
